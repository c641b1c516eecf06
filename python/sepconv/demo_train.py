"""`python -m sepconv demo train`: a small network learns to read handwritten digits, in NumPy, by the layers' `vjp` alone."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from . import _core
from ._train_picture import draw
from ._train_torch import TorchNetwork
from .demo import present, write
from .initializers import HeNormal, RandomNormal
from .layers import SeparableConv2D
from .models import Input, Sequential
from .regularizers import L2
from .variables import Variable

_EPOCHS, _BATCH, _RATE = 30, 32, 0.01
_DECAY = 0.01  # L2 of the depthwise kernels, which leaves of their random start what helps
_NEEDED = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "tqdm": "tqdm"}


class Digits(NamedTuple):
    """Images (count, 8, 8, 1) from 0 to 1, and what they show (count,)."""

    images: np.ndarray
    labels: np.ndarray


class Learner(Protocol):
    """What `fit` trains: this package's network or PyTorch's."""

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> float:
        """Learn from one batch; returns its loss."""

    def read(self, images: np.ndarray) -> np.ndarray:
        """The digits that the network sees."""


@dataclass
class Training:
    """How a training went: the mean loss and the share of held-out digits read rightly of each epoch, seconds of all steps."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0


def main(output: str | None = None) -> int:
    """Run the demo; returns the exit status: 0, 1 for a bad path, 2 without the extra or where `output` doesn't end in .png.

    Parameters
    ----------
    output : str, optional
        Where to write the PNG; by default `sepconv_train.png` in the working directory.
    """
    return present(_run, output, "train", _NEEDED)


def _run(path: str) -> None:
    learn, held = digits()
    model = network()
    start = model.get_weights()
    learner = Network(model)
    training = fit(learner, learn, held, "sepconv")
    rows = [("sepconv", training)]
    torch = _torch()
    if torch is not None:
        twin = TorchNetwork(torch, model, start, _DECAY)
        rows.append((f"PyTorch {torch.__version__}", fit(twin, learn, held, "PyTorch")))
    _report(model, learn, held, rows)
    write(draw(model, training, held, learner.read(held.images)), path)


def _torch() -> Any:
    """PyTorch, or None."""
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError):  # absent, or without a library that it needs
        return None


def digits() -> tuple[Digits, Digits]:
    """Scikit-learn's 1797 digits: three quarters to learn from, and those that are held out, the same in every run."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    learn, held, learn_labels, held_labels = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    return Digits(learn, learn_labels), Digits(held, held_labels)


def network(seed: int = 0) -> Sequential:
    """Four separable layers from an image to ten scores, of which the largest names the digit."""
    rng = np.random.default_rng(seed)

    def layer(filters: int, size: int, activation: str | None = "relu", **options: Any) -> SeparableConv2D:
        # So that each half keeps the scale of its input. Keras's default counts all channels, of which a depthwise sum has one.
        normal, he = RandomNormal(stddev=1 / size, seed=rng), HeNormal(seed=rng)
        initial: dict[str, Any] = {"depthwise_initializer": normal, "pointwise_initializer": he}
        return SeparableConv2D(filters, size, activation=activation, depthwise_regularizer=L2(_DECAY), **initial, **options)

    first = layer(32, 5, padding="same", depth_multiplier=8)
    middle = [layer(64, 3, padding="same"), layer(128, 4, strides=2, padding="same")]
    return Sequential([Input((8, 8, 1)), first, *middle, layer(10, 4, activation=None)])


class Network:
    """A model that learns by Adam."""

    def __init__(self, model: Sequential) -> None:
        self.model = model
        self.optimizer = Adam(model.trainable_weights)

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> float:
        scores, pullback = self.model.vjp(images, input=False, num_threads=1)
        loss, gradient = cross_entropy(scores.reshape(-1, 10), labels)
        self.optimizer.step(pullback(gradient.reshape(scores.shape), losses=1.0).weights, rate)
        return loss

    def read(self, images: np.ndarray) -> np.ndarray:
        seen: np.ndarray = self.model(images, num_threads=1).reshape(-1, 10).argmax(axis=1)
        return seen


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of -log(softmax(scores)[label]) over the rows, and its gradient."""
    rows = np.arange(len(labels))
    shifted = scores - scores.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    gradient = np.exp(shifted) / total
    gradient[rows, labels] -= 1
    return float(np.mean(np.log(total[:, 0]) - shifted[rows, labels])), gradient / len(labels)


class Adam:
    """Kingma and Ba, 2015 (arXiv:1412.6980), with their constants."""

    def __init__(self, weights: list[Variable]) -> None:
        self.weights = weights
        self.moments = [(np.zeros(w.shape, np.float32), np.zeros(w.shape, np.float32)) for w in weights]
        self.count = 0

    def step(self, gradients: list[np.ndarray], rate: float) -> None:
        self.count += 1
        first, second = (1 - beta**self.count for beta in (0.9, 0.999))
        for weight, gradient, (mean, square) in zip(self.weights, gradients, self.moments, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            weight -= rate / first * mean / (np.sqrt(square / second) + 1e-8)


def fit(learner: Learner, learn: Digits, held: Digits, name: str, epochs: int = _EPOCHS, seed: int = 0) -> Training:
    """Train with a progress bar. Batches depend on `seed` alone, and nothing is learned from `held`."""
    from tqdm import tqdm

    training, rng = Training(), np.random.default_rng(seed)
    with tqdm(range(epochs), desc=name, unit="epoch") as bar:
        for epoch in bar:
            total = 0.0
            for images, labels, progress in batches(learn, rng):
                rate = _RATE * 0.5 * (1 + math.cos(math.pi * (epoch + progress) / epochs))
                start = time.perf_counter()
                total += learner.step(images, labels, rate) * len(labels)
                training.seconds += time.perf_counter() - start
            training.losses.append(total / len(learn.labels))
            training.accuracies.append(float(np.mean(learner.read(held.images) == held.labels)))
            bar.set_postfix_str(f"loss {training.losses[-1]:.4f}, held out {training.accuracies[-1]:.1%}")
    return training


def batches(digits: Digits, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """All digits once, in random order: images, labels and the share of the epoch that is over.

    Each batch is moved by up to a pixel, since a digit stays what it is.
    """
    order, count = rng.permutation(len(digits.labels)), len(digits.labels)
    padded = np.pad(digits.images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for begin in range(0, count, _BATCH):
        chosen = order[begin : begin + _BATCH]
        down, right = rng.integers(3, size=2)
        yield padded[chosen, down : down + 8, right : right + 8], digits.labels[chosen], begin / count


def _report(model: Sequential, learn: Digits, held: Digits, rows: list[tuple[str, Training]]) -> None:
    weights = sum(layer.count_params() for layer in model.layers)
    print(f"\nsepconv {_core.__version__} on {_core.config().get('isa_active', '?')}, one thread: the layers are small")
    print(f"{len(learn.labels)} digits to learn from, {len(held.labels)} held out; {weights} weights\n")
    print(f"{'':<22}{'training':>10}{'last loss':>13}{'held out, read rightly':>26}")
    for name, training in rows:
        again = f"{training.seconds / rows[0][1].seconds:>8.1f} times as long" if training is not rows[0][1] else ""
        print(f"{name:<22}{training.seconds:>8.2f} s{training.losses[-1]:>13.4f}{training.accuracies[-1]:>26.1%}{again}")

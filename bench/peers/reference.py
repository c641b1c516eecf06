"""What a case must give: a convolution in float64 by plain NumPy, and how far from it a float32 result may be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from .cases import Case, Stage

Array = np.ndarray
_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


# Keras's functions, with its default parameters; `threshold` at 0 with 0 below.
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": lambda x: np.where(x < 0, 0.2 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "celu": lambda x: np.where(x < 0, np.expm1(x), x),
    "selu": lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "soft_shrink": lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0),
    "hard_shrink": lambda x: np.where(abs(x) > 0.5, x, 0),
    "sparse_plus": lambda x: np.where(x >= 1, x, np.where(x <= -1, 0, (x + 1) ** 2 / 4)),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "threshold": lambda x: np.where(x > 0, x, 0),
    "sigmoid": _sigmoid,
    "sparse_sigmoid": lambda x: np.clip(0.5 * (x + 1), 0, 1),
    "exponential": np.exp,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "log_sigmoid": lambda x: -_softplus(-x),
    "softmax": _softmax,
}


def taps(stage: Stage, sizes: tuple[int, int]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each tap of a depthwise kernel and the part of the padded input that it meets, where the output has `sizes`."""
    for tap in itertools.product(*map(range, stage.kernel)):
        ends = zip(tap, stage.dilation, sizes, stage.strides, strict=True)
        yield tap, (slice(None), *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in ends))


def padded(x: Array, stage: Stage) -> Array:
    return np.pad(x, [(0, 0), *stage.pads, (0, 0)])


def _depthwise(x: Array, kernel: Array, stage: Stage, sizes: tuple[int, int]) -> Array:
    x = padded(x, stage)
    y = np.zeros((len(x), *sizes, *kernel.shape[2:]))
    for tap, part in taps(stage, sizes):
        y += x[part][..., None] * kernel[tap]
    return y.reshape(*y.shape[:3], -1)


def to_layout(y: Array, case: Case) -> Array:
    return np.ascontiguousarray(np.moveaxis(y, -1, 1)) if case.channels_first else y


def from_layout(y: Array, case: Case) -> Array:
    return np.moveaxis(y, 1, -1) if case.channels_first else y


def convolve(case: Case, data: dict[str, Array], activations: bool, inputs: list[Array] | None = None) -> Array:
    """The result, channels_last; what goes into each stage is added to `inputs`."""
    y = from_layout(data["x"], case)
    for stage in case.stages:
        if inputs is not None:
            inputs.append(y)
        kernel = data[stage.weights]
        if stage.depthwise:
            y = _depthwise(y, kernel, stage, case.output_size)
        else:
            y = y[:, :: stage.strides[0], :: stage.strides[1]] @ kernel
        if stage.bias:
            y = y + data[stage.bias]
        if activations:
            y = ACTIVATIONS[stage.activation](y)
    return y


class Reference:
    """The result of a case in float64, and the size of the sums that led to it: of products without their signs."""

    def __init__(self, case: Case, data: dict[str, Array]) -> None:
        wide = {name: array.astype(np.float64) for name, array in data.items()}
        self.result = to_layout(convolve(case, wide, True), case)
        self.size = to_layout(convolve(case, {name: abs(array) for name, array in wide.items()}, False), case)
        # 16 units in the last place of the whole sum: random signs stay at 2, one operand rounded to bfloat16 or TF32 goes beyond.
        # Approximated activations may be off by as much again.
        self.unit = float(np.finfo(case.dtype).eps) / 2
        self.curved = any(stage.activation not in ("linear", "relu", "relu6") for stage in case.stages)
        if self.curved:
            self.size = self.size + abs(self.result) + 1

    def units(self, result: Array) -> float:
        """The largest error, in units of rounding of the sum that it came from."""
        if result.shape != self.result.shape or not np.isfinite(result).all():
            return math.inf
        return float((abs(result - self.result) / (self.size + 1e-30)).max() / self.unit)

    def accepts(self, result: Array) -> bool:
        return self.units(result) <= (32 if self.curved else 16)

"""The network of `demo train` in PyTorch's own layers. The module `torch` is an argument, so that nothing here needs it to be there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .models import Sequential


class TorchNetwork:
    """The layers of `model` with the weights `start`, and the same optimizer; `decay` is the L2 of the depthwise kernels."""

    def __init__(self, torch: Any, model: Sequential, start: list[np.ndarray], decay: float) -> None:
        self.torch = torch
        torch.set_num_threads(1)
        weights = iter(start)
        stages = [_separable(torch, layer, next(weights), next(weights), next(weights)) for layer in model.layers]
        self.stack = torch.nn.Sequential(*(module for stage in stages for module in stage), torch.nn.Flatten())
        decayed = {id(stage[0].weight) for stage in stages}
        groups = [[p for p in self.stack.parameters() if (id(p) in decayed) == whether] for whether in (True, False)]
        # PyTorch adds weight_decay * w to a gradient, which is that of weight_decay / 2 * w * w.
        self.optimizer = torch.optim.Adam([{"params": groups[0], "weight_decay": 2 * decay}, {"params": groups[1]}])

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.cross_entropy(self._scores(images), self.torch.from_numpy(labels))
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def read(self, images: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            seen: np.ndarray = self._scores(images).argmax(dim=1).numpy()
        return seen

    def _scores(self, images: np.ndarray) -> Any:
        return self.stack(self.torch.from_numpy(images).permute(0, 3, 1, 2))


def _separable(torch: Any, layer: Any, depthwise: np.ndarray, pointwise: np.ndarray, bias: np.ndarray) -> list[Any]:
    """A separable layer as PyTorch's two convolutions, and relu where it has one."""
    size, stride = layer.kernel_size[0], layer.strides[0]
    channels, multiplier = depthwise.shape[2:]
    depth, filters = pointwise.shape[2:]
    pad = (size - stride) // 2 if layer.padding == "same" else 0  # Keras's, where both sides get as much
    first = torch.nn.Conv2d(channels, depth, size, stride, pad, groups=channels, bias=False)
    second = torch.nn.Conv2d(depth, filters, 1)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(depthwise.transpose(2, 3, 0, 1).reshape(depth, 1, size, size)))
        second.weight.copy_(torch.from_numpy(pointwise.transpose(3, 2, 0, 1)))
        second.bias.copy_(torch.from_numpy(bias))
    return [first, second, *([] if layer.get_config()["activation"] == "linear" else [torch.nn.ReLU()])]

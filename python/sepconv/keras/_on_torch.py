"""Keras's PyTorch backend: the operator of `sepconv.torch`, on the tensors' own memory, and PyTorch's batch normalisation."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..torch._layers import has_hooks
from ..torch._ops import convolve as convolve

FUSES = True
SUPPORTS_JIT = True


def is_quiet(layer: Any) -> bool:
    """Whether nothing sees what goes through `layer`."""
    return not has_hooks(layer) and not torch.nn.modules.module._has_any_global_hook()


def fuses(x: Any) -> bool:
    """Whether layers after one another may be one operation: dtypes between them are Keras's affair alone, and nothing records sizes."""
    return isinstance(x, torch.Tensor) and x.is_cpu and not torch.is_autocast_enabled("cpu") and not torch.jit.is_tracing()


def batch_norm(
    x: Any, axis: int, gamma: Any, beta: Any, mean: Any, variance: Any, *, epsilon: float, learns: bool
) -> tuple[Any, Any, Any]:
    """`x` normalised along `axis`, 1 or -1, by its own moments if it `learns`, else by those given; and these moments."""
    # PyTorch's fast ways are channels first, and four axes with channels last in memory.
    image = x if axis == 1 else x.reshape(x.shape[0], math.prod(x.shape[1:-1]), 1, x.shape[-1]).permute(0, 3, 1, 2)
    given = (None, None) if learns else (mean, variance)
    y, own_mean, scale = torch.native_batch_norm(image, gamma, beta, *given, learns, 0.0, epsilon)
    if learns:
        mean, variance = own_mean, scale.pow(-2).sub(epsilon).clamp(min=0)
    return (y if axis == 1 else y.permute(0, 2, 3, 1).reshape(x.shape)), mean, variance

"""Activations that the core doesn't know (softmax, glu, any callable), applied to a whole output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import activations
from ._arguments import Shape
from ._dtypes import is_real


def finished_shape(function: Callable[..., Any] | None, shape: Shape) -> Shape:
    """The shape that `function` gives for an array of `shape`: the same, but that glu halves the last axis."""
    if function is not activations.glu:
        return shape
    last = shape[-1]
    if last is not None and last % 2:
        raise ValueError(
            f"The `activation` argument can be glu only where the last axis is even. Received: output shape={tuple(shape)}"
        )
    return (*shape[:-1], None if last is None else last // 2)


def finish(function: Callable[..., Any], array: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """``function(array)`` in the dtype of `array`: in `out` if given, else a C-contiguous array that can be written to.

    Raises
    ------
    ValueError
        If `function` returns another shape, or not real numbers.
    """
    shape, dtype = finished_shape(function, array.shape), array.dtype
    result = np.asarray(function(array))
    if result.shape != shape or not is_real(result.dtype):
        raise ValueError(
            f"The `activation` argument must be a function that returns real numbers in the shape of its argument, {shape}. "
            f"Received: {getattr(function, '__name__', function)!r}, which returned shape={result.shape}, dtype={result.dtype}"
        )
    if out is None:
        return np.require(result, dtype, ["C", "W", "A"])
    out[...] = result
    return out

"""Activations that the core doesn't know (softmax, glu, any callable), applied to a whole output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core, activations
from ._arguments import Shape, within
from ._dtypes import is_real
from ._runtime import options
from .activations._along_axis import rows_form


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


def finish(function: Callable[..., Any], array: np.ndarray, out: np.ndarray | None, num_threads: int) -> np.ndarray:
    """``function(array)`` in the dtype of `array`: in `out` if given, else a C-contiguous array that can be written to.

    `array` is C-contiguous and may be written to; calls of ours within the function take `num_threads`.

    Raises
    ------
    ValueError
        If `function` returns another shape, or not real numbers.
    """
    rows = rows_form(function)
    if rows is not None and array.ndim:
        if array.size:
            _core.activate_rows(array, rows, array.shape[-1], num_threads)
        result = array
    else:
        with options(num_threads=num_threads):
            result = _checked(function, np.asarray(function(array)), array)
    if out is None:
        return np.require(result, array.dtype, ["C", "W", "A"])
    out[...] = result
    return out


def finish_vjp(
    function: Callable[..., Any], array: np.ndarray, num_threads: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The same without `out`, and the function that turns a gradient of the result into one of `array`."""
    with within("activation"), options(num_threads=num_threads):
        result, pull = activations.vjp(function, array)

    def pullback(dy: np.ndarray) -> np.ndarray:
        gradient = np.asarray(pull(dy))
        if gradient.shape != array.shape or not is_real(gradient.dtype):
            raise ValueError(
                f"The `activation` argument must be a function whose `vjp` gives real gradients of the shape of its argument, "
                f"{array.shape}. Received: {function!r}, which gave shape={gradient.shape}, dtype={gradient.dtype}"
            )
        return np.ascontiguousarray(gradient, array.dtype)

    return np.require(_checked(function, np.asarray(result), array), array.dtype, ["C", "W", "A"]), pullback


def _checked(function: Callable[..., Any], result: np.ndarray, array: np.ndarray) -> np.ndarray:
    shape = finished_shape(function, array.shape)
    if result.shape != shape or not is_real(result.dtype):
        raise ValueError(
            f"The `activation` argument must be a function that returns real numbers in the shape of its argument, {shape}. "
            f"Received: {getattr(function, '__name__', function)!r}, which returned shape={result.shape}, dtype={result.dtype}"
        )
    return result

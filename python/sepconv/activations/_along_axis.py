"""The activations that mix the values along an axis, in NumPy. `sepconv.activations` shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _dtypes, _intake
from .._arguments import refuse
from .._registry import axes
from ._elementwise import sigmoid


def softmax(x: Any, axis: Any = -1) -> np.ndarray:
    """``exp(x) / sum(exp(x))``, with the sum along `axis`, an integer or several.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    array, dtype, along = _prepared(x, axis)
    with np.errstate(all="ignore"):
        powers = np.exp(array - array.max(along, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(along, keepdims=True), dtype)


def log_softmax(x: Any, axis: Any = -1) -> np.ndarray:
    """``x - log(sum(exp(x)))``, with the sum along `axis`, an integer or several."""
    array, dtype, along = _prepared(x, axis)
    with np.errstate(all="ignore"):
        shifted = array - array.max(along, keepdims=True, initial=-np.inf)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(along, keepdims=True)), dtype)


def sparsemax(x: Any, axis: int = -1) -> np.ndarray:
    """``max(x - t, 0)``, with Keras's `t`, which depends on the values along `axis`.

    Of the falling values z, the first k are kept: those with ``1 + i * z_i > z_1 + ... + z_i``. In the paper (Martins and Astudillo,
    2016) ``t = (s_k - 1) / k``, with s_i the sum of the first i, and the result adds up to 1. Keras 3 computes
    ``t = (s_1 + ... + s_k - 1) / k``, the same only for k = 1, and so does this function: a model is to give what it gives there.

    Examples
    --------
    >>> sparsemax([0.0, 0.5, 2.0])
    array([0., 0., 1.])
    """
    array, dtype, along = _prepared(x, axis)
    array = np.moveaxis(array, _one(axis, along), -1)
    with np.errstate(all="ignore"):
        falling = -np.sort(-array, axis=-1)
        sums, count = falling.cumsum(-1), np.arange(1, array.shape[-1] + 1)
        kept = falling - (sums - 1) / count > 0
        t = (np.where(kept, sums, 0).sum(-1, keepdims=True) - 1) / np.count_nonzero(kept, axis=-1, keepdims=True)
        result = np.maximum(array - t, 0)
    return np.ascontiguousarray(np.moveaxis(result, -1, along[0]), dtype)


def glu(x: Any, axis: int = -1) -> np.ndarray:
    """``a * sigmoid(b)``, with `a` and `b` the halves of `x` along `axis`, whose length is halved.

    Examples
    --------
    >>> glu([1.0, 2.0, 0.0, 0.0])
    array([0.5, 1. ])
    """
    array, dtype, along = _prepared(x, axis)
    size = array.shape[_one(axis, along)]
    if size % 2:
        refuse("x", f"of an even length along axis {axis}", array.shape)
    a, b = np.split(array, 2, along[0])
    with np.errstate(all="ignore"):
        return np.asarray(a * sigmoid(b), dtype)


FUNCTIONS: tuple[Callable[..., np.ndarray], ...] = (softmax, log_softmax, sparsemax, glu)


def _prepared(x: Any, axis: Any) -> tuple[np.ndarray, np.dtype[Any], tuple[int, ...]]:
    """`x` in the dtype to compute in, the dtype of the result, and the axes."""
    array, found = _intake.as_array(x, "x"), axes(axis, "axis")
    along = tuple(found) if isinstance(found, list) else (found,)
    if not all(-array.ndim <= a < array.ndim for a in along):
        refuse("axis", f"an axis of the array, which has {array.ndim}", axis)
    dtype = _dtypes.floating(array.dtype)
    return array.astype(dtype if dtype.itemsize > 2 else np.float32), dtype, along


def _one(axis: Any, along: tuple[int, ...]) -> int:
    if len(along) != 1:
        refuse("axis", "a single axis", axis)
    return along[0]

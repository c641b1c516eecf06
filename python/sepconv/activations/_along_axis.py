"""The activations that mix the values along an axis: softmax and its logarithm by the core, the others in NumPy.

`sepconv.activations` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import _core, _dtypes, _intake
from .._arguments import refuse
from .._registry import axes
from .._runtime import threads
from ._elementwise import sigmoid


def softmax(x: Any, axis: Any = -1) -> np.ndarray:
    """``exp(x) / sum(exp(x))``, with the sum along `axis`, an integer or several.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    return Rows("softmax", x, axis).result()


def log_softmax(x: Any, axis: Any = -1) -> np.ndarray:
    """``x - log(sum(exp(x)))``, with the sum along `axis`, an integer or several."""
    return Rows("log_softmax", x, axis).result()


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


class Rows:
    """A function of whole rows, computed by the core: a copy of `x` in which the values along `axis` are rows.

    Parameters
    ----------
    kind : str
        What the core calls the function.
    x : array_like
    axis : int or list of int
    wide : bool
        Whether 16-bit types become float32.
    """

    def __init__(self, kind: str, x: Any, axis: Any, wide: bool = False) -> None:
        array, self.dtype, self._from = _taken(x, axis)
        self._kind, self._threads = kind, threads()
        self._to = tuple(range(-len(self._from), 0))
        self._columns = math.prod(array.shape[a] for a in self._from)
        self._y = self._copy(array, np.dtype(np.float32) if wide and self.dtype.itemsize == 2 else self.dtype)
        if self._y.size:
            _core.activate_rows(self._y, kind, self._columns, self._threads)

    def _copy(self, array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        return np.array(np.moveaxis(array, self._from, self._to), dtype, order="C")

    def result(self) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(self._y, self._to, self._from))

    def gradient(self, dy: np.ndarray) -> np.ndarray:
        """Of `x`, from that of the result, which must not have been written to."""
        found = self._copy(dy, self._y.dtype)
        if found.size:
            _core.derive_rows(self._y, found, self._kind, self._columns, self._threads)
        return np.moveaxis(found, self._to, self._from)


def rows_form(function: Any) -> str | None:
    """The core's name of an activation that `function` is along the last axis, or None."""
    if isinstance(function, partial) and not function.args and function.keywords == {"axis": -1}:
        function = function.func
    return next((f.__name__ for f in (softmax, log_softmax) if function is f), None)


def _taken(x: Any, axis: Any) -> tuple[np.ndarray, np.dtype[Any], tuple[int, ...]]:
    """`x`, the dtype of the result, and the axes."""
    array, found = _intake.as_array(x, "x"), axes(axis, "axis")
    along = tuple(found) if isinstance(found, list) else (found,)
    if not all(-array.ndim <= a < array.ndim for a in along) or len({a % array.ndim for a in along}) < len(along):
        refuse("axis", f"an axis of the array, which has {array.ndim}, or several different ones", axis)
    return array, _dtypes.floating(array.dtype), along


def _prepared(x: Any, axis: Any) -> tuple[np.ndarray, np.dtype[Any], tuple[int, ...]]:
    """`x` in the dtype to compute in, the dtype of the result, and the axes."""
    array, dtype, along = _taken(x, axis)
    return array.astype(dtype if dtype.itemsize > 2 else np.float32), dtype, along


def _one(axis: Any, along: tuple[int, ...]) -> int:
    if len(along) != 1:
        refuse("axis", "a single axis", axis)
    return along[0]

"""Activations with what their derivatives need. `sepconv.activations` shows `vjp`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import _core, _dtypes, _intake
from .._registry import differentiable
from ._along_axis import Rows, _one, _prepared, glu, log_softmax, softmax, sparsemax
from ._elementwise import core_form, sigmoid

Pull = Callable[[np.ndarray], np.ndarray]


def vjp(activation: Any, x: Any) -> tuple[np.ndarray, Callable[[Any], np.ndarray]]:
    """``activation(x)``, and the function that turns a gradient of it into one of `x`.

    The function may be called more than once. It holds `x` or the result, which must not be written to before. At a kink the derivative
    is that of the flat or the lower side.

    Parameters
    ----------
    activation : callable
        A function of this module, `functools.partial` of one with its parameters by keyword, or an object with a method ``vjp(x)``
        that returns such a pair.
    x : array_like

    Returns
    -------
    y : ndarray
    pullback : callable
        ``pullback(dy)`` with `dy` of the shape of `y`.

    Raises
    ------
    TypeError
        If `activation` has no derivative.

    Examples
    --------
    >>> y, pullback = vjp(sigmoid, [0.0])
    >>> y, pullback([1.0])
    (array([0.5]), array([0.25]))
    """
    function, given = (activation.func, activation.keywords) if _bound(activation) else (activation, {})
    form = core_form(activation)
    if form is not None:
        return _elementwise_vjp(x, form)
    rule = _RULES.get(function) if getattr(function, "__hash__", None) else None
    if rule is None:
        result: tuple[np.ndarray, Pull] = differentiable(activation, "activation")(x)
        return result
    y, pull, dtype = rule(x, **given)

    def pullback(dy: Any) -> np.ndarray:
        up = _intake.as_array(dy, "dy").astype(y.dtype)
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(pull(up), dtype)

    return np.ascontiguousarray(y, dtype), pullback


def _bound(activation: Any) -> bool:
    return isinstance(activation, partial) and not activation.args


def _elementwise_vjp(x: Any, form: tuple[str, tuple[float, ...]]) -> tuple[np.ndarray, Pull]:
    array = _intake.as_array(x, "x")
    dtype = _dtypes.floating(array.dtype)
    argument = np.ascontiguousarray(array, dtype).reshape(array.shape)
    y = np.array(argument, order="C")
    _core.activate(y, *form)
    keeps = _core.activation_keeps(*form)
    kept = y if keeps == 1 else argument

    def pullback(dy: Any) -> np.ndarray:
        gradient = np.array(_intake.as_array(dy, "dy"), dtype, order="C")
        if keeps:
            _core.derive(kept, gradient, *form)
        return gradient

    return y, pullback


_Rule = Callable[..., tuple[np.ndarray, Pull, "np.dtype[Any]"]]


def _softmax_vjp(x: Any, axis: Any = -1) -> tuple[np.ndarray, Pull, np.dtype[Any]]:
    rows = Rows("softmax", x, axis, wide=True)
    return rows.result(), rows.gradient, rows.dtype


def _log_softmax_vjp(x: Any, axis: Any = -1) -> tuple[np.ndarray, Pull, np.dtype[Any]]:
    rows = Rows("log_softmax", x, axis, wide=True)
    return rows.result(), rows.gradient, rows.dtype


def _sparsemax_vjp(x: Any, axis: Any = -1) -> tuple[np.ndarray, Pull, np.dtype[Any]]:
    array, dtype, along = _prepared(x, axis)
    y = sparsemax(array, axis)
    rows = np.moveaxis(array, _one(axis, along), -1)
    order = np.argsort(-rows, axis=-1, kind="stable")
    falling = np.take_along_axis(rows, order, -1)
    kept = falling - (falling.cumsum(-1) - 1) / np.arange(1, rows.shape[-1] + 1) > 0
    # t is the mean of the kept sums: the value of rank j is in those of all ranks from j on.
    share = np.cumsum(kept[..., ::-1], axis=-1)[..., ::-1] / np.count_nonzero(kept, axis=-1, keepdims=True)
    of_t = np.empty_like(rows)
    np.put_along_axis(of_t, order, share.astype(rows.dtype), -1)
    of_t = np.moveaxis(of_t, -1, along[0])

    def pull(dy: np.ndarray) -> np.ndarray:
        passed = np.where(y > 0, dy, 0)
        gradient: np.ndarray = passed - passed.sum(along, keepdims=True) * of_t
        return gradient

    return y, pull, dtype


def _glu_vjp(x: Any, axis: Any = -1) -> tuple[np.ndarray, Pull, np.dtype[Any]]:
    array, dtype, along = _prepared(x, axis)
    y = glu(array, axis)
    a, b = np.split(array, 2, along[0])
    s = sigmoid(b)
    return y, lambda dy: np.concatenate([dy * s, dy * a * s * (1 - s)], along[0]), dtype


_RULES: dict[Any, _Rule] = {softmax: _softmax_vjp, log_softmax: _log_softmax_vjp, sparsemax: _sparsemax_vjp, glu: _glu_vjp}

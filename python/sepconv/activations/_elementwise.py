"""The activations that the core computes: one value from one value. `sepconv.activations` shows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from .. import _core, _dtypes, _intake
from .._arguments import boolean
from .._registry import number

# The core's name of an activation, and its parameters there.
Form = tuple[str, tuple[float, ...]]


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> np.ndarray:
    """``min(x, max_value)`` above `threshold`, else ``negative_slope * (x - threshold)``.

    Parameters
    ----------
    x : array_like
    negative_slope : float
    max_value : float or None
        Not negative; None is no limit.
    threshold : float
        Not negative.

    Examples
    --------
    >>> relu([-2.0, 1.0, 9.0], negative_slope=0.5, max_value=6)
    array([-1.,  1.,  6.])
    """
    return _apply(x, relu, negative_slope=negative_slope, max_value=max_value, threshold=threshold)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> np.ndarray:
    """``x`` if it is positive, else ``negative_slope * x``."""
    return _apply(x, leaky_relu, negative_slope=negative_slope)


def relu6(x: Any) -> np.ndarray:
    """``min(max(x, 0), 6)``."""
    return _apply(x, relu6)


def elu(x: Any, alpha: float = 1.0) -> np.ndarray:
    """``x`` if it is positive, else ``alpha * (exp(x) - 1)``."""
    return _apply(x, elu, alpha=alpha)


def celu(x: Any, alpha: float = 1.0) -> np.ndarray:
    """``x`` if it is positive, else ``alpha * (exp(x / alpha) - 1)``."""
    return _apply(x, celu, alpha=alpha)


def selu(x: Any) -> np.ndarray:
    """``1.0507009873554805 * elu(x, 1.6732632423543772)``."""
    return _apply(x, selu)


def softplus(x: Any) -> np.ndarray:
    """``log(1 + exp(x))``."""
    return _apply(x, softplus)


def softsign(x: Any) -> np.ndarray:
    """``x / (1 + abs(x))``."""
    return _apply(x, softsign)


def squareplus(x: Any, b: float = 4) -> np.ndarray:
    """``(x + sqrt(x ** 2 + b)) / 2``."""
    return _apply(x, squareplus, b=b)


def soft_shrink(x: Any, threshold: float = 0.5) -> np.ndarray:
    """``x`` moved towards 0 by `threshold`, and 0 where it would pass it."""
    return _apply(x, soft_shrink, threshold=threshold)


def hard_shrink(x: Any, threshold: float = 0.5) -> np.ndarray:
    """``x`` where ``abs(x) > threshold``, else 0."""
    return _apply(x, hard_shrink, threshold=threshold)


def sparse_plus(x: Any) -> np.ndarray:
    """0 up to -1, ``(x + 1) ** 2 / 4`` up to 1, then ``x``."""
    return _apply(x, sparse_plus)


def sparse_sigmoid(x: Any) -> np.ndarray:
    """``(x + 1) / 2``, held between 0 and 1."""
    return _apply(x, sparse_sigmoid)


def silu(x: Any) -> np.ndarray:
    """``x * sigmoid(x)``, also called swish."""
    return _apply(x, silu)


def hard_silu(x: Any) -> np.ndarray:
    """``x * hard_sigmoid(x)``, also called hard_swish."""
    return _apply(x, hard_silu)


def gelu(x: Any, approximate: bool = False) -> np.ndarray:
    """``x * (1 + erf(x / sqrt(2))) / 2``, or by the usual formula with tanh if `approximate`."""
    return _apply(x, gelu, approximate=approximate)


def tanh(x: Any) -> np.ndarray:
    """The hyperbolic tangent."""
    return _apply(x, tanh)


def tanh_shrink(x: Any) -> np.ndarray:
    """``x - tanh(x)``."""
    return _apply(x, tanh_shrink)


def hard_tanh(x: Any) -> np.ndarray:
    """``x`` held between -1 and 1."""
    return _apply(x, hard_tanh)


def threshold(x: Any, threshold: float, default_value: float) -> np.ndarray:
    """``x`` where it is larger than `threshold`, else `default_value`.

    It needs its parameters, so a layer takes it as ``functools.partial(threshold, threshold=..., default_value=...)``.
    """
    return _apply(x, _THRESHOLD, threshold=threshold, default_value=default_value)


# Inside the function its parameter has the name.
_THRESHOLD = threshold


def sigmoid(x: Any) -> np.ndarray:
    """``1 / (1 + exp(-x))``."""
    return _apply(x, sigmoid)


def log_sigmoid(x: Any) -> np.ndarray:
    """``-log(1 + exp(-x))``."""
    return _apply(x, log_sigmoid)


def hard_sigmoid(x: Any) -> np.ndarray:
    """``x / 6 + 1 / 2``, held between 0 and 1. (tf_keras 2 has ``x / 5 + 1 / 2``.)"""
    return _apply(x, hard_sigmoid)


def exponential(x: Any) -> np.ndarray:
    """``exp(x)``."""
    return _apply(x, exponential)


def linear(x: Any) -> np.ndarray:
    """A copy of ``x``."""
    return _apply(x, linear)


def mish(x: Any) -> np.ndarray:
    """``x * tanh(softplus(x))``."""
    return _apply(x, mish)


FUNCTIONS: tuple[Callable[..., np.ndarray], ...] = (
    relu, leaky_relu, relu6, celu, elu, selu, softplus, softsign, squareplus, soft_shrink, sparse_plus, silu, gelu, tanh,
    tanh_shrink, threshold, sigmoid, sparse_sigmoid, exponential, hard_sigmoid, hard_silu, hard_tanh, hard_shrink, linear, mish,
    log_sigmoid,
)  # fmt: skip


def defaults(function: Any) -> dict[str, Any]:
    """The parameters of an activation after its first, with their defaults; None for those that have none."""
    names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    return dict(zip(names, function.__defaults__ or (None,) * len(names), strict=True))


_DEFAULTS = {function: defaults(function) for function in FUNCTIONS}


def form_of(function: Any, given: dict[str, Any]) -> Form:
    """What the core calls one of `FUNCTIONS` with the parameters `given`."""
    parameters = {**_DEFAULTS[function], **given}
    if len(parameters) > len(_DEFAULTS[function]):
        unknown = next(name for name in given if name not in _DEFAULTS[function])
        raise TypeError(f"The activation {function.__name__} has no parameter `{unknown}`")
    if function is gelu:
        return ("gelu_tanh" if boolean(parameters["approximate"], "approximate") else "gelu"), ()
    if function is not relu:
        return function.__name__, tuple(float(number(value, name)) for name, value in parameters.items())
    slope, limit = number(parameters["negative_slope"], "negative_slope"), parameters["max_value"]
    limit = math.inf if limit in (None, math.inf) else number(limit, "max_value", 0)
    start = number(parameters["threshold"], "threshold", 0)
    if slope == 0 and start == 0 and limit in (6, math.inf):
        # These two finish in registers.
        return ("relu6" if limit == 6 else "relu"), ()
    return "relu", (float(slope), float(limit), float(start))


def core_form(function: Any) -> Form | None:
    """The core's name and parameters of an activation, or None if it must be called instead.

    Parameters
    ----------
    function : callable
        What `get` returned. The core knows our elementwise functions, and `functools.partial` of them by keyword.

    Raises
    ------
    ValueError, TypeError
        If it is such a function, with a parameter that it can't have.

    Examples
    --------
    >>> core_form(elu)
    ('elu', (1.0,))
    >>> core_form(partial(gelu, approximate=True))
    ('gelu_tanh', ())
    """
    given: dict[str, Any] = {}
    if isinstance(function, partial) and not function.args:
        function, given = function.func, function.keywords
    return form_of(function, given) if isinstance(function, FunctionType) and function in _DEFAULTS else None


def _apply(x: Any, function: Any, **parameters: Any) -> np.ndarray:
    form = form_of(function, parameters)
    array = _intake.as_array(x, "x")
    work = np.array(array, _dtypes.floating(array.dtype), order="C")
    _core.activate(work, *form)
    return work

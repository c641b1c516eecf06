"""Constraints: what a weight is made to satisfy after every step of training.

A layer takes one as a name, a dictionary of Keras's, an object of these classes, or any function of an array that returns one of
the same shape. It keeps them with the weights; `apply_constraints` of a layer or a model applies them, after a step.

Norms are over `axis`, an axis or a list of axes. For a kernel of shape (rows, columns, channels, multiplier) each filter's own is
``axis=[0, 1]``, each output channel's, over all inputs, is ``axis=[0, 1, 2]``; the default, 0, is that of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import _dtypes, _intake
from ._arguments import refuse
from ._dtypes import is_real
from ._registry import Configured, Registry, axes, by_name, number

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm", "non_neg",
           "serialize", "unit_norm"]  # fmt: skip

# Keras's ``backend.epsilon()``.
_EPSILON = 1e-7


class Constraint(Configured):
    """Base of the constraints, and itself one that changes nothing."""

    def __call__(self, w: Any) -> Any:
        """What becomes of the weight `w`."""
        return w


class NonNeg(Constraint):
    """``max(w, 0)``.

    Examples
    --------
    >>> NonNeg()([1.0, -2.0])
    array([1., 0.])
    """

    def __call__(self, w: Any) -> np.ndarray:
        array = _intake.as_array(w, "w")
        held: np.ndarray = np.maximum(array, np.zeros((), array.dtype))
        return held


class _Norm(Constraint):
    """A constraint that scales `w` by what it wants of its norms, in float64."""

    axis: int | list[int]

    def _wanted(self, norms: np.ndarray) -> Any:
        return 1.0

    def __call__(self, w: Any) -> np.ndarray:
        array = _intake.as_array(w, "w")
        wide = array.astype(np.float64)
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        try:
            norms = np.sqrt(np.square(wide).sum(axis=axis, keepdims=True))
        except ValueError:  # NumPy's, for an axis that isn't there or comes twice
            refuse("axis", f"axes, each once, of the weight's shape {array.shape}", self.axis)
        scaled: np.ndarray = wide * (self._wanted(norms) / (_EPSILON + norms))
        return scaled.astype(_dtypes.floating(array.dtype))


class MaxNorm(_Norm):
    """Norms of at most `max_value`: ``w * clip(norm, 0, max_value) / (1e-7 + norm)``.

    Parameters
    ----------
    max_value : float
    axis : int or list of int

    Examples
    --------
    >>> MaxNorm(1, axis=0)([[3.0], [4.0]]).round(3)
    array([[0.6],
           [0.8]])
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = number(max_value, "max_value", 0)
        self.axis = axes(axis, "axis")

    def _wanted(self, norms: np.ndarray) -> Any:
        return np.minimum(norms, self.max_value)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(_Norm):
    """Norms of 1: ``w / (1e-7 + norm)``.

    Parameters
    ----------
    axis : int or list of int
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axes(axis, "axis")

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(_Norm):
    """Norms between two bounds: ``w * (rate * clip(norm, min_value, max_value) + (1 - rate) * norm) / (1e-7 + norm)``.

    Parameters
    ----------
    min_value, max_value : float
    rate : float
        From 0 to 1: the part of the way that one application goes.
    axis : int or list of int
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value = number(min_value, "min_value", 0)
        self.max_value = number(max_value, "max_value", 0)
        self.rate = number(rate, "rate", 0)
        self.axis = axes(axis, "axis")
        if self.max_value < self.min_value:
            refuse("max_value", f"at least `min_value`, {min_value}", max_value)
        if self.rate > 1:
            refuse("rate", "a number from 0 to 1", rate)

    def _wanted(self, norms: np.ndarray) -> Any:
        return self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


class _Function(Constraint):
    """A user's function, whose result is checked."""

    def __init__(self, function: Callable[[Any], Any], argument: str = "constraint") -> None:
        self.function, self.argument = function, argument

    def __call__(self, w: Any) -> np.ndarray:
        shape, result = np.shape(w), np.asarray(self.function(w))
        if result.shape != shape or not is_real(result.dtype):
            raise ValueError(
                f"The `{self.argument}` argument must be a function that returns real numbers in the shape of its argument, {shape}. "
                f"Received: {self!r}, which returned shape={result.shape}, dtype={result.dtype}"
            )
        return result

    def __repr__(self) -> str:
        return repr(self.function)


# The names under which Keras exports the classes too.
max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

_REGISTRY = Registry(
    "constraint", by_name(MaxNorm, NonNeg, UnitNorm, MinMaxNorm, Constraint), "f(array) -> array of the same shape"
)


def _checked(constraint: Any) -> Any:
    return constraint if constraint is None or isinstance(constraint, Constraint) else _Function(constraint)


def named(constraint: Any, argument: str) -> Any:
    """`constraint`, whose messages are to name `argument`."""
    return _Function(constraint.function, argument) if isinstance(constraint, _Function) else constraint


def get(identifier: Any) -> Any:
    """The constraint that `identifier` is or stands for; None for None. A function of the user's comes with a check of its results.

    Parameters
    ----------
    identifier : str, dict, callable, class or None

    Raises
    ------
    ValueError
        If it is a name that isn't known; names have Keras's case, ``"max_norm"`` or ``"MaxNorm"``.
    TypeError
        If it is something else.

    Examples
    --------
    >>> get({"class_name": "MaxNorm", "config": {"max_value": 1, "axis": [0, 1]}})
    MaxNorm(max_value=1, axis=[0, 1])
    """
    return _checked(_REGISTRY.get(identifier))


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A constraint from its name or from what `serialize` or Keras wrote; `custom_objects` are functions and classes by name.

    Raises
    ------
    ValueError, TypeError
        As `get`.
    """
    return _checked(_REGISTRY.deserialize(config, custom_objects))


def serialize(constraint: Any) -> Any:
    """`constraint` as ``keras.constraints.serialize`` writes it. A lambda is a ValueError, since it has no name."""
    return _REGISTRY.serialize(constraint.function if isinstance(constraint, _Function) else constraint)

"""Regularizers: losses that grow with the size of a weight or of an output.

A layer takes one as a name, a dictionary of Keras's, an object of these classes, or any function of an array that returns a real
scalar. Sums are made in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import _intake
from ._arguments import one_of
from ._registry import Configured, Registry, by_name, number, objects_by_name

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2", "serialize"]


class Regularizer(Configured):
    """Base of the regularizers, and itself one that is always 0."""

    def __call__(self, x: Any) -> float:
        """The loss of the array `x`."""
        return 0.0

    def vjp(self, x: Any) -> tuple[float, Callable[[float], np.ndarray]]:
        """The loss of the array `x`, and the function that turns a gradient of it into one of `x`, in float64.

        A class that computes another loss needs a method of its own to be differentiated. Where a loss has a kink, its gradient is 0.
        """
        return _pair(self(x), np.zeros_like(_float64(x)))


class L1L2(Regularizer):
    """``l1 * sum(abs(x)) + l2 * sum(x ** 2)``.

    Parameters
    ----------
    l1, l2 : float
        Not negative; None is 0. (The name ``"l1_l2"`` means 0.01 for both, as in tf_keras.)

    Raises
    ------
    ValueError
        If one is negative or not finite.

    Examples
    --------
    >>> L1L2(l1=1, l2=10)([1.0, -2.0])
    53.0
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = float(number(0.0 if l1 is None else l1, "l1", 0))
        self.l2 = float(number(0.0 if l2 is None else l2, "l2", 0))

    def __call__(self, x: Any) -> float:
        array = _float64(x)
        return self.l1 * float(np.abs(array).sum()) + self.l2 * float(np.square(array).sum())

    def vjp(self, x: Any) -> tuple[float, Callable[[float], np.ndarray]]:
        array = _float64(x)
        return _pair(self(x), self.l1 * np.sign(array) + 2 * self.l2 * array)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """``l1 * sum(abs(x))``, with `l1` not negative; None is 0.01.

    Examples
    --------
    >>> L1(2)([1.0, -2.0])
    6.0
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = float(number(0.01 if l1 is None else l1, "l1", 0))

    def __call__(self, x: Any) -> float:
        return self.l1 * float(np.abs(_float64(x)).sum())

    def vjp(self, x: Any) -> tuple[float, Callable[[float], np.ndarray]]:
        return _pair(self(x), self.l1 * np.sign(_float64(x)))

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """``l2 * sum(x ** 2)``, with `l2` not negative; None is 0.01.

    Examples
    --------
    >>> L2(2)([1.0, -2.0])
    10.0
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = float(number(0.01 if l2 is None else l2, "l2", 0))

    def __call__(self, x: Any) -> float:
        return self.l2 * float(np.square(_float64(x)).sum())

    def vjp(self, x: Any) -> tuple[float, Callable[[float], np.ndarray]]:
        return _pair(self(x), 2 * self.l2 * _float64(x))

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """The mean of the absolute cosines between different rows (or columns) of a matrix, times `factor`.

    Parameters
    ----------
    factor : float
        Not negative.
    mode : {"rows", "columns"}
        What is to become orthogonal.

    Raises
    ------
    ValueError
        If an argument is neither, or at the call the array isn't a matrix.

    Examples
    --------
    >>> OrthogonalRegularizer(1.0)([[1.0, 0.0], [3.0, 4.0]])
    0.6
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = float(number(factor, "factor", 0))
        self.mode = one_of(mode, "mode", ("rows", "columns"))

    def __call__(self, x: Any) -> float:
        matrix = _float64(x)
        if matrix.ndim != 2:
            raise ValueError(f"The regularizer OrthogonalRegularizer must be given a matrix. Received: shape={matrix.shape}")
        rows = matrix if self.mode == "rows" else matrix.T
        pairs = len(rows) * (len(rows) - 1) / 2
        if pairs == 0:
            return 0.0
        rows = rows / _norms(rows)
        cosines = np.abs(rows @ rows.T)
        return self.factor * float(np.tril(cosines, -1).sum()) / pairs

    def vjp(self, x: Any) -> tuple[float, Callable[[float], np.ndarray]]:
        loss, matrix = self(x), _float64(x)
        rows = matrix if self.mode == "rows" else matrix.T
        norms, pairs = _norms(rows), max(len(rows) * (len(rows) - 1) / 2, 1)
        units = rows / norms
        signs = np.sign(units @ units.T)
        np.fill_diagonal(signs, 0)
        of_units = self.factor / pairs * (signs @ units)
        inwards = np.where(norms > 1e-12, (units * of_units).sum(axis=1, keepdims=True), 0)
        gradient = (of_units - units * inwards) / norms
        return _pair(loss, gradient if self.mode == "rows" else gradient.T)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


def _norms(rows: np.ndarray) -> Any:
    return np.maximum(np.sqrt(np.square(rows).sum(axis=1, keepdims=True)), 1e-12)


def _pair(loss: float, gradient: np.ndarray) -> tuple[float, Callable[[float], np.ndarray]]:
    return loss, lambda up: up * gradient


def _float64(x: Any) -> np.ndarray:
    return _intake.as_array(x, "x").astype(np.float64)


# The names under which Keras exports the classes too.
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_REGISTRY = Registry("regularizer", by_name(L1, L2, L1L2, OrthogonalRegularizer, Regularizer), "f(array) -> scalar")


def get(identifier: Any) -> Any:
    """The regularizer that `identifier` is or stands for; None for None.

    Parameters
    ----------
    identifier : str, dict, callable, class or None

    Raises
    ------
    ValueError
        If it is a name that isn't known; names have Keras's case, ``"l2"`` or ``"L2"``.
    TypeError
        If it is something else.

    Examples
    --------
    >>> get("l1_l2")
    L1L2(l1=0.01, l2=0.01)
    """
    return deserialize(identifier) if isinstance(identifier, str) else _REGISTRY.get(identifier)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A regularizer from its name or from what `serialize` or Keras wrote; `custom_objects` are functions and classes by name.

    Raises
    ------
    ValueError, TypeError
        As `get`.
    """
    if isinstance(config, str) and config == "l1_l2" and config not in objects_by_name(custom_objects):
        return L1L2(0.01, 0.01)
    return _REGISTRY.deserialize(config, custom_objects)


def serialize(regularizer: Any) -> Any:
    """`regularizer` as ``keras.regularizers.serialize`` writes it. A lambda is a ValueError, since it has no name."""
    return _REGISTRY.serialize(regularizer)

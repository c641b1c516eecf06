"""Gradients of one call: what `vjp` of layers and functions returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _intake
from ._arguments import refuse_shape, within
from ._registry import differentiable, number


class Gradients(NamedTuple):
    """Gradients of one call.

    Attributes
    ----------
    input : ndarray or None
        Of the input, in its shape; None where it wasn't asked for.
    weights : list of ndarray
        Of the weights, in their shapes and dtypes.
    """

    input: np.ndarray | None
    weights: list[Any]


class Wanted(NamedTuple):
    """A weight whose gradient is wanted, as it was at the call."""

    place: int  # among those that `pull` knows
    value: np.ndarray
    regularizer: Any = None
    argument: str = ""


# pull(dy, input, wanted): the input's gradient (or None) and those of all weights that it knows (None where not in `wanted`).
Pull = Callable[[np.ndarray, bool, Sequence[int]], "tuple[np.ndarray | None, Sequence[Any]]"]


class Pullback:
    """The function that turns a gradient of the output into the gradients of one call.

    It holds the input, the output and the weights as they were, and may be called more than once.
    """

    __slots__ = ("_activity", "_input", "_output", "_pull", "_wanted")

    def __init__(self, pull: Pull, output: np.ndarray, wanted: list[Wanted], input: bool, activity_regularizer: Any = None) -> None:
        self._pull, self._output, self._wanted, self._input = pull, output, wanted, input
        self._activity = activity_regularizer

    def __call__(self, dy: Any, losses: float = 0.0) -> Gradients:
        """The gradients of ``sum(dy * y) + losses * sum(layer.losses)``, with `y` and the losses of the call.

        Parameters
        ----------
        dy : array_like
            In the shape of the output.
        losses : float
            The weight of the layer's own losses: of its regularizers of trainable weights and of activity.

        Raises
        ------
        TypeError
            If `losses` isn't 0 and a regularizer has no method ``vjp(x)``.
        ValueError
            If `dy` has another shape.
        """
        scale = float(number(losses, "losses"))
        up = _intake.as_array(dy, "dy")
        if up.shape != self._output.shape:
            refuse_shape("dy", f"of the shape of the output, {self._output.shape}", up.shape)
        if scale and self._activity is not None and len(self._output):
            up = up + _gradient(self._activity, self._output, scale / len(self._output), "activity_regularizer")
        up = np.ascontiguousarray(up, self._output.dtype)
        input, found = self._pull(up, self._input, [w.place for w in self._wanted])
        return Gradients(input, [_of_weight(found[w.place], w, scale) for w in self._wanted])

    @property
    def wants(self) -> bool:
        """Whether there is anything to compute."""
        return self._input or bool(self._wanted)


def _of_weight(gradient: np.ndarray, wanted: Wanted, scale: float) -> np.ndarray:
    gradient = gradient.reshape(wanted.value.shape)
    if scale and wanted.regularizer is not None:
        gradient = gradient + _gradient(wanted.regularizer, wanted.value, scale, wanted.argument)
    return gradient.astype(wanted.value.dtype, copy=False)


def _gradient(regularizer: Any, x: np.ndarray, scale: float, argument: str) -> np.ndarray:
    """Of ``scale * regularizer(x)``, in float64."""
    with within(argument):
        _, pull = differentiable(regularizer, "regularizer")(x)
        gradient = np.asarray(pull(scale))
    if gradient.shape != x.shape:
        refuse_shape(argument, f"a function whose `vjp` gives gradients of the shape of its argument, {x.shape}", gradient.shape)
    return gradient.astype(np.float64)

"""Activation: a function of every element, as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core, _intake, _runtime, activations
from .._arguments import Shape, shape
from .._finish import finish, finish_vjp, finished_shape
from .._vjp import Pull
from ..variables import Store, Variable
from . import _config
from .base import Layer


class Activation(Layer):
    """Apply an activation to an array of any shape.

    Parameters
    ----------
    activation : str, dict, callable or None
        See `sepconv.activations`. A callable gets the whole array and returns one of the same shape.
    input_shape, batch_input_shape, batch_size
        The shape of the input, for a model that begins with this layer.
    activity_regularizer, dtype, name, trainable, weights, autocast
        See `sepconv.layers.base.Layer`.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> Activation("relu")(np.array([-1.0, 2.0], np.float32))
    array([0., 2.], dtype=float32)
    """

    config_keys = ("activation",)

    def __init__(
        self,
        activation: Any,
        *,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        activity_regularizer: Any = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        weights: Sequence[Any] | None = None,
        autocast: bool = True,
    ) -> None:
        super().__init__(
            activity_regularizer=activity_regularizer,
            dtype=dtype,
            name=name,
            trainable=trainable,
            weights=weights,
            autocast=autocast,
        )
        self.activation = activation
        self._build_if_declared(input_shape, batch_input_shape, batch_size)

    @property
    def activation(self) -> Any:
        """The function; may be set."""
        return self._activation

    @activation.setter
    def activation(self, value: Any) -> None:
        self._activation = _config.resolve("activation", value)

    def _check_shape(self, input_shape: Shape) -> None:
        finished_shape(self._activation, input_shape)

    def _make_variables(self, input_shape: Shape, store: Store) -> tuple[Variable, ...]:
        return ()

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """`input_shape`, with the last axis halved by glu."""
        return finished_shape(self._activation, shape(input_shape, "input_shape"))

    def __call__(
        self, inputs: Any, out: np.ndarray | None = None, *, training: bool | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Apply the activation to `inputs`, an array of any shape and real dtype.

        `out`, `training`, `num_threads`, the result and the errors are those of the convolutions, see `SeparableConv2D.__call__`.
        """
        num_threads = _runtime.threads(num_threads)
        function = self._activation
        array = _intake.to_dtype(_intake.as_array(inputs), self._compute, self.autocast)
        self._accept(array.shape)
        if out is not None:
            _intake.check_out(out, finished_shape(function, array.shape), self._compute, (inputs, array))
        # The core works in place, and user's functions may: both get a copy of their own.
        work = _core.empty(array.shape, self._compute)
        work[...] = array
        core = activations.core_form(function)
        if core is None:
            output = finish(function, work, out, num_threads)
        else:
            _core.activate(work, *core)
            output = work
            if out is not None:
                out[...] = work
                output = out
        if self._activity_regularizer is not None:
            self._note_activity(output)
        return output

    def _linearize(self, inputs: Any, num_threads: int | None) -> tuple[np.ndarray, Pull, tuple[np.ndarray, ...]]:
        num_threads = _runtime.threads(num_threads)
        array = _intake.to_dtype(_intake.as_array(inputs), self._compute, self.autocast)
        self._accept(array.shape)
        output, pull = finish_vjp(self._activation, array, num_threads)

        def of_input(dy: np.ndarray, input: bool, wanted: Sequence[int]) -> tuple[np.ndarray | None, Sequence[Any]]:
            return (pull(dy) if input else None), ()

        return output, of_input, ()

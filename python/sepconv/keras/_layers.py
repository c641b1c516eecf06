"""Keras's layers with another computation: arguments, weights, configuration and all else are inherited."""

from __future__ import annotations

import functools
import inspect
from importlib import import_module
from typing import Any

import keras

from .. import activations
from .._arguments import refuse
from .._plans import Activation

_BACKENDS = ("jax", "numpy", "tensorflow", "torch")
if keras.backend.backend() not in _BACKENDS:
    raise ImportError(f"sepconv.keras works with Keras's backends {', '.join(_BACKENDS)}. Received: {keras.backend.backend()}")
on: Any = import_module(f"._on_{keras.backend.backend()}", __package__)
_LINEAR: Activation = ("linear", ())


@functools.cache
def _forms() -> dict[int, Any]:
    """The core's activations by the identity of Keras's functions.

    Not sigmoid: Keras's own leaves its argument on the result, from which losses compute more exactly.
    """
    names = [name for name in activations.__all__ if name not in ("sigmoid", "threshold") and hasattr(keras.activations, name)]
    forms = {id(getattr(keras.activations, name)): activations.core_form(getattr(activations, name)) for name in names}
    return {key: form for key, form in forms.items() if form is not None}


def form_of(activation: Any) -> Activation | None:
    """How the core calls an activation of Keras; None where it can't compute it in one pass."""
    return _LINEAR if activation is None else _forms().get(id(activation)) if on.FUSES else None


class _Computed:
    """The computation that the layers share. Subclasses say which of the core's four weights they have."""

    @property
    def supports_jit(self) -> bool:
        """Whether Keras may compile a model of this layer with XLA."""
        return bool(on.SUPPORTS_JIT)

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        pass  # Keras's constructor sets True

    def call(self: Any, inputs: Any) -> Any:
        """The output for `inputs`, as Keras's layer defines it."""
        if isinstance(inputs, keras.KerasTensor) or len(inputs.shape) != self.rank + 2:
            return super().call(inputs)  # type: ignore[misc]  # a shape, or Keras's refusal
        if not keras.ops.is_tensor(inputs):  # where nobody has converted them: `stateless_call`
            inputs = keras.ops.convert_to_tensor(inputs)
        dtype = self.compute_dtype
        if keras.backend.standardize_dtype(inputs.dtype) != dtype:
            inputs = keras.ops.cast(inputs, dtype)
        weights = (w if w is None else keras.ops.convert_to_tensor(w, dtype) for w in self._weights_of_the_core())
        form = form_of(self.activation)
        outputs = on.convolve(
            inputs,
            *weights,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            data_format=self.data_format,
            activation=form or _LINEAR,
        )
        return outputs if form is not None else self.activation(outputs)


class _Separable(_Computed):
    def _weights_of_the_core(self: Any) -> tuple[Any, ...]:
        return self.depthwise_kernel, None, self.pointwise_kernel, self.bias


class _Depthwise(_Computed):
    def _weights_of_the_core(self: Any) -> tuple[Any, ...]:
        return self.kernel, None, None, self.bias


class _Pointwise(_Computed):
    def _weights_of_the_core(self: Any) -> tuple[Any, ...]:
        return None, None, self.kernel, self.bias


def is_pointwise(layer: Any) -> bool:
    """Whether a Conv layer of Keras mixes the channels of every pixel and does nothing else."""
    return set(layer.kernel_size) == {1} and layer.groups == 1


def _check_pointwise(layer: Any) -> None:
    if not is_pointwise(layer):
        name, argument = type(layer).__name__, "kernel_size" if layer.groups == 1 else "groups"
        refuse(argument, f"1 in sepconv.keras.{name}; for others there is keras.layers.{name}", getattr(layer, argument))


_register = keras.saving.register_keras_serializable(package="sepconv")


@_register
class SeparableConv1D(_Separable, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D`, computed by sepconv."""

    __module__ = __package__


@_register
class SeparableConv2D(_Separable, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D`, computed by sepconv."""

    __module__ = __package__


@_register
class DepthwiseConv1D(_Depthwise, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D`, computed by sepconv."""

    __module__ = __package__


@_register
class DepthwiseConv2D(_Depthwise, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, computed by sepconv."""

    __module__ = __package__


@_register
class Conv1D(_Pointwise, keras.layers.Conv1D):
    """`keras.layers.Conv1D` of kernel size 1, computed by sepconv."""

    __module__ = __package__
    __signature__ = inspect.signature(keras.layers.Conv1D)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _check_pointwise(self)


@_register
class Conv2D(_Pointwise, keras.layers.Conv2D):
    """`keras.layers.Conv2D` of kernel size 1, computed by sepconv."""

    __module__ = __package__
    __signature__ = inspect.signature(keras.layers.Conv2D)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _check_pointwise(self)


@_register
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, which with PyTorch takes PyTorch's own fused kernel where Keras takes a dozen passes.

    It stands between all convolutions of the networks that these layers are for, and would cost more than they. With a mask, and on other
    backends, whose compilers fuse the passes, it is Keras's own.
    """

    __module__ = __package__

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The output for `inputs`, as Keras's layer defines it."""
        batch_norm = getattr(on, "batch_norm", None)
        axis = 1 if self.axis == 1 else -1 if self.axis in (-1, len(inputs.shape) - 1) else None
        unusual = mask is not None or axis is None or self.synchronized or getattr(self, "renorm", False)
        learns = bool(training and self.trainable)
        if batch_norm is None or unusual or isinstance(inputs, keras.KerasTensor) or learns and 0 in inputs.shape:
            return super().call(inputs, training=training, mask=mask)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        weights = (self.gamma if self.scale else None, self.beta if self.center else None, self.moving_mean, self.moving_variance)
        inputs, *tensors = (t if t is None else keras.ops.convert_to_tensor(t, dtype) for t in (inputs, *weights))
        outputs, *moments = batch_norm(inputs, axis, *tensors, epsilon=self.epsilon, learns=learns)
        if learns:
            for moving, moment in zip((self.moving_mean, self.moving_variance), moments, strict=True):
                moving.assign(moving * self.momentum + moment * (1.0 - self.momentum))
        return keras.ops.cast(outputs, self.compute_dtype)

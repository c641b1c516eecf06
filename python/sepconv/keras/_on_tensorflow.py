"""Keras's TensorFlow backend: tensors go to the core through `tf.numpy_function`, which graphs may hold and XLA can't."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from . import _host

FUSES = False
SUPPORTS_JIT = False


def convolve(x: Any, *weights: Any, **options: Any) -> Any:
    """The convolution of `x`, differentiable in it and in the weights."""
    problem, given = _host.problem(x.dtype.as_numpy_dtype, weights, options)
    arguments = [tf.convert_to_tensor(argument) for argument in (x, *given)]  # variables would be followed, too
    wanted = (True,) * len(arguments)

    def gradients(dy: Any) -> Any:
        def backward(*arrays: Any) -> Any:
            return problem.backward(wanted, *arrays)

        found = tf.numpy_function(backward, [*arguments, dy], [a.dtype for a in arguments], stateful=False)
        for gradient, argument in zip(found, arguments, strict=True):
            gradient.set_shape(argument.shape)
        return found

    @tf.custom_gradient
    def call(*tensors: Any) -> Any:
        y = tf.numpy_function(problem.forward, list(tensors), x.dtype, stateful=False)
        y.set_shape(problem.output_shape(x.shape))
        return y, gradients

    return call(*arguments)

"""Keras's own layers on each backend, compiled as the backend does it: tf.function, no_grad, jax.jit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from ..cases import Case
from ..peer import Candidate, Data, Peer, Unsuitable


def _activation(name: str) -> Any:
    if name == "threshold":
        return partial(keras.activations.threshold, threshold=0.0, default_value=0.0)
    return partial(keras.activations.gelu, approximate=True) if name == "gelu_tanh" else name


def _layer(case: Case, data: Data) -> Any:
    """One layer; where something stands between the halves, a model of two."""
    common = {"strides": case.strides, "data_format": case.layout, "dtype": case.dtype}
    window = {"dilation_rate": case.dilation, "depth_multiplier": case.multiplier, "padding": case.padding, **common}
    last = {"use_bias": case.bias, "activation": _activation(case.activation)}
    x = data["x"]
    names = [name for stage in case.stages for name in (stage.weights, stage.bias) if name]
    weights = [data[name][None, None] if name == "pointwise_kernel" else data[name] for name in names]
    if case.op == "depthwise":
        layer = keras.layers.DepthwiseConv2D(case.kernel, **window, **last)
    elif case.op == "pointwise":
        layer = keras.layers.Conv2D(case.filters, 1, **common, **last)
    elif case.stages[0].bias is None and case.depthwise_activation == "linear":
        layer = keras.layers.SeparableConv2D(case.filters, case.kernel, **window, **last)
    else:
        middle = {"use_bias": case.depthwise_bias, "activation": _activation(case.depthwise_activation)}
        plain = {"data_format": case.layout, "dtype": case.dtype}
        layer = keras.Sequential(
            [
                keras.layers.DepthwiseConv2D(case.kernel, **window, **middle),
                keras.layers.Conv2D(case.filters, 1, **plain, **last),
            ]
        )
    layer.build(x.shape)
    layer.set_weights(weights)
    return layer


class _Keras(Peer):
    def version(self) -> str:
        return f"keras {keras.__version__} on {keras.backend.backend()}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        if case.channels_first and keras.backend.backend() == "tensorflow":
            raise Unsuitable("channels_last only")
        if case.activation == "softmax" and case.channels_first:
            raise Unsuitable("softmax over the last axis only")
        run = self._call(_layer(case, data), data["x"])
        return {keras.backend.backend(): Candidate(run, lambda y: np.asarray(keras.ops.convert_to_numpy(y)))}

    def _call(self, layer: Any, x: np.ndarray) -> Callable[[], Any]:
        raise Unsuitable("no backend")


class OnTensorFlow(_Keras):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._tf = tf

    def _call(self, layer: Any, x: np.ndarray) -> Callable[[], Any]:
        tensor = self._tf.constant(x)
        call = self._tf.function(layer).get_concrete_function(tensor)
        return lambda: call(tensor)


class OnTorch(_Keras):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        import torch

        torch.set_num_threads(threads)
        self._torch = torch

    def _call(self, layer: Any, x: np.ndarray) -> Callable[[], Any]:
        tensor = self._torch.from_numpy(x)

        def run() -> Any:
            with self._torch.no_grad():
                return layer(tensor)

        return run


class OnJax(_Keras):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        import os

        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        import jax

        jax.config.update("jax_enable_x64", True)
        self._jax = jax

    def _call(self, layer: Any, x: np.ndarray) -> Callable[[], Any]:
        state = ([v.value for v in layer.trainable_variables], [v.value for v in layer.non_trainable_variables])
        call = self._jax.jit(lambda y: layer.stateless_call(*state, y)[0])
        tensor = self._jax.numpy.asarray(x)
        return lambda: call(tensor).block_until_ready()

"""TensorFlow: one tf.function with constant weights, NHWC (its CPU kernels know no other layout), oneDNN on."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import tensorflow as tf  # noqa: E402  (reads the environment)

from ..cases import Case, Stage  # noqa: E402
from ..gradients import flat  # noqa: E402
from ..peer import Candidate, Data, Peer, Unsuitable, pick  # noqa: E402

_ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.2),
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "silu": tf.nn.silu,
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "tanh": tf.nn.tanh,
    "sigmoid": tf.nn.sigmoid,
    "exponential": tf.exp,
    "log_sigmoid": tf.math.log_sigmoid,
    "softmax": tf.nn.softmax,
}


class Graph(Peer):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

    def version(self) -> str:
        return f"tensorflow {tf.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        block = self._block(case)
        weights = {name: tf.constant(array) for name, array in data.items()}
        x = weights["x"]
        call = tf.function(lambda y: block(y, weights), jit_compile=False).get_concrete_function(x)
        return {"NHWC": Candidate(lambda: call(x), lambda y: y.numpy())}

    def train(self, case: Case, data: Data) -> dict[str, Candidate]:
        block = self._block(case)
        x, dy = tf.constant(data["x"]), tf.constant(data["dy"])
        names = [name for name in data if name not in ("x", "dy")]
        weights = [tf.constant(data[name]) for name in names]

        @tf.function(jit_compile=False)
        def step(x: Any, dy: Any, *weights: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, *weights])
                y = block(x, dict(zip(names, weights, strict=True)))
            return y, *tape.gradient(y, [x, *weights], output_gradients=dy)

        call = step.get_concrete_function(x, dy, *weights)
        return {"NHWC": Candidate(lambda: call(x, dy, *weights), lambda step: flat(array.numpy() for array in step))}

    def _block(self, case: Case) -> Any:
        """A function of the input and of all arrays."""
        if case.channels_first:
            raise Unsuitable("channels_last only")
        if case.strides[0] != case.strides[1]:
            raise Unsuitable("no unequal strides")
        if max(case.dilation) > 1 and max(case.strides) > 1:
            raise Unsuitable("no strides with dilation")
        functions = [pick(_ACTIVATIONS, stage.activation) for stage in case.stages]

        def convolve(y: Any, stage: Stage, weights: Any) -> Any:
            kernel = weights[stage.weights]
            if stage.depthwise:
                y = tf.nn.depthwise_conv2d(y, kernel, [1, *stage.strides, 1], case.padding.upper(), dilations=stage.dilation)
            else:
                y = tf.nn.conv2d(y, kernel[None, None], stage.strides, "VALID")
            return tf.nn.bias_add(y, weights[stage.bias]) if stage.bias else y

        def block(y: Any, weights: Any) -> Any:
            for stage, function in zip(case.stages, functions, strict=True):
                y = function(convolve(y, stage, weights))
            return y

        return block

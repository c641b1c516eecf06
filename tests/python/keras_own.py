"""What the tests of `sepconv.keras` share: Keras on the backend at hand, imported when the first test asks for it, and its gradients."""

import functools
import os
import warnings
from importlib import import_module
from importlib.util import find_spec

from keras_cases import draw

# Keras's own default is TensorFlow, whether or not it is there.
BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow", "numpy": "scipy"}
BACKEND = os.environ.get("KERAS_BACKEND") or next((name for name, needs in BACKENDS.items() if find_spec(needs)), "numpy")
TRAINS = BACKEND != "numpy"
NAMES = ("SeparableConv2D", "DepthwiseConv2D", "Conv2D", "SeparableConv1D", "DepthwiseConv1D", "Conv1D")
# Warnings of Keras, and of what it is made of, aren't ours to heed.
THEIRS = ("keras", "jax", "h5py", "torch", "tensorflow")


@functools.cache
def libraries():
    """(keras, sepconv.keras)"""
    os.environ["KERAS_BACKEND"] = BACKEND
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = import_module("sepconv.keras")  # first: with it NumPy's backend starts without JAX
        keras = import_module("keras")
    return keras, ours


def array(tensor):
    return libraries()[0].ops.convert_to_numpy(tensor)


def tensor(x, dtype=None):
    return libraries()[0].ops.convert_to_tensor(x, dtype)


def arguments_of(rng, name, **limits):
    """Random arguments for a layer, and a shape that it takes."""
    arguments, shape = draw(rng, name.replace("Conv", "SeparableConv") if name.startswith("Conv") else name, **limits)
    if name.startswith("Conv"):
        del arguments["depth_multiplier"]
        arguments |= {"kernel_size": 1, "dilation_rate": 1}
    return arguments, shape


def pair(name, arguments, shape, rng):
    """Keras's layer and ours of the same arguments, with the same random weights."""
    roles = (
        ("kernel",) if name.startswith("Conv") else ("depthwise",) if name.startswith("Depthwise") else ("depthwise", "pointwise")
    )
    # JAX compiles every shape of a random initializer.
    arguments = {f"{role}_initializer": "zeros" for role in roles} | arguments
    layers = [getattr(library, name)(**arguments, name="layer") for library in (libraries()[0].layers, libraries()[1])]
    for layer in layers:
        layer.build(shape)
    weights = [rng.standard_normal(w.shape) / 2 for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def model_of(library, layers, **options):
    """A small network with one of each layer from `library`, and the rest from Keras."""
    keras = libraries()[0]
    axis = 1 if options.get("data_format") == "channels_first" else -1
    x = inputs = keras.Input((3, 12, 12) if axis == 1 else (12, 12, 3))
    x = library.SeparableConv2D(8, 3, padding="same", activation="silu", depthwise_regularizer="l2", **options)(x)
    x = library.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, depth_multiplier=2, **options)(x)
    x = layers.BatchNormalization(axis=axis)(x)
    x = layers.ReLU(6.0)(x)
    x = library.Conv2D(8, 1, activation="relu", kernel_constraint="max_norm", **options)(x)
    x = layers.GlobalAveragePooling2D(**options)(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def gradients(call, x, dy, of=None):
    """The gradients of ``sum(dy * call(x))``: the input's, then those of the trainable weights of the layer `of`, else of `call`."""
    found = _GRADIENTS[BACKEND](call, of or call, tensor(x), tensor(dy))
    return [array(gradient) for gradient in found]


def _with_torch(call, layer, x, dy):
    import torch

    weights = [v.value for v in layer.trainable_variables]
    x = x.requires_grad_()
    return torch.autograd.grad((call(x) * dy).sum(), [x, *weights])


def _with_jax(call, layer, x, dy):
    import jax

    keras = libraries()[0]

    def loss(trained, x):
        with keras.StatelessScope(list(zip(layer.trainable_variables, trained, strict=True))):
            return (call(x) * dy).sum()

    weights, of_input = jax.grad(loss, (0, 1))([v.value for v in layer.trainable_variables], x)
    return [of_input, *weights]


def _with_tensorflow(call, layer, x, dy):
    import tensorflow as tf

    weights = [v.value for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(call(x) * dy)
    return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, [x, *weights])]


_GRADIENTS = {"torch": _with_torch, "jax": _with_jax, "tensorflow": _with_tensorflow}

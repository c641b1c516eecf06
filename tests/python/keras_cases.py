"""What the recording of Keras's answers, the test that reads it and the live test share: drawn layers, expressions, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent.parent / "golden"
LAYERS = ("SeparableConv2D", "DepthwiseConv2D", "SeparableConv1D", "DepthwiseConv1D")
# `threshold` needs arguments, so its name alone is no layer's activation.
ACTIVATIONS = (
    "relu leaky_relu relu6 softmax celu elu selu softplus softsign squareplus soft_shrink sparse_plus silu gelu glu tanh "
    "tanh_shrink sigmoid sparse_sigmoid exponential hard_sigmoid hard_silu hard_tanh hard_shrink linear mish log_softmax "
    "log_sigmoid sparsemax swish hard_swish"
).split()
# The activations of the recorded gradients. Whole numbers stay whole through the first; the others have slopes, and slopes of these, of at
# most 2: softmax's rows of the Jacobian too, in sum.
PIECEWISE = ("linear", "relu")
CURVED = ("tanh", "sigmoid", "softmax", "silu", "gelu", "mish", "softplus")
UNIT = {"float32": 2.0**-24, "float64": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def draw(rng, name, *, largest_kernel=7, channels=4, multiplier=4, spread=6, batch=2):
    """Random arguments for the layer `name`, and a shape that it takes. `rng` is a RandomState: its stream never changes."""

    def whole(low, high):
        return int(rng.randint(low, high + 1))

    rank = 2 if name.endswith("2D") else 1
    kernel = [whole(1, largest_kernel) for _ in range(rank)]
    strides = [max(1, whole(-1, 3)) for _ in range(rank)]
    dilation = [max(1, whole(-1, 3)) for _ in range(rank)]
    padding = ("valid", "same")[whole(0, 1)]
    first = whole(0, 1) == 1
    sizes = [
        (d * (k - 1) + 1 if padding == "valid" else 1) + whole(0, spread) for k, d in zip(kernel, dilation)
    ]  # fmt: skip
    arguments = {
        "kernel_size": kernel,
        "strides": strides,
        "padding": padding,
        "data_format": "channels_first" if first else "channels_last",
        "dilation_rate": dilation,
        "depth_multiplier": whole(1, multiplier),
        "use_bias": whole(0, 3) > 0,
    }
    if name.startswith("Separable"):
        arguments["filters"] = whole(1, 5)
    depth = whole(1, channels)
    shape = [whole(1, batch), depth, *sizes] if first else [whole(1, batch), *sizes, depth]
    return arguments, shape


def undrawn(name):
    """Arguments that spare Keras from drawing weights that are replaced at once: JAX compiles every shape of them."""
    return {
        f"{role}_initializer": "zeros" for role in (("depthwise", "pointwise") if name.startswith("Separable") else ("depthwise",))
    }


def integers(rng, shape, largest):
    """Whole numbers, as int8: with few of them every sum of a layer is exact, so that one bit of difference is an error."""
    return rng.randint(-largest, largest + 1, shape).astype(np.int8)


def fractions(rng, shape):
    """Numbers n/32 of normal distribution, as int8 n: exact in every dtype, while sums of their products round."""
    return np.clip(np.rint(rng.standard_normal(shape) * 32), -127, 127).astype(np.int8)


def absolute(layer, shape):
    """`layer` without activation, in float64, and with weights with which nothing cancels: what it gives bounds rounding errors."""
    twin_config = {**layer.get_config(), "dtype": "float64", "activation": None, "name": "twin"}
    twin = type(layer).from_config(twin_config)
    twin.build(shape)
    twin.set_weights([np.abs(w.astype(np.float64)) for w in layer.get_weights()])
    return twin


def check(layer, x, y, expected):
    """That `y`, of `layer`, and `expected`, of Keras, differ by rounding alone; a float64 layer is compared in Keras's float32."""
    dtype = layer.compute_dtype
    unit = UNIT[dtype]
    # Each term rounds once. In Keras a 16-bit layer also rounds between its two convolutions.
    terms = sum(np.prod(w.shape[:-1]) for w in layer.weights if w.name != "bias") + 2 if dtype in ("float32", "float64") else 4
    error = unit * terms * absolute(layer, x.shape)(np.abs(np.asarray(x, np.float64)))
    y, expected = y.astype(np.float64), np.asarray(expected, np.float64)
    assert y.shape == expected.shape
    if layer.get_config()["activation"] != "linear":
        # Steep activations are as large as they are steep. Those along an axis mix the errors of a row.
        room = max(2e-6, 6 * unit)
        error = room + (2 * np.max(error, initial=0) + room) * np.maximum(np.abs(expected), 1)
    np.testing.assert_array_less(np.abs(y - expected), error + 1e-30)


def check_gradients(layer, x, dy, found, expected, dtype):
    """That the gradients `found`, of `layer`, and `expected`, of Keras in `dtype`, differ by rounding alone, for an activation of CURVED.

    They are linear in the gradient of the convolution, which is that of the output times a slope, at most 2. It errs by the slope's own
    rounding (an exponential, a division and a few more) and by twice what the convolution errs.
    """
    z, pullback = absolute(layer, x.shape).vjp(np.abs(x))
    unit = float(np.finfo(layer.compute_dtype).eps + np.finfo(dtype).eps) / 2
    terms = sum(np.prod(w.shape[:-1]) for w in layer.weights) + z.size  # no sum has more
    share = 2 * terms * unit + 32 * unit + 2 * terms * unit * z.max()
    limits = pullback(np.full(z.shape, share * np.abs(dy).max()))
    for a, b, limit in zip(found, expected, [limits.input, *limits.weights], strict=True):
        assert a.dtype == layer.compute_dtype and a.shape == b.shape
        np.testing.assert_array_less(np.abs(a - b), limit + 1e-30)


def gradients_of_keras(layer, x, dy, losses=0.0):
    """Of ``sum(dy * layer(x)) + losses * sum(layer.losses)``, on JAX: the input's, then those of the trainable weights."""
    import jax

    def loss(trained, x):
        y, _ = layer.stateless_call(trained, [v.value for v in layer.non_trainable_variables], x)
        # stateless_call leaves out the loss of the activity.
        own = [v.regularizer(value) for v, value in zip(layer.trainable_variables, trained, strict=True) if v.regularizer]
        if layer.activity_regularizer:
            own.append(layer.activity_regularizer(y) / len(x))
        return (y * dy).sum() + losses * sum(own)

    trained, of_input = jax.grad(loss, (0, 1))([v.value for v in layer.trainable_variables], jax.numpy.asarray(x))
    return [np.asarray(of_input), *map(np.asarray, trained)]


class Tape:
    """Arrays one after the other in one flat array of `dtype`: hundreds of small ones cost no headers."""

    def __init__(self, dtype, values=None):
        self.dtype, self.values, self.place = np.dtype(dtype), values, 0
        self.parts = []

    def put(self, array):
        array = np.asarray(array)
        same = array.astype(self.dtype)
        if not np.array_equal(same.astype(np.float64), array.astype(np.float64), equal_nan=True):
            raise ValueError(f"{self.dtype} doesn't hold these values")
        self.parts.append(same.ravel())

    def take(self, shape):
        size = int(np.prod(shape, dtype=np.int64))
        part = self.values[self.place : self.place + size]
        if part.size != size:
            raise ValueError(f"the recording ends before an array of shape {shape}")
        self.place += size
        return part.reshape(shape)

    def whole(self):
        return np.concatenate(self.parts)

    @property
    def ended(self):
        return self.place == self.values.size


def tapes(name):
    """The arrays of a recorded .npz, as tapes."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: Tape(file[key].dtype, file[key]) for key in file.files}


def recorded(name):
    """A recorded .json."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def plain(value):
    """`value` as it is after a journey through JSON: tuples are lists."""
    return json.loads(json.dumps(value))


def names(library):
    """The names that an expression may use, for `library` keras or sepconv."""

    def built(layer, *shape):
        layer.build(shape)
        return layer

    def called(layer, *shape, dtype="float32"):
        layer(np.ones(shape, dtype))
        return layer

    def from_config(name, **config):
        return getattr(library.layers, name).from_config(config)

    def lossy(layer, *shape):
        return built(layer, *shape).losses

    public = {
        name: getattr(library.layers, name) for name in (*LAYERS, "Activation", "SeparableConvolution1D", "SeparableConvolution2D")
    }
    modules = {name: getattr(library, name) for name in ("layers", "activations", "initializers", "regularizers", "constraints")}
    helpers = {"np": np, "built": built, "called": called, "from_config": from_config, "lossy": lossy, "nan": float("nan")}
    return {**public, **modules, **helpers, "Sequential": library.Sequential, "Input": library.Input}


def evaluate(expression, library, **more):
    """The value of a recorded expression."""
    return eval(expression, {**names(library), **more})

"""Gradients of layers, functions and models: against differences and adjoints in float64, and what `vjp` promises besides."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sepconv
from sepconv import ops
from sepconv.layers import Activation, DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D

law = settings(
    max_examples=int(os.environ.get("SEPCONV_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
SMOOTH = ("linear", "tanh", "silu", "gelu", "softplus", "sigmoid", "mish", "softmax", "log_softmax", "elu", "exponential")


@st.composite
def problems(draw, activations=SMOOTH, dtype="float64"):
    """A layer of any kind and arguments, and an input that it takes."""
    cls = draw(st.sampled_from([SeparableConv2D, DepthwiseConv2D, SeparableConv1D, DepthwiseConv1D]))
    rank = cls.rank
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    padding = draw(st.sampled_from(cls.paddings))
    dilation = [draw(st.integers(1, 3)) for _ in range(rank)]
    sizes = [(d * (k - 1) if padding == "valid" else 0) + draw(st.integers(1, 6)) for k, d in zip(kernel, dilation)]
    channels, batch = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    first = draw(st.booleans())
    options = {
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "dilation_rate": dilation,
        "padding": padding,
        "depth_multiplier": draw(st.integers(1, 3)),
        "data_format": "channels_first" if first else "channels_last",
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(activations)),
        "dtype": dtype,
    }
    if cls in (SeparableConv1D, SeparableConv2D):
        options["filters"] = draw(st.integers(1, 5))
    shape = (batch, channels, *sizes) if first else (batch, *sizes, channels)
    layer = cls(kernel_size=kernel, batch_input_shape=shape, **options)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    layer.set_weights([rng.normal(size=w.shape) / 2 for w in layer.weights])
    return layer, rng.normal(size=shape).astype(dtype), rng


def slope(function, arrays, directions, h=1e-5):
    """Of `function` at `arrays` along `directions`."""
    above = function([a + h * d for a, d in zip(arrays, directions)])
    return (above - function([a - h * d for a, d in zip(arrays, directions)])) / (2 * h)


def along(gradients, directions):
    return sum(float((g * d).sum()) for g, d in zip(gradients, directions))


@law
@given(problems())
def test_gradients_are_the_slopes(problem):
    layer, x, rng = problem
    y, pullback = layer.vjp(x)
    assert np.array_equal(y, layer(x))
    dy = rng.normal(size=y.shape)
    gradients = pullback(dy)
    assert [g.shape for g in gradients.weights] == [w.shape for w in layer.trainable_weights]
    assert {g.dtype for g in gradients.weights} == {x.dtype} == {gradients.input.dtype}
    arrays = [x, *layer.get_weights()]

    def loss(at):
        layer.set_weights(at[1:])
        return float((layer(at[0]) * dy).sum())

    found = [gradients.input, *gradients.weights]
    for place in range(len(arrays)):
        directions = [rng.normal(size=a.shape) * (i == place) for i, a in enumerate(arrays)]
        assert along(found, directions) == pytest.approx(slope(loss, arrays, directions), rel=2e-5, abs=1e-6)


# Whole numbers: the adjoint identity <dy, J v> = <J^T dy, v> to the bit, in float32.
@law
@given(problems(activations=("linear",), dtype="float32"))
def test_adjoint_identity_is_exact_in_whole_numbers(problem):
    layer, x, rng = problem
    layer.set_weights([rng.integers(-2, 3, w.shape) * (w.name != "bias") for w in layer.weights])
    v = rng.integers(-4, 5, x.shape)
    y, pullback = layer.vjp(v)
    dy = rng.integers(-4, 5, y.shape)
    assert float((dy * y).sum()) == float((pullback(dy).input * v).sum())


@law
@given(problems(activations=("linear", "relu", "silu", "hard_sigmoid"), dtype="float32"), st.sampled_from([2, 4, 8]))
def test_bits_depend_on_nothing_else(problem, threads):
    """Threads, strides of the input, what else is wanted, and repetition."""
    layer, x, rng = problem
    y, pullback = layer.vjp(x, num_threads=1)
    dy = rng.normal(size=y.shape).astype("f")
    expected = pullback(dy)
    wide = np.zeros((2 * len(x), *x.shape[1:]), "f")
    wide[::2] = x[::-1]
    strided = wide[::-2][-len(x) :] if len(x) > 1 else wide[::2]
    strided = np.flip(np.flip(x, -1).copy(), -1) if strided.shape != x.shape or not np.array_equal(strided, x) else strided
    for inputs in (x, strided, np.asfortranarray(x)):
        _, again = layer.vjp(inputs, num_threads=threads)
        for found in (again(dy), again(np.asfortranarray(dy))):
            assert np.array_equal(found.input, expected.input)
            assert all(map(np.array_equal, found.weights, expected.weights))
    _, without = layer.vjp(x, input=False)
    found = without(dy)
    assert found.input is None and all(map(np.array_equal, found.weights, expected.weights))
    layer.trainable = False
    frozen = layer.vjp(x)[1](dy)
    assert frozen.weights == [] and np.array_equal(frozen.input, expected.input)


def image(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def test_large_images_on_any_number_of_threads():
    layer = SeparableConv2D(24, 3, strides=(1, 2), padding="same", activation="gelu")
    x = image(3, 90, 110, 20)
    y, pullback = layer.vjp(x, num_threads=1)
    dy = image(*y.shape, seed=1)
    one = pullback(dy)
    for threads in (2, 4, 8):
        again = layer.vjp(x, num_threads=threads)[1](dy)
        assert np.array_equal(again.input, one.input) and all(map(np.array_equal, again.weights, one.weights))


def test_layouts_have_the_same_bits():
    options = {"strides": 2, "padding": "same", "activation": "tanh", "depth_multiplier": 2}
    last, first = SeparableConv2D(7, 3, **options), SeparableConv2D(7, 3, data_format="channels_first", **options)
    x = image(2, 21, 18, 5)
    first.build((None, 5, 21, 18))
    last.build(x.shape)
    first.set_weights(last.get_weights())
    y, pullback = last.vjp(x)
    dy = image(*y.shape, seed=1)
    _, other = first.vjp(x.transpose(0, 3, 1, 2))
    a, b = pullback(dy), other(dy.transpose(0, 3, 1, 2))
    assert np.array_equal(a.input, b.input.transpose(0, 2, 3, 1)) and all(map(np.array_equal, a.weights, b.weights))


def test_a_pullback_keeps_its_moment():
    layer = SeparableConv2D(
        4, 3, activation="relu", input_shape=(None, None, 3), depthwise_regularizer="l2", activity_regularizer="l1"
    )
    x = image(2, 6, 6, 3)
    y, pullback = layer.vjp(x)
    dy = np.ones_like(y)
    expected = pullback(dy, losses=1.0)
    layer.set_weights([w + 1 for w in layer.get_weights()])
    layer.depthwise_kernel.regularizer = layer.activity_regularizer = None
    layer.activation = "tanh"
    layer.trainable = False
    layer(x + 1)
    again = pullback(dy, losses=1.0)
    assert np.array_equal(again.input, expected.input) and all(map(np.array_equal, again.weights, expected.weights))
    assert len(again.weights) == 3


@pytest.mark.parametrize("activation", ["relu", "silu", "softmax"])  # the core keeps the output, the argument; NumPy finishes
def test_the_next_step_has_the_new_weights(activation):
    x = image(2, 6, 6, 3)
    for cls, sizes in ((SeparableConv2D, (4, 3)), (DepthwiseConv2D, (3,))):
        layer = cls(*sizes, activation=activation)
        for step in range(3):
            y, pullback = layer.vjp(x)
            dy = image(*y.shape, seed=step)
            z, expected = cls(*sizes, activation=activation, weights=layer.get_weights()).vjp(x)
            a, b = pullback(dy), expected(dy)
            assert np.array_equal(y, z) and np.array_equal(a.input, b.input) and all(map(np.array_equal, a.weights, b.weights))
            layer.set_weights([w - 0.1 * g for w, g in zip(layer.weights, a.weights, strict=True)])


def test_losses_are_added():
    layer = SeparableConv2D(
        4, 3, dtype="float64", depthwise_regularizer="l2", pointwise_regularizer="l1", activity_regularizer="l2", activation="silu"
    )
    x = image(3, 6, 5, 2, dtype="float64")
    y, pullback = layer.vjp(x)
    zero = np.zeros_like(y)
    assert not pullback(zero).input.any()
    arrays, rng = [x, *layer.get_weights()], np.random.default_rng(3)
    assert sum(layer.losses) > 0
    gradients = pullback(zero, losses=0.5)

    def loss(at):
        layer.set_weights(at[1:])
        layer(at[0])
        return 0.5 * sum(layer.losses)

    directions = [rng.normal(size=a.shape) for a in arrays]
    assert along([gradients.input, *gradients.weights], directions) == pytest.approx(slope(loss, arrays, directions), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("activation", ["linear", "silu", "relu"])
def test_16_bits_sum_in_float32(dtype, activation):
    narrow = SeparableConv2D(8, 3, padding="same", dtype=dtype, activation=activation, input_shape=(None, None, 6))
    rounded = [image(*w.shape, seed=2).astype(narrow.compute_dtype) for w in narrow.weights]
    narrow.set_weights(rounded)
    wide = SeparableConv2D(8, 3, padding="same", dtype="float64", activation=activation, weights=rounded)
    x = image(2, 9, 8, 6).astype(narrow.compute_dtype)
    y, pullback = narrow.vjp(x)
    assert np.array_equal(y, narrow(x)) and y.dtype == narrow.compute_dtype
    up = image(*y.shape, seed=1).astype(y.dtype)
    found, expected = pullback(up), wide.vjp(x.astype("d"))[1](up.astype("d"))
    unit = 2.0**-8 if "bfloat" in dtype else 2.0**-11
    for a, b in zip([found.input, *found.weights], [expected.input, *expected.weights]):
        assert np.abs(a.astype("d") - b).max() <= 8 * unit * np.abs(b).max()
    assert found.input.dtype == narrow.compute_dtype and {str(g.dtype) for g in found.weights} == {narrow.variable_dtype}


def test_an_empty_batch_and_an_empty_axis():
    layer = SeparableConv2D(4, 3, padding="same", activity_regularizer="l2", activation="softmax")
    for shape in ((0, 5, 5, 3), (2, 0, 5, 3)):
        y, pullback = layer.vjp(np.zeros(shape, "f"))
        gradients = pullback(y, losses=1.0)
        assert gradients.input.shape == shape and [np.count_nonzero(g) for g in gradients.weights] == [0, 0, 0]


class Cube:
    def __call__(self, x):
        return x**3

    def vjp(self, x):
        return x**3, lambda dy: 3 * x**2 * dy


class Faster(Cube):
    def __call__(self, x):
        return x * x * x


class Answering:
    def __init__(self, answer):
        self.answer = answer

    def __call__(self, x):
        return x

    def vjp(self, x):
        return self.answer


def test_functions_of_the_users_bring_their_own():
    x = image(1, 5, 5, 2, dtype="float64")
    layer = DepthwiseConv2D(3, activation=Cube(), dtype="float64", bias_regularizer=Cube(), use_bias=True)
    y, pullback = layer.vjp(x)
    linear = DepthwiseConv2D(3, dtype="float64", weights=layer.get_weights())
    z, expected = linear.vjp(x)
    assert np.allclose(pullback(np.ones_like(y)).input, expected(3 * z**2).input)
    for activation in (lambda y: y, Faster()):
        layer.activation = activation
        with pytest.raises(TypeError, match=r"`activation`.*method `vjp\(x\)`"):
            layer.vjp(x)
    for answer, said in (((1, None), r"\['int', 'NoneType'\]"), (7, "int")):
        layer.activation = Answering(answer)
        with pytest.raises(TypeError, match=rf"`activation`.*must return its result and a function.*which returned {said}"):
            layer.vjp(x)
    layer.activation = None
    layer.bias.regularizer = lambda w: float((w**2).sum())
    y, pullback = layer.vjp(x)
    pullback(y)
    with pytest.raises(TypeError, match=r"`bias_regularizer`.*method `vjp\(x\)`"):
        pullback(y, losses=1.0)


def test_refusals():
    layer = DepthwiseConv2D(3)
    y, pullback = layer.vjp(image(1, 5, 5, 2))
    with pytest.raises(ValueError, match=r"`dy`.*\(1, 3, 3, 2\)"):
        pullback(y[0])
    with pytest.raises(TypeError, match="`dy`"):
        pullback(y > 0)
    with pytest.raises(ValueError, match="`losses`"):
        pullback(y, losses=np.nan)
    with pytest.raises(ValueError, match="`input`"):
        layer.vjp(image(1, 5, 5, 2), input=2)
    with pytest.raises(ValueError, match="`num_threads`"):
        layer.vjp(image(1, 5, 5, 2), num_threads=0)


# Functions.


def test_ops_give_what_layers_give():
    x = image(2, 9, 8, 4)
    options = {"strides": 2, "padding": "same", "dilation_rate": 2}
    layer = SeparableConv2D(6, 3, activation="silu", **options)
    y, pullback = layer.vjp(x)
    depthwise, pointwise, bias = layer.weights
    z, other = ops.separable_conv_vjp(x, depthwise, pointwise, bias=bias, activation="silu", **options)
    a, b = pullback(y), other(y)
    assert np.array_equal(y, z) and np.array_equal(a.input, b.input) and all(map(np.array_equal, a.weights, b.weights))
    layer = DepthwiseConv2D(3, activation="relu", **options)
    y, pullback = layer.vjp(x)
    z, other = ops.depthwise_conv_vjp(x, *layer.weights[:1], bias=layer.bias, activation="relu", input=False, **options)
    assert np.array_equal(y, z) and other(y).input is None and all(map(np.array_equal, pullback(y).weights, other(y).weights))


@pytest.mark.parametrize("middle", ["linear", "relu6", "silu", "softsign"])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_what_stands_between_the_halves_differentiates_too(middle, multiplier):
    rng = np.random.default_rng(5)
    shapes = (2, 7, 6, 3), (3, 3, 3, multiplier), (1, 1, 3 * multiplier, 4), (4,), (3 * multiplier,)
    arrays = [rng.normal(size=shape) for shape in shapes]

    def call(function, at):
        x, depthwise, pointwise, bias, depthwise_bias = at
        options = {"bias": bias, "depthwise_bias": depthwise_bias, "depthwise_activation": middle, "strides": (2, 1)}
        return function(x, depthwise, pointwise, activation="tanh", **options)

    y, pullback = call(ops.separable_conv_vjp, arrays)
    dy = rng.normal(size=y.shape)
    gradients = pullback(dy)
    found = [gradients.input, *gradients.weights]
    assert [g.shape for g in found] == list(shapes)
    for place in range(5):
        directions = [rng.normal(size=a.shape) * (i == place) for i, a in enumerate(arrays)]
        expected = slope(lambda at: float((call(ops.separable_conv, at) * dy).sum()), arrays, directions)
        assert along(found, directions) == pytest.approx(expected, rel=1e-5)


def test_pointwise_conv():
    x, kernel = image(2, 6, 5, 3, dtype="float64"), image(1, 1, 3, 4, dtype="float64")
    y, pullback = ops.pointwise_conv_vjp(x, kernel, 2)
    gradients = pullback(y)
    expected = np.zeros_like(x)
    expected[:, ::2, ::2] = y @ kernel[0, 0].T
    assert np.allclose(gradients.input, expected)
    assert np.allclose(gradients.weights[0][0, 0], np.einsum("nhwc,nhwf->cf", x[:, ::2, ::2], y)) and len(gradients.weights) == 1


def test_gradients_have_the_dtype_of_what_they_are_of():
    x = np.ones((1, 5, 5, 3), np.uint8)
    y, pullback = ops.separable_conv_vjp(
        x, np.ones((3, 3, 3, 1), np.float64), np.ones((1, 1, 3, 2), int), bias=np.ones(2, np.float16)
    )
    gradients = pullback(y)
    assert gradients.input.dtype == np.float32
    assert [str(g.dtype) for g in gradients.weights] == ["float64", "float32", "float16"]


# Models.


def model(**options):
    return sepconv.Sequential(
        [
            SeparableConv2D(6, 3, activation="gelu", dtype="float64", pointwise_regularizer="l2", **options),
            Activation("tanh", dtype="float64", activity_regularizer="l2"),
            DepthwiseConv2D(3, strides=2, dtype="float64", activation="softmax"),
        ]
    )


def test_models_compose():
    net, x, rng = model(), image(2, 9, 8, 3, dtype="float64"), np.random.default_rng(1)
    y, pullback = net.vjp(x)
    assert np.array_equal(y, net(x))
    dy = rng.normal(size=y.shape)
    gradients = pullback(dy, losses=2.0)
    arrays = [x, *net.get_weights()]

    def loss(at):
        net.set_weights(at[1:])
        return float((net(at[0]) * dy).sum()) + 2 * sum(net.losses)

    directions = [rng.normal(size=a.shape) for a in arrays]
    expected = slope(loss, arrays, directions)
    assert along([gradients.input, *gradients.weights], directions) == pytest.approx(expected, rel=1e-6)


def test_models_compute_what_is_asked_for():
    net, x = model(), image(2, 9, 8, 3, dtype="float64")
    y, pullback = net.vjp(x)
    full = pullback(y)
    without = net.vjp(x, input=False)[1](y)
    assert without.input is None and all(map(np.array_equal, without.weights, full.weights))
    net.layers[0].trainable = False
    frozen = net.vjp(x, input=False)[1](y)
    assert len(frozen.weights) == 2 == len(net.trainable_weights) and all(map(np.array_equal, frozen.weights, full.weights[3:]))
    net.trainable = False
    nothing = net.vjp(x, input=False)[1](y)
    assert nothing == (None, []) and np.array_equal(net.vjp(x)[1](y).input, full.input)
    with pytest.raises(ValueError, match="no layers"):
        sepconv.Sequential([]).vjp(x)


def test_a_frozen_beginning_is_not_differentiated():
    class Untouchable:
        def __call__(self, x):
            return x

        def vjp(self, x):
            def pullback(dy):
                raise AssertionError("not needed")

            return x, pullback

    net = sepconv.Sequential([Activation(Untouchable()), DepthwiseConv2D(3)])
    y, pullback = net.vjp(image(1, 5, 5, 2), input=False)
    assert len(pullback(y).weights) == 2
    with pytest.raises(AssertionError):
        net.vjp(image(1, 5, 5, 2))[1](y)


def test_constraints_are_applied_on_demand():
    layer = SeparableConv2D(4, 3, depthwise_constraint="non_neg", bias_constraint=lambda w: w + 1, input_shape=(None, None, 2))
    layer.set_weights([np.full(w.shape, -1.0) for w in layer.weights])
    layer.apply_constraints()
    assert [float(w.numpy().max()) for w in layer.weights] == [0, -1, 0]
    layer.trainable = False
    layer.apply_constraints()
    assert float(layer.bias.numpy().max()) == 0
    net = sepconv.Sequential([layer])
    net.trainable = True
    net.apply_constraints()
    assert float(layer.bias.numpy().max()) == 1


def test_training_lowers_the_loss():
    rng = np.random.default_rng(0)

    def layer(filters, activation):
        seeds = map(sepconv.initializers.GlorotUniform, (filters, filters + 1))
        kernels = dict(zip(("depthwise_initializer", "pointwise_initializer"), seeds, strict=True))
        return SeparableConv2D(filters, 3, padding="same", activation=activation, **kernels)

    teacher, student = layer(3, "tanh"), sepconv.Sequential([layer(8, "silu"), layer(3, None)])
    first = last = 0.0
    for _ in range(60):
        x = rng.normal(size=(4, 12, 12, 2)).astype("f")
        target = teacher(x)
        y, pullback = student.vjp(x, input=False)
        last = float(((y - target) ** 2).mean())
        first = first or last
        for weight, gradient in zip(student.trainable_weights, pullback((y - target) / len(x)).weights):
            weight -= 0.003 * gradient
    assert last < first / 2

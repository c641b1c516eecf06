import inspect
import itertools

import ml_dtypes
import numpy as np
import pytest
import reference

import sepconv
from sepconv.layers import SeparableConv1D, SeparableConv2D

RNG = np.random.default_rng(7)


def with_integers(layer, shape):
    """`layer`, built for `shape`, with weights of small whole numbers, so that every result is exact."""
    layer.build(shape)
    layer.set_weights([reference.integers(RNG, w.shape) for w in layer.weights])
    return layer


def relu(x):
    return np.maximum(x, 0)


def test_signature_is_keras_then_ours():
    expected = (
        "filters, kernel_size, strides=(1, 1), padding='valid', data_format=None, dilation_rate=(1, 1), depth_multiplier=1, activation=None, "
        "use_bias=True, depthwise_initializer='glorot_uniform', pointwise_initializer='glorot_uniform', bias_initializer='zeros', "
        "depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None, "
        "pointwise_constraint=None, bias_constraint=None, *, input_shape=None, batch_input_shape=None, batch_size=None, dtype=None, name=None, "
        "trainable=True, weights=None, autocast=True"
    )

    def text(cls):
        parameters = [p.replace(annotation=p.empty) for p in inspect.signature(cls).parameters.values()]
        return str(inspect.Signature(parameters))[1:-1]

    assert text(SeparableConv2D) == expected
    assert text(SeparableConv1D) == expected.replace("(1, 1)", "1")


@pytest.mark.parametrize(
    "padding, data_format, use_bias", list(itertools.product(["valid", "same"], ["channels_last", "channels_first"], [True, False]))
)
@pytest.mark.parametrize(
    "strides, dilation",
    [((1, 1), (1, 1)), ((2, 2), (1, 1)), ((1, 3), (1, 1)), ((1, 1), (3, 2)), ((2, 3), (2, 1)), ((2, 2), (2, 2))],
)
def test_every_combination_is_exact(strides, dilation, padding, data_format, use_bias):
    for kernel, channels, multiplier, filters in (((3, 3), 3, 1, 8), ((2, 5), 4, 2, 5), ((1, 1), 1, 3, 1), ((4, 1), 17, 1, 19)):
        shape = (2, 11, 13, channels) if data_format == "channels_last" else (2, channels, 11, 13)
        layer = SeparableConv2D(filters, kernel, strides, padding, data_format, dilation, multiplier, "relu", use_bias)
        with_integers(layer, shape)
        x = reference.integers(RNG, shape)
        y = layer(x)
        assert y.dtype == np.float32 and type(y) is np.ndarray and y.flags.c_contiguous
        assert y.shape == layer.compute_output_shape(shape)
        assert np.array_equal(y, reference.of_layer(layer, x, relu))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_one_axis(padding, data_format, stride, dilation):
    shape = (2, 14, 3) if data_format == "channels_last" else (2, 3, 14)
    layer = with_integers(SeparableConv1D(5, 4, stride, padding, data_format, dilation, 2), shape)
    x = reference.integers(RNG, shape)
    assert layer(x).shape == layer.compute_output_shape(shape)
    assert np.array_equal(layer(x), reference.of_layer(layer, x))
    assert layer.kernel_size == (4,) and layer.strides == (stride,) and layer.rank == 1


def test_causal_sees_nothing_later():
    layer = with_integers(SeparableConv1D(4, 3, padding="causal", dilation_rate=2), (1, 10, 2))
    x = reference.integers(RNG, (1, 10, 2))
    later = x.copy()
    later[:, 6:] += 1
    assert np.array_equal(layer(x)[:, :6], layer(later)[:, :6]) and not np.array_equal(layer(x), layer(later))
    with pytest.raises(ValueError, match="`padding`"):
        SeparableConv2D(4, 3, padding="causal")


def test_weights_have_keras_names_shapes_and_order():
    layer = SeparableConv2D(5, (2, 3), depth_multiplier=2, name="sep", data_format="channels_first", input_shape=(4, 9, 9))
    assert [(w.path, w.shape) for w in layer.weights] == [
        ("sep/depthwise_kernel", (2, 3, 4, 2)),
        ("sep/pointwise_kernel", (1, 1, 8, 5)),
        ("sep/bias", (5,)),
    ]
    assert layer.count_params() == 48 + 40 + 5
    assert (
        layer.depthwise_kernel is layer.weights[0] and layer.pointwise_kernel is layer.weights[1] and layer.bias is layer.weights[2]
    )
    one = SeparableConv1D(5, 3, use_bias=False, input_shape=(9, 4))
    assert [w.shape for w in one.weights] == [(3, 4, 1), (1, 4, 5)] and one.bias is None


def test_the_kernel_is_rows_columns():
    layer = SeparableConv2D(
        1, (2, 5), input_shape=(6, 6, 1), weights=[np.arange(10.0).reshape(2, 5, 1, 1), np.ones((1, 1, 1, 1)), np.zeros(1)]
    )
    image = np.zeros((1, 6, 6, 1), np.float32)
    image[0, 1, 4] = 1
    assert layer(image)[0, :, :, 0].tolist() == [[9, 8], [4, 3], [0, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": 0},
        {"filters": 2.5},
        {"filters": "3"},
        {"filters": None},
        {"filters": True},
        {"kernel_size": 0},
        {"kernel_size": (1, 2, 3)},
        {"kernel_size": True},
        {"kernel_size": {3, 5}},
        {"kernel_size": "33"},
        {"kernel_size": None},
        {"strides": (1, 0)},
        {"strides": 1.5},
        {"dilation_rate": (2,)},
        {"dilation_rate": float("nan")},
        {"depth_multiplier": 0},
        {"depth_multiplier": None},
        {"padding": None},
        {"padding": 1},
        {"padding": (1, 1)},
        {"padding": "full"},
        {"data_format": "nhwc"},
        {"use_bias": "no"},
        {"trainable": 1},
        {"name": "a/b"},
        {"name": 3},
        {"dtype": "float31"},
        {"dtype": "int32"},
        {"autocast": None},
        {"activation": "Relu"},
        {"activation": 3},
        {"depthwise_initializer": "glorot"},
        {"pointwise_initializer": 3},
        {"bias_initializer": "nope"},
        {"depthwise_regularizer": "l3"},
        {"bias_regularizer": "nope"},
        {"activity_regularizer": 3},
        {"pointwise_constraint": "nope"},
        {"input_shape": 3},
        {"input_shape": (8, 8)},
        {"input_shape": (8, 8, None)},
        {"input_shape": (2, 8, 3)},
        {"batch_input_shape": (8, 8, 3)},
        {"batch_size": -1, "input_shape": (8, 8, 3)},
    ],
    ids=repr,
)
def test_bad_arguments_are_refused_by_name(arguments):
    with pytest.raises((ValueError, TypeError), match="Received|must|Could not") as caught:
        SeparableConv2D(**{"filters": 4, "kernel_size": 3, **arguments})
    key = next(iter(arguments))
    words = {"input_shape": "input", "batch_input_shape": "input"}
    assert words.get(key, key.split("_")[-1] if key.endswith(("initializer", "regularizer", "constraint")) else key) in str(
        caught.value
    )


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match="groups"):
        SeparableConv2D(4, 3, groups=1)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((8, 8, 3), "4 axes"),
        ((1, 1, 8, 8, 3), "4 axes"),
        ((1, 8, 8, 4), "3 channels"),
        ((1, 2, 8, 3), "too small"),
        ((1, 8, 1, 3), "too small"),
        ((1, 8, 8, 0), "channels"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(shape, message):
    layer = SeparableConv2D(4, 3, input_shape=(8, 8, 3))
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            layer(np.zeros(shape, np.float32))
    assert layer(np.zeros((2, 5, 6, 3), np.float32)).shape == (2, 3, 4, 4)


def test_a_failed_first_call_leaves_the_layer_unbuilt():
    layer = SeparableConv2D(4, 3)
    with pytest.raises(ValueError, match="too small"):
        layer(np.zeros((1, 2, 2, 3), np.float32))
    assert not layer.built and layer.weights == [] and layer.get_weights() == []
    assert layer(np.zeros((1, 4, 4, 5), np.float32)).shape == (1, 2, 2, 4)


@pytest.mark.parametrize(
    "dtype, given, returned",
    [
        (None, "f8", "f4"),
        (None, "f2", "f4"),
        (None, "i8", "f4"),
        ("float64", "f4", "f8"),
        ("float16", "f4", "f2"),
        ("mixed_float16", "f8", "f2"),
    ],
)
def test_dtypes(dtype, given, returned):
    layer = with_integers(SeparableConv2D(4, 3, dtype=dtype), (None, 5, 5, 2))
    x = reference.integers(RNG, (1, 5, 5, 2), given)
    y = layer(x)
    assert y.dtype == np.dtype(returned)
    assert np.array_equal(y, reference.of_layer(layer, x).astype(returned))
    assert (
        all(w.dtype == layer.variable_dtype == layer.dtype for w in layer.weights)
        and layer.compute_dtype == np.dtype(returned).name
    )


def test_bfloat16():
    for dtype, weights in (("bfloat16", "bfloat16"), ("mixed_bfloat16", "float32")):
        layer = with_integers(SeparableConv2D(4, 3, dtype=dtype), (None, 5, 5, 2))
        x = reference.integers(RNG, (1, 5, 5, 2))
        y = layer(x)
        assert y.dtype == ml_dtypes.bfloat16 and layer.weights[0].dtype == weights
        assert np.array_equal(y, reference.of_layer(layer, x).astype(ml_dtypes.bfloat16))


def test_without_autocast_the_dtype_must_fit():
    layer = SeparableConv2D(4, 3, autocast=False, input_shape=(5, 5, 2))
    layer(np.zeros((1, 5, 5, 2), np.float32))
    for other in (np.zeros((1, 5, 5, 2)), np.zeros((1, 5, 5, 2), np.int32), [[[[0.0] * 2] * 5] * 5]):
        with pytest.raises(TypeError, match="`inputs`.*autocast"):
            layer(other)


@pytest.mark.parametrize("activation", ["softmax", "log_softmax", "glu", "relu", "tanh", lambda x: x * 2])
def test_out(activation):
    layer = SeparableConv2D(4, 3, activation=activation, activity_regularizer="l2", input_shape=(6, 7, 3))
    x = RNG.standard_normal((2, 6, 7, 3)).astype(np.float32)
    y = layer(x)
    losses = layer.losses
    for out in (
        np.empty(y.shape, np.float32),
        np.empty((2, 4, 5, 9), np.float32)[..., 2 : 2 + y.shape[-1]],
        np.empty((2, 9, 5, y.shape[-1]), np.float32)[:, 1::2],
    ):
        assert layer(x, out) is out and layer(x, out=out) is out
        assert np.array_equal(out, y) and layer.losses == losses
    for out in (np.empty(y.shape), np.empty((1, *y.shape[1:]), np.float32)):
        with pytest.raises(ValueError, match="`out`"):
            layer(x, out)


def test_glu_halves_the_last_axis():
    layer = SeparableConv2D(4, 3, activation="glu")
    assert layer.compute_output_shape((None, 5, 5, 3)) == (None, 3, 3, 2) and layer(np.ones((1, 5, 5, 3), np.float32)).shape == (
        1,
        3,
        3,
        2,
    )
    with pytest.raises(ValueError, match="`activation`.*glu"):
        SeparableConv2D(3, 3, activation="glu", input_shape=(5, 5, 3))


def test_explain(capsys):
    layer = SeparableConv2D(4, 3, padding="same")
    plan = layer.explain((1, 8.0, 8, 3))
    assert isinstance(plan, dict) and not layer.built
    assert plan["input_shape"] == (1, 8, 8, 3) and plan["output_shape"] == (1, 8, 8, 4)
    assert plan["flops"] == 2 * 8 * 8 * 3 * (9 + 4)
    print(plan)
    printed = capsys.readouterr().out
    assert all(key in printed for key in plan) and "4,992" in printed
    assert len(printed.splitlines()) == len(plan)
    for shape in ((None, 8, 8, 3), (8, 8, 3), (1, 8, 8, None)):
        with pytest.raises(ValueError, match="`input_shape`"):
            layer.explain(shape)
    assert SeparableConv1D(4, 3).explain((1, 8, 3), num_threads=1)["output_shape"] == (1, 6, 4)


def test_aliases():
    assert sepconv.layers.SeparableConvolution2D is SeparableConv2D is sepconv.SeparableConv2D
    assert sepconv.layers.SeparableConvolution1D is SeparableConv1D

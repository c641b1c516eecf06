"""NaN, infinities and denormals: the class of every element is the reference's, and the processor's state is left alone."""

import numpy as np
import pytest
import reference

from sepconv import DepthwiseConv2D, SeparableConv2D

RNG = np.random.default_rng(20)
DTYPES = ["float32", "float64"]


def same_class(y, expected):
    assert (
        np.array_equal(np.isnan(y), np.isnan(expected))
        and np.array_equal(np.isposinf(y), np.isposinf(expected))
        and np.array_equal(np.isneginf(y), np.isneginf(expected))
    )
    finite = np.isfinite(expected)
    assert np.array_equal(y[finite], expected[finite])
    assert not finite.all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("special", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [np.nan, np.inf]])
@pytest.mark.parametrize("channels, filters", [(1, 1), (3, 8), (17, 5)])
def test_classes_are_the_references(dtype, data_format, special, channels, filters):
    shape = (1, 9, 11, channels) if data_format == "channels_last" else (1, channels, 9, 11)
    for cls, arguments in ((SeparableConv2D, (filters, 3)), (DepthwiseConv2D, (3,))):
        layer = cls(*arguments, padding="same", data_format=data_format, dtype=dtype, batch_input_shape=shape)
        # No zero among the weights: 0 * inf is NaN, and padding counts as absent, not as a product.
        layer.set_weights([reference.integers(RNG, w.shape) * 2 + 1 for w in layer.weights])
        x = reference.integers(RNG, shape, dtype)
        x.reshape(-1)[RNG.choice(x.size, 2 * len(special), replace=False)] = special * 2
        same_class(layer(x), reference.of_layer(layer, x))


@pytest.mark.parametrize("where", [(0, 0), (4, 5), (8, 10)])
def test_a_nan_reaches_the_windows_that_see_it_and_no_other(where):
    layer = DepthwiseConv2D(
        3, dilation_rate=2, padding="same", use_bias=False, depthwise_initializer="ones", batch_input_shape=(1, 9, 11, 5)
    )
    x = np.ones((1, 9, 11, 5), np.float32)
    x[0, where[0], where[1], 3] = np.nan
    rows, columns = np.ogrid[:9, :11]
    seen = np.isin(rows - where[0], (-2, 0, 2)) & np.isin(columns - where[1], (-2, 0, 2))
    y = layer(x)[0]
    assert np.array_equal(np.isnan(y[..., 3]), seen) and not np.isnan(y[..., [0, 1, 2, 4]]).any()


def test_valid_and_strides_never_read_what_is_outside_the_windows():
    layer = SeparableConv2D(4, 2, strides=3, input_shape=(None, None, 2))
    x = np.full((1, 9, 9, 2), np.nan, np.float32)
    for i in (0, 1):
        for j in (0, 1):
            x[:, i::3, j::3] = 1
    assert np.isfinite(layer(x)).all()


@pytest.mark.parametrize(
    "activation, expected",
    [
        ("linear", np.nan),
        ("relu", np.nan),
        ("relu6", np.nan),
        ("tanh", np.nan),
        ("sigmoid", np.nan),
        ("leaky_relu", np.nan),
        ("gelu", np.nan),
        ("softplus", np.nan),
    ],
)
def test_activations_pass_nan_on(activation, expected):
    for channels in (1, 8, 19):
        layer = DepthwiseConv2D(
            1, activation=activation, use_bias=False, depthwise_initializer="ones", input_shape=(None, None, channels)
        )
        y = layer(np.full((1, 3, 3, channels), expected, np.float32))
        assert np.isnan(y).all()


@pytest.mark.parametrize(
    "activation, low, high",
    [
        ("relu", 0, np.inf),
        ("relu6", 0, 6),
        ("tanh", -1, 1),
        ("sigmoid", 0, 1),
        ("exponential", 0, np.inf),
        ("softplus", 0, np.inf),
        ("elu", -1, np.inf),
    ],
)
def test_activations_of_infinities(activation, low, high):
    layer = DepthwiseConv2D(1, activation=activation, use_bias=False, depthwise_initializer="ones", input_shape=(None, None, 1))
    y = layer(np.array([-np.inf, np.inf], np.float32).reshape(1, 1, 2, 1)).ravel()
    assert y.tolist() == [low, high]


@pytest.mark.parametrize("dtype", DTYPES)
def test_denormals_are_numbers(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    for cls, arguments in ((SeparableConv2D, (6, 3)), (DepthwiseConv2D, (3,))):
        layer = cls(*arguments, dtype=dtype, batch_input_shape=(1, 8, 9, 5))
        layer.set_weights([reference.integers(RNG, w.shape) for w in layer.weights[:-1]] + [np.zeros(layer.weights[-1].shape)])
        x = reference.integers(RNG, (1, 8, 9, 5), dtype)
        y = layer(x * tiny)
        assert np.array_equal(y, layer(x) * tiny) and np.count_nonzero(y) > y.size / 2
        layer.set_weights([w * (tiny if i == 0 else 1) for i, w in enumerate(layer.get_weights())])
        assert np.array_equal(layer(x), y)


def test_loading_and_calling_leaves_denormals_alone():
    tiny = np.float32(1e-40)
    layer = SeparableConv2D(8, 3, padding="same", activation="tanh")
    for threads in (1, 4):
        layer(np.ones((1, 60, 60, 16), np.float32), num_threads=threads)
        assert tiny * np.float32(1) != 0 and (np.full(100, tiny) * np.ones(100, np.float32) != 0).all()


def test_half_precision_overflows_to_infinity_as_numpy_does():
    layer = DepthwiseConv2D(1, dtype="float16", use_bias=False, depthwise_initializer="ones", weights=[np.full((1, 1, 1, 1), 2.0)])
    y = layer(np.array([40000, -40000, 30000], np.float16).reshape(1, 1, 3, 1)).ravel()
    assert y.tolist() == [np.inf, -np.inf, 60000]

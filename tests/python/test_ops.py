import itertools
import threading

import numpy as np
import pytest
import reference

import sepconv
from sepconv import ops

RNG = np.random.default_rng(7)


def relu(x):
    return np.maximum(x, 0)


def relu6(x):
    return np.clip(x, 0, 6)


@pytest.mark.parametrize(
    "strides, padding, dilation, data_format, multiplier",
    list(itertools.product([1, (2, 1)], ["valid", "same"], [1, (1, 2)], [None, "channels_first"], [1, 2])),
)
def test_separable_conv_is_the_reference(strides, padding, dilation, data_format, multiplier):
    x = reference.integers(RNG, (2, 3, 9, 8) if data_format else (2, 9, 8, 3))
    depthwise = reference.integers(RNG, (3, 2, 3, multiplier))
    pointwise = reference.integers(RNG, (1, 1, 3 * multiplier, 5))
    y = ops.separable_conv(x, depthwise, pointwise, strides, padding, data_format, dilation)
    expected = reference.convolve(
        x, depthwise, pointwise, strides=strides, padding=padding, dilation=dilation, data_format=data_format or "channels_last"
    )
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_one_axis(padding, data_format):
    x = reference.integers(RNG, (2, 11, 3) if data_format == "channels_last" else (2, 3, 11))
    depthwise, pointwise = reference.integers(RNG, (4, 3, 2)), reference.integers(RNG, (1, 6, 5))
    kwargs = {"padding": padding, "data_format": data_format, "dilation": 2}
    y = ops.separable_conv(x, depthwise, pointwise, 1, padding, data_format, 2)
    np.testing.assert_array_equal(y, reference.convolve(x, depthwise, pointwise, **kwargs))
    y = ops.depthwise_conv(x, depthwise, 1, padding, data_format, 2)
    np.testing.assert_array_equal(y, reference.convolve(x, depthwise, **kwargs))


def test_bias_and_activation_of_both_halves():
    x, depthwise, pointwise = (reference.integers(RNG, s) for s in [(1, 6, 7, 4), (3, 3, 4, 1), (1, 1, 4, 8)])
    middle, last = reference.integers(RNG, (4,)), reference.integers(RNG, (8,))
    y = ops.separable_conv(
        x, depthwise, pointwise, padding="same", bias=last, activation="relu", depthwise_bias=middle, depthwise_activation="relu6"
    )
    expected = reference.convolve(
        x, depthwise, pointwise, last, padding="same", activation=relu, depthwise_bias=middle, depthwise_activation=relu6
    )
    assert (expected > 0).mean() > 0.2
    np.testing.assert_array_equal(y, expected)


def test_depthwise_conv_with_bias_and_activation():
    x, kernel, bias = reference.integers(RNG, (2, 6, 7, 4)), reference.integers(RNG, (2, 5, 4, 3)), reference.integers(RNG, (12,))
    y = ops.depthwise_conv(x, kernel, (1, 2), "same", bias=bias, activation="relu6")
    np.testing.assert_array_equal(y, reference.convolve(x, kernel, bias=bias, strides=(1, 2), padding="same", activation=relu6))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("strides", [1, (2, 3)])
def test_pointwise_conv_is_a_matrix_product(data_format, strides):
    x, kernel, bias = reference.integers(RNG, (2, 6, 7, 4)), reference.integers(RNG, (1, 1, 4, 9)), reference.integers(RNG, (9,))
    steps = (strides,) * 2 if strides == 1 else strides
    expected = (x @ kernel[0, 0] + bias)[:, :: steps[0], :: steps[1]]
    if data_format == "channels_first":
        x, expected = np.moveaxis(x, -1, 1), np.moveaxis(expected, -1, 1)
    np.testing.assert_array_equal(ops.pointwise_conv(x, kernel, strides, data_format, bias=bias), expected)


# Rows and images that don't join, pixels left out: as a product of the pixels that are seen, whatever the multiply reads in place.
@pytest.mark.parametrize("shape", [(2, 9, 40, 20), (3, 5, 5, 17), (1, 30, 30, 3), (2, 3, 40, 1)])
@pytest.mark.parametrize("strides", [1, (2, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize(
    "view", [np.s_[:], np.s_[:, 1:], np.s_[:, :, 1:-1], np.s_[::-1, ::-1], np.s_[:, :, ::-2], np.s_[..., ::-1]]
)
@pytest.mark.parametrize("channels_first", [False, True])
def test_pointwise_conv_of_views(shape, strides, view, channels_first):
    x = reference.integers(RNG, shape)[view]
    kernel = reference.integers(RNG, (1, 1, x.shape[-1], 21))
    rows, columns = np.broadcast_to(strides, 2)
    expected = np.einsum("nhwc,cf->nhwf", x[:, ::rows, ::columns], kernel[0, 0])
    if channels_first:
        y = ops.pointwise_conv(np.moveaxis(x, -1, 1), kernel, strides, "channels_first")
        np.testing.assert_array_equal(np.moveaxis(y, 1, -1), expected)
        y = ops.pointwise_conv(np.ascontiguousarray(np.moveaxis(x, -1, 1)), kernel, strides, "channels_first")
        np.testing.assert_array_equal(np.moveaxis(y, 1, -1), expected)
    else:
        np.testing.assert_array_equal(ops.pointwise_conv(x, kernel, strides), expected)


def test_explicit_padding_is_padding_by_hand():
    x, kernel = reference.integers(RNG, (1, 6, 5, 3)), reference.integers(RNG, (3, 3, 3, 1))
    y = ops.depthwise_conv(x, kernel, padding=((2, 0), (1, 3)))
    by_hand = reference.convolve(np.pad(x, ((0, 0), (2, 0), (1, 3), (0, 0))), kernel)
    np.testing.assert_array_equal(y, by_hand)
    y = ops.depthwise_conv(x[:, 0], kernel[0], padding=[[2.0, 1.0]])
    np.testing.assert_array_equal(y, reference.convolve(np.pad(x[:, 0], ((0, 0), (2, 1), (0, 0))), kernel[0]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_compute_in_their_own_dtype(dtype):
    x, kernel = np.ones((1, 4, 4, 2), dtype), np.full((3, 3, 2, 1), 0.5, np.float32)
    y = ops.depthwise_conv(x, kernel)
    assert y.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(y, 4.5)


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">i2"])
def test_integers_compute_in_float32_without_scaling(dtype):
    y = ops.depthwise_conv(np.full((1, 3, 3, 1), 100, dtype), np.ones((3, 3, 1, 1)))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, 900)


def test_float64_keeps_its_digits():
    x = np.array([1.0, 2.0**-40]).reshape(1, 2, 1)
    assert ops.depthwise_conv(x, np.ones((2, 1, 1))).item() == 1.0 + 2.0**-40


def test_a_callable_activation_gets_the_whole_output():
    seen = []

    def double(y):
        seen.append(y.shape)
        return y * 2

    out = np.zeros((1, 3, 3, 1), np.float32)
    assert ops.depthwise_conv(np.ones((1, 4, 4, 1), np.float32), np.ones((2, 2, 1, 1)), activation=double, out=out) is out
    assert seen == [(1, 3, 3, 1)]
    np.testing.assert_array_equal(out, 8)


def test_out_is_written_and_returned():
    x, kernel = np.ones((1, 4, 4, 2), np.float32), np.ones((3, 3, 2, 1))
    out = np.full((1, 2, 2, 2), np.nan, np.float32)
    assert ops.depthwise_conv(x, kernel, out=out) is out
    np.testing.assert_array_equal(out, 9)
    with pytest.raises(ValueError, match="`out`"):
        ops.depthwise_conv(x, kernel, out=np.zeros((1, 2, 2, 3), np.float32))


def test_inputs_may_be_views_and_empty_batches():
    x, kernel = reference.integers(RNG, (2, 8, 9, 6)), reference.integers(RNG, (3, 3, 3, 1))
    view = x[:, ::-1, ::2, ::-2]
    np.testing.assert_array_equal(ops.depthwise_conv(view, kernel), reference.convolve(view, kernel))
    assert ops.depthwise_conv(x[:0, ..., :3], kernel).shape == (0, 6, 7, 3)


def test_the_same_from_many_threads():
    x, kernel = reference.integers(RNG, (1, 8, 9, 3)), [reference.integers(RNG, (3, 3, 3, 1)) for _ in range(4)]
    expected = [reference.convolve(x, k) for k in kernel]
    wrong = []

    def work(i):
        wrong.extend(i for _ in range(50) if not np.array_equal(ops.depthwise_conv(x, kernel[i]), expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


X, D, P = np.ones((1, 5, 5, 2), np.float32), np.ones((3, 3, 2, 1)), np.ones((1, 1, 2, 4))


@pytest.mark.parametrize(
    "argument, call",
    [
        ("depthwise_kernel", lambda: ops.separable_conv(X, np.ones((3, 3)), P)),
        ("depthwise_kernel", lambda: ops.separable_conv(X, np.ones((3, 3, 2, 0)), P)),
        ("pointwise_kernel", lambda: ops.separable_conv(X, D, np.ones((1, 1, 3, 4)))),
        ("pointwise_kernel", lambda: ops.separable_conv(X, D, np.ones((2, 1, 2, 4)))),
        ("pointwise_kernel", lambda: ops.separable_conv(X, D, np.ones((1, 2, 4)))),
        ("kernel", lambda: ops.pointwise_conv(X, np.ones((2, 4)))),
        ("kernel", lambda: ops.depthwise_conv(X, np.ones(3))),
        ("inputs", lambda: ops.depthwise_conv(X[0], D)),
        ("inputs", lambda: ops.depthwise_conv(X[..., :1], D)),
        ("input is too small", lambda: ops.depthwise_conv(X[:, :2], D)),
        ("bias", lambda: ops.depthwise_conv(X, D, bias=np.ones(3))),
        ("depthwise_bias", lambda: ops.separable_conv(X, D, P, depthwise_bias=np.ones(4))),
        ("depthwise_activation", lambda: ops.separable_conv(X, D, P, depthwise_activation="softmax")),
        ("padding", lambda: ops.depthwise_conv(X, D, padding="causal")),
        ("padding", lambda: ops.depthwise_conv(X, D, padding=None)),
        ("padding", lambda: ops.depthwise_conv(X, D, padding=(1, 1, 1))),
        ("padding", lambda: ops.depthwise_conv(X, D, padding=((1, 1), (1, -1)))),
        ("strides", lambda: ops.depthwise_conv(X, D, 0)),
        ("dilation_rate", lambda: ops.depthwise_conv(X, D, dilation_rate=(1, 2, 3))),
        ("data_format", lambda: ops.depthwise_conv(X, D, data_format="nhwc")),
        ("num_threads", lambda: ops.depthwise_conv(X, D, num_threads=0)),
    ],
)
def test_values_that_do_not_fit_are_named(argument, call):
    with pytest.raises(ValueError, match=argument):
        call()


@pytest.mark.parametrize("argument", ["activation", "depthwise_activation"])
@pytest.mark.parametrize("wrong", [5, "nope", "threshold"])
def test_messages_tell_the_two_activations_apart(argument, wrong):
    with pytest.raises((TypeError, ValueError), match=f"^The `{argument}` argument"):
        ops.separable_conv(X, D, P, **{argument: wrong})


@pytest.mark.parametrize("bad", [X > 0, X * 1j, np.ma.masked_array(X), np.array(["a"])])
def test_kinds_that_are_not_real_numbers_are_refused(bad):
    with pytest.raises(TypeError, match="`inputs`"):
        ops.depthwise_conv(bad, D)
    with pytest.raises(TypeError, match="`kernel`"):
        ops.depthwise_conv(X, bad)


def test_a_layer_and_the_function_agree_to_the_bit():
    layer = sepconv.SeparableConv2D(7, 3, strides=2, padding="same", activation="gelu", input_shape=(9, 9, 5))
    x = RNG.standard_normal((2, 9, 9, 5), dtype=np.float32)
    depthwise, pointwise, bias = layer.get_weights()
    y = ops.separable_conv(x, depthwise, pointwise, 2, "same", bias=bias, activation="gelu")
    np.testing.assert_array_equal(y, layer(x))


def test_a_wrong_shape_is_reported_as_a_shape():
    with pytest.raises(ValueError, match=r"`bias` argument must be of shape \(2,\). Received: shape=\(3,\)$"):
        ops.depthwise_conv(X, D, bias=np.ones(3))
    with pytest.raises(ValueError, match=r"of shape \(1, 1, 2, filters\), to fit.*Received: shape=\(1, 1, 3, 4\)$"):
        ops.separable_conv(X, D, np.ones((1, 1, 3, 4)))

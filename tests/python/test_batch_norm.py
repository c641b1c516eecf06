import numpy as np
import pytest
import reference

import sepconv
from sepconv import fold_batch_norm

RNG = np.random.default_rng(3)


def statistics(n):
    return {
        "gamma": RNG.uniform(0.5, 2, n),
        "beta": RNG.standard_normal(n),
        "mean": RNG.standard_normal(n),
        "variance": RNG.uniform(0.1, 3, n),
        "epsilon": 1e-3,
    }


def normalise(y, gamma, beta, mean, variance, epsilon):
    return gamma * (y - mean) / np.sqrt(variance + epsilon) + beta


def relu6(y):
    return np.clip(y, 0, 6)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_a_mobilenet_block_becomes_one_call(multiplier):
    x = RNG.standard_normal((2, 10, 9, 5))
    depthwise, pointwise = RNG.standard_normal((3, 3, 5, multiplier)), RNG.standard_normal((1, 1, 5 * multiplier, 8))
    first, second = statistics(5 * multiplier), statistics(8)
    middle = relu6(normalise(reference.depthwise(x, depthwise, 2, 1, "same"), **first))
    expected = relu6(normalise(middle @ pointwise[0, 0], **second))
    depthwise, depthwise_bias = fold_batch_norm(depthwise, None, **first)
    pointwise, bias = fold_batch_norm(pointwise, None, **second)
    y = sepconv.ops.separable_conv(
        x,
        depthwise,
        pointwise,
        2,
        "same",
        bias=bias,
        activation="relu6",
        depthwise_bias=depthwise_bias,
        depthwise_activation="relu6",
    )
    assert 0.1 < (expected > 0).mean() and 0.1 < (middle > 0).mean()
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def test_a_bias_before_the_normalisation_is_folded_too():
    x, kernel, bias, norm = (
        RNG.standard_normal((1, 4, 4, 3)),
        RNG.standard_normal((1, 1, 3, 6)),
        RNG.standard_normal(6),
        statistics(6),
    )
    folded, folded_bias = fold_batch_norm(kernel, bias, **norm)
    np.testing.assert_allclose(x @ folded[0, 0] + folded_bias, normalise(x @ kernel[0, 0] + bias, **norm), rtol=1e-12)


def test_none_means_no_scale_no_centre_no_bias():
    mean, variance = np.array([1.0, 2.0]), np.array([4.0, 9.0])
    kernel, bias = fold_batch_norm(np.ones((3, 3, 2, 1)), None, None, None, mean, variance, 0)
    np.testing.assert_allclose(kernel[0, 0, :, 0], [1 / 2, 1 / 3])
    np.testing.assert_allclose(bias, [-1 / 2, -2 / 3])


def test_the_depthwise_order_is_channel_then_multiplier():
    kernel, _ = fold_batch_norm(np.ones((1, 1, 2, 3)), None, np.arange(6.0), None, np.zeros(6), np.ones(6), 0)
    np.testing.assert_array_equal(kernel[0, 0], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_is_that_of_the_kernel(dtype):
    kernel, bias = fold_batch_norm(np.ones((1, 1, 2, 3), dtype), None, None, None, np.zeros(3), np.ones(3), 0)
    assert kernel.dtype == bias.dtype == np.dtype(dtype)
    foreign = np.ones((1, 1, 2, 3), np.dtype(dtype).newbyteorder())
    for array in fold_batch_norm(foreign, None, None, None, np.zeros(3), np.ones(3), 0):
        assert array.dtype == np.dtype(dtype) and array.dtype.isnative


K, V = np.ones((3, 3, 4, 2)), np.ones(8)


@pytest.mark.parametrize(
    "error, argument, change",
    [
        (ValueError, "mean", {"mean": np.ones(5)}),
        (ValueError, "mean", {"mean": np.ones((8, 1))}),
        (ValueError, "gamma", {"gamma": np.ones(2)}),
        (ValueError, "bias", {"bias": np.ones(4)}),
        (ValueError, "variance", {"variance": -V}),
        (ValueError, "epsilon", {"epsilon": -1e-3}),
        (ValueError, "epsilon", {"epsilon": True}),
        (ValueError, "kernel", {"kernel": np.ones(4)}),
        (TypeError, "kernel", {"kernel": np.ones((3, 3, 4, 2), int)}),
        (TypeError, "beta", {"beta": V > 0}),
        (TypeError, "mean", {"mean": None}),
        (TypeError, "variance", {"variance": None}),
    ],
)
def test_what_does_not_fit_is_named(error, argument, change):
    good = {"kernel": K, "bias": V, "gamma": V, "beta": V, "mean": V, "variance": V, "epsilon": 1e-3}
    fold_batch_norm(**good)
    with pytest.raises(error, match=f"`{argument}`"):
        fold_batch_norm(**{**good, **change})


def test_a_wrong_shape_is_reported_as_a_shape():
    with pytest.raises(ValueError, match=r"Received: shape=\(2,\)$"):
        fold_batch_norm(K, V, np.ones(2), V, V, V)

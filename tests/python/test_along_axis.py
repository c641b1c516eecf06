import warnings

import ml_dtypes
import numpy as np
import pytest

import sepconv
from sepconv.activations import Softmax, glu, log_softmax, softmax, sparsemax, vjp

X = np.array([-3.0, -1, -0.5, 0, 0.3, 1, 4], np.float32)
RNG = np.random.default_rng(0)


def test_values_of_keras():
    np.testing.assert_allclose(
        softmax(X),
        [0.0008203439065255225, 0.00606156699359417, 0.009993834421038628, 0.01647704839706421, 0.022241687402129173, 0.044789258390665054, 0.8996163010597229],
        rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        log_softmax(X),
        [-7.1057868003845215, -5.1057868003845215, -4.6057868003845215, -4.1057868003845215, -3.8057870864868164, -3.1057870388031006, -0.10578694194555283],
        rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(glu(X[:6]), [-1.5, -0.5744425058364868, -0.36552929878234863], rtol=1e-6)
    m = np.array([[0.1, 0.2, 0.9], [1, 1, 1], [0, 0.5, -2]], np.float32)
    # Not of sum 1, as the definition has it: this is what Keras computes.
    np.testing.assert_allclose(sparsemax(m), [[0, 0, 0.16666662693023682], [0, 0, 0], [0, 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(sparsemax(m, 0), [[0, 0, 0], [0.4500000476837158, 0.25, 0.04999995231628418], [0, 0, 0]], atol=1e-6)
    assert sparsemax(X).tolist() == [0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("axis", [-1, 0, 1, 2, [0, 1], (1, 2), [-1]], ids=repr)
def test_softmax_formulas(axis):
    x = RNG.standard_normal((4, 5, 6)) * 3
    along = tuple(axis) if isinstance(axis, list) else axis
    expected = np.exp(x) / np.exp(x).sum(along, keepdims=True)
    np.testing.assert_allclose(softmax(x, axis), expected, rtol=1e-13)
    np.testing.assert_allclose(log_softmax(x, axis), np.log(expected), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_formula(axis):
    def of_one(z):
        falling = sorted(z, reverse=True)
        kept = [i for i in range(len(z)) if 1 + (i + 1) * falling[i] > sum(falling[: i + 1])]
        return np.maximum(z - (sum(sum(falling[: i + 1]) for i in kept) - 1) / len(kept), 0)

    x = RNG.standard_normal((5, 6, 7)) * 0.7
    y = sparsemax(x, axis)
    np.testing.assert_allclose(y, np.apply_along_axis(of_one, axis, x), atol=1e-12)
    assert 0 < np.count_nonzero(y) < y.size and sparsemax([5.0, 1.0, 2.0]).tolist() == [1, 0, 0]


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_glu_formula(axis):
    x = RNG.standard_normal((4, 6, 8))
    a, b = np.split(x, 2, axis)
    np.testing.assert_allclose(glu(x, axis), a / (1 + np.exp(-b)), rtol=1e-13)


@pytest.mark.parametrize("function", [softmax, log_softmax, sparsemax, glu])
def test_dtypes_and_shapes(function):
    x = RNG.standard_normal((3, 4))
    for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        y = function(x.astype(dtype))
        assert y.dtype == dtype and y.flags.c_contiguous
        np.testing.assert_allclose(y.astype(float), function(x), rtol=0.05, atol=0.02)
    assert function(np.array([[1, 2]])).dtype == np.float32 and function(x.T[:, :2]).shape[0] == 4
    assert function(np.empty((0, 4))).shape[0] == 0 and function(np.empty((3, 0))).size == 0
    for axis in (2, -3, None, 0.5, "a", [0, -2] if function in (softmax, log_softmax) else 2):
        with pytest.raises(ValueError, match="`axis`"):
            function(x, axis=axis)
    with pytest.raises(ValueError, match="`axis`"):
        function(np.float32(1))
    with pytest.raises(TypeError, match="`x`"):
        function(np.ones(2, bool))


def test_one_axis_or_an_even_one():
    for function in (sparsemax, glu):
        with pytest.raises(ValueError, match="`axis`.*single"):
            function(np.ones((2, 2)), [0, 1])
    with pytest.raises(ValueError, match="`x`.*even length"):
        glu(X)


def test_large_numbers_and_nonfinite_ones_are_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert softmax([1e30, 0.0, -1e30]).tolist() == [1, 0, 0] and log_softmax([1000.0, 0.0]).tolist() == [0, -1000]
        assert sparsemax([1e6, 0.0]).tolist() == [1, 0] and softmax([-np.inf, 0.0]).tolist() == [0, 1]
        for function in (softmax, log_softmax, sparsemax, glu):
            assert (
                np.isnan(function([np.nan, 1.0])).any()
                and np.isnan(function([[-np.inf, -np.inf], [1, 1]])[0]).any()
                or function is glu
            )


def formula(x, axis=-1):
    """softmax and log_softmax in float64."""
    d = x.astype(np.float64)
    d = d - d.max(axis, keepdims=True)
    return np.exp(d) / np.exp(d).sum(axis, keepdims=True), d - np.log(np.exp(d).sum(axis, keepdims=True))


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 16, 17, 64, 101, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_columns(columns, dtype):
    x = (RNG.standard_normal((23, columns)) * 5).astype(dtype)
    # The differences, below 64, and sums of columns / 16 + 4 values are rounded; the rest takes a few units.
    unit = np.finfo(dtype).eps / 2 * (2 * 64 + columns / 16 + 16)
    y, logs = softmax(x), log_softmax(x)
    for found, expected in zip((y, logs), formula(x)):
        assert (np.abs(found - expected) <= unit * np.maximum(np.abs(expected), 1 if found is logs else 0)).all()
    assert columns > 1 or ((y == 1).all() and (logs == 0).all())
    # Bits: of a row alone, of another axis, of one in a batch.
    for function, whole in ((softmax, y), (log_softmax, logs)):
        assert np.array_equal(function(x[5]), whole[5]) and np.array_equal(function(x.T, 0), whole.T)
        assert np.array_equal(function(np.stack([x, x], 1), [-1])[:, 1], whole)
        assert np.array_equal(function(x[::-1, ::-1][:, ::-1]), whole[::-1])


def test_the_argument_stays():
    x = RNG.standard_normal((3, 5)).astype(np.float32)
    before = x.copy()
    softmax(x), log_softmax(x, 0), vjp(softmax, x)[1](x)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("function", [softmax, log_softmax])
@pytest.mark.parametrize("columns", [2, 40])
def test_rows_that_are_not_finite(function, columns):
    x = np.zeros((5, columns), np.float32)
    x[0, 1], x[1, 1], x[2], x[3, 1] = np.nan, np.inf, -np.inf, -np.inf
    y = function(x)
    assert np.isnan(y[:3]).all() and not np.isnan(y[3:]).any() and y[3, 1] == (0 if function is softmax else -np.inf)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("maker", [sepconv.SeparableConv2D, sepconv.SeparableConv1D], ids=lambda m: m.__name__)
def test_layers_take_rows_along_the_last_axis(maker, data_format, name):
    shape = (2, 9, 8, 7) if maker is sepconv.SeparableConv2D else (2, 9, 7)
    x = RNG.standard_normal(shape).astype(np.float32)
    layer = maker(7, 3, padding="same", data_format=data_format, activation=name)
    y, function = layer(x), getattr(sepconv.activations, name)
    linear = maker(7, 3, padding="same", data_format=data_format, weights=layer.get_weights())
    expected = function(linear(x), -1)
    assert np.array_equal(y, expected) and np.array_equal(layer(x, num_threads=1), expected)
    out = np.empty_like(y)
    assert layer(x, out) is out and np.array_equal(out, expected)
    wide = np.zeros((*y.shape[:-1], 12), np.float32)
    layer(x, wide[..., :7] if y.shape[-1] == 7 else wide[..., : y.shape[-1]])
    assert np.array_equal(wide[..., : y.shape[-1]], expected) and not wide[..., y.shape[-1] :].any()
    value, pullback = layer.vjp(x)
    dy = RNG.standard_normal(y.shape).astype(np.float32)
    _, before = vjp(function, linear(x))
    assert np.array_equal(value, y) and np.array_equal(pullback(dy).input, linear.vjp(x)[1](before(dy)).input)


def test_layers_take_partial_functions_of_other_axes():
    x = RNG.standard_normal((2, 5, 6, 4)).astype(np.float32)
    plain = sepconv.SeparableConv2D(4, 1)
    linear = plain(x)
    for axis in (-1, 3, 1, [1, 2]):
        layer = sepconv.SeparableConv2D(4, 1, activation=Softmax(axis), weights=plain.get_weights())
        assert np.array_equal(layer(x), softmax(linear, axis))


def test_empty_batches():
    layer = sepconv.SeparableConv2D(4, 1, activation="softmax")
    assert layer(np.empty((0, 5, 6, 4), np.float32)).shape == (0, 5, 6, 4)
    y, pullback = vjp(log_softmax, np.empty((0, 4), np.float32))
    assert pullback(y).shape == (0, 4)

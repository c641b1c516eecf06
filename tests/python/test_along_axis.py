import warnings

import ml_dtypes
import numpy as np
import pytest

from sepconv.activations import glu, log_softmax, softmax, sparsemax

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
    for axis in (2, -3, None, 0.5, "a"):
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

from functools import partial

import numpy as np
import pytest

from sepconv import activations
from sepconv.activations import vjp

X = np.random.default_rng(0).uniform(-5, 5, (6, 8))
FUNCTIONS = [f for f in map(activations.get, activations._NAMES) if f is not activations.threshold]
WITH_PARAMETERS = [
    activations.ReLU(max_value=2, negative_slope=0.1, threshold=0.5),
    partial(activations.relu, negative_slope=-0.5),
    partial(activations.leaky_relu, negative_slope=-0.5),
    activations.ELU(-0.5),
    partial(activations.celu, alpha=-2.0),
    partial(activations.gelu, approximate=True),
    partial(activations.threshold, threshold=1.0, default_value=3.0),
    activations.Softmax(axis=[0, 1]),
    partial(activations.log_softmax, axis=0),
    partial(activations.sparsemax, axis=0),
    partial(activations.glu, axis=0),
]


def slopes(function, x, dy, h=1e-6):
    """Of sum(dy * function(x)), element by element."""
    found = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        found[i] = ((function(x + step) - function(x - step)) * dy).sum() / (2 * h)
    return found


@pytest.mark.parametrize("function", FUNCTIONS + WITH_PARAMETERS, ids=str)
def test_every_activation_is_differentiated(function):
    y, pullback = vjp(function, X)
    assert np.array_equal(y, function(X))
    dy = np.random.default_rng(1).normal(size=y.shape)
    gradient = pullback(dy)
    assert np.allclose(gradient, slopes(function, X, dy), rtol=1e-6, atol=1e-7) and np.array_equal(gradient, pullback(dy))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_narrow_types(function, dtype):
    narrow, wide = vjp(function, X.astype(dtype)), vjp(function, X.astype(dtype).astype("d"))
    assert narrow[0].dtype == dtype
    dy = np.ones(narrow[0].shape, dtype)
    unit = float(np.finfo(dtype).eps)
    found, expected = narrow[1](dy), wide[1](dy)
    assert found.dtype == dtype and np.abs(found - expected).max() <= 8 * unit * max(1, np.abs(expected).max())


def test_flat_at_a_kink():
    gradient = vjp(activations.relu, np.zeros(3))[1](np.full(3, np.inf))
    assert gradient.tolist() == [0, 0, 0]


def test_scalars_lists_and_integers():
    y, pullback = vjp(activations.silu, 0)
    assert y.dtype == np.float32 and y.shape == () and pullback(1.0) == 0.5
    assert vjp(activations.softmax, [0.0, 0.0])[1]([1.0, 0.0]).tolist() == [0.25, -0.25]


def test_what_has_no_derivative_is_named():
    with pytest.raises(TypeError, match=r"vjp\(x\).*Received.*lambda"):
        vjp(lambda x: x, X)
    with pytest.raises(TypeError, match="vjp"):
        vjp(partial(activations.softmax, X), X)

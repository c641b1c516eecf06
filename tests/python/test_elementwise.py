from functools import partial

import ml_dtypes
import numpy as np
import pytest

from sepconv import _core, activations
from sepconv.activations import core_form
from sepconv.activations._elementwise import FUNCTIONS, defaults, form_of

X = np.array([-3.0, -1, -0.5, 0, 0.3, 1, 4], np.float32)

# As Keras 3.15.1 gives them for X.
VALUES = {
    "celu": [-0.9502129554748535, -0.6321205496788025, -0.39346933364868164, 0, 0.30000001192092896, 1, 4],
    "elu": [-0.9502129554748535, -0.6321205496788025, -0.39346933364868164, 0, 0.30000001192092896, 1, 4],
    "exponential": [0.049787066876888275, 0.3678794503211975, 0.6065306663513184, 1, 1.3498588800430298, 2.7182817459106445, 54.598148345947266],
    "gelu": [-0.0040496960282325745, -0.15865527093410492, -0.1542687714099884, 0, 0.1853734254837036, 0.8413447141647339, 3.999873399734497],
    "hard_shrink": [-3, -1, 0, 0, 0, 1, 4],
    "hard_sigmoid": [0, 0.3333333432674408, 0.4166666865348816, 0.5, 0.550000011920929, 0.6666666865348816, 1],
    "hard_silu": [0, -0.3333333432674408, -0.2083333432674408, 0, 0.16500000655651093, 0.6666666865348816, 4],
    "hard_tanh": [-1, -1, -0.5, 0, 0.30000001192092896, 1, 1],
    "leaky_relu": [-0.6000000238418579, -0.20000000298023224, -0.10000000149011612, 0, 0.30000001192092896, 1, 4],
    "linear": [-3, -1, -0.5, 0, 0.30000001192092896, 1, 4],
    "log_sigmoid": [-3.0485873222351074, -1.3132617473602295, -0.9740769863128662, -0.6931471824645996, -0.554355263710022, -0.3132616877555847, -0.018149929121136665],
    "mish": [-0.14564745128154755, -0.3034014403820038, -0.22074377536773682, 0, 0.20800136029720306, 0.8650984764099121, 3.99741268157959],
    "relu": [0, 0, 0, 0, 0.30000001192092896, 1, 4],
    "relu6": [0, 0, 0, 0, 0.30000001192092896, 1, 4],
    "selu": [-1.670568823814392, -1.1113307476043701, -0.6917582154273987, 0, 0.3152103126049042, 1.0507010221481323, 4.202804088592529],
    "sigmoid": [0.04742587357759476, 0.2689414322376251, 0.3775406777858734, 0.5, 0.5744425058364868, 0.7310585975646973, 0.9820137619972229],
    "silu": [-0.14227762818336487, -0.2689414322376251, -0.1887703388929367, 0, 0.172332763671875, 0.7310585975646973, 3.9280550479888916],
    "soft_shrink": [-2.5, -0.5, 0, 0, 0, 0.5, 3.5],
    "softplus": [0.04858735203742981, 0.3132616877555847, 0.4740769863128662, 0.6931471824645996, 0.8543552756309509, 1.3132617473602295, 4.0181498527526855],
    "softsign": [-0.75, -0.5, -0.3333333432674408, 0, 0.23076924681663513, 0.5, 0.800000011920929],
    "sparse_plus": [0, 0, 0.0625, 0.25, 0.42249995470046997, 1, 4],
    "sparse_sigmoid": [0, 0, 0.25, 0.5, 0.6499999761581421, 1, 1],
    "squareplus": [0.30277562141418457, 0.6180340051651001, 0.7807763814926147, 1, 1.1611874103546143, 1.6180340051651, 4.236067771911621],
    "tanh": [-0.9950547218322754, -0.7615941762924194, -0.46211716532707214, 0, 0.2913126051425934, 0.7615941762924194, 0.9993292093276978],
    "tanh_shrink": [-2.0049452781677246, -0.23840582370758057, -0.037882834672927856, 0, 0.008687406778335571, 0.23840582370758057, 3.000670909881592],
}  # fmt: skip

# With parameters: the call, and what Keras gives.
PARAMETERS = [
    (partial(activations.relu, negative_slope=0.25, max_value=2.0, threshold=0.5), [-0.875, -0.375, -0.25, -0.125, -0.05, 1, 2]),
    (partial(activations.relu, max_value=0.25, threshold=0.3), [0, 0, 0, 0, 0, 0.25, 0.25]),
    (partial(activations.relu, negative_slope=0.5, max_value=0.25, threshold=1.0), [-2, -1, -0.75, -0.5, -0.35, 0, 0.25]),
    (partial(activations.relu, max_value=1.0, threshold=1.0), [0, 0, 0, 0, 0, 0, 1]),
    (partial(activations.relu, max_value=2), [0, 0, 0, 0, 0.3, 1, 2]),
    (partial(activations.relu, negative_slope=0.25), [-0.75, -0.25, -0.125, 0, 0.3, 1, 4]),
    (partial(activations.relu, threshold=1.0), [0, 0, 0, 0, 0, 0, 4]),
    (partial(activations.leaky_relu, negative_slope=0.5), [-1.5, -0.5, -0.25, 0, 0.3, 1, 4]),
    (partial(activations.gelu, approximate=True), [-0.0036373436, -0.1588079631, -0.1542859972, 0, 0.1853709221, 0.8411920071, 3.9999299049]),
    (partial(activations.threshold, threshold=0.5, default_value=-1.0), [-1, -1, -1, -1, -1, 1, 4]),
    (partial(activations.celu, alpha=0.7), [-0.6903653145, -0.5322442651, -0.3573208451, 0, 0.3, 1, 4]),
    (partial(activations.elu, alpha=0.7), [-0.6651490331, -0.4424843788, -0.2754285336, 0, 0.3, 1, 4]),
    (partial(activations.squareplus, b=1), [0.0811388493, 0.2071067691, 0.3090170026, 0.5, 0.6720153093, 1.2071068287, 4.0615530014]),
    (partial(activations.soft_shrink, threshold=1), [-2, 0, 0, 0, 0, 0, 3]),
    (partial(activations.hard_shrink, threshold=1), [-3, 0, 0, 0, 0, 0, 4]),
]  # fmt: skip


def test_every_function_has_its_values():
    assert {f.__name__ for f in FUNCTIONS} == {*VALUES, "threshold"}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    y = getattr(activations, name)(X)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, VALUES[name], rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("function, expected", PARAMETERS, ids=lambda v: str(getattr(v, "keywords", "")))
def test_values_with_parameters(function, expected):
    np.testing.assert_allclose(function(X), expected, rtol=2e-6, atol=2e-7)
    work = X.copy()
    _core.activate(work, *core_form(function))
    assert np.array_equal(work, function(X))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_dtypes_that_stay(dtype):
    for name in ("tanh", "relu", "softplus"):
        x = X.astype(dtype)
        y = getattr(activations, name)(x)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(y.astype(float), VALUES[name], rtol=1e-2, atol=1e-3)


def test_other_arrays():
    for x in (np.array([-1, 2], np.int64), np.array([-1, 2], np.int8), np.array([-1, 2], ">f4")):
        assert activations.relu(x).tolist() == [0, 2] and activations.relu(x).dtype == np.float32
    assert activations.relu([-1.0, 2.0]).dtype == np.float64
    view = np.arange(-6.0, 6).reshape(3, 4).T[::-1]
    kept = view.copy()
    assert np.array_equal(activations.relu(view), np.maximum(view, 0)) and np.array_equal(view, kept)
    assert not np.shares_memory(activations.linear(X), X) and np.array_equal(activations.linear(X), X)
    assert activations.tanh(0.5).shape == () and activations.relu(np.empty((0, 3))).shape == (0, 3)
    for wrong in (np.ones(2, bool), np.ones(2, complex), "x", None, np.ma.ones(2)):
        with pytest.raises(TypeError, match="`x`"):
            activations.relu(wrong)


def test_forms():
    assert core_form(activations.relu) == ("relu", ()) and core_form(activations.relu6) == ("relu6", ())
    assert core_form(activations.linear) == ("linear", ()) and core_form(activations.elu) == ("elu", (1.0,))
    assert core_form(partial(activations.relu, max_value=None)) == ("relu", ())
    assert core_form(partial(activations.relu, max_value=float("inf"))) == ("relu", ())
    assert core_form(partial(activations.relu, max_value=6)) == ("relu6", ())
    assert core_form(partial(activations.relu, max_value=6, threshold=1)) == ("relu", (0.0, 6.0, 1.0))
    assert core_form(partial(activations.relu, negative_slope=0.5)) == ("relu", (0.5, float("inf"), 0.0))
    assert core_form(partial(activations.gelu, approximate=True)) == ("gelu_tanh", ())
    assert core_form(partial(activations.gelu, approximate=False)) == ("gelu", ()) == core_form(activations.gelu)
    assert core_form(partial(activations.threshold, threshold=1, default_value=2)) == ("threshold", (1.0, 2.0))


def test_every_form_is_one_that_the_core_has():
    for function in FUNCTIONS:
        given = {"threshold": 0.5, "default_value": 0.0} if function is activations.threshold else {}
        _core.activate(X.copy(), *form_of(function, given))


def test_what_the_core_does_not_know():
    def relu(x):
        return x

    for function in (activations.softmax, activations.glu, relu, lambda x: x, np.tanh, X.sum, partial(activations.softmax, axis=0)):
        assert core_form(function) is None
    assert core_form(partial(relu)) is None and core_form(partial(activations.elu, 0.5)) is None and core_form([]) is None


@pytest.mark.parametrize(
    "function, name",
    [
        (partial(activations.elu, alpha="a"), "alpha"),
        (partial(activations.celu, alpha=None), "alpha"),
        (partial(activations.relu, max_value=-1), "max_value"),
        (partial(activations.relu, threshold=-1), "threshold"),
        (partial(activations.relu, negative_slope=float("nan")), "negative_slope"),
        (partial(activations.gelu, approximate=1), "approximate"),
        (partial(activations.threshold, threshold=1), "default_value"),
        (partial(activations.tanh, bogus=1), "bogus"),
    ],
)
def test_bad_parameters_are_refused_by_name(function, name):
    with pytest.raises((ValueError, TypeError), match=f"`{name}`"):
        core_form(function)
    with pytest.raises((ValueError, TypeError), match=name):
        function(X)


def test_threshold_alone_is_refused():
    with pytest.raises(ValueError, match="`threshold`"):
        core_form(activations.threshold)


def test_defaults_are_those_of_the_signature():
    assert defaults(activations.relu) == {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}
    assert defaults(activations.tanh) == {} and defaults(activations.threshold) == {"threshold": None, "default_value": None}

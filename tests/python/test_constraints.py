import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

from sepconv import DepthwiseConv2D, constraints
from sepconv.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, deserialize, get, serialize

W = np.array([[3.0, -1.0], [4.0, 0.5]], np.float32)


@pytest.mark.parametrize(
    "constraint, expected",
    [
        # As Keras 3.15.1 gives them.
        (MaxNorm(), [[1.2000000476837158, -0.9999998807907104], [1.600000023841858, 0.4999999403953552]]),
        (MaxNorm(1, [0, 1]), [[0.5855400562286377, -0.1951800137758255], [0.780720055103302, 0.09759000688791275]]),
        (NonNeg(), [[3.0, 0.0], [4.0, 0.5]]),
        (UnitNorm(), [[0.6000000238418579, -0.8944270610809326], [0.800000011920929, 0.4472135305404663]]),
        (UnitNorm(1), [[0.9486832618713379, -0.3162277638912201], [0.9922778606414795, 0.12403473258018494]]),
        (MinMaxNorm(), [[0.6000000238418579, -0.8944270610809326], [0.800000011920929, 0.4472135305404663]]),
        (MinMaxNorm(2, 3, 0.5, 1), [[2.923024892807007, -0.974341630935669], [3.488416910171509, 0.4360521137714386]]),
        (Constraint(), [[3.0, -1.0], [4.0, 0.5]]),
    ],
    ids=repr,
)
def test_values(constraint, expected):
    y = constraint(W)
    assert y.dtype == np.float32 and y.shape == W.shape
    np.testing.assert_allclose(y, expected, rtol=3e-7)


@pytest.mark.parametrize("dtype", ["float16", "float64", ml_dtypes.bfloat16])
def test_the_dtype_stays(dtype):
    w = W.astype(dtype)
    for constraint in (MaxNorm(), NonNeg(), UnitNorm(), MinMaxNorm()):
        assert constraint(w).dtype == w.dtype
        np.testing.assert_allclose(constraint(w).astype(float), constraint(W), rtol=1e-2)


def test_formulas_over_the_axes_of_a_kernel():
    w = np.random.default_rng(0).standard_normal((3, 3, 4, 2))
    norms = np.sqrt((w**2).sum((0, 1, 2), keepdims=True))
    axis = [0, 1, 2]
    np.testing.assert_allclose(MaxNorm(1.5, axis)(w), w * np.minimum(norms, 1.5) / (1e-7 + norms), rtol=1e-14)
    np.testing.assert_allclose(UnitNorm(tuple(axis))(w), w / (1e-7 + norms), rtol=1e-14)
    wanted = 0.25 * np.clip(norms, 7, 9) + 0.75 * norms
    np.testing.assert_allclose(MinMaxNorm(7, 9, 0.25, axis)(w), w * wanted / (1e-7 + norms), rtol=1e-14)
    np.testing.assert_allclose(UnitNorm(-1)(w), w / (1e-7 + np.linalg.norm(w, axis=-1, keepdims=True)), rtol=1e-14)
    assert not UnitNorm(axis)(w * 0).any()


WRITTEN = [
    (MaxNorm(), "MaxNorm", {"max_value": 2, "axis": 0}),
    (MaxNorm(1.5, (0, 1, 2)), "MaxNorm", {"max_value": 1.5, "axis": [0, 1, 2]}),
    (NonNeg(), "NonNeg", {}),
    (UnitNorm(-1), "UnitNorm", {"axis": -1}),
    (MinMaxNorm(), "MinMaxNorm", {"min_value": 0.0, "max_value": 1.0, "rate": 1.0, "axis": 0}),
    (Constraint(), "Constraint", {}),
]


@pytest.mark.parametrize("constraint, name, config", WRITTEN, ids=repr)
def test_written_forms_come_back(constraint, name, config):
    written = serialize(constraint)
    assert written == {"module": "keras.constraints", "class_name": name, "config": config, "registered_name": None}
    assert list(written) == ["module", "class_name", "config", "registered_name"] and list(written["config"]) == list(config)
    copies = [get(written), deserialize(written), copy.deepcopy(constraint), pickle.loads(pickle.dumps(constraint))]
    copies += [eval(repr(constraint), vars(constraints)), get({"class_name": name, "config": config}), get(constraint)]
    for other in copies:
        assert type(other) is type(constraint) and serialize(other) == written


@pytest.mark.parametrize("cls", [MaxNorm, NonNeg, UnitNorm, MinMaxNorm, Constraint])
def test_names(cls):
    snake = {MaxNorm: "max_norm", NonNeg: "non_neg", UnitNorm: "unit_norm", MinMaxNorm: "min_max_norm", Constraint: "constraint"}[
        cls
    ]
    assert type(get(snake)) is type(get(cls.__name__)) is type(deserialize(snake)) is type(get(cls)) is cls
    assert getattr(constraints, snake, cls) is cls


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: MaxNorm(-1), "max_value"),
        (lambda: MaxNorm("1"), "max_value"),
        (lambda: MaxNorm(1, None), "axis"),
        (lambda: UnitNorm(0.5), "axis"),
        (lambda: UnitNorm([]), "axis"),
        (lambda: MinMaxNorm(-1), "min_value"),
        (lambda: MinMaxNorm(2, 1), "max_value"),
        (lambda: MinMaxNorm(rate=1.5), "rate"),
        (lambda: MinMaxNorm(rate=float("nan")), "rate"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        make()


def twice(w):
    return w * 2


def test_a_function_is_checked_when_it_is_called():
    constraint = get(twice)
    assert np.array_equal(constraint(W), W * 2) and get(constraint) is constraint and repr(constraint) == repr(twice)
    assert serialize(constraint)["config"] == "twice"
    for other in (
        pickle.loads(pickle.dumps(constraint)),
        copy.deepcopy(constraint),
        deserialize(serialize(constraint), {"twice": twice}),
    ):
        assert other.function is twice
    for wrong in (lambda w: w[:1], lambda w: w.sum(), lambda w: w > 0, lambda w: w * 1j, lambda w: None):
        with pytest.raises(ValueError, match=r"`constraint`.*shape of its argument, \(2, 2\). Received: .*lambda"):
            get(wrong)(W)


def test_in_a_layer():
    layer = DepthwiseConv2D(1, depthwise_constraint=twice, bias_constraint="non_neg", input_shape=(2, 2, 2))
    kernel, bias = layer.weights
    before = kernel.numpy()
    kernel.assign(kernel.constraint(kernel))
    bias.assign([1, -1])
    bias.assign(bias.constraint(bias))
    assert np.array_equal(kernel, before * 2) and bias.numpy().tolist() == [1, 0]
    assert layer.get_config()["depthwise_constraint"]["config"] == "twice"
    assert "twice" in repr(layer)
    with pytest.raises(ValueError, match="`bias_constraint` argument: the constraint 'NonNegative' is not known"):
        DepthwiseConv2D(1, bias_constraint="NonNegative")


@pytest.mark.parametrize("axis", [2, -3, [0, 0], [0, 5]])
def test_an_axis_that_the_weight_lacks_is_named(axis):
    for constraint in (MaxNorm(1, axis), UnitNorm(axis), MinMaxNorm(axis=axis)):
        with pytest.raises(ValueError, match=r"`axis` argument .*\(2, 2\). Received: axis="):
            constraint(W)

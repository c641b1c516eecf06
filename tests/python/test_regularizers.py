import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

from sepconv import DepthwiseConv2D, regularizers
from sepconv.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer, deserialize, get, serialize

W = np.array([[3.0, -1.0], [4.0, 0.5]], np.float32)


@pytest.mark.parametrize(
    "regularizer, loss",
    [
        # As Keras 3.15.1 gives them.
        (L1(0.1), 0.8500000238418579),
        (L2(0.1), 2.625),
        (L1L2(0.1, 0.2), 6.099999904632568),
        (OrthogonalRegularizer(0.1), 0.09021341055631638),
        (OrthogonalRegularizer(0.1, "columns"), 0.017888544127345085),
        (L1L2(), 0.0),
        (Regularizer(), 0.0),
    ],
    ids=repr,
)
def test_losses(regularizer, loss):
    assert regularizer(W) == pytest.approx(loss, rel=1e-6) and type(regularizer(W)) is float
    assert regularizer(W.astype(ml_dtypes.bfloat16)) == regularizer(W.tolist()) == regularizer(W)


def test_formulas():
    x = np.random.default_rng(0).standard_normal((5, 3, 2))
    assert L1(0.3)(x) == pytest.approx(0.3 * np.abs(x).sum()) and L2(0.3)(x) == pytest.approx(0.3 * (x**2).sum())
    assert L1L2(0.3, 0.7)(x) == pytest.approx(0.3 * np.abs(x).sum() + 0.7 * (x**2).sum())
    m = x.reshape(5, 6)
    unit = m / np.linalg.norm(m, axis=1, keepdims=True)
    pairs = [abs(unit[i] @ unit[j]) for i in range(5) for j in range(i)]
    assert OrthogonalRegularizer(0.3)(m) == pytest.approx(0.3 * np.mean(pairs))
    assert OrthogonalRegularizer(0.3, "columns")(m.T) == pytest.approx(0.3 * np.mean(pairs))


def test_sums_do_not_overflow_their_dtype():
    assert L2(1.0)(np.full(1000, 200, np.float16)) == 1000 * 200**2


def test_orthogonality_of_one_row_or_none_is_0():
    assert OrthogonalRegularizer()(np.ones((1, 3))) == 0 and OrthogonalRegularizer()(np.ones((0, 3))) == 0
    assert OrthogonalRegularizer()(np.zeros((2, 2))) == 0
    for shape in ((3,), (1, 2, 3)):
        with pytest.raises(ValueError, match="must be given a matrix. Received: shape="):
            OrthogonalRegularizer()(np.ones(shape))


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "0.1", True, [0.1], 1j], ids=repr)
def test_bad_factors_are_refused_by_name(wrong):
    for make, name in ((L1, "l1"), (L2, "l2"), (L1L2, "l1"), (lambda v: L1L2(l2=v), "l2"), (OrthogonalRegularizer, "factor")):
        with pytest.raises(ValueError, match=f"`{name}`.*at least 0. Received"):
            make(wrong)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="`mode`.*'columns'"):
        OrthogonalRegularizer(0.1, "both")
    with pytest.raises(TypeError, match="`x`"):
        L1()(np.ones(2, bool))
    assert L1(None).l1 == L2(None).l2 == 0.01 and L1L2(None, None).get_config() == {"l1": 0.0, "l2": 0.0}
    assert type(L1(1).l1) is float and L1(np.float32(0.5)).l1 == 0.5


WRITTEN = [
    (L1(), "L1", {"l1": 0.01}),
    (L2(0.5), "L2", {"l2": 0.5}),
    (L1L2(0.1, 0.2), "L1L2", {"l1": 0.1, "l2": 0.2}),
    (OrthogonalRegularizer(), "OrthogonalRegularizer", {"factor": 0.01, "mode": "rows"}),
    (OrthogonalRegularizer(1, "columns"), "OrthogonalRegularizer", {"factor": 1.0, "mode": "columns"}),
]


@pytest.mark.parametrize("regularizer, name, config", WRITTEN, ids=repr)
def test_written_forms_come_back(regularizer, name, config):
    written = serialize(regularizer)
    assert written == {"module": "keras.regularizers", "class_name": name, "config": config, "registered_name": None}
    assert list(written) == ["module", "class_name", "config", "registered_name"] and list(written["config"]) == list(config)
    copies = [get(written), deserialize(written), copy.deepcopy(regularizer), pickle.loads(pickle.dumps(regularizer))]
    copies += [eval(repr(regularizer), vars(regularizers)), get({"class_name": name, "config": config})]
    for other in copies:
        assert type(other) is type(regularizer) and serialize(other) == written


@pytest.mark.parametrize(
    "name, expected",
    [("l1", L1()), ("L1", L1()), ("l2", L2()), ("L2", L2()), ("l1_l2", L1L2(0.01, 0.01)), ("l1l2", L1L2()), ("L1L2", L1L2()),
     ("orthogonal_regularizer", OrthogonalRegularizer()), ("OrthogonalRegularizer", OrthogonalRegularizer()), ("regularizer", Regularizer())],
)  # fmt: skip
def test_names(name, expected):
    assert serialize(get(name)) == serialize(expected) == serialize(deserialize(name)) == serialize(get(expected))


def test_l1_l2_may_be_ones_own():
    def l1_l2(x):
        return 0.0

    assert deserialize("l1_l2", {"l1_l2": l1_l2}) is l1_l2


def test_public_names():
    assert regularizers.l1 is L1 and regularizers.l2 is L2 and regularizers.l1_l2 is L1L2
    assert regularizers.orthogonal_regularizer is OrthogonalRegularizer
    assert all(hasattr(regularizers, name) for name in regularizers.__all__)


def test_in_a_layer():
    layer = DepthwiseConv2D(1, depthwise_regularizer="l1_l2", bias_regularizer=lambda b: b.sum(), input_shape=(2, 2, 2))
    layer.set_weights([np.full((1, 1, 2, 1), 2.0), np.array([1.0, 3.0])])
    assert layer.losses == [pytest.approx(0.01 * 4 + 0.01 * 8), pytest.approx(4)]
    with pytest.raises(ValueError, match="`depthwise_regularizer` argument: the regularizer 'l3' is not known"):
        DepthwiseConv2D(1, depthwise_regularizer="l3")


@pytest.mark.parametrize(
    "regularizer",
    [L1(0.3), L2(0.2), L1L2(0.1, 0.2), OrthogonalRegularizer(0.5), OrthogonalRegularizer(0.5, "columns"), Regularizer()],
    ids=repr,
)
def test_gradients_are_the_slopes(regularizer):
    x = np.random.default_rng(0).normal(size=(4, 3))
    loss, pullback = regularizer.vjp(x)
    expected = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        expected[i] = (regularizer(x + step) - regularizer(x - step)) / 2e-6
    assert loss == regularizer(x) and np.allclose(pullback(1.0), expected, atol=1e-8)
    assert np.allclose(pullback(2.0), 2 * expected, atol=2e-8)


def test_gradients_at_kinks_and_of_few_rows():
    assert L1(1).vjp([0.0, -2.0])[1](1.0).tolist() == [0, -1]
    for matrix in ([[1.0, 2.0]], np.zeros((2, 2))):
        assert not OrthogonalRegularizer(1.0).vjp(matrix)[1](1.0).any()

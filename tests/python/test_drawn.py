import math

import numpy as np
import pytest

from sepconv import initializers
from sepconv.initializers import (
    GlorotUniform,
    HeNormal,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    get,
)
from sepconv.initializers._drawn import _fans

SHAPE = (3, 3, 40, 60)
INPUTS, OUTPUTS = 360, 540


def test_fans():
    assert _fans((3, 3, 32, 1), None, None) == (288, 9) and _fans((1, 1, 32, 64), None, None) == (32, 64)
    assert _fans((5, 7), None, None) == (5, 7) and _fans((6,), None, None) == (6, 6) and _fans((), None, None) == (1, 1)
    assert _fans((30, 40, 7), [0], [1]) == (30, 40) and _fans((30, 40, 7), [0, -1], []) == (210, 1)
    assert _fans((30, 40, 7), [0], None) == (30 * 40, 30 * 7)


@pytest.mark.parametrize(
    "name, limit",
    [("glorot_uniform", 6 / (INPUTS + OUTPUTS)), ("he_uniform", 6 / INPUTS), ("lecun_uniform", 3 / INPUTS)],
)
def test_uniform_limits(name, limit):
    y = get({"class_name": name, "config": {"seed": 1}})(SHAPE, "float64")
    limit = math.sqrt(limit)
    assert (
        0.999 * limit < np.abs(y).max() <= limit
        and abs(y.std() - limit / math.sqrt(3)) < 0.01 * limit
        and abs(y.mean()) < 0.01 * limit
    )


@pytest.mark.parametrize(
    "name, variance",
    [
        ("glorot_normal", 2 / (INPUTS + OUTPUTS)),
        ("he_normal", 2 / INPUTS),
        ("lecun_normal", 1 / INPUTS),
        ("variance_scaling", 1 / INPUTS),
    ],
)
def test_truncated_deviations(name, variance):
    y = get({"class_name": name, "config": {"seed": 1}})(SHAPE, "float64")
    deviation = math.sqrt(variance)
    assert abs(y.std() - deviation) < 0.02 * deviation and abs(y.mean()) < 0.02 * deviation
    assert 1.9 * deviation / 0.8796 < np.abs(y).max() <= 2 * deviation / 0.87962566103423978


def test_variance_scaling():
    y = VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1)(SHAPE, "float64")
    assert abs(y.std() - math.sqrt(2 / OUTPUTS)) < 0.001 and np.abs(y).max() > 3 * math.sqrt(2 / OUTPUTS)
    y = VarianceScaling(2.0, "fan_avg", "uniform", seed=1, input_axes=[0], output_axes=[1])((30, 40, 7))
    assert 0.99 * math.sqrt(6 / 35) < np.abs(y).max() <= math.sqrt(6 / 35) * (1 + 1e-6)
    # What has no inputs counts as one.
    assert VarianceScaling(1.0, "fan_out")((4, 0)).shape == (4, 0)
    assert VarianceScaling(distribution="NORMAL").distribution == "truncated_normal"


def test_plain_distributions():
    y = RandomNormal(2.0, 0.5, seed=1)(SHAPE, "float64")
    assert abs(y.mean() - 2) < 0.02 and abs(y.std() - 0.5) < 0.02 and np.abs(y - 2).max() > 1.5
    y = TruncatedNormal(2.0, 0.5, seed=1)(SHAPE, "float64")
    assert abs(y.mean() - 2) < 0.02 and abs(y.std() - 0.5 * 0.87962566) < 0.02 and 0.99 < np.abs(y - 2).max() <= 1
    y = RandomUniform(-1, 3, seed=1)(SHAPE, "float64")
    assert -1 <= y.min() < -0.99 and 2.99 < y.max() < 3 and abs(y.mean() - 1) < 0.04


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (3, 2, 4), (3, 3, 2, 40)])
def test_orthogonal(shape):
    y = Orthogonal(2.0)(shape, "float64").reshape(-1, shape[-1])
    y = y if y.shape[0] >= y.shape[1] else y.T
    np.testing.assert_allclose(y.T @ y, 4 * np.eye(y.shape[1]), atol=1e-12)
    assert Orthogonal()((2, 0)).shape == (2, 0)
    with pytest.raises(ValueError, match="`shape`.*two axes"):
        Orthogonal()((3,))


def test_orthogonal_matrices_of_both_signs_are_equally_likely():
    corner = [Orthogonal(seed=i)((2, 2))[0, 0] for i in range(400)]
    assert abs(np.mean(np.sign(corner))) < 0.2


DRAWN = [c for c in vars(initializers).values() if isinstance(c, type) and issubclass(c, initializers.RandomInitializer)]


@pytest.mark.parametrize("cls", sorted(set(DRAWN) - {initializers.RandomInitializer}, key=lambda c: c.__name__))
def test_seeds(cls):
    same, anew = cls(seed=3), cls()
    assert np.array_equal(same((4, 5)), same((4, 5))) and np.array_equal(same((4, 5)), cls(seed=3.0)((4, 5)))
    assert not np.array_equal(same((4, 5)), cls(seed=4)((4, 5))) and not np.array_equal(anew((4, 5)), anew((4, 5)))
    assert np.array_equal(same((4, 5)), same((4, 5), "float64").astype(np.float32))
    a, b = cls(seed=np.random.default_rng(1)), cls(seed=np.random.default_rng(1))
    first = a((4, 5))
    assert np.array_equal(first, b((4, 5))) and not np.array_equal(first, a((4, 5))) and a.get_config()["seed"] is None
    for wrong in ("1", True, 2.5, [1], np.random.RandomState(1), {}, {"class_name": "SeedGenerator"}):
        with pytest.raises(ValueError, match="`seed`.*Generator. Received"):
            cls(seed=wrong)


def test_a_seed_generator_of_keras():
    seed = {
        "module": "keras.random",
        "class_name": "SeedGenerator",
        "config": {"seed": 3, "name": "seed_generator"},
        "registered_name": None,
    }
    config = {"class_name": "HeNormal", "config": {"seed": seed, "input_axes": None, "output_axes": None}}
    a, b = get(config), get(config)
    first = a((4, 5))
    assert np.array_equal(first, b((4, 5))) and not np.array_equal(first, a((4, 5))) and a.get_config()["seed"] == seed


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: RandomNormal("0"), "mean"),
        (lambda: RandomNormal(0, -1), "stddev"),
        (lambda: TruncatedNormal(stddev=float("nan")), "stddev"),
        (lambda: RandomUniform(1, 0), "maxval"),
        (lambda: RandomUniform(None), "minval"),
        (lambda: VarianceScaling(0), "scale"),
        (lambda: VarianceScaling(-1), "scale"),
        (lambda: VarianceScaling(mode="fan"), "mode"),
        (lambda: VarianceScaling(distribution="cauchy"), "distribution"),
        (lambda: GlorotUniform(input_axes=1), "input_axes"),
        (lambda: GlorotUniform(output_axes=[0.5]), "output_axes"),
        (lambda: HeNormal(input_axes=[0], output_axes=[2])((3, 4)), "output_axes"),
        (lambda: Orthogonal(None), "gain"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        make()

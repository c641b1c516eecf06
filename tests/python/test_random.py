import threading

import numpy as np
import pytest

import sepconv
from sepconv import _random


def draw(seed=None):
    return _random.generator(seed).standard_normal(5).tolist()


def test_no_seed_draws_anew_and_set_random_seed_fixes_it():
    assert draw() != draw()
    runs = []
    for _ in range(2):
        sepconv.set_random_seed(7)
        runs.append([draw(), draw(), draw(3)])
    assert runs[0] == runs[1] and runs[0][0] != runs[0][1]
    sepconv.set_random_seed(8)
    assert draw() != runs[0][0]


def test_it_starts_without_a_seed(monkeypatch):
    monkeypatch.setattr(_random, "_sequence", None)
    first = draw()
    monkeypatch.setattr(_random, "_sequence", None)
    assert draw() != first


def test_an_integer_gives_the_same_values():
    assert draw(3) == draw(3) == draw(np.int64(3)) == draw(3.0) != draw(4)
    assert draw(-3) == draw(-3) != draw(3)
    assert draw(2**70) != draw(2**70 + 1)


def test_numpys_own_state_is_left_alone():
    np.random.seed(1)
    expected = np.random.random(3).tolist()
    np.random.seed(1)
    sepconv.set_random_seed(5)
    first = draw()
    assert np.random.random(3).tolist() == expected
    np.random.seed(2)
    sepconv.set_random_seed(5)
    assert draw() == first


@pytest.mark.parametrize("seed", [None, -1, 2.5, "1", True, [1]], ids=repr)
def test_bad_seeds_are_refused_by_name(seed):
    with pytest.raises(ValueError, match="`seed`.*Received"):
        sepconv.set_random_seed(seed)


def test_threads_get_values_of_their_own():
    sepconv.set_random_seed(1)
    expected = {tuple(draw()) for _ in range(400)}
    sepconv.set_random_seed(1)
    found = []
    threads = [threading.Thread(target=lambda: found.extend(tuple(draw()) for _ in range(50))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    # Which thread gets which is chance; together they are those of a single one.
    assert len(found) == 400 and set(found) == expected


def test_the_truncated_normal_distribution():
    values = _random.truncated(_random.generator(1), (200, 1000))
    assert values.shape == (200, 1000) and np.abs(values).max() <= 2
    assert abs(values.std() - 0.87962566103423978) < 0.005 and abs(values.mean()) < 0.01
    # A clipped one would have its mass at the ends.
    assert np.count_nonzero(np.abs(values) > 1.999) < 200
    assert _random.truncated(_random.generator(1), ()).shape == () and _random.truncated(_random.generator(1), (0, 3)).shape == (
        0,
        3,
    )

import copy
import pickle
import threading

import ml_dtypes
import numpy as np
import pytest

from sepconv.variables import Store, Variable, assign_all


@pytest.fixture
def v():
    return Variable(np.array([1.0, 2.0], np.float32), name="bias", path="layer/bias")


def test_what_it_tells(v):
    assert (v.name, v.path, v.shape, v.dtype, v.ndim, v.size, v.trainable) == ("bias", "layer/bias", (2,), np.float32, 1, 2, True)
    assert v.regularizer is None and v.constraint is None and v.dtype == "float32"
    assert "layer/bias" in repr(v) and "(2,)" in repr(v) and "float32" in repr(v)
    assert len(v) == 2 and v[1] == 2
    assert Variable(np.zeros((2, 3)), name="k").path == "k"


@pytest.mark.parametrize("read", [lambda v: v.numpy(), lambda v: v.value, np.asarray, lambda v: v[:]])
def test_reading_gives_what_nobody_can_write(v, read):
    array = read(v)
    with pytest.raises(ValueError):
        array[0] = 5
    with pytest.raises(ValueError):
        array.setflags(write=True)
    array.shape = (2, 1)  # changes the reader's own view only
    assert v.shape == (2,) and v.numpy()[0] == 1


def test_a_value_read_stays_as_it_was(v):
    old = v.numpy()
    v.assign([5, 6])
    assert old.tolist() == [1, 2] and v.numpy().tolist() == [5, 6]


def test_the_variable_keeps_no_hold_of_what_was_assigned(v):
    given = np.array([3.0, 4.0], np.float32)
    v.assign(given)
    given[:] = 0
    assert v.numpy().tolist() == [3, 4]


def test_array_protocol(v):
    assert np.asarray(v, np.float64).dtype == np.float64
    assert v.__array__(copy=True).flags.writeable
    with pytest.raises(ValueError, match="without a copy"):
        v.__array__(np.float64, copy=False)
    assert v.__array__(np.float32, copy=False).base is not None
    assert np.array(v).flags.writeable


def test_assignments(v):
    assert v.assign(np.array([3, 4])).tolist() == [3, 4]
    assert v.assign_add(1).tolist() == [4, 5]
    assert v.assign_sub([1, 2]).tolist() == [3, 3]
    assert v.dtype == np.float32


@pytest.mark.parametrize(
    "statement, expected",
    [
        ("v += d", [3, 4]),
        ("v -= d", [-1, 0]),
        ("v *= d", [2, 4]),
        ("v /= d", [0.5, 1]),
        ("v //= d", [0, 1]),
        ("v %= d", [1, 0]),
        ("v **= d", [1, 4]),
    ],
)
def test_in_place_operators_keep_the_object(v, statement, expected):
    names = {"v": v, "d": 2}
    exec(statement, names)
    assert names["v"] is v and v.numpy().tolist() == expected and v.dtype == np.float32


def test_arithmetic_gives_arrays(v):
    for result in (v * 2, 2 * v, v + v, np.ones(2) - v, -v, v @ [1, 1], np.sqrt(v), v > 1, abs(v)):
        assert not isinstance(result, Variable) and isinstance(result, (np.ndarray, np.generic))
    assert (v * 2).tolist() == [2, 4] and (np.ones(2) - v).tolist() == [0, -1] and np.sum(v) == 3
    with pytest.raises(TypeError, match="assign"):
        np.add(v, 1, out=v)
    assert {v: 1}[v] == 1


@pytest.mark.parametrize("value", [1.0, [1.0], [[1.0, 2.0]], np.ones((2, 1)), []])
def test_shapes_are_checked_and_nothing_is_broadcast(v, value):
    with pytest.raises(ValueError, match=r"`value`.*layer/bias.*\(2,\).*Received: shape="):
        v.assign(value)
    assert v.numpy().tolist() == [1, 2]


def test_broadcasting_sums_must_keep_the_shape(v):
    for wrong in (np.ones((3, 2)), np.ones(3), np.ones((1, 2)), []):
        for change in (v.assign_add, v.assign_sub, v.__imul__):
            with pytest.raises(ValueError, match=r"`value`.*layer/bias, \(2,\).*Received: shape="):
                change(wrong)
    assert v.assign_add(np.ones(1)).tolist() == [2, 3]


@pytest.mark.parametrize(
    "value", [[True, False], [1j, 2], ["a", "b"], [None, 1], np.array(["2020", "2021"], "M8[Y]"), np.ma.array([1, 2], mask=[0, 1])]
)
def test_only_real_numbers(v, value):
    for assign in (v.assign, v.assign_add, v.assign_sub, v.__imul__, lambda value: Variable(value, name="other")):
        with pytest.raises(TypeError, match="`value`.*(real numbers|masked)"):
            assign(value)
    assert v.numpy().tolist() == [1, 2]


def test_trainable_is_a_boolean(v):
    v.trainable = False
    assert v.trainable is False
    with pytest.raises(ValueError, match="`trainable`"):
        v.trainable = 1


def test_every_assignment_raises_the_version():
    store = Store()
    a, b = (Variable(np.zeros(2), name=n, store=store) for n in "ab")
    for change in (
        lambda: a.assign([1, 1]),
        lambda: b.assign_add(1),
        lambda: b.__isub__(1),
        lambda: assign_all([a, b], [np.ones(2), np.ones(2)]),
    ):
        before = store.state
        change()
        assert store.state is not before and store.state.version > before.version


def test_a_failed_assignment_changes_nothing():
    store = Store()
    a = Variable(np.zeros(2), name="a", store=store)
    before = store.state
    with pytest.raises(ValueError):
        a.assign(np.zeros(3))
    assert store.state is before


def test_copies_are_apart_and_stay_read_only(v):
    for other in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert other.numpy().tolist() == [1, 2] and other.path == v.path
        other.assign([7, 7])
        assert v.numpy().tolist() == [1, 2]
        with pytest.raises(ValueError):
            other.numpy().setflags(write=True)


def test_concurrent_sums_lose_nothing():
    v = Variable(np.zeros(3), name="v")
    threads = [threading.Thread(target=lambda: [v.assign_add(1) for _ in range(200)]) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert v.numpy().tolist() == [1600] * 3


def test_empty_and_sixteen_bit_values():
    assert Variable(np.zeros((0, 3)), name="e").numpy().shape == (0, 3)
    v = Variable(np.ones(3, ml_dtypes.bfloat16), name="b")
    v -= 0.5
    assert v.dtype == ml_dtypes.bfloat16 and v.numpy().astype(float).tolist() == [0.5] * 3

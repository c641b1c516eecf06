"""What is kept of a call of `ops` for the next."""

import weakref

import numpy as np
import pytest

import sepconv
from sepconv import _calls, ops
from sepconv._plans import Spec


def test_weights_changed_in_place_are_seen():
    x, kernel = np.ones((1, 4, 4, 1), np.float32), np.ones((2, 2, 1, 1), np.float32)
    assert ops.depthwise_conv(x, kernel).max() == 4
    kernel *= 2
    assert ops.depthwise_conv(x, kernel).max() == 8


def test_weights_are_not_kept():
    kernel = np.ones((2, 2, 1, 1), np.float32)
    gone = weakref.ref(kernel)
    ops.depthwise_conv(np.ones((1, 4, 4, 1), np.float32), kernel)
    del kernel
    assert gone() is None


def test_plans_are_shared_by_equal_calls():
    x, kernel = np.ones((1, 4, 4, 1), np.float32), np.ones((2, 2, 1, 1), np.float32)
    ops.depthwise_conv(x, kernel)
    before = _calls._plans.cache_info()
    ops.depthwise_conv(x, kernel * 3)
    after = _calls._plans.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def packs(monkeypatch):
    """A list that grows by one at every packing."""
    calls = []
    weights = Spec.weights

    def counted(self, *arrays):
        calls.append(arrays)
        return weights(self, *arrays)

    monkeypatch.setattr(Spec, "weights", counted)
    return calls


def test_variables_are_packed_once_for_each_assignment(monkeypatch):
    x = np.random.default_rng(0).standard_normal((1, 9, 9, 5)).astype("f")
    names = ("depthwise", "pointwise", "bias")
    values = [np.random.default_rng(1).standard_normal(s).astype("f") for s in ((3, 3, 5, 2), (1, 1, 10, 7), (7,))]
    depthwise, pointwise, bias = (sepconv.Variable(v, name=n) for v, n in zip(values, names, strict=True))
    calls = packs(monkeypatch)

    def ours():
        return ops.separable_conv(x, depthwise, pointwise, bias=bias, padding="same", depthwise_activation="relu")

    def expected():
        arrays = [np.array(v) for v in (depthwise, pointwise, bias)]
        return ops.separable_conv(x, *arrays[:2], bias=arrays[2], padding="same", depthwise_activation="relu")

    first = ours()
    calls.clear()
    assert np.array_equal(first, ours()) and np.array_equal(first, ours()) and not calls
    for variable in (depthwise, pointwise, bias):
        variable += 1.0
        changed = ours()
        assert np.array_equal(changed, expected()) and not np.array_equal(changed, first)
        first = changed


def test_a_call_like_the_last_with_its_kernel_looks_nothing_up(monkeypatch):
    x, kernel = np.ones((1, 5, 5, 2), "f"), sepconv.Variable(np.ones((3, 3, 2, 1), "f"), name="kernel")
    bias = sepconv.Variable(np.ones(2, "f"), name="bias")

    def ours():
        return ops.depthwise_conv(x, kernel, (1, 1), bias=bias, activation="relu").max()

    def no_key(*_):
        raise LookupError

    assert [ours(), ours()] == [10, 10]
    with monkeypatch.context() as patch:
        patch.setattr(_calls, "_key", no_key)
        assert ours() == 10
        bias += 1.0
        with pytest.raises(LookupError):
            ours()
    assert [ours(), ours()] == [11, 11]


def test_an_old_value_is_not_kept_nor_what_was_packed_of_it():
    x, kernel = np.ones((1, 5, 5, 2), "f"), sepconv.Variable(np.ones((3, 3, 2, 1), "f"), name="kernel")
    before = len(_calls._kept)
    for _ in range(3):
        value = weakref.ref(kernel._array)
        ops.depthwise_conv(x, kernel)
        assert len(_calls._kept) == before + 1
        kernel += 1.0
        assert value() is None and len(_calls._kept) == before


class Scaled:
    """Equal to all others of its kind."""

    def __init__(self, factor):
        self.factor = factor

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __call__(self, y):
        return y * self.factor


def test_activations_that_compare_equal_are_told_apart():
    x, kernel = np.ones((1, 5, 5, 2), "f"), sepconv.Variable(np.ones((3, 3, 2, 1), "f"), name="kernel")
    assert [ops.depthwise_conv(x, kernel, activation=Scaled(n)).max() for n in (1, 2, 3)] == [9, 18, 27]
    config = {"class_name": "LeakyReLU", "config": {"negative_slope": 0.5}}
    first = ops.depthwise_conv(-x, kernel, activation=config)
    config["config"]["negative_slope"] = 1.0
    assert np.array_equal(ops.depthwise_conv(-x, kernel, activation=config), 2 * first)


@pytest.mark.parametrize("padding", ([[1, 0], [1, 0]], np.array([[1, 0], [1, 0]]), [np.array([1, 0]), (1, 0)]))
def test_a_container_may_change_between_calls(padding):
    x, kernel = np.ones((1, 5, 5, 2), "f"), sepconv.Variable(np.ones((3, 3, 2, 1), "f"), name="kernel")
    for size in (4, 5):
        assert [ops.depthwise_conv(x, kernel, padding=padding).shape for _ in range(3)] == [(1, size, 4, 2)] * 3
        padding[0][1] += 1


def test_an_array_may_change_between_calls():
    x = np.ones((1, 5, 5, 2), "f")
    kernel = np.ones((1, 1, 2, 3), "f")
    view = kernel[:]
    view.flags.writeable = False
    for weight in (kernel, view):
        before = ops.pointwise_conv(x, weight)
        kernel += 1
        assert np.array_equal(ops.pointwise_conv(x, weight), before + 2)


def test_what_is_kept_doesnt_hide_a_wrong_argument():
    x, kernel = np.ones((1, 5, 5, 2), "f"), sepconv.Variable(np.ones((3, 3, 2, 1), "f"), name="kernel")
    ops.depthwise_conv(x, kernel, 1)
    with pytest.raises(ValueError, match="`strides`"):
        ops.depthwise_conv(x, kernel, True)
    for _ in range(2):
        ops.depthwise_conv(x, kernel, (1, 1))
    with pytest.raises(ValueError, match="`strides`"):
        ops.depthwise_conv(x, kernel, (True, True))
    with pytest.raises(ValueError, match="`inputs`.*2 channels"):
        ops.depthwise_conv(np.ones((1, 5, 5, 3), "f"), kernel, 1)
    assert ops.depthwise_conv(x, kernel, [2, 2]).shape == (1, 2, 2, 2)
    assert ops.depthwise_conv(x.astype("d"), kernel, 1).dtype == np.float64
    for size in range(400):  # more than are kept
        ops.depthwise_conv(x, kernel, padding=((size, 0), (0, 0)))
    assert len(_calls._kept) <= 256

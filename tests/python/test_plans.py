import weakref

import numpy as np
import pytest

import sepconv
from sepconv import _core, _plans
from sepconv._plans import Convolution, Spec


def spec(**changes):
    arguments = {
        "op": "depthwise",
        "dtype": np.dtype(np.float32),
        "data_format": "channels_last",
        "kernel": (3, 3),
        "strides": (1, 1),
        "dilation": (1, 1),
        "padding": "valid",
    }
    return Spec(**{**arguments, **changes})


class State:
    def __init__(self, kernel):
        self.arrays = (kernel, None, None, None)


class Weights:
    def __init__(self, *arrays):
        self.arrays = arrays


def call(convolution, x, state, threads=1):
    array = convolution.intake(x)
    return convolution.run(array, array, None, threads, state)


def test_weights_get_two_axes_one_dtype_and_order():
    s = spec(op="separable", kernel=(3,), strides=(1,), dilation=(1,), filters=4)
    depthwise, none, pointwise, bias = s.weights(np.ones((3, 2, 2)), None, np.asfortranarray(np.ones((1, 4, 4))), [1, 2, 3, 4])
    assert depthwise.shape == (1, 3, 2, 2) and pointwise.shape == (4, 4) and none is None
    for array in (depthwise, pointwise, bias):
        assert array.dtype == np.float32 and array.flags.c_contiguous


def test_kernels_of_any_strides():
    s = spec(op="separable", multiplier=2, filters=5)
    x = np.arange(1 * 6 * 6 * 3, dtype=np.float32).reshape(1, 6, 6, 3) % 7
    arrays = (
        np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2) % 5,
        None,
        np.arange(30, dtype=np.float32).reshape(6, 5) % 4,
        None,
    )
    wanted = Convolution(s)
    y, pull = wanted.linearize(x, x, 1, Weights(*arrays))
    gradients = pull(np.ones_like(y), True, (0, 2))
    for order in (np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: np.repeat(a, 2, -1)[..., ::2]):
        state = Weights(*(None if a is None else order(a) for a in arrays))
        assert not state.arrays[0].flags.c_contiguous
        z, pull = Convolution(s, lasting=False).linearize(x, x, 1, state)
        found = pull(np.ones_like(y), True, (0, 2))
        assert np.array_equal(y, z) and np.array_equal(found[0], gradients[0])
        assert np.array_equal(found[1][0], gradients[1][0]) and np.array_equal(found[1][2], gradients[1][2])


def test_kernels_that_the_core_cant_read():
    convolution = Convolution(spec())
    plan = convolution.prepare(np.zeros((1, 5, 5, 2), np.float32), None, 1).plan
    odd = np.zeros((3, 3, 2), [("a", "f4"), ("b", "i2")])["a"][..., None]
    for kernel, message in (
        (np.zeros((3, 3, 3, 1), np.float32), "`depthwise_kernel` has the wrong shape"),
        (odd, "`depthwise_kernel` must be aligned to its elements, strides too"),
    ):
        with pytest.raises(ValueError, match=message):
            plan.pack(kernel, None, None, None)
    with pytest.raises(ValueError, match="`bias` must be C-contiguous"):
        plan.pack(np.zeros((3, 3, 2, 1), np.float32), None, None, np.zeros(4, np.float32)[::2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transpose(dtype):
    a = np.arange(37 * 53, dtype=dtype).reshape(37, 53)
    t = _core.transpose(a)
    assert t.dtype == dtype and t.flags.c_contiguous and np.array_equal(t, a.T)
    for wrong, message in ((a[0], "2 axes"), (a[:, ::2], "C-contiguous")):
        with pytest.raises(ValueError, match=message):
            _core.transpose(wrong)


def test_packs_that_dont_last():
    x, state = np.ones((1, 4, 4, 1), np.float32), State(np.ones((3, 3, 1, 1), np.float32))
    convolution = Convolution(spec(), lasting=False)
    assert call(convolution, x, state).max() == 9
    state.arrays[0][:] = 2
    assert call(convolution, x, state).max() == 18 and not convolution._packs


def test_output_shape_counts_channels():
    assert spec(multiplier=2).output_shape((1, 5, 5, 3)) == (1, 3, 3, 6)
    assert spec(multiplier=2).output_shape((1, 5, 5, None)) == (1, 3, 3, None)
    assert spec(multiplier=2, data_format="channels_first").output_shape((None, 3, 5, 5)) == (None, 6, 3, 3)


def test_the_same_shape_finds_its_plan_and_the_last_sixteen_stay():
    convolution = Convolution(spec())
    first = np.zeros((1, 8, 8, 1), np.float32)
    prepared = convolution.prepare(first, None, 1)
    assert convolution.prepare(first, None, 1) is prepared is not convolution.prepare(first, None, 2)
    for n in range(2, 18):
        convolution.prepare(np.zeros((n, 8, 8, 1), np.float32), None, 1)
    assert convolution.prepare(first, None, 1) is not prepared
    assert len(convolution._prepared) == 16


ONES = State(np.ones((3, 3, 1, 1), np.float32))


def test_a_call_like_the_last_is_recalled():
    convolution = Convolution(spec())
    first = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
    assert convolution.recall(first, None, 1, ONES) is None
    expected = call(convolution, first, ONES)
    again = convolution.recall(first, None, 1, ONES)
    assert np.array_equal(again, expected) and again is not expected and again.flags.c_contiguous and again.flags.owndata
    assert np.array_equal(convolution.recall(first + 1, None, 1, ONES), expected + 9)
    for other in (first.astype(np.float64), first[:, :7], first[:, ::-1], first[0], first.tolist(), first.astype(">f4"), None):
        assert convolution.recall(other, None, 1, ONES) is None
    assert convolution.recall(first, None, 2, ONES) is None
    assert convolution.recall(first, None, 1, State(ONES.arrays[0])) is None
    shifted = np.zeros(first.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(first.shape)
    assert shifted.strides == first.strides and convolution.recall(shifted, None, 1, ONES) is None


def test_a_call_is_recalled_in_a_context_like_its_own():
    convolution, x = Convolution(spec()), np.ones((1, 8, 8, 1), np.float32)
    call(convolution, x, ONES)
    with sepconv.options(num_threads=1):
        assert convolution.recall(x, None, None, ONES) is not None
    with sepconv.options(num_threads=2):
        assert convolution.recall(x, None, None, ONES) is None
    with sepconv.options(precision="bfloat16"):
        assert convolution.recall(x, None, 1, ONES) is None
        call(convolution, x, ONES)
        assert convolution.recall(x, None, 1, ONES) is not None
    assert convolution.recall(x, None, 1, ONES) is not None
    for other in (0, -1, 2**70, True, 1.0, "1"):
        assert convolution.recall(x, None, other, ONES) is None
    with pytest.raises(TypeError, match="4 arguments"):
        convolution.recall(x)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_call_with_an_activation_of_rows_is_recalled(name):
    layer, x = sepconv.SeparableConv2D(5, 3, activation=name), np.random.default_rng(1).standard_normal((2, 6, 6, 3)).astype("f")
    first = layer(x)
    plain = sepconv.SeparableConv2D(5, 3)
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    assert np.array_equal(first, getattr(sepconv.activations, name)(plain(x)))
    again = layer._convolution.recall(x, None, None, layer._store.state)
    assert again is not first and np.array_equal(again, first)
    assert np.array_equal(layer(x, out=np.empty_like(first)), first)
    layer.set_weights([2 * w for w in layer.get_weights()])
    assert not np.array_equal(layer(x), first) and layer._convolution.recall(2 * x, None, None, layer._store.state) is not None


def test_outputs_of_some_size_begin_a_cache_line():
    layer, x = sepconv.DepthwiseConv2D(3, padding="same"), np.ones((1, 16, 16, 32), np.float32)
    kept = [layer(x) for _ in range(8)]
    assert {y.ctypes.data % 64 for y in kept} == {0}


def test_the_last_four_calls_are_recalled_and_none_with_old_weights():
    convolution = Convolution(spec())
    arrays = [np.ones((n, 4, 4, 1), np.float32) for n in range(1, 6)]
    for x in (*arrays, arrays[-1]):
        call(convolution, x, ONES)
    assert [convolution.recall(x, None, 1, ONES) is None for x in arrays] == [True, False, False, False, False]
    other = State(np.full((3, 3, 1, 1), 2, np.float32))
    assert call(convolution, arrays[0], other).max() == 18
    assert all(convolution.recall(x, None, 1, ONES) is None for x in arrays)
    kept = weakref.ref(other.arrays[0])
    call(convolution, arrays[0], ONES)
    del other
    assert kept() is None


def test_a_large_output_is_recalled_in_pooled_memory():
    convolution = Convolution(spec())
    x = np.ones((1, 400, 400, 1), np.float32)
    expected = call(convolution, x, ONES)
    again = convolution.recall(x, None, 1, ONES)
    assert np.array_equal(again, expected) and not again.flags.owndata and not np.may_share_memory(again, expected)


def test_an_output_that_was_checked_before_is_recalled_unless_it_became_unfit():
    convolution = Convolution(spec())
    x, out = np.ones((1, 4, 4, 1), np.float32), np.zeros((1, 2, 2, 1), np.float32)
    assert convolution.recall(x, out, 1, ONES) is None
    assert convolution.run(x, x, out, 1, ONES) is out
    out[:] = 0
    assert convolution.recall(x, out, 1, ONES) is out and (out == 9).all()
    assert convolution.recall(x, None, 1, ONES) is None
    memory = np.ones(24, np.float32)
    inside = memory[:16].reshape(1, 4, 4, 1)
    assert convolution.recall(inside, memory[18:22].reshape(1, 2, 2, 1), 1, ONES) is not None
    assert convolution.recall(inside, memory[15:19].reshape(1, 2, 2, 1), 1, ONES) is None
    for wrong in (out.astype(np.float64), out[:, ::-1], out[..., 0], out.tolist()):
        assert convolution.recall(x, wrong, 1, ONES) is None
    out.flags.writeable = False
    assert convolution.recall(x, out, 1, ONES) is None


def test_a_new_state_makes_a_new_pack():
    convolution = Convolution(spec())
    x = np.ones((1, 3, 3, 1), np.float32)
    one, two = (State(np.full((3, 3, 1, 1), n, np.float32)) for n in (1, 2))
    assert [call(convolution, x, s).item() for s in (one, two, one, one)] == [9, 18, 9, 9]


def test_packs_are_shared_by_plans_of_one_key(monkeypatch):
    packed = []

    class Plan:
        pack_key = 5

        def __init__(self, **arguments):
            pass

        def pack(self, *weights):
            packed.append(weights)
            return weights

        def run(self, pack, array, output):
            output[...] = 0

    monkeypatch.setattr(_plans._core, "Plan", Plan)
    convolution, state = Convolution(spec()), State(np.zeros((3, 3, 1, 1), np.float32))
    convolution._keep = lambda *call: None
    for n in range(1, 5):
        call(convolution, np.zeros((n, 4, 4, 1), np.float32), state)
    assert len(packed) == 1


def test_empty_outputs_need_no_plan():
    convolution = Convolution(spec(padding="same"))
    for shape in ((0, 4, 4, 1), (2, 0, 4, 1), (2, 4, 0, 1)):
        assert call(convolution, np.zeros(shape, np.float32), State(np.zeros((3, 3, 1, 1)))).shape == shape


def test_outputs_of_some_size_come_from_the_core():
    assert _core.empty((1, 1, 1, 8191), np.dtype(np.float32)).flags.owndata
    assert not _core.empty((1, 1, 1, 8192), np.dtype(np.float32)).flags.owndata
    # A product beyond 64 bits is large, not small by wrapping around.
    with pytest.raises(ValueError, match="64-bit"):
        _core.empty((2**32, 2**32), np.dtype(np.float32))


@pytest.mark.parametrize("shape, expected", [((2, 3, 4), (12, 4, 1)), ((), ()), ((5,), (1,)), ((2, 0, 4), (0, 4, 1))])
def test_contiguous_strides(shape, expected):
    assert _plans._contiguous_strides(shape) == expected

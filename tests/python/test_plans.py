import numpy as np
import pytest

from sepconv import _plans
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


def call(convolution, x, state, threads=1):
    array = convolution.intake(x)
    return convolution.run(convolution.prepare(array, None, threads), array, None, state)


def test_weights_get_two_axes_one_dtype_and_order():
    s = spec(op="separable", kernel=(3,), strides=(1,), dilation=(1,), filters=4)
    depthwise, none, pointwise, bias = s.weights(np.ones((3, 2, 2)), None, np.asfortranarray(np.ones((1, 4, 4))), [1, 2, 3, 4])
    assert depthwise.shape == (1, 3, 2, 2) and pointwise.shape == (4, 4) and none is None
    for array in (depthwise, pointwise, bias):
        assert array.dtype == np.float32 and array.flags.c_contiguous


def test_output_shape_counts_channels():
    assert spec(multiplier=2).output_shape((1, 5, 5, 3)) == (1, 3, 3, 6)
    assert spec(multiplier=2).output_shape((1, 5, 5, None)) == (1, 3, 3, None)
    assert spec(multiplier=2, data_format="channels_first").output_shape((None, 3, 5, 5)) == (None, 6, 3, 3)


def test_the_same_shape_finds_its_plan_and_the_last_sixteen_stay():
    convolution = Convolution(spec())
    first = np.zeros((1, 8, 8, 1), np.float32)
    assert convolution.find(first, None, 1) is None
    prepared = convolution.prepare(first, None, 1)
    assert convolution.find(first, None, 1) is prepared is convolution.prepare(first, None, 1)
    for other in (first.astype(np.float64), first[:, :7], first[:, ::-1], first.tolist(), first.astype(">f4")):
        assert convolution.find(other, None, 1) is None
    assert convolution.find(first, None, 2) is None
    for n in range(2, 18):
        convolution.prepare(np.zeros((n, 8, 8, 1), np.float32), None, 1)
    assert convolution.find(first, None, 1) is None
    assert convolution.find(np.zeros((2, 8, 8, 1), np.float32), None, 1) is not None
    assert len(convolution._prepared) == 16


def test_an_unaligned_array_does_not_take_the_short_way():
    convolution = Convolution(spec())
    x = np.zeros((1, 4, 4, 1), np.float32)
    convolution.prepare(x, None, 1)
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert shifted.strides == x.strides and convolution.find(shifted, None, 1) is None


def test_an_output_that_was_checked_before_takes_the_short_way_unless_it_became_unfit():
    convolution = Convolution(spec())
    x, out = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 2, 2, 1), np.float32)
    assert convolution.find(x, out, 1) is None
    prepared = convolution.prepare(x, out, 1)
    assert convolution.find(x, out, 1) is prepared and convolution.find(x, np.ones_like(out), 1) is prepared
    memory = np.zeros(20, np.float32)
    inside = memory[:16].reshape(1, 4, 4, 1)
    assert convolution.find(inside, memory[16:].reshape(1, 2, 2, 1), 1) is prepared
    assert convolution.find(inside, memory[15:19].reshape(1, 2, 2, 1), 1) is None
    for wrong in (out.astype(np.float64), out[:, ::-1], out[..., 0], out.tolist()):
        assert convolution.find(x, wrong, 1) is None
    out.flags.writeable = False
    assert convolution.find(x, out, 1) is None


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
    for n in range(1, 5):
        call(convolution, np.zeros((n, 4, 4, 1), np.float32), state)
    assert len(packed) == 1


def test_empty_outputs_need_no_plan():
    convolution = Convolution(spec(padding="same"))
    for shape in ((0, 4, 4, 1), (2, 0, 4, 1), (2, 4, 0, 1)):
        assert call(convolution, np.zeros(shape, np.float32), State(np.zeros((3, 3, 1, 1)))).shape == shape


def test_large_outputs_come_from_the_pool(monkeypatch):
    asked = []
    monkeypatch.setattr(_plans._core, "empty", lambda shape, dtype: asked.append(shape) or np.empty(shape, dtype))
    _plans.allocator((1, 1, 1, 131071), np.dtype(np.float32))((1, 1, 1, 131071), np.float32)
    assert not asked
    _plans.allocator((1, 1, 1, 131072), np.dtype(np.float32))((1, 1, 1, 131072), np.float32)
    assert asked == [(1, 1, 1, 131072)]
    # A product beyond 64 bits is large, not small by wrapping around.
    assert _plans.allocator((2**32, 2**32), np.dtype(np.float32)) is _plans._core.empty


@pytest.mark.parametrize("shape, expected", [((2, 3, 4), (12, 4, 1)), ((), ()), ((5,), (1,)), ((2, 0, 4), (0, 4, 1))])
def test_contiguous_strides(shape, expected):
    assert _plans._contiguous_strides(shape) == expected

import numpy as np
import pytest

import sepconv
from sepconv import activations
from sepconv._finish import finish, finished_shape


def test_only_glu_changes_the_shape():
    assert finished_shape(None, (None, 4, 6)) == (None, 4, 6)
    assert finished_shape(activations.softmax, (None, 4, 6)) == (None, 4, 6)
    assert finished_shape(activations.glu, (None, 4, 6)) == (None, 4, 3)
    assert finished_shape(activations.glu, (2, None)) == (2, None)
    with pytest.raises(ValueError, match="`activation`.*glu.*even"):
        finished_shape(activations.glu, (2, 3))


def test_the_result_has_the_dtype_of_the_argument():
    x = np.ones((2, 3), np.float16)
    y = finish(lambda a: a.astype(np.float64) * 2, x, None, 1)
    assert y.dtype == np.float16 and (y == 2).all()
    out = np.zeros((2, 3), np.float16)
    assert finish(lambda a: a + 1, x, out, 1) is out and (out == 2).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.broadcast_to(a[:, :1], a.shape),
        lambda a: a[:, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
        lambda a: a.astype(">f4"),
    ],
)
def test_the_result_is_contiguous_and_writeable(function):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = finish(function, x, None, 1)
    assert y.flags.c_contiguous and y.flags.writeable and y.dtype.isnative and np.array_equal(y, function(x))
    assert finish(np.exp, x, None, 1).base is None


@pytest.mark.parametrize(
    "function", [lambda a: a[:1], lambda a: a.sum(), lambda a: a > 0, lambda a: a * 1j, lambda a: None, lambda a: "a"]
)
def test_wrong_results_are_refused_by_name(function):
    with pytest.raises(ValueError, match=r"`activation`.*\(2, 3\).*Received"):
        finish(function, np.ones((2, 3), np.float32), None, 1)
    layer = sepconv.SeparableConv2D(3, 1, activation=function)
    with pytest.raises(ValueError, match="`activation`"):
        layer(np.ones((2, 2, 2, 3), np.float32))


def test_functions_run_on_the_threads_of_the_call():
    seen = []

    def function(a):
        seen.append(sepconv._runtime.threads())
        return a

    x = np.ones((1, 4, 4, 3), np.float32)
    sepconv.SeparableConv2D(3, 1, activation=function)(x, num_threads=3)
    sepconv.layers.Activation(function)(x, num_threads=5)
    with sepconv.options(num_threads=7):
        sepconv.SeparableConv2D(3, 1, activation=function)(x)
    assert seen == [3, 5, 7]

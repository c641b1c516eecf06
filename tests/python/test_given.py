import ml_dtypes
import numpy as np
import pytest

from sepconv.initializers import STFT, Constant, Identity, Initializer, Ones, Zeros


def test_zeros_ones_and_constants():
    assert Zeros()((2, 3)).tolist() == [[0] * 3] * 2 and Ones()((2,)).tolist() == [1, 1] and Constant()(()).shape == ()
    assert Constant(0.3)((2,), "float64").tolist() == [0.3, 0.3] and Constant(np.float32(2)).value == 2
    assert Constant([[1, 2]])((1, 2)).tolist() == [[1, 2]] and Constant(np.array(3.0)).value == 3
    assert Constant(0.5)((2,), "bfloat16").dtype == ml_dtypes.bfloat16


def test_constant_arrays_are_copied_and_written_as_keras_does():
    array = np.array([1.0, 2.0], np.float32)
    constant = Constant(array)
    array[:] = 0
    assert constant((2,)).tolist() == [1, 2]
    form = {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}}
    assert constant.get_config() == {"value": form}
    assert Constant(form)((2,)).tolist() == Constant({**form, "class_name": "__tensor__"})((2,)).tolist() == [1, 2]
    half = {"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "bfloat16"}}
    assert Constant(half).get_config() == {"value": half}
    assert Constant({"class_name": "__numpy__", "config": {"value": 2.0, "dtype": "float32"}}).value == 2
    constant((2,))[:] = 9
    assert constant((2,)).tolist() == [1, 2]


@pytest.mark.parametrize(
    "value",
    ["1", None, True, float("nan"), 1j, {}, {"class_name": "__numpy__"}, {"class_name": "os", "config": {"value": [1.0]}},
     {"class_name": "__numpy__", "config": {}}, {"class_name": "__lambda__", "config": {"value": "x"}}, b"1"],
    ids=repr,
)  # fmt: skip
def test_bad_constants_are_refused_by_name(value):
    with pytest.raises(ValueError, match="`value`.*Received"):
        Constant(value)


def test_arrays_of_something_else_are_refused_by_name():
    for value in ([True], ["a"], np.ones(2, complex), {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "float32"}}):
        with pytest.raises(TypeError, match="`value`"):
            Constant(value)


def test_identity():
    assert Identity()((2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]] and Identity(2.5)((2, 2)).tolist() == [[2.5, 0], [0, 2.5]]
    assert Identity(2.5).get_config() == {"gain": 2.5} and Identity(1).get_config() == {}
    with pytest.raises(ValueError, match="`shape`.*two axes"):
        Identity()((3, 3, 1, 1))
    with pytest.raises(ValueError, match="`gain`"):
        Identity("1")


def test_the_base_is_for_subclasses():
    class Sevens(Initializer):
        def __call__(self, shape, dtype=None):
            return np.full(shape, 7, dtype)

    assert Sevens().clone()((2,), "float32").tolist() == [7, 7] and repr(Sevens()) == "Sevens()" and Sevens().get_config() == {}


# As scipy.signal has them, symmetric of 5 and periodic of 4.
WINDOWS = {
    "boxcar": ([1, 1, 1, 1, 1], [1, 1, 1, 1]),
    "hann": ([0, 0.5, 1, 0.5, 0], [0, 0.5, 1, 0.5]),
    "hamming": ([0.08, 0.54, 1, 0.54, 0.08], [0.08, 0.54, 1, 0.54]),
    "blackman": ([0, 0.34, 1, 0.34, 0], [0, 0.34, 1, 0.34]),
    "nuttall": ([0.0003628, 0.2269824, 1, 0.2269824, 0.0003628], [0.0003628, 0.2269824, 1, 0.2269824]),
    "blackmanharris": ([6e-05, 0.21747, 1, 0.21747, 6e-05], [6e-05, 0.21747, 1, 0.21747]),
    "flattop": ([-0.000421051, -0.05473684, 1.000000003, -0.05473684, -0.000421051], [-0.000421051, -0.05473684, 1.000000003, -0.05473684]),
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    for length, periodic, expected in ((5, False, WINDOWS[name][0]), (4, True, WINDOWS[name][1])):
        # The lowest frequency has the window alone.
        kernel = STFT("real", name, None, periodic)((length, 1, 3), "float64")
        np.testing.assert_allclose(kernel[:, 0, 0], expected, atol=1e-15)
    assert STFT("real", name, None)((1, 1, 2)).tolist() == [[[1, 1]]]


def test_stft_values_of_keras():
    half = 0.7071068286895752
    np.testing.assert_allclose(STFT()((4, 1, 3))[:, 0], [[0, 0, 0], [half, 0, -half], [half, -half, half], [0, 0, 0]], atol=1e-7)
    y = STFT("imag", "hamming", "spectrum", True)((5, 1, 3))[:, 0]
    np.testing.assert_allclose(
        y, [[0, 0, 0], [0, -0.1473526507616043, 0], [0, 0, 0], [0, 0.337832510471344, 0], [0, 0, 0]], atol=1e-7
    )
    assert STFT(window=None)((3, 1, 2)).tolist() == [[[1, 1]], [[1, -1]], [[1, 1]]]


def test_stft_is_a_fourier_transform():
    frame = np.random.default_rng(0).standard_normal(16)
    window = np.hanning(16)
    expected = np.fft.rfft(frame * window)
    for side, part in (("real", expected.real), ("imag", expected.imag)):
        np.testing.assert_allclose(frame @ STFT(side, "hann", None)((16, 1, 9), "float64")[:, 0], part, atol=1e-13)
        np.testing.assert_allclose(
            STFT(side, window, None)((16, 1, 9), "float64"), STFT(side, "hann", None)((16, 1, 9), "float64"), atol=1e-14
        )
    config = STFT(window=window).get_config()
    assert config["window"]["class_name"] == "__numpy__" and np.array_equal(
        STFT.from_config(config)((16, 1, 9)), STFT(window=window)((16, 1, 9))
    )


@pytest.mark.parametrize(
    "arguments, name",
    [({"side": "both"}, "side"), ({"window": "kaiser"}, "window"), ({"scaling": "none"}, "scaling"), ({"periodic": 1}, "periodic"), ({"window": True}, "window")],
)  # fmt: skip
def test_bad_arguments_are_refused_by_name(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        STFT(**arguments)


def test_bad_shapes_are_refused():
    for shape in ((4, 3), (4, 2, 3), (4, 1, 1)):
        with pytest.raises(ValueError, match="`shape`.*frequencies"):
            STFT()(shape)
    with pytest.raises(ValueError, match="`window`.*frame length"):
        STFT(window=[1.0, 2.0])((3, 1, 2))

import ml_dtypes
import numpy as np
import pytest

from sepconv._intake import as_array, check_out, is_array, overlap, to_dtype

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def unaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = buffer.view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


@pytest.mark.parametrize(
    "see",
    [
        lambda x: x,
        lambda x: x[::-1, :, ::-1],
        lambda x: x[:, ::2],
        lambda x: x.T,
        np.asfortranarray,
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x.swapaxes(1, 3),
    ],
)
def test_views_are_not_copied(see):
    x = see(np.zeros((2, 4, 6, 3), np.float32))
    taken = to_dtype(as_array(x), F32)
    assert taken is x


def test_read_only_arrays_are_not_copied():
    x = np.zeros((2, 3), np.float32)
    x.setflags(write=False)
    assert to_dtype(as_array(x), F32) is x


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(np.longdouble),
        unaligned,
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.uint8),
    ],
)
def test_what_must_be_copied_is_copied_to_c_order(make):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    taken = to_dtype(as_array(make(x)), F32)
    assert (
        np.array_equal(taken, x)
        and taken.dtype == F32
        and taken.dtype.isnative
        and taken.flags.c_contiguous
        and taken.flags.aligned
    )


def test_fields_of_records_are_copied_where_strides_are_not_whole_elements():
    records = np.zeros(4, [("a", "u1"), ("x", "f4")])
    records["x"] = [1, 2, 3, 4]
    taken = to_dtype(as_array(records["x"]), F32)
    assert taken.tolist() == [1, 2, 3, 4] and taken.strides == (4,)


def test_integers_are_not_scaled():
    assert to_dtype(as_array(np.array([0, 255], np.uint8)), F32).tolist() == [0, 255]
    assert to_dtype(as_array([[0, 255]]), F32).tolist() == [[0, 255]]


class ByArray:
    def __array__(self, dtype=None, copy=None):
        return np.arange(3.0)


class ByDlpack:
    def __init__(self):
        self.array = np.arange(3.0)

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class ByInterface:
    def __init__(self):
        self._array = np.arange(3.0)
        self.__array_interface__ = self._array.__array_interface__


@pytest.mark.parametrize(
    "make",
    [
        ByArray,
        ByDlpack,
        ByInterface,
        lambda: [0, 1, 2],
        lambda: (0.0, 1.0, 2.0),
        lambda: memoryview(np.arange(3.0)),
        lambda: [np.float32(0), 1, 2],
    ],
)
def test_foreign_objects(make):
    array = as_array(make())
    assert type(array) is np.ndarray and array.tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_subclasses_come_as_plain_arrays():
    assert type(as_array(np.matrix([[1.0]]))) is np.ndarray


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(3, bool),
        [True, False],
        np.zeros(3, complex),
        np.zeros(3, object),
        np.zeros(3, "M8[s]"),
        np.zeros(3, "m8[s]"),
        np.array(["a"]),
        "abc",
        b"abc",
        None,
        [None],
        {},
        {1, 2},
        object(),
        np.zeros(3, "V4"),
        np.zeros(3, [("a", "f4")]),
    ],
    ids=repr,
)
def test_what_is_not_real_is_refused_by_name(value):
    with pytest.raises(TypeError, match="`inputs`.*real numbers.*Received: dtype="):
        as_array(value)


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    for value in (masked, [masked], ([masked[1:]], [1.0]), [[1.0, np.ma.masked]]):
        with pytest.raises(TypeError, match=r"`x`.*masked.*filled"):
            as_array(value, "x")


def test_ragged_lists_are_refused():
    with pytest.raises(TypeError, match="`inputs`"):
        as_array([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize(
    "error, cure",
    [
        (RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."), r"\.detach\(\)"),
        (
            TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            ),
            r"\.cpu\(\)",
        ),
        (TypeError("Got unsupported ScalarType BFloat16"), r"\.float\(\)"),
        (RuntimeError("no way"), "NumPy array first"),
        (BufferError("Unsupported device in DLTensor."), r"\.cpu\(\)"),
    ],
)
def test_errors_of_exporters_name_the_cure(error, cure):
    class Exporter:
        def __array__(self, dtype=None, copy=None):
            raise error

    class DlpackExporter:
        def __dlpack__(self, **kwargs):
            raise error

        def __dlpack_device__(self):
            return (1, 0)

    for exporter in (Exporter, DlpackExporter):
        with pytest.raises(TypeError, match=rf"`inputs`.*{cure}.*Received: .*{exporter.__name__}") as caught:
            as_array(exporter())
        assert caught.value.__cause__ is error


def test_running_out_of_memory_stays_what_it_is():
    class Exporter:
        def __array__(self, dtype=None, copy=None):
            raise MemoryError

    with pytest.raises(MemoryError):
        as_array(Exporter())


def test_without_autocast_another_dtype_is_refused_but_not_another_byte_order():
    with pytest.raises(TypeError, match="`inputs`.*float32.*autocast=False.*float64"):
        to_dtype(np.zeros(3), F32, autocast=False)
    assert to_dtype(np.zeros(3, ">f4"), F32, autocast=False).dtype.isnative


def test_bfloat16():
    x = np.ones(3, ml_dtypes.bfloat16)
    assert to_dtype(as_array(x), F32).tolist() == [1, 1, 1]
    assert to_dtype(as_array(x), x.dtype) is x


SHAPE = (2, 4, 5, 3)
GOOD_OUTS = [
    lambda: np.empty(SHAPE, np.float32),
    lambda: np.empty((2, 4, 5, 8), np.float32)[..., 2:5],
    lambda: np.empty((4, 8, 5, 3), np.float32)[1:3, ::2],
    lambda: np.empty((5, 4, 2, 3), np.float32).transpose(2, 1, 0, 3),
]


@pytest.mark.parametrize("make", GOOD_OUTS)
def test_good_outs(make):
    check_out(make(), SHAPE, F32, ())


def read_only():
    out = np.empty(SHAPE, np.float32)
    out.setflags(write=False)
    return out


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: np.empty((2, 4, 5, 4), np.float32), "shape"),
        (lambda: np.empty((1, *SHAPE), np.float32), "shape"),
        (lambda: np.empty(SHAPE), "dtype"),
        (lambda: np.empty(SHAPE, ">f4"), "dtype"),
        (read_only, "writeable"),
        (lambda: unaligned(np.zeros(SHAPE, np.float32)), "aligned"),
        (lambda: np.empty(SHAPE[::-1], np.float32).T, "contiguous along axis 3. "),
        (lambda: np.empty((2, 4, 5, 6), np.float32)[..., ::2], "contiguous along axis 3. "),
        (lambda: np.empty(SHAPE, np.float32)[:, ::-1], "backwards"),
        (lambda: np.empty(SHAPE, np.float32)[..., ::-1], "backwards"),
        (lambda: np.lib.stride_tricks.as_strided(np.empty(99, np.float32), SHAPE, (0, 60, 12, 4)), "overlap itself"),
        (lambda: np.lib.stride_tricks.as_strided(np.empty(999, np.float32), SHAPE, (240, 60, 8, 4)), "overlap itself"),
    ],
)
def test_bad_outs(make, message):
    with pytest.raises(ValueError, match=f"`out`.*{message}"):
        check_out(make(), SHAPE, F32, ())


def test_any_of_the_axes_may_be_the_contiguous_one():
    rows = np.empty((2, 3, 4, 5), np.float32).transpose(0, 2, 3, 1)
    check_out(rows, SHAPE, F32, (), (3, -2))
    with pytest.raises(ValueError, match="contiguous along axis 3 or 1. "):
        check_out(rows, SHAPE, F32, (), (3, 1))


def test_out_must_be_an_array():
    for out in ([0.0], "out", np.ma.zeros(SHAPE, np.float32)):
        with pytest.raises(TypeError, match="`out`"):
            check_out(out, SHAPE, F32, ())


def test_out_apart_from_the_input():
    memory = np.zeros(1000, np.float32)
    out = memory[: np.prod(SHAPE)].reshape(SHAPE)
    with pytest.raises(ValueError, match="`out`.*overlap"):
        check_out(out, SHAPE, F32, (memory[100:],))
    check_out(out, SHAPE, F32, (memory[120:],))
    # Interleaved, and so within each other's bounds, but without a common element.
    pixels = np.zeros((2, 4, 5, 6), np.float32)
    check_out(pixels[..., :3], SHAPE, F32, (pixels[..., 3:],))


def test_overlap_is_assumed_where_it_is_too_hard_to_tell(monkeypatch):
    x = np.zeros(4)
    assert not overlap(x[::2], x[1::2])

    def too_hard(*args, **kwargs):
        raise getattr(np, "exceptions", np).TooHardError

    monkeypatch.setattr(np, "shares_memory", too_hard)
    assert overlap(x[::2], x[1::2])


def test_what_exports_an_array_is_one():
    for value in (np.zeros(2), np.zeros(()), ByArray(), ByDlpack(), ByInterface(), np.ma.zeros(2)):
        assert is_array(value)
    for value in (None, 1, [1.0], np.float32(1), np.ndarray, ByArray, "abc", len):
        assert not is_array(value)

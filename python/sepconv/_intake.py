"""What callers hand over, as arrays that the core can read: anything NumPy can view on the CPU, with a copy only where one must be.

Copied, once: another dtype or byte order, unaligned data, strides that are not whole elements, lists and other foreign objects.
Not copied: every other view, whether strided, reversed, broadcast, transposed, Fortran-ordered or read-only.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, NoReturn

import numpy as np

from ._arguments import Shape
from ._dtypes import is_real

_TooHardError: type[Exception] = getattr(np, "exceptions", np).TooHardError

# What a message of another library holds, and what its user can do about it.
_CURES = (
    (("requires grad", "requires_grad", "require gradient"), "call .detach() on it first"),
    (("bfloat16",), "convert it to float32 first, with .float() in PyTorch"),
    (("device", "cuda", "gpu"), "copy it to the CPU first, with .cpu() in PyTorch or .get() in CuPy"),
    (("sparse",), "make it dense first"),
)


def _refuse_export(value: object, name: str, error: Exception) -> NoReturn:
    text = f"{error}".lower()
    cure = next((cure for words, cure in _CURES if any(word in text for word in words)), "convert it to a NumPy array first")
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise TypeError(
        f"The `{name}` argument must be an array that NumPy can view on the CPU; {cure}. Received: {kind}, which said: {error}"
    ) from error


def is_array(value: Any) -> bool:
    """Whether `value` is an array or an object that exports one. Lists aren't, nor are NumPy's scalars."""
    exports = ("__array__", "__array_interface__", "__dlpack__")
    return any(hasattr(value, way) for way in exports) and not isinstance(value, (np.generic, type))


def as_array(value: Any, name: str = "inputs") -> np.ndarray:
    """`value` as a plain ndarray of real numbers, not copied unless it is made of Python numbers.

    Raises
    ------
    TypeError
        If it is masked, isn't numeric, is boolean or complex, or can't be viewed by NumPy. The message names `name` and the cure.
    """
    array = value if type(value) is np.ndarray else _view(value, name)
    if not is_real(array.dtype):
        raise TypeError(
            f"The `{name}` argument must be made of real numbers (integers or floats). "
            f"Received: dtype={array.dtype}, from {type(value).__name__}"
        )
    return array


def _view(value: Any, name: str) -> np.ndarray:
    """`value` as NumPy sees it."""
    if _masked(value):
        raise TypeError(
            f"The `{name}` argument must not be a masked array, since a convolution has no mask; fill it first, with .filled(0). "
            f"Received: {type(value).__name__}"
        )
    try:
        if not hasattr(value, "__array__") and not hasattr(value, "__array_interface__") and hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # what an exporting library raises is its own choice
        _refuse_export(value, name, error)


def _masked(value: Any) -> bool:
    """Whether `value` is a masked array or has one in its lists, of which NumPy would take the data and drop the mask."""
    level = [value]
    for _ in range(64):  # NumPy has no more axes
        kinds = set(map(type, level))  # long lists of numbers cost one pass in C
        if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
            return True
        if not any(issubclass(kind, (list, tuple)) for kind in kinds):
            break
        level = list(chain.from_iterable(item for item in level if isinstance(item, (list, tuple))))
    return False


def to_dtype(array: np.ndarray, dtype: np.dtype[Any], autocast: bool = True, name: str = "inputs") -> np.ndarray:
    """`array` itself where the core can read it as `dtype`, else a C-contiguous copy. Integers are not scaled.

    Raises
    ------
    TypeError
        If the dtype differs and `autocast` is False.
    """
    if array.dtype != dtype:
        if not autocast and array.dtype.newbyteorder("=") != dtype:
            raise TypeError(f"The `{name}` argument must have dtype {dtype}, since autocast=False. Received: dtype={array.dtype}")
    elif array.flags.aligned and not any(s % array.itemsize for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        return array
    return array.astype(dtype, order="C")


def check_out(out: Any, shape: Shape, dtype: np.dtype[Any], sources: tuple[Any, ...], axes: tuple[int, ...] = (-1,)) -> None:
    """Refuse an `out` that the core can't write `shape` and `dtype` into directly.

    One of `axes` must be contiguous: for a convolution, the channels or the rows.

    Raises
    ------
    TypeError
        If `out` isn't a NumPy array.
    ValueError
        If shape, dtype, writeability, alignment or strides are wrong, or it overlaps itself or one of `sources`.
    """
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"The `out` argument must be a NumPy array. Received: {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"The `out` argument must have the shape of the output, {shape}. Received: shape={out.shape}")
    if out.dtype != dtype:
        raise ValueError(f"The `out` argument must have the dtype of the output, native {dtype}. Received: dtype={out.dtype.str}")
    if not out.flags.writeable:
        raise ValueError("The `out` argument must be writeable. Received: a read-only array")
    if not out.flags.aligned:
        raise ValueError("The `out` argument must be aligned to its elements. Received: an array whose address or strides are not")
    if out.size == 0:
        return
    # Nested axes, from the fastest: each must step over all that the faster ones span. That excludes overlap, zero and negative strides.
    span = out.itemsize
    for stride, size in sorted((s, n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1):
        if stride < span or stride % out.itemsize:
            raise ValueError(
                f"The `out` argument must not overlap itself, nor run backwards. Received: strides={out.strides} bytes, shape={out.shape}"
            )
        span = stride * size
    if shape and not any(out.shape[axis] == 1 or out.strides[axis] == out.itemsize for axis in axes):
        allowed = " or ".join(str(axis % out.ndim) for axis in axes)
        raise ValueError(
            f"The `out` argument must be contiguous along axis {allowed}. Received: strides={out.strides} bytes, dtype={out.dtype}"
        )
    for source in sources:
        if isinstance(source, np.ndarray) and overlap(source, out):
            raise ValueError("The `out` argument must not overlap `inputs`. Received: arrays that share memory")


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays share an element; True too where telling would take too long."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]
    except _TooHardError:
        return True

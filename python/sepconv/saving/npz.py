"""The `.npz` format: a zip of `.npy` arrays, read without pickle and without trusting a single declared size.

What a file may hold is known before it is opened: the names, shapes and dtypes of the variables. So the variables' own sizes bound
everything that is read, however well it is compressed, and an entry is compared with its variable header first.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from .files import replacing
from .layout import groups

# What np.savez adds to the data of an entry: local and central header, two names, zip64 fields and the .npy header.
_ENTRY_OVERHEAD = 1024
# The end of the directory and its comment, which is at most 65535 bytes.
_FILE_OVERHEAD = 2 * 65536
_MAX_HEADER = 4096
# The one form in which NumPy writes a header; matching it takes no evaluation of what the file says.
_HEADER = re.compile(
    r"\{'descr': '([<>|=]?[A-Za-z]\d{1,2})', 'fortran_order': (True|False), 'shape': \(((?:\d{1,18}, ?)*\d{0,18})\), \} *\n"
)
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OverflowError, UnicodeError, LookupError,
)  # fmt: skip


def save(path: str, obj: Any) -> None:
    """Write the weights of `obj`; equal weights give equal bytes."""
    with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, _, array in _named_arrays(obj):
            # A fixed date, so that the file depends on the weights alone.
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=array.nbytes >= 2**31) as entry:
                np.lib.format.write_array(entry, _opaque(array), version=(1, 0), allow_pickle=False)


def load(path: str, obj: Any) -> list[np.ndarray]:
    """Read the arrays for `obj.set_weights`; ValueError where the file isn't exactly theirs."""
    wanted = _named_arrays(obj)
    with open(path, "rb") as stream:
        _check_size(path, os.fstat(stream.fileno()).st_size, wanted)
        try:
            archive = zipfile.ZipFile(stream)
        except (*_DAMAGED, ValueError) as error:
            raise ValueError(f"{path!r} isn't a whole .npz file: {error}") from error
        with archive:
            found = _names(archive)
            by_name = any(old in found for _, old, _ in wanted)
            arrays = {(old if by_name else name): like for name, old, like in wanted}
            entries = _entries(path, archive, arrays)
            return [_read(path, archive, entries[name], name, like) for name, like in arrays.items()]


def _named_arrays(obj: Any) -> list[tuple[str, str, np.ndarray]]:
    """The entries of a layer or a model, in the order of its `weights`: (name, name by that of the layer, array).

    Files may have the second kind of names in a model, which can't be taken for the first: the name of a layer has no slash.
    """
    if not hasattr(obj, "layers"):
        return [(v.name, v.name, v.numpy()) for v in obj.weights]
    return [
        (f"layers/{group}/{v.name}", f"{layer.name}/{v.name}", v.numpy()) for group, layer in groups(obj) for v in layer.weights
    ]


def _opaque(array: np.ndarray) -> np.ndarray:
    """bfloat16 as the two opaque bytes that Keras stores too: NumPy's format has no name for it."""
    return array.view("V2") if _is_bfloat16(array.dtype) else array


def _is_bfloat16(dtype: np.dtype) -> bool:
    return str(dtype.name) == "bfloat16"


def _check_size(path: str, size: int, wanted: list[tuple[str, str, np.ndarray]]) -> None:
    limit = _FILE_OVERHEAD + sum(like.nbytes + _ENTRY_OVERHEAD + 8 * len(name + old) for name, old, like in wanted)
    if size > limit:
        raise ValueError(f"{path!r} is larger than its weights can be: at most {limit} bytes. Received: {size} bytes")


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [info.filename.removesuffix(".npy") for info in archive.infolist()]


def _entries(path: str, archive: zipfile.ZipFile, wanted: dict[str, np.ndarray]) -> dict[str, zipfile.ZipInfo]:
    """The directory of the file, which must list every variable once and nothing else."""
    found, expected = _names(archive), set(wanted)
    for name in found:
        if name not in expected:
            raise ValueError(f"{path!r} has the entry {name!r}, which isn't a weight here. Expected: {sorted(expected)}")
        if found.count(name) > 1:
            raise ValueError(f"{path!r} has the entry {name!r} more than once.")
    for name in sorted(expected.difference(found)):
        raise ValueError(f"{path!r} lacks the entry {name!r}. Received: {found}")
    return dict(zip(found, archive.infolist(), strict=True))


def _read(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, like: np.ndarray) -> np.ndarray:
    """One array, allocated only after every declared size agrees with the variable."""
    where = f"entry {name!r} of {path!r}"
    if info.file_size > like.nbytes + _MAX_HEADER + 16:
        raise ValueError(
            f"{where} declares {info.file_size} bytes; its weight of shape {like.shape} and dtype {like.dtype} has {like.nbytes}."
        )
    # Of the others zipfile decompresses whole blocks at once.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{where} must be stored or deflated. Received: compression method {info.compress_type}")
    try:
        with archive.open(info) as stream:
            order = _check_header(where, stream, like)
            # One byte more than expected, and no more, however much the entry would give: a zip bomb can't grow past its weight.
            # Reading to the end also makes zipfile compare the checksum.
            data = stream.read(like.nbytes + 1)
    except _DAMAGED as error:
        raise ValueError(f"{where} is damaged: {error}") from error
    if len(data) != like.nbytes:
        raise ValueError(f"{where} must hold {like.nbytes} bytes of data. Received: {len(data)} bytes or more")
    return np.frombuffer(data, like.dtype).reshape(like.shape, order=order)


def _check_header(where: str, stream: Any, like: np.ndarray) -> Any:
    """Read a `.npy` header and compare it with the variable; returns the order of the axes, 'C' or 'F'."""
    magic = stream.read(8)
    if len(magic) != 8 or magic[:6] != b"\x93NUMPY" or magic[6] not in (1, 2, 3):
        raise ValueError(f"{where} isn't an array in NumPy's format.")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_HEADER:
        raise ValueError(f"{where} declares a header of {length} bytes; at most {_MAX_HEADER} are allowed.")
    match = _HEADER.fullmatch(stream.read(length).decode("latin-1"))
    if match is None:
        raise ValueError(f"{where} has a header that isn't one of a plain numeric array.")
    descr, fortran, dims = match.groups()
    allowed = ("|V2", "<V2") if _is_bfloat16(like.dtype) else (like.dtype.newbyteorder("<").str,)
    if descr not in allowed:
        raise ValueError(f"{where} must have the dtype {like.dtype} ({allowed[0]}). Received: {descr!r}")
    shape = tuple(int(d) for d in dims.replace(",", " ").split())
    if shape != like.shape:
        raise ValueError(f"{where} must have the shape {like.shape}. Received: {shape}")
    return "F" if fortran == "True" else "C"

"""The `.weights.h5` format of Keras 3: `layers/<snake_case class>[_k]/vars/<i>`, numbered per class in the order of the layers.

bfloat16 is stored as two opaque bytes with the attribute `dtype="bfloat16"`. Only plain data is read: no link out of the file or to
another name in it is followed, and a shape is compared before its data is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._dtypes import as_numpy_dtype
from .files import replacing
from .layout import groups

_FLOATS = ("float16", "float32", "float64")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError('A `.weights.h5` file needs h5py: pip install "sepconv[h5]". A `.npz` file needs nothing.') from error
    return h5py


def save(path: str, obj: Any) -> None:
    """Write the weights of `obj` as Keras would write them for a model of these layers."""
    h5py = _h5py()
    with replacing(path) as stream, h5py.File(stream, "w") as file:
        file.create_group("vars").attrs["name"] = obj.name
        for group, layer in groups(obj):
            store = file.create_group(f"layers/{group}/vars")
            store.attrs["name"] = layer.name
            for index, variable in enumerate(layer.weights):
                _write(store, str(index), variable.numpy())


def load(path: str, obj: Any) -> list[np.ndarray]:
    """Read the arrays for `obj.set_weights`; ValueError where the file isn't one of these layers."""
    h5py = _h5py()
    with open(path, "rb") as stream:
        try:
            with h5py.File(stream, "r") as file:
                return _load(_File(path, file, h5py), obj)
        # What h5py raises for a truncated or damaged file depends on where the damage is.
        except (OSError, RuntimeError, LookupError, TypeError, UnicodeError) as error:
            raise ValueError(f"{path!r} isn't a whole .weights.h5 file: {error}") from error


def _write(store: Any, name: str, array: np.ndarray) -> None:
    if array.dtype.name == "bfloat16":
        store.create_dataset(name, data=array.view("V2")).attrs["dtype"] = "bfloat16"
    else:
        store.create_dataset(name, data=array)


class _File:
    """An open file in which only plain groups and datasets can be found."""

    def __init__(self, path: str, root: Any, h5py: Any) -> None:
        self.path, self.root, self._h5py = path, root, h5py

    def find(self, where: str) -> Any:
        """The object at `where`, or None; ValueError if a link on the way leads elsewhere."""
        found = self.root
        for part in where.split("/"):
            link = found.get(part, getlink=True) if isinstance(found, self._h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise ValueError(f"entry {where!r} of {self.path!r} is a link, which is not followed.")
            found = found[part]
        return found

    def names(self, where: str) -> list[str]:
        """What the group at `where` holds; nothing if there is no such group."""
        group = self.find(where)
        return list(group) if isinstance(group, self._h5py.Group) else []

    def array(self, where: str, like: np.ndarray) -> np.ndarray:
        """The data at `where`, in the shape and dtype of `like`."""
        entry = f"entry {where!r} of {self.path!r}"
        data = self.find(where)
        if not isinstance(data, self._h5py.Dataset):
            raise ValueError(f"{entry} isn't an array.")
        if data.is_virtual or data.external:
            raise ValueError(f"{entry} keeps its data in another file, which is not followed.")
        if data.shape != like.shape:
            raise ValueError(f"{entry} must have the shape {like.shape}. Received: {data.shape}")
        if data.chunks is not None and np.prod(data.chunks, dtype=float) > like.size:
            raise ValueError(f"{entry} declares chunks of {data.chunks} for the shape {like.shape}.")
        if data.dtype == np.dtype("V2") and data.attrs.get("dtype") == "bfloat16":
            values: np.ndarray = data[()].view(as_numpy_dtype("bfloat16"))
        elif data.dtype.name in _FLOATS:
            values = data[()]
        else:
            raise ValueError(f"{entry} must be of {', '.join(_FLOATS)} or bfloat16. Received: {data.dtype}")
        return values.astype(like.dtype)


def _load(file: _File, obj: Any) -> list[np.ndarray]:
    if hasattr(obj, "layers"):
        wanted = [(f"layers/{group}/vars", layer) for group, layer in groups(obj)]
        _refuse_others(file, {where for where, _ in wanted})
    else:
        wanted = [(_lone(file, obj), obj)]
    return [array for where, layer in wanted for array in _read_layer(file, where, layer)]


def _lone(file: _File, layer: Any) -> str:
    """Where the file keeps its one layer: at the root, as Keras writes a layer alone, or as the one layer of a model with weights."""
    places = [where for where in ("vars", *(f"layers/{name}/vars" for name in file.names("layers"))) if file.names(where)]
    if not places and not layer.weights:
        return "vars"
    if len(places) != 1:
        raise ValueError(f"{file.path!r} must hold the weights of one layer. Received: {places}")
    return places[0]


def _refuse_others(file: _File, wanted: set[str]) -> None:
    for name in file.names("layers"):
        where = f"layers/{name}/vars"
        if where not in wanted and file.names(where):
            raise ValueError(f"{file.path!r} has the entry {where!r}, which isn't a layer here. Expected: {sorted(wanted)}")


def _read_layer(file: _File, where: str, layer: Any) -> list[np.ndarray]:
    found, expected = sorted(file.names(where)), sorted(str(i) for i in range(len(layer.weights)))
    if found != expected:
        raise ValueError(
            f"{where!r} of {file.path!r} must hold the {len(expected)} weights of the layer {layer.name!r}, "
            f"{[v.name for v in layer.weights]}. Received: {found}"
        )
    return [file.array(f"{where}/{i}", v.numpy()) for i, v in enumerate(layer.weights)]

"""Weights on disk: `.npz` (NumPy only) and `.weights.h5` (Keras's format, with the extra `[h5]`).

Neither format can carry code: nothing is unpickled, imported or executed. A file is checked before memory is allocated for it, a
load that fails leaves every weight as it was, and a save that fails leaves the old file as it was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    from ..layers.base import Layer
    from ..models import Sequential

    Saveable: TypeAlias = Layer | Sequential

__all__ = ["load_weights", "save_weights"]


def save_weights(filepath: str | os.PathLike[str], obj: Saveable) -> None:
    """Write the weights of a built layer or model; the suffix of the path chooses the format.

    Parameters
    ----------
    filepath
        A path that ends in `.npz` or `.weights.h5`. The file appears whole or not at all: the weights go to a temporary file
        beside it, which then takes its place.
    obj
        A built `Layer` or `Sequential`.

    Raises
    ------
    ValueError
        If the suffix is another one, or `obj` isn't built.
    ImportError
        For `.weights.h5` without h5py.
    OSError
        If the file can't be written.

    Notes
    -----
    In a `.npz` the entries are named like the variables (`depthwise_kernel`), in a model with the layer's class in front, numbered
    in the order of the layers (`layers/separable_conv2d_1/depthwise_kernel`), so that layers of other names read them too;
    `numpy.load` reads it. A `.weights.h5` is what `keras.Model.save_weights` writes; a layer is
    written as the only layer of a model, so that `keras.Sequential([..., the_layer]).load_weights` reads it.

    Examples
    --------
    >>> import os, tempfile, sepconv
    >>> layer = sepconv.SeparableConv2D(8, 3, input_shape=(16, 16, 3))
    >>> path = os.path.join(tempfile.mkdtemp(), "stem.npz")
    >>> layer.save_weights(path)
    >>> layer.load_weights(path)
    """
    _format(filepath).save(os.fspath(filepath), _built(obj, "save_weights"))


def load_weights(filepath: str | os.PathLike[str], obj: Saveable) -> None:
    """Read weights that `save_weights`, or for `.weights.h5` Keras, has written into a built layer or model.

    Parameters
    ----------
    filepath
        A path that ends in `.npz` or `.weights.h5`.
    obj
        A built `Layer` or `Sequential` whose weights have the names, shapes and dtypes of the file. A `.npz` gives them back
        bit for bit; from a `.weights.h5` another float type is converted, as in Keras.

    Raises
    ------
    ValueError
        If the suffix is another one, `obj` isn't built, or the file is damaged or doesn't fit; the message names the entry.
        No weight has changed then.
    ImportError
        For `.weights.h5` without h5py.
    OSError
        If the file can't be read.
    """
    obj = _built(obj, "load_weights")
    obj.set_weights(_format(filepath).load(os.fspath(filepath), obj))


def _format(filepath: str | os.PathLike[str]) -> Any:
    """The module that reads and writes this suffix."""
    path = os.fspath(filepath) if isinstance(filepath, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise TypeError(f"`filepath` must be a str or an os.PathLike of str. Received: {filepath!r}")
    if path.endswith(".npz"):
        from . import npz

        return npz
    if path.endswith(".weights.h5"):
        from . import h5

        return h5
    raise ValueError(f"`filepath` must end in '.npz' or '.weights.h5'. Received: {path!r}")


def _built(obj: Saveable, what: str) -> Saveable:
    if not obj.built:
        raise ValueError(
            f"`{what}` needs weights, but {obj.name!r} isn't built. Build it first: pass `input_shape=` when you make it, "
            f"call `build(input_shape)`, or call it once."
        )
    return obj

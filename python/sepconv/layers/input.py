"""Input: the shape of what a model is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import _arguments, _dtypes
from .._arguments import Shape, refuse
from ._names import auto_name


class Input:
    """The shape of a model's input; the first item of a `Sequential`.

    Parameters
    ----------
    shape : tuple of int or None, optional
        Without the batch axis; None where a size isn't known: `(None, None, 3)` are images of any size.
    batch_size : int, optional
        The size of the batch axis. As in Keras, it isn't enforced at a call.
    dtype : str, default "float32"
        Also an integer type, as "uint8". Kept for Keras; the first layer's own dtype decides what it computes in.
    batch_shape : tuple of int or None, optional
        With the batch axis, in place of `shape` and `batch_size`.
    name : str, optional
        By default "input_layer", "input_layer_1", ...

    Raises
    ------
    ValueError
        If neither or both of `shape` and `batch_shape` are given, one isn't a shape, or `dtype` isn't known.

    Examples
    --------
    >>> Input((224, 224, 3)).batch_shape
    (None, 224, 224, 3)
    """

    def __init__(
        self,
        shape: Iterable[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        batch_shape: Iterable[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        if (shape is None) == (batch_shape is None) or (batch_shape is not None and batch_size is not None):
            raise ValueError(
                "`Input` needs either `shape` (and `batch_size`), without the batch axis, or `batch_shape`, with it. "
                f"Received: shape={shape!r}, batch_size={batch_size!r}, batch_shape={batch_shape!r}"
            )
        if shape is not None:
            size = None if batch_size is None else _arguments.integer(batch_size, "batch_size")
            self.batch_shape: Shape = (size, *_arguments.shape(shape, "shape"))
        else:
            self.batch_shape = _arguments.shape(batch_shape, "batch_shape")
        self.dtype: str = _dtypes.of_input(dtype)
        self.name = auto_name("InputLayer") if name is None else _arguments.layer_name(name)

    def get_config(self) -> dict[str, Any]:
        """The configuration of Keras's `InputLayer`."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": False,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Input:
        """From the configuration of an `InputLayer` of Keras 3 (`batch_shape`) or tf_keras (`batch_input_shape`)."""
        if not isinstance(config, Mapping):
            refuse("config", "a dictionary", config, TypeError)
        for flag in ("sparse", "ragged", "optional"):
            if config.get(flag):
                refuse(flag, "False: only dense arrays are computed here", config[flag])
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        return cls(batch_shape=shape, dtype=config.get("dtype"), name=config.get("name"))

    def __repr__(self) -> str:
        dtype = "" if self.dtype == "float32" else f"dtype={self.dtype!r}, "
        return f"Input(batch_shape={self.batch_shape}, {dtype}name={self.name!r})"


InputLayer = Input

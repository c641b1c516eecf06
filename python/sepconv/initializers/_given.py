"""Initializers whose values are given, not drawn; and the base of all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import _dtypes
from .._arguments import boolean, refuse, refuse_shape
from .._arguments import shape as checked_shape
from .._intake import as_array, is_array
from .._registry import Configured, number

# Coefficients of the sums of cosines that scipy.signal calls by these names.
_WINDOWS: dict[str, tuple[float, ...]] = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


class Initializer(Configured):
    """Base of the initializers.

    Subclasses compute in ``__call__(shape, dtype=None)``, and return the arguments of their constructor from `get_config`.
    """

    @abstractmethod
    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        """An array of `shape`. `dtype` is a name, a NumPy dtype or None for float32."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An initializer from what `get_config` returned. A `dtype`, as TensorFlow 1 wrote it, is ignored."""
        return cls(**{key: value for key, value in config.items() if key != "dtype"})

    def clone(self) -> Any:
        """Another one from the same configuration."""
        return type(self).from_config(self.get_config())


def request(shape: Any, dtype: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The arguments of a call, checked."""
    sizes: Any = checked_shape(shape, "shape")
    if None in sizes:
        refuse("shape", "a tuple of integers, all known", shape)
    return sizes, _dtypes.as_numpy_dtype(_dtypes.get(dtype).variable_dtype)


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        return np.zeros(*request(shape, dtype))


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        return np.ones(*request(shape, dtype))


class Constant(Initializer):
    """A number everywhere, or the values of an array.

    Parameters
    ----------
    value : float or array_like
        An array is for weights of just its shape.

    Examples
    --------
    >>> Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = array_or_number(value, "value")

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        if isinstance(self.value, np.ndarray):
            if self.value.shape != sizes:
                raise ValueError(
                    f"The `value` argument must have the shape of the weight, {sizes}. Received: shape={self.value.shape}"
                )
            return self.value.astype(number_type)
        return np.full(sizes, self.value, number_type)

    def get_config(self) -> dict[str, Any]:
        return {"value": plain(self.value)}


class Identity(Initializer):
    """The identity matrix times `gain`, for weights of two axes.

    Raises
    ------
    ValueError
        At the call, if the shape has not two axes.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number(gain, "gain")

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        if len(sizes) != 2:
            refuse("shape", "of two axes for the initializer Identity", shape)
        return (self.gain * np.eye(*sizes)).astype(number_type)

    def get_config(self) -> dict[str, Any]:
        # Keras forgets the gain; it reads it, though.
        return {} if self.gain == 1 else {"gain": self.gain}


class STFT(Initializer):
    """Kernels of a short-time Fourier transform, for weights of shape ``(frame length, 1, frequencies)``.

    Parameters
    ----------
    side : {"real", "imag"}
        Which half of the complex result the kernel computes.
    window : str, array_like or None
        One of boxcar, hann, hamming, blackman, nuttall, blackmanharris, flattop, as scipy.signal has them; or values, one a sample.
    scaling : {"density", "spectrum"} or None
        Divides the window by the root of its sum of squares, or by its sum of absolute values.
    periodic : bool
        Whether the window is one of a periodic signal.

    Raises
    ------
    ValueError
        If an argument is none of these, or the shape at a call doesn't fit.
    """

    def __init__(self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False) -> None:
        if side not in ("real", "imag"):
            refuse("side", "'real' or 'imag'", side)
        if scaling not in (None, "density", "spectrum"):
            refuse("scaling", "'density', 'spectrum' or None", scaling)
        if isinstance(window, str) and window not in _WINDOWS:
            refuse("window", f"one of {', '.join(map(repr, _WINDOWS))}, an array of values, or None", window)
        self.side, self.scaling = side, scaling
        self.window = window if window is None or isinstance(window, str) else array_or_number(window, "window")
        self.periodic = boolean(periodic, "periodic")

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        if len(sizes) != 3 or sizes[1] != 1 or sizes[2] < 2:
            refuse("shape", "(frame length, 1, frequencies), with at least 2 frequencies, for the initializer STFT", shape)
        length, _, frequencies = sizes
        # Whole turns don't count: taken out while the numbers are integers, they cost no accuracy.
        period = 2 * (frequencies - 1)
        angles = np.outer(np.arange(length), np.arange(frequencies)) % period * (-2 * np.pi / period)
        kernel = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            kernel *= self._scaled_window(length)[:, None]
        return np.asarray(kernel.reshape(sizes), number_type)

    def _scaled_window(self, length: int) -> np.ndarray:
        window: np.ndarray = np.asarray(_window(self.window, length, self.periodic), np.float64)
        if window.shape != (length,):
            refuse_shape("window", f"an array of shape {(length,)}, the frame length", window.shape)
        if self.scaling == "density":
            window = window / np.sqrt(np.square(window).sum())
        elif self.scaling == "spectrum":
            window = window / np.abs(window).sum()
        return window

    def get_config(self) -> dict[str, Any]:
        return {"side": self.side, "window": plain(self.window), "periodic": self.periodic, "scaling": self.scaling}


def _window(window: Any, length: int, periodic: bool) -> Any:
    if not isinstance(window, str):
        return window
    if length < 2:
        return np.ones(length)
    turns = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    terms = [(-1) ** k * factor * np.cos(k * turns) for k, factor in enumerate(_WINDOWS[window])]
    return np.sum(terms, axis=0)


def array_or_number(value: Any, name: str) -> Any:
    """A number, or an array of real numbers: from itself, a list, or the dictionary by which Keras writes an array."""
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") not in ("__numpy__", "__tensor__") or not isinstance(config, Mapping) or "value" not in config:
            refuse(name, "a number or an array", value)
        kind = config.get("dtype")
        array = as_array(config["value"], name).astype(_dtypes.as_numpy_dtype(str(kind)) if kind in _ARRAYS else np.float64)
        return array if array.ndim else array.item()
    if is_array(value) or (isinstance(value, Sequence) and not isinstance(value, (str, bytes))):
        array = as_array(value, name)
        return array.copy() if array.ndim else array.item()
    return number(value, name)


_ARRAYS = ("float16", "bfloat16", "float32", "float64")


def plain(value: Any) -> Any:
    """`value` as Keras writes it: an array becomes a dictionary."""
    if not isinstance(value, np.ndarray):
        return value
    return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}

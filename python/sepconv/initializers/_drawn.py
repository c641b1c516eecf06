"""Initializers that draw their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._arguments import _as_int, one_of, refuse
from .._random import generator, truncated, whole
from .._registry import number
from ._given import Initializer, request

# The standard deviation of a standard normal variable that is cut at 2.
_CUT = 0.87962566103423978


class RandomInitializer(Initializer):
    """Base of the initializers that draw.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        See the module. A `SeedGenerator`'s dictionary in a configuration of Keras becomes a generator.
    """

    def __init__(self, seed: Any = None) -> None:
        self.seed: Any = seed
        self._seed_config: Any = None
        if isinstance(seed, Mapping):
            config = seed.get("config")
            if seed.get("class_name") != "SeedGenerator" or not isinstance(config, Mapping):
                refuse("seed", "None, an integer or a numpy.random.Generator", seed)
            self._seed_config, self.seed = dict(seed), generator(config.get("seed"))
        elif seed is not None and not isinstance(seed, np.random.Generator):
            self._seed_config = self.seed = whole(seed)

    def _draw(self) -> np.random.Generator:
        return self.seed if isinstance(self.seed, np.random.Generator) else generator(self.seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._seed_config}


class RandomNormal(RandomInitializer):
    """A normal distribution.

    Parameters
    ----------
    mean, stddev : float
    seed : int, numpy.random.Generator or None

    Examples
    --------
    >>> RandomNormal(stddev=0.1, seed=1)((3, 3, 8, 1)).shape
    (3, 3, 8, 1)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = number(mean, "mean"), number(stddev, "stddev", 0)

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        return self._draw().normal(self.mean, self.stddev, sizes).astype(number_type)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """A normal distribution, drawn again beyond two standard deviations. Parameters as `RandomNormal`."""

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        return (self.mean + self.stddev * truncated(self._draw(), sizes)).astype(number_type)


class RandomUniform(RandomInitializer):
    """A uniform distribution over ``[minval, maxval)``.

    Parameters
    ----------
    minval, maxval : float
    seed : int, numpy.random.Generator or None
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = number(minval, "minval"), number(maxval, "maxval")
        if self.maxval < self.minval:
            refuse("maxval", f"at least `minval`, {minval}", maxval)

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        return self._draw().uniform(self.minval, self.maxval, sizes).astype(number_type)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class VarianceScaling(RandomInitializer):
    """Mean 0 and variance ``scale / n``, where `n` is the number of a unit's inputs, of its outputs, or their mean.

    For a shape of more than two axes the window counts for both: ``(rows, columns, channels, multiplier)`` has
    ``rows * columns * channels`` inputs and ``rows * columns * multiplier`` outputs, as in Keras.

    Parameters
    ----------
    scale : float
        Positive.
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        ``"normal"`` means the first, which is cut at two of its standard deviations.
    seed : int, numpy.random.Generator or None
    input_axes, output_axes : list of int or None
        Both together replace the rule: the axes whose sizes are multiplied to the number of inputs, and of outputs.

    Raises
    ------
    ValueError
        If an argument is none of these.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Any = None,
        output_axes: Any = None,
    ) -> None:
        super().__init__(seed)
        self.scale = number(scale, "scale", 0)
        if self.scale == 0:
            refuse("scale", "positive", scale)
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            refuse("mode", "one of 'fan_in', 'fan_out', 'fan_avg'", mode)
        self.mode = mode
        name = one_of(distribution, "distribution", ("truncated_normal", "untruncated_normal", "uniform", "normal"))
        self.distribution = "truncated_normal" if name == "normal" else name
        self.input_axes, self.output_axes = _axes(input_axes, "input_axes"), _axes(output_axes, "output_axes")

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        fan_in, fan_out = _fans(sizes, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance, rng = self.scale / max(1.0, fan), self._draw()
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            values = rng.uniform(-limit, limit, sizes)
        elif self.distribution == "untruncated_normal":
            values = math.sqrt(variance) * rng.standard_normal(sizes)
        else:
            values = math.sqrt(variance) / _CUT * truncated(rng, sizes)
        return values.astype(number_type)

    def get_config(self) -> dict[str, Any]:
        options = {"scale": self.scale, "mode": self.mode, "distribution": self.distribution}
        return {**super().get_config(), **options, "input_axes": self.input_axes, "output_axes": self.output_axes}


class _Named(VarianceScaling):
    """A variance scaling whose first three parameters are known by a name."""

    _rule: tuple[float, str, str]

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(*self._rule, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key not in ("scale", "mode", "distribution")}


class GlorotUniform(_Named):
    """Uniform within ``sqrt(6 / (inputs + outputs))``, also called Xavier. See `VarianceScaling`."""

    _rule = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal of standard deviation ``sqrt(2 / (inputs + outputs))``. See `VarianceScaling`."""

    _rule = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform within ``sqrt(6 / inputs)``. See `VarianceScaling`."""

    _rule = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal of standard deviation ``sqrt(2 / inputs)``. See `VarianceScaling`."""

    _rule = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform within ``sqrt(3 / inputs)``. See `VarianceScaling`."""

    _rule = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal of standard deviation ``sqrt(1 / inputs)``. See `VarianceScaling`."""

    _rule = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random orthogonal matrix times `gain`.

    A weight of more than two axes is a matrix of all axes but the last by the last; its shorter side is made orthonormal.

    Parameters
    ----------
    gain : float
    seed : int, numpy.random.Generator or None

    Raises
    ------
    ValueError
        At the call, if the shape has fewer than two axes.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = number(gain, "gain")

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        sizes, number_type = request(shape, dtype)
        if len(sizes) < 2:
            refuse("shape", "of at least two axes for the initializer Orthogonal", shape)
        rows, columns = math.prod(sizes[:-1]), sizes[-1]
        q, r = np.linalg.qr(self._draw().standard_normal((max(rows, columns), min(rows, columns))))
        # With this choice of signs every orthogonal matrix is equally likely.
        q *= np.sign(np.diag(r))
        return (self.gain * (q.T if rows < columns else q)).reshape(sizes).astype(number_type)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


def _axes(value: Any, name: str) -> list[int] | None:
    if value is None:
        return None
    found = [_as_int(axis) for axis in value] if isinstance(value, (list, tuple)) else [None]
    if None in found:
        refuse(name, "a list of integers or None", value)
    return [axis for axis in found if axis is not None]


def _fans(shape: tuple[int, ...], input_axes: list[int] | None, output_axes: list[int] | None) -> tuple[int, int]:
    """The numbers of inputs and outputs of a unit, by Keras's rule."""
    if input_axes is not None and output_axes is not None:
        for name, found in (("input_axes", input_axes), ("output_axes", output_axes)):
            if not all(-len(shape) <= axis < len(shape) for axis in found):
                refuse(name, f"axes of the shape {shape}", found)
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]

"""Initializers: the first values of weights.

A layer takes one as a name, a dictionary of Keras's, an object of these classes, an array of the weight's shape, or any function
``f(shape, dtype)`` that returns such an array.

Random values are drawn in float64 and then rounded, so a `seed` gives the same ones in every dtype. A seed that is an integer
gives the same values at every call; None draws anew, reproducibly after `set_random_seed`; a `numpy.random.Generator` is drawn
from, and is written to configurations as None. The global state of ``numpy.random`` is neither read nor changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._intake import is_array
from .._random import set_random_seed
from .._registry import Registry, by_name
from ._drawn import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
)
from ._given import STFT, Constant, Identity, Initializer, Ones, Zeros

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFT",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "set_random_seed",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

# The names under which Keras exports the classes too.
constant, identity, ones, stft, zeros = Constant, Identity, Ones, STFT, Zeros
glorot_normal, he_normal, lecun_normal = GlorotNormal, HeNormal, LecunNormal
glorot_uniform, he_uniform, lecun_uniform = GlorotUniform, HeUniform, LecunUniform
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
orthogonal, variance_scaling = Orthogonal, VarianceScaling
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT

_REGISTRY = Registry(
    "initializer",
    {
        **by_name(
            Constant, Identity, Ones, STFT, Zeros, GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform
        ),
        **by_name(Orthogonal, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling),
        **{"one": Ones, "zero": Zeros, "normal": RandomNormal, "uniform": RandomUniform},
        **{"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal, "STFTInitializer": STFT},
    },
    "f(shape, dtype) -> array",
)


def get(identifier: Any) -> Any:
    """The initializer that `identifier` is or stands for; None for None.

    Parameters
    ----------
    identifier : str, dict, array, callable, class or None
        An array, NumPy's or one that NumPy can view, becomes `Constant`, for weights of just its shape.

    Raises
    ------
    ValueError
        If it is a name that isn't known; names have Keras's case, ``"he_normal"`` or ``"HeNormal"``.
    TypeError
        If it is something else.

    Examples
    --------
    >>> get("he_normal")
    HeNormal()
    >>> get({"class_name": "Constant", "config": {"value": 2}})((1, 2), "float32")
    array([[2., 2.]], dtype=float32)
    """
    return Constant(identifier) if is_array(identifier) else _REGISTRY.get(identifier)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """An initializer from its name or from what `serialize` or Keras wrote; `custom_objects` are functions and classes by name.

    Raises
    ------
    ValueError, TypeError
        As `get`.
    """
    return _REGISTRY.deserialize(config, custom_objects)


def serialize(initializer: Any) -> Any:
    """`initializer` as ``keras.initializers.serialize`` writes it. A lambda is a ValueError, since it has no name."""
    return _REGISTRY.serialize(initializer)

"""Dtype policies: what a layer's weights are kept in, and what it computes in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from ._arguments import refuse

# Name -> (compute dtype, variable dtype).
_POLICIES: dict[str, tuple[str, str]] = {
    **{name: (name, name) for name in ("float16", "bfloat16", "float32", "float64")},
    "mixed_float16": ("float16", "float32"),
    "mixed_bfloat16": ("bfloat16", "float32"),
}
# What an image may come in. Layers convert it, without scaling.
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64))
# As Keras 3 and tf_keras call the class.
_CLASSES = ("DTypePolicy", "FloatDTypePolicy", "Policy")


class DTypePolicy:
    """The dtypes of a layer.

    Parameters
    ----------
    name : str
        ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``, for both; ``"mixed_float16"`` or ``"mixed_bfloat16"``, which
        computes in 16 bits with weights in float32.

    Attributes
    ----------
    name, compute_dtype, variable_dtype : str

    Examples
    --------
    >>> policy = DTypePolicy("mixed_float16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('float16', 'float32')
    """

    __slots__ = ("compute_dtype", "name", "variable_dtype")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or name not in _POLICIES:
            _refuse(name)
        self.name = name
        self.compute_dtype, self.variable_dtype = _POLICIES[name]

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)  # the old protocols of pickle can't do slots

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"DTypePolicy({self.name!r})"


def get(value: Any) -> DTypePolicy:
    """The policy that `value` stands for: a name, None (float32), a NumPy dtype or scalar type, a policy or its dictionary.

    Raises
    ------
    ValueError
        If it is none of these, or another dtype.
    """
    if isinstance(value, DTypePolicy):
        return value
    if value is None:
        return DTypePolicy("float32")
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") not in _CLASSES or not isinstance(config, Mapping):
            _refuse(value)
        name = config.get("name")
    elif isinstance(value, type) and issubclass(value, np.generic):
        name = np.dtype(value).name
    else:
        # A dtype has a name, and so has a policy of Keras.
        name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or name not in _POLICIES:
        _refuse(value)
    return DTypePolicy(name)


def _refuse(value: object) -> NoReturn:
    refuse("dtype", f"one of {', '.join(map(repr, _POLICIES))}, or a policy of that name", value)


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """`policy` as Keras writes it."""
    return {"module": "keras", "class_name": "DTypePolicy", "config": policy.get_config(), "registered_name": None}


def of_input(value: Any) -> str:
    """The dtype of a model's input: an integer's name, or what a layer computes in whose policy `value` stands for.

    Raises
    ------
    ValueError
        If it is neither.
    """
    found = np.dtype(value) if isinstance(value, type) and issubclass(value, np.generic) else value
    name = getattr(found, "name", found)
    if isinstance(name, str) and name in _INTEGERS:
        return name
    try:
        return get(value).compute_dtype
    except ValueError:
        refuse("dtype", f"one of {', '.join(map(repr, (*_POLICIES, *_INTEGERS)))}", value)


def as_numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.

    Raises
    ------
    ImportError
        If it is bfloat16, which NumPy lacks, and ``ml_dtypes`` isn't installed.
    """
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError('The dtype bfloat16 needs ml_dtypes: pip install "sepconv[bfloat16]"') from error
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def is_real(dtype: np.dtype[Any]) -> bool:
    """True for integers and floats, those of the package ``ml_dtypes`` (bfloat16) among them."""
    return dtype.kind in "iuf" or str(dtype.type.__module__).startswith("ml_dtypes")


def floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What a function of an array computes in: the array's dtype if that is one of the four, in native byte order, else float32."""
    return dtype.newbyteorder("=") if dtype.name in _POLICIES else np.dtype(np.float32)

"""Layers as configurations: what `get_config` writes, what `from_config` accepts, and the call that `repr` shows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _dtypes, activations, constraints, initializers, regularizers
from .._arguments import data_format, refuse, within
from .._registry import Configured, objects_by_name

_REGISTRIES: dict[str, Any] = {
    "activation": activations,
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}

# What tf_keras writes for these layers, though they don't use it. A value that isn't the default would be lost, so it is refused.
_LEGACY: dict[str, Any] = {
    "groups": 1,
    "kernel_initializer": "glorot_uniform",
    "kernel_regularizer": None,
    "kernel_constraint": None,
}

_COMMON = ("name", "trainable", "dtype", "activity_regularizer", "batch_input_shape")


def registry_of(key: str) -> Any:
    """The module that knows the objects of the argument `key`, e.g. `initializers` for ``"bias_initializer"``; None for plain values."""
    return _REGISTRIES.get(key.rsplit("_", 1)[-1])


def resolve(key: str, value: Any) -> Any:
    """The object that `value` stands for; a refusal names the argument `key`."""
    with within(key):
        found = registry_of(key).get(value)
        if registry_of(key) is activations:
            activations.core_form(found)  # which refuses wrong parameters
    return constraints.named(found, key) if registry_of(key) is constraints else found


def to_config(layer: Any) -> dict[str, Any]:
    """A layer's configuration, with Keras's keys in Keras's order."""
    config: dict[str, Any] = {"name": layer.name, "trainable": layer.trainable, "dtype": _dtypes.serialize(layer.dtype_policy)}
    # Keras's base class writes it here where there is one, and the subclass's own entry then doesn't move it.
    if layer.activity_regularizer is not None:
        config["activity_regularizer"] = regularizers.serialize(layer.activity_regularizer)
    for key in layer.config_keys:
        value, registry = getattr(layer, key), registry_of(key)
        config[key] = value if registry is None or value is None else registry.serialize(value)
    return config


def from_config(cls: Any, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments of ``cls(...)`` for a configuration written by sepconv, Keras 3 or tf_keras.

    Raises
    ------
    ValueError
        If it has a key that `cls` doesn't know, a tf_keras key whose value isn't the default, or an object that isn't known.
    """
    arguments = resolved(cls, config, custom_objects)
    own = inspect.signature(cls.__init__).parameters
    for key, default in _LEGACY.items():
        unused = key in arguments and key not in own and "kernel_size" in cls.config_keys
        if unused and not _is_default(key, arguments.pop(key), default):
            raise ValueError(
                f"The `config` of a {cls.__name__} must have {key}={default!r} or lack it. Received: {key}={config[key]!r}"
            )
    unknown = [key for key in arguments if key not in _COMMON and key not in cls.config_keys]
    # A subclass with a constructor of its own gets what its `get_config` wrote, as in Keras; Python refuses the rest by name.
    if unknown and cls.__init__.__module__.split(".")[0] == __name__.split(".")[0]:
        known = ", ".join((*_COMMON, *cls.config_keys))
        raise ValueError(
            f"The `config` of a {cls.__name__} must have no other keys than {known}. Received: {', '.join(map(str, unknown))}"
        )
    return arguments


def resolved(cls: Any, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> dict[str, Any]:
    """`config` with the objects that its names and dictionaries stand for, where the keys are arguments of this package's layers."""
    if not isinstance(config, Mapping):
        refuse("config", "a dictionary", config, TypeError)
    custom = objects_by_name(custom_objects)
    arguments = dict(config)
    for key in (*_COMMON, *cls.config_keys):
        registry, value = registry_of(key), arguments.get(key)
        if registry is not None and isinstance(value, (str, Mapping)):
            with within(key):
                arguments[key] = registry.deserialize(value, custom)
    return arguments


def _is_default(key: str, value: Any, default: Any) -> bool:
    if isinstance(value, Mapping) and registry_of(key) is not None:
        return bool(value.get("class_name") in ("GlorotUniform", "glorot_uniform")) and default is not None
    return bool(np.array_equal(value, default))


def call_text(layer: Any) -> str:
    """The call that makes `layer`, defaults left out, with the shape it was built for."""
    given = []
    for key, parameter in _parameters(type(layer)).items():
        if key == "name":
            value: Any = None if layer.auto_named else layer.name
        elif key == "dtype":
            value = None if layer.dtype_policy.name == "float32" else layer.dtype_policy.name
        elif key == "batch_input_shape":
            value = layer.get_build_config()["input_shape"] if layer.built and layer.weights else None
        elif key in ("input_shape", "batch_size", "weights"):
            continue
        else:
            value = getattr(layer, key)
        if parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY:
            given.append(_value_text(key, value))
        elif parameter.default is parameter.empty or not _same(key, value, parameter.default):
            given.append(f"{key}={_value_text(key, value)}")
    return f"{type(layer).__name__}({', '.join(given)})"


def _parameters(cls: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor, and of those to which a subclass hands on its ``*args`` and ``**kwargs``."""
    found: dict[str, inspect.Parameter] = {}
    by_place = True
    for owner in (c for c in cls.__mro__ if "__init__" in c.__dict__):
        _, *parameters = inspect.signature(owner.__init__).parameters.values()
        kinds = {p.kind for p in parameters}
        for p in parameters:
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                found.setdefault(p.name, p if by_place else p.replace(kind=p.KEYWORD_ONLY))
        by_place = not found and inspect.Parameter.VAR_POSITIONAL in kinds
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return found


def _same(key: str, value: Any, default: Any) -> bool:
    registry = registry_of(key)
    if registry is not None:
        known = registry.get(default)
        return value is known or (value is not None and known is not None and _plain(registry, value) == _plain(registry, known))
    if key == "data_format":
        default = data_format(default)
    elif isinstance(value, tuple) and isinstance(default, int):
        default = (default,) * len(value)
    return bool(value == default)


def _plain(registry: Any, value: Any) -> Any:
    """`value` serialized, or itself where it has no serial form (a lambda)."""
    try:
        return registry.serialize(value)
    except (TypeError, ValueError):
        return value


def _value_text(key: str, value: Any) -> str:
    registry = registry_of(key)
    if registry is None or value is None:
        return repr(value)
    plain = value if isinstance(value, Configured) else _plain(registry, value)  # ours have a repr that makes them
    if isinstance(plain, Mapping) and "class_name" in plain and isinstance(plain.get("config"), Mapping):
        options = ", ".join(f"{name}={option!r}" for name, option in plain["config"].items() if option is not None)
        return f"{plain['class_name']}({options})"
    return repr(plain) if isinstance(plain, str) else repr(value)

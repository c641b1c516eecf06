"""Layers as configurations: what `get_config` writes, what `from_config` accepts, and the call that `repr` shows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .. import _dtypes, activations, constraints, initializers, regularizers
from .._arguments import data_format, refuse
from .._registry import Configured

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
    try:
        return registry_of(key).get(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"The `{key}` argument: {error}") from error


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
    if not isinstance(config, Mapping):
        refuse("config", "a dictionary", config, TypeError)
    arguments = dict(config)
    for key, default in _LEGACY.items():
        if key in arguments and "kernel_size" in cls.config_keys and not _is_default(key, arguments.pop(key), default):
            raise ValueError(
                f"The `config` of a {cls.__name__} must have {key}={default!r} or lack it. Received: {key}={config[key]!r}"
            )
    unknown = [key for key in arguments if key not in _COMMON and key not in cls.config_keys]
    if unknown:
        known = ", ".join((*_COMMON, *cls.config_keys))
        raise ValueError(
            f"The `config` of a {cls.__name__} must have no other keys than {known}. Received: {', '.join(map(str, unknown))}"
        )
    for key, value in arguments.items():
        registry = registry_of(key)
        if registry is not None and isinstance(value, (str, Mapping)):
            arguments[key] = registry.deserialize(value, custom_objects)
    return arguments


def _is_default(key: str, value: Any, default: Any) -> bool:
    if isinstance(value, Mapping) and registry_of(key) is not None:
        return bool(value.get("class_name") in ("GlorotUniform", "glorot_uniform")) and default is not None
    return bool(value == default)


def call_text(layer: Any) -> str:
    """The call that makes `layer`, defaults left out, with the shape it was built for."""
    given = []
    for key, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if key == "name":
            value: Any = None if layer.auto_named else layer.name
        elif key == "dtype":
            value = None if layer.dtype_policy.name == "float32" else layer.dtype_policy.name
        elif key == "batch_input_shape":
            value = layer.get_build_config()["input_shape"] if layer.built and layer.weights else None
        elif key in ("self", "input_shape", "batch_size", "weights"):
            continue
        else:
            value = getattr(layer, key)
        if parameter.default is parameter.empty:
            given.append(_value_text(key, value))
        elif not _same(key, value, parameter.default):
            given.append(f"{key}={_value_text(key, value)}")
    return f"{type(layer).__name__}({', '.join(given)})"


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

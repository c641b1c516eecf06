"""What activations, initializers, regularizers and constraints have in common: found by name or configuration, and written as one.

Configurations are those of Keras. Nothing that they name is imported, and no code in them is executed: what isn't ours comes out
of `custom_objects`, or is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from ._arguments import refuse


class Configured:
    """An object that its configuration makes again."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as values that JSON knows."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        import inspect  # only here, and slow to import

        parameters = inspect.signature(type(self).__init__).parameters
        # A None is left out where it is the default.
        given = {
            k: v for k, v in self.get_config().items() if v is not None or k not in parameters or parameters[k].default is not None
        }
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in given.items())})"


class Registry:
    """The objects of one kind.

    Parameters
    ----------
    kind : str
        ``"initializer"`` for those of ``keras.initializers``.
    objects : dict
        Classes, or functions that are the objects themselves, by every name that a string or a dictionary may give them.
    makers : dict or None
        Functions of a configuration, by names that only a dictionary may give, of ``keras.layers``.
    signature : str
        What a callable must look like.
    """

    def __init__(
        self, kind: str, objects: Mapping[str, Any], signature: str, makers: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> None:
        self.kind, self.objects, self.signature = kind, dict(objects), signature
        self.makers = dict(makers or {})
        self._modules = {None, "builtins", "keras", *(f"{root}.{kind}s" for root in ("keras", "tf_keras", "sepconv"))}
        if makers:
            self._modules |= {"keras.layers", "tf_keras.layers"}

    def get(self, value: Any) -> Any:
        """The object that `value` is or stands for; None for None."""
        if value is None or isinstance(value, (str, Mapping)):
            return self.deserialize(value)
        if isinstance(value, type):
            return value()
        if not callable(value):
            raise TypeError(f"{self._wanted()}. Received: {value!r} (of type {type(value).__name__})")
        return value

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that a name or a dictionary stands for; those in `custom_objects` come first."""
        custom = objects_by_name(custom_objects)
        if config is None:
            return None
        if isinstance(config, str):
            return self._make(custom.get(config) or self.objects.get(config) or self._unknown(config, config), {})
        if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
            raise TypeError(f"{self._wanted()}. Received: {config!r} (of type {type(config).__name__})")
        name: str = config["class_name"]
        options: Any = config.get("config")
        module = config.get("module")
        ours = isinstance(module, (str, type(None))) and module in self._modules
        if name == "function":
            if not isinstance(options, str):
                self._unknown(name, config)
            found = custom.get(options) or custom.get(options.rsplit(">", 1)[-1]) or (self.objects.get(options) if ours else None)
            return found or self._unknown(options, config)
        registered = config.get("registered_name")
        found = custom.get(str(registered)) or custom.get(name)
        if not isinstance(options, (Mapping, type(None))):
            self._unknown(name, config)
        if found is not None:
            return self._make(found, options or {})
        if not ours or registered not in (None, name):
            self._unknown(registered or name, config)
        if name in self.makers:
            return self.makers[name](options or {})
        return self._make(self.objects.get(name) or self._unknown(name, config), options or {})

    def serialize(self, value: Any) -> Any:
        """`value` as Keras writes it.

        Raises
        ------
        ValueError
            If it has no name by which it could be found again.
        """
        if value is None:
            return None
        if isinstance(value, FunctionType) and value.__name__ != "<lambda>":
            return {"module": "builtins", "class_name": "function", "config": value.__name__, "registered_name": "function"}
        if not hasattr(value, "get_config") or isinstance(value, type):
            raise ValueError(
                f"The {self.kind} {value!r} can't be written to a configuration, which holds names: it must be one of sepconv's, a "
                f"function made by `def`, or an object with the method `get_config`. Received: {type(value).__name__}"
            )
        cls = type(value)
        # Keras's own objects go by the names that they are exported by, as ours do.
        known = cls in self.objects.values() or is_keras(cls)
        room = "layers" if self.makers and is_keras(cls) else f"{self.kind}s"
        module = f"keras.{room}" if known else cls.__module__
        return {
            "module": None if module == "__main__" else module,
            "class_name": cls.__name__,
            "config": value.get_config(),
            "registered_name": None if known else cls.__name__,
        }

    def _make(self, found: Any, options: Mapping[str, Any]) -> Any:
        if not callable(found):
            refuse("custom_objects", "a dictionary of classes and functions by name", found, TypeError)
        if not isinstance(found, type):
            return found
        return found.from_config(dict(options)) if hasattr(found, "from_config") else found(**options)

    def _wanted(self) -> str:
        article = "an" if self.kind[0] in "aeiou" else "a"
        return f"{article} {self.kind} must be a name, a dictionary with 'class_name' and 'config', or a callable {self.signature}"

    def _unknown(self, name: str, received: object) -> Any:
        known = ", ".join(key for key in self.objects if key == key.lower())
        raise ValueError(
            f"the {self.kind} {name!r} is not known. The names are {known}; another one must be passed as the object itself, or in "
            f"`custom_objects={{{name!r}: ...}}` where a configuration is read. Received: {received!r}"
        )


def differentiable(value: Any, kind: str) -> Callable[[Any], tuple[Any, Callable[[Any], Any]]]:
    """The method `vjp` of `value`, which returns its result and a function of that result's gradient.

    Raises
    ------
    TypeError
        If it has none, or one that is older than its way to compute.
    """
    method = getattr(value, "vjp", None)
    own = [c for c in type(value).__mro__ if "vjp" in vars(c) or "__call__" in vars(c)]
    if not callable(method) or (own and "vjp" not in vars(own[0]) and "vjp" not in getattr(value, "__dict__", {})):
        raise TypeError(
            f"the {kind} must have a method `vjp(x)`, which returns its result and a function of that result's gradient, to be "
            f"differentiated. Received: {value!r} (of type {type(value).__name__})"
        )

    def vjp(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        pair = method(x)
        if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[1])):
            given = [type(part).__name__ for part in pair] if isinstance(pair, tuple) else type(pair).__name__
            raise TypeError(
                f"the method `vjp(x)` of the {kind} must return its result and a function of that result's gradient. "
                f"Received: {value!r}, which returned {given}"
            )
        return pair

    return vjp


def is_keras(value: Any) -> bool:
    """Whether a function or a class is one of Keras, which may be installed beside this package."""
    return str(getattr(value, "__module__", "")).split(".")[0] in ("keras", "tf_keras")


def objects_by_name(custom_objects: Any) -> Mapping[str, Any]:
    """The argument `custom_objects`, checked; None is empty."""
    if not isinstance(custom_objects, (Mapping, type(None))):
        refuse("custom_objects", "a dictionary of classes and functions by name, or None", custom_objects, TypeError)
    return custom_objects or {}


def by_name(*classes: type) -> dict[str, type]:
    """Classes by their own names and in snake case, as in Keras."""
    return {name: cls for cls in classes for name in (re.sub("([a-z])([A-Z])", r"\1_\2", cls.__name__).lower(), cls.__name__)}


def number(value: Any, name: str, minimum: float = -math.inf) -> int | float:
    """A finite real number of at least `minimum`, as Python's int or float."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < minimum:
        refuse(name, "a finite number" if minimum == -math.inf else f"a finite number of at least {minimum:g}", value)
    return value


def axes(value: Any, name: str) -> int | list[int]:
    """An axis, or a list of axes."""
    many = isinstance(value, (list, tuple))
    found = [number(axis, name) for axis in (value if many else [value])]
    if not all(axis == int(axis) for axis in found) or (many and not found):
        refuse(name, "an integer or a list of integers", value)
    return [int(axis) for axis in found] if many else int(found[0])

"""Lets Keras's NumPy backend start where JAX isn't installed.

That backend imports JAX, for a part of its operations, when Keras is imported. Here, and for that import only, names of JAX lead to
an object whose use is an ImportError that says so; every operation that doesn't need JAX works.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import pathlib
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NoReturn

_FOR = ("jax", "keras.src.backend.jax")


class _Absent:
    """Anything of JAX."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return _Absent(f"{self._name}.{key}")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImportError(f"This operation of Keras's NumPy backend needs JAX (it calls {self._name}): pip install jax")


class _AbsentModule(ModuleType):
    __path__: list[str] = []

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return _Absent(f"{self.__name__}.{key}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        absent = any(name == root or name.startswith(f"{root}.") for root in _FOR)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def _backend() -> str | None:
    """The backend that Keras will take, by its own rules."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    try:
        return str(json.loads((pathlib.Path(home) / "keras.json").read_text(encoding="utf-8")).get("backend"))
    except (OSError, ValueError):
        return None


def import_keras() -> None:
    """Import Keras, with or without JAX."""
    if "keras" in sys.modules:
        return
    if find_spec("keras") is None:
        raise ImportError('sepconv.keras needs Keras 3 and one of its backends: pip install "sepconv[keras]"')
    finder = None if _backend() != "numpy" or find_spec("jax") else _Finder()
    if finder:
        sys.meta_path.insert(0, finder)
    try:
        import_module("keras")
    finally:
        if finder:
            sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _AbsentModule)]:
            del sys.modules[name]

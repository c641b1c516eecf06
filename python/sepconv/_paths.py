"""Where the native library's files are, for those who build against it."""

from __future__ import annotations

import os

from . import _core

# Where the native files were installed: an editable installation has its Python files elsewhere.
_PACKAGE = os.path.dirname(os.path.abspath(_core.__file__))


def get_include() -> str:
    """The directory of the C and C++ headers: compile with `-I` of it and include `sepconv/sepconv.h`.

    Raises
    ------
    FileNotFoundError
        If this installation came without them.
    """
    return _directory("include", os.path.join("sepconv", "sepconv.h"))


def get_cmake_dir() -> str:
    """The directory for `find_package(sepconv)`: `cmake -Dsepconv_DIR="$(python -c 'import sepconv; print(sepconv.get_cmake_dir())')"`.

    Raises
    ------
    FileNotFoundError
        If this installation came without it.
    """
    return _directory(os.path.join("lib", "cmake", "sepconv"), "sepconvConfig.cmake")


def _directory(name: str, witness: str) -> str:
    path = os.path.join(_PACKAGE, name)
    if not os.path.exists(os.path.join(path, witness)):
        raise FileNotFoundError(f"This installation of sepconv has no {os.path.join(name, witness)}. Received: {_PACKAGE}")
    return path

"""The types of the package and the stub of its core, as mypy sees them."""

import os
import pathlib
import subprocess
import sys

import sepconv

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = pathlib.Path(sepconv.__file__).parent


def mypy(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env={**os.environ, "MYPY_CACHE_DIR": os.devnull}, capture_output=True, text=True)


def test_the_package_is_strictly_typed():
    done = mypy("mypy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_is_what_the_core_has(tmp_path):
    # pybind11 gives every class a metaclass and a catch-all constructor of its own.
    allowed = tmp_path / "allowed"
    allowed.write_text(
        "sepconv._core.Pack\nsepconv._core.Plan\nsepconv._core.Vjp\nsepconv._core.Pack.__init__\nsepconv._core.Vjp.__init__\n"
    )
    done = mypy("mypy.stubtest", "sepconv._core", "--allowlist", allowed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_knows_every_name_of_the_core():
    stub = (PACKAGE / "_core.pyi").read_text(encoding="utf-8")
    assert not {name for name in dir(sepconv._core) if not name.startswith("_") and name not in stub}


def test_users_get_the_types(tmp_path):
    assert (PACKAGE / "py.typed").exists()
    (tmp_path / "user.py").write_text(
        "import sepconv\n"
        "layer = sepconv.SeparableConv2D(8, 3)\n"
        "reveal_type(layer([[[[1.0]]]]).shape)\n"
        "reveal_type(sepconv.__version__)\n"
        "sepconv.DepthwiseConv2D(kernal_size=3)\n"
    )
    done = mypy("mypy", "--strict", "user.py", cwd=tmp_path)
    assert "tuple[" in done.stdout and 'str"' in done.stdout, done.stdout + done.stderr
    assert 'Unexpected keyword argument "kernal_size"' in done.stdout
    assert "import-untyped" not in done.stdout and "import-not-found" not in done.stdout

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import sepconv

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Milliseconds beyond NumPy's own import; what is promised is 60.
_LIMIT = 60


def python(code, **env):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_it_is_quick():
    code = "import time, numpy\nt = time.perf_counter()\nimport sepconv\nprint((time.perf_counter() - t) * 1e3)"
    times = [float(python(code).stdout) for _ in range(7)]
    assert min(times) < _LIMIT, times


def test_it_brings_nothing_that_it_does_not_need():
    code = "import sys, json, sepconv\nprint(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    found = set(json.loads(python(code).stdout))
    assert not found & {"tqdm", "h5py", "matplotlib", "PIL", "ml_dtypes", "keras", "tensorflow", "torch", "scipy"}


@pytest.mark.parametrize("isa", ["nonsense", "neon", ""])
def test_a_bad_instruction_set_is_not_the_imports_business(isa):
    done = python("import sepconv", SEPCONV_ISA=isa)
    assert (done.stdout, done.stderr) == ("", "")


def test_every_public_name_is_there():
    assert sorted(sepconv.__all__) == sepconv.__all__
    for name in sepconv.__all__:
        assert getattr(sepconv, name) is not None
    assert sepconv.saving.save_weights and "saving" in sepconv.__all__
    assert sepconv.SeparableConvolution2D is sepconv.SeparableConv2D and sepconv.SeparableConvolution1D is sepconv.SeparableConv1D


def test_every_public_function_and_class_is_documented():
    for name in sepconv.__all__:
        thing = getattr(sepconv, name)
        assert isinstance(thing, str) or len((thing.__doc__ or "").strip()) > 20, name


def test_a_project_in_c_alone_can_link_what_is_installed():
    """CMake must not be sent to look for C++ or its OpenMP there, so that the static library's needs go by name. The C consumer of
    tests/install builds such a project."""
    folder = pathlib.Path(sepconv.get_cmake_dir())
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.cmake")}
    assert {"sepconvConfig.cmake", "sepconvTargets.cmake", "sepconvConfigVersion.cmake"} < set(texts)
    assert not [name for name, text in texts.items() if re.search(r"^ *find_\w+\(|OpenMP::|Threads::", text, re.M)]
    needs = re.search(r'INTERFACE_LINK_LIBRARIES "(.*)"', texts["sepconvTargets.cmake"]).group(1).split(";")
    assert {"stdc++", "c++"} & set(needs) and "m" in needs
    assert re.search(r"LANGUAGES C\)", (ROOT / "tests" / "install" / "c" / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert os.path.isfile(os.path.join(sepconv.get_include(), "sepconv", "sepconv.h"))


def test_the_native_files_are_where_they_are_said_to_be(monkeypatch, tmp_path):
    from sepconv import _paths

    for folder, file, get in [
        ("include", "sepconv/sepconv.h", sepconv.get_include),
        ("lib/cmake/sepconv", "sepconvConfig.cmake", sepconv.get_cmake_dir),
    ]:
        monkeypatch.setattr(_paths, "_PACKAGE", str(tmp_path))
        with pytest.raises(FileNotFoundError, match="no "):
            get()
        path = tmp_path / folder / file
        path.parent.mkdir(parents=True)
        path.write_text("")
        assert os.path.samefile(get(), tmp_path / folder)

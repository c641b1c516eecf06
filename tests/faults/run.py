"""Plants the faults of faults.py one by one and says which of them the tests catch. For hands, not for every build: it takes its time.

    python tests/faults/run.py                 all faults
    python tests/faults/run.py stale_pack      only these
    python tests/faults/run.py --list          names, and what each breaks

Works in a copy of the source tree, so the checkout stays as it is. Needs what the extra `test` brings, CMake, Ninja, GoogleTest and
pybind11 (`pip install "pybind11>=3,<4"`). First all tests that will be asked must pass without a fault; then each fault must compile,
and is caught when one of its tests fails, crashes or hangs. Exits with 1 if a fault survives.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from faults import FAULTS, Fault

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".git", "build", "build-*", "dist", "docs", "__pycache__", ".*_cache", ".hypothesis", "*.so")
HANGS = 900  # seconds
# The C++ suite thins out its cases to about this many a test.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "SEPCONV_TEST_SAMPLE": "1000"}
# Python runs this at its start: what an editable installation finds comes before all paths, and would hide the copy.
START = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
"""


class Tree:
    """A copy of the sources and what is built of it."""

    def __init__(self, work: pathlib.Path) -> None:
        self.source, self.build, start = work / "tree", work / "build", work / "start"
        shutil.copytree(ROOT, self.source, ignore=LEFT_BEHIND)
        start.mkdir()
        (start / "sitecustomize.py").write_text(START, encoding="utf-8")
        self.environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(start), str(self.source / "python")])}
        pybind11 = _output(sys.executable, "-m", "pybind11", "--cmakedir")
        options = ["-DSEPCONV_BUILD_TESTS=ON", "-DSEPCONV_BUILD_PYTHON=ON", f"-DPython_EXECUTABLE={sys.executable}"]
        launcher = shutil.which("ccache")
        if launcher:
            options.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}")
        _run("cmake", "-G", "Ninja", "-S", self.source, "-B", self.build, f"-Dpybind11_DIR={pybind11}", *options)

    def make(self, tests: list[str]) -> None:
        """Build what `tests` need."""
        programs = [t for t in tests if not t.endswith(".py")]
        _run("cmake", "--build", self.build, "--target", "_core", *programs)
        for module in self.build.glob("_core*.so"):
            shutil.copy2(module, self.source / "python" / "sepconv")

    def passes(self, test: str) -> bool:
        """Whether a test passes; `test` is a file of tests/python or a program of tests/cpp."""
        if test.endswith(".py"):
            command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", f"tests/python/{test}"]
        else:
            command = [str(self.build / "tests" / "cpp" / test), "--gtest_brief=1"]
        try:
            done = subprocess.run(command, cwd=self.source, env=self.environment, capture_output=True, text=True, timeout=HANGS)
        except subprocess.TimeoutExpired:
            return False
        if test.endswith(".py") and done.returncode in (3, 4, 5):  # of pytest: its own error, wrong usage, no tests
            raise SystemExit(f"{test} did not run:\n{done.stdout}{done.stderr}")
        return done.returncode == 0


def check(fault: Fault) -> None:
    """Refuse a fault that doesn't fit the sources any more."""
    if (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) != 1:
        raise SystemExit(f"{fault.name}: {fault.file} must hold this exactly once:\n{fault.old}")


def plant(tree: Tree, fault: Fault) -> str | None:
    """The test that catches `fault`, or None. The tree is as before afterwards."""
    path = tree.source / fault.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    try:
        tree.make(fault.tests)
        return next((test for test in fault.tests if not tree.passes(test)), None)
    finally:
        path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to plant; all if none is given")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    arguments = parser.parse_args()
    if arguments.list:
        for fault in FAULTS:
            print(f"{fault.name:<26}{fault.file:<44}{', '.join(fault.tests)}")
        return 0
    unknown = set(arguments.names) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    chosen = [fault for fault in FAULTS if not arguments.names or fault.name in arguments.names]
    for fault in chosen:
        check(fault)
    with tempfile.TemporaryDirectory() as work:
        return _plant_all(Tree(pathlib.Path(work)), chosen)


def _plant_all(tree: Tree, chosen: list[Fault]) -> int:
    tests = sorted({test for fault in chosen for test in fault.tests})
    print("without a fault", flush=True)
    tree.make(tests)
    for test in tests:
        if not tree.passes(test):
            raise SystemExit(f"{test} fails without a fault")
    caught = 0
    for fault in chosen:
        start = time.monotonic()
        test = plant(tree, fault)
        caught += test is not None
        verdict = f"caught by {test}" if test else "SURVIVES"
        print(f"{fault.name:<26}{verdict:<40}{time.monotonic() - start:5.0f} s", flush=True)
    print(f"{caught} of {len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


def _run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

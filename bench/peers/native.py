"""Builds the workers of the C++ peers with CMake; what can't be built is absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .registry import PEERS

_ROOT = Path(__file__).parents[2]


def build(folder: Path) -> tuple[Path, str]:
    """Where the programs are, and why some are not ("" if all are)."""
    programs = folder / "bench" / "cpp"
    if not shutil.which("cmake"):
        return programs, "there is no cmake"
    generator = ["-G", "Ninja"] if shutil.which("ninja") and not (folder / "CMakeCache.txt").exists() else []
    prefix = ";".join([sys.prefix, *filter(None, os.environ.get("CMAKE_PREFIX_PATH", "").split(os.pathsep))])
    settings = ["-DSEPCONV_BUILD_BENCH=ON", f"-DCMAKE_PREFIX_PATH={prefix}"]
    if log := _run(["cmake", *generator, "-S", str(_ROOT), "-B", str(folder), *settings]):
        return programs, log
    build = ["cmake", "--build", str(folder), "--parallel", str(os.cpu_count()), "--target"]
    logs = [_run([*build, row.program]) for row in PEERS.values() if row.native]
    return programs, "; ".join(filter(None, logs))


def _run(command: list[str]) -> str:
    """The last thing that a command said if it failed, else ""."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"cmake ended with {done.returncode}"

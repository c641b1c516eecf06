#!/usr/bin/env python3
"""Is a change slower? Runs bench_run (bench/cpp) of two revisions in turn and compares each case's median.

    python bench/compare.py BASE HEAD [--filter REGEX] [--rounds N] [--tolerance 0.05]

BASE and HEAD are git revisions, "." for the working tree, or folders of a build with -DSEPCONV_BUILD_BENCH=ON. Revisions are built
with this tree's bench and cases, so that both sides are asked the same. The exit status is 1 if a case is slower than the tolerance
allows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
Times = dict[str, list[float]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the speed of two revisions.")
    parser.add_argument("base", help="a git revision, . for the working tree, or a build folder")
    parser.add_argument("head", help="the same")
    parser.add_argument("--filter", default=".*", metavar="REGEX", help="of the names family/case/threads:N")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="runs of each side (10)")
    parser.add_argument("--seconds", type=float, default=0.05, metavar="S", help="of each case in a run (0.05)")
    parser.add_argument("--tolerance", type=float, default=0.05, metavar="X", help="share that a case may be slower (0.05)")
    parser.add_argument("--json", metavar="FILE", help="write all times there")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"`--rounds` must be positive. Received: {arguments.rounds}")
    return arguments


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def program(side: str, folder: Path) -> Path:
    """bench_run of a side, built below `folder` where `side` is no build folder."""
    built = Path(side, "bench", "cpp", "bench_run")
    if side != "." and built.exists():
        return built.resolve()
    source = ROOT if side == "." else _checkout(side, folder / "source")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = [f"-DSEPCONV_SOURCE={source}", "-DCMAKE_BUILD_TYPE=Release"]
    print(f"building {side}", file=sys.stderr)
    _call("cmake", *generator, "-S", str(ROOT / "bench" / "cpp"), "-B", str(folder / "build"), *options)
    _call("cmake", "--build", str(folder / "build"), "--parallel", str(os.cpu_count()), "--target", "bench_run")
    return folder / "build" / "bench_run"


def _checkout(revision: str, folder: Path) -> Path:
    """The files of a revision, without touching the repository."""
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    _call("git", "-C", str(ROOT), "archive", "--format=tar", "-o", str(archive), f"{revision}^{{commit}}")
    shutil.unpack_archive(archive, folder)
    return folder


def names(path: Path, pattern: str) -> list[str]:
    listed = subprocess.run([path, "--benchmark_list_tests", f"--benchmark_filter={pattern}"], capture_output=True, text=True)
    return listed.stdout.split()


def run(path: Path, pattern: str, seconds: float) -> dict[str, float]:
    """Microseconds of each case, once."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        options = [f"--benchmark_filter={pattern}", f"--benchmark_min_time={seconds}", f"--benchmark_out={file.name}"]
        _call(str(path), *options, "--benchmark_out_format=json")
        rows = json.load(file)["benchmarks"]
    return {row["name"]: row["real_time"] for row in rows if "error_occurred" not in row}


def alternate(sides: list[Path], pattern: str, rounds: int, seconds: float) -> list[Times]:
    """Times of both sides, case by case: A B, B A, and so on, so that neither always comes first."""
    common = [name for name in names(sides[0], pattern) if name in set(names(sides[1], pattern))]
    if not common:
        raise SystemExit(f"`--filter` must fit a case of both sides. Received: {pattern}")
    times: list[Times] = [{name: [] for name in common} for _ in sides]
    for place, name in enumerate(common):
        print(f"\r{place + 1}/{len(common)} {name:<60}", end="", file=sys.stderr, flush=True)
        for turn in range(rounds):
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                times[side][name] += run(sides[side], f"^{name}$", seconds).values()
    print(file=sys.stderr)
    return times


def noise(values: list[float]) -> float:
    """Half the distance of the quartiles, relative to the median."""
    ordered = sorted(values)
    return (ordered[(3 * len(ordered)) // 4 if len(ordered) > 1 else 0] - ordered[len(ordered) // 4]) / 2 / median(ordered)


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="sepconv-compare-") as folder:
        sides = [program(side, Path(folder, name)) for side, name in ((arguments.base, "base"), (arguments.head, "head"))]
        base, head = alternate(sides, arguments.filter, arguments.rounds, arguments.seconds)
    slower = []
    width = max(map(len, base))
    print(f"{'case':<{width}}  {'base us':>10}  {'head us':>10}  head / base  noise")
    for name, before in base.items():
        after = head[name]
        ratio = median(after) / median(before)
        flag = "  SLOWER" if ratio > 1 + arguments.tolerance else ""
        if flag:
            slower.append(name)
        spread = max(noise(before), noise(after))
        print(f"{name:<{width}}  {median(before):>10.2f}  {median(after):>10.2f}  {ratio:>11.3f}  {spread:>5.1%}{flag}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"base": base, "head": head}, indent=1) + "\n")
    print(f"{len(slower)} of {len(base)} cases are more than {arguments.tolerance:.0%} slower")
    return 1 if slower else 0


if __name__ == "__main__":
    raise SystemExit(main())

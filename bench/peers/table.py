"""The table of a run, its foot, and the same as JSON."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .measure import Machine, Result
from .registry import PEERS

# Of a ratio: below this a peer is faster than noise explains.
NOISE = 0.97


def _milliseconds(result: Result, name: str) -> str:
    if name in result.times:
        return f"{result.times[name] * 1e3:#.3g}".rstrip(".")
    why = result.without.get(name, "-")
    return "WRONG" if why.startswith("WRONG") else "-"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def rows(results: list[Result], machine: Machine, names: list[str]) -> Iterator[list[str]]:
    """The table of one number of threads; the first row is its head."""
    yield ["case", "MFLOP", *names, "best peer", "ratio", "GFLOP/s", "of peak", "of roofline"]
    for result in results:
        case, ours = result.case, result.ours
        best, ratio = result.best
        yield [
            case.name,
            f"{case.flops / 1e6:.1f}",
            *(_milliseconds(result, name) for name in names),
            best,
            "-" if math.isnan(ratio) else f"{ratio:.2f}",
            "-" if math.isnan(ours) else f"{case.flops / ours / 1e9:.0f}",
            _percent(case.flops / ours / machine.peak(case.dtype)),
            _percent(machine.limit(case) / ours),
        ]


def markdown(table: list[list[str]]) -> str:
    head, *body = table
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, body)])


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def summary(results: list[Result]) -> list[str]:
    """The geometric mean of each family's ratios, and the cases where a peer is first; of training once more without C++ peers."""
    lines = _summary(results, list(PEERS), "best peer")
    if any(result.case.train for result in results):
        lines += _summary(results, [name for name, row in PEERS.items() if not row.native], "best peer of Python")
    return lines


def _summary(results: list[Result], names: list[str], what: str) -> list[str]:
    by_family: dict[str, list[float]] = {}
    behind = []
    for result in results:
        peer, ratio = result.best_of(names)
        if not math.isnan(ratio):
            by_family.setdefault(result.case.family, []).append(ratio)
            if ratio < NOISE:
                behind.append(f"{result.case.name} ({peer}, {ratio:.2f})")
    means = ", ".join(f"{family} {geometric_mean(values):.2f}" for family, values in by_family.items())
    every = [ratio for values in by_family.values() for ratio in values]
    lines = [f"{what} / sepconv, geometric means: {means}; all {geometric_mean(every):.2f}" if every else f"{what} / sepconv: -"]
    return [*lines, f"a {what.removeprefix('best ')} is first on: {', '.join(behind) or 'none'}"]


def notes(results: list[Result]) -> list[str]:
    """What a reader must know of failures: wrong results, and times that no machine could reach."""
    found = []
    for result in results:
        for name, why in result.without.items():
            if why.startswith("WRONG") or PEERS[name].ours:
                found.append(f"{result.case.name}, {name}: {why}")
    return found


def impossible(results: list[Result], machine: Machine) -> list[str]:
    return [
        f"{result.case.name}, {name}: {result.case.flops / time / machine.peak(result.case.dtype):.0%} of the peak; not believable"
        for result in results
        for name, time in result.times.items()
        if result.case.flops / time > 1.15 * machine.peak(result.case.dtype)
    ]


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def to_json(results: list[Result], machines: list[Machine], versions: dict[str, str], absent: dict[str, str], command: str) -> Any:
    def row(result: Result) -> dict[str, Any]:
        fields = {key: getattr(result, key) for key in ("threads", "times", "spread", "settings", "units", "without")}
        peer, ratio = result.best
        work = {"flops": result.case.flops, "bytes": result.case.bytes, "best_peer": peer, "ratio": ratio}
        return {"case": result.case.to_json(), **work, **fields}

    return {
        "command": command,
        "processor": processor(),
        "versions": versions,
        "absent": absent,
        "machines": [{"threads": m.threads, "peaks": m.peaks, "copies": m.copies} for m in machines],
        "results": [row(result) for result in results],
    }

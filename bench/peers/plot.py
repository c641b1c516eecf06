"""Two pictures of a run, a row for each number of threads: the roofline, and how many times longer the best peer takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .measure import Machine, Result
from .registry import PEERS
from .table import NOISE

_OURS, _PEER, _LOST = "#1f6feb", "#8c959f", "#cf222e"


def draw(results: list[Result], machines: list[Machine], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    longest = max(sum(r.threads == m.threads for r in results) for m in machines)
    height = max(5.0, 0.19 * longest + 1.5)
    figure, axes = plt.subplots(len(machines), 2, figsize=(15, height * len(machines)), squeeze=False, layout="constrained")
    for (left, right), machine in zip(axes, machines, strict=True):
        mine = [r for r in results if r.threads == machine.threads and not math.isnan(r.ours)]
        title = f"{machine.threads} thread{'s' if machine.threads > 1 else ''}"
        _roofline(left, mine, machine)
        left.set_title(f"Roofline, {title}")
        _bars(right, mine)
        right.set_title(f"Best peer's time / sepconv's, {title}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _roofline(axes: Any, results: list[Result], machine: Machine) -> None:
    x = np.array([r.case.flops / r.case.bytes for r in results])
    ours = np.array([r.case.flops / r.ours / 1e9 for r in results])
    others = [[r.case.flops / t / 1e9 for n, t in r.times.items() if not PEERS[n].ours] for r in results]
    peers = np.array([max(rates, default=np.nan) for rates in others])
    grid = np.geomspace(max(x.min() / 2, 1e-2), x.max() * 2, 200) if len(x) else np.geomspace(0.1, 100, 200)
    peak = machine.peak("float32") / 1e9
    # One roof for each place where the bytes may lie: copying so many bytes.
    for size, label in ((1 << 18, "256 KiB"), (1 << 22, "4 MiB"), (1 << 28, "256 MiB")):
        roof = np.minimum(peak, grid * machine.bandwidth(size) / 1e9)
        (line,) = axes.plot(grid, roof, linewidth=1, alpha=0.8)
        axes.annotate(label, (grid[8], roof[8]), color=line.get_color(), fontsize=8, rotation=30, va="bottom")
    axes.plot(x, peers, "o", color=_PEER, markersize=4, label="best peer")
    axes.plot(x, ours, "o", color=_OURS, markersize=4, label="sepconv")
    axes.set(xscale="log", yscale="log", xlabel="FLOP / byte of input, weights and output", ylabel="GFLOP/s")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _bars(axes: Any, results: list[Result]) -> None:
    rows = [(r.case.name, *r.best) for r in results if not math.isnan(r.best[1])]
    places = np.arange(len(rows))[::-1]
    ratios = [ratio for _, _, ratio in rows]
    axes.barh(places, ratios, color=[_LOST if ratio < NOISE else _OURS for ratio in ratios], height=0.7)
    for place, (_, peer, ratio) in zip(places, rows, strict=True):
        axes.annotate(f" {ratio:.2f} {peer}", (ratio, place), va="center", fontsize=7)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, [name for name, _, _ in rows], fontsize=7)
    axes.set_xlim(0, min(max([1.0, *ratios]) * 1.25, 8))
    axes.set_ylim(-1, len(rows))

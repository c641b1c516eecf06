"""One run: every participant prepares a case, is checked, and then all are timed in turn, again and again."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .cases import Case
from .gradients import TrainingReference
from .process import Gone, Worker
from .reference import Reference
from .registry import PEERS

# Bytes, sources and targets together, at which copying is measured.
_SIZES = [1 << n for n in range(16, 29, 2)]


@dataclass
class Result:
    """One case at one number of threads. `times` are medians in seconds, `spread` half the distance of the quartiles, relative."""

    case: Case
    threads: int
    times: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> float:
        """The fastest of our calls."""
        return min((t for name, t in self.times.items() if PEERS[name].ours), default=math.nan)

    def ratio(self, peer: str) -> float:
        """How many times longer a peer takes than our call from the same language."""
        ours = self.times.get("sepconv C" if PEERS[peer].native else "sepconv", math.nan)
        return self.times[peer] / ours

    @property
    def best(self) -> tuple[str, float]:
        """The strongest peer and its ratio."""
        return self.best_of(list(self.times))

    def best_of(self, names: list[str]) -> tuple[str, float]:
        ratios = [(self.ratio(name), name) for name in names if name in self.times and not PEERS[name].ours]
        ratio, name = min(((r, n) for r, n in ratios if not math.isnan(r)), default=(math.nan, "-"))
        return name, ratio


@dataclass
class Machine:
    """What the machine can do with `threads`: FLOP/s in registers (float32), and bytes/s of copying by bytes that are touched."""

    threads: int
    peaks: list[float] = field(default_factory=list)
    copies: dict[int, list[float]] = field(default_factory=dict)

    def peak(self, dtype: str) -> float:
        whole = median(self.peaks) if self.peaks else math.nan
        return whole / 2 if dtype == "float64" else whole

    def bandwidth(self, size: float) -> float:
        """Between two sizes that were measured, on a logarithmic scale."""
        if not self.copies:
            return math.nan
        rates = [max(self.copies[s]) for s in sorted(self.copies)]
        return float(np.interp(math.log(size), np.log(sorted(self.copies)), rates))

    def limit(self, case: Case) -> float:
        """Seconds that a case takes at least: its work at the peak, or its bytes at the bandwidth of so many bytes."""
        return max(case.flops / self.peak(case.dtype), case.bytes / self.bandwidth(case.bytes))


class Team:
    """The workers of all participants at one number of threads. One that died is started again for the next case."""

    def __init__(self, names: list[str], threads: int, programs: Path, absent: dict[str, str], versions: dict[str, str]) -> None:
        self.threads, self.programs = threads, programs
        self.workers: dict[str, Worker] = {}
        for name in names:
            if PEERS[name].native and not (programs / PEERS[name].program).exists():
                absent.setdefault(name, f"needs {PEERS[name].package}")
                continue
            try:
                worker = Worker(name, PEERS[name], threads, programs)
            except Gone as error:
                absent[name] = str(error)
                continue
            if "absent" in worker.hello:
                absent[name] = f"{worker.hello['absent']} (pip install {PEERS[name].package})"
                worker.close()
                continue
            versions[name] = worker.hello["version"]
            self.workers[name] = worker

    def ask(self, name: str, ask: str, **question: Any) -> dict[str, Any]:
        try:
            return self.workers[name].ask(ask, **question)
        except Gone as error:
            self.workers[name].close()
            self.workers[name] = Worker(name, PEERS[name], self.threads, self.programs)
            return {"failed": str(error)}

    def machine(self, machine: Machine) -> None:
        """Measure bandwidth three times more; the best of all counts, since others may have used it."""
        if "sepconv C" in self.workers:
            for size in _SIZES * 3:
                rate = self.ask("sepconv C", "bandwidth", bytes=size).get("bytes_per_second")
                machine.copies.setdefault(size, []).append(rate or 0.0)

    def peak(self, machine: Machine) -> None:
        if "sepconv" in self.workers:
            machine.peaks.append(self.ask("sepconv", "peak", threads=self.threads).get("gflops", math.nan) * 1e9)

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def measure(team: Team, case: Case, rounds: int, seconds: float, tell: Callable[[str], None]) -> Result:
    """Prepare, check, then alternate: A B C ... and back again, `rounds` times; every visit times calls for `seconds`."""
    result = Result(case, team.threads)
    with tempfile.TemporaryDirectory(prefix="sepconv-bench-") as folder:
        data = case.data()
        reference = (TrainingReference if case.train else Reference)(case, data)
        for name, array in data.items():
            array.tofile(Path(folder, name))
        ready = []
        for name in team.workers:
            tell(f"{case.name} {name}")
            if why := _prepare(team, case, name, folder, reference, result):
                result.without[name] = why
            else:
                ready.append(name)
    times: dict[str, list[float]] = {name: [] for name in ready}
    tell(f"{case.name} timing")
    for turn in range(rounds):
        for name in ready if turn % 2 == 0 else reversed(ready):
            answer = team.ask(name, "slice", seconds=seconds)
            times[name] += answer.get("times", [])
    for name, all_times in times.items():
        if not all_times:
            result.without[name] = "stopped while it was timed"
            continue
        low, middle, high = np.quantile(all_times, [0.25, 0.5, 0.75])
        result.times[name], result.spread[name] = float(middle), float((high - low) / 2 / middle)
    return result


def _prepare(team: Team, case: Case, name: str, folder: str, reference: Reference, result: Result) -> str:
    """Why a participant can't take part in this case; "" if it can."""
    answer = team.ask(name, "prepare", case=case.to_json(), folder=folder)
    if "setting" not in answer:
        return str(answer.get("unsuitable") or answer.get("failed"))
    values = np.fromfile(Path(folder, "result"), case.dtype).reshape(answer["shape"])
    result.settings[name], result.units[name] = answer["setting"], reference.units(values)
    return "" if reference.accepts(values) else f"WRONG: {result.units[name]:.3g} units of rounding from float64"

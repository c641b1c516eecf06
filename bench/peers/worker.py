"""The process of a Python peer: `python -m peers.worker NAME THREADS`. It answers one line of JSON with another.

    {"ask": "prepare", "case": {...}, "folder": "..."}    reads the arrays from the folder and writes the result there
    {"ask": "slice", "seconds": 0.05}                     times single calls for so long
    {"ask": "peak"}                                       GFLOP/s of multiply-adds in registers (sepconv only)

The workers of C++ peers speak the same (bench/cpp/worker.hpp).
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .cases import Case
from .peer import Candidate, Peer, Unsuitable
from .registry import PEERS

# Seconds. Shorter calls are timed several at a time, so that the clock doesn't count.
_SHORT = 20e-6


def sample(candidate: Candidate, seconds: float) -> list[float]:
    """Times of single calls for `seconds`, at least one, after a tenth of that to warm the caches that others have used."""
    clock, run = time.perf_counter, candidate.run
    start = clock()
    while True:
        candidate.before()
        before = clock()
        run()
        took = clock() - before
        if clock() - start > seconds / 10:
            break
    batch = max(1, int(_SHORT / max(took, 1e-9)))
    times = []
    gc.disable()
    while True:
        candidate.before()
        before = clock()
        for _ in range(batch):
            run()
        after = clock()
        times.append((after - before) / batch)
        if after - start > seconds:
            break
    gc.enable()
    return times


def fastest(candidates: dict[str, Candidate]) -> str:
    """The best of a peer's settings, found by alternating them."""
    if len(candidates) == 1:
        return next(iter(candidates))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(5):
        for name, candidate in candidates.items():
            times[name] += sample(candidate, 0.02)
    return min(times, key=lambda name: median(times[name]))


class Server:
    """Answers for one peer."""

    def __init__(self, name: str, threads: int) -> None:
        row = PEERS[name]
        self.peer: Peer = row.load()(threads)
        self.candidate: Candidate | None = None

    def hello(self) -> dict[str, Any]:
        return {"version": self.peer.version()}

    def prepare(self, case: dict[str, Any], folder: str) -> dict[str, Any]:
        self.candidate = None
        gc.collect()
        parsed = Case.from_json(case)
        data = {name: aligned(np.fromfile(Path(folder, name), parsed.dtype).reshape(s)) for name, s in parsed.shapes.items()}
        try:
            candidates = (self.peer.train if parsed.train else self.peer.prepare)(parsed, data)
        except Unsuitable as error:
            return {"unsuitable": str(error)}
        name = fastest(candidates)
        self.candidate = candidates[name]
        result = np.asarray(self.candidate.result(self.candidate.run()))
        np.ascontiguousarray(result, parsed.dtype).tofile(Path(folder, "result"))
        return {"setting": name, "shape": result.shape}

    def slice(self, seconds: float) -> dict[str, Any]:
        assert self.candidate is not None
        return {"times": sample(self.candidate, seconds)}

    def peak(self, threads: int) -> dict[str, Any]:
        from sepconv import _core

        return {"gflops": _core.fma_peak(threads)}


def aligned(array: np.ndarray) -> np.ndarray:
    """The array where every library likes it best: at a multiple of 64 bytes."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def main() -> None:
    # Libraries print; what they print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")

    try:
        server = Server(sys.argv[1], int(sys.argv[2]))
    except ImportError as error:
        return answer({"absent": str(error).splitlines()[0]})
    answer(server.hello())
    for line in sys.stdin:
        question = json.loads(line)
        ask = question.pop("ask")
        try:
            answer(getattr(server, ask)(**question))
        except Exception as error:  # whatever a library raises is an answer, and the next case may work
            answer({"failed": f"{type(error).__name__}: {str(error)[:200]}"})


if __name__ == "__main__":
    main()

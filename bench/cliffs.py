#!/usr/bin/env python3
"""Does any argument fall off a cliff? Random convolutions, each beside the nearest round one.

    python bench/cliffs.py [--cases N] [--seed N] [--threads N] [--limit 3] [--json FILE]

Draws kernels of 1 to 11 taps an axis, strides, dilations, multipliers, channels of 1 to 130 and sizes of both layouts. The round one has
channels and filters of multiples of 16, sizes of multiples of 8 and no dilation, and is the same otherwise. Both are timed in turn; what
counts is time per FLOP, one over the other. The exit status is 1 if one is more than `--limit` times its round neighbour.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import geometric_mean, median
from typing import Any

import numpy as np
from tqdm import tqdm

import sepconv

ROUNDS, VISIT = 9, 2e-3  # visits to each side, seconds of one
SMALLEST, LARGEST = 2e5, 5e8  # FLOP: below, a call costs more than its work; above, it takes too long


@dataclass(frozen=True)
class Case:
    op: str
    layout: str
    batch: int
    size: tuple[int, int]
    channels: int
    filters: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    multiplier: int
    padding: str

    def neighbour(self) -> Case:
        size = tuple(_up(n, 8) for n in self.size)
        return replace(self, size=size, channels=_up(self.channels, 16), filters=_up(self.filters, 16), dilation=(1, 1))

    def __str__(self) -> str:
        return (
            " ".join(f"{name}={value}" for name, value in asdict(self).items()).replace("(", "").replace(", ", "x").replace(")", "")
        )


def _up(n: int, step: int) -> int:
    return -(-n // step) * step


def draw(rng: random.Random) -> Case:
    strides = rng.choice(((1, 1), (1, 1), (2, 2), (3, 3), (1, 2), (2, 1)))
    dilation = (1, 1) if strides != (1, 1) or rng.random() < 0.6 else (rng.randint(1, 6), rng.randint(1, 6))
    return Case(
        op=rng.choice(("separable", "separable", "depthwise")),
        layout=rng.choice(("channels_last", "channels_last", "channels_first")),
        batch=rng.choice((1, 1, 1, 2, 5)),
        size=(rng.randint(1, 70), rng.randint(1, 70)),
        channels=rng.randint(1, 130),
        filters=rng.randint(1, 130),
        kernel=(rng.randint(1, 11), rng.randint(1, 11)),
        strides=strides,
        dilation=dilation,
        multiplier=rng.choice((1, 1, 1, 2, 3, 4, 8)),
        padding=rng.choice(("same", "valid")),
    )


def prepare(case: Case, threads: int) -> tuple[Callable[[], Any], float]:
    """What is timed, and its FLOPs. Weights are packed by the first call."""
    options: dict[str, Any] = {
        "strides": case.strides,
        "padding": case.padding,
        "data_format": case.layout,
        "dilation_rate": case.dilation,
        "depth_multiplier": case.multiplier,
    }
    if case.strides[0] != case.strides[1] or (case.strides != (1, 1) and case.dilation != (1, 1)):
        raise ValueError  # refused by the layers, as by Keras
    layer: Any = (
        sepconv.SeparableConv2D(case.filters, case.kernel, **options)
        if case.op == "separable"
        else sepconv.DepthwiseConv2D(case.kernel, **options)
    )
    last = case.layout == "channels_last"
    shape = (case.batch, *case.size, case.channels) if last else (case.batch, case.channels, *case.size)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    out = layer(x, num_threads=threads)
    return lambda: layer(x, out, num_threads=threads), layer.explain(shape)["flops"]


def visit(call: Callable[[], Any]) -> float:
    """Seconds of a call, the mean over a visit."""
    call()
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < VISIT:
        call()
        count += 1
    return passed / count


def main() -> int:
    parser = argparse.ArgumentParser(description="Time per FLOP of random convolutions, beside their nearest round ones.")
    parser.add_argument("--cases", type=int, default=300, metavar="N", help="how many (300)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw (0)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of both (1)")
    parser.add_argument("--limit", type=float, default=3, metavar="X", help="the largest ratio allowed (3)")
    parser.add_argument("--json", metavar="FILE", help="write all ratios there")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    found: list[tuple[float, Case, float]] = []
    with tqdm(total=arguments.cases, unit="case", disable=not sys.stderr.isatty()) as bar:
        while len(found) < arguments.cases:
            case = draw(rng)
            try:
                (ours, flops), (theirs, round_flops) = (
                    prepare(case, arguments.threads),
                    prepare(case.neighbour(), arguments.threads),
                )
            except ValueError:  # an empty output, or strides that layers refuse
                continue
            if not SMALLEST < flops < LARGEST:
                continue
            times = [(visit(ours), visit(theirs)) for _ in range(ROUNDS)]
            seconds = median(t for t, _ in times)
            ratio = seconds / flops * round_flops / median(t for _, t in times)
            found.append((ratio, case, flops / seconds))
            bar.update()
    found.sort(key=lambda f: f[0], reverse=True)
    print(
        f"time per FLOP over that of the round neighbour: geometric mean {geometric_mean(r for r, *_ in found):.2f}; the largest:"
    )
    for ratio, case, rate in found[:10]:
        print(f"{ratio:6.2f}  {rate * 1e-9:6.1f} GFLOP/s  {case}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump([{"ratio": ratio, "flop_per_second": rate, **asdict(case)} for ratio, case, rate in found], file, indent=1)
    return int(found[0][0] > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())

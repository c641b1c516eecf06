"""The cases of tests/shapes, and what follows from one: its stages, sizes, work, and random data."""

from __future__ import annotations

import json
import math
import sys
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = Path(__file__).parents[2] / "tests" / "shapes"


@dataclass(frozen=True)
class Stage:
    """One convolution of a case. `pads` are zeros (before, after) of each axis; names are those of the arrays in the data."""

    depthwise: bool
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    inputs: int
    outputs: int
    weights: str
    bias: str | None
    activation: str

    @property
    def symmetric(self) -> bool:
        return all(before == after for before, after in self.pads)


@dataclass(frozen=True)
class Case:
    """A row of a file of tests/shapes; the README there tells what the fields mean."""

    family: str
    name: str
    op: str
    dtype: str
    layout: str
    n: int
    h: int
    w: int
    c: int
    multiplier: int
    filters: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    padding: str
    depthwise_bias: bool
    depthwise_activation: str
    bias: bool
    activation: str
    train: bool = False  # a step of training: the result and the gradients of input and weights, for a given one of the result

    @property
    def stages(self) -> list[Stage]:
        """The convolutions in order: a depthwise one, a pointwise one, or both."""
        depth = self.c * self.multiplier
        axes = zip((self.h, self.w), self.kernel, self.strides, self.dilation, strict=True)
        window: Any = (self.kernel, self.strides, self.dilation, tuple(_pads(*axis, self.padding) for axis in axes))
        last = "bias" if self.bias else None
        if self.op == "depthwise":
            return [Stage(True, *window, self.c, depth, "depthwise_kernel", last, self.activation)]
        if self.op == "pointwise":
            return [Stage(False, *window, self.c, self.filters, "pointwise_kernel", last, self.activation)]
        middle = "depthwise_bias" if self.depthwise_bias else None
        plain: Any = ((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)))
        return [
            Stage(True, *window, self.c, depth, "depthwise_kernel", middle, self.depthwise_activation),
            Stage(False, *plain, depth, self.filters, "pointwise_kernel", last, self.activation),
        ]

    @property
    def channels_first(self) -> bool:
        return self.layout == "channels_first"

    @property
    def output_size(self) -> tuple[int, int]:
        first = self.stages[0]
        sizes = zip((self.h, self.w), first.kernel, first.strides, first.dilation, first.pads, strict=True)
        return tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in sizes)  # type: ignore[return-value]

    def _shape(self, size: tuple[int, int], channels: int) -> tuple[int, ...]:
        return (self.n, channels, *size) if self.channels_first else (self.n, *size, channels)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every array that goes in, in its order: C-contiguous, of the case's dtype. `dy` is the gradient of the result."""
        shapes: dict[str, tuple[int, ...]] = {"x": self._shape((self.h, self.w), self.c)}
        for stage in self.stages:
            per = stage.outputs // stage.inputs
            shapes[stage.weights] = (*stage.kernel, stage.inputs, per) if stage.depthwise else (stage.inputs, stage.outputs)
            if stage.bias:
                shapes[stage.bias] = (stage.outputs,)
        return {**shapes, "dy": self.output_shape} if self.train else shapes

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self._shape(self.output_size, self.stages[-1].outputs)

    @property
    def flops(self) -> float:
        """Two for each multiply-add; taps over the border count. Gradients are as much work as the result, twice."""
        taps = sum(math.prod(s.kernel) * s.outputs if s.depthwise else s.inputs * s.outputs for s in self.stages)
        return (6.0 if self.train else 2.0) * self.n * math.prod(self.output_size) * taps

    @property
    def bytes(self) -> float:
        """What has to move at least: input, weights and output, each once, and so their gradients."""
        elements = sum(math.prod(shape) for name, shape in self.shapes.items() if name != "dy") + math.prod(self.output_shape)
        return float(elements * np.dtype(self.dtype).itemsize * (2 if self.train else 1))

    @property
    def trainable(self) -> bool:
        """Whether `train` can be checked: a layer with one activation, without curves."""
        return (
            self.op != "pointwise"
            and self.activation in ("linear", "relu", "relu6")
            and not any(s.bias or s.activation != "linear" for s in self.stages[:-1])
        )

    def data(self) -> dict[str, np.ndarray]:
        """Random arrays, the same in every run; each stage keeps the scale of its input."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        scale = {"depthwise_kernel": math.prod(self.kernel) ** -0.5, "pointwise_kernel": self.stages[-1].inputs ** -0.5}
        return {name: (rng.standard_normal(s) * scale.get(name, 1.0)).astype(self.dtype) for name, s in self.shapes.items()}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Case:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})


def _pads(size: int, kernel: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


# What --train takes by default.
_TRAINING = """mobilenet xception k5_56x144_144 k5_28x240_240 k5_14x672_192 rgb batch cf_112x32_64 cf_56x128_256_s2 cf_28x256_256
cf_7x1024_1024 cf_128x3_64 cf_b8_28x256_256 depthwise""".split()


def families() -> list[str]:
    return sorted(path.stem for path in SHAPES.glob("*.json"))


def load(names: list[str]) -> list[Case]:
    """Cases by family, by name of a case, or of a JSON file of the same form; all for an empty list."""
    everything = {family: _read(SHAPES / f"{family}.json") for family in families()}
    found: dict[str, Case] = {}
    for name in names or list(everything):
        cases = everything.get(name) or [case for rows in everything.values() for case in rows if case.name == name]
        if not cases and name.endswith(".json"):
            cases = _read(Path(name))
        if not cases:
            allowed = f"families ({', '.join(everything)}), cases of theirs, or a JSON file"
            raise SystemExit(f"`--cases` must name {allowed}. Received: {name}")
        found.update((case.name, case) for case in cases)
    return list(found.values())


def load_training(names: list[str]) -> list[Case]:
    """The same as steps of training; those that can't be are left out and named."""
    found = load(names or _TRAINING)
    allowed = "layers with linear, relu or relu6 at their end"
    if not any(case.trainable for case in found):
        raise SystemExit(f"`--cases` must name {allowed} for --train. Received: {' '.join(names)}")
    if left := [case.name for case in found if not case.trainable]:
        print(f"--train takes {allowed}. Left out: {', '.join(left)}", file=sys.stderr)
    return [replace(case, train=True) for case in found if case.trainable]


def _read(path: Path) -> list[Case]:
    try:
        table = json.loads(path.read_text())
    except OSError as error:
        raise SystemExit(f"`--cases` can't be read: {error}") from error
    return [Case.from_json({"family": path.stem, **table["defaults"], **row}) for row in table["cases"]]

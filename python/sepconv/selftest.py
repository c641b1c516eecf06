"""`python -m sepconv selftest`: every kernel of this machine against the float64 reference, and against each other.

Three questions, each for every instruction set and dtype that this machine has:

* exact: on small whole numbers every sum is exact, so the result must be the reference, rounded once;
* rounded: on normal data the error has a bound, and the bits must not depend on instruction set, threads or layout;
* activations: each must be within a few units in the last place.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from ._dtypes import as_numpy_dtype
from ._geometry import output_size, pad_amounts

_LAYOUTS = {"channels_last": (0, 1, 2, 3), "channels_first": (0, 3, 1, 2)}
_LINEAR: tuple[str, tuple[float, ...]] = ("linear", ())

_ACTIVATIONS: tuple[tuple[str, tuple[float, ...]], ...] = (
    _LINEAR, ("relu", ()), ("relu", (0.25, 5.0, 0.5)), ("relu6", ()), ("leaky_relu", (0.2,)), ("elu", (1.0,)), ("celu", (0.7,)),
    ("selu", ()), ("softplus", ()), ("softsign", ()), ("squareplus", (4.0,)), ("soft_shrink", (0.5,)), ("hard_shrink", (0.5,)),
    ("sparse_plus", ()), ("silu", ()), ("gelu", ()), ("gelu_tanh", ()), ("tanh", ()), ("tanh_shrink", ()), ("threshold", (0.5, -1.0)),
    ("sigmoid", ()), ("sparse_sigmoid", ()), ("exponential", ()), ("hard_sigmoid", ()), ("hard_silu", ()), ("hard_tanh", ()),
    ("mish", ()), ("log_sigmoid", ()),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A convolution to check: sizes (n, h, w, c) and pairs (height, width)."""

    input_shape: tuple[int, int, int, int]
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Any = "same"
    multiplier: int = 1
    filters: int = 8

    def axes(self) -> list[tuple[Any, ...]]:
        paddings = (self.padding,) * 2 if isinstance(self.padding, str) else self.padding
        return list(zip(self.input_shape[1:3], self.kernel, self.strides, self.dilation, paddings, strict=True))

    def plan(self, op: str, dtype: str, isa: str, source: np.ndarray, target: np.ndarray, threads: int = 1) -> Any:
        """A plan for `source` and `target`, views in the order (n, h, w, c) whatever lies behind them."""
        pointwise = op == "pointwise"
        middle = ("relu6", ()) if op == "separable" else _LINEAR
        return _core.Plan(
            op, dtype, source.shape, _steps(source),
            kernel=(1, 1) if pointwise else self.kernel,
            strides=self.strides,
            dilation=(1, 1) if pointwise else self.dilation,
            padding=((0, 0), (0, 0)) if pointwise else tuple(pad_amounts(*axis) for axis in self.axes()),
            multiplier=1 if pointwise else self.multiplier,
            filters=self.filters,
            output_strides=_steps(target),
            activation=("relu", ()) if op == "separable" else _LINEAR,
            depthwise_activation=middle,
            num_threads=threads,
            isa=isa,
        )  # fmt: skip

    def output_shape(self, op: str) -> tuple[int, int, int, int]:
        axes = (
            self.axes()
            if op != "pointwise"
            else [(n, 1, s, 1, "valid") for n, s in zip(self.input_shape[1:3], self.strides, strict=True)]
        )
        height, width = (output_size(*axis) for axis in axes)
        channels = self.input_shape[3] * self.multiplier if op == "depthwise" else self.filters
        return (self.input_shape[0], height, width, channels)

    def weight_shapes(self, op: str) -> tuple[tuple[int, ...] | None, ...]:
        channels = self.input_shape[3]
        depth = channels * (1 if op == "pointwise" else self.multiplier)
        depthwise = None if op == "pointwise" else (*self.kernel, channels, self.multiplier)
        pointwise = None if op == "depthwise" else (depth, self.filters)
        return depthwise, (depth,) if op == "separable" else None, pointwise, (depth if op == "depthwise" else self.filters,)


# Channels around every vector width, sizes that leave tails, kernels wider than the image and strides wider than the kernel.
_CASES = (
    Case((1, 1, 1, 1), filters=1),
    Case((2, 5, 7, 3), filters=5),
    Case((1, 9, 8, 4), padding="valid", multiplier=2),
    Case((1, 8, 9, 7), kernel=(2, 5), strides=(2, 1), filters=17),
    Case((2, 11, 6, 8), dilation=(2, 3), filters=16),
    Case((1, 13, 12, 9), strides=(2, 2), dilation=(3, 2), filters=9),
    Case((1, 7, 15, 15), kernel=(5, 1), padding="valid", filters=31),
    Case((1, 10, 10, 16), kernel=(7, 7), filters=24),
    Case((3, 4, 5, 17), kernel=(1, 4), strides=(3, 3), padding="valid", multiplier=3, filters=3),
    Case((1, 6, 6, 24), kernel=(1, 1), strides=(4, 2), filters=33),
    Case((1, 12, 14, 33), kernel=(3, 2), padding=((2, 0), (1, 4)), filters=48),
    Case((2, 3, 3, 40), kernel=(5, 5), dilation=(1, 2), filters=64),
    Case((1, 20, 21, 3), kernel=(3, 3), strides=(2, 2), multiplier=4, filters=32),
    Case((1, 3, 150, 2), kernel=(3, 9), strides=(1, 3), filters=2),
)


class Tally:
    """Checks of one group: how many, and the first that failed."""

    def __init__(self) -> None:
        self.checks = 0
        self.failure: str | None = None
        self.worst = 0.0

    def check(self, good: bool, what: str) -> None:
        self.checks += 1
        if not good and self.failure is None:
            self.failure = what


def main() -> int:
    """Run all groups, print a line for each; returns 0, or 1 if a check failed."""
    isas = _core.isas()
    dtypes = ["float32", "float64", "float16", *(["bfloat16"] if _has_bfloat16() else [])]
    print(
        f"sepconv {_core.__version__}, Python {sys.version.split()[0]}, NumPy {np.__version__}; instruction sets: {', '.join(isas)}"
    )
    start, checks, failures = time.perf_counter(), 0, 0
    for name, run in _groups(isas, dtypes):
        tally = Tally()
        run(tally)
        checks += tally.checks
        failures += tally.failure is not None
        print(f"{name:<34} {tally.checks:>5} checks  {'ok' if tally.failure is None else 'FAILED: ' + tally.failure}")
    if "bfloat16" not in dtypes:
        print('bfloat16 not checked, since ml_dtypes is not installed: pip install "sepconv[bfloat16]"')
    verdict = "passed" if failures == 0 else f"FAILED in {failures} groups"
    print(f"selftest {verdict}: {checks} checks in {time.perf_counter() - start:.1f} s")
    return int(failures > 0)


def _groups(isas: list[str], dtypes: list[str]) -> Iterator[tuple[str, Callable[[Tally], None]]]:
    for dtype in dtypes:
        for isa in isas:
            yield f"{isa} {dtype} exact", lambda tally, isa=isa, dtype=dtype: _exact(tally, isa, dtype)  # type: ignore[misc]
            yield f"{isa} {dtype} activations", lambda tally, isa=isa, dtype=dtype: _activations(tally, isa, dtype)  # type: ignore[misc]
        yield f"{dtype} rounding and equal bits", lambda tally, dtype=dtype: _rounded(tally, isas, dtype)  # type: ignore[misc]


def _exact(tally: Tally, isa: str, dtype: str) -> None:
    for op, case in _all_cases():
        x, weights = _data(case, op, dtype, whole=True)
        expected = None
        for layout in _LAYOUTS:
            plan, result = _run(case, op, dtype, isa, layout, x, weights)
            if expected is None:
                expected = plan.reference(x.astype(np.float64), *weights).astype(x.dtype)
            tally.check(bool((result == expected).all()), f"{op} {layout} {case}")


def _rounded(tally: Tally, isas: list[str], dtype: str) -> None:
    # Half a unit in the last place, of what sums are made in and of what results are stored in.
    step = np.finfo(np.float64 if dtype == "float64" else np.float32).eps / 2
    storage = _half_ulp(dtype) if dtype in ("float16", "bfloat16") else 0.0
    for op, case in _all_cases():
        x, weights = _data(case, op, dtype, whole=False)
        first = None
        for isa in isas:
            for layout in _LAYOUTS:
                plan, result = _run(case, op, dtype, isa, layout, x, weights, threads=1 if layout == "channels_last" else 3)
                if first is None:
                    first = result
                    wide = x.astype(np.float64)
                    expected = plan.reference(wide, *weights)
                    sizes = [None if w is None else np.abs(w) for w in weights]
                    # relu6 holds each row at 6: for the sum of absolute values the halves go one by one, without it.
                    terms = (
                        _absolute_sum(case, dtype, np.abs(x), sizes) if op == "separable" else plan.reference(np.abs(wide), *sizes)
                    )
                    length = case.kernel[0] * case.kernel[1] + case.input_shape[3] * case.multiplier + 4
                    bound = length * step * terms + storage * np.abs(expected) + np.finfo(np.float32).tiny
                    tally.check(bool((np.abs(result - expected) <= bound).all()), f"{op} {isa} error beyond its bound {case}")
                tally.check(_bits(result) == _bits(first), f"{op} {isa} {layout} has other bits than {isas[0]} {case}")


def _absolute_sum(case: Case, dtype: str, x: np.ndarray, weights: list[Any]) -> np.ndarray:
    """The sum of the absolute values of a separable convolution's terms, by its two halves in float64."""
    depthwise, depthwise_bias, pointwise, bias = weights
    target = np.empty(case.output_shape("depthwise"), x.dtype)
    rows = case.plan("depthwise", dtype, "", x, target).reference(x.astype(np.float64), depthwise, None, None, depthwise_bias)
    total: np.ndarray = rows @ pointwise.astype(np.float64) + bias.astype(np.float64)
    return total


def _activations(tally: Tally, isa: str, dtype: str) -> None:
    """A convolution that changes nothing, followed by each activation."""
    number = as_numpy_dtype(dtype)
    # An odd count leaves a tail; 1.5 is where the rational approximations of erf and tanh hand over.
    values = np.concatenate([np.linspace(-8, 8, 1021), [0.0, 1.5, -1.5, 1e-3, -1e-3]]).astype(number)
    x = np.ascontiguousarray(values.reshape(1, 1, -1, 1))
    one = np.ones((1, 1, 1, 1), number)
    wide = x.astype(np.float64)
    for activation in _ACTIVATIONS:
        result = np.empty_like(x)
        plan = _core.Plan(
            "depthwise", dtype, x.shape, _steps(x), kernel=(1, 1), strides=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)),
            multiplier=1, filters=1, output_strides=_steps(result), activation=activation, num_threads=1, isa=isa,
        )  # fmt: skip
        plan.run(plan.pack(one, None, None, None), x, result)
        expected = plan.reference(wide, one, None, None, None)
        near = np.minimum(np.abs(wide), 1.0)
        bound = 16 * np.finfo(np.float64 if dtype == "float64" else np.float32).eps * (np.abs(expected) + near)
        bound += _half_ulp(dtype) * np.abs(expected) * (dtype in ("float16", "bfloat16")) + _tiny(dtype)
        tally.check(bool((np.abs(result - expected) <= bound).all()), f"{activation}")


def _all_cases() -> Iterator[tuple[str, Case]]:
    for case in _CASES:
        for op in ("depthwise", "separable", "pointwise"):
            yield op, case


def _data(case: Case, op: str, dtype: str, whole: bool) -> tuple[np.ndarray, list[Any]]:
    """An input and weights: small whole numbers, whose sums are exact in every dtype, or normal ones."""
    rng = np.random.default_rng(_CASES.index(case))
    number = as_numpy_dtype(dtype)

    def draw(shape: tuple[int, ...] | None) -> Any:
        if shape is None:
            return None
        values = rng.integers(-2, 3, shape) if whole else rng.standard_normal(shape)
        return np.ascontiguousarray(values.astype(np.float32).astype(number))

    x, weights = draw(case.input_shape), [draw(shape) for shape in case.weight_shapes(op)]
    # A bias that lifts most sums above relu's zero, where a fault would not show.
    weights[-1] = np.abs(weights[-1]) * number.type(8) + number.type(4)
    return x, weights


def _run(
    case: Case, op: str, dtype: str, isa: str, layout: str, x: np.ndarray, weights: list[Any], threads: int = 1
) -> tuple[Any, np.ndarray]:
    """The plan and its result, as (n, h, w, c) views of arrays in `layout`."""
    axes = _LAYOUTS[layout]
    source = _in_layout(x, axes)
    target = _in_layout(np.full(case.output_shape(op), np.nan, np.float32).astype(x.dtype), axes)
    plan = case.plan(op, dtype, isa, source, target, threads)
    plan.run(plan.pack(*weights), source, target)
    return plan, target


def _in_layout(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    laid: np.ndarray = np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))
    return laid


def _steps(array: np.ndarray) -> tuple[int, ...]:
    """Strides in elements."""
    return tuple(s // array.itemsize for s in array.strides)


def _bits(array: np.ndarray) -> bytes:
    # + 0 makes -0 into 0: the sign of zero isn't promised.
    return bytes(np.ascontiguousarray(array + array.dtype.type(0)).tobytes())


def _half_ulp(dtype: str) -> float:
    return {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(dtype, 0.0)


def _tiny(dtype: str) -> float:
    """Below this a number is denormal, and its error absolute."""
    return 2.0**-24 if dtype == "float16" else 1e-38


def _has_bfloat16() -> bool:
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return False
    return True

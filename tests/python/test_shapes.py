"""Every case of tests/shapes on every instruction set: on small whole numbers the result is the float64 reference's, to the last bit."""

import json
import pathlib
import zlib

import numpy as np
import pytest
from reference import _pad, convolve, integers

from sepconv import _core

SHAPES = pathlib.Path(__file__).resolve().parents[1] / "shapes"
FAMILIES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(SHAPES.glob("*.json"))}
CASES = {row["name"]: {**table["defaults"], **row} for table in FAMILIES.values() for row in table["cases"]}

# Those that keep whole numbers whole; the others have tests of their own, and are left out here.
EXACT = {
    "linear": None,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "threshold": lambda x: np.where(x > 0, x, 0),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
}
PARAMETERS = {"threshold": (0.0, 0.0), "hard_shrink": (0.5,)}
MOST = 2e7  # multiply-adds of a case


def cropped(case):
    """(n, h, w) with fewer images, rows and columns where the case would take long, but never less than its window and a few more."""
    reach = [d * (k - 1) + 1 for k, d in zip(case["kernel"], case["dilation"])]
    taps = case["kernel"][0] * case["kernel"][1] * case["multiplier"] * case["c"]
    work = taps if case["op"] == "depthwise" else case["c"] * case["multiplier"] * case["filters"]
    n, size = min(case["n"], 3), [case["h"], case["w"]]
    while n * size[0] * size[1] * max(work, taps) > MOST * case["strides"][0] * case["strides"][1]:
        axis = size.index(max(size))
        least = min(reach[axis] + 2 * case["strides"][axis], (case["h"], case["w"])[axis])
        if size[axis] <= least:
            break
        size[axis] = max(least, size[axis] * 3 // 4)
    return n, *size


def steps(shape, layout):
    """Strides in elements of (n, h, w, c) axes, laid out as `layout` says."""
    n, h, w, c = shape
    return (h * w * c, w * c, c, 1) if layout == "channels_last" else (c * h * w, w, 1, h * w)


def data(case, rng):
    """What goes in, and the names of the activations that are applied."""
    shape = (*cropped(case), case["c"])
    depth, pointwise = case["c"] * case["multiplier"], case["op"] != "depthwise"
    outputs = case["filters"] if pointwise else depth
    weights = [
        integers(rng, (*case["kernel"], case["c"], case["multiplier"])) if case["op"] != "pointwise" else None,
        np.abs(integers(rng, depth)) if case["depthwise_bias"] and case["op"] == "separable" else None,
        integers(rng, (depth, case["filters"])) if pointwise else None,
        # It lifts most sums above zero, where a relu would hide a fault.
        np.abs(integers(rng, outputs)) + np.float32(9 * depth**0.5 * (case["activation"] == "relu")) // 1 if case["bias"] else None,
    ]
    dtype = np.dtype(case["dtype"])
    return integers(rng, shape).astype(dtype), [None if w is None else w.astype(dtype) for w in weights]


def expected(case, x, weights, middle, last):
    depthwise, depthwise_bias, pointwise, bias = weights
    geometry = {"strides": tuple(case["strides"]), "dilation": tuple(case["dilation"]), "padding": case["padding"]}
    if depthwise is None:  # a window of one pixel that changes nothing
        depthwise = np.ones((1, 1, case["c"], 1))
    return convolve(x, depthwise, pointwise, bias, **geometry, activation=EXACT[last], depthwise_bias=depthwise_bias,
                    depthwise_activation=EXACT[middle])  # fmt: skip


def on(isa, case, x, weights, middle, last, shape):
    """The result of the core, as (n, h, w, c)."""
    layout = case["layout"]
    axes = zip(x.shape[1:3], case["kernel"], case["strides"], case["dilation"])
    plan = _core.Plan(
        case["op"], case["dtype"], x.shape, steps(x.shape, layout), kernel=tuple(case["kernel"]), strides=tuple(case["strides"]),
        dilation=tuple(case["dilation"]), padding=tuple(_pad(*axis, case["padding"]) for axis in axes),
        multiplier=case["multiplier"], filters=case["filters"], output_strides=steps(shape, layout),
        activation=(last, PARAMETERS.get(last, ())), depthwise_activation=(middle, ()), num_threads=2, isa=isa,
    )  # fmt: skip
    assert plan.describe()["isa"] == isa
    move = (0, 1, 2, 3) if layout == "channels_last" else (0, 3, 1, 2)
    back = np.argsort(move)
    source, target = np.ascontiguousarray(x.transpose(move)), np.full([shape[a] for a in move], np.nan, x.dtype)
    plan.run(plan.pack(*weights), source, target)
    return target.transpose(back)


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_numbers_come_out_exactly(family):
    for row in FAMILIES[family]["cases"]:
        case = {**FAMILIES[family]["defaults"], **row}
        x, weights = data(case, np.random.default_rng(zlib.crc32(case["name"].encode())))
        last = case["activation"] if case["activation"] in EXACT else "linear"
        middle = case["depthwise_activation"] if case["op"] == "separable" and case["depthwise_activation"] in EXACT else "linear"
        y = expected(case, x, weights, middle, last)
        assert (y != 0).mean() > 0.5, case["name"]
        assert np.abs(y).max() < 2**24, case["name"]
        for isa in _core.isas():
            assert np.array_equal(on(isa, case, x, weights, middle, last, y.shape), y), (case["name"], isa)


def test_crops_keep_what_a_case_is_about():
    for name, case in CASES.items():
        n, h, w = cropped(case)
        assert 1 <= n <= case["n"] and h <= case["h"] and w <= case["w"], name
        for size, whole, k, d, s in zip((h, w), (case["h"], case["w"]), case["kernel"], case["dilation"], case["strides"]):
            assert size == whole or size >= d * (k - 1) + 1 + 2 * s, name


def test_every_field_is_known():
    fields = set("name op dtype layout n h w c multiplier filters kernel strides dilation padding".split())
    fields |= set("depthwise_bias depthwise_activation bias activation".split())
    assert len(CASES) == sum(len(table["cases"]) for table in FAMILIES.values()) > 150
    assert not {name: set(case) ^ fields for name, case in CASES.items() if set(case) != fields}

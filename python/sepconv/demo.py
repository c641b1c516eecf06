"""`python -m sepconv demo`: separable layers on a photograph, judged by eye, by the clock and by float64."""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _plain, _runtime
from ._progress import progress
from .layers import SeparableConv2D

_REPEATS = 7
_ENOUGH = 1.0  # seconds, after which a run isn't repeated

# Pixels that plain NumPy and float64 see at most: a photograph of 24 megapixels would take them minutes.
_COMPARED = 2**19

# ITU-R BT.601: how bright red, green and blue look.
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass
class Step:
    """One thing that the demo shows: a name, what the eye should see, and layers."""

    title: str
    caption: str
    layers: list[SeparableConv2D]


@dataclass
class Result:
    """What came out of a step. Times are seconds, `flops` are floating-point operations.

    `compared` (rows, columns) is the part in the middle that plain NumPy and float64 saw; `plain_seconds` is scaled from it to the whole.
    """

    step: Step
    image: np.ndarray
    seconds: float
    plain_seconds: float
    flops: float
    difference: float
    compared: tuple[int, int]


class DemoError(Exception):
    """Something that the user can mend; its text says how."""


def main(image: str | None = None, output: str | None = None) -> int:
    """Run the demo; returns the exit status: 0, 1 for a bad path, 2 without the extra or where `output` doesn't end in .png.

    Parameters
    ----------
    image : str, optional
        A picture to use in place of the photograph that comes with matplotlib.
    output : str, optional
        Where to write the PNG; by default `sepconv_demo.png` in the working directory.
    """
    return present(
        lambda path: _run(image, path), output, "demo", {"matplotlib": "matplotlib", "PIL": "matplotlib", "tqdm": "tqdm"}
    )


def present(run: Callable[[str], None], output: str | None, extra: str, needed: dict[str, str]) -> int:
    """Run what writes a picture to a path; returns the exit status, see `main`.

    `needed` are modules and the packages of the extra `extra` that bring them; without `output` the picture is `sepconv_<extra>.png`.
    """
    try:
        for module in needed:
            importlib.import_module(module)
    except ImportError:
        *others, last = dict.fromkeys(needed.values())
        what = f"The demo needs {', '.join(others)} and {last}"
        print(f'{what}: pip install "sepconv[{extra}]", or pip install ".[{extra}]" where the source is.', file=sys.stderr)
        return 2
    if output is not None and not output.lower().endswith(".png"):
        print(f"sepconv demo: `--output` must end in .png: that is what is written. Received: {output}", file=sys.stderr)
        return 2
    path = os.path.abspath(f"sepconv_{extra}.png" if output is None else output)
    try:
        if os.path.isdir(path) or not os.access(path if os.path.exists(path) else os.path.dirname(path), os.W_OK):
            raise DemoError(f"`--output` must be a file that can be written, in a directory that exists. Received: {path}")
        run(path)
    except DemoError as error:
        print(f"sepconv demo: {error}", file=sys.stderr)
        return 1
    print(f"\nPicture: {path}")
    return 0


def write(figure: Any, path: str) -> None:
    """Write a figure of matplotlib to the PNG `path`."""
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise DemoError(f"`--output` can't be written: {error}") from error


def _run(image: str | None, path: str) -> None:
    from . import _picture

    photograph, name = _load(image)
    threads = _runtime.threads()
    steps = [*picture_steps(), network_step()]
    features = np.random.default_rng(0).standard_normal((28, 28, 256), dtype=np.float32)
    results = [measure(step, features if step is steps[-1] else photograph) for step in progress(steps, 1, "sepconv demo")]
    peak = float(_core.fma_peak(threads))
    _report(f"{name}, {photograph.shape[1]} x {photograph.shape[0]} pixels", threads, peak, results)
    if results[0].compared != photograph.shape[:2]:
        rows, columns = results[0].compared
        print(
            f"\nPlain NumPy and float64 saw the middle of the photograph, {columns} x {rows} pixels; NumPy's times are scaled to the whole."
        )
    write(_picture.draw(photograph, results[:-1]), path)


def _load(image: str | None) -> tuple[np.ndarray, str]:
    """A picture as float32 (h, w, 3) from 0 to 1, and its name."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image, ImageOps

    path = str(get_sample_data("grace_hopper.jpg", asfileobj=False)) if image is None else image
    try:
        with Image.open(path) as opened:
            pixels = _pixels(ImageOps.exif_transpose(opened))
    except FileNotFoundError:
        raise DemoError(f"`--image` must be a picture that exists. Received: {path}") from None
    # Pillow raises what its decoders raise; SyntaxError for a broken PNG is one of them.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DemoError(f"`--image` must be a picture that Pillow can read. Received: {path}, which said: {error}") from error
    if min(pixels.shape[:2]) < 16:
        raise DemoError(f"`--image` must have at least 16 x 16 pixels. Received: {path}, {pixels.shape[1]} x {pixels.shape[0]}")
    return pixels, os.path.basename(path)


def _pixels(image: Any) -> np.ndarray:
    """A picture of Pillow as float32 (h, w, 3) from 0 to 1."""
    if image.mode[0] not in "IF":
        return np.asarray(image.convert("RGB"), np.float32) / 255
    # Grey of more than 8 bits, which Pillow would clip at 255.
    grey = np.asarray(image, np.float32) / 65535
    if image.mode == "F" or grey.min() < 0 or grey.max() > 1:
        raise ValueError("its pixels have more than 16 bits")
    return np.repeat(grey[..., None], 3, axis=2)


def _gaussian(size: int, sigma: float) -> np.ndarray:
    """A round bell (size, size) of sum 1."""
    line = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    bell: np.ndarray = np.outer(line, line) / line.sum() ** 2
    return bell


def _layer(depthwise: np.ndarray, pointwise: np.ndarray, bias: Any = 0.0, activation: str | None = "relu") -> SeparableConv2D:
    """A layer with these weights: `depthwise` (kh, kw, channels, multiplier) and `pointwise` (channels * multiplier, filters)."""
    kh, kw, channels, multiplier = depthwise.shape
    filters = pointwise.shape[1]
    return SeparableConv2D(
        filters,
        (kh, kw),
        depth_multiplier=multiplier,
        activation=activation,
        input_shape=(None, None, channels),
        weights=[depthwise, pointwise[None, None], np.broadcast_to(bias, filters)],
    )


def picture_steps() -> list[Step]:
    """Blur, edges and sharpening, as separable layers of three channels."""
    each = np.ones((1, 1, 3, 1))
    blur = _layer(_gaussian(15, 3.5)[..., None, None] * each, np.eye(3))

    # Sobel's two slopes of every channel; the pointwise half weighs the channels by brightness and keeps both signs, which relu needs.
    across = np.outer([1, 2, 1], [-1, 0, 1]) / 4
    slopes = np.stack([across, across.T], axis=-1)[:, :, None, :] * each
    signs = np.kron(_LUMA[:, None], np.eye(2)) @ np.array([[1, -1, 0, 0], [0, 0, 1, -1]])
    soft = np.repeat(_gaussian(3, 0.7)[..., None, None], 4, axis=2)
    edges = [_layer(slopes, signs), _layer(soft, np.full((4, 3), -1.6), bias=1.0)]

    # The picture plus 0.9 times what its blur loses; then skin towards orange, blue towards teal.
    sharp = -0.9 * _gaussian(9, 1.8)
    sharp[4, 4] += 1.9
    mix = np.array([[1.16, 0.02, -0.14], [0.06, 0.82, 0.24], [-0.14, 0.30, 0.82]])
    sharpen = _layer(sharp[..., None, None] * each, mix, bias=[-0.02, -0.03, 0.01])
    return [
        Step("Blur", "15 x 15 bell", [blur]),
        Step("Edges", "Sobel, then ink on paper", edges),
        Step("Sharpen and recolour", "9 x 9 unsharp mask, 3 x 3 colours", [sharpen]),
    ]


def network_step() -> Step:
    """A layer as networks have it, where there is enough arithmetic for a percentage of the peak to mean something."""
    rng = np.random.default_rng(1)
    depthwise, pointwise = rng.standard_normal((3, 3, 256, 1)) / 3, rng.standard_normal((256, 256)) / 16
    return Step("Network layer", "28 x 28 x 256, 3 x 3", [_layer(depthwise, pointwise)])


def measure(step: Step, image: np.ndarray) -> Result:
    """Run a step on `image` (h, w, channels) three ways: by the layers, in plain NumPy, and in float64."""
    # Repeating the border keeps the frame of the picture from turning dark, as zeros would.
    border = sum(layer.kernel_size[0] // 2 for layer in step.layers)
    inputs = np.pad(image, ((border, border), (border, border), (0, 0)), mode="edge")[None]
    result = _apply(step, inputs)[0]
    rows, columns = _middle(*image.shape[:2])
    part = np.ascontiguousarray(inputs[:, rows.start : rows.stop + 2 * border, columns.start : columns.stop + 2 * border])
    compared = (rows.stop - rows.start, columns.stop - columns.start)
    exact = _apply_plain(step, part.astype(np.float64))[0]
    return Result(
        step,
        result,
        _best(lambda: _apply(step, inputs), _REPEATS),
        _best(lambda: _apply_plain(step, part), 1) * math.prod(image.shape[:2]) / math.prod(compared),
        _flops(step, inputs.shape),
        float(np.abs(result[rows, columns] - exact).max()),
        compared,
    )


def _middle(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the largest part in the middle, of the same form, that has at most `_COMPARED` pixels."""
    scale = min(1.0, math.sqrt(_COMPARED / (height * width)))
    sizes = [max(1, int(size * scale)) for size in (height, width)]
    starts = [(whole - size) // 2 for whole, size in zip((height, width), sizes, strict=True)]
    rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return rows, columns


def _apply(step: Step, values: np.ndarray) -> np.ndarray:
    for layer in step.layers:
        values = layer(values)
    return values


def _apply_plain(step: Step, values: np.ndarray) -> np.ndarray:
    for layer in step.layers:
        depthwise, pointwise, bias = (w.astype(values.dtype) for w in layer.get_weights())
        values = np.maximum(_plain.separable_conv(values, depthwise, pointwise, bias, padding=layer.padding), 0)
    return values


def _flops(step: Step, shape: tuple[int, ...]) -> float:
    """Two for each multiply-add of both halves, at every pixel that comes out."""
    total = 0.0
    for layer in step.layers:
        shape = layer.compute_output_shape(shape)  # type: ignore[assignment]
        depthwise, pointwise = layer.get_weights()[:2]
        total += 2.0 * math.prod(shape[:3]) * (depthwise.size + pointwise.size)
    return total


def _best(run: Callable[[], Any], repeats: int) -> float:
    """The shortest of at most `repeats` times: what disturbs a run only makes it longer."""
    times: list[float] = []
    while len(times) < repeats and sum(times) < _ENOUGH:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _report(photograph: str, threads: int, peak: float, results: list[Result]) -> None:
    config = _core.config()
    print(f"\nsepconv {_core.__version__} on {config.get('isa_active', '?')}, {threads} threads, measured peak {peak:.0f} GFLOP/s")
    print(f"Photograph: {photograph}\n")
    print(f"{'':<22}{'sepconv':>10}{'plain NumPy':>14}{'faster':>9}{'of peak':>9}{'off float64 by':>17}")
    for r in results:
        share = r.flops / r.seconds / (peak * 1e9)
        print(
            f"{r.step.title:<22}{r.seconds * 1e3:>7.2f} ms{r.plain_seconds * 1e3:>11.1f} ms"
            f"{r.plain_seconds / r.seconds:>8.0f}x{share:>9.0%}{r.difference:>17.1e}"
        )

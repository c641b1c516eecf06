"""The picture of `demo train`: how the loss fell, what the filters became, and how the digits that were held out are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._picture import PALE, canvas, caption, title
from .models import Sequential

if TYPE_CHECKING:
    from .demo_train import Digits, Training

_LOSS, _READ, _WRONG = "#1f6feb", "#d97706", "#cf222e"
# Inches.
_EDGE, _TALL, _BELOW = 0.14, 3.0, 0.75
_FILTERS, _GRID = 1.44, 6  # the width of a block of filters; digits a side of their panel


def draw(model: Sequential, training: Training, held: Digits, seen: np.ndarray) -> Any:
    """A figure; `seen` are the digits that the model reads in `held.images`."""
    curves, filters, digits = 0.6, 5.75, 9.45
    figure = canvas(digits + _TALL + 2 * _EDGE, _TALL + _BELOW + 0.4)
    first, second = (layer.get_weights()[0] for layer in model.layers[:2])
    _curves(_panel(figure, curves, 4.1), training)
    _filters(_panel(figure, filters, _FILTERS), first, 2)
    title(figure.axes[-1], "Learned filters")
    _filters(_panel(figure, filters + _FILTERS + 0.3, _FILTERS), second, 4)
    _digits(_panel(figure, digits, _TALL), held, seen)
    wrong = int(np.count_nonzero(seen != held.labels))
    texts = {
        curves: f"in NumPy, by gradients of four separable layers\n{_epochs(training)} in {training.seconds:.1f} s",
        filters: f"{_count(first)} of the first layer\nblue adds",
        filters + _FILTERS + 0.3: f"{_count(second)} of the second\nred takes away",
        digits: f"small: what the network reads\n{len(seen) - wrong} of {len(seen)} read rightly" + ", misread: red" * (wrong > 0),
    }
    for left, text in texts.items():
        caption(figure, left, 0.5, text)
    return figure


def _epochs(training: Training) -> str:
    count = len(training.losses)
    return f"{count} epoch{'s' if count > 1 else ''}"


def _count(kernel: np.ndarray) -> int:
    return int(kernel.shape[2] * kernel.shape[3])


def _panel(figure: Any, left: float, width: float) -> Any:
    whole, high = figure.get_size_inches()
    return figure.add_axes((left / whole, _BELOW / high, width / whole, _TALL / high))


def _curves(axes: Any, training: Training) -> None:
    """The loss on the left axis, the share of digits read rightly on the right one; each has the colour of its axis."""
    from matplotlib.ticker import MaxNLocator, NullFormatter

    epochs = np.arange(1, len(training.losses) + 1)
    title(axes, "Training")
    axes.plot(epochs, training.losses, color=_LOSS, linewidth=2)
    axes.set_yscale("log")
    axes.set_xlim(1, max(2, len(epochs)))
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel("epoch", color=PALE, fontsize=9.5, loc="left", labelpad=-10.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    other = axes.twinx()
    other.plot(epochs, np.array(training.accuracies) * 100, color=_READ, linewidth=2)
    other.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    for axis, colour in ((axes.yaxis, _LOSS), (other.yaxis, _READ)):
        axis.set_tick_params(colors=colour, labelsize=9.5, length=0, which="both")
    axes.tick_params(axis="x", colors=PALE, labelsize=9.5, length=0)
    axes.text(0.98, 0.2, "loss", color=_LOSS, fontsize=11, fontweight="bold", ha="right", transform=axes.transAxes)
    axes.text(
        0.98, 0.85, "held out, read rightly", color=_READ, fontsize=11, fontweight="bold", ha="right", transform=axes.transAxes
    )
    other.grid(axis="y", color=PALE, alpha=0.2)
    for each in (axes, other):
        each.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=PALE)


def _filters(axes: Any, kernel: np.ndarray, across: int) -> None:
    """Each of the filters (rows, columns, channels, multiplier) by itself, `across` of them side by side."""
    size = len(kernel)
    tiles = kernel.reshape(size, size, -1).transpose(2, 0, 1)
    tiles = tiles / (np.abs(tiles).max(axis=(1, 2), keepdims=True) + 1e-30)
    axes.imshow(_mosaic(tiles, across, 1), cmap="RdBu", vmin=-1.3, vmax=1.3, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def _digits(axes: Any, held: Digits, seen: np.ndarray) -> None:
    """The misread ones first, then others in their order."""
    right = seen == held.labels
    chosen = np.argsort(right, kind="stable")[: _GRID * _GRID]
    gap = 4
    axes.imshow(
        _mosaic(held.images[chosen, :, :, 0], _GRID, gap), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest", aspect="auto"
    )
    axes.set_xlim(-0.5, (8 + gap) * _GRID - 2)
    for place, one in enumerate(chosen):
        row, column = (8 + gap) * (place // _GRID), (8 + gap) * (place % _GRID)
        strong = {"color": PALE} if right[one] else {"color": _WRONG, "fontweight": "bold"}
        axes.text(column + 9.2, row + 0.6, str(seen[one]), fontsize=9, ha="center", va="center", **strong)
    title(axes, "Held-out digits")
    axes.set_axis_off()


def _mosaic(tiles: np.ndarray, across: int, gap: int) -> np.ndarray:
    """Tiles (count, rows, columns) side by side with `gap` pixels of nothing (NaN) between them."""
    count, rows, columns = tiles.shape
    padded = np.pad(tiles, ((0, -count % across), (0, gap), (0, gap)), constant_values=np.nan)
    lines = padded.reshape(-1, across, rows + gap, columns + gap).transpose(0, 2, 1, 3)
    whole: np.ndarray = lines.reshape(-1, across * (columns + gap))
    return whole[:-gap, :-gap]

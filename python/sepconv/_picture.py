"""The demo's picture: before and after, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .demo import Result

INK, PALE = "#1b1f24", "#6b7280"


def canvas(width: float, height: float) -> Any:
    """An empty figure of so many inches. Needs no display: it is drawn with Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def title(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=13, fontweight="bold", color=INK, loc="left", pad=6)


def caption(figure: Any, left: float, top: float, text: str) -> None:
    """Small lines below a panel, from a corner in inches."""
    width, height = figure.get_size_inches()
    figure.text(left / width, top / height, text, fontsize=9.5, color=PALE, va="top", linespacing=1.4)


def draw(photograph: np.ndarray, results: list[Result]) -> Any:
    """A figure of `photograph` (h, w, 3) and of the images of `results`."""
    panels = [("Photograph", "before", photograph)]
    panels += [
        (r.step.title, f"{r.step.caption}\n{_time(r.seconds)}, plain NumPy {_time(r.plain_seconds)}", r.image) for r in results
    ]
    height, width = photograph.shape[:2]
    panel = 3.0
    tall = panel * height / width
    figure = canvas(panel * len(panels) + 0.14 * (len(panels) + 1), tall + 0.95)
    total_width, total_height = figure.get_size_inches()
    for index, (name, text, image) in enumerate(panels):
        left = 0.14 + index * (panel + 0.14)
        axes = figure.add_axes((left / total_width, 0.6 / total_height, panel / total_width, tall / total_height))
        axes.imshow(np.clip(_reduced(image), 0, 1), interpolation="lanczos", aspect="auto")
        axes.set_axis_off()
        title(axes, name)
        caption(figure, left, 0.5, text)
    return figure


def _reduced(image: np.ndarray) -> np.ndarray:
    """`image` by means over squares, where it has more than twice the pixels that a panel shows: Lanczos over all takes minutes."""
    factor = max(1, min(image.shape[1] // 700, image.shape[0]))
    height, width = (size // factor for size in image.shape[:2])
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor, -1)
    reduced: np.ndarray = squares.mean(axis=(1, 3)) if factor > 1 else image
    return reduced


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"

"""A progress bar: tqdm's where it is installed, else a plain one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ._arguments import refuse


def progress(items: Sequence[Any], verbose: int | str, label: str) -> Iterator[Any]:
    """Iterate over `items` and show on stderr how far it is.

    `verbose` is 0 or False (silent), 1 or True (a bar), 2 (one line at the end) or "auto" (a bar where stderr is a terminal, else
    silent).
    """
    if verbose not in (0, 1, 2, "auto"):
        refuse("verbose", "0, 1, 2, a boolean or 'auto'", verbose)
    if verbose == "auto":
        verbose = 1 if sys.stderr is not None and sys.stderr.isatty() else 0
    return {0: iter, 1: lambda items: _bar(items, label), 2: lambda items: _line(items, label)}[int(verbose)](items)


def _bar(items: Sequence[Any], label: str) -> Iterator[Any]:
    try:
        from tqdm import tqdm
    except ImportError:
        return _plain_bar(items, label)
    return iter(tqdm(items, desc=label))


def _plain_bar(items: Sequence[Any], label: str, width: int = 30) -> Iterator[Any]:
    for done, item in enumerate(items):
        filled = width * done // len(items)
        print(f"\r{label}: [{'#' * filled}{'.' * (width - filled)}] {done}/{len(items)}", end="", file=sys.stderr, flush=True)
        yield item
    print(f"\r{label}: [{'#' * width}] {len(items)}/{len(items)}", file=sys.stderr)


def _line(items: Sequence[Any], label: str) -> Iterator[Any]:
    start = time.perf_counter()
    yield from items
    print(f"{label}: {len(items)} steps in {time.perf_counter() - start:.3f} s", file=sys.stderr)

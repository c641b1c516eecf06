"""How calls run: threads and precision, per call and per context, and what `show_config` tells of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from sys import intern
from typing import Any

from . import _core
from ._arguments import integer, one_of, refuse

__all__ = ["options", "show_config"]

# No machine has more, and the core counts in 32 bits.
_MOST = 2**16

# The number of threads and the precision. The core reads it, too.
context: ContextVar[tuple[int | None, str]] = ContextVar("sepconv_options", default=(None, "default"))


@contextmanager
def options(*, num_threads: int | None = None, precision: str | None = None) -> Iterator[None]:
    """Options for all calls made in a context. They hold in this thread or task only, since they are context variables.

    Parameters
    ----------
    num_threads : int or None
        The most threads that a call may use. None leaves the choice to what surrounds the context. The keyword `num_threads` of a
        call wins over this, and this over the environment (``OMP_NUM_THREADS``, threadpoolctl, CPU affinity, cgroup quota). Results
        don't depend on it.
    precision : {"default", "bfloat16"} or None
        What separable and pointwise convolutions multiply; None leaves the choice to what surrounds the context. "default": numbers of
        the type of sums. "bfloat16": rows of the depthwise half and pointwise weights, rounded to bfloat16, with sums in float32: up
        to twice as fast where the processor multiplies pairs of them, and of the same bits everywhere. With `row` what the pointwise half
        multiplies and K its number of values, the result before bias and activation is within
        ``(2**-8 * (2 + 2**-8) + K * 2**-23) * sum(abs(row * weight))`` of the exact one; rows, weights and sums below 2**-126 count as
        0. Depthwise convolutions and gradients take no notice of it. No configuration holds it.

    Raises
    ------
    ValueError
        If `num_threads` is not a positive integer, or `precision` is something else. A call raises it if its computation is in float64
        and `precision` is "bfloat16".

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> layer, x = sepconv.SeparableConv2D(8, 3), np.ones((1, 8, 8, 3), np.float32)
    >>> with sepconv.options(num_threads=2, precision="bfloat16"):
    ...     y = layer(x)
    >>> bool(np.allclose(y, layer(x), atol=0.1))
    True
    """
    token = context.set((most_threads() if num_threads is None else threads(num_threads), products(precision)))
    try:
        yield
    finally:
        context.reset(token)


def threads(num_threads: int | None = None) -> int:
    """Threads of a call: its keyword, then the context, then the environment."""
    if num_threads is None:
        return context.get()[0] or _core.default_threads()
    if type(num_threads) is int and 0 < num_threads <= _MOST:  # half a microsecond less
        return num_threads
    return min(integer(num_threads, "num_threads"), _MOST)


def most_threads() -> int | None:
    """The context's number of threads, for a call that another thread makes later; None where it says nothing."""
    return context.get()[0]


def products(precision: str | None = None) -> str:
    """Precision of a call: its keyword, then the context."""
    return context.get()[1] if precision is None else intern(one_of(precision, "precision", ("default", "bfloat16")))


def show_config(mode: str | None = None) -> dict[str, Any] | None:
    """Print, or return, what the package was built with and what it found here.

    Parameters
    ----------
    mode : {None, "dicts"}
        None prints; ``"dicts"`` returns a dictionary: instruction sets compiled, found and active; threading and number of threads;
        cache sizes in bytes; compiler; version.

    Raises
    ------
    ValueError
        If `mode` is something else.

    Examples
    --------
    >>> "version" in show_config("dicts")
    True
    """
    if mode not in (None, "dicts"):
        refuse("mode", "None or 'dicts'", mode)
    config: dict[str, Any] = _core.config()
    if mode == "dicts":
        return config
    width = max(map(len, config))
    for key, value in config.items():
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        print(f"{key:<{width}}  {text or '-'}")
    return None

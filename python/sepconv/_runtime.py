"""Where the package runs: threads, per call and per context, and what `show_config` tells of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from . import _core
from ._arguments import integer, refuse

__all__ = ["options", "show_config"]

# No machine has more, and the core counts in 32 bits.
_MOST = 2**16

_num_threads: ContextVar[int | None] = ContextVar("sepconv_num_threads", default=None)


@contextmanager
def options(*, num_threads: int | None = None) -> Iterator[None]:
    """Options for all calls made in a context.

    Parameters
    ----------
    num_threads : int or None
        The most threads that a call may use. None leaves the choice to what surrounds the context. The keyword `num_threads` of a
        call wins over this, and this over the environment (``OMP_NUM_THREADS``, threadpoolctl, CPU affinity, cgroup quota). Results
        don't depend on it. It holds in this thread or task only, since it is a context variable.

    Raises
    ------
    ValueError
        If `num_threads` is not a positive integer.

    Examples
    --------
    >>> with options(num_threads=2):
    ...     pass
    """
    token = _num_threads.set(_num_threads.get() if num_threads is None else threads(num_threads))
    try:
        yield
    finally:
        _num_threads.reset(token)


def threads(num_threads: int | None = None) -> int:
    """Threads of a call: its keyword, then the context, then the environment."""
    if num_threads is None:
        return _num_threads.get() or _core.default_threads()
    if type(num_threads) is int and 0 < num_threads <= _MOST:  # half a microsecond less
        return num_threads
    return min(integer(num_threads, "num_threads"), _MOST)


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

"""Where random numbers come from: seeds, and the state behind those that are None."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ._arguments import _as_int, integer, refuse

_lock = threading.Lock()
_sequence: np.random.SeedSequence | None = None


def set_random_seed(seed: int) -> None:
    """Make all that is drawn from now on without a seed the same in every run that draws in the same order.

    Parameters
    ----------
    seed : int
        Not negative.

    Raises
    ------
    ValueError
        If it isn't such a number.

    Examples
    --------
    >>> import sepconv
    >>> sepconv.set_random_seed(1)
    >>> a = sepconv.initializers.get("glorot_uniform")((3, 3, 8, 1))
    >>> sepconv.set_random_seed(1)
    >>> bool((sepconv.initializers.get("glorot_uniform")((3, 3, 8, 1)) == a).all())
    True
    """
    global _sequence
    fresh = np.random.SeedSequence(integer(seed, "seed", minimum=0))
    with _lock:
        _sequence = fresh


def _next_sequence() -> np.random.SeedSequence:
    global _sequence
    with _lock:
        if _sequence is None:
            _sequence = np.random.SeedSequence()
        children: list[np.random.SeedSequence] = _sequence.spawn(1)
    return children[0]


def whole(seed: Any) -> int:
    """`seed` as an int."""
    found = _as_int(seed)
    if found is None:
        refuse("seed", "None, an integer or a numpy.random.Generator", seed)
    return found


def generator(seed: Any) -> np.random.Generator:
    """A new generator: the same one for the same integer, another one every time for None."""
    if seed is None:
        return np.random.default_rng(_next_sequence())
    found = whole(seed)
    # Entropy is not negative: a sign is a word of its own.
    return np.random.default_rng(found if found >= 0 else [-found, 1])


def truncated(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal values within two standard deviations."""
    values = np.asarray(rng.standard_normal(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(np.count_nonzero(outside))
    return values

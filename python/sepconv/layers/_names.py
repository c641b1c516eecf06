"""Names that layers get when their maker gives none."""

from __future__ import annotations

import re
import threading
from collections import Counter

_counts: Counter[str] = Counter()
_lock = threading.Lock()


def snake_case(class_name: str) -> str:
    """``"SeparableConv2D"`` -> ``"separable_conv2d"``, by Keras's rule."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(class_name: str) -> str:
    """A name no other layer of this process got from here: ``separable_conv2d``, ``separable_conv2d_1``, ..."""
    prefix = snake_case(class_name)
    with _lock:
        number = _counts[prefix]
        _counts[prefix] += 1
    return f"{prefix}_{number}" if number else prefix

"""How a file calls the layers of a model: not by their names, which depend on what else the process has made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..layers._names import snake_case


def groups(obj: Any) -> Iterator[tuple[str, Any]]:
    """``("separable_conv2d_1", layer)`` and so on: Keras's `<snake_case class>[_k]`, numbered per class in the order of the layers.

    A lone layer is called as the only layer of a model.
    """
    count: dict[str, int] = {}
    for layer in getattr(obj, "layers", [obj]):
        name = snake_case(type(layer).__name__)
        number = count.get(name, 0)
        count[name] = number + 1
        yield (f"{name}_{number}" if number else name), layer

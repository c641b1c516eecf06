"""Keras's layers with sepconv's kernels underneath, and models that change over to them.

>>> import keras
>>> import sepconv.keras
>>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.SeparableConv2D(8, 3, name="stem")])
>>> faster, swapped = sepconv.keras.accelerate(model)
>>> swapped
['stem']
"""

from __future__ import annotations

from ._without_jax import import_keras

import_keras()

from ._layers import BatchNormalization, Conv1D, Conv2D, DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D  # noqa: E402
from ._swap import accelerate, restore  # noqa: E402

__all__ = [
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "accelerate",
    "restore",
]

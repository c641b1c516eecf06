"""Depthwise-separable convolution for NumPy: Keras's layers, computed by a small vectorised C++ core.

>>> import numpy as np, sepconv
>>> layer = sepconv.SeparableConv2D(32, 3, padding="same", activation="relu")
>>> layer(np.zeros((1, 64, 64, 3), np.float32)).shape
(1, 64, 64, 32)
"""

from __future__ import annotations

from . import activations, constraints, initializers, layers, models, ops, regularizers, saving
from ._core import __version__
from ._paths import get_cmake_dir, get_include
from ._runtime import options, show_config
from .batch_norm import fold_batch_norm
from .initializers import set_random_seed
from .layers import (
    Activation,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
    layer_depthwise_conv_1d,
    layer_depthwise_conv_2d,
    layer_separable_conv_1d,
    layer_separable_conv_2d,
)
from .models import Input, Sequential
from .variables import Variable

__all__ = [
    "Activation",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Input",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "constraints",
    "fold_batch_norm",
    "get_cmake_dir",
    "get_include",
    "initializers",
    "layer_depthwise_conv_1d",
    "layer_depthwise_conv_2d",
    "layer_separable_conv_1d",
    "layer_separable_conv_2d",
    "layers",
    "models",
    "ops",
    "options",
    "regularizers",
    "saving",
    "set_random_seed",
    "show_config",
]

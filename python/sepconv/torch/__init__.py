"""Layers for PyTorch, by our kernels: needs the extra ``[torch]``.

`SeparableConv2d` and `DepthwiseConv2d` are modules in PyTorch's conventions. `accelerate` gives the depthwise convolutions that a model
has, and the 1x1 that follow them, our kernels.
"""

from ._accelerate import accelerate
from ._layers import DepthwiseConv2d, SeparableConv2d

__all__ = ["DepthwiseConv2d", "SeparableConv2d", "accelerate"]

"""Layers for PyTorch, by our kernels: needs the extra ``[torch]``.

`SeparableConv2d` and `DepthwiseConv2d` are modules in PyTorch's conventions.
"""

from ._layers import DepthwiseConv2d, SeparableConv2d

__all__ = ["DepthwiseConv2d", "SeparableConv2d"]

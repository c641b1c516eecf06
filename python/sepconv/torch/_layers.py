"""The layers: PyTorch's conventions, our kernels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._arguments import integer, integers, one_of, refuse, refuse_shape
from .._plans import Activation
from . import _kept, _kernels, _ops
from ._activations import form_of
from ._kept import Source

_WORDS = ("valid", "same", "same_keras")
_LINEAR: Activation = ("linear", ())


class SeparableConv2d(nn.Module):
    """A depthwise convolution, then a 1x1 convolution, in one pass: what a pair of `torch.nn.Conv2d` computes.

    Its children `depthwise` and `pointwise` are plain `torch.nn.Conv2d`. They hold the parameters, in PyTorch's shapes and order of
    channels (output ``c * depth_multiplier + m`` is the m-th of channel `c`), and are initialised as always; they aren't called, so a call
    refuses hooks of theirs, old ones that compute weights (`torch.nn.utils.prune`, `weight_norm`, `spectral_norm`) included, and takes
    those of `torch.nn.utils.parametrize`. The state of such a pair loads: ``layer.depthwise.load_state_dict(pair[0].state_dict())``, or all at once from a
    sequence whose members have these two names.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or pair of int
        Of the depthwise convolution.
    stride, dilation : int or pair of int
        Larger than 1 together too.
    padding : int, pair of int or str
        Zeros on both sides of each axis; "valid", none; "same", PyTorch's rule, for stride 1 only; "same_keras", Keras's rule, for all
        strides: ``ceil(size / stride)`` outputs. The odd row goes after the image in both.
    depth_multiplier : int
        Outputs of the depthwise convolution for each channel.
    bias : bool
        Whether the 1x1 convolution has one. The depthwise has none, as in Keras.
    activation : str, callable, torch.nn.Module or None
        An elementwise activation of `sepconv.activations`, by name or itself, or one of PyTorch's modules of the same; it is computed in
        the same pass.
    device, dtype : optional
        Of the parameters. There are kernels for the CPU; "meta" gives shapes.

    Attributes
    ----------
    activation : (str, tuple of float)
        As the core calls it.

    Raises
    ------
    ValueError, TypeError
        If an argument isn't one of the above; the message names it. A call raises them if its input doesn't fit, isn't a dense tensor on
        the CPU, or has another dtype than the weights (outside of autocast). A gradient can't be differentiated again: RuntimeError.
    RuntimeError
        From a call, if `depthwise` or `pointwise` has hooks.

    Notes
    -----
    Inputs are ``(batch, channels, height, width)`` or without the batch, in either memory format and with any strides; the output has the
    memory format of the input. Inputs and outputs aren't copied. Weights may change at any time, by any route; while no gradients are wanted
    and every bit of them is what it was at the last call, which a copy tells, they aren't packed again. ``torch.get_num_threads()`` threads
    compute.

    Examples
    --------
    >>> import torch, sepconv.torch
    >>> layer = sepconv.torch.SeparableConv2d(16, 32, 3, padding=1, activation="relu")
    >>> layer(torch.zeros(1, 16, 8, 8)).shape
    torch.Size([1, 32, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        activation: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"device": device, "dtype": _float(dtype)}
        self.activation = form_of(activation)
        self.depthwise = nn.Conv2d(
            **_depthwise(in_channels, kernel_size, stride, padding, dilation, depth_multiplier), bias=False, **made
        )
        depth, filters = self.depthwise.out_channels, integer(out_channels, "out_channels")
        self.pointwise = nn.Conv2d(depth, filters, 1, bias=bias, **made)
        self.padding = standard_padding(padding, self.depthwise.stride)

    def forward(self, input: Tensor) -> Tensor:
        depthwise, pointwise = self.depthwise, self.pointwise
        if has_hooks(depthwise) or has_hooks(pointwise):
            _refuse_hooks("depthwise" if has_hooks(depthwise) else "pointwise")
        weight = depthwise.weight  # once, since parametrizations compute it
        check_input(input, depthwise.in_channels, weight.dtype)
        form = form_of_pair(depthwise, self.padding, self.activation)
        return convolve(self, input, form, weight, depthwise.bias, pointwise.weight, pointwise.bias)

    def extra_repr(self) -> str:
        shown = [f"padding={self.padding!r}"] if self.padding == "same_keras" else []
        return ", ".join(shown + ([f"activation={self.activation[0]}"] if self.activation != _LINEAR else []))


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of every channel with its own filters: `torch.nn.Conv2d` with ``groups=in_channels``, by our kernels.

    Parameters
    ----------
    in_channels, kernel_size, stride, padding, dilation, depth_multiplier, bias, activation, device, dtype
        As in `SeparableConv2d`; the bias is that of the ``in_channels * depth_multiplier`` outputs.

    Raises
    ------
    ValueError, TypeError
        As `SeparableConv2d`.

    Examples
    --------
    >>> import torch, sepconv.torch
    >>> layer = sepconv.torch.DepthwiseConv2d(16, 3, stride=2, padding="same_keras")
    >>> layer(torch.zeros(1, 16, 9, 9)).shape
    torch.Size([1, 16, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        activation: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        form = form_of(activation)
        arguments = _depthwise(in_channels, kernel_size, stride, padding, dilation, depth_multiplier)
        super().__init__(**arguments, bias=bias, device=device, dtype=_float(dtype))
        self.activation = form
        self.padding = standard_padding(padding, self.stride)

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight  # once, since parametrizations compute it
        check_input(input, self.in_channels, weight.dtype)
        return convolve(self, input, form_of_pair(self, self.padding, self.activation), weight, None, None, self.bias)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", activation={self.activation[0]}" if self.activation != _LINEAR else "")


def has_hooks(module: nn.Module) -> bool:
    """Whether hooks of its own see what goes through `module`, or what goes back."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks)


def _refuse_hooks(name: str) -> None:
    raise RuntimeError(
        f"`{name}` of a SeparableConv2d has hooks, which wouldn't run: it isn't called. Instead of torch.nn.utils.prune, weight_norm "
        "and spectral_norm use torch.nn.utils.parametrize; instead of other hooks, those of the layer, or a torch.nn.Sequential of "
        "two torch.nn.Conv2d with sepconv.torch.accelerate."
    )


def _depthwise(
    in_channels: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, depth_multiplier: Any
) -> dict[str, Any]:
    """What `torch.nn.Conv2d` is made with; it knows nothing of Keras's padding."""
    channels, kernel = integer(in_channels, "in_channels"), integers(kernel_size, 2, "kernel_size")
    steps = integers(stride, 2, "stride")
    padding = standard_padding(padding, steps)
    return {
        "in_channels": channels,
        "out_channels": channels * integer(depth_multiplier, "depth_multiplier"),
        "kernel_size": kernel,
        "stride": steps,
        "padding": 0 if padding == "same_keras" else padding,
        "dilation": integers(dilation, 2, "dilation"),
        "groups": channels,
    }


def _float(dtype: Any) -> Any:
    if dtype is not None and dtype not in _kernels.DTYPES:
        refuse("dtype", "one of " + ", ".join(map(str, _kernels.DTYPES)), dtype)
    return dtype


def standard_padding(padding: Any, stride: tuple[int, ...]) -> Any:
    """One of the words, or a pair of numbers."""
    if not isinstance(padding, str):
        return integers(padding, 2, "padding", minimum=0)
    word = one_of(padding, "padding", _WORDS)
    if word == "same" and stride != (1, 1):
        refuse("padding", "a number or 'same_keras' where a stride is larger than 1, as for torch.nn.Conv2d", padding)
    return word


def form_of_pair(depthwise: Any, padding: Any, activation: Activation = _LINEAR, middle: Activation = _LINEAR) -> str:
    """The operator's form of a convolution whose geometry is that of the module `depthwise`, with `padding`.

    Its attributes may be all that PyTorch takes: pairs, lists, single numbers, NumPy's.
    """
    geometry = (depthwise.stride, padding, depthwise.dilation, depthwise.kernel_size)
    if list in map(type, geometry):
        geometry = tuple(tuple(g) if isinstance(g, list) else g for g in geometry)  # type: ignore[assignment]
    return _form(depthwise.in_channels, *geometry, activation, middle)


@torch.compiler.assume_constant_result
def _form(*geometry: Any) -> str:
    return _cached_form(*geometry)


@lru_cache(maxsize=1024)
def _cached_form(
    channels: int, stride: Any, padding: Any, dilation: Any, kernel: Any, activation: Activation, middle: Activation
) -> str:
    stride, dilation, kernel = map(_pair, (stride, dilation, kernel))
    if padding == "same":
        total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        pads: Any = tuple((n // 2, n - n // 2) for n in total)
    elif isinstance(padding, str):
        pads = padding.removesuffix("_keras")
    else:
        pads = tuple((n, n) for n in _pair(padding))
    return _ops.form(stride, pads, dilation, "channels_first", activation, middle, int(channels))


def _pair(value: Any) -> tuple[int, ...]:
    return tuple(np.broadcast_to(value, 2).tolist())


@_kernels.untraced
def check_input(input: Tensor, channels: int, dtype: torch.dtype) -> None:
    """Refuse an input that a module with so many `channels`, and weights of `dtype`, can't take."""
    if not hasattr(input, "dim"):  # torch.fx has what isn't a tensor and says so itself
        refuse("input", "a torch.Tensor", input, TypeError)
    if input.dim() not in (3, 4) or input.shape[-3] != channels:
        wanted = f"of shape (batch, {channels}, height, width) or ({channels}, height, width)"
        refuse_shape("input", wanted, tuple(input.shape))
    if not agree(input.dtype, dtype):
        refuse("input", f"of the dtype of the weights, {dtype}", input.dtype, TypeError)


def agree(one: torch.dtype, other: torch.dtype) -> bool:
    """Whether input and weights may have these dtypes. Autocast leaves float64 alone, as PyTorch's does."""
    return one == other or (torch.is_autocast_enabled("cpu") and torch.float64 not in (one, other))


def convolve(owner: nn.Module, input: Tensor, form: str, *weights: Tensor | None) -> Tensor:
    """The operator with weights in PyTorch's shapes, which belong to the module `owner`."""
    return compute(owner, input, Source(form, weights))


def compute(owner: nn.Module, input: Tensor, source: Source) -> Tensor:
    """The operator with weights of `source`, which belongs to the module `owner`."""
    if input.dim() == 4:
        return _kept.convolve(owner, input, source)
    return _kept.convolve(owner, input.unsqueeze(0), source).squeeze(0)

"""Models that exist: their depthwise convolutions, and the 1x1 that follow them, by our kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._arguments import refuse
from .._plans import Activation
from . import _kernels, _layers
from ._activations import form_of_module
from ._kept import Source
from ._layers import DepthwiseConv2d, SeparableConv2d

_LINEAR: Activation = ("linear", ())


def accelerate(model: nn.Module) -> list[str]:
    """Give the depthwise convolutions of a model, and the 1x1 that follow them, our kernels.

    It works in place: every module stays the object that it is and keeps its parameters, buffers, hooks and names, so that optimizers go
    on and `state_dict` has the same keys. Only classes change: a depthwise `torch.nn.Conv2d` (``groups == in_channels > 1``) computes by
    our kernels, and so does a 1x1 that follows one in a `torch.nn.Sequential`. Such a sequence, members of nested ones included, is
    computed in as few passes as its members allow at that call: depthwise, 1x1 and what stands next to them, which may be a
    `torch.nn.BatchNorm2d` in `eval()`, folded in with the statistics that it has then, and an activation. Where batch statistics stand
    between the two (in training), or a hook wants to see what passes, they are computed one by one. Nothing else changes; what isn't
    exactly equal is left alone: subclasses of `torch.nn.Conv2d`, other padding modes, complex numbers. Inputs that we have no kernels for
    (on other devices) go PyTorch's way.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    list of str
        The names of the convolutions that it swapped, as in ``model.named_modules()``. Those of an earlier call don't come again.

    Raises
    ------
    TypeError
        If `model` isn't a module.

    Notes
    -----
    A model saved as a whole (``torch.save(model)``) needs sepconv to load; its `state_dict` doesn't. Second derivatives aren't
    supported.

    Examples
    --------
    >>> import torch, sepconv.torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 1))
    >>> sepconv.torch.accelerate(model)
    ['0', '3']
    """
    if not isinstance(model, nn.Module):
        refuse("model", "a torch.nn.Module", model, TypeError)
    swapped: set[nn.Module] = set()
    for module in _others(model):
        if _is_depthwise(module, nn.Conv2d):
            module.__class__ = Conv2d
            swapped.add(module)
    for sequence in filter(_is_sequence, _others(model)):
        runs = [run for run in _runs(list(_members(sequence)), lambda norm: True, nn.Conv2d) if isinstance(run, _Run)]
        for run in runs:
            if type(run.pointwise) is nn.Conv2d:
                run.pointwise.__class__ = Conv2d
                swapped.add(run.pointwise)
        if runs and not isinstance(sequence, Sequential):
            base: Any = type(sequence)
            sequence.__class__ = _fused(base)
    return [name for name, module in model.named_modules() if module in swapped]


class Conv2d(nn.Conv2d):
    """A depthwise or 1x1 convolution of PyTorch, by our kernels where they can."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias  # once, since parametrizations compute them
        if not _takes(input, self, weight, bias):
            return self._conv_forward(input, weight, bias)
        form = _layers.form_of_pair(self, self.padding)
        if self.groups > 1:
            return _layers.convolve(self, input, form, weight, None, None, bias)
        return _layers.convolve(self, input, form, None, None, weight, bias)


class Sequential(nn.Sequential):
    """What `_fused` puts before a sequence's own class."""

    def forward(self, input: Any) -> Any:
        for run in _runs(list(_members(self)), _folds, Conv2d):
            input = run(input)
        return input

    def __reduce_ex__(self, protocol: Any) -> Any:
        _, _, *state = super().__reduce_ex__(2)
        return _restore, (type(self).__mro__[2],), *state  # the class made for it can't be found by name


@cache
def _fused(base: Any) -> Any:
    return type(base.__name__, (Sequential, base), {"__module__": base.__module__})


def _restore(base: Any) -> Any:
    kind = _fused(base)
    return kind.__new__(kind)


class _Run(NamedTuple):
    """What one pass computes: a depthwise convolution and what follows it."""

    depthwise: nn.Conv2d
    middle_norm: nn.BatchNorm2d | None
    middle: Activation
    pointwise: nn.Conv2d | None
    norm: nn.BatchNorm2d | None
    activation: Activation
    members: list[Any]

    def __call__(self, input: Tensor) -> Tensor:
        if len(self.members) == 1 or not _takes_run(input, self):
            for member in self.members:
                input = member(input)
            return input
        first, second = self.depthwise, self.pointwise
        norms = (self.middle_norm, self.norm)
        tensors, constants = sum(map(_statistics, norms), ()), tuple(norm and norm.eps for norm in norms)
        if second is None:
            form = _layers.form_of_pair(first, first.padding, self.middle)
            weights: Any = (first.weight, first.bias, None, None)
        else:
            form = _layers.form_of_pair(first, first.padding, self.activation, self.middle)
            weights = (first.weight, first.bias, second.weight, second.bias)
        return _layers.compute(first, input, Source(form, weights + tensors, constants, _fold_run))


def _runs(members: list[Any], folds: Callable[[Any], bool], kind: type[nn.Conv2d]) -> Iterator[Any]:
    """The members in order, those that one pass can compute as a `_Run`. `kind` is the class of 1x1 convolutions that it takes."""
    at, hidden = 0, False

    def take(found: Callable[[Any], Any]) -> Any:
        """What is found in the next member, if nobody looks at what goes into it."""
        nonlocal at, hidden
        result = found(members[at]) if hidden else None
        if result is not None:
            at += 1
            hidden = _is_hidden(members, at)
        return result

    while at < len(members):
        first, begin = members[at], at
        at += 1
        if not _is_depthwise(first, Conv2d):
            yield first
            continue
        hidden = _is_hidden(members, at)
        middle_norm, middle = take(_norm_of(first, folds)), take(form_of_module)
        second = take(_pointwise_of(first, (kind, Conv2d)))
        norm, last = (None, None) if second is None else (take(_norm_of(second, folds)), take(form_of_module))
        yield _Run(first, middle_norm, middle or _LINEAR, second, norm, last or _LINEAR, members[begin:at])


def _norm_of(conv: nn.Conv2d, folds: Callable[[Any], bool]) -> Callable[[Any], Any]:
    return lambda m: m if type(m) is nn.BatchNorm2d and m.num_features == conv.out_channels and folds(m) else None


def _pointwise_of(depthwise: nn.Conv2d, kinds: tuple[type, ...]) -> Callable[[Any], Any]:
    return lambda m: m if _is_pointwise(m, kinds) and m.in_channels == depthwise.out_channels else None


def _others(model: nn.Module) -> Iterator[nn.Module]:
    """All modules but the insides of our layers."""
    inside = {child for module in model.modules() if isinstance(module, SeparableConv2d) for child in module.modules()}
    return (module for module in model.modules() if module not in inside and not isinstance(module, DepthwiseConv2d))


def _is_depthwise(module: Any, kind: Any) -> bool:
    return type(module) is kind and 1 < module.groups == module.in_channels and _is_known(module)


def _is_pointwise(module: Any, kinds: tuple[type, ...]) -> bool:
    plain = type(module) in kinds and module.groups == 1 and module.kernel_size == (1, 1) and module.stride == (1, 1)
    return plain and module.padding in ((0, 0), "valid", "same") and _is_known(module)


def _is_known(module: nn.Conv2d) -> bool:
    return module.padding_mode == "zeros" and module.weight.dtype in _kernels.DTYPES and "forward" not in module.__dict__


def _is_sequence(module: Any) -> bool:
    plain = isinstance(module, nn.Sequential) and type(module).forward in (nn.Sequential.forward, Sequential.forward)
    return plain and "forward" not in module.__dict__


def _members(sequence: Any) -> Iterator[Any]:
    """The modules of a sequence, and those of sequences in it that nobody looks at."""
    for member in sequence._modules.values():
        if _is_sequence(member) and _is_quiet(member):
            yield from _members(member)
        else:
            yield member


def _is_hidden(members: list[Any], at: int) -> bool:
    """Whether nobody looks at what goes into this member."""
    return at < len(members) and _is_quiet(members[at - 1]) and _is_quiet(members[at])


def _is_quiet(module: Any) -> bool:
    """Whether a call of `module` is its forward, and no more."""
    return not _layers.has_hooks(module) and not nn.modules.module._has_any_global_hook() and "forward" not in module.__dict__


def _folds(norm: Any) -> bool:
    """Whether a batch normalisation is a factor and a term for each channel, now."""
    return not norm.training and getattr(norm, "running_mean", None) is not None


def _statistics(norm: nn.BatchNorm2d | None) -> tuple[Tensor | None, ...]:
    return (None,) * 4 if norm is None else (norm.running_mean, norm.running_var, norm.weight, norm.bias)


def _fold_run(tensors: Sequence[Tensor | None], constants: tuple[Any, ...]) -> Sequence[Tensor | None]:
    """The weights of a run, of those of its convolutions and of its normalisations."""
    depthwise, depthwise_bias = _fold(tensors[:2], tensors[4:8], constants[0])
    if tensors[2] is None:
        return depthwise, None, None, depthwise_bias
    return depthwise, depthwise_bias, *_fold(tensors[2:4], tensors[8:], constants[1])


def _fold(convolution: Sequence[Any], norm: Sequence[Any], eps: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a convolution and the normalisation after it, of 16 bits in float32. Gradients flow through."""
    weight, bias = convolution
    if norm[0] is None:
        return weight, bias
    weight, bias, mean, variance, scale, shift = map(_wide, (weight, bias, *norm))
    factor = torch.rsqrt(variance + eps)
    if scale is not None:
        factor = factor * scale
    term = -mean * factor if bias is None else (bias - mean) * factor
    return weight * factor.reshape(-1, 1, 1, 1), term if shift is None else term + shift


def _wide(tensor: Any) -> Any:
    return tensor.float() if tensor is not None and tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _fits(input: Any, module: nn.Conv2d, weight: Tensor) -> bool:
    """Whether our kernels can; if not, PyTorch's module computes, or refuses."""
    return (
        isinstance(input, Tensor)
        and ((input.is_cpu and weight.is_cpu) or (input.is_meta and weight.is_meta))
        and input.layout == torch.strided
        and input.dtype in _kernels.DTYPES
        and _layers.agree(input.dtype, weight.dtype)
        and input.dim() in (3, 4)
        and input.shape[-3] == module.in_channels
        and input.numel() > 0
    )


# Attributes and weights can change at any time: what a module computes now.


def _computes_depthwise(conv: nn.Conv2d, weight: Tensor) -> bool:
    shape, groups = weight.shape, conv.groups
    return 1 < groups == conv.in_channels and shape[0] % groups == 0 and shape[1:] == (1, *conv.kernel_size)


def _computes_1x1(conv: nn.Conv2d, weight: Tensor) -> bool:
    return conv.groups == 1 and weight.shape[1:] == (conv.in_channels, 1, 1) and conv.padding in ((0, 0), "valid", "same")


def _computes_plainly(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> bool:
    return conv.padding_mode == "zeros" and (bias is None or bias.shape == weight.shape[:1])


@_kernels.untraced
def _takes(input: Any, conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> bool:
    right = _computes_1x1(conv, weight) if conv.groups == 1 else _computes_depthwise(conv, weight)
    return right and _computes_plainly(conv, weight, bias) and _fits(input, conv, weight)


@_kernels.untraced
def _takes_run(input: Any, run: _Run) -> bool:
    """Whether the members of a run are what it takes them for, with weights of one dtype, and the first fits."""
    first, second, norm = run.depthwise, run.pointwise, run.middle_norm
    weight = first.weight
    filters, dtype = weight.shape[0], weight.dtype
    right = _computes_depthwise(first, weight) and _computes_plainly(first, weight, first.bias) and _fits(input, first, weight)
    right = right and (norm is None or _computes_like(norm, filters, dtype))
    if right and second is not None:
        weight, norm = second.weight, run.norm
        right = _computes_1x1(second, weight) and _computes_plainly(second, weight, second.bias)
        right = right and weight.shape[1] == filters and weight.dtype == dtype
        right = right and (norm is None or _computes_like(norm, weight.shape[0], dtype))
    return right


def _computes_like(norm: nn.BatchNorm2d, channels: int, dtype: torch.dtype) -> bool:
    mean = norm.running_mean
    return mean is not None and mean.dtype == dtype and mean.shape == (channels,)

"""Convolutions of tensors: the operator ``torch.ops.sepconv.convolve``, which compilers take as a whole, and its gradient.

Weights are packed at every call, since a tensor can change by routes that nothing counts (``p.data``, views of NumPy). Modules keep packs
beside a copy of the weights (`_kept`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .._arguments import refuse
from .._plans import Activation
from ._kernels import DTYPES, compute, differentiate, keeps_of, make_problem, problem, untraced, write_form

_LINEAR: Activation = ("linear", ())

_WEIGHTS = "Tensor? depthwise, Tensor? depthwise_bias, Tensor? pointwise, Tensor? bias"
_library = torch.library.Library("sepconv", "DEF")
_library.define(f"convolve(Tensor x, {_WEIGHTS}, str form, bool keep) -> (Tensor, Tensor)")
_library.define(
    f"convolve_backward(Tensor dy, Tensor x, {_WEIGHTS}, Tensor? kept, str form, bool[] wanted)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def convolve(
    x: Tensor,
    depthwise: Tensor | None,
    depthwise_bias: Tensor | None,
    pointwise: Tensor | None,
    bias: Tensor | None,
    *,
    strides: Sequence[int],
    padding: Any,
    dilation: Sequence[int],
    data_format: str,
    activation: Activation = _LINEAR,
    depthwise_activation: Activation = _LINEAR,
) -> Tensor:
    """A depthwise convolution, then a 1x1, in one pass; without `pointwise` or `depthwise`, the other half alone.

    It is differentiable, once and backwards, in `x` and the weights. A gradient that nothing needs isn't computed.

    Parameters
    ----------
    x : Tensor
        In the order of `data_format`, with any strides; float16, bfloat16, float32 or float64. Under autocast it is converted.
    depthwise, pointwise : Tensor or None
        ``(*kernel, channels, multiplier)`` and ``(*ones, channels * multiplier, filters)``, of any strides and any of the dtypes.
    depthwise_bias, bias : Tensor or None
        After each half; a depthwise convolution alone has `bias`.
    strides, dilation : sequence of int
        Per spatial axis.
    padding : str or sequence of pairs
        As `sepconv.ops` takes it.
    activation, depthwise_activation : (name, parameters)
        As `sepconv.activations.core_form` gives them.

    Returns
    -------
    Tensor
        In the order of `data_format`, and contiguous in the order that the memory of `x` has.

    Raises
    ------
    TypeError
        If a tensor isn't a dense one on the CPU, or has another dtype.
    ValueError
        If `x` is too small for the kernel.
    RuntimeError
        If a tensor has a tangent (forward-mode differentiation).
    """
    written = form(strides, padding, dilation, data_format, activation, depthwise_activation)
    return call(x, (depthwise, depthwise_bias, pointwise, bias), written)


@torch.compiler.assume_constant_result
def form(
    strides: Sequence[int],
    padding: Any,
    dilation: Sequence[int],
    data_format: str,
    activation: Activation = _LINEAR,
    depthwise_activation: Activation = _LINEAR,
    channels: int = 0,
) -> str:
    """What `convolve` has beside tensors, as the one string that stands in a graph; `call` takes it.

    With `channels`, those of the input, the two kernels have PyTorch's shapes: ``(channels * multiplier, 1, rows, columns)`` and
    ``(filters, channels * multiplier, 1, 1)``.
    """
    pads = padding if isinstance(padding, str) else tuple(map(tuple, padding))
    return write_form(tuple(strides), pads, tuple(dilation), data_format, activation, depthwise_activation, channels)


def call(x: Tensor, weights: Sequence[Tensor | None], form: str) -> Tensor:
    """`convolve`, for those who keep its `form`. The weights are its four, in its order."""
    tensors = (x, *weights)
    plain, keep = _look_at(tensors)
    if not plain:
        for tensor, name in zip(tensors, _NAMES, strict=True):
            if tensor is not None:
                check(tensor, name)
                if tensor.device.type != x.device.type:
                    refuse(name, f"on the device of the input, {x.device.type}", str(tensor.device), TypeError)
    x = cast(x)
    if not plain:
        output = _dispatch(x, weights, form, keep)
    elif keep:  # past the dispatcher, which costs as much as a small convolution
        output = _Convolution.apply(x, *weights, form)
    else:
        output = compute(x, weights, form, False)[0]
    return output


def _dispatch(x: Tensor, weights: Sequence[Tensor | None], form: str, keep: bool) -> Tensor:
    try:
        output: Tensor = torch.ops.sepconv.convolve.default(x, *weights, form, keep)[0]
    except RuntimeError as error:
        if "functorch transforms" not in str(error):
            raise
        raise RuntimeError(
            "A convolution of sepconv can't be differentiated by torch.func.grad, vjp, jacrev and their sisters: call backward() or "
            "torch.autograd.grad(), or use the layers of torch.nn where they are needed."
        ) from error
    return output


def cast(x: Tensor) -> Tensor:
    """`x` as autocast has it."""
    if x.dtype != torch.float64 and torch.is_autocast_enabled("cpu"):
        return x.to(torch.get_autocast_dtype("cpu"))
    return x


def computes_only(tensors: Sequence[Tensor | None]) -> bool:
    """Whether a call with these is a computation and no more: no gradients, and nobody who looks on."""
    if torch.compiler.is_compiling() or (torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)):
        return False  # the usual answers, before `call` looks
    return _look_at(tensors) == (True, False)


def _look_at(tensors: Sequence[Tensor | None]) -> tuple[bool, bool]:
    """Whether the core can be called with these, past the dispatcher, and whether gradients may be asked for. Tangents are refused."""
    plain, keep = not _is_traced(), False
    for tensor in tensors:
        if tensor is not None:
            keep = keep or tensor.requires_grad
            if not (type(tensor) in _PLAIN and tensor.is_cpu and tensor.layout is torch.strided and tensor.dtype in DTYPES):
                plain = False
    # What is traced runs later with gradients or without, so that the mode of now says nothing; a trace is checked in another.
    keep = keep and (torch.is_grad_enabled() or torch.jit.is_tracing())
    if not torch.compiler.is_compiling() and forward_ad._current_level >= 0 and any(map(_has_tangent, tensors)):
        _refuse_tangents()  # else they were lost in silence
    return plain, keep


_NAMES = ("input", "depthwise", "depthwise_bias", "pointwise", "bias")
_PLAIN = (Tensor, torch.nn.Parameter)


def _is_traced() -> bool:
    """Whether something looks at operators that it must not miss: a compiler, a tracer, a mode, a transform of torch.func."""
    return bool(
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._are_functorch_transforms_active()
    )


def _has_tangent(tensor: Tensor | None) -> bool:
    """Whether forward-mode differentiation has reached `tensor`; what torch.func wraps hides it."""
    if tensor is None:
        return False
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor) or forward_ad.unpack_dual(tensor).tangent is not None


def _refuse_tangents() -> None:
    raise RuntimeError(
        "A convolution of sepconv has no forward-mode derivative (torch.func.jvp, torch.func.jacfwd, torch.autograd.forward_ad): "
        "call backward() or grad(), or use the layers of torch.nn where it is needed."
    )


def check(tensor: Tensor, name: str = "input") -> None:
    """Refuse what the core can't read."""
    if tensor.device.type not in ("cpu", "meta"):
        refuse(name, "a tensor on the CPU, since sepconv has no kernels for others", str(tensor.device), TypeError)
    if tensor.layout != torch.strided:
        refuse(name, "a dense tensor (torch.strided)", tensor.layout, TypeError)
    if tensor.dtype not in DTYPES:
        refuse(name, "of a dtype among " + ", ".join(map(str, DTYPES)), tensor.dtype, TypeError)


class _Convolution(torch.autograd.Function):
    """The gradient of plain tensors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *arguments: Any) -> Tensor:
        *weights, ctx.form = arguments
        output, kept = compute(x, weights, ctx.form, True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *weights, kept)
        return output

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None) -> tuple[Tensor | None, ...]:
        if type(dy) not in _PLAIN or torch.is_grad_enabled() or _is_traced():
            return (*_gradients(ctx, dy), None)
        x, *weights, kept = ctx.saved_tensors
        return (*differentiate(dy, x, weights, kept, ctx.form, ctx.needs_input_grad), None)


def _gradients(ctx: Any, dy: Tensor | None) -> Sequence[Tensor | None]:
    if dy is None:
        return (None,) * 5
    wanted = list(ctx.needs_input_grad[:5])
    x, *weights, kept = ctx.saved_tensors
    found = torch.ops.sepconv.convolve_backward.default(dy, x, *weights, kept, ctx.form, wanted)
    return [gradient if asked else None for gradient, asked in zip(found, wanted, strict=True)]


# The operators. None isn't a result: an empty tensor stands for it.


@untraced
def _forward(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    *weights, form, keep = arguments
    if forward_ad._current_level >= 0:  # of a graph: tangents are hidden here
        _refuse_tangents()
    output, kept = compute(x, weights, form, keep)
    return output, x.new_empty(0) if kept is None or kept is output else kept


def _backward(dy: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    *weights, kept, form, wanted = arguments
    if keeps_of(form) == 2 and (kept is None or not kept.numel()):  # traced without gradients, and run with them
        kept = compute(x, weights, form, True)[1]
    found = differentiate(dy, x, weights, kept, form, wanted)
    return tuple(x.new_empty(0) if gradient is None else gradient for gradient in found)


_library.impl("convolve", _forward, "CPU")
_library.impl("convolve_backward", _backward, "CPU")


# What compilers need to know: shapes and strides.


def _fake_forward(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    *weights, form, keep = arguments
    p = problem(form, x, weights, make_problem)
    shape: Any = p.spec.output_shape(x.permute(p.inside).shape)
    output, kept = (x.new_empty(shape).permute(p.outside) for _ in range(2))
    return output, kept if keep and keeps_of(form) == 2 else x.new_empty(0)


def _fake_backward(dy: Tensor, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    *weights, _, form, wanted = arguments
    p = problem(form, x, weights, make_problem)
    of_input = x.new_empty(x.permute(p.inside).shape).permute(p.outside) if wanted[0] else x.new_empty(0)
    return (of_input, *(w.new_empty(w.shape) if asked else x.new_empty(0) for w, asked in zip(weights, wanted[1:], strict=True)))


torch.library.register_fake("sepconv::convolve", _fake_forward, lib=_library)
torch.library.register_fake("sepconv::convolve_backward", _fake_backward, lib=_library)


@untraced
def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, *weights, form, _ = inputs
    ctx.mark_non_differentiable(output[1])
    keeps = keeps_of(form)
    ctx.form = form
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, *weights, output[keeps - 1] if keeps else None)


def _differentiate(ctx: Any, dy: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    return (*_gradients(ctx, dy), None, None)


def _refuse_twice(ctx: Any, *gradients: Tensor | None) -> None:
    raise RuntimeError(
        "A convolution of sepconv can be differentiated once only: call backward() or grad() without create_graph=True, "
        "or use the layers of torch.nn where second derivatives are needed."
    )


torch.library.register_autograd("sepconv::convolve", _differentiate, setup_context=_setup, lib=_library)
torch.library.register_autograd("sepconv::convolve_backward", _refuse_twice, lib=_library)

"""One convolution of tensors: the views of their memory that the core gets, and the tensors that come back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, wraps
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, from_dlpack
from torch.utils.dlpack import to_dlpack

from .. import _core, _dtypes, _runtime
from .._arguments import refuse, refuse_shape
from .._plans import Convolution, Spec, Weights

_F = TypeVar("_F", bound=Callable[..., Any])

DTYPES = {torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16"}


@lru_cache(maxsize=1024)
def write_form(*parts: Any) -> str:
    """Strides, padding, dilation, data format, the two activations, and the channels of weights in PyTorch's order, else 0."""
    return json.dumps(parts)


@lru_cache(maxsize=1024)
def _read(form: str) -> tuple[Any, ...]:
    return _tuples(json.loads(form))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@lru_cache(maxsize=1024)
def keeps_of(form: str) -> int:
    """What the gradient needs: nothing (0), the output (1), or the convolution before its activation (2)."""
    return _core.activation_keeps(*_read(form)[4])


def untraced(function: _F) -> _F:
    """`function`, whose sizes are plain integers under torch.jit.trace too, which otherwise records them."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if not torch.jit.is_tracing():
            return function(*arguments, **named)
        state = torch._C._get_tracing_state()
        torch._C._set_tracing_state(None)
        try:
            return function(*arguments, **named)
        finally:
            torch._C._set_tracing_state(state)

    return cast(_F, call)


class Problem(NamedTuple):
    """What calls share whose tensors have the same shapes, but for the batch and the image."""

    spec: Spec
    inside: tuple[int, ...]  # axes of a tensor in the order of `spec`
    outside: tuple[int, ...]  # the way back
    convolution: Convolution
    pytorch: bool  # the order of the weights: PyTorch's or Keras's

    @property
    def sums(self) -> np.dtype[Any]:
        """The dtype of sums, and of gradients of weights."""
        return np.dtype(np.float64 if self.spec.dtype.itemsize == 8 else np.float32)


def problem(form: str, x: Tensor, weights: Sequence[Any], find: Callable[..., Problem] | None = None) -> Problem:
    """The problem of these tensors. `find` is `make_problem` for compilers, whose sizes may be symbols."""
    depthwise, _, pointwise, _ = weights
    shapes = (None if depthwise is None else depthwise.shape, None if pointwise is None else pointwise.shape)
    return (find or _problem)(form, *kind_of(form, x), *shapes)


def kind_of(form: str, x: Tensor) -> tuple[torch.dtype, str, int]:
    """What the problem depends on of the input: its dtype, the order of its memory, its channels."""
    data_format = _read(form)[3]
    return x.dtype, _memory_order(x, data_format), x.shape[-1 if data_format == "channels_last" else 1]


def make_problem(form: str, dtype: Any, order: str, channels: int, depthwise: Any, pointwise: Any) -> Problem:
    strides, padding, dilation, data_format, activation, depthwise_activation, taken = _read(form)
    if taken:
        _check_shapes(channels, taken, depthwise, pointwise)
    rank, kernel, multiplier, filters = len(strides), (1,) * len(strides), 1, 0
    if depthwise is not None:
        kernel = tuple(depthwise[:-2] if not taken else depthwise[2:])
        multiplier = depthwise[-1] if not taken else depthwise[0] // channels
    if pointwise is not None:
        filters = pointwise[-1] if not taken else pointwise[0]
    spec = Spec(
        op="pointwise" if depthwise is None else "depthwise" if pointwise is None else "separable",
        dtype=_numpy_dtype(dtype),
        data_format=order,
        kernel=kernel,
        strides=strides,
        dilation=dilation,
        padding=padding,
        multiplier=multiplier,
        filters=filters,
        activation=activation,
        depthwise_activation=depthwise_activation,
    )
    axes = tuple(range(rank + 2))
    if order != data_format:
        axes = (0, *range(2, rank + 2), 1) if order == "channels_last" else (0, rank + 1, *range(1, rank + 1))
    outside = tuple(map(axes.index, range(rank + 2)))
    return Problem(spec, axes, outside, Convolution(spec, lasting=False), taken > 0)


def _check_shapes(channels: int, taken: int, depthwise: Any, pointwise: Any) -> None:
    """Refuse weights in PyTorch's order that aren't those of a module with so many input channels `taken`; their sizes can change."""
    if channels != taken:
        refuse("input", f"of {taken} channels", channels)
    if depthwise is not None and not (len(depthwise) == 4 and depthwise[1] == 1 and depthwise[0] % taken == 0 and depthwise[0] > 0):
        refuse_shape("depthwise.weight", f"of shape (a multiple of {taken}, 1, rows, columns)", tuple(depthwise))
    depth = taken if depthwise is None else depthwise[0]
    if pointwise is not None and tuple(pointwise[1:]) != (depth, 1, 1):
        refuse_shape("pointwise.weight", f"of shape (out_channels, {depth}, 1, 1)", tuple(pointwise))


_problem = lru_cache(maxsize=256)(make_problem)


@cache
def _numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    return _dtypes.as_numpy_dtype(DTYPES[dtype])


def _memory_order(x: Tensor, data_format: str) -> str:
    """The order in which the memory of `x` runs, by the strides; `data_format` where they don't tell."""
    last = data_format == "channels_last"
    shape, strides = x.shape, x.stride()
    channels, width = (-1, -2) if last else (1, -1)
    *rows, _ = range(1, x.dim() - 1) if last else range(2, x.dim())
    steps = [strides[axis] for axis in (*rows, width)]
    if last:  # each row of a channel in one piece?
        apart = strides[width] == 1 and strides[channels] >= shape[width] and all(s >= shape[width] for s in steps[:-1])
        return "channels_first" if apart and not x.is_contiguous() else "channels_last"
    dense = strides[channels] == 1 and all(s >= shape[channels] for s in steps) and steps == sorted(steps, reverse=True)
    return "channels_last" if dense and math.prod(shape[1:]) > 1 else "channels_first"


# Weights, as `_core.Plan.pack` takes them: of one dtype, for two axes, kernels with the strides that they have.


class State(NamedTuple):
    arrays: Weights


def state_of(weights: Sequence[Tensor | None], p: Problem) -> State:
    """Views of the weights; copies where they differ in dtype, and of biases with gaps."""
    depthwise, depthwise_bias, pointwise, bias = [None if w is None else _array(w) for w in weights]
    if depthwise is not None:
        if p.pytorch:
            depthwise = depthwise.reshape(-1, p.spec.multiplier, *p.spec.kernel).transpose(2, 3, 0, 1)
        elif depthwise.ndim == 3:
            depthwise = depthwise[None]
    if pointwise is not None:
        pointwise = pointwise[:, :, 0, 0].T if p.pytorch else pointwise[(0,) * (pointwise.ndim - 2)]
    arrays = (depthwise, _vector(depthwise_bias), pointwise, _vector(bias))
    dtypes = {array.dtype for array in arrays if array is not None}
    if len(dtypes) > 1:
        dtype = np.float64 if np.dtype(np.float64) in dtypes else np.float32
        arrays = tuple(None if array is None else array.astype(dtype) for array in arrays)  # type: ignore[assignment]
    return State(arrays)


def _vector(array: np.ndarray | None) -> np.ndarray | None:
    return array if array is None or array.flags.c_contiguous else array.copy()


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.is_neg():  # a view whose numbers PyTorch negates as it reads
        tensor = tensor.resolve_neg()
    if tensor.dtype == torch.bfloat16:
        array: np.ndarray = tensor.view(torch.int16).numpy().view(_numpy_dtype(tensor.dtype))
    else:
        array = tensor.numpy()
    return array if array.flags.aligned else array.copy()


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.itemsize == 2 and array.dtype != np.float16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


# Calls like one of the last go past all that is above: the core has tensors as DLPack capsules, and knows the forms of the last ones.


class Memory(NamedTuple):
    """Functions of the core's: to do a call like one of the last again, if it is one, and to keep one."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    keep: Callable[..., None]


class Calls:
    """The last calls of one or more convolutions."""

    def __init__(self) -> None:
        self._found: dict[Any, Any] = {}

    def like(self, form: str, precision: str, x: Tensor) -> Memory:
        """Those by `form` with inputs of this shape and the threads of now."""
        key = form, precision, torch.get_num_threads(), x.shape
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= 1024:
                self._found.clear()
            found = self._found[key] = Memory(*_core.tensor_calls())
        return found


def export(*tensors: Tensor | None) -> list[Any]:
    """Their capsules."""
    return [None if t is None else to_dlpack(t.resolve_neg()) for t in tensors]


def keep(
    memory: Memory,
    x: Tensor,
    weights: Sequence[Tensor | None],
    output: Tensor,
    p: Problem,
    plan: Any,
    arrays: Weights,
    pack: Any = None,
) -> None:
    """Let calls like this one find its plan, and the `pack` of weights that aren't tensors."""
    for tensor, array in zip(weights, arrays, strict=True):
        if array is not None and (tensor is None or array.dtype != p.sums or array.ctypes.data != tensor.data_ptr()):
            return  # the core reads a copy
    if plan is not None:
        kernels = (
            [0] * axes if a is None else [s // a.itemsize for s in a.strides] for a, axes in ((arrays[0], 4), (arrays[2], 2))
        )
        strides = p.spec.contiguous_strides(x.permute(p.inside).shape)
        memory.keep(*export(x, *weights, output), *kernels, plan, pack, p.inside, strides, p.pytorch)


# The two passes.

_calls = Calls()


def compute(x: Tensor, weights: Sequence[Tensor | None], form: str, keeping: bool) -> tuple[Tensor, Tensor | None]:
    """The output and, with `keeping`, what its gradient needs: the output, the convolution before its activation, or nothing."""
    keeps = keeping and keeps_of(form)
    memory = _calls.like(form, _runtime.products(), x)
    found = None if keeps == 2 else memory.forward(*export(x, *weights))
    if found is not None:
        output = from_dlpack(found)
        return output, output if keeps == 1 else None
    p = problem(form, x, weights)
    convolution, state = p.convolution.at(_runtime.products()), state_of(weights, p)
    if keeps == 2:
        array, threads = _array(x).transpose(p.inside), torch.get_num_threads()
        result, kept = convolution.keeping(convolution.prepare(array, None, threads), array, threads, state)
        assert kept is not None
        return _tensor(result.transpose(p.outside)), _tensor(kept.transpose(p.outside))
    output, plan = run(x, p, convolution, state)
    keep(memory, x, weights, output, p, plan, state.arrays)
    return output, output if keeps == 1 else None


def run(x: Tensor, p: Problem, convolution: Convolution, state: Any) -> tuple[Tensor, Any]:
    """The output by `convolution`, whose problem is `p`, and the plan; None if there is nothing to do."""
    array, threads = _array(x).transpose(p.inside), torch.get_num_threads()
    output = convolution.run(array, array, None, threads, state)
    return _tensor(output.transpose(p.outside)), convolution.prepare(array, None, threads).plan


def differentiate(
    dy: Tensor, x: Tensor, weights: Sequence[Tensor | None], kept: Tensor | None, form: str, wanted: Sequence[bool]
) -> Sequence[Tensor | None]:
    """The gradients of `x` and the weights, in their shapes and dtypes; None where it isn't `wanted`."""
    memory = _calls.like(form, "default", x)
    mask, tensors = sum(asked << i for i, asked in enumerate(wanted[:5])), export(kept, x, *weights)
    found = memory.backward(mask, *export(dy), *tensors)
    if found is None:
        p = problem(form, x, weights)
        up = dy.permute(p.inside).contiguous()  # PyTorch copies in parallel
        found = memory.backward(mask, *export(up.permute(p.outside)), *tensors)
    if found is not None:
        return [None if gradient is None else from_dlpack(gradient) for gradient in found]
    state, array = state_of(weights, p), _array(x).transpose(p.inside)
    prepared = p.convolution.prepare(array, None, torch.get_num_threads())
    of_input, gradients = p.convolution.gradients(
        prepared,
        array,
        None if kept is None else np.ascontiguousarray(_array(kept).transpose(p.inside)),
        _array(up),
        wanted[0],
        [place for place in range(4) if wanted[place + 1]],
        state,
        transposed := p.pytorch and p.spec.multiplier == 1,
    )
    if p.pytorch:
        gradients[0] = None if gradients[0] is None else np.ascontiguousarray(gradients[0].transpose(2, 3, 0, 1))
        gradients[2] = gradients[2] if gradients[2] is None or transposed else _core.transpose(gradients[2])
    keep(memory, x, weights, up.permute(p.outside), p, prepared.plan, state.arrays)
    result = [None if of_input is None else _tensor(of_input.transpose(p.outside))]
    for gradient, weight in zip(gradients, weights, strict=True):
        shaped = None if gradient is None or weight is None else torch.from_numpy(gradient.reshape(weight.shape)).to(weight.dtype)
        result.append(shaped)
    return result

"""Keras's JAX backend: tensors go to the core through a host callback, which compiled functions may hold.

Not `jax.pure_callback`: that hands over JAX's arrays, whose copies may wait for the very thread that the callback holds, for ever on a
machine of one processor. The callback that it is made of hands over NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir

from . import _host

FUSES = False
SUPPORTS_JIT = True

# The function takes NumPy's arrays and returns a list of them, of shapes and dtypes that `results` tells.
_primitive = Primitive("sepconv")
_primitive.multiple_results = True


@_primitive.def_abstract_eval
def _shapes(*inputs: Any, function: Any, results: Any) -> Any:
    return [jax.core.ShapedArray(shape, dtype) for shape, dtype in results]


@_primitive.def_impl
def _run(*inputs: Any, **parameters: Any) -> Any:
    return _compiled(tuple(parameters.items()))(*inputs)


@lru_cache(maxsize=256)
def _compiled(parameters: Any) -> Callable[..., Any]:
    compiled: Callable[..., Any] = jax.jit(partial(_primitive.bind, **dict(parameters)))
    return compiled


def _lower(context: Any, *operands: Any, function: Any, results: Any) -> Any:
    shapes = context.avals_in, context.avals_out
    return mlir.emit_python_callback(context, function, None, list(operands), *shapes, has_side_effect=False)[0]


mlir.register_lowering(_primitive, _lower)


def _call(function: Any, results: Any, *inputs: Any) -> Any:
    """``function(*inputs)``, on the host."""
    described = tuple((tuple(result.shape), np.dtype(result.dtype)) for result in results)
    bound = jax.custom_batching.sequential_vmap(partial(_primitive.bind, function=function, results=described))
    return bound(*inputs)


class _Output(NamedTuple):
    """The forward pass as the callback wants it; equal where the problem is, so that compilers find it again."""

    problem: _host.Problem

    def __call__(self, *arrays: Any) -> list[Any]:
        return [self.problem.forward(*arrays)]


class _Gradients(NamedTuple):
    """The same of the gradients that are wanted."""

    problem: _host.Problem
    wanted: tuple[bool, ...]

    def __call__(self, *arrays: Any) -> list[Any]:
        return self.problem.backward(self.wanted, *arrays)


def convolve(x: Any, *weights: Any, **options: Any) -> Any:
    """The convolution of `x`, differentiable in it and in the weights."""
    problem, given = _host.problem(x.dtype, weights, options)
    return _convolve(problem, x, *given)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(problem: _host.Problem, x: Any, *weights: Any) -> Any:
    result = jax.ShapeDtypeStruct(problem.output_shape(x.shape), x.dtype)
    return _call(_Output(problem), [result], x, *weights)[0]


def _forward(problem: _host.Problem, *arguments: Any) -> tuple[Any, Any]:
    values = [argument.value for argument in arguments]
    # Residuals are arrays; what is wanted is said by their structure, in which () and None differ.
    wanted = [() if argument.perturbed else None for argument in arguments]
    return _convolve(problem, *values), (values, wanted)


def _backward(problem: _host.Problem, residuals: Any, dy: Any) -> tuple[Any, ...]:
    values, structure = residuals
    wanted = tuple(entry is not None for entry in structure)
    if not any(wanted) or isinstance(dy, jax.custom_derivatives.SymbolicZero):
        return (None,) * len(values)
    asked = [value for value, flag in zip(values, wanted, strict=True) if flag]
    found = iter(_call(_Gradients(problem, wanted), asked, *values, dy))
    return tuple(next(found) if flag else jnp.zeros_like(value) for value, flag in zip(values, wanted, strict=True))


_convolve.defvjp(_forward, _backward, symbolic_zeros=True)

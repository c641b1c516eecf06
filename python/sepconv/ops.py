"""Convolutions as functions of arrays, with the parameters of `keras.ops` in their order.

Rank 1 and 2 are told apart by the kernel. Inputs are taken as the layers take them: any NumPy-viewable array of real numbers, strided
or reversed, without a copy. The computation has the dtype of `inputs` if that is float16, bfloat16, float32 or float64, otherwise
float32 (integers, without scaling); kernels and biases are converted to it, and so is the result. A float64 list or array is computed
in float64.

An array may change between two calls, so its weights are packed at every call. A `Variable`, as a layer's weights are, is packed once
for each assignment. To use the same weights again and again, make variables of them: ``kernel = sepconv.Variable(kernel, name="kernel")``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _arguments, _intake, activations
from ._arguments import refuse, refuse_shape
from ._calls import Kind, Problem, convolve, differentiate
from ._vjp import Gradients

__all__ = [
    "depthwise_conv",
    "depthwise_conv_vjp",
    "pointwise_conv",
    "pointwise_conv_vjp",
    "separable_conv",
    "separable_conv_vjp",
]


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    *,
    bias: Any = None,
    activation: Any = None,
    depthwise_bias: Any = None,
    depthwise_activation: Any = None,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
    precision: str | None = None,
) -> np.ndarray:
    """A depthwise convolution, then a pointwise one, in one pass over the input.

    `y = activation(pointwise(depthwise_activation(depthwise(x) + depthwise_bias)) + bias)`. With the two arguments of the middle this
    is a MobileNet block whose batch normalisations are folded in (`sepconv.fold_batch_norm`). Kernels aren't flipped.

    Parameters
    ----------
    inputs : array_like
        `(batch, rows, columns, channels)`, or one spatial axis less; with "channels_first" the channels follow the batch.
    depthwise_kernel : array_like
        `(rows, columns, channels, multiplier)`, or `(length, channels, multiplier)`.
    pointwise_kernel : array_like
        `(1, 1, channels * multiplier, filters)`, or `(1, channels * multiplier, filters)`.
    strides, dilation_rate : int or sequence of int
        Per spatial axis; larger than 1 together too.
    padding : str or sequence of pairs
        "valid", "same" (TensorFlow's rule: an odd row goes to the bottom and right), for one axis "causal", or numbers of zeros:
        `((top, bottom), (left, right))`, for one axis `((before, after),)`.
    data_format : {"channels_last", "channels_first"}, optional
        None is "channels_last".
    bias, depthwise_bias : array_like, optional
        `(filters,)` and `(channels * multiplier,)`.
    activation : str, dict or callable, optional
        See `sepconv.activations`; a callable gets the whole output.
    depthwise_activation : str, dict or callable, optional
        An elementwise activation of `sepconv.activations`.
    out : ndarray, optional
        Where to write: the exact shape and dtype, writeable, contiguous along its channels or its rows, not overlapping `inputs`.
    num_threads : int, optional
        The most threads to use; the result doesn't depend on it.
    precision : {"default", "bfloat16"}, optional
        What the pointwise half multiplies, as `sepconv.options` says; None leaves it to the context.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array.

    Raises
    ------
    TypeError
        If an array isn't made of real numbers.
    ValueError
        If an argument isn't one of the above, shapes don't fit together, or float64 meets "bfloat16"; the message names it.

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> x = np.ones((1, 8, 8, 3), np.float32)
    >>> sepconv.ops.separable_conv(x, np.ones((3, 3, 3, 1)), np.ones((1, 1, 3, 16)), padding="same").shape
    (1, 8, 8, 16)
    """
    weights = (depthwise_kernel, pointwise_kernel, bias, depthwise_bias)
    options = (strides, padding, data_format, dilation_rate, depthwise_activation)
    return convolve(_SEPARABLE, weights, options, inputs, activation, out, num_threads, precision)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    *,
    bias: Any = None,
    activation: Any = None,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
    precision: str | None = None,
) -> np.ndarray:
    """A convolution of every channel with its own filters; output `c * multiplier + m` is the m-th of channel `c`.

    `y = activation(depthwise(x) + bias)`. Kernels aren't flipped.

    Parameters
    ----------
    kernel : array_like
        `(rows, columns, channels, multiplier)`, or `(length, channels, multiplier)`.
    bias : array_like, optional
        `(channels * multiplier,)`.
    inputs, strides, padding, data_format, dilation_rate, activation, out, num_threads, precision
        As in `separable_conv`; `precision`, which is about the pointwise half, changes nothing here.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array.

    Raises
    ------
    TypeError, ValueError
        As `separable_conv`.

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> sepconv.ops.depthwise_conv(np.ones((1, 5, 1)), np.ones((3, 1, 1)), padding="causal")[0, :, 0]
    array([1., 2., 3., 3., 3.])
    """
    options = (strides, padding, data_format, dilation_rate)
    return convolve(_DEPTHWISE, (kernel, bias), options, inputs, activation, out, num_threads, precision)


def pointwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    data_format: str | None = None,
    *,
    bias: Any = None,
    activation: Any = None,
    out: np.ndarray | None = None,
    num_threads: int | None = None,
    precision: str | None = None,
) -> np.ndarray:
    """A mixture of the channels of every pixel, by one matrix; a convolution whose kernel has one tap. Not in `keras.ops`.

    `y = activation(x @ kernel + bias)`.

    Parameters
    ----------
    kernel : array_like
        `(1, 1, channels, filters)`, or `(1, channels, filters)`.
    bias : array_like, optional
        `(filters,)`.
    inputs, strides, data_format, activation, out, num_threads, precision
        As in `separable_conv`.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array.

    Raises
    ------
    TypeError, ValueError
        As `separable_conv`.

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> sepconv.ops.pointwise_conv(np.ones((2, 8, 8, 3)), np.ones((1, 1, 3, 16)), activation="relu").shape
    (2, 8, 8, 16)
    """
    return convolve(_POINTWISE, (kernel, bias), (strides, data_format), inputs, activation, out, num_threads, precision)


def separable_conv_vjp(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    *,
    bias: Any = None,
    activation: Any = None,
    depthwise_bias: Any = None,
    depthwise_activation: Any = None,
    input: bool = True,
    num_threads: int | None = None,
    precision: str | None = None,
) -> tuple[np.ndarray, Callable[[Any], Gradients]]:
    """`separable_conv`, and the function that turns a gradient of its result into those of its arguments.

    ``pullback(dy)`` returns ``Gradients(input, weights)``, with `weights` those of `depthwise_kernel`, `pointwise_kernel`, `bias` and
    `depthwise_bias`, in this order, without those that are None. It holds the arrays as they are, which must not be written to before
    its last call; see `sepconv.layers.Layer.vjp`. `precision` is that of the result alone: gradients are those of the default.

    Parameters
    ----------
    input : bool
        Whether the gradient of `inputs` is wanted; else it is None.

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> y, pullback = sepconv.ops.separable_conv_vjp(np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 1)), np.ones((1, 1, 2, 4)))
    >>> [g.shape for g in pullback(np.ones_like(y)).weights]
    [(3, 3, 2, 1), (1, 1, 2, 4)]
    """
    weights = (depthwise_kernel, pointwise_kernel, bias, depthwise_bias)
    options = (strides, padding, data_format, dilation_rate, depthwise_activation)
    return differentiate(_SEPARABLE, weights, options, inputs, activation, input, num_threads, precision)


def depthwise_conv_vjp(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
    *,
    bias: Any = None,
    activation: Any = None,
    input: bool = True,
    num_threads: int | None = None,
    precision: str | None = None,
) -> tuple[np.ndarray, Callable[[Any], Gradients]]:
    """`depthwise_conv`, and its gradients as `separable_conv_vjp` gives them: `weights` are those of `kernel` and `bias`."""
    options = (strides, padding, data_format, dilation_rate)
    return differentiate(_DEPTHWISE, (kernel, bias), options, inputs, activation, input, num_threads, precision)


def pointwise_conv_vjp(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    data_format: str | None = None,
    *,
    bias: Any = None,
    activation: Any = None,
    input: bool = True,
    num_threads: int | None = None,
    precision: str | None = None,
) -> tuple[np.ndarray, Callable[[Any], Gradients]]:
    """`pointwise_conv`, and its gradients as `separable_conv_vjp` gives them: `weights` are those of `kernel` and `bias`."""
    options = (strides, data_format)
    return differentiate(_POINTWISE, (kernel, bias), options, inputs, activation, input, num_threads, precision)


def _separable(weights: tuple[Any, ...], strides: Any, padding: Any, data_format: Any, dilation_rate: Any, middle: Any) -> Problem:
    depthwise = _kernel(weights[0], "depthwise_kernel")
    pointwise = _pointwise_kernel(weights[1], "pointwise_kernel", depthwise.ndim)
    rank, outputs = depthwise.ndim - 2, depthwise.shape[-2] * depthwise.shape[-1]
    if pointwise.shape[-2] != outputs:
        fitting = f"of shape ({'1, ' * rank}{outputs}, filters), to fit a depthwise kernel of shape {depthwise.shape}"
        refuse_shape("pointwise_kernel", fitting, pointwise.shape)
    with _arguments.within("depthwise_activation"):
        core = activations.core_form(activations.get(middle))
    if core is None:
        refuse("depthwise_activation", "elementwise and one of sepconv.activations", middle)
    biases = _bias(weights[3], "depthwise_bias", outputs), _bias(weights[2], "bias", pointwise.shape[-1])
    options = _geometry(rank, strides, padding, data_format, dilation_rate)
    options |= {"multiplier": depthwise.shape[-1], "filters": pointwise.shape[-1], "depthwise_activation": core}
    return Problem("separable", depthwise.shape[:-1], (depthwise, biases[0], pointwise, biases[1]), options)


def _depthwise(weights: tuple[Any, ...], strides: Any, padding: Any, data_format: Any, dilation_rate: Any) -> Problem:
    depthwise = _kernel(weights[0], "kernel")
    bias = _bias(weights[1], "bias", depthwise.shape[-2] * depthwise.shape[-1])
    options = _geometry(depthwise.ndim - 2, strides, padding, data_format, dilation_rate)
    return Problem("depthwise", depthwise.shape[:-1], (depthwise, None, None, bias), options | {"multiplier": depthwise.shape[-1]})


def _pointwise(weights: tuple[Any, ...], strides: Any, data_format: Any) -> Problem:
    pointwise = _pointwise_kernel(weights[0], "kernel", None)
    bias = _bias(weights[1], "bias", pointwise.shape[-1])
    options = _geometry(pointwise.ndim - 2, strides, "valid", data_format, 1)
    return Problem("pointwise", pointwise.shape[:-1], (None, None, pointwise, bias), options | {"filters": pointwise.shape[-1]})


def _kernel(value: Any, name: str) -> np.ndarray:
    array = _intake.as_array(value, name)
    if array.ndim not in (3, 4) or 0 in array.shape:
        refuse_shape(
            name, "an array of shape (length, channels, n) or (rows, columns, channels, n), without empty axes", array.shape
        )
    return array


def _pointwise_kernel(value: Any, name: str, ndim: int | None) -> np.ndarray:
    array = _kernel(value, name)
    if ndim not in (None, array.ndim) or set(array.shape[:-2]) != {1}:
        wanted = {
            None: "(1, channels, filters) or (1, 1, channels, filters)",
            3: "(1, channels, filters)",
            4: "(1, 1, channels, filters)",
        }
        refuse_shape(name, f"an array of shape {wanted[ndim]}", array.shape)
    return array


def _bias(value: Any, name: str, size: int) -> np.ndarray | None:
    if value is None:
        return None
    array = _intake.as_array(value, name)
    if array.shape != (size,):
        refuse_shape(name, f"of shape ({size},)", array.shape)
    return array


def _geometry(rank: int, strides: Any, padding: Any, data_format: Any, dilation_rate: Any) -> dict[str, Any]:
    return {
        "strides": _arguments.integers(strides, rank, "strides"),
        "dilation": _arguments.integers(dilation_rate, rank, "dilation_rate"),
        "padding": _padding(padding, rank),
        "data_format": _arguments.data_format(data_format),
    }


def _padding(value: Any, rank: int) -> Any:
    """A word, or a pair of numbers for every axis."""
    words = ("valid", "same", "causal")[: 3 if rank == 1 else 2]
    if isinstance(value, str) and value.lower() in words:
        return value.lower()
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != rank:
        pairs = "((before, after),)" if rank == 1 else "((top, bottom), (left, right))"
        refuse("padding", f"one of {', '.join(map(repr, words))}, or {pairs}", value)
    return tuple(_arguments.integers(pair, 2, "padding", minimum=0) for pair in value)


_SEPARABLE = Kind(_separable, (0, 2, 3, 1))
_DEPTHWISE = Kind(_depthwise, (0, 3))
_POINTWISE = Kind(_pointwise, (2, 3))

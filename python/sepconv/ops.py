"""Convolutions as functions of arrays, with the parameters of `keras.ops` in their order.

Rank 1 and 2 are told apart by the kernel. Inputs are taken as the layers take them: any NumPy-viewable array of real numbers, strided
or reversed, without a copy. The computation has the dtype of `inputs` if that is float16, bfloat16, float32 or float64, otherwise
float32 (integers, without scaling); kernels and biases are converted to it, and so is the result. A float64 list or array is computed
in float64.

Weights are packed at every call, since an array may change between two calls. Where the same weights are used again and again, a layer
packs them once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import _arguments, _dtypes, _intake, _runtime, activations
from ._arguments import refuse
from ._plans import Convolution, Spec

__all__ = ["depthwise_conv", "pointwise_conv", "separable_conv"]


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
        Where to write: the exact shape and dtype, writeable, contiguous along its last axis, not overlapping `inputs`.
    num_threads : int, optional
        The most threads to use; the result doesn't depend on it.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array.

    Raises
    ------
    TypeError
        If an array isn't made of real numbers.
    ValueError
        If an argument isn't one of the above, or shapes don't fit together; the message names it.

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> x = np.ones((1, 8, 8, 3), np.float32)
    >>> sepconv.ops.separable_conv(x, np.ones((3, 3, 3, 1)), np.ones((1, 1, 3, 16)), padding="same").shape
    (1, 8, 8, 16)
    """
    depthwise = _kernel(depthwise_kernel, "depthwise_kernel")
    pointwise = _pointwise(pointwise_kernel, "pointwise_kernel", depthwise.ndim)
    rank, outputs = depthwise.ndim - 2, depthwise.shape[-2] * depthwise.shape[-1]
    if pointwise.shape[-2] != outputs:
        fitting = f"of shape {(*(1,) * rank, outputs, 'filters')}, to fit a depthwise kernel of shape {depthwise.shape}"
        refuse("pointwise_kernel", fitting, pointwise.shape)
    middle = activations.core_form(activations.get(depthwise_activation))
    if middle is None:
        refuse("depthwise_activation", "elementwise and one of sepconv.activations", depthwise_activation)
    weights = (depthwise, _bias(depthwise_bias, "depthwise_bias", outputs), pointwise, _bias(bias, "bias", pointwise.shape[-1]))
    geometry = _geometry(rank, strides, padding, data_format, dilation_rate)
    shape = {"multiplier": depthwise.shape[-1], "filters": pointwise.shape[-1], "depthwise_activation": middle}
    return _run("separable", inputs, depthwise.shape[:-1], weights, {**geometry, **shape}, activation, out, num_threads)


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
) -> np.ndarray:
    """A convolution of every channel with its own filters; output `c * multiplier + m` is the m-th of channel `c`.

    `y = activation(depthwise(x) + bias)`. Kernels aren't flipped.

    Parameters
    ----------
    kernel : array_like
        `(rows, columns, channels, multiplier)`, or `(length, channels, multiplier)`.
    bias : array_like, optional
        `(channels * multiplier,)`.
    inputs, strides, padding, data_format, dilation_rate, activation, out, num_threads
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
    >>> sepconv.ops.depthwise_conv(np.ones((1, 5, 1)), np.ones((3, 1, 1)), padding="causal")[0, :, 0]
    array([1., 2., 3., 3., 3.])
    """
    depthwise = _kernel(kernel, "kernel")
    weights = (depthwise, None, None, _bias(bias, "bias", depthwise.shape[-2] * depthwise.shape[-1]))
    geometry = _geometry(depthwise.ndim - 2, strides, padding, data_format, dilation_rate)
    shape = {"multiplier": depthwise.shape[-1]}
    return _run("depthwise", inputs, depthwise.shape[:-1], weights, {**geometry, **shape}, activation, out, num_threads)


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
) -> np.ndarray:
    """A mixture of the channels of every pixel, by one matrix; a convolution whose kernel has one tap. Not in `keras.ops`.

    `y = activation(x @ kernel + bias)`.

    Parameters
    ----------
    kernel : array_like
        `(1, 1, channels, filters)`, or `(1, channels, filters)`.
    bias : array_like, optional
        `(filters,)`.
    inputs, strides, data_format, activation, out, num_threads
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
    pointwise = _pointwise(kernel, "kernel", None)
    weights = (None, None, pointwise, _bias(bias, "bias", pointwise.shape[-1]))
    geometry = _geometry(pointwise.ndim - 2, strides, "valid", data_format, 1)
    shape = {"filters": pointwise.shape[-1]}
    return _run("pointwise", inputs, pointwise.shape[:-1], weights, {**geometry, **shape}, activation, out, num_threads)


class _State(NamedTuple):
    """The weights of one call, as `Convolution.run` takes them."""

    arrays: tuple[Any, ...]


@lru_cache(maxsize=64)
def _convolution(spec: Spec) -> Convolution:
    """Repeated calls find their plans here."""
    return Convolution(spec)


def _run(
    op: str,
    inputs: Any,
    taps: tuple[int, ...],
    weights: tuple[Any, ...],
    options: dict[str, Any],
    activation: Any,
    out: Any,
    num_threads: Any,
) -> np.ndarray:
    """Convolve. `taps` is the kernel's shape up to the input channels; `options` are the rest of `Spec`."""
    array = _intake.as_array(inputs)
    function = activations.get(activation)
    core = activations.core_form(function)
    *kernel, channels = taps
    if core:
        options = {**options, "activation": core}
    spec = Spec(op=op, dtype=_dtypes.floating(array.dtype), kernel=tuple(kernel), **options)
    if array.ndim != spec.rank + 2:
        refuse("inputs", f"an array of {spec.rank + 2} axes, beside a kernel for {spec.rank} spatial", array.shape)
    if array.shape[spec.channel_axis] != channels:
        refuse("inputs", f"of {channels} channels on axis {spec.channel_axis}, as the kernel is", array.shape)
    convolution = _convolution(spec) if core else Convolution(spec, finish=function)
    array = convolution.intake(array)
    prepared = convolution.prepare(array, out, _runtime.threads(num_threads), inputs)
    try:
        return convolution.run(prepared, array, out, _State(spec.weights(*weights)))
    finally:
        # The plans are worth keeping. The weights aren't: the next call packs its own.
        convolution._packs.clear()


def _kernel(value: Any, name: str) -> np.ndarray:
    array = _intake.as_array(value, name)
    if array.ndim not in (3, 4) or 0 in array.shape:
        refuse(name, "an array of shape (length, channels, n) or (rows, columns, channels, n), without empty axes", array.shape)
    return array


def _pointwise(value: Any, name: str, ndim: int | None) -> np.ndarray:
    array = _kernel(value, name)
    if ndim not in (None, array.ndim) or set(array.shape[:-2]) != {1}:
        wanted = {
            None: "(1, channels, filters) or (1, 1, channels, filters)",
            3: "(1, channels, filters)",
            4: "(1, 1, channels, filters)",
        }
        refuse(name, f"an array of shape {wanted[ndim]}", array.shape)
    return array


def _bias(value: Any, name: str, size: int) -> np.ndarray | None:
    if value is None:
        return None
    array = _intake.as_array(value, name)
    if array.shape != (size,):
        refuse(name, f"of shape ({size},)", array.shape)
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

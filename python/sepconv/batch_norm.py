"""Batch normalisation of a trained network, folded into the convolution before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _intake
from ._arguments import refuse, refuse_shape

__all__ = ["fold_batch_norm"]


def fold_batch_norm(
    kernel: Any, bias: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """The kernel and bias of one convolution that computes a convolution followed by batch normalisation (in inference).

    With `scale = gamma / sqrt(variance + epsilon)` they are `kernel * scale` and `(bias - mean) * scale + beta`: batch normalisation is
    linear in each channel, and so is the convolution.

    Parameters
    ----------
    kernel : array_like
        A pointwise or dense kernel `(..., filters)`, or a depthwise one `(..., channels, multiplier)`, of floats.
    bias : array_like or None
        The convolution's bias, `(outputs,)`; None is 0.
    gamma, beta : array_like or None
        The normalisation's scale and centre, `(outputs,)`; None (`scale=False`, `center=False`) are 1 and 0.
    mean, variance : array_like
        Its moving statistics, `(outputs,)`.
    epsilon : float, default 1e-3
        Keras's default of `BatchNormalization`. Take the layer's own: MobileNetV2 has 1e-3, PyTorch 1e-5.

    Returns
    -------
    kernel, bias : ndarray
        In the dtype of `kernel`, in native byte order; the arithmetic is float64.

    Raises
    ------
    ValueError
        If a shape doesn't fit `outputs = len(mean)`, a variance is negative or `epsilon` isn't a number from 0 on.
    TypeError
        If an argument isn't made of real numbers, or `kernel` not of floats.

    Notes
    -----
    The shape says which kernel it is: the last axis has `outputs` entries in a pointwise or dense kernel, the last two together
    `channels * multiplier` in a depthwise one, whose outputs run `c * multiplier + m`. The last axis is looked at first; both fit only
    with one channel, where both say the same.

    Examples
    --------
    A MobileNet block becomes one call:

    >>> import numpy as np, sepconv
    >>> depthwise, pointwise, statistics = np.ones((3, 3, 4, 1)), np.ones((1, 1, 4, 8)), lambda n: (None, None, np.zeros(n), np.ones(n))
    >>> depthwise, depthwise_bias = sepconv.fold_batch_norm(depthwise, None, *statistics(4))
    >>> pointwise, bias = sepconv.fold_batch_norm(pointwise, None, *statistics(8))
    >>> y = sepconv.ops.separable_conv(np.ones((1, 8, 8, 4)), depthwise, pointwise, padding="same", bias=bias, activation="relu6",
    ...                                depthwise_bias=depthwise_bias, depthwise_activation="relu6")
    >>> y.shape
    (1, 8, 8, 8)
    """
    array = _intake.as_array(kernel, "kernel")
    if array.dtype.kind in "iu":
        raise TypeError(f"The `kernel` argument must be an array of floats. Received: dtype={array.dtype}")
    if array.ndim < 2:
        refuse_shape("kernel", "an array of at least two axes", array.shape)
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float, np.number)) or not 0 <= epsilon < np.inf:
        refuse("epsilon", "a number that isn't negative", epsilon)
    centre = _intake.as_array(mean, "mean").astype(np.float64)
    if centre.ndim != 1 or len(centre) not in (array.shape[-1], array.shape[-2] * array.shape[-1]):
        refuse_shape(
            "mean",
            f"of shape ({array.shape[-1]},), for a pointwise or dense kernel, or ({array.shape[-2] * array.shape[-1]},), "
            f"for a depthwise one, beside a kernel of shape {array.shape}",
            centre.shape,
        )
    outputs = len(centre)
    spread = _channels(variance, "variance", outputs)
    if (spread < 0).any():
        refuse("variance", "without negative entries", variance)
    dtype = array.dtype.newbyteorder("=")
    scale = _channels(gamma, "gamma", outputs, 1.0) / np.sqrt(spread + float(epsilon))
    folded_bias = (_channels(bias, "bias", outputs, 0.0) - centre) * scale + _channels(beta, "beta", outputs, 0.0)
    along = scale if outputs == array.shape[-1] else scale.reshape(array.shape[-2:])
    return (array.astype(np.float64) * along).astype(dtype), folded_bias.astype(dtype)


def _channels(value: Any, name: str, outputs: int, default: float | None = None) -> np.ndarray:
    """One float64 an output channel; `default`, if there is one, for None."""
    if value is None and default is not None:
        return np.full(outputs, default)
    array = _intake.as_array(value, name).astype(np.float64)
    if array.shape != (outputs,):
        refuse_shape(name, f"of shape ({outputs},), like `mean`", array.shape)
    return array

"""The boring float64 convolution that Python's tests compare with: one tap at a time, no library of ours."""

from __future__ import annotations

import itertools

import numpy as np


def _pair(value, rank):
    return (value,) * rank if np.isscalar(value) else tuple(value)


def _pad(size, kernel, stride, dilation, padding):
    """Zeros before and after an axis."""
    reach = dilation * (kernel - 1)
    if padding == "causal":
        return reach, 0
    if padding == "valid":
        return 0, 0
    outputs = (size + stride - 1) // stride
    needed = (outputs - 1) * stride + reach + 1
    total = max(needed - size, 0)
    return total // 2, total - total // 2


def depthwise(x, kernel, strides=1, dilation=1, padding="valid"):
    """`x` (batch, *space, channels) with `kernel` (*window, channels, multiplier)."""
    window, rank = kernel.shape[:-2], kernel.ndim - 2
    strides, dilation = _pair(strides, rank), _pair(dilation, rank)
    pads = [_pad(*axis, padding) for axis in zip(x.shape[1:-1], window, strides, dilation)]
    x = np.pad(x.astype(np.float64), [(0, 0), *pads, (0, 0)])
    sizes = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:-1], window, strides, dilation)]
    y = np.zeros((len(x), *sizes, *kernel.shape[-2:]))
    for tap in itertools.product(*map(range, window)):
        seen = tuple(slice(t * d, t * d + max((n - 1) * s + 1, 0), s) for t, d, n, s in zip(tap, dilation, sizes, strides))
        y += x[(slice(None), *seen)][..., None] * kernel[tap].astype(np.float64)
    return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


def convolve(x, kernel, pointwise=None, bias=None, *, strides=1, dilation=1, padding="valid", data_format="channels_last", activation=None,
             depthwise_bias=None, depthwise_activation=None):  # fmt: skip
    """A depthwise convolution, or with `pointwise` (..., channels * multiplier, filters) a separable one. Activations are functions."""
    first = data_format == "channels_first"
    y = depthwise(np.moveaxis(x, 1, -1) if first else x, np.asarray(kernel), strides, dilation, padding)
    if depthwise_bias is not None:
        y = y + np.asarray(depthwise_bias, np.float64)
    if depthwise_activation is not None:
        y = depthwise_activation(y)
    if pointwise is not None:
        pointwise = np.asarray(pointwise, np.float64)
        y = np.einsum("...k,kf->...f", y, pointwise.reshape(pointwise.shape[-2:]))
    if bias is not None:
        y = y + np.asarray(bias, np.float64)
    if activation is not None:
        y = activation(y)
    return np.moveaxis(y, -1, 1) if first else y


def of_layer(layer, x, activation=None):
    """What `layer` computes for `x` with its own weights; `activation` is its activation in float64."""
    weights = [w.astype(np.float64) for w in layer.get_weights()]
    bias = weights.pop() if layer.use_bias else None
    return convolve(x, weights[0], weights[1] if len(weights) > 1 else None, bias, strides=layer.strides, dilation=layer.dilation_rate,
                    padding=layer.padding, data_format=layer.data_format, activation=activation)  # fmt: skip


def integers(rng, shape, dtype=np.float32, largest=3):
    """Small whole numbers, whose sums of products float32 holds exactly."""
    return rng.integers(-largest, largest + 1, shape).astype(dtype)

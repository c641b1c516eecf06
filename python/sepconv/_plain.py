"""A separable convolution in plain NumPy: what the demo is timed against, and in float64 what it is compared with."""

from __future__ import annotations

import numpy as np

from ._geometry import output_size, pad_amounts


def separable_conv(
    inputs: np.ndarray,
    depthwise: np.ndarray,
    pointwise: np.ndarray,
    bias: np.ndarray,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "same",
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Convolve `inputs` (n, h, w, c) with `depthwise` (kh, kw, c, m), then with `pointwise` (1, 1, c * m, filters), in their dtype.

    One multiplication and one addition of whole images for each tap, then one matrix product: the way to write it in NumPy.
    """
    taps, channels = depthwise.shape[:2], depthwise.shape[2:]
    axes = list(zip(inputs.shape[1:3], taps, strides, dilation, strict=True))
    padded = np.pad(inputs, ((0, 0), *(pad_amounts(*axis, padding) for axis in axes), (0, 0)))
    height, width = (output_size(*axis, padding) for axis in axes)
    rows = np.zeros((len(inputs), height, width, *channels), inputs.dtype)
    for i in range(taps[0]):
        for j in range(taps[1]):
            top, left = i * dilation[0], j * dilation[1]
            bottom, right = top + (height - 1) * strides[0] + 1, left + (width - 1) * strides[1] + 1
            rows += padded[:, top : bottom : strides[0], left : right : strides[1], :, None] * depthwise[i, j]
    mixed: np.ndarray = rows.reshape(*rows.shape[:3], -1) @ pointwise[0, 0] + bias
    return mixed

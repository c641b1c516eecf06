"""DepthwiseConv1D and DepthwiseConv2D: filters of each channel by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._conv import BaseConv, Weight, passed


class _DepthwiseConv(BaseConv):
    operation = "depthwise"
    config_keys = (
        "depth_multiplier",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "depthwise_constraint",
        "bias_constraint",
    )

    kernel = Weight("The kernel that filters each channel; assigning to it checks the shape.")
    bias = Weight("The bias, or None without one; assigning to it checks the shape.")

    def _weight_shapes(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        shapes = {"kernel": ("depthwise", (*self.kernel_size, channels, self.depth_multiplier))}
        return {**shapes, "bias": ("bias", (channels * self.depth_multiplier,))} if self.use_bias else shapes


class DepthwiseConv1D(_DepthwiseConv):
    """A convolution over sequences that filters each channel by itself.

    ``y = activation(depthwise(x) + bias)``; output channel ``c * depth_multiplier + m`` is the m-th filter of input channel ``c``.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Length of the window.
    strides, dilation_rate : int or sequence of int
        Per axis, in the order of `kernel_size`. Strides and dilations larger than 1 may be combined, and may differ from axis to axis.
    padding : {"valid", "same"}
        ``"same"`` gives ``ceil(size / stride)`` outputs; an odd step of zeros goes to the end, as in TensorFlow.
    data_format : {"channels_last", "channels_first"} or None
        Order of the axes of inputs and outputs; None is ``"channels_last"``.
    depth_multiplier : int
        Outputs per input channel. Its place among the arguments differs from SeparableConv's, as in Keras.
    activation : str, dict, callable or None
        The end of the layer; a callable gets the whole output and returns an array of the same shape.
    use_bias : bool
        Whether `bias` is added.
    *_initializer : str, dict, array or callable
        ``f(shape, dtype)``, see `sepconv.initializers`.
    *_regularizer, *_constraint : str, dict, callable or None
        Kept on the weights; regularizers enter `losses`, `apply_constraints` applies constraints.
    input_shape, batch_input_shape, batch_size
        Build the layer at once, for inputs of this shape without, or with, the batch axis. `batch_size` fills the axis that `input_shape`
        lacks, and isn't enforced at a call.
    dtype, name, trainable, weights, autocast
        See `sepconv.layers.base.Layer`.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> layer = DepthwiseConv1D(5, strides=2)
    >>> layer(np.ones((1, 100, 3), np.float32)).shape
    (1, 48, 3)

    Notes
    -----
    Weights, names and order are those of Keras 3: `kernel` ``(length, channels, depth_multiplier)``, `bias`
    ``(channels * depth_multiplier,)``.
    """

    rank = 1

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        weights: Sequence[Any] | None = None,
        autocast: bool = True,
    ) -> None:
        super().__init__(passed(locals()))


class DepthwiseConv2D(_DepthwiseConv):
    """A convolution over images that filters each channel by itself.

    ``y = activation(depthwise(x) + bias)``; output channel ``c * depth_multiplier + m`` is the m-th filter of input channel ``c``.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Rows and columns of the window, in that order; one number for both.
    strides, dilation_rate : int or sequence of int
        Per axis, in the order of `kernel_size`. Strides and dilations larger than 1 may be combined, and may differ from axis to axis.
    padding : {"valid", "same"}
        ``"same"`` gives ``ceil(size / stride)`` outputs; an odd row or column of zeros goes to the bottom or right, as in TensorFlow.
    data_format : {"channels_last", "channels_first"} or None
        Order of the axes of inputs and outputs; None is ``"channels_last"``.
    depth_multiplier : int
        Outputs per input channel. Its place among the arguments differs from SeparableConv's, as in Keras.
    activation : str, dict, callable or None
        The end of the layer; a callable gets the whole output and returns an array of the same shape.
    use_bias : bool
        Whether `bias` is added.
    *_initializer : str, dict, array or callable
        ``f(shape, dtype)``, see `sepconv.initializers`.
    *_regularizer, *_constraint : str, dict, callable or None
        Kept on the weights; regularizers enter `losses`, `apply_constraints` applies constraints.
    input_shape, batch_input_shape, batch_size
        Build the layer at once, for inputs of this shape without, or with, the batch axis. `batch_size` fills the axis that `input_shape`
        lacks, and isn't enforced at a call.
    dtype, name, trainable, weights, autocast
        See `sepconv.layers.base.Layer`.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> layer = DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)
    >>> layer(np.ones((1, 28, 28, 3), np.float32)).shape
    (1, 14, 14, 6)

    Notes
    -----
    Weights, names and order are those of Keras 3: `kernel` ``(rows, columns, channels, depth_multiplier)``, `bias`
    ``(channels * depth_multiplier,)``.
    """

    rank = 2

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        weights: Sequence[Any] | None = None,
        autocast: bool = True,
    ) -> None:
        super().__init__(passed(locals()))

"""SeparableConv1D and SeparableConv2D: one filter a channel, then a mixture of the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._conv import BaseConv, Weight, passed


class _SeparableConv(BaseConv):
    operation = "separable"
    config_keys = (
        "depth_multiplier",
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "depthwise_initializer",
        "pointwise_initializer",
        "bias_initializer",
        "depthwise_regularizer",
        "pointwise_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "depthwise_constraint",
        "pointwise_constraint",
        "bias_constraint",
    )

    filters: int

    depthwise_kernel = Weight("The kernel that filters each channel; assigning to it checks the shape.")
    pointwise_kernel = Weight("The kernel that mixes the channels; assigning to it checks the shape.")
    bias = Weight("The bias, or None without one; assigning to it checks the shape.")

    def _weight_shapes(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        shapes = {
            "depthwise_kernel": ("depthwise", (*self.kernel_size, channels, self.depth_multiplier)),
            "pointwise_kernel": ("pointwise", (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)),
        }
        return {**shapes, "bias": ("bias", (self.filters,))} if self.use_bias else shapes


class SeparableConv1D(_SeparableConv):
    """A depthwise convolution over sequences, then a convolution of length 1, in one pass.

    ``y = activation(pointwise(depthwise(x)) + bias)``; nothing stands between the two convolutions. Kernels aren't flipped
    (cross-correlation).

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or sequence of int
        Length of the window.
    strides, dilation_rate : int or sequence of int
        Per axis, in the order of `kernel_size`. Strides and dilations larger than 1 may be combined, and may differ from axis to axis.
    padding : {"valid", "same", "causal"}
        ``"same"`` gives ``ceil(size / stride)`` outputs; an odd step of zeros goes to the end, as in TensorFlow.
        ``"causal"`` (Keras 2 has it, Keras 3 not) pads the beginning only: no output sees a later step.
    data_format : {"channels_last", "channels_first"} or None
        Order of the axes of inputs and outputs; None is ``"channels_last"``.
    depth_multiplier : int
        Depthwise outputs per input channel; output ``c * depth_multiplier + m`` is the m-th of channel ``c``.
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
    >>> layer = SeparableConv1D(8, 5, padding="causal", dilation_rate=2)
    >>> layer(np.ones((1, 100, 3), np.float32)).shape
    (1, 100, 8)

    Notes
    -----
    Weights, names and order are those of Keras 3: `depthwise_kernel` ``(length, channels, depth_multiplier)``, `pointwise_kernel`
    ``(1, channels * depth_multiplier, filters)``, `bias` ``(filters,)``.
    """

    rank = 1
    paddings = ("valid", "same", "causal")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
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


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution over images, then a 1x1 convolution, in one pass.

    ``y = activation(pointwise(depthwise(x)) + bias)``; nothing stands between the two convolutions. Kernels aren't flipped
    (cross-correlation).

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or sequence of int
        Rows and columns of the window, in that order; one number for both.
    strides, dilation_rate : int or sequence of int
        Per axis, in the order of `kernel_size`. Strides and dilations larger than 1 may be combined, and may differ from axis to axis.
    padding : {"valid", "same"}
        ``"same"`` gives ``ceil(size / stride)`` outputs; an odd row or column of zeros goes to the bottom or right, as in TensorFlow.
    data_format : {"channels_last", "channels_first"} or None
        Order of the axes of inputs and outputs; None is ``"channels_last"``.
    depth_multiplier : int
        Depthwise outputs per input channel; output ``c * depth_multiplier + m`` is the m-th of channel ``c``.
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
    >>> layer = SeparableConv2D(8, (3, 5), padding="same", activation="relu")
    >>> layer(np.ones((1, 28, 28, 3), np.float32)).shape
    (1, 28, 28, 8)

    Notes
    -----
    Weights, names and order are those of Keras 3: `depthwise_kernel` ``(rows, columns, channels, depth_multiplier)``, `pointwise_kernel`
    ``(1, 1, channels * depth_multiplier, filters)``, `bias` ``(filters,)``.
    """

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
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


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D

"""Sizes of a convolution: what padding means in numbers, and the shape of the output. Pure functions, shared by layers and ops."""

from __future__ import annotations

from typing import Any

from ._arguments import LARGEST, Shape


def pad_amounts(size: int, kernel: int, stride: int, dilation: int, padding: Any) -> tuple[int, int]:
    """Rows of zeros (before, after) that `padding` adds to an axis of `size`.

    ``"same"`` is TensorFlow's rule: ``ceil(size / stride)`` outputs, and the odd row goes after. ``"causal"`` puts all of it before, so
    that no output sees a later input. A pair is taken as it is.
    """
    extent = (kernel - 1) * dilation + 1
    if padding == "same":
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        return total // 2, total - total // 2
    if padding == "causal":
        return extent - 1, 0
    if padding == "valid":
        return 0, 0
    before, after = padding
    return int(before), int(after)


def output_size(size: int, kernel: int, stride: int, dilation: int, padding: Any) -> int:
    """Outputs along an axis of `size`; zero or negative where the kernel doesn't fit."""
    before, after = pad_amounts(size, kernel, stride, dilation, padding)
    return (size + before + after - (kernel - 1) * dilation - 1) // stride + 1


def too_large(step: int, size: int, kernel: int, stride: int, dilation: int, padding: Any) -> str | None:
    """The argument to blame where addresses along an axis leave 64 bits, in the core's own sum; None where they fit.

    The axis has `size` positions, `step` elements apart.
    """
    before, after = pad_amounts(size, kernel, stride, dilation, padding)
    reach, outputs = (kernel - 1) * dilation + 1, output_size(size, kernel, stride, dilation, padding)
    positions = size + before + after + reach + outputs * (stride if outputs > 1 else 1)
    if positions * max(abs(step), 1) * 8 <= LARGEST:
        return None
    given = 0 if isinstance(padding, str) else before + after
    return largest(input_shape=size, padding=given, strides=stride, dilation_rate=(kernel > 1) * dilation, kernel_size=kernel)


def largest(**sizes: int) -> str:
    """The name of the largest size."""
    return max(sizes, key=sizes.__getitem__)


def axis_paddings(padding: Any, rank: int) -> tuple[Any, ...]:
    """`padding` for each of `rank` axes, from one word for all or from a pair for each."""
    return (padding,) * rank if isinstance(padding, str) else tuple(padding)


def output_shape(
    input_shape: Shape,
    *,
    filters: int,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: Any,
    data_format: str,
) -> Shape:
    """The output's shape for a batch of `input_shape` in the layout `data_format`; None stays None.

    Raises
    ------
    ValueError
        If a known spatial size gives no output.
    """
    last = data_format == "channels_last"
    spatial = input_shape[1:-1] if last else input_shape[2:]
    sizes: list[int | None] = []
    for size, k, s, d, p in zip(spatial, kernel, strides, dilation, axis_paddings(padding, len(kernel)), strict=True):
        out = None if size is None else output_size(size, k, s, d, p)
        # Keras lets an axis of size 0 through where the padding makes its output empty too ("same", "causal").
        if out is not None and (out < 0 or (out == 0 and (size != 0 or p == "valid"))):
            raise ValueError(
                f"The input is too small: the output size would be zero or negative. Received: input shape={tuple(input_shape)}, "
                f"kernel_size={kernel}, strides={strides}, dilation_rate={dilation}, padding={padding!r}"
            )
        sizes.append(out)
    return (input_shape[0], *sizes, filters) if last else (input_shape[0], filters, *sizes)

"""What a step of training must give: the result and all gradients in float64 by plain NumPy, one after another in a flat array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .cases import Case
from .reference import ACTIVATIONS, Array, Reference, convolve, from_layout, padded, taps, to_layout

# Units of rounding: nearer to a kink than so many, float32 may be on the other side, and a gradient is there or isn't.
_UNDECIDED = 64
_KINKS: dict[str, tuple[float, ...]] = {"linear": (), "relu": (0.0,), "relu6": (0.0, 6.0)}


def flat(arrays: Iterable[Any]) -> Array:
    """The result, then the gradients of the input and of the weights in the order of `Case.shapes`, each in its shape there."""
    return np.concatenate([np.ravel(array) for array in arrays])


class TrainingReference(Reference):
    """Sets `dy` to zero in `data` where rounding decides on which side of a kink the result is."""

    def __init__(self, case: Case, data: dict[str, Array]) -> None:
        super().__init__(case, data)
        wide = {name: array.astype(np.float64) for name, array in data.items()}
        sizes = {name: abs(array) for name, array in wide.items()}
        inputs: list[Array] = []
        input_sizes: list[Array] = []
        plain = convolve(case, wide, False, inputs)
        margin = _UNDECIDED * self.unit * convolve(case, sizes, False, input_sizes)
        undecided = np.zeros(plain.shape, bool)
        for kink in _KINKS[case.activation]:
            undecided |= abs(plain - kink) < margin
        up = np.where(undecided, 0, from_layout(wide["dy"], case))
        data["dy"][...] = to_layout(up, case)
        if case.activation != "linear":
            up = np.where(ACTIVATIONS[case.activation](plain) == plain, up, 0)
        self.result = flat([self.result, *_backward(case, wide, inputs, up)])
        self.size = flat([self.size, *_backward(case, sizes, input_sizes, abs(up))])


def _backward(case: Case, data: dict[str, Array], inputs: list[Array], up: Array) -> list[Array]:
    """Gradients of the input and of the weights; `up` is that of the last convolution."""
    weights: list[Array] = []
    for stage, x in zip(reversed(case.stages), reversed(inputs), strict=True):
        bias = [up.sum(axis=(0, 1, 2))] if stage.bias else []
        kernel = data[stage.weights]
        down = np.zeros(x.shape)
        if stage.depthwise:
            gradient, x, down = np.zeros(kernel.shape), padded(x, stage), padded(down, stage)
            up = up.reshape(*up.shape[:3], *kernel.shape[2:])
            for tap, part in taps(stage, case.output_size):
                down[part] += (up * kernel[tap]).sum(axis=-1)
                gradient[tap] = np.einsum("nijc,nijcm->cm", x[part], up)
            (top, bottom), (left, right) = stage.pads
            down = down[:, top : down.shape[1] - bottom, left : down.shape[2] - right]
        else:
            part = (slice(None), *(slice(None, None, step) for step in stage.strides))
            gradient = np.tensordot(x[part], up, axes=((0, 1, 2), (0, 1, 2)))
            down[part] = up @ kernel.T
        weights = [gradient, *bias, *weights]
        up = down
    return [to_layout(up, case), *weights]

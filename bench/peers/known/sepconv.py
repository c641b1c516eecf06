"""sepconv from Python: a layer called without and with `out=`. Where something stands between the halves, which no layer of Keras
has, the function of `sepconv.ops` with variables, whose weights are packed by the first call."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import sepconv

from ..cases import Case
from ..gradients import flat
from ..peer import Candidate, Data, Peer, Unsuitable


def _activation(name: str) -> Any:
    if name == "threshold":
        return partial(sepconv.activations.threshold, threshold=0.0, default_value=0.0)
    return partial(sepconv.activations.gelu, approximate=True) if name == "gelu_tanh" else name


def _layer(case: Case, data: Data) -> Any:
    """A layer with its weights and these once more; two times None where no layer is what the case has."""
    common = {"strides": case.strides, "padding": case.padding, "data_format": case.layout, "dilation_rate": case.dilation}
    last = {"use_bias": case.bias, "activation": _activation(case.activation), "dtype": case.dtype}
    weights = [data[name] for stage in case.stages for name in (stage.weights, stage.bias) if name]
    if case.op == "depthwise":
        layer: Any = sepconv.DepthwiseConv2D(case.kernel, depth_multiplier=case.multiplier, **common, **last)
    elif case.op == "separable" and case.stages[0].bias is None and case.depthwise_activation == "linear":
        layer = sepconv.SeparableConv2D(case.filters, case.kernel, depth_multiplier=case.multiplier, **common, **last)
        weights[1] = weights[1][None, None]
    else:
        return None, None
    layer.build(data["x"].shape)
    layer.set_weights(weights)
    return layer, weights


def _call(case: Case, data: Data) -> Any:
    """A function of `out` and `num_threads`."""
    layer, _ = _layer(case, data)
    return partial(layer, data["x"]) if layer is not None else _function(case, data)


def _function(case: Case, data: Data) -> Any:
    weights = {
        name: sepconv.Variable(data[name], name=name) for stage in case.stages for name in (stage.weights, stage.bias) if name
    }
    pointwise = sepconv.Variable(data["pointwise_kernel"][None, None], name="pointwise_kernel")
    last = {"bias": weights.get("bias"), "activation": _activation(case.activation)}
    if case.op == "pointwise":
        return partial(sepconv.ops.pointwise_conv, data["x"], pointwise, case.strides, case.layout, **last)
    middle = {"depthwise_bias": weights.get("depthwise_bias"), "depthwise_activation": _activation(case.depthwise_activation)}
    common = {"strides": case.strides, "padding": case.padding, "data_format": case.layout, "dilation_rate": case.dilation}
    arrays = (data["x"], weights["depthwise_kernel"], pointwise)
    return partial(sepconv.ops.separable_conv, *arrays, **common, **middle, **last)


class Fresh(Peer):
    """`layer(x)`: every call returns a new array."""

    def version(self) -> str:
        return f"sepconv {sepconv.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        call = _call(case, data)
        return {"": Candidate(partial(call, num_threads=self.threads), np.asarray)}

    def train(self, case: Case, data: Data) -> dict[str, Candidate]:
        """`layer.vjp(x)` and its pullback. The layer gets its weights anew before every step, which it has to pack."""
        layer, weights = _layer(case, data)
        if layer is None:
            raise Unsuitable("no layer")

        def run() -> Any:
            y, pullback = layer.vjp(data["x"], num_threads=self.threads)
            return y, pullback(data["dy"])

        return {
            "": Candidate(run, lambda step: flat([step[0], step[1].input, *step[1].weights]), lambda: layer.set_weights(weights))
        }


class Into(Fresh):
    """`layer(x, out=y)`."""

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        call = _call(case, data)
        memory = np.zeros(int(np.prod(case.output_shape)) + 16, case.dtype)
        start = (-memory.ctypes.data % 64) // memory.itemsize
        out = memory[start : start + memory.size - 16].reshape(case.output_shape)
        return {"out": Candidate(partial(call, out=out, num_threads=self.threads), np.asarray)}

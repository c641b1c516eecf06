"""OpenVINO: float32 hint, latency, one stream, a shared input and a bound output; NHWC and NCHW at the boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as ops

from ..cases import Case, Stage
from ..peer import Candidate, Data, Peer, from_first, from_last, needs_float32, oihw, pick, to_first, to_last


def _gelu(mode: str) -> Any:
    return lambda x: ops.gelu(x, mode)


_ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": ops.relu,
    "relu6": lambda x: ops.clamp(x, 0.0, 6.0),
    "hard_tanh": lambda x: ops.clamp(x, -1.0, 1.0),
    "leaky_relu": lambda x: ops.prelu(x, ops.constant(np.float32([0.2]))),
    "elu": lambda x: ops.elu(x, 1.0),
    "selu": lambda x: ops.selu(x, np.float32(1.6732632423543772), np.float32(1.0507009873554805)),
    "softplus": ops.softplus,
    "softsign": ops.softsign,
    "silu": ops.swish,
    "gelu": _gelu("erf"),
    "gelu_tanh": _gelu("tanh"),
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "exponential": ops.exp,
    "hard_sigmoid": lambda x: ops.hsigmoid(x),
    "hard_silu": ops.hswish,
    "mish": ops.mish,
    "softmax": lambda x: ops.softmax(x, 1),
}


def _convolve(x: Any, stage: Stage, data: Data) -> Any:
    weights = oihw(data, stage)
    before, after = zip(*stage.pads, strict=True)
    window = (list(stage.strides), list(before), list(after), list(stage.dilation))
    if stage.depthwise:
        grouped = weights.reshape(stage.inputs, -1, 1, *stage.kernel)
        x = ops.group_convolution(x, ops.constant(grouped), *window)
    else:
        x = ops.convolution(x, ops.constant(weights), *window)
    if stage.bias:
        x = ops.add(x, ops.constant(data[stage.bias].reshape(1, -1, 1, 1)))
    return pick(_ACTIVATIONS, stage.activation)(x)


class OpenVino(Peer):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.core = ov.Core()

    def version(self) -> str:
        return f"openvino {ov.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        needs_float32(case)
        candidates = {"NCHW": self._candidate(case, data, False)}
        if not case.channels_first:
            candidates["NHWC"] = self._candidate(case, data, True)
        return candidates

    def _candidate(self, case: Case, data: Data, last: bool) -> Candidate:
        x = (to_last if last else to_first)(data["x"], case)
        parameter = ops.parameter(list(x.shape), np.float32)
        y = ops.transpose(parameter, [0, 3, 1, 2]) if last else parameter
        for stage in case.stages:
            y = _convolve(y, stage, data)
        if last:
            y = ops.transpose(y, [0, 2, 3, 1])
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": self.threads,
        }
        request = self.core.compile_model(ov.Model([y], [parameter]), "CPU", settings).create_infer_request()
        tensor = ov.Tensor(x, shared_memory=True)
        request.set_input_tensor(tensor)
        back = from_last if last else from_first
        # The request holds the address only: `tensor` must live as long as the candidate.
        return Candidate(lambda: (request.infer(), tensor), lambda _: back(request.get_output_tensor().data, case).copy())

"""LiteRT: its interpreter with the XNNPACK delegate (its default), NHWC; the model is written here, operator by operator."""

from __future__ import annotations

from typing import Any

import ai_edge_litert
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from ..cases import Case, Stage
from ..peer import Candidate, Data, Peer, Unsuitable, needs_float32

_FUSED = {"linear": 0, "relu": 1, "hard_tanh": 2, "relu6": 3}
_SEPARATE = {
    "silu": "LOGISTIC",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "elu": "ELU",
    "exponential": "EXP",
    "hard_silu": "HARD_SWISH",
    "gelu": "GELU",
    "gelu_tanh": "GELU",
    "leaky_relu": "LEAKY_RELU",
    "softmax": "SOFTMAX",
}


class _Model:
    """Tensors, buffers and operators of one graph."""

    def __init__(self, case: Case, data: Data) -> None:
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        first = last = self._tensor((case.n, case.h, case.w, case.c))
        for stage in case.stages:
            last = self._convolve(last, case, stage, data)
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [first], [last]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, self.codes
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        self.bytes = bytes(builder.Output())

    def _tensor(self, shape: tuple[int, ...], value: np.ndarray | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = f"t{len(self.tensors)}", list(shape), schema.TensorType.FLOAT32
        tensor.buffer = 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
            if value.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _add(self, name: str, inputs: list[int], shape: tuple[int, ...], options: tuple[str, Any] | None = None) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 2 if name == "DEPTHWISE_CONV_2D" else 1
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        self.codes.append(code)
        operator.inputs, operator.outputs = inputs, [self._tensor(shape)]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options[0])
            operator.builtinOptions = options[1]
        self.operators.append(operator)
        return operator.outputs[0]  # type: ignore[no-any-return]

    def _convolve(self, x: int, case: Case, stage: Stage, data: Data) -> int:
        weights, shape = data[stage.weights], (case.n, *case.output_size, stage.outputs)
        if stage.depthwise:
            options: Any = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = stage.outputs // stage.inputs
            kind, name = "DepthwiseConv2DOptions", "DEPTHWISE_CONV_2D"
            value = weights.reshape(1, *stage.kernel, stage.outputs)
        else:
            options = schema.Conv2DOptionsT()
            kind, name = "Conv2DOptions", "CONV_2D"
            value = weights.T.reshape(stage.outputs, 1, 1, stage.inputs)
        options.padding = getattr(schema.Padding, case.padding.upper() if stage.depthwise else "VALID")
        options.strideH, options.strideW = stage.strides
        options.dilationHFactor, options.dilationWFactor = stage.dilation
        options.fusedActivationFunction = _FUSED.get(stage.activation, 0)
        bias = data[stage.bias] if stage.bias else np.zeros(stage.outputs, np.float32)
        y = self._add(name, [x, self._tensor(value.shape, value), self._tensor(bias.shape, bias)], shape, (kind, options))
        return y if stage.activation in _FUSED else self._activate(y, shape, stage.activation)

    def _activate(self, y: int, shape: tuple[int, ...], activation: str) -> int:
        if activation not in _SEPARATE:
            raise Unsuitable(f"no {activation}")
        options: Any = None
        if activation.startswith("gelu"):
            options = ("GeluOptions", schema.GeluOptionsT())
            options[1].approximate = activation == "gelu_tanh"
        elif activation == "leaky_relu":
            options = ("LeakyReluOptions", schema.LeakyReluOptionsT())
            options[1].alpha = 0.2
        elif activation == "softmax":
            options = ("SoftmaxOptions", schema.SoftmaxOptionsT())
            options[1].beta = 1.0
        before, result = y, self._add(_SEPARATE[activation], [y], shape, options)
        if activation == "silu":
            return self._add("MUL", [before, result], shape, ("MulOptions", schema.MulOptionsT()))
        return result


class LiteRT(Peer):
    def version(self) -> str:
        return f"ai-edge-litert {ai_edge_litert.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        needs_float32(case)
        if case.channels_first:
            raise Unsuitable("channels_last only")
        interpreter = Interpreter(model_content=_Model(case, data).bytes, num_threads=self.threads)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], data["x"])
        output = interpreter.get_output_details()[0]["index"]
        return {"NHWC": Candidate(interpreter.invoke, lambda _: interpreter.get_tensor(output))}

"""ONNX Runtime: NCHW, graph optimisations on (with and without its blocked NCHWc layout), inputs and outputs bound to arrays."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from ..cases import Case, Stage
from ..peer import Candidate, Data, Peer, from_first, needs_float32, oihw, pick, to_first

_ACTIVATIONS = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "exponential": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6}),
    "hard_silu": ("HardSwish", {}),
    "mish": ("Mish", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "softmax": ("Softmax", {"axis": 1}),
    "hard_shrink": ("Shrink", {"lambd": 0.5}),
    "soft_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "relu6": ("Clip", {}),
    "hard_tanh": ("Clip", {}),
    "silu": ("Mul", {}),
}
_LIMITS = {"relu6": (0.0, 6.0), "hard_tanh": (-1.0, 1.0)}


class _Graph:
    """Nodes and weights, one stage after another."""

    def __init__(self, case: Case, data: Data) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = "x"
        for stage in case.stages:
            self._convolve(stage, data)
            if stage.activation != "linear":
                self._activate(stage.activation)

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def _add(self, operation: str, inputs: list[str], **attributes: object) -> None:
        self.nodes.append(helper.make_node(operation, inputs, [f"t{len(self.nodes)}"], **attributes))
        self.last = f"t{len(self.nodes) - 1}"

    def _convolve(self, stage: Stage, data: Data) -> None:
        inputs = [self.last, self._constant(stage.weights, oihw(data, stage))]
        if stage.bias:
            inputs.append(self._constant(stage.bias, data[stage.bias]))
        (top, bottom), (left, right) = stage.pads
        self._add(
            "Conv",
            inputs,
            kernel_shape=stage.kernel,
            strides=stage.strides,
            dilations=stage.dilation,
            pads=[top, left, bottom, right],
            group=stage.inputs if stage.depthwise else 1,
        )

    def _activate(self, activation: str) -> None:
        operation, attributes = pick(_ACTIVATIONS, activation)
        before = self.last
        if activation == "silu":
            self._add("Sigmoid", [before])
            self._add("Mul", [before, self.last])
        elif activation in _LIMITS:
            names = [self._constant(f"{before}{i}", np.float32(v)) for i, v in enumerate(_LIMITS[activation])]
            self._add("Clip", [before, *names])
        else:
            self._add(operation, [before], **attributes)

    def model(self, x: np.ndarray, y: tuple[int, ...]) -> bytes:
        self.nodes[-1].output[0] = "y"
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)]
        graph = helper.make_graph(self.nodes, "case", inputs, outputs, self.weights)
        opset = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


class OnnxRuntime(Peer):
    def version(self) -> str:
        return f"onnxruntime {ort.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        needs_float32(case)
        x = to_first(data["x"], case)
        size = (case.n, case.stages[-1].outputs, *case.output_size)
        model = _Graph(case, data).model(x, size)
        levels = {
            "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
            "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        }
        return {name: self._candidate(case, model, level, x, np.empty(size, np.float32)) for name, level in levels.items()}

    def _candidate(self, case: Case, model: bytes, level: object, x: np.ndarray, y: np.ndarray) -> Candidate:
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
        # The bindings hold addresses only: x and y must live as long as the candidate.
        return Candidate(lambda: (session.run_with_iobinding(binding), x), lambda _: from_first(y, case))

"""Who takes part: one row a peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Row:
    """`module` and `name` give the class of a Python peer; `program` is the target of CMake that is the worker of a C++ one.

    `ours` peers are what the others are compared with: Python with Python, C++ with C++. Those that `trains` take part in --train.
    """

    package: str
    module: str = ""
    name: str = ""
    program: str = ""
    ours: bool = False
    trains: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def native(self) -> bool:
        return bool(self.program)

    def load(self) -> Callable[[int], Any]:
        peer: Callable[[int], Any] = getattr(import_module(f"peers.known.{self.module}"), self.name)
        return peer


PEERS = {
    "sepconv": Row("sepconv", "sepconv", "Fresh", ours=True, trains=True),
    "sepconv out=": Row("sepconv", "sepconv", "Into", ours=True),
    "sepconv C": Row("a C++ compiler and CMake", program="sepconv_worker", ours=True, trains=True),
    "onednn C": Row("onednn-devel-cpu-gomp or libdnnl-dev, a C++ compiler and CMake", program="onednn_worker", trains=True),
    "litert": Row("ai-edge-litert", "litert", "LiteRT"),
    "onnxruntime": Row("onnxruntime onnx", "onnxruntime", "OnnxRuntime"),
    "openvino": Row("openvino", "openvino", "OpenVino"),
    "torch": Row("torch", "torch", "Eager", trains=True),
    "torch.compile": Row("torch", "torch", "Compiled", trains=True),
    "tensorflow": Row("tensorflow-cpu", "tensorflow", "Graph", trains=True),
    "jax": Row("jax", "jax", "Jit", trains=True),
    "keras-tensorflow": Row("keras tensorflow-cpu", "keras", "OnTensorFlow", environment={"KERAS_BACKEND": "tensorflow"}),
    "keras-torch": Row("keras torch", "keras", "OnTorch", environment={"KERAS_BACKEND": "torch"}),
    "keras-jax": Row("keras jax", "keras", "OnJax", environment={"KERAS_BACKEND": "jax"}),
}

"""PyTorch: modules under inference_mode, eager and compiled (inductor, with freezing), contiguous and channels_last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch._inductor.config as inductor
import torch.nn.functional as F

from ..cases import Case, Stage
from ..peer import Candidate, Data, Peer, from_first, oihw, pick, step_of, to_first

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "hard_tanh": F.hardtanh,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.2),
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "soft_shrink": F.softshrink,
    "hard_shrink": F.hardshrink,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "tanh": torch.tanh,
    "tanh_shrink": F.tanhshrink,
    "threshold": partial(F.threshold, threshold=0.0, value=0.0),
    "sigmoid": torch.sigmoid,
    "exponential": torch.exp,
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "mish": F.mish,
    "log_sigmoid": F.logsigmoid,
    "softmax": partial(F.softmax, dim=1),
}


class _Block(torch.nn.Module):
    """The stages; an explicit pad only where Keras's padding isn't symmetric."""

    def __init__(self, case: Case, data: Data) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        self.functions = [pick(_ACTIVATIONS, stage.activation) for stage in case.stages]
        for stage in case.stages:
            layers.append(self._layer(stage, data))
        self.layers = torch.nn.ModuleList(layers)

    @staticmethod
    def _layer(stage: Stage, data: Data) -> torch.nn.Module:
        (top, bottom), (left, right) = stage.pads
        convolution = torch.nn.Conv2d(
            stage.inputs,
            stage.outputs,
            stage.kernel,
            stride=stage.strides,
            padding=(top, left) if stage.symmetric else 0,
            dilation=stage.dilation,
            groups=stage.inputs if stage.depthwise else 1,
            bias=stage.bias is not None,
        )
        convolution.weight = torch.nn.Parameter(torch.from_numpy(oihw(data, stage)), requires_grad=False)
        if stage.bias:
            convolution.bias = torch.nn.Parameter(torch.from_numpy(data[stage.bias]), requires_grad=False)
        if stage.symmetric:
            return convolution
        return torch.nn.Sequential(torch.nn.ZeroPad2d((left, right, top, bottom)), convolution)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, function in zip(self.layers, self.functions, strict=True):
            x = function(layer(x))
        return x


class Eager(Peer):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")

    def version(self) -> str:
        return f"torch {torch.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        return {name: self._candidate(case, data, value) for name, value in self._formats(case).items()}

    def train(self, case: Case, data: Data) -> dict[str, Candidate]:
        return {name: self._step(case, data, value) for name, value in self._formats(case).items()}

    def _formats(self, case: Case) -> dict[str, Any]:
        last = {} if case.channels_first else {"channels_last": torch.channels_last}
        return {"contiguous": torch.contiguous_format, **last}

    def _finish(self, block: torch.nn.Module, x: torch.Tensor) -> Callable[[torch.Tensor], Any]:
        return block

    def _candidate(self, case: Case, data: Data, memory_format: Any) -> Candidate:
        block = _Block(case, data).eval().to(memory_format=memory_format)
        x = torch.from_numpy(to_first(data["x"], case)).contiguous(memory_format=memory_format)
        with torch.inference_mode():
            call = self._finish(block, x)

        def run() -> Any:
            with torch.inference_mode():
                return call(x)

        return Candidate(run, lambda y: np.ascontiguousarray(from_first(y.numpy(), case)))

    def _step(self, case: Case, data: Data, memory_format: Any) -> Candidate:
        block = _Block(case, data).to(memory_format=memory_format).requires_grad_()
        x, dy = (torch.from_numpy(to_first(data[name], case)).contiguous(memory_format=memory_format) for name in ("x", "dy"))
        call = self._finish(block, x.requires_grad_())
        wanted = [x, *block.parameters()]

        def run() -> Any:
            y = call(x)
            return y, *torch.autograd.grad(y, wanted, dy)

        def result(step: Any) -> np.ndarray:
            y, x, *weights = (array.detach().numpy() for array in step)
            return step_of(case, from_first(y, case), [from_first(x, case), *weights])

        return Candidate(run, result)


class Compiled(Eager):
    """torch.compile; one layout, since compiling takes seconds."""

    def version(self) -> str:
        return f"torch {torch.__version__} (compile)"

    def _formats(self, case: Case) -> dict[str, Any]:
        torch._dynamo.reset()
        inductor.freezing = case.dtype == "float32" and not case.train  # its packed convolution takes no other
        return dict([super()._formats(case).popitem()])

    def _finish(self, block: torch.nn.Module, x: torch.Tensor) -> Callable[[torch.Tensor], Any]:
        compiled: Callable[[torch.Tensor], Any] = torch.compile(block, dynamic=False)
        compiled(x)
        return compiled

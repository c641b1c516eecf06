"""JAX: one jitted function, weights constants, NHWC and NCHW. It takes all processors that it sees, so it sees `threads`."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, nn

from ..cases import Case, Stage
from ..peer import Candidate, Data, Peer, Unsuitable, from_first, from_last, to_first, to_last

_RENAMED = {
    "exponential": jnp.exp,
    "softsign": nn.soft_sign,
    "linear": lambda x: x,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_tanh": nn.gelu,
    "leaky_relu": lambda x: nn.leaky_relu(x, 0.2),
    "softmax": None,
}


def _activation(name: str, axis: int) -> Any:
    if name == "softmax":
        return lambda x: nn.softmax(x, axis)
    function = _RENAMED.get(name) or getattr(nn, name, None)
    if function is None:
        raise Unsuitable(f"no {name}")
    return function


class Jit(Peer):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")

    def version(self) -> str:
        return f"jax {jax.__version__}"

    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        candidates = {"NCHW": self._candidate(case, data, False)}
        if not case.channels_first:
            candidates["NHWC"] = self._candidate(case, data, True)
        return candidates

    def _candidate(self, case: Case, data: Data, last: bool) -> Candidate:
        layout = "NHWC" if last else "NCHW"
        functions = [_activation(stage.activation, layout.index("C")) for stage in case.stages]

        def stage_of(y: Any, stage: Stage) -> Any:
            weights = data[stage.weights].reshape(*stage.kernel, -1, stage.outputs)
            y = lax.conv_general_dilated(
                y,
                weights,
                stage.strides,
                stage.pads,
                rhs_dilation=stage.dilation,
                dimension_numbers=(layout, "HWIO", layout),
                feature_group_count=stage.inputs if stage.depthwise else 1,
            )
            return y + (data[stage.bias] if last else data[stage.bias][:, None, None]) if stage.bias else y

        @jax.jit
        def block(y: Any) -> Any:
            for stage, function in zip(case.stages, functions, strict=True):
                y = function(stage_of(y, stage))
            return y

        x = jnp.asarray((to_last if last else to_first)(data["x"], case))
        back = from_last if last else from_first
        return Candidate(lambda: block(x).block_until_ready(), lambda y: back(y, case))

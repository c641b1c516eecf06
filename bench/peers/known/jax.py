"""JAX: one jitted function, weights constants, NHWC and NCHW. It takes all processors that it sees, so it sees `threads`."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

from ..cases import Case, Stage
from ..gradients import flat
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
        return {name: self._candidate(case, data, last) for name, last in self._layouts(case).items()}

    def train(self, case: Case, data: Data) -> dict[str, Candidate]:
        return {name: self._step(case, data, last) for name, last in self._layouts(case).items()}

    def _layouts(self, case: Case) -> dict[str, bool]:
        return {"NCHW": False} if case.channels_first else {"NCHW": False, "NHWC": True}

    def _block(self, case: Case, last: bool) -> Any:
        """A function of the input and of all arrays."""
        layout = "NHWC" if last else "NCHW"
        functions = [_activation(stage.activation, layout.index("C")) for stage in case.stages]

        def stage_of(y: Any, stage: Stage, data: Any) -> Any:
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

        def block(y: Any, data: Any) -> Any:
            for stage, function in zip(case.stages, functions, strict=True):
                y = function(stage_of(y, stage, data))
            return y

        return block

    def _candidate(self, case: Case, data: Data, last: bool) -> Candidate:
        block = jax.jit(partial(self._block(case, last), data=data))
        x = jnp.asarray((to_last if last else to_first)(data["x"], case))
        back = from_last if last else from_first
        return Candidate(lambda: block(x).block_until_ready(), lambda y: back(y, case))

    def _step(self, case: Case, data: Data, last: bool) -> Candidate:
        block = self._block(case, last)
        to, back = (to_last, from_last) if last else (to_first, from_first)
        x, dy = (jnp.asarray(to(data[name], case)) for name in ("x", "dy"))
        weights = {name: jnp.asarray(array) for name, array in data.items() if name not in ("x", "dy")}

        @jax.jit
        def step(x: Any, weights: Any, dy: Any) -> Any:
            y, pullback = jax.vjp(block, x, weights)
            return y, *pullback(dy)

        def result(step: Any) -> np.ndarray:
            y, x, gradients = step
            return flat([back(y, case), back(x, case), *(gradients[name] for name in weights)])

        return Candidate(lambda: jax.block_until_ready(step(x, weights, dy)), result)

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

_Form = tuple[str, tuple[float, ...]]
_Quad = tuple[int, ...]
_Pair = tuple[int, ...]

__version__: str

def activate(array: np.ndarray, kind: str, params: tuple[float, ...] = ()) -> None: ...
def activation_keeps(kind: str, params: tuple[float, ...] = ()) -> int: ...
def derive(kept: np.ndarray, gradient: np.ndarray, kind: str, params: tuple[float, ...] = ()) -> None: ...
def activate_rows(array: np.ndarray, kind: str, columns: int, num_threads: int) -> None: ...
def derive_rows(output: np.ndarray, gradient: np.ndarray, kind: str, columns: int, num_threads: int) -> None: ...
def transpose(array: np.ndarray) -> np.ndarray: ...
def same_bytes(addresses: list[int], others: list[tuple[int, int]]) -> bool: ...
def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray: ...
def config() -> dict[str, Any]: ...
def default_threads() -> int: ...
def isas() -> list[str]: ...
def fma_peak(num_threads: int) -> float: ...

class Pack: ...

class Recall:
    def __init__(self, context: ContextVar[tuple[int | None, str]]) -> None: ...
    @property
    def call(self) -> Callable[[Any, Any, Any, Any], np.ndarray | None]: ...
    def keep(
        self,
        input: np.ndarray,
        out: np.ndarray | None,
        num_threads: int,
        state: Any,
        plan: Plan,
        pack: Pack,
        output: np.ndarray,
        row_activation: str,
    ) -> None: ...

class Vjp:
    def run(
        self,
        weights: tuple[np.ndarray | None, ...],
        input: np.ndarray,
        kept: np.ndarray | None,
        output_gradient: np.ndarray,
        gradients: tuple[np.ndarray | None, ...],
    ) -> None: ...

class Plan:
    def __init__(
        self,
        op: str,
        dtype: str,
        input_shape: _Quad,
        input_strides: _Quad,
        kernel: _Pair,
        strides: _Pair,
        dilation: _Pair,
        padding: tuple[_Pair, ...],
        multiplier: int,
        filters: int,
        output_strides: _Quad,
        activation: _Form = ("linear", ()),
        depthwise_activation: _Form = ("linear", ()),
        num_threads: int = 0,
        isa: str = "",
        precision: str = "default",
    ) -> None: ...
    @property
    def output_shape(self) -> tuple[int, int, int, int]: ...
    @property
    def pack_key(self) -> int: ...
    @property
    def flops(self) -> float: ...
    def vjp(self, wanted: int, gradient_strides: _Quad) -> Vjp: ...
    def describe(self) -> dict[str, Any]: ...
    def pack(
        self,
        depthwise_kernel: np.ndarray | None,
        depthwise_bias: np.ndarray | None,
        pointwise_kernel: np.ndarray | None,
        bias: np.ndarray | None,
    ) -> Pack: ...
    def run(self, pack: Pack, input: np.ndarray, output: np.ndarray) -> None: ...
    def reference(
        self,
        input: np.ndarray,
        depthwise_kernel: np.ndarray | None,
        depthwise_bias: np.ndarray | None,
        pointwise_kernel: np.ndarray | None,
        bias: np.ndarray | None,
    ) -> np.ndarray: ...

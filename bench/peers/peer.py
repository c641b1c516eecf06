"""What a library has to offer to be compared, from Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .cases import Case, Stage
from .gradients import flat

Data = dict[str, np.ndarray]


class Unsuitable(Exception):
    """The library can't compute this case; the text says why."""


@dataclass
class Candidate:
    """One way in which a library computes a case: `run` is what is timed, `result` makes an array of what it returned. `before` comes
    before every timed call."""

    run: Callable[[], Any]
    result: Callable[[Any], np.ndarray]
    before: Callable[[], Any] = lambda: None


class Peer(ABC):
    """A library in a process of its own. The constructor imports it, so that one that is absent raises ImportError."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @abstractmethod
    def version(self) -> str:
        """What the table's foot says."""

    @abstractmethod
    def prepare(self, case: Case, data: Data) -> dict[str, Candidate]:
        """Everything before the first call, weights packed where the library can: candidates by name, the fastest of which counts.

        For a channels_last case a candidate may keep its input and output in whichever layout it likes best. For a channels_first
        case both must be channels_first.
        """

    def train(self, case: Case, data: Data) -> dict[str, Candidate]:
        """The same of a step of training, for the gradient `dy` of the result: the result and all gradients, which `Candidate.result`
        makes `flat`. In training weights are new in every step: what is made of them belongs to it.
        """
        raise Unsuitable("no training")


def needs_float32(case: Case) -> None:
    if case.dtype != "float32":
        raise Unsuitable(f"no {case.dtype}")


def pick(table: dict[str, Any], activation: str) -> Any:
    """A library's own name or function for an activation."""
    if activation not in table:
        raise Unsuitable(f"no {activation}")
    return table[activation]


def to_first(array: np.ndarray, case: Case) -> np.ndarray:
    """An input of the case as (n, c, h, w)."""
    return array if case.channels_first else np.ascontiguousarray(np.moveaxis(array, -1, 1))


def to_last(array: np.ndarray, case: Case) -> np.ndarray:
    """An input of the case as (n, h, w, c)."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if case.channels_first else array


def from_first(array: Any, case: Case) -> np.ndarray:
    """(n, c, h, w) in the layout of the case."""
    array = np.asarray(array)
    return array if case.channels_first else np.moveaxis(array, 1, -1)


def from_last(array: Any, case: Case) -> np.ndarray:
    """(n, h, w, c) in the layout of the case."""
    array = np.asarray(array)
    return np.moveaxis(array, -1, 1) if case.channels_first else array


def oihw(data: Data, stage: Stage) -> np.ndarray:
    """A stage's weights as grouped convolutions take them: (outputs, inputs of a group, rows, columns)."""
    weights = data[stage.weights]
    if stage.depthwise:
        return np.ascontiguousarray(weights.transpose(2, 3, 0, 1).reshape(stage.outputs, 1, *stage.kernel))
    return np.ascontiguousarray(weights.T[:, :, None, None])


def from_oihw(array: np.ndarray, stage: Stage) -> np.ndarray:
    """The way back, of a gradient."""
    if stage.depthwise:
        return array.reshape(stage.inputs, -1, *stage.kernel).transpose(2, 3, 0, 1)
    return array[:, :, 0, 0].T


def step_of(case: Case, y: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """A step of a library of grouped convolutions, `flat`: `y` and the input's gradient in the layout of the case, then the weights'."""
    x, *weights = gradients
    places = iter(weights)
    found = [y, x]
    for stage in case.stages:
        found.append(from_oihw(next(places), stage))
        if stage.bias:
            found.append(next(places))
    return flat(found)

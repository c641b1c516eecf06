"""Weights that don't change from call to call: what was packed of them is used again as long as they hold the same bits.

A tensor can change by routes that nothing counts (``p.data``, views of NumPy, other processes), so each call compares all bits with a
copy, which takes half as long as packing and a fifth as long as folding normalisations in and packing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor, from_dlpack, nn

from .. import _core, _runtime
from .._plans import Convolution, Weights
from . import _kernels, _ops

# fold(tensors, constants): the four weights of `_ops.call`.
Fold = Callable[[Sequence["Tensor | None"], tuple[Any, ...]], Sequence["Tensor | None"]]


class Source(NamedTuple):
    """What the weights of one call are made of."""

    form: str
    tensors: tuple[Tensor | None, ...]  # the four weights of `_ops.call`, and what `fold` takes beside them
    constants: tuple[Any, ...] = ()
    fold: Fold | None = None

    def weights(self) -> Sequence[Tensor | None]:
        """The four weights of `_ops.call`; their kernels have the shapes of the first four tensors."""
        return self.tensors if self.fold is None else self.fold(self.tensors, self.constants)

    def call(self, x: Tensor) -> Tensor:
        return _ops.call(x, self.weights(), self.form)


class _State(NamedTuple):
    """The weights as `Convolution.run` takes them: computed when they are packed, and not held."""

    source: Source
    problem: _kernels.Problem

    @property
    def arrays(self) -> Weights:
        return _kernels.state_of(self.source.weights(), self.problem).arrays


class _Kept:
    """Weights as they were at one call, and the convolutions that packed them."""

    def __init__(self, source: Source) -> None:
        copies = tuple(None if t is None else t.detach().clone() for t in source.tensors)
        self._source, self._looks = source._replace(tensors=copies), [_look(t) for t in source.tensors]
        self._bytes = [(t.data_ptr(), t.nbytes) for t in copies if t is not None]
        self._calls = _kernels.Calls()
        self._found: dict[Any, tuple[Convolution, _State]] = {}
        # Else a tensor has gaps, or elements that share memory: its bytes don't compare.
        self.comparable = self._looks == [_look(t) for t in copies]

    def holds(self, source: Source) -> bool:
        """Whether `source` is still what it was."""
        mine = self._source
        return (
            (mine.form, mine.constants, mine.fold) == (source.form, source.constants, source.fold)
            and self._looks == [_look(t) for t in source.tensors]
            and _core.same_bytes([t.data_ptr() for t in source.tensors if t is not None], self._bytes)
        )

    def run(self, x: Tensor) -> Tensor:
        form, precision = self._source.form, _runtime.products()
        memory = self._calls.like(form, precision, x)
        found = memory.forward(*_kernels.export(x), None, None, None, None)
        if found is not None:
            return from_dlpack(found)
        key = _kernels.kind_of(form, x)
        if key not in self._found:
            p = _kernels.problem(form, x, self._source.tensors[:4])
            self._found[key] = Convolution(p.spec), _State(self._source, p)
        convolution, state = self._found[key]
        convolution = convolution.at(precision)
        output, plan = _kernels.run(x, state.problem, convolution, state)
        if plan is not None:
            none = (None,) * 4
            _kernels.keep(memory, x, none, output, state.problem, plan, none, convolution.pack(plan, state))
        return output


# By the module whose weights they are, which knows nothing of it: its state, copies and pickles stay what they were.
_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def convolve(owner: nn.Module, x: Tensor, source: Source) -> Tensor:
    """`_ops.call` with weights that belong to the module `owner`."""
    if not _ops.computes_only((x, *source.tensors)):
        return source.call(x)
    kept = _kept.get(owner)
    if kept is None or not kept.holds(source):
        kept = _Kept(source)
        if not kept.comparable:
            return source.call(x)
        _kept[owner] = kept
    return kept.run(_ops.cast(x))


def _look(t: Tensor | None) -> Any:
    """What tells, beside bytes, what a tensor says."""
    return None if t is None else (t.dtype, t.shape, t.stride(), t.is_neg())

"""How the functions of `ops` run, and what is kept of a call for the next."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from functools import lru_cache
from operator import is_
from typing import Any, NamedTuple, cast

import numpy as np

from . import _arguments, _dtypes, _intake, _runtime, activations
from ._arguments import refuse_shape
from ._plans import Convolution, Spec
from ._vjp import Gradients, Pullback, Wanted
from .variables import Variable, moment


class Problem(NamedTuple):
    """Checked arguments: the kernel's shape up to the input channels, the weights, the rest of `Spec`."""

    op: str
    taps: tuple[int, ...]
    weights: tuple[Any, ...]
    options: dict[str, Any]


class Kind(NamedTuple):
    """One of the convolutions: `check(weights, *options)` is its problem; `places` are those of its `weights` among the problem's."""

    check: Callable[..., Problem]
    places: tuple[int, ...]


class _State(NamedTuple):
    """The weights of one call, as `Convolution.run` takes them."""

    arrays: tuple[Any, ...]


class _Lasting(NamedTuple):
    """The same of variables, whose values it doesn't keep alive."""

    spec: Spec
    values: tuple[Any, ...]

    @property
    def arrays(self) -> tuple[Any, ...]:
        return self.spec.weights(*(value and value() for value in self.values))


class _Kept(NamedTuple):
    """A convolution, its weights, and the arguments that its key names by identity."""

    convolution: Convolution
    state: Any
    channels: int
    named: Any


# Convolutions of variables by their arguments, the oldest first. One goes when a value of its variables does.
_kept: dict[Hashable, _Kept] = {}
_lock = threading.Lock()
_MOST = 256


def convolve(
    kind: Kind,
    weights: tuple[Any, ...],
    options: tuple[Any, ...],
    inputs: Any,
    activation: Any,
    out: Any,
    num_threads: Any,
    precision: Any,
) -> np.ndarray:
    """What a function of `ops` returns. The first of the `weights` is a kernel."""
    # A call like the last with this kernel is known by the identity of its arguments, which reads the least memory: layers empty the
    # caches between two calls of one.
    kernel = weights[0]
    arguments = (moment[0], kind, activation, precision, *weights[1:], *options)
    if type(kernel) is Variable and (recent := kernel._store.recent.get(kernel._index)) and all(map(is_, recent[0], arguments)):
        convolution = recent[1]()
        output: np.ndarray | None = convolution and convolution.recall(inputs, out, num_threads, recent[2])
        if output is not None:
            return output
    threads, precision = _runtime.threads(num_threads), _runtime.products(precision)
    key = _key(kind, weights, options, inputs, activation, precision)
    kept = _kept.get(key) if key else None
    if kept is None:
        kept = _make(kind.check(weights, *options), _intake.as_array(inputs), activation, precision, key is not None)
        if key:
            kept = _keep(key, kept, dict(zip(kind.places, weights, strict=True)), (activation, options))
    if key and all(map(_lasts, (activation, *options))):
        kernel._store.recent[kernel._index] = arguments, weakref.ref(kept.convolution), kept.state
    return kept.convolution.run(inputs, _taken(kept, inputs), out, threads, kept.state)


def _keep(key: Hashable, kept: _Kept, variables: dict[int, Any], named: Any) -> _Kept:
    """`kept` for calls with this key, as long as none of the `variables` is assigned to."""
    values = [variables.get(place) for place in range(4)]
    references = tuple(None if v is None else weakref.ref(v._array, lambda _: _kept.pop(key, None)) for v in values)
    kept = kept._replace(state=_Lasting(kept.convolution.spec, references), named=named)
    with _lock:
        while len(_kept) >= _MOST:
            _kept.pop(list(_kept)[0], None)
        _kept[key] = kept
    return kept


def _key(kind: Kind, weights: Any, options: Any, inputs: Any, activation: Any, precision: str) -> Hashable:
    """What tells a call apart whose weights can't change but by assignment; None for others."""
    if type(inputs) is not np.ndarray:
        return None
    values = [None if w is None else isinstance(w, Variable) and id(w._array) for w in weights]
    return None if False in values else (kind, inputs.dtype, precision, _tag(activation), *map(_tag, options), *values)


def _tag(argument: Any) -> Hashable:
    """Words and whole numbers as they are; other plain values by what they say, since True == 1; others by identity."""
    if isinstance(argument, np.ndarray):
        argument = argument.tolist()
    if type(argument) is str or type(argument) is int or argument is None:
        return cast(Hashable, argument)
    return repr(argument) if isinstance(argument, (str, int, float, tuple, list, dict)) else id(argument)


def _lasts(argument: Any) -> bool:
    """Whether an argument says the same as long as it is the same object."""
    if type(argument) is tuple:
        return all(map(_lasts, argument))
    return argument is None or type(argument) in (str, int) or callable(argument)


def differentiate(
    kind: Kind,
    weights: tuple[Any, ...],
    options: tuple[Any, ...],
    inputs: Any,
    activation: Any,
    input: Any,
    num_threads: Any,
    precision: Any,
) -> tuple[np.ndarray, Callable[[Any], Gradients]]:
    """What a function of `ops` named `*_vjp` returns."""
    threads, flows = _runtime.threads(num_threads), _arguments.boolean(input, "input")
    problem = kind.check(weights, *options)
    kept = _make(problem, _intake.as_array(inputs), activation, _runtime.products(precision), False)
    array = _taken(kept, inputs)
    output, pull = kept.convolution.linearize(inputs, array, threads, kept.state)
    given = [(place, problem.weights[place]) for place in kind.places]
    wanted = [Wanted(i, w.astype(_dtypes.floating(w.dtype), copy=False)) for i, w in given if w is not None]
    pullback = Pullback(pull, output, wanted, flows)
    return output, lambda dy: pullback(dy)


def _make(problem: Problem, array: np.ndarray, activation: Any, precision: str, lasting: bool) -> _Kept:
    with _arguments.within("activation"):
        function = activations.get(activation)
        core = activations.core_form(function)
    *kernel, channels = problem.taps
    options = {**problem.options, "activation": core} if core else problem.options
    spec = Spec(op=problem.op, dtype=_dtypes.floating(array.dtype), kernel=tuple(kernel), **options).at(precision)
    convolution = _plans(spec) if core and not lasting else Convolution(spec, finish=None if core else function)
    return _Kept(convolution, _State(spec.weights(*problem.weights)), channels, None)


@lru_cache(maxsize=64)
def _plans(spec: Spec) -> Convolution:
    """Where calls with weights of their own find their plans."""
    return Convolution(spec, lasting=False)


def _taken(kept: _Kept, inputs: Any) -> np.ndarray:
    """`inputs` as the core reads them."""
    spec, array = kept.convolution.spec, _intake.as_array(inputs)
    if array.ndim != spec.rank + 2:
        refuse_shape("inputs", f"an array of {spec.rank + 2} axes, beside a kernel for {spec.rank} spatial", array.shape)
    if array.shape[spec.channel_axis] != kept.channels:
        refuse_shape("inputs", f"of {kept.channels} channels on axis {spec.channel_axis}, as the kernel is", array.shape)
    return kept.convolution.intake(array)

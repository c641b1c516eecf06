"""One convolution as functions of NumPy arrays, for the backends that compute on arrays or hand their tensors over as such."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import _runtime
from .._arguments import Shape
from .._plans import Convolution, Spec


class _State(NamedTuple):
    """The weights of one call, as `Convolution` takes them."""

    arrays: tuple[Any, ...]


class Problem(NamedTuple):
    """A convolution, which of (depthwise kernel, its bias, pointwise kernel, bias) it has, and the options of the context it came from:
    callbacks run in threads that don't know them. Hashable, so that compilers may keep it.

    Its methods take anything that NumPy can view, and look at it through NumPy only: an operation of JAX inside a callback would wait for
    the thread that the callback holds.
    """

    spec: Spec
    places: tuple[int, ...]
    num_threads: int | None = None
    precision: str = "default"

    def output_shape(self, shape: Any) -> Shape:
        """The output's shape for an input's; None stays None."""
        return self.spec.output_shape(tuple(shape))

    def forward(self, x: Any, *weights: Any) -> np.ndarray:
        """The output. Weights are packed anew, since any of them may have changed."""
        convolution = _convolution(self.spec).at(self.precision)
        array = convolution.intake(np.asarray(x))
        return convolution.run(array, array, None, _runtime.threads(self.num_threads), self._state(weights))

    def backward(self, wanted: tuple[bool, ...], x: Any, *arrays: Any) -> list[np.ndarray]:
        """Gradients of those of (x, *weights) that are `wanted`; `arrays` are the weights, then the output's gradient."""
        *weights, dy = map(np.asarray, arrays)
        convolution = _convolution(self.spec)
        state = self._state(weights)
        up = np.ascontiguousarray(dy, self.spec.dtype)
        places = [place for place, flag in zip(self.places, wanted[1:], strict=True) if flag]
        array = convolution.intake(np.asarray(x))
        prepared = convolution.prepare(array, None, _runtime.threads(self.num_threads))
        of_input, found = convolution.gradients(prepared, array, None, up, wanted[0], places, state)
        given = dict(zip(self.places, weights, strict=True))
        gradients = [found[place].reshape(given[place].shape).astype(given[place].dtype, copy=False) for place in places]
        return gradients if of_input is None else [of_input, *gradients]

    def _state(self, weights: Any) -> _State:
        given = dict(zip(self.places, map(np.asarray, weights), strict=True))
        return _State(self.spec.weights(*(given.get(place) for place in range(4))))


@lru_cache(maxsize=256)
def _convolution(spec: Spec) -> Convolution:
    """Where layers of the same arguments find their plans."""
    return Convolution(spec, lasting=False)


def problem(dtype: Any, weights: tuple[Any, ...], options: dict[str, Any]) -> tuple[Problem, list[Any]]:
    """The convolution that `weights`, in Keras's shapes and None where absent, and `options` say, and the weights that are there."""
    depthwise, _, pointwise, _ = weights
    spec = Spec(
        op="pointwise" if depthwise is None else "depthwise" if pointwise is None else "separable",
        dtype=np.dtype(dtype),
        kernel=tuple(int(n) for n in (pointwise if depthwise is None else depthwise).shape[:-2]),
        multiplier=1 if depthwise is None else int(depthwise.shape[-1]),
        filters=0 if pointwise is None else int(pointwise.shape[-1]),
        **options,
    )
    places = tuple(place for place, weight in enumerate(weights) if weight is not None)
    precision = _runtime.products()
    spec.at(precision)  # an error of the call, not of the callback
    return Problem(spec, places, _runtime.most_threads(), precision), [weights[place] for place in places]

"""One convolution, ready to be called: its plans by shape of the input, its packed weights, and the run. Layers and ops use it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _core, _geometry, _intake, _runtime
from ._arguments import LARGEST, Shape, refuse
from ._finish import finish, finish_vjp, finished_shape
from ._vjp import Pull
from .activations._along_axis import rows_form

# A shape that comes back finds its plan; a stream of new shapes doesn't fill the memory.
_PLANS = 16

Activation = tuple[str, tuple[float, ...]]
Weights = tuple["np.ndarray | None", ...]
_LINEAR: Activation = ("linear", ())


@dataclass(frozen=True)
class Spec:
    """All of a convolution that doesn't depend on its input. Tuples have `rank` entries; `padding` is a word or pairs (before, after)."""

    op: str
    dtype: np.dtype[Any]
    data_format: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Any
    multiplier: int = 1
    filters: int = 0
    activation: Activation = _LINEAR
    depthwise_activation: Activation = _LINEAR
    precision: str = "default"

    def at(self, precision: str) -> Spec:
        """The same in another precision. A depthwise convolution has none."""
        if precision == self.precision or self.op == "depthwise":
            return self
        if self.dtype.itemsize == 8:
            refuse("precision", "'default' where the computation is in float64", precision)
        return replace(self, precision=precision)

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def channel_axis(self) -> int:
        return self.rank + 1 if self.data_format == "channels_last" else 1

    def output_shape(self, shape: Shape) -> Shape:
        """The output's shape for an input's, both in the layout of `data_format`; None stays None."""
        channels = shape[self.channel_axis]
        filters: Any = self.filters
        if self.op == "depthwise":
            filters = None if channels is None else channels * self.multiplier
        return _geometry.output_shape(
            shape,
            filters=filters,
            kernel=self.kernel,
            strides=self.strides,
            dilation=self.dilation,
            padding=self.padding,
            data_format=self.data_format,
        )

    def _nhwc(self, values: tuple[int, ...], height: int) -> tuple[int, ...]:
        """`values` of the user's axes, in the core's order; rank 1 is an image of one row, whose value is `height`."""
        n, *rest = values
        *spatial, c = rest if self.data_format == "channels_last" else (*rest[1:], rest[0])
        return (n, *(height,) * (2 - self.rank), *spatial, c)

    def contiguous_strides(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Those of an array of `shape`, counted in elements, in the core's order."""
        strides = _contiguous_strides(shape)
        return self._nhwc(strides, strides[0])

    def weights(self, depthwise: Any, depthwise_bias: Any, pointwise: Any, bias: Any) -> Weights:
        """Weights in Keras's shapes, None where absent, as `_core.Plan.pack` takes them: of one dtype, contiguous, for two axes."""
        if depthwise is not None:
            depthwise = np.reshape(depthwise, (1,) * (2 - self.rank) + np.shape(depthwise))
        if pointwise is not None:
            pointwise = np.reshape(pointwise, (-1, self.filters))
        arrays = (depthwise, depthwise_bias, pointwise, bias)
        return tuple(None if array is None else np.ascontiguousarray(array, self.dtype) for array in arrays)

    def _check_sizes(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        """Refuse what 64 bits can't count, with the name of the argument that makes it so large; the core and the bindings know no names."""
        output: Any = self.output_shape(shape)
        spatial = slice(1, -1) if self.data_format == "channels_last" else slice(2, None)
        pads = _geometry.axis_paddings(self.padding, self.rank)
        axes = zip(strides[spatial], shape[spatial], self.kernel, self.strides, self.dilation, pads, strict=True)
        cause = next(filter(None, (_geometry.too_large(*axis) for axis in axes)), None)
        if cause is None:
            depth, packed = shape[self.channel_axis] * self.multiplier, 128  # what blocks and panels may add
            counts = (
                math.prod(n or 1 for n in shape),
                math.prod(n or 1 for n in output),
                (depth + packed * self.multiplier) * math.prod(self.kernel),
                (depth + packed) * (output[self.channel_axis] + packed),
            )
            if max(counts) * 8 <= LARGEST:
                return
            cause = _geometry.largest(
                input_shape=max(shape),
                padding=0 if isinstance(self.padding, str) else max(map(max, self.padding)),
                filters=self.filters,
                depth_multiplier=self.multiplier,
                kernel_size=max(self.kernel),
            )
        raise ValueError(
            f"The `{cause}` argument must be smaller, so that all positions and bytes can be counted in 64 bits. "
            f"Received: input shape={shape}, kernel_size={self.kernel}, strides={self.strides}, dilation_rate={self.dilation}, "
            f"padding={self.padding!r}, depth_multiplier={self.multiplier}, filters={self.filters}, output shape={output}"
        )

    def plan(self, shape: tuple[int, ...], strides: tuple[int, ...], out_strides: tuple[int, ...], num_threads: int) -> Any:
        """A plan for an input of `shape`. All three tuples are in the user's order; strides count elements."""
        self._check_sizes(shape, strides)
        missing = 2 - self.rank
        kernel, steps, dilation = ((1,) * missing + pair for pair in (self.kernel, self.strides, self.dilation))
        paddings = ("valid",) * missing + _geometry.axis_paddings(self.padding, self.rank)
        sizes = self._nhwc(shape, 1)
        return _core.Plan(
            op=self.op,
            dtype=self.dtype.name,
            input_shape=sizes,
            input_strides=self._nhwc(strides, strides[0]),
            kernel=kernel,
            strides=steps,
            dilation=dilation,
            padding=tuple(_geometry.pad_amounts(*axis) for axis in zip(sizes[1:3], kernel, steps, dilation, paddings, strict=True)),
            multiplier=self.multiplier,
            filters=self.filters,
            output_strides=self._nhwc(out_strides, out_strides[0]),
            activation=self.activation,
            depthwise_activation=self.depthwise_activation,
            num_threads=num_threads,
            precision=self.precision,
        )


class Prepared:
    """What calls of one input shape share: the plan (None if the output is empty) and what the output is."""

    __slots__ = ("plan", "shape", "dtype", "vjps")

    def __init__(self, plan: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.plan, self.shape, self.dtype = plan, shape, dtype
        self.vjps: dict[int, Any] = {}  # by what is wanted


class Convolution:
    """One convolution with its last plans and its packs.

    Parameters
    ----------
    spec : Spec
    arrange : callable
        ``arrange(arrays)`` gives (depthwise kernel, depthwise bias, pointwise kernel, bias) in the shapes that the core takes, from the
        `arrays` of the state that a call brings. The default is for those that come in this order and these shapes.
    finish : callable or None
        An activation that the core doesn't know, to be applied to the whole output.
    autocast : bool
        Whether inputs of another dtype are converted.
    lasting : bool
        Whether packs are kept for the next call with the same state; else every call packs its own.
    """

    def __init__(
        self,
        spec: Spec,
        arrange: Callable[[Any], Weights] = tuple,
        finish: Callable[..., Any] | None = None,
        autocast: bool = True,
        lasting: bool = True,
    ) -> None:
        self.spec = spec
        self._lasting = lasting
        self._arrange = arrange
        self._finish = finish
        self._autocast = autocast
        self._prepared: dict[Any, Prepared] = {}
        self._packs: dict[int, tuple[Any, Any]] = {}
        self._lock = threading.Lock()
        self._before: Convolution | None = None
        self._others: dict[str, Convolution] = {}
        # The short way: recall(inputs, out, num_threads, state) is the result of a call like one of the last in a context like this
        # one, or None. `num_threads` may be None.
        self.recall, self._keep = _core.recall(_runtime.context)

    def at(self, precision: str) -> Convolution:
        """The same convolution in another precision, with plans and packs of its own."""
        if precision == self.spec.precision:
            return self
        found = self._others.get(precision)
        if found is None:
            spec = self.spec.at(precision)
            if spec is self.spec:
                return self
            found = Convolution(spec, self._arrange, self._finish, self._autocast, self._lasting)
            found.recall, found._keep = self.recall, self._keep
            found = self._others.setdefault(precision, found)
        return found

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of what `run` returns; None stays None."""
        return finished_shape(self._finish, self.spec.output_shape(shape))

    def intake(self, inputs: Any) -> np.ndarray:
        """`inputs` as an array that the core can read."""
        return _intake.to_dtype(_intake.as_array(inputs), self.spec.dtype, self._autocast)

    def prepare(self, array: np.ndarray, out: np.ndarray | None, num_threads: int, inputs: Any = None) -> Prepared:
        """Find or make the plan for `array`, which `intake` gave for `inputs`, and check `out`."""
        if out is not None:
            axes = (self.spec.channel_axis, -2 if self.spec.channel_axis > 1 else -1)
            _intake.check_out(out, self.output_shape(array.shape), self.spec.dtype, (inputs, array), axes)
        if self._finish is not None:
            out = None  # the core writes an array of its own
        form = None if out is None else (out.shape, out.strides, out.dtype)
        key = (array.shape, array.strides, array.dtype, form, num_threads)
        found = self._prepared.get(key)
        if found is None:
            found = self._make(array, out, num_threads)
            with self._lock:
                while len(self._prepared) >= _PLANS:
                    del self._prepared[next(iter(self._prepared))]
                self._prepared[key] = found
        return found

    def _make(self, array: np.ndarray, out: np.ndarray | None, num_threads: int) -> Prepared:
        shape: Any = self.spec.output_shape(array.shape)
        if 0 in shape:
            return Prepared(None, shape, self.spec.dtype)
        strides = tuple(s // array.itemsize for s in array.strides)
        out_strides = _contiguous_strides(shape) if out is None else tuple(s // out.itemsize for s in out.strides)
        return Prepared(self.spec.plan(array.shape, strides, out_strides, num_threads), shape, self.spec.dtype)

    def describe(self, shape: tuple[int, ...], num_threads: int) -> dict[str, Any]:
        """What the core would do with a contiguous input of `shape`."""
        output: Any = self.spec.output_shape(shape)
        plan = self.spec.plan(shape, _contiguous_strides(shape), _contiguous_strides(output), num_threads)
        return {"input_shape": shape, "output_shape": output, **plan.describe()}

    def run(self, inputs: Any, array: np.ndarray, out: np.ndarray | None, num_threads: int, state: Any) -> np.ndarray:
        """Compute into `out`, or into a new array, from `array`, which `intake` gave for `inputs`.

        `state.arrays` are the weights; their pack is kept as long as the same `state` comes.
        """
        output = self._run(self.prepare(array, out, num_threads, inputs), array, out, num_threads, state)
        return output if self._finish is None else finish(self._finish, output, out, num_threads)

    def _run(self, prepared: Prepared, array: np.ndarray, out: np.ndarray | None, num_threads: int, state: Any) -> np.ndarray:
        """What the core computes, before an activation that it doesn't know."""
        output = out if out is not None and self._finish is None else _core.empty(prepared.shape, prepared.dtype)
        plan = prepared.plan
        if plan is not None and not self._lasting:
            plan.run(plan.pack(*self._arrange(state.arrays)), array, output)
        elif plan is not None:
            pack = self.pack(plan, state)
            plan.run(pack, array, output)
            rows = rows_form(self._finish) or ""
            if self._finish is None or (rows and out is None):
                self._keep(array, out, num_threads, state, plan, pack, output, rows)
        return output

    def pack(self, plan: Any, state: Any) -> Any:
        """The weights of `state` as `plan` takes them, which last until another state comes."""
        packed = self._packs.get(plan.pack_key)
        if packed is None or packed[0] is not state:
            packed = self._packs[plan.pack_key] = (state, plan.pack(*self._arrange(state.arrays)))
        return packed[1]

    def linearize(self, inputs: Any, array: np.ndarray, num_threads: int, state: Any) -> tuple[np.ndarray, Pull]:
        """What `run` computes, and how gradients of that become those of `array` and of the weights, in the order of `Spec.weights`."""
        prepared = self.prepare(array, None, num_threads, inputs)
        output, kept = self.keeping(prepared, array, num_threads, state)
        back: Callable[[np.ndarray], np.ndarray] | None = None
        if self._finish is not None:
            output, back = finish_vjp(self._finish, output, num_threads)

        def pull(dy: np.ndarray, input: bool, wanted: Sequence[int]) -> tuple[np.ndarray | None, list[Any]]:
            return self.gradients(prepared, array, kept, dy if back is None else back(dy), input, wanted, state)

        return output, pull

    def keeping(self, prepared: Prepared, array: np.ndarray, num_threads: int, state: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """What the core computes, and what `gradients` needs of it: nothing, the same, or the convolution before its activation."""
        keeps = _core.activation_keeps(*self.spec.activation)
        if keeps != 2:
            output = self._run(prepared, array, None, num_threads, state)
            return output, output if keeps == 1 else None
        if self._before is None:
            self._before = Convolution(replace(self.spec, activation=_LINEAR), self._arrange, None, self._autocast, self._lasting)
        kept = self._before.run(array, array, None, num_threads, state)
        if self.spec.dtype.itemsize == 2:  # what is kept has been rounded
            return self._run(prepared, array, None, num_threads, state), kept
        output = _core.empty(kept.shape, kept.dtype)
        output[...] = kept
        _core.activate(output, *self.spec.activation)
        return output, kept

    def gradients(
        self,
        prepared: Prepared,
        array: np.ndarray,
        kept: np.ndarray | None,
        dy: np.ndarray,
        input: bool,
        wanted: Sequence[int],
        state: Any,
        transposed: bool = False,
    ) -> tuple[np.ndarray | None, list[Any]]:
        """From that of the output, those of `array` and, at the places `wanted`, of the weights; None elsewhere. The pointwise kernel's
        may be `transposed`, but with a multiplier."""
        sums = np.dtype(np.float64 if self.spec.dtype.itemsize == 8 else np.float32)
        weights = tuple(None if w is None else w.astype(sums, copy=False) for w in self._arrange(state.arrays))
        transposed = transposed and 2 in wanted and weights[2] is not None
        found: list[Any] = [
            _core.empty(w.shape[::-1] if transposed and i == 2 else w.shape, sums) if i in wanted and w is not None else None
            for i, w in enumerate(weights)
        ]
        of_input = _core.empty(array.shape, array.dtype) if input else None
        if prepared.plan is None:
            for gradient in filter(lambda g: g is not None, (of_input, *found)):
                gradient[...] = 0
            return of_input, found
        mask = input + sum(2 << i for i, gradient in enumerate(found) if gradient is not None) + 32 * transposed
        vjp = prepared.vjps.get(mask)
        if vjp is None:
            vjp = prepared.vjps[mask] = prepared.plan.vjp(mask, self.spec.contiguous_strides(array.shape))
        if mask:
            vjp.run(weights, array, kept, dy, (of_input, *found))
        return of_input, found


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))

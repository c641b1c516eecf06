"""Layers that follow one another, computed in one pass when a model predicts.

Keras calls the operations of a functional model one by one. An accelerated model looks first which of them one convolution of ours can
stand for: zero padding, a convolution, batch normalisation with its moving statistics folded into the weights, an activation, and after
a depthwise convolution a 1x1 with the same behind it. The first of these layers then computes for all, and the others hand on what they
get. Nothing is kept from call to call: weights, settings and hooks are those of the moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import keras
from keras.src.backend.common.variables import get_autocast_scope

from .._plans import Activation
from . import _layers
from ._layers import on

_LINEAR: Activation = ("linear", ())
_DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
_SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
_POINTWISE = (_layers.Conv1D, _layers.Conv2D)
_NORMS = (keras.layers.BatchNormalization, _layers.BatchNormalization)
_PADS = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D)
# Exact types, since a subclass may compute something else.
_KNOWN = (*_DEPTHWISE, *_SEPARABLE, *_POINTWISE, *_NORMS, *_PADS, keras.layers.ReLU, keras.layers.Activation)


def fuse(model: Any) -> None:
    """Let a Sequential or functional model of Keras compute in few passes, where it predicts."""
    graph = getattr(model, "_functional", model)
    if on.FUSES and hasattr(graph, "_nodes_by_depth"):
        sequences = list(_sequences(graph))
        if sequences:
            graph._run_through_graph = _Run(graph, sequences)


class _Run:
    """In place of the method of Keras by which a functional model calls its layers."""

    def __init__(self, graph: Any, sequences: list[list[Any]]) -> None:
        self._plain = graph._run_through_graph
        self._sequences = sequences
        self._mode = _Mode(name="mode", dtype="float32", autocast=False)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """The outputs for `inputs`. Of `options`, Keras gives `operation_fn`, which says how to call a layer, training or not."""
        given = keras.tree.flatten(inputs)
        prepare: Any = options.get("operation_fn")
        unusual = len(options) != 1 or prepare is None or get_autocast_scope() is not None or not all(map(_is_plain, given))
        if unusual or (training := prepare(self._mode)(given[0])):
            return self._plain(inputs, **options)
        firsts: dict[int, _Pass] = {}
        for sequence in self._sequences:
            firsts.update((id(found.members[0]), found) for found in _passes(sequence))
        done: set[int] = set()

        def call(found: _Pass, x: Any, **nothing: None) -> Any:
            # Where nobody has said, Keras lets layers that are called with `training` decide for those that come later.
            if training is None and prepare(self._mode)(x) or not found.takes(x):
                return prepare(found.members[0])(x, **nothing)
            done.update(map(id, found.members[1:]))
            return found(x)

        def operation(layer: Any) -> Any:
            if id(layer) in done:
                return _same
            return partial(call, firsts[id(layer)]) if id(layer) in firsts else prepare(layer)

        return self._plain(inputs, operation_fn=operation)


class _Mode(keras.layers.Layer):
    """Tells whether a layer that is called now is to train, by Keras's own rules."""

    def call(self, inputs: Any, training: bool | None = None) -> bool | None:
        """Whether; None where nobody has said, which means no."""
        return training


def _is_plain(tensor: Any) -> bool:
    """Whether `tensor` has numbers, all of which count."""
    return keras.ops.is_tensor(tensor) and getattr(tensor, "_keras_mask", None) is None


def _same(x: Any, **nothing: None) -> Any:
    return x


def _sequences(graph: Any) -> Iterator[list[Any]]:
    """The layers of `graph` that follow one another, with nobody else to see what passes between them."""
    nodes = [node for level in graph._nodes_by_depth.values() for node in level if not node.is_input]
    times = Counter(id(node.operation) for node in nodes)
    readers = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    readers.update(map(id, graph.outputs))

    def fits(node: Any) -> bool:
        given, named = node.arguments.args, node.arguments.kwargs.values()  # Keras names masks, and None for them
        plain = len(given) == len(node.input_tensors) == len(node.outputs) == 1 and all(value is None for value in named)
        return plain and type(node.operation) in _KNOWN and times[id(node.operation)] == 1

    fitting = {id(node.input_tensors[0]): node for node in nodes if fits(node)}
    follows = {id(node): fitting.get(id(node.outputs[0])) for node in fitting.values() if readers[id(node.outputs[0])] == 1}
    followers = {id(node) for node in follows.values()}
    for node in fitting.values():
        sequence = []
        at = None if id(node) in followers else node
        while at is not None:
            sequence.append(at.operation)
            at = follows.get(id(at))
        if len(sequence) > 1:
            yield sequence


class _Pass(NamedTuple):
    """What one convolution computes, and for which layers."""

    members: list[Any]
    pads: Any
    first: Any
    first_norm: Any
    first_activation: Activation
    second: Any
    norm: Any
    activation: Activation

    def takes(self, x: Any) -> bool:
        """Whether it computes for `x` what the layers would, one by one."""
        if not on.fuses(x) or not _is_plain(x) or len(x.shape) != self.first.rank + 2:
            return False
        axis = 1 if self.first.data_format == "channels_first" else -1
        kernels = self.first._weights_of_the_core()
        if x.shape[axis] != (kernels[2] if kernels[0] is None else kernels[0]).shape[-2]:
            return False
        dtype = keras.backend.standardize_dtype(x.dtype)
        return dtype in ("float32", "float64") and all(m.compute_dtype == m.variable_dtype == dtype for m in self.members)

    def __call__(self, x: Any) -> Any:
        first, second = self.first, self.second
        depthwise, depthwise_bias, pointwise, bias = map(_value, first._weights_of_the_core())
        if pointwise is None:
            kernel, term = _fold(depthwise, bias, self.first_norm, depthwise.shape[-2:])
            weights = (kernel, None, None, term)
            if second is not None:
                _, _, pointwise, bias = map(_value, second._weights_of_the_core())
                weights = (kernel, term, *_fold(pointwise, bias, self.norm))
        else:
            weights = (depthwise, depthwise_bias, *_fold(pointwise, bias, self.first_norm))
        return on.convolve(
            x,
            *weights,
            strides=first.strides,
            padding=self.pads or first.padding,
            dilation=first.dilation_rate,
            data_format=first.data_format,
            activation=self.first_activation if second is None else self.activation,
            depthwise_activation=_LINEAR if second is None else self.first_activation,
        )


def _passes(layers: list[Any]) -> Iterator[_Pass]:
    """Those of consecutive layers that stand for more than one."""
    at = begin = 0

    def take(found: Callable[[Any], Any]) -> Any:
        """What is found in the next layer, if a call of it is what it computes, and no more."""
        nonlocal at
        if at == len(layers) or not _is_quiet(layers[at]):
            return None
        result = found(layers[at])
        at += result is not None
        return result

    while at < len(layers):
        begin = at
        padding = take(_of(_PADS))
        first = take(_of((*_DEPTHWISE, *_SEPARABLE, *_POINTWISE)))
        form = None if first is None else _layers.form_of(first.activation)
        if form is None or padding is not None and not _pads(padding, first):
            at = begin + 1
            continue
        first_norm, first_activation = _tail(take, first, form)
        second, norm, activation = None, None, _LINEAR
        if type(first) in _DEPTHWISE:
            second = take(partial(_follows, first))
        if second is not None:
            norm, activation = _tail(take, second, _layers.form_of(second.activation))
        if at > begin + 1:
            pads = None if padding is None else _pads(padding, first)
            yield _Pass(layers[begin:at], pads, first, first_norm, first_activation, second, norm, activation)


def _tail(take: Callable[..., Any], conv: Any, form: Any) -> tuple[Any, Activation]:
    """The batch normalisation and the activation that come after a convolution whose own activation is `form`."""
    if form != _LINEAR:
        return None, form
    return take(partial(_normalises, conv)), take(_form) or _LINEAR


def _of(types: tuple[type, ...]) -> Callable[[Any], Any]:
    return lambda layer: layer if type(layer) in types else None


def _is_quiet(layer: Any) -> bool:
    """Whether a call of `layer` is its computation, and no more."""
    return layer.activity_regularizer is None and "call" not in vars(layer) and on.is_quiet(layer)


def _pads(padding: Any, conv: Any) -> Any:
    """The zeros that `padding` adds, if `conv` can do it, (before, after) for each axis."""
    if type(conv) in _POINTWISE or conv.padding != "valid" or getattr(padding, "data_format", "channels_last") != conv.data_format:
        return None
    return (padding.padding,) if conv.rank == 1 else padding.padding


def _follows(first: Any, layer: Any) -> Any:
    """`layer`, if it is a 1x1 convolution that takes all pixels of `first`."""
    plain = type(layer) in _POINTWISE and set(layer.strides) == {1} and layer.data_format == first.data_format
    return layer if plain and layer.rank == first.rank and _layers.form_of(layer.activation) is not None else None


def _normalises(conv: Any, layer: Any) -> Any:
    """`layer`, if it is a batch normalisation of the channels of `conv`."""
    axes = (1,) if conv.data_format == "channels_first" else (-1, conv.rank + 1)
    return layer if type(layer) in _NORMS and layer.axis in axes and not getattr(layer, "renorm", False) else None


def _form(layer: Any) -> Activation | None:
    """How the core calls an activation layer."""
    if type(layer) is keras.layers.Activation:
        return _layers.form_of(layer.activation)
    if type(layer) is keras.layers.ReLU and not layer.negative_slope and not layer.threshold:
        return ("relu", ()) if layer.max_value is None else ("relu6", ()) if layer.max_value == 6 else None
    return None


def _value(variable: Any) -> Any:
    return None if variable is None else keras.ops.convert_to_tensor(variable)


def _fold(kernel: Any, bias: Any, norm: Any, shape: Any = (-1,)) -> tuple[Any, Any]:
    """Kernel and bias of a convolution and the normalisation after it. `shape` is that of the channels in the kernel's last axes."""
    if norm is None:
        return kernel, bias
    factor = (_value(norm.moving_variance) + norm.epsilon) ** -0.5
    if norm.scale:
        factor = factor * _value(norm.gamma)
    mean = _value(norm.moving_mean)
    term = -mean * factor if bias is None else (bias - mean) * factor
    return kernel * factor.reshape(shape), term + _value(norm.beta) if norm.center else term

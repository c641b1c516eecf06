"""Activations, as functions of arrays and by the names that they have in Keras.

A layer takes one as a name, a dictionary of Keras's, one of these functions, `functools.partial` of one with its parameters by
keyword, or any function of an array that returns an array of the same shape. `ReLU`, `LeakyReLU`, `ELU` and `Softmax` give such
partial functions, and are written as the layers of Keras that have these names.

Called directly, each takes an array of real numbers, of any shape and dtype, and returns a new one of the dtype that it computes
in: float16, bfloat16, float32 and float64 stay, all else becomes float32. The elementwise ones are computed by the native core,
so their bits are those of a layer, and so are softmax and log_softmax. The others (sparsemax, glu) are NumPy's. 16-bit types compute
in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .._registry import Registry, is_keras
from . import _along_axis, _elementwise
from ._along_axis import glu, log_softmax, softmax, sparsemax
from ._derived import vjp
from ._elementwise import (
    celu,
    core_form,
    elu,
    exponential,
    gelu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    linear,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)

__all__ = [
    "ELU", "LeakyReLU", "ReLU", "Softmax", "celu", "core_form", "deserialize", "elu", "exponential", "gelu", "get", "glu",
    "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax",
    "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
    "vjp",
]  # fmt: skip

swish, hard_swish = silu, hard_silu

Activation = Callable[..., np.ndarray]


def ReLU(max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0) -> Activation:
    """`relu` with these parameters, as a function of an array alone.

    Examples
    --------
    >>> ReLU(max_value=2)([-1.0, 1.0, 3.0])
    array([0., 1., 2.])
    """
    return partial(relu, max_value=max_value, negative_slope=negative_slope, threshold=threshold)


def LeakyReLU(negative_slope: float = 0.3) -> Activation:
    """`leaky_relu` with this slope, as a function of an array alone. The default is that of Keras's layer."""
    return partial(leaky_relu, negative_slope=negative_slope)


def ELU(alpha: float = 1.0) -> Activation:
    """`elu` with this factor, as a function of an array alone."""
    return partial(elu, alpha=alpha)


def Softmax(axis: Any = -1) -> Activation:
    """`softmax` along this axis, as a function of an array alone."""
    return partial(softmax, axis=axis)


# By the functions that they bind.
_LAYERS: dict[Any, Callable[..., Activation]] = {relu: ReLU, leaky_relu: LeakyReLU, elu: ELU, softmax: Softmax}


def _maker(layer: Callable[..., Activation]) -> Callable[[Mapping[str, Any]], Activation]:
    def make(config: Mapping[str, Any]) -> Activation:
        # What all layers have. tf_keras calls the slope alpha.
        options = {key: value for key, value in config.items() if key not in ("name", "trainable", "dtype")}
        if layer is LeakyReLU and "alpha" in options:
            options["negative_slope"] = options.pop("alpha")
        function = layer(**options)
        core_form(function)  # which refuses wrong parameters
        return function

    return make


_NAMES = {function.__name__: function for function in (*_elementwise.FUNCTIONS, *_along_axis.FUNCTIONS)}
_REGISTRY = Registry(
    "activation",
    {**_NAMES, "swish": silu, "hard_swish": hard_silu},
    "f(array) -> array of the same shape",
    makers={layer.__name__: _maker(layer) for layer in _LAYERS.values()},
)


def get(identifier: Any) -> Any:
    """The function that `identifier` is or stands for; `linear` for None.

    Parameters
    ----------
    identifier : str, dict, callable or None

    Raises
    ------
    ValueError
        If it is a name that isn't known; names have Keras's case, ``"relu"``.
    TypeError
        If it is something else.

    Examples
    --------
    >>> get("swish") is silu
    True
    """
    return linear if identifier is None else _REGISTRY.get(identifier)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A function from its name or from what `serialize` or Keras wrote; `custom_objects` are functions and classes by name.

    Raises
    ------
    ValueError, TypeError
        As `get`.
    """
    return linear if config is None else _REGISTRY.deserialize(config, custom_objects)


def serialize(activation: Any) -> Any:
    """`activation` as ``keras.activations.serialize`` writes it: the name of one of ours, else a dictionary.

    Raises
    ------
    ValueError
        If it has no name by which it could be found again, or has the name of one of ours and isn't.

    Examples
    --------
    >>> serialize(silu)
    'silu'
    >>> serialize(ELU(0.5))
    {'module': 'keras.layers', 'class_name': 'ELU', 'config': {'alpha': 0.5}, 'registered_name': None}
    """
    name = getattr(activation, "__name__", None)
    if name in _NAMES:
        # Keras's own function of that name is read back as ours, which computes the same.
        if activation is not _NAMES[name] and not is_keras(activation):
            raise ValueError(
                f"The activation {activation!r} can't be written to a configuration under the name of ours, {name!r}: rename it. "
                f"Received: a function of {activation.__module__}"
            )
        return name
    if isinstance(activation, partial) and not activation.args and activation.func in _LAYERS:
        layer, function = _LAYERS[activation.func], activation.func
        config = {**_elementwise.defaults(function), **activation.keywords}
        order = layer.__code__.co_varnames[: layer.__code__.co_argcount]
        options = {key: config[key] for key in order}
        return {"module": "keras.layers", "class_name": layer.__name__, "config": options, "registered_name": None}
    return _REGISTRY.serialize(activation)

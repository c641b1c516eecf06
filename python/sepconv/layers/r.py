"""The layer functions of the R package keras, with its parameters in its order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._intake import is_array
from .base import Layer
from .depthwise_conv import DepthwiseConv1D, DepthwiseConv2D
from .separable_conv import SeparableConv1D, SeparableConv2D

__all__ = ["layer_depthwise_conv_1d", "layer_depthwise_conv_2d", "layer_separable_conv_1d", "layer_separable_conv_2d"]

_DOC = """Make a {layer}, and compose it with `object`, as the function of this name in the R package keras does.

Parameters
----------
object : None, Sequential or array_like
    None gives the layer. A `sepconv.Sequential` gets the layer added, and is returned. An array is the layer's input, and the output is
    returned. May be left out where all arguments are named.
others
    Those of `sepconv.layers.{layer}`, in R's order, and all may be given by position. Pairs are rows, columns: the page of the
    R function says "width and height", but the order of the axes counts there too. `trainable` None means True.

Returns
-------
{layer}, Sequential or ndarray

Raises
------
TypeError
    If `object` is something else, such as the filters in its place.
ValueError, TypeError
    As `{layer}`.

Examples
--------
>>> from sepconv import {name}
>>> {name}(None, {example}).kernel_size
{kernel_size}
"""


def _compose(object: Any, layer: Layer) -> Any:
    from ..models import Sequential  # which imports the layers

    if object is None:
        return layer
    if isinstance(object, Sequential):
        object.add(layer)
        return object
    return layer(object)


def _is_object(value: Any) -> bool:
    from ..models import Sequential

    # A number in the form of an array of no axes is not an input, but `filters` in the wrong place.
    return value is None or isinstance(value, Sequential) or (is_array(value) and getattr(value, "shape", None) != ())


def _function(name: str, layer: type[Layer], example: str, kernel_size: str) -> Callable[..., Any]:
    """The R function `name` of `layer`: `object`, then the constructor's own parameters, all positional."""
    parameters = [p for p in inspect.signature(layer).parameters.values() if p.name != "autocast"]
    parameters.insert(0, inspect.Parameter("object", inspect.Parameter.POSITIONAL_OR_KEYWORD))
    signature = inspect.Signature(
        [
            p.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None if p.name == "trainable" else p.default)
            for p in parameters
        ]
    )

    def function(*args: Any, **kwargs: Any) -> Any:
        if not args:
            kwargs.setdefault("object", None)
        first = args[0] if args else kwargs["object"]
        if not _is_object(first):
            raise TypeError(
                f"The `object` argument of {name} must be None, a sepconv.Sequential or an array; to make a layer, write "
                f"{name}(None, {example}), or name the arguments. Received: object={first!r} (of type {type(first).__name__})"
            )
        try:
            arguments = dict(signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        if arguments.get("trainable") is None:
            arguments.pop("trainable", None)
        return _compose(arguments.pop("object"), layer(**arguments))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = _DOC.format(name=name, layer=layer.__name__, example=example, kernel_size=kernel_size)
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


layer_separable_conv_2d = _function("layer_separable_conv_2d", SeparableConv2D, "32, (2, 5)", "(2, 5)")
layer_separable_conv_1d = _function("layer_separable_conv_1d", SeparableConv1D, "32, 3", "(3,)")
layer_depthwise_conv_2d = _function("layer_depthwise_conv_2d", DepthwiseConv2D, "(2, 5)", "(2, 5)")
layer_depthwise_conv_1d = _function("layer_depthwise_conv_1d", DepthwiseConv1D, "3", "(3,)")

"""Layers, named and behaving as in ``keras.layers``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .._arguments import refuse, within
from .._registry import objects_by_name
from . import _config
from .activation import Activation
from .base import Layer
from .depthwise_conv import DepthwiseConv1D, DepthwiseConv2D
from .input import Input, InputLayer
from .r import layer_depthwise_conv_1d, layer_depthwise_conv_2d, layer_separable_conv_1d, layer_separable_conv_2d
from .separable_conv import SeparableConv1D, SeparableConv2D, SeparableConvolution1D, SeparableConvolution2D

__all__ = [
    "Activation",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Input",
    "InputLayer",
    "Layer",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "deserialize",
    "layer_depthwise_conv_1d",
    "layer_depthwise_conv_2d",
    "layer_separable_conv_1d",
    "layer_separable_conv_2d",
    "serialize",
]

_CLASSES: dict[str, type[Layer]] = {
    c.__name__: c for c in (Activation, DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D)
}
_ALIASES: dict[str, type[Layer]] = {"SeparableConvolution1D": SeparableConv1D, "SeparableConvolution2D": SeparableConv2D}


def serialize(layer: Layer | Input) -> dict[str, Any]:
    """A layer as ``keras.layers.serialize`` writes it.

    Raises
    ------
    TypeError
        If `layer` isn't a layer.

    Examples
    --------
    >>> serialize(Activation("relu", name="a"))["config"]["activation"]
    'relu'
    """
    if isinstance(layer, Input):
        return {"module": "keras.layers", "class_name": "InputLayer", "config": layer.get_config(), "registered_name": None}
    if not isinstance(layer, Layer):
        refuse("layer", "a layer of sepconv", layer, TypeError)
    known = type(layer) in _CLASSES.values()
    config = {
        "module": "keras.layers" if known else None,
        "class_name": type(layer).__name__,
        "config": layer.get_config(),
        "registered_name": None if known else type(layer).__name__,
    }
    build_config = layer.get_build_config()
    if build_config is not None and layer.weights:  # Keras has no shape for a layer without weights
        config["build_config"] = build_config
    return config


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Layer | Input:
    """A layer from what `serialize`, Keras 3 or tf_keras wrote. Nothing is imported or executed.

    Parameters
    ----------
    config : dict
        With ``"class_name"`` and ``"config"``; ``"build_config"`` builds the layer.
    custom_objects : dict or None
        Classes and functions by the name that `config` has for them.

    Raises
    ------
    ValueError
        If the class, or anything in its configuration, isn't known.
    TypeError
        If `config` isn't a dictionary, or what `custom_objects` has for its class isn't a layer's class.

    Examples
    --------
    >>> deserialize(serialize(Activation("relu", name="a"))).name
    'a'
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("config"), Mapping):
        refuse("config", "a dictionary with 'class_name' and 'config'", config, TypeError)
    name, registered = config.get("class_name"), config.get("registered_name")
    custom = objects_by_name(custom_objects)
    layer_class: Any = custom.get(str(registered)) or custom.get(str(name))
    if layer_class is None and registered in (None, name) and config.get("module") in (None, "keras.layers", "sepconv.layers"):
        layer_class = Input if name == "InputLayer" else {**_CLASSES, **_ALIASES}.get(str(name))
    if layer_class is None:
        raise ValueError(
            f"The `config` argument must be of a known layer: {', '.join(_CLASSES)}; "
            f"pass another as custom_objects={{{(registered or name)!r}: its class}}. "
            f"Received: class_name={name!r}, module={config.get('module')!r}, registered_name={registered!r}"
        )
    if layer_class is Input:
        return Input.from_config(config["config"])
    if not isinstance(layer_class, type) or not issubclass(layer_class, Layer):
        refuse("custom_objects", f"a dictionary that has a class of layers for {registered or name!r}", layer_class, TypeError)
    if "custom_objects" in inspect.signature(layer_class.from_config).parameters:
        layer = layer_class.from_config(config["config"], custom_objects=custom)
    else:  # as Keras declares the method
        layer = layer_class.from_config(_config.resolved(layer_class, config["config"], custom))
    with within("build_config"):
        layer.build_from_config(config.get("build_config"))
    return layer

"""Models of Keras that change over to our layers, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras
from keras.src.saving.serialization_lib import SafeModeScope

from .._arguments import refuse
from . import _layers
from ._fuse import fuse

_OURS = (
    _layers.Conv1D,
    _layers.Conv2D,
    _layers.DepthwiseConv1D,
    _layers.DepthwiseConv2D,
    _layers.SeparableConv1D,
    _layers.SeparableConv2D,
)
# Of Keras's layers; exact types, since a subclass may compute something else.
_ACCELERATED: dict[type, type] = {getattr(keras.layers, ours.__name__): ours for ours in _OURS}
if hasattr(_layers.on, "batch_norm"):
    _ACCELERATED[keras.layers.BatchNormalization] = _layers.BatchNormalization
_RESTORED: dict[type, type] = {ours: getattr(keras.layers, ours.__name__) for ours in (*_OURS, _layers.BatchNormalization)}
# What the arguments are called, at their ends, that may be functions.
_HELD = ("activation", "initializer", "regularizer", "constraint")
_COPIED = "keras.Sequential itself, or a functional model of a class whose constructor takes `inputs` and `outputs`"


def accelerate(model: Any) -> tuple[Any, list[str]]:
    """A copy of a model in which sepconv computes what it can.

    SeparableConv, DepthwiseConv and 1x1 Conv layers, in one and two dimensions, become those of `sepconv.keras`, in nested models
    too. Their names, configurations and weights stay, as do the model's name, what is trainable, the settings of `compile` and the state of
    the optimizer. Layers inside other layers (TimeDistributed, layers of your own) and subclasses of Keras's layers are left alone.

    With torch and numpy, what stands around a convolution (zero padding, batch normalisation, an activation, the 1x1 after a depthwise) is
    computed with it in one pass where the model doesn't train. This is the copy's, not its layers': one that was saved and loaded, or cloned,
    is accelerated again for it.

    Parameters
    ----------
    model : keras.Sequential or functional keras.Model
        It isn't changed, and shares no weights with the result.

    Returns
    -------
    model : keras.Model
        Of the same class.
    swapped : list of str
        The names of the layers that were exchanged; those of a nested model follow its name, ``"encoder/depthwise"``.

    Raises
    ------
    TypeError
        If `model` isn't Sequential or functional: only these tell how their layers are connected. If it has a layer that can't be made again
        from its configuration.

    Examples
    --------
    >>> import keras
    >>> import sepconv.keras
    >>> layers = [keras.layers.Conv2D(4, 3, name="stem"), keras.layers.DepthwiseConv2D(3, name="blur")]
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    >>> faster, swapped = sepconv.keras.accelerate(model)
    >>> swapped, type(faster.get_layer("blur")).__module__
    (['blur'], 'sepconv.keras')
    """
    new, swapped = _exchange(model, _ACCELERATED)
    for _, _, copied in _pairs(new, new):
        if _has_graph(copied):
            fuse(copied)
    return new, swapped


def restore(model: Any) -> Any:
    """A copy of a model with Keras's own layers in the place of ours: the way back from `accelerate`.

    Parameters
    ----------
    model : keras.Sequential or functional keras.Model

    Returns
    -------
    keras.Model
        With the same weights, names and settings. It can be saved for those who don't have sepconv.

    Raises
    ------
    TypeError
        As `accelerate`.

    Examples
    --------
    >>> import keras
    >>> import sepconv.keras
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), sepconv.keras.SeparableConv2D(4, 3)])
    >>> type(sepconv.keras.restore(model).layers[0]) is keras.layers.SeparableConv2D
    True
    """
    return _exchange(model, _RESTORED)[0]


def _exchange(model: Any, table: dict[type, type]) -> tuple[Any, list[str]]:
    """A copy of `model` with the layers whose types are in `table` exchanged, and the names of these."""
    if not _has_graph(model):
        refuse("model", "a keras.Sequential or a functional keras.Model", model, TypeError)
    with _uncompiled(model):
        new = keras.models.clone_model(model, clone_function=lambda layer: _copy(layer, table), recursive=True)
    if type(new) is not type(model):
        refuse("model", f"{_COPIED}, as keras.Model's does", model, TypeError)
    pairs = list(_pairs(model, new))
    for path, old, copied in pairs:  # Keras copies a model in a model as a plain one, and forgets what its class does
        if _has_graph(old) and type(copied) is not type(old):
            refuse("model", f"{_COPIED}, as keras.Model's does; so must be the models in it, as {path!r} is not", old, TypeError)
    for _, old, copied in pairs:
        if copied.name != old.name:  # Keras calls what stands for an input as its tensor
            copied.name = old.name
        if copied.trainable != old.trainable:  # setting it sets that of all layers inside, which come later
            copied.trainable = old.trainable
    for old, copied in zip(model.variables, new.variables, strict=True):
        if copied.trainable != old.trainable:
            copied.trainable = old.trainable
        _assign(copied, old)
    for _, old, copied in pairs:
        if getattr(old, "lora_enabled", False):
            copied.lora_alpha = old.lora_alpha  # some layers of Keras forget it when they are built
    twins = {id(old): copied for old, copied in zip(model.variables, new.variables, strict=True)}
    for _, old, copied in pairs:
        if getattr(old, "compiled", False):
            _compile(old, copied, twins)
    swapped = {id(old): path for path, old, _ in reversed(pairs) if _counterpart(old, table)}
    return new, list(swapped.values())[::-1]


def _assign(variable: Any, other: Any) -> None:
    """By way of NumPy, since JAX's variables would share an array that a training step gives away."""
    variable.assign(keras.ops.convert_to_numpy(other))


def _counterpart(layer: Any, table: dict[type, type]) -> Any:
    """The type that `layer` is to have, or None if it stays as it is."""
    other = table.get(type(layer))
    return None if isinstance(layer, (keras.layers.Conv1D, keras.layers.Conv2D)) and not _layers.is_pointwise(layer) else other


def _copy(layer: Any, table: dict[type, type]) -> Any:
    """A new layer of the same configuration, of another type where `table` says so."""
    other = _counterpart(layer, table)
    try:
        config = layer.get_config()
        if other is None:
            return _configured(layer, config)
    except Exception as error:  # of whatever kind: the layer's class may be the user's
        name = type(layer).__name__
        raise TypeError(
            f"The `model` argument must have layers that Keras can make again from their configuration, which {name} {layer.name!r} is not: "
            f"give {name} a complete `get_config`, and keras.saving.register_keras_serializable to the classes that it holds. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    # Objects go over as they are, for functions of the user's have no name by which Keras would find them.
    objects = {key: getattr(layer, key) for key in config if key.rsplit("_", 1)[-1] in _HELD}
    return other(**config | objects | {"dtype": layer.dtype_policy})


def _configured(layer: Any, config: dict[str, Any]) -> Any:
    """A new layer of the same type and configuration, with the functions of `layer` and of the layers in it."""
    parts = list(_parts(layer))
    functions = [(part.name, *item) for part in parts for item in vars(part).items() if isinstance(item[1], FunctionType)]
    # Nothing comes from a file that one might have to fear, and functions are found by their names.
    with SafeModeScope(False), keras.saving.custom_object_scope({value.__name__: value for _, _, value in functions}):
        # Keras writes a lambda that it can't read in these.
        own = {key: value for part, key, value in functions if part == layer.name and value.__name__ == "<lambda>"}
        given = {key: value for key, value in own.items() if key in config and key.rsplit("_", 1)[-1] in _HELD}
        copied = type(layer).from_config(config | given)
    # Lambdas were made again from their code, without what is global where they were written. Others are the layer's own affair.
    configs = {part.name: part.get_config() for part in parts[1:]} | {layer.name: layer.get_config()}
    twins = {part.name: part for part in _parts(copied)}
    for name, key, value in functions:
        if key.removeprefix("_") in configs[name] and isinstance(getattr(twins.get(name), key, None), FunctionType):
            setattr(twins[name], key, value)
    return copied


def _parts(layer: Any) -> Any:
    """A layer and those in it."""
    return layer._flatten_layers() if isinstance(layer, keras.Layer) else [layer]


def _has_graph(model: Any) -> bool:
    """Whether `model` knows how its layers are connected."""
    return isinstance(model, keras.Sequential) or isinstance(model, keras.Model) and hasattr(model, "operations")


def _pairs(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path and layers of two models of one structure, models before what is in them."""
    yield path, old, new
    if _has_graph(old):
        for left, right in zip(old.layers, new.layers, strict=True):
            yield from _pairs(left, right, f"{path}/{left.name}" if path else left.name)


@contextmanager
def _uncompiled(model: Any) -> Iterator[None]:
    """In which Keras copies `model` without its settings of `compile`, for which it wants names of all functions, and wants them now."""
    compiled = list({id(old): old for _, old, _ in _pairs(model, model) if getattr(old, "compiled", False)}.values())
    for old in compiled:
        old.compiled = False
    try:
        yield
    finally:
        for old in compiled:
            old.compiled = True


def _compile(old: Any, new: Any, twins: dict[int, Any]) -> None:
    """Compile `new` as `old` is, with an optimizer in the same state. `twins` are copies by the identity of the old model's variables."""
    if type(old).compile is not keras.Model.compile:
        new.compile_from_config(old.get_compile_config())  # the class knows
        return
    settings = dict(old._compile_config.config)
    for key in ("metrics", "weighted_metrics"):
        settings[key] = keras.tree.map_structure(_fresh, settings[key])
    settings["optimizer"] = _fresh(settings["optimizer"])
    settings["jit_compile"] = settings["jit_compile"] and all(layer.supports_jit for _, layer, _ in _pairs(new, new))
    new.compile(**settings)
    if old.optimizer is None or not old.optimizer.built:
        return
    # Its own variables, since layers may have been frozen or removed after it was built.
    followed = old.optimizer._trainable_variables
    if not all(id(variable) in twins for variable in followed):
        return
    new.optimizer.build([twins[id(variable)] for variable in followed])
    for theirs, ours in zip(old.optimizer.variables, new.optimizer.variables, strict=True):
        _assign(ours, theirs)


def _fresh(thing: Any) -> Any:
    """A metric or an optimizer of the same configuration; names and functions as they are."""
    return type(thing).from_config(thing.get_config()) if hasattr(thing, "get_config") else thing

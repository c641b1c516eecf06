"""A stack of layers, with the interface, the configuration and the weight files of `keras.Sequential`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _arguments, _dtypes, _intake
from . import layers as _layers
from ._arguments import Shape, refuse
from ._progress import progress
from ._registry import objects_by_name
from ._summary import summary_text
from ._vjp import Gradients
from .layers._names import auto_name
from .layers.base import Layer
from .layers.input import Input
from .variables import Variable

__all__ = ["Input", "Sequential", "deserialize", "serialize"]


class Sequential:
    """Layers applied one after the other.

    Parameters
    ----------
    layers : list, optional
        Layers of this package, with an `Input` first where the shape is known. A first layer with `input_shape=` will do as well.
        Without either, the first call builds the model.
    trainable : bool, default True
        If False, the model counts all its weights as not trainable.
    name : str, optional
        By default "sequential", "sequential_1", ...

    Raises
    ------
    TypeError, ValueError
        If something isn't a layer, two layers have one name, or a layer doesn't fit the output of the one before it.

    Examples
    --------
    >>> import numpy as np, sepconv
    >>> model = sepconv.Sequential([
    ...     sepconv.Input((32, 32, 3)),
    ...     sepconv.SeparableConv2D(16, 3, padding="same", activation="relu"),
    ...     sepconv.SeparableConv2D(8, 3, strides=2),
    ... ])
    >>> model(np.zeros((4, 32, 32, 3))).shape
    (4, 15, 15, 8)
    """

    def __init__(self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        self._trainable = _arguments.boolean(trainable, "trainable")
        self.name = auto_name("Sequential") if name is None else _arguments.layer_name(name)
        self._input: Input | None = None
        self._layers: list[Layer] = []
        if layers is not None:
            if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
                refuse("layers", "a list of layers", layers, TypeError)
            for layer in layers:
                self.add(layer)

    # The stack -------------------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `Input`."""
        return list(self._layers)

    def add(self, layer: Layer | Input) -> None:
        """Put a layer on top of the stack; if it doesn't fit, the model stays as it was."""
        if isinstance(layer, Input):
            if self._input is not None or self._layers:
                raise ValueError(f"An `Input` can only be the first item of a model, once. Received: {layer!r} for {self.name!r}")
            self._input = layer
            return
        if not isinstance(layer, Layer):
            refuse("layer", "a layer of sepconv or an `Input`", layer, TypeError)
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(
                f"All layers of a model must have names of their own, but {self.name!r} already has one named {layer.name!r}. "
                f"Pass another `name=` to the layer. Received: {layer!r}"
            )
        declared = None if self._layers or self._input is not None else _declared_shape(layer)
        shape = declared if declared is not None else self._output_shape()
        if shape is not None:
            layer.build(shape)
        if declared is not None:
            self._input = Input(batch_shape=declared)
        self._layers.append(layer)

    def pop(self) -> Layer:
        """Take the last layer off the stack and return it."""
        if not self._layers:
            raise IndexError(f"`pop` needs a layer, but {self.name!r} has none.")
        return self._layers.pop()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of `input_shape`, which has a batch axis (None for any size).

        A model that knows its input shape is built already, and may be left without an argument.
        """
        if input_shape is None and self._input is not None:
            return
        shape = _arguments.shape(input_shape, "input_shape")
        if not self._layers:
            raise ValueError(f"{self.name!r} can't be built: it has no layers. Add one first: `model.add(layer)`.")
        self.compute_output_shape(shape)  # before the first layer is built, so that it is all or none
        for layer in self._layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        if self._input is None:
            self._input = Input(batch_shape=_arguments.shape(input_shape, "input_shape"))

    @property
    def built(self) -> bool:
        """Whether there are layers and all have their weights."""
        return bool(self._layers) and all(layer.built for layer in self._layers)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape of the output for an input of `input_shape`, with batch axes; None stays None."""
        shape = _arguments.shape(input_shape, "input_shape")
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def _output_shape(self) -> Shape | None:
        return None if self._input is None else self.compute_output_shape(self._input.batch_shape)

    @property
    def input_shape(self) -> Shape:
        """The shape of the input with its batch axis; AttributeError while it isn't known."""
        if self._input is None:
            raise AttributeError(f"{self.name!r} has no input shape yet: begin it with an `Input`, build it, or call it once.")
        return self._input.batch_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of the output with its batch axis; AttributeError while it isn't known."""
        shape = self._output_shape() if self._layers else None
        if shape is None:
            raise AttributeError(f"{self.name!r} has no output shape yet: give it layers, and an `Input` or a call.")
        return shape

    # Computing -------------------------------------------------------------------------------------------------------------------

    def __call__(
        self, inputs: Any, out: np.ndarray | None = None, *, training: bool | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Apply the layers; the first call builds them.

        Parameters
        ----------
        inputs : array_like
            What the first layer takes.
        out : ndarray, optional
            Where the last layer writes its result.
        training : bool, optional
            Accepted as in Keras; no layer here computes differently for it.
        num_threads : int, optional
            The most threads that a layer may use.

        Returns
        -------
        ndarray
            `out`, or a new array in the compute dtype of the last layer.
        """
        if not self._layers:
            raise ValueError(f"{self.name!r} can't be called: it has no layers. Add one first: `model.add(layer)`.")
        result = inputs if self._input is not None else _intake.as_array(inputs)
        shape = getattr(result, "shape", None)
        for layer in self._layers[:-1]:
            result = layer(result, training=training, num_threads=num_threads)
        result = self._layers[-1](result, out, training=training, num_threads=num_threads)
        if self._input is None and shape is not None:
            self._input = Input(batch_shape=(None, *shape[1:]))
        return result

    def vjp(
        self, inputs: Any, *, input: bool = True, num_threads: int | None = None
    ) -> tuple[np.ndarray, Callable[..., Gradients]]:
        """What a call returns, and the function that turns a gradient of it into those of the input and of the trainable weights.

        ``pullback(dy, losses=0.0)`` returns ``Gradients(input, weights)``, with `weights` in the order of `trainable_weights`; see
        `sepconv.layers.Layer.vjp`. What no gradient needs isn't computed: with ``input=False``, nothing below the first layer that
        has trainable weights.

        Examples
        --------
        >>> import numpy as np, sepconv
        >>> model = sepconv.Sequential([sepconv.DepthwiseConv2D(3), sepconv.Activation("relu")])
        >>> y, pullback = model.vjp(np.ones((1, 5, 5, 2)), input=False)
        >>> [g.shape for g in pullback(np.ones_like(y)).weights]
        [(3, 3, 2, 1), (2,)]
        """
        flows = _arguments.boolean(input, "input")
        if not self._layers:
            raise ValueError(f"{self.name!r} can't be called: it has no layers. Add one first: `model.add(layer)`.")
        result = inputs if self._input is not None else _intake.as_array(inputs)
        shape = getattr(result, "shape", None)
        steps = []
        for layer in self._layers:
            result, pull = layer._vjp(result, flows, num_threads, self._trainable)
            flows = pull.wants
            steps.append(pull)
        if self._input is None and shape is not None:
            self._input = Input(batch_shape=(None, *shape[1:]))

        def pullback(dy: Any, losses: float = 0.0) -> Gradients:
            weights: list[Any] = []
            gradient: Any = dy
            for step in reversed(steps):
                if not step.wants:
                    break
                gradient, found = step(gradient, losses)
                weights = found + weights
            return Gradients(gradient if input else None, weights)

        return result, pullback

    def apply_constraints(self) -> None:
        """Replace each trainable weight by what its constraint makes of it, as an optimizer does after its step."""
        for layer in self._layers if self._trainable else ():
            layer.apply_constraints()

    def predict(
        self, x: Any, batch_size: int | None = 32, verbose: int | str = "auto", *, num_threads: int | None = None
    ) -> np.ndarray:
        """Apply the model to `x` batch by batch, in memory for one batch, with a progress bar.

        Parameters
        ----------
        x : array_like
            All inputs, along the first axis.
        batch_size : int, default 32
            Inputs computed at a time; None means 32.
        verbose : {"auto", 0, 1, 2} or bool
            0 (or False) is silent, 1 (or True) shows a bar (by tqdm where it is installed), 2 prints a line at the end; "auto" is 1 on a terminal and 0
            elsewhere.
        num_threads : int, optional
            The most threads that a layer may use.

        Returns
        -------
        ndarray
            The outputs, along the first axis; they don't depend on `batch_size`.

        Raises
        ------
        ValueError
            If `batch_size` or `verbose` isn't allowed.
        """
        size = 32 if batch_size is None else _arguments.integer(batch_size, "batch_size")
        array = _intake.as_array(x, "x")
        if array.ndim == 0:
            refuse("x", "an array with a batch axis", x)
        starts = range(0, len(array), size)
        result: np.ndarray | None = None
        for start in progress(starts, verbose, self.name):
            batch = self(array[start : start + size], num_threads=num_threads)
            if len(batch) == len(array):
                return batch
            if result is None:
                result = np.empty((len(array), *batch.shape[1:]), batch.dtype)
            result[start : start + size] = batch
        return self(array, num_threads=num_threads) if result is None else result

    # Weights ---------------------------------------------------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = _arguments.boolean(value, "trainable")
        for layer in self._layers:
            layer.trainable = self._trainable

    @property
    def weights(self) -> list[Variable]:
        """All variables, in the order of the layers."""
        return [v for layer in self._layers for v in layer.weights]

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for layer in self._layers for v in layer.trainable_weights] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return [v for layer in self._layers for v in layer.non_trainable_weights] if self._trainable else self.weights

    @property
    def losses(self) -> list[Any]:
        """What the regularizers of the layers say: of activities first, then of the weights that are trainable, as in Keras."""
        weights = [loss for layer in self._layers for loss in layer._weight_losses()] if self._trainable else []
        return [loss for layer in self._layers for loss in layer._activity_losses()] + weights

    def count_params(self) -> int:
        """The number of weights' elements; ValueError before the model is built."""
        if not self.built:
            raise ValueError(
                f"`count_params` needs weights, but {self.name!r} isn't built. Build it first: `model.build(input_shape)`."
            )
        return sum(layer.count_params() for layer in self._layers)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of `weights`."""
        return [w for layer in self._layers for w in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign all weights, in the order of `weights`; if one doesn't fit, none is changed."""
        # The checks are those of a layer, over the variables of all layers.
        Layer._assign(self, tuple(self.weights), weights)  # type: ignore[arg-type]

    def save_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Write the weights to a `.npz` or `.weights.h5` file; see `sepconv.saving.save_weights`."""
        from . import saving

        saving.save_weights(filepath, self)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read the weights from a `.npz` or `.weights.h5` file; see `sepconv.saving.load_weights`."""
        from . import saving

        saving.load_weights(filepath, self)

    # Describing ------------------------------------------------------------------------------------------------------------------

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print a table of the layers, their output shapes and sizes; `print_fn` gets the whole text instead of `print`."""
        (print if print_fn is None else print_fn)(summary_text(self))

    def get_config(self) -> dict[str, Any]:
        """A configuration that `keras.Sequential.from_config` reads as well."""
        items: list[Layer | Input] = [] if self._input is None else [self._input]
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": _dtypes.serialize(_dtypes.get("float32")),
            "layers": [_layers.serialize(item) for item in (*items, *self._layers)],
        }
        if self._input is not None and self._layers:
            config["build_input_shape"] = self._input.batch_shape
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Sequential:
        """A model from the configuration of one, ours or Keras's; nothing is imported or executed.

        Raises
        ------
        ValueError
            If it has a layer that isn't in this package; the message names the class.
        TypeError
            If it isn't a dictionary with a list of layers.
        """
        if not isinstance(config, Mapping) or not isinstance(config.get("layers"), (list, tuple)):
            refuse("config", "a dictionary with a list 'layers'", config, TypeError)
        custom = objects_by_name(custom_objects)
        model = cls(trainable=config.get("trainable", True), name=config.get("name"))
        for index, item in enumerate(config["layers"]):
            with _arguments.within(f"layers[{index}]"):
                model.add(_layers.deserialize(item, custom))
        shape = config.get("build_input_shape")
        if shape is not None:
            with _arguments.within("build_input_shape"):
                shape = _arguments.shape(shape, "input_shape")
        if shape is not None and model._layers and model._input is None:
            model.build(shape)
        return model

    def __copy__(self) -> Sequential:
        """A stack of its own of the same layers, which share their variables."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__, _layers=list(self._layers))
        return twin

    def __repr__(self) -> str:
        items = [*([] if self._input is None else [self._input]), *self._layers]
        lines = "".join(f"    {item!r},\n" for item in items)
        return f"Sequential([\n{lines}], name={self.name!r})" if items else f"Sequential(name={self.name!r})"


def serialize(model: Sequential) -> dict[str, Any]:
    """What `keras.saving.serialize_keras_object` makes of a model, so that `keras.saving.deserialize_keras_object` reads it."""
    form: dict[str, Any] = {"module": "keras", "class_name": "Sequential", "config": model.get_config(), "registered_name": None}
    if model._input is not None and model._layers:
        form["build_config"] = {"input_shape": model.input_shape}
    return form


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """A model from what `serialize`, or Keras, has made of one."""
    if not isinstance(config, Mapping):
        refuse("config", "the serialized form of a Sequential", config, TypeError)
    if config.get("class_name") != "Sequential":
        refuse("config", "the serialized form of a Sequential", config.get("class_name"))
    return Sequential.from_config(config.get("config"), custom_objects)  # type: ignore[arg-type]


def _declared_shape(layer: Layer) -> Shape | None:
    """The input shape that a first layer brings along, from `input_shape=` or from an earlier build."""
    shape = (layer.get_build_config() or {}).get("input_shape") if layer.built else None
    return None if shape is None else tuple(shape)

"""The machinery that SeparableConv and DepthwiseConv share, in one and two dimensions."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import _arguments, _dtypes, _geometry, _runtime, activations, initializers
from .._arguments import Shape, shape
from .._intake import as_array
from .._plans import Convolution, Spec, Weights
from .._vjp import Pull
from ..variables import Store, Variable
from . import _config
from .base import Layer

# What Layer.__init__ takes, and the arguments that only say for what shape to build at once.
_BASE = ("activity_regularizer", "dtype", "name", "trainable", "weights", "autocast")
_DECLARATION = ("input_shape", "batch_input_shape", "batch_size")


def passed(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments among a constructor's ``locals()``."""
    return {key: value for key, value in arguments.items() if key not in ("self", "__class__")}


class Weight:
    """The attribute of a layer that reads a weight by name and, when set, assigns to it."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if not layer.built:
            raise AttributeError(
                f"`{self._name}` of layer {layer.name!r} exists when it is built: call it, or layer.build(input_shape)."
            )
        return next((v for v in layer.weights if v.name == self._name), None)

    def __set__(self, layer: Any, value: Any) -> None:
        variable = self.__get__(layer)
        if variable is None:
            raise AttributeError(f"Layer {layer.name!r} has no `{self._name}`, since it was made with use_bias=False.")
        # `layer.kernel -= d` has assigned in place, and then sets the variable to itself.
        if value is not variable:
            variable._assign(value, self._name)


class BaseConv(Layer):
    """A convolution over `rank` axes that begins with one filter a channel.

    Subclasses have a signature of their own and hand its arguments over by name.
    """

    rank: int
    operation: str
    paddings: tuple[str, ...] = ("valid", "same")

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    data_format: str
    dilation_rate: tuple[int, ...]
    depth_multiplier: int
    use_bias: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._fixed = Layer._fixed | {key for key in cls.config_keys if key not in ("activation", "activity_regularizer")}

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(**{key: arguments.pop(key) for key in _BASE})
        declared = [arguments.pop(key) for key in _DECLARATION]
        activation = _config.resolve("activation", arguments.pop("activation"))
        for key, value in arguments.items():
            setattr(self, key, self._standard(key, value))
        self.activation = activation
        self._build_if_declared(*declared)

    def _standard(self, key: str, value: Any) -> Any:
        """The argument `key`, checked, in the one form that the attribute has."""
        if _config.registry_of(key) is not None:
            return _config.resolve(key, value)
        if key in ("kernel_size", "strides", "dilation_rate"):
            return _arguments.integers(value, self.rank, key)
        if key == "padding":
            return _arguments.one_of(value, key, self.paddings)
        if key == "data_format":
            return _arguments.data_format(value)
        return _arguments.switch(value, key) if key == "use_bias" else _arguments.integer(value, key)

    @property
    def activation(self) -> Any:
        """The function that ends the layer; may be set."""
        return self._activation

    @activation.setter
    def activation(self, value: Any) -> None:
        self._activation = _config.resolve("activation", value)
        self._convolution = self._make_convolution()

    def _make_convolution(self) -> Convolution:
        core = activations.core_form(self._activation)
        spec = Spec(
            op=self.operation,
            dtype=self._compute,
            data_format=self.data_format,
            kernel=self.kernel_size,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
            multiplier=self.depth_multiplier,
            filters=getattr(self, "filters", 0),
            activation=core or ("linear", ()),
        )
        return Convolution(spec, partial(_arrange, spec, self.use_bias), None if core else self._activation, self.autocast)

    # Shapes.

    def _check_shape(self, input_shape: Shape) -> None:
        spec = self._convolution.spec
        if len(input_shape) != self.rank + 2:
            raise ValueError(
                f"The `inputs` of layer {self.name!r} must have {self.rank + 2} axes, {_AXES[self.rank][self.data_format]}. "
                f"Received: {len(input_shape)} axes, shape={tuple(input_shape)}"
            )
        channels = input_shape[spec.channel_axis]
        if not channels:
            raise ValueError(
                f"The `inputs` of layer {self.name!r} must have a known number of channels, at least 1, on axis {spec.channel_axis}. "
                f"Received: shape={tuple(input_shape)}"
            )
        if self.built and channels != self._channels:
            raise ValueError(
                f"The `inputs` of layer {self.name!r}, as built, must have {self._channels} channels on axis {spec.channel_axis}. "
                f"Received: shape={tuple(input_shape)}"
            )
        self._convolution.output_shape(input_shape)

    @property
    def _channels(self) -> int:
        return self._variables[0].shape[self.rank]

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The shape of the output for inputs of `input_shape`, batch axis included; None stays None.

        Raises
        ------
        ValueError
            If it has the wrong number of axes, or a known size is too small for the kernel.

        Examples
        --------
        >>> from sepconv.layers import SeparableConv2D
        >>> SeparableConv2D(8, 3).compute_output_shape((None, 28, 28, 3))
        (None, 26, 26, 8)
        """
        return self._convolution.output_shape(shape(input_shape, "input_shape", self.rank + 2))

    # Weights.

    @abstractmethod
    def _weight_shapes(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name of each weight, in order -> (prefix of its arguments, shape)."""

    def _role(self, weight: str) -> str:
        return self._weight_shapes(1)[weight][0]

    def _make_variables(self, input_shape: Shape, store: Store) -> tuple[Variable, ...]:
        channels = input_shape[self._convolution.spec.channel_axis]
        table = self._weight_shapes(channels)  # type: ignore[arg-type]
        for name, (_, weight_shape) in table.items():
            self._check_size(name, weight_shape, channels)
        return tuple(self._variable(name, *entry, store) for name, entry in table.items())

    def _variable(self, name: str, role: str, weight_shape: tuple[int, ...], store: Store) -> Variable:
        dtype = _dtypes.as_numpy_dtype(self.variable_dtype)
        # Keras's rule: None means glorot_uniform, for a bias too.
        initializer = getattr(self, f"{role}_initializer") or initializers.get("glorot_uniform")
        with _arguments.within(f"{role}_initializer"):
            value = initializer(weight_shape, self.variable_dtype)
        value = as_array(value, f"{role}_initializer")
        if value.shape != weight_shape:
            raise ValueError(
                f"The `{role}_initializer` argument must return an array of the shape that it is asked for, {weight_shape}. "
                f"Received: shape={value.shape}"
            )
        return Variable(
            value.astype(dtype, copy=False),
            name=name,
            path=f"{self.name}/{name}",
            trainable=self.trainable,
            regularizer=getattr(self, f"{role}_regularizer"),
            constraint=getattr(self, f"{role}_constraint"),
            store=store,
        )

    def _check_size(self, name: str, weight_shape: tuple[int, ...], channels: int | None) -> None:
        """Refuse a weight that can't be addressed, with the name of the argument that makes it so large."""
        if math.prod(weight_shape) * 8 <= _arguments.LARGEST:  # initializers draw in float64
            return
        spec = self._convolution.spec
        sizes = {"filters": spec.filters, "depth_multiplier": spec.multiplier, "kernel_size": max(spec.kernel)}
        cause = _geometry.largest(**sizes, input_shape=channels or 0)
        raise ValueError(
            f"The `{cause}` argument must be smaller: `{name}` of layer {self.name!r} would have more bytes than can be addressed. "
            f"Received: {cause}={sizes.get(cause, channels)}, for a weight of shape {weight_shape}"
        )

    # Calls.

    def __call__(
        self, inputs: Any, out: np.ndarray | None = None, *, training: bool | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Convolve a batch.

        Parameters
        ----------
        inputs : array_like
            ``(batch, rows, columns, channels)``, or ``(batch, channels, rows, columns)`` with ``data_format="channels_first"``; one axis
            less for the 1-D layers. Any real dtype: it is converted to the layer's compute dtype, integers without scaling. Arrays of
            that dtype are read where they are, whatever their strides; copied are other dtypes and byte orders, unaligned data, and
            what isn't an array.
        out : ndarray or None
            Where to write the output: exact shape and dtype, writeable, contiguous along its channels or its rows, apart from
            `inputs`.
        training : bool or None
            Ignored; convolutions do the same in training.
        num_threads : int or None
            The most threads for this call; None leaves it to `sepconv.options` and the environment. The result doesn't depend on it.

        Returns
        -------
        ndarray
            `out`, or a new C-contiguous array.

        Raises
        ------
        TypeError
            If `inputs` isn't numeric, or is boolean, complex or masked.
        ValueError
            If its shape doesn't fit, or `out` can't be written to directly; or in float64 with ``sepconv.options(precision="bfloat16")``.
        """
        output = self._convolution.recall(inputs, out, num_threads, self._store.state)
        if output is None:
            convolution, threads = self._convolution.at(_runtime.products()), _runtime.threads(num_threads)
            array = convolution.intake(inputs)
            self._accept(array.shape)
            output = convolution.run(inputs, array, out, threads, self._store.state)
        if self._activity_regularizer is not None:
            self._note_activity(output)
        return output

    def _linearize(self, inputs: Any, num_threads: int | None) -> tuple[np.ndarray, Pull, tuple[np.ndarray, ...]]:
        convolution, threads = self._convolution.at(_runtime.products()), _runtime.threads(num_threads)
        array = convolution.intake(inputs)
        self._accept(array.shape)
        state = self._store.state
        output, pull = convolution.linearize(inputs, array, threads, state)
        places = (0, 2, 3) if self.operation == "separable" else (0, 3)  # of the variables, among the weights of the core

        def of_variables(dy: np.ndarray, input: bool, wanted: Sequence[int]) -> tuple[np.ndarray | None, Sequence[Any]]:
            gradient, found = pull(dy, input, [places[i] for i in wanted])
            return gradient, [found[place] for place in places]

        return output, of_variables, state.arrays

    def explain(self, input_shape: Sequence[int], num_threads: int | None = None) -> Explanation:
        """How a call with a contiguous input of `input_shape` runs: kernel, tile, lane role, precision, threads, FLOPs, bytes,
        workspace.

        `kernel` is the multiply's micro-tile, (rows, columns); a depthwise layer multiplies nothing and has none.

        Returns
        -------
        dict
            Its ``print`` is a table.

        Raises
        ------
        ValueError
            If `input_shape` isn't a whole shape that the layer can take.

        Examples
        --------
        >>> from sepconv.layers import SeparableConv2D
        >>> plan = SeparableConv2D(8, 3).explain((1, 28, 28, 3))
        """
        sizes: Any = shape(input_shape, "input_shape", self.rank + 2)
        if None in sizes:
            _arguments.refuse("input_shape", "a tuple of integers, all known", input_shape)
        self._check_shape(sizes)
        return Explanation(self._convolution.at(_runtime.products()).describe(sizes, _runtime.threads(num_threads)))

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_convolution"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._convolution = self._make_convolution()


class Explanation(dict[str, Any]):
    """A plan in words and numbers, which prints as a table."""

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{key:<{width}}  {_number(value)}" for key, value in self.items())


def _number(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


_AXES = {
    1: {"channels_last": "(batch, steps, channels)", "channels_first": "(batch, channels, steps)"},
    2: {"channels_last": "(batch, rows, columns, channels)", "channels_first": "(batch, channels, rows, columns)"},
}


def _arrange(spec: Spec, use_bias: bool, arrays: tuple[np.ndarray, ...]) -> Weights:
    pointwise = arrays[1] if spec.op == "separable" else None
    return spec.weights(arrays[0], None, pointwise, arrays[-1] if use_bias else None)

"""What all layers share: name, dtype, weights, building, losses, configuration, copies."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import _dtypes
from .._arguments import Shape, batch_shape, boolean, layer_name, refuse, shape, within
from .._dtypes import is_real
from .._intake import as_array
from .._vjp import Pull, Pullback, Wanted
from ..variables import Store, Variable, assign_all
from . import _config
from ._names import auto_name

Self = TypeVar("Self", bound="Layer")


class Layer(ABC):
    """Base of the layers.

    Parameters
    ----------
    activity_regularizer : str, dict, callable or None
        A loss of the output, see `losses`.
    dtype : str, dict, policy or None
        ``"float32"`` (also for None), ``"float64"``, ``"float16"``, ``"bfloat16"``, ``"mixed_float16"`` or ``"mixed_bfloat16"``.
    name : str or None
        Without ``/``; None makes one from the class.
    trainable : bool
        Whether the weights may be trained; changes `trainable_weights` and `losses` only.
    weights : list of array_like or None
        Values that `set_weights` gets right after the layer is built.
    autocast : bool
        Whether inputs are converted to the layer's compute dtype. If False, another dtype is a TypeError.
    """

    config_keys: tuple[str, ...] = ()
    # Attributes that __init__ sets for good: plans and weights were made by them.
    _fixed: frozenset[str] = frozenset({"dtype_policy", "autocast"})

    dtype_policy: Any
    autocast: bool

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        dtype: Any = None,
        name: str | None = None,
        trainable: bool = True,
        weights: Sequence[Any] | None = None,
        autocast: bool = True,
    ) -> None:
        self.auto_named = name is None
        self._trainable = boolean(trainable, "trainable")
        self.dtype_policy = _dtypes.get(dtype)
        self._compute = _dtypes.as_numpy_dtype(self.dtype_policy.compute_dtype)
        self.autocast = boolean(autocast, "autocast")
        self.activity_regularizer = activity_regularizer
        self._initial_weights = weights
        self._variables: tuple[Variable, ...] = ()
        self._store = Store()
        self._built_shape: Shape | None = None
        self._lock = threading.RLock()
        self._name = auto_name(type(self).__name__) if name is None else layer_name(name)

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self._fixed and key in self.__dict__:
            raise AttributeError(f"`{key}` of a layer can't be changed; make a new layer with it.")
        object.__setattr__(self, key, value)

    def __delattr__(self, key: str) -> None:
        if key in self._fixed:
            raise AttributeError(f"`{key}` of a layer can't be deleted.")
        object.__delattr__(self, key)

    # Subclasses say what they compute.

    @abstractmethod
    def __call__(
        self, inputs: Any, out: np.ndarray | None = None, *, training: bool | None = None, num_threads: int | None = None
    ) -> np.ndarray:
        """Compute the output for a batch."""

    @abstractmethod
    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """The shape of the output for inputs of `input_shape`, batch axis included; None stays None."""

    @abstractmethod
    def _check_shape(self, input_shape: Shape) -> None:
        """Refuse an `input_shape` that the layer, as it is now, can't take."""

    @abstractmethod
    def _make_variables(self, input_shape: Shape, store: Store) -> tuple[Variable, ...]:
        """The weights, in order, for inputs of `input_shape`."""

    # Training.

    def vjp(self, inputs: Any, *, input: bool = True, num_threads: int | None = None) -> tuple[np.ndarray, Pullback]:
        """What a call returns, and the function that turns a gradient of it into those of the input and of the trainable weights.

        ``pullback(dy, losses=0.0)`` returns the named tuple ``Gradients(input, weights)``: `weights` follows `trainable_weights`, in
        the dtype of the variables; `input` has the dtype of the output. ``losses=1.0`` adds the gradient of ``sum(layer.losses)``.
        The function holds the input, the output and the weights as they were: later assignments don't change what it returns. It may
        be called more than once; don't write to the two arrays before the last time. Its results don't depend on the number of threads.

        Parameters
        ----------
        inputs : array_like
            As for a call.
        input : bool
            Whether the input's gradient is wanted; else it isn't computed, and `Gradients.input` is None.
        num_threads : int or None
            As for a call; also for the gradients.

        Raises
        ------
        TypeError
            If the activation is a function without a method ``vjp(x)``; see `sepconv.activations.vjp`.

        Examples
        --------
        >>> import numpy as np, sepconv
        >>> layer = sepconv.DepthwiseConv2D(3, depthwise_initializer="ones")
        >>> y, pullback = layer.vjp(np.ones((1, 3, 3, 1)))
        >>> gradients = pullback(np.ones_like(y))
        >>> gradients.input.shape, [g.shape for g in gradients.weights]
        ((1, 3, 3, 1), [(3, 3, 1, 1), (1,)])
        """
        return self._vjp(inputs, boolean(input, "input"), num_threads, True)

    def _vjp(self, inputs: Any, input: bool, num_threads: int | None, trainable: bool) -> tuple[np.ndarray, Pullback]:
        output, pull, arrays = self._linearize(inputs, num_threads)
        if self._activity_regularizer is not None:
            self._note_activity(output)
        places = {id(v): i for i, v in enumerate(self._variables)}
        wanted = [
            Wanted(places[id(v)], arrays[v._index], v.regularizer, f"{self._role(v.name)}_regularizer")
            for v in (self.trainable_weights if trainable else ())
        ]
        return output, Pullback(pull, output, wanted, input, self._activity_regularizer)

    def _linearize(self, inputs: Any, num_threads: int | None) -> tuple[np.ndarray, Pull, tuple[np.ndarray, ...]]:
        """The output, how its gradients become those of the input and of the variables, and the arrays of the store that it used."""
        raise TypeError(f"Layer {self.name!r} can't be differentiated: {type(self).__name__} doesn't say how.")

    def apply_constraints(self) -> None:
        """Replace each trainable weight by what its constraint makes of it, as an optimizer does after its step."""
        held = [(v, v.constraint(v.numpy())) for v in self.trainable_weights if v.constraint is not None]
        assign_all([v for v, _ in held], [as_array(value, "constraint") for _, value in held])

    # Building.

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self._built_shape is not None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of `input_shape`, batch axis included. Does nothing more if they exist and fit.

        Raises
        ------
        ValueError
            If the layer can't take such inputs.
        """
        self._accept(shape(input_shape, "input_shape"))

    def _accept(self, input_shape: Shape) -> None:
        if self.built:
            self._check_shape(input_shape)
            return
        with self._lock:
            self._check_shape(input_shape)
            if self.built:
                return
            # All or nothing: a failure leaves the layer as it was.
            store = Store()
            variables = self._make_variables(input_shape, store)
            if self._initial_weights is not None:
                self._assign(variables, self._initial_weights)
            self._store, self._variables, self._initial_weights = store, variables, None
            self._built_shape = input_shape

    def _build_if_declared(self, input_shape: Any, batch_input_shape: Any, batch_size: Any) -> None:
        declared = batch_shape(input_shape, batch_input_shape, batch_size)
        if declared is not None:
            self.build(declared)

    def get_build_config(self) -> dict[str, Any] | None:
        """``{"input_shape": ...}`` of the shape that the layer was built for; None before."""
        return None if self._built_shape is None else {"input_shape": self._built_shape}

    def build_from_config(self, config: Mapping[str, Any] | None) -> None:
        """Build for what `get_build_config` of another layer returned."""
        if not isinstance(config, (Mapping, type(None))):
            refuse("config", "a dictionary with 'input_shape', or None", config, TypeError)
        if config and config.get("input_shape") is not None:
            self.build(config["input_shape"])

    # Names and dtypes.

    @property
    def name(self) -> str:
        return self._name

    @property
    def dtype(self) -> str:
        """Dtype of the weights, the same as `variable_dtype`."""
        return self.variable_dtype

    @property
    def variable_dtype(self) -> str:
        return str(self.dtype_policy.variable_dtype)

    @property
    def compute_dtype(self) -> str:
        """Dtype of the output."""
        return str(self.dtype_policy.compute_dtype)

    # Weights.

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = boolean(value, "trainable")
        for variable in self._variables:
            variable.trainable = self._trainable

    @property
    def weights(self) -> list[Variable]:
        """All weights, in the order of `get_weights`; empty before the layer is built."""
        return list(self._variables)

    @property
    def trainable_weights(self) -> list[Variable]:
        return [v for v in self._variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self._variables if id(v) not in trainable]

    def count_params(self) -> int:
        """Number of values in all weights.

        Raises
        ------
        ValueError
            If the layer isn't built.
        """
        if not self.built:
            raise ValueError(
                f"Layer {self.name!r} has no weights to count before it is built: call it, or layer.build(input_shape)."
            )
        return sum(v.size for v in self._variables)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, of one moment."""
        arrays = self._store.state.arrays
        return [arrays[v._index].copy() for v in self._variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace all weights at once; a call sees all of the old or all of the new.

        Raises
        ------
        ValueError
            If their number or a shape is wrong. Nothing has changed then.
        TypeError
            If they aren't a sequence of arrays of real numbers.
        """
        self._assign(self._variables, weights)

    def _assign(self, variables: tuple[Variable, ...], weights: Sequence[Any]) -> None:
        if isinstance(weights, (str, Mapping)) or not hasattr(weights, "__len__") or not hasattr(weights, "__getitem__"):
            refuse("weights", "a list of arrays", weights, TypeError)
        if len(weights) != len(variables):
            raise ValueError(
                f"The `weights` argument must be a list of {len(variables)} arrays for layer {self.name!r}. Received: {len(weights)} arrays"
            )
        arrays = [as_array(value, f"weights[{index}]") for index, value in enumerate(weights)]
        for index, (variable, array) in enumerate(zip(variables, arrays, strict=True)):
            if array.shape != variable.shape:
                raise ValueError(
                    f"The `weights[{index}]` argument must have shape {variable.shape} for {variable.path}. "
                    f"Received: shape={array.shape}"
                )
        assign_all(variables, arrays)

    def save_weights(self, path: Any) -> None:
        """Write the weights to a file, see `sepconv.saving.save_weights`."""
        from .. import saving

        saving.save_weights(path, self)

    def load_weights(self, path: Any) -> None:
        """Read the weights from a file, see `sepconv.saving.load_weights`."""
        from .. import saving

        saving.load_weights(path, self)

    # Losses.

    @property
    def activity_regularizer(self) -> Any:
        """The function of the output that gives a loss, or None; may be set."""
        return self._activity_regularizer

    @activity_regularizer.setter
    def activity_regularizer(self, value: Any) -> None:
        self._activity_regularizer: Callable[[np.ndarray], float] | None = _config.resolve("activity_regularizer", value)
        self._activity_loss: float | None = None

    @property
    def losses(self) -> list[float]:
        """The activity loss of the last call, divided by its batch size, then the losses of the trainable weights."""
        return self._activity_losses() + self._weight_losses()

    def _activity_losses(self) -> list[float]:
        return [] if self._activity_loss is None else [self._activity_loss]

    def _weight_losses(self) -> list[float]:
        return [
            _scalar(v.regularizer, v.numpy(), f"{self._role(v.name)}_regularizer")
            for v in self.trainable_weights
            if v.regularizer is not None
        ]

    def _role(self, weight: str) -> str:
        """The prefix of the arguments that are for `weight`."""
        return weight

    def _note_activity(self, output: np.ndarray) -> None:
        batch = len(output) if output.ndim else 1
        loss = _scalar(self.activity_regularizer, output, "activity_regularizer")
        self._activity_loss = loss / batch if batch else 0.0

    # Configuration and copies.

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes an equal layer of, with exactly Keras's keys."""
        return _config.to_config(self)

    @classmethod
    def from_config(cls: type[Self], config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """A layer from a configuration written by `get_config`, Keras 3 or tf_keras. Nothing is imported or executed.

        Parameters
        ----------
        config : dict
        custom_objects : dict or None
            Functions and classes by the name that `config` has for them.

        Raises
        ------
        ValueError
            If a key or an object isn't known.
        """
        return cls(**_config.from_config(cls, config, custom_objects))

    def __repr__(self) -> str:
        try:
            return _config.call_text(self)
        except Exception:  # a subclass may keep its arguments as it likes, and no message may fail by the layer that it shows
            return f"<{type(self).__name__} name={self.__dict__.get('_name')!r}>"

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["_lock"] = threading.RLock()


def _scalar(regularizer: Any, array: np.ndarray, name: str) -> float:
    with within(name):
        loss = np.asarray(regularizer(array))
    if loss.shape != () or not is_real(loss.dtype):
        raise ValueError(
            f"The `{name}` argument must be a function that returns a real scalar. "
            f"Received: {regularizer!r}, which returned shape={loss.shape}, dtype={loss.dtype}"
        )
    return float(loss)

"""Weights: named arrays that are read as they are, changed only by assignment, and never seen half changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._arguments import boolean
from ._intake import as_array

__all__ = ["Variable"]


def _freeze(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """A copy of `array` over a ``bytes`` object, which nobody can make writeable again."""
    frozen: np.ndarray = np.ndarray(array.shape, dtype, np.ascontiguousarray(array, dtype).tobytes())
    return frozen


class State(NamedTuple):
    """All arrays of a store at one moment. Another assignment makes another state, so a state tells a version apart by identity."""

    version: int
    arrays: tuple[np.ndarray, ...]


# One object between two assignments, of whatever variable: who still finds the same one knows that all values are as they were.
moment = [object()]


class Store:
    """The arrays of one layer's variables.

    A reader takes `state` once, without a lock, and sees all variables from before an assignment or all from after it. Writers take
    turns. `recent` is what `ops` remember of the last call with a kernel, by its index.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.state = State(0, ())
        self.recent: dict[int, tuple[Any, ...]] = {}

    def add(self, array: np.ndarray) -> int:
        """Append an array, and return its index."""
        with self._lock:
            version, arrays = self.state
            self.state = State(version + 1, (*arrays, _freeze(array, array.dtype)))
            return len(arrays)

    def update(self, change: Callable[[tuple[np.ndarray, ...]], dict[int, np.ndarray]]) -> None:
        """Replace, all at once, the arrays that `change(arrays)` returns by index. Shapes and dtypes stay."""
        with self._lock:
            version, arrays = self.state
            fresh = list(arrays)
            for index, value in change(arrays).items():
                fresh[index] = _freeze(value, arrays[index].dtype)
            self.state = State(version + 1, tuple(fresh))
            moment[0] = object()

    def __getstate__(self) -> State:
        return self.state

    def __setstate__(self, state: State) -> None:
        self.__init__()  # type: ignore[misc]
        self.state = State(state.version, tuple(_freeze(a, a.dtype) for a in state.arrays))


class Variable(np.lib.mixins.NDArrayOperatorsMixin):
    """A weight of a layer.

    Arithmetic and NumPy functions read it as an array and give arrays. Only assignment changes it: `assign`, `assign_add`, `assign_sub`,
    and the in-place operators (``v -= d``).

    Parameters
    ----------
    value : array_like
        The first value. It sets shape and dtype for good.
    name, path : str
        Its name in the layer, and ``"<layer name>/<name>"``. `path` defaults to `name`.
    trainable : bool
        Whether training may change it.
    regularizer, constraint : callable or None
        Kept for training: `Layer.losses` and `Layer.apply_constraints` use them.
    store : Store or None
        Where the value lives, so that a layer's variables change together. None makes one.

    Examples
    --------
    >>> v = Variable([1.0, 2.0], name="bias")
    >>> v -= 1
    >>> v.numpy()
    array([0., 1.])
    """

    __hash__ = object.__hash__

    def __init__(
        self,
        value: Any,
        *,
        name: str,
        path: str | None = None,
        trainable: bool = True,
        regularizer: Callable[..., Any] | None = None,
        constraint: Callable[..., Any] | None = None,
        store: Store | None = None,
    ) -> None:
        value = as_array(value, "value")
        self._store = Store() if store is None else store
        self._index = self._store.add(value)
        self._name = name
        self._path = name if path is None else path
        self._trainable = boolean(trainable, "trainable")
        self.regularizer = regularizer
        self.constraint = constraint

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> str:
        return self._path

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = boolean(value, "trainable")

    @property
    def _array(self) -> np.ndarray:
        return self._store.state.arrays[self._index]

    def numpy(self) -> np.ndarray:
        """The value, as a read-only array that later assignments don't change."""
        view: np.ndarray = self._array.view()
        return view

    @property
    def value(self) -> np.ndarray:
        """The same as `numpy()`, under Keras's name."""
        return self.numpy()

    def assign(self, value: Any) -> np.ndarray:
        """Replace the value by an array of the same shape, cast to the variable's dtype. Returns the new value, read-only.

        Raises
        ------
        ValueError
            If the shape differs; nothing is broadcast.
        TypeError
            If `value` is not made of real numbers, is masked, or can't be viewed by NumPy.
        """
        return self._assign(value, "value")

    def _assign(self, value: Any, argument: str) -> np.ndarray:
        """`assign`, with the name that messages give `value`."""
        array = as_array(value, argument)
        if array.shape != self.shape:
            raise ValueError(
                f"The `{argument}` argument must have the shape of the variable {self.path}, {self.shape}. Received: shape={array.shape}"
            )
        return self._update(lambda _: array)

    def assign_add(self, value: Any) -> np.ndarray:
        """Add `value`, which may broadcast, in one step that no other assignment comes between."""
        return self._combine(np.add, value)

    def assign_sub(self, value: Any) -> np.ndarray:
        """Subtract `value`, which may broadcast, in one step that no other assignment comes between."""
        return self._combine(np.subtract, value)

    def _combine(self, ufunc: np.ufunc, value: Any) -> np.ndarray:
        array = as_array(value, "value")
        if not _fits(array.shape, self.shape):
            raise ValueError(
                f"The `value` argument must have a shape that broadcasts to that of the variable {self.path}, {self.shape}. "
                f"Received: shape={array.shape}"
            )
        return self._update(lambda old: ufunc(old, array))

    def _update(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        self._store.update(lambda arrays: {self._index: function(arrays[self._index])})
        return self.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self.numpy()
        if dtype is not None and np.dtype(dtype) != value.dtype:
            if copy is False:
                raise ValueError(f"a {value.dtype} variable can't be seen as {np.dtype(dtype)} without a copy")
            value = value.astype(dtype)
            return value
        return np.array(value) if copy else value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(o, Variable) for o in kwargs.get("out", ())):
            raise TypeError("A Variable can't be `out`: use assign, assign_add or assign_sub.")
        return getattr(ufunc, method)(*(i.numpy() if isinstance(i, Variable) else i for i in inputs), **kwargs)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, key: Any) -> Any:
        return self.numpy()[key]

    def __repr__(self) -> str:
        value = np.array2string(self._array, threshold=20, edgeitems=2, separator=", ")
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, trainable={self.trainable}, value={value}>"


def _in_place(ufunc: np.ufunc) -> Callable[[Variable, Any], Variable]:
    def operator(self: Variable, other: Any) -> Variable:
        self._combine(ufunc, other)
        return self

    return operator


for _name, _ufunc in {
    "__iadd__": np.add,
    "__isub__": np.subtract,
    "__imul__": np.multiply,
    "__itruediv__": np.true_divide,
    "__ifloordiv__": np.floor_divide,
    "__imod__": np.remainder,
    "__ipow__": np.power,
}.items():
    setattr(Variable, _name, _in_place(_ufunc))


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of `shape` broadcasts to `whole`."""
    return len(shape) <= len(whole) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(whole), strict=False))


def assign_all(variables: Sequence[Variable], values: Sequence[np.ndarray]) -> None:
    """Assign to variables of one or more stores; those of one store change all at once. Arrays have been checked by the caller."""
    stores = {id(v._store): v._store for v in variables}
    for key, store in stores.items():
        pairs = [(v._index, value) for v, value in zip(variables, values, strict=True) if id(v._store) == key]
        store.update(lambda _, pairs=pairs: dict(pairs))  # type: ignore[misc]

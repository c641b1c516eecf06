"""Keras's arguments, made exact: whole numbers become ``int``, pairs become tuples, and every refusal names the argument."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

# The largest size that the core and NumPy can address.
LARGEST = 2**63 - 1

Shape = tuple["int | None", ...]


# Characters of a value in a message.
_LONGEST = 300


def refuse(name: str, allowed: str, received: object, error: type[Exception] = ValueError) -> NoReturn:
    """Raise `error` in the one form that all messages of the package share."""
    text = repr(received)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    raise error(f"The `{name}` argument must be {allowed}. Received: {name}={text} (of type {type(received).__name__})")


def refuse_shape(name: str, allowed: str, received: tuple[int, ...]) -> NoReturn:
    """The same for an array whose shape is wrong, of which the message shows nothing else."""
    raise ValueError(f"The `{name}` argument must be {allowed}. Received: shape={received}")


@contextmanager
def within(name: str) -> Iterator[None]:
    """Put the name of an argument before the message of an error from its parts, which know nothing of it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError  # subclasses may want more than a message
        raise kind(f"The `{name}` argument: {error}") from error


def _as_int(value: object) -> int | None:
    """`value` as an int if it is a whole number, else None. R sends 32 as 32.0, so floats of integral value count."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (float, np.floating)):
        return int(value) if np.isfinite(value) and value == int(value) else None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def integer(value: object, name: str, minimum: int = 1) -> int:
    """A whole number of at least `minimum`; accepts int, NumPy integers and floats of integral value."""
    number = _as_int(value)
    if number is None or not minimum <= number <= LARGEST:
        at_most = f", at most {LARGEST}" if number is not None and number > LARGEST else ""
        refuse(name, ("a strictly positive integer" if minimum == 1 else f"an integer of at least {minimum}") + at_most, value)
    return number


def integers(value: object, rank: int, name: str, minimum: int = 1) -> tuple[int, ...]:
    """`rank` whole numbers, from one number or from an ordered collection of `rank` of them."""
    number = _as_int(value)
    if number is not None:
        numbers: list[int | None] = [number] * rank
    elif isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)) and len(value) == rank:
        numbers = [_as_int(item) for item in value]
    else:
        numbers = [None]
    found = tuple(n for n in numbers if n is not None and minimum <= n <= LARGEST)
    if len(found) != rank:
        each = "strictly positive" if minimum == 1 else f"at least {minimum}"
        each += f" and at most {LARGEST}" if any(n is not None and n > LARGEST for n in numbers) else ""
        refuse(name, f"an integer or a tuple of {rank} integers, each {each}", value)
    return found


def boolean(value: object, name: str) -> bool:
    """True or False, as Python's or NumPy's boolean."""
    if not isinstance(value, (bool, np.bool_)):
        refuse(name, "a boolean", value)
    return bool(value)


def switch(value: object, name: str) -> bool:
    """A boolean, or a whole 0 or 1, which Keras takes for `use_bias`."""
    number = int(value) if isinstance(value, (bool, np.bool_)) else _as_int(value)
    if number not in (0, 1):
        refuse(name, "a boolean", value)
    return bool(number)


def one_of(value: object, name: str, allowed: Iterable[str]) -> str:
    """One of the lower-case strings `allowed`, in any case."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value.lower() not in allowed:
        refuse(name, "one of " + ", ".join(repr(a) for a in allowed), value)
    return value.lower()


def data_format(value: object) -> str:
    """`"channels_last"` (also for None; Keras's configuration file is not read) or `"channels_first"`."""
    return one_of("channels_last" if value is None else value, "data_format", ("channels_last", "channels_first"))


def layer_name(value: object) -> str:
    """A name that can be one component of a variable's path."""
    if not isinstance(value, str) or not value or "/" in value:
        refuse("name", "a non-empty string without the character `/`", value)
    return value


def shape(value: object, name: str, rank: int | None = None) -> Shape:
    """A shape whose unknown sizes are None, from any ordered collection of `rank` sizes (any number if None)."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        refuse(name, "a tuple of integers and None", value)
    sizes = tuple(None if size is None else _as_int(size) for size in value)
    for given, size in zip(value, sizes, strict=True):
        if given is not None and (size is None or not 0 <= size <= LARGEST):
            refuse(name, "a tuple of integers that are not negative, or None", value)
    if rank is not None and len(sizes) != rank:
        refuse(name, f"a tuple of {rank} integers or None", value)
    return sizes


def batch_shape(input_shape: Any, batch_input_shape: Any, batch_size: Any) -> Shape | None:
    """The shape, with its batch axis, that `input_shape` or `batch_input_shape` (which wins) declares; None if neither does."""
    size = None if batch_size is None else integer(batch_size, "batch_size", minimum=0)
    if batch_input_shape is not None:
        return shape(batch_input_shape, "batch_input_shape")
    if input_shape is None:
        return None
    return (size, *shape(input_shape, "input_shape"))

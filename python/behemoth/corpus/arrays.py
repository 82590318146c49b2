"""Conversion of numbers and arrays to the exact dtypes of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError, Key

if TYPE_CHECKING:
    from .world import World

_MISSING = ("", "nan", "none", "null", "na", "<na>")
_MISSING_TYPES = ("NAType", "NaTType")  # of pandas, whose comparisons have no truth value

_FILLABLE = "uint16, uint32, int32 or int64"  # dtypes of arrays of tokens

_IDS = (0, 2**32 - 1, np.uint32)
_OPTIONAL_IDS = (-1, 2**32 - 2, np.int64)  # -1 for none
# Least and largest number of each column of a table of facts, and its type in the engine.
_TABLE = {"subject": (0, 2**64 - 1, np.uint64), "relation": _IDS, "object": _IDS,
          "minority": _OPTIONAL_IDS, "nested": _OPTIONAL_IDS}  # fmt: skip


def whole(
    values: ArrayLike, name: str, dtype: type[np.unsignedinteger], count: int | None = None
) -> NDArray[Any]:
    """Convert integers to a contiguous array of `dtype`, without overflow.

    Parameters
    ----------
    values : array_like of int, any shape
    name : str
        The argument's name, for the error.
    dtype : numpy unsigned type
    count : int, optional
        Number of things that the values are ids of; larger ids are refused. By default the largest
        value is that of `dtype`.

    Raises
    ------
    ArgumentError
        When the values are not integers, or one does not fit `dtype` or `count`.
    """
    largest = int(np.iinfo(dtype).max) if count is None else count - 1
    allowed = f"whole numbers 0 to {largest}"
    array = _array(values, name, allowed)
    if array.size == 0:
        array = array.astype(dtype)
    if array.dtype.kind not in "iu":
        # Python integers beyond 64 bits are objects here; floats and booleans keep their kind.
        raise ArgumentError(name, repr(values) if array.ndim == 0 else _no_number(array), allowed)
    if array.size and (
        count is not None
        or array.dtype.kind == "i"
        or array.dtype.itemsize > np.dtype(dtype).itemsize
    ):
        bad = int(array.min()) if int(array.min()) < 0 else int(array.max())
        if not 0 <= bad <= largest:
            raise ArgumentError(name, bad, allowed)
    return np.asarray(array, dtype=dtype, order="C")


def _array(values: ArrayLike, name: Key | tuple[Key, ...], allowed: str) -> NDArray[Any]:
    """Return values as an array; refuse lists of several lengths, which are none."""
    try:
        return np.asarray(values)
    except ValueError:
        raise ArgumentError(name, "lists within a list", allowed) from None


def _no_number(array: NDArray[Any]) -> str:
    """Return the first value of an array that is no whole number, with its row from 0.

    One missing value makes all others floats or objects, whose kind would tell nobody what to look
    for. Without such a value, it is the kind that is refused.
    """
    values = array.ravel()
    if array.dtype.kind == "f":
        places = np.flatnonzero(values != np.floor(values))[:1].tolist()
    else:
        places = range(0 if array.dtype.kind == "b" else len(values))
    for place in places:
        value = values[place]
        row = place // (array.size // len(array))
        if isinstance(value, str):  # in a column of a file, the numbers beside it are text as well
            told = None if value.strip().isdecimal() else repr(str(value))
            told = "no number" if value.strip().casefold() in _MISSING else told
        elif value is None or type(value).__name__ in _MISSING_TYPES:
            told = "no number"
        elif isinstance(value, float | np.floating):
            told = "no number" if isnan(value) else repr(float(value))
        elif isinstance(value, Integral):  # an object beyond 64 bits, or beside one
            told = None if -(2**63) <= value < 2**64 else repr(value)
        else:
            own = str if isinstance(value, np.generic) else repr  # numpy's repr has its own names
            told = "a list" if isinstance(value, np.ndarray) else own(value)
        if told is not None:
            return f"{told} in row {row} (from 0)"
    if array.dtype.kind == "O" and not all(isinstance(value, str) for value in values):
        return "an array of Python objects"
    kinds = {"O": "numbers in text", "U": "numbers in text", "b": "truth values"}
    return kinds.get(array.dtype.kind, f"an array of {array.dtype}")


def table_columns(table: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """Return the columns of a table of facts in the dtypes of the engine; see `World.from_arrays`.

    Whole numbers of other dtypes are converted; the engine refuses missing columns, and columns of
    several lengths.

    Raises
    ------
    ArgumentError
        When it is no mapping, or a column has several dimensions or a value that is no such number.
    """
    if not isinstance(table, Mapping):
        raise ArgumentError("table", table, "a mapping of names of columns to arrays")
    found: dict[str, NDArray[Any]] = {}
    for name, values in table.items():
        if name not in _TABLE:
            continue
        least, most, dtype = _TABLE[name]
        allowed = f"whole numbers {least} to {most}"
        array = _array(values, ("table", name), allowed)
        if array.ndim != 1:
            got, allowed = f"an array of shape {array.shape}", f"an array of {allowed}"
            raise ArgumentError(("table", name), got, allowed)
        if array.size and (array.dtype != dtype or least < 0):
            if array.dtype.kind not in "iu":
                raise ArgumentError(("table", name), _no_number(array), allowed)
            for row in np.flatnonzero((array < least) | (array > most))[:1]:
                got = f"{array[row]} in row {row} (from 0)"
                raise ArgumentError(("table", name), got, allowed)
        found[name] = np.ascontiguousarray(array, dtype)
    return found


def kept(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nobody changes any more, read-only: of one that is writable, a copy.

    A read-only view of a writable array is copied as well.
    """
    part: object = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            array = array.copy()
            array.setflags(write=False)
            break
        part = part.base
    return array


def is_frame(values: object) -> bool:
    """Return whether this is a frame of polars or pandas; a lazy one, which is no array, is not."""
    return hasattr(values, "__array__") and hasattr(values, "columns")


def fact_column(facts: Any, name: str) -> ArrayLike:
    """Return the column ``fact`` of a frame of polars or pandas; anything else as it is.

    As an array, a frame would have its other columns among the facts.

    Raises
    ------
    ArgumentError
        When the frame has no such column.
    """
    if not is_frame(facts):
        return facts
    if "fact" not in facts.columns:
        allowed = "a frame with a column fact, or numbers of facts"
        raise ArgumentError(name, "a frame without it", allowed)
    return facts["fact"]


def fact_numbers(
    facts: ArrayLike, count: int | None = None, name: str = "facts"
) -> NDArray[np.uint64]:
    """Return ids of facts, which may be a single one or the column ``fact`` of a frame: uint64[n].

    Raises
    ------
    ArgumentError
        When it is a frame without this column, or the ids have several dimensions or are not whole
        numbers from 0, below `count`.
    """
    column = fact_column(facts, name)
    allowed = "numbers of facts in one dimension, or a frame with a column fact"
    array = _array(column, name, allowed)
    if array.ndim > 1:
        raise ArgumentError(name, f"an array of shape {array.shape}", allowed)
    return np.atleast_1d(whole(array if array.ndim else column, name, np.uint64, count))


def chosen_facts(facts: ArrayLike | None, count: int) -> NDArray[np.uint64]:
    """Return ids of facts, as `fact_numbers` does; of all `count` facts if `facts` is None."""
    return np.arange(count, dtype=np.uint64) if facts is None else fact_numbers(facts, count)


def fillable(out: NDArray[Any]) -> NDArray[Any]:
    """Refuse an array that the engine cannot fill with tokens.

    Raises
    ------
    ArgumentError
    """
    allowed = f"a one-dimensional array of {_FILLABLE}"
    if not isinstance(out, np.ndarray):
        raise ArgumentError("out", out, allowed)
    if out.ndim != 1 or not _is_fillable(out.dtype):
        got = f"an array of {out.dtype} with {out.ndim} dimensions"
        raise ArgumentError("out", got, allowed)
    return out


def fillable_dtype(dtype: DTypeLike, own: np.dtype[Any]) -> np.dtype[Any]:
    """Return the argument `dtype` as one of an array that the engine can fill.

    Parameters
    ----------
    dtype : numpy dtype
    own : dtype
        That of the corpus.

    Raises
    ------
    ArgumentError
    """
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):  # numpy parses texts with commas as Python
        raise ArgumentError("dtype", dtype, _FILLABLE) from None
    if not _is_fillable(found):
        raise ArgumentError("dtype", str(found), _FILLABLE)
    if found.itemsize < own.itemsize:
        allowed = "uint32, int32 or int64: the vocabulary does not fit 16 bits"
        raise ArgumentError("dtype", str(found), allowed)
    return found


def _is_fillable(dtype: np.dtype[Any]) -> bool:
    return dtype.isnative and dtype.name in ("uint16", "uint32", "int32", "int64")


def relation_id(relation: int, count: int) -> int:
    """Return the argument `relation` as an int, the id of one of the first `count` relations.

    Raises
    ------
    ArgumentError
    """
    if (known := whole_number("relation", relation)) >= count:
        raise ArgumentError("relation", relation, f"a relation below {count}")
    return known


def pairs(
    subjects: ArrayLike, relations: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], tuple[int, ...]]:
    """Broadcast subjects and relations against each other.

    Returns
    -------
    tuple of uint64[n], uint32[n] and the broadcast shape
    """
    left, right = np.broadcast_arrays(
        whole(subjects, "subjects", np.uint64), whole(relations, "relations", np.uint32)
    )
    return np.ascontiguousarray(left).ravel(), np.ascontiguousarray(right).ravel(), left.shape


def overrides(changes: Mapping[int, int], world: World) -> tuple[NDArray[Any], NDArray[Any]]:
    """Split ``{fact: object}``, the argument `objects`, into uint64 facts and uint32 objects.

    Raises
    ------
    ArgumentError
        When it is no mapping of whole numbers, or the world does not have a fact.
    """
    if not isinstance(changes, Mapping):
        raise ArgumentError("objects", changes, "a mapping of fact to object")
    facts, objects = list(changes.keys()), list(changes.values())
    try:
        return (
            whole(facts, "objects", np.uint64, world.num_facts),
            whole(objects, "objects", np.uint32),
        )
    except ArgumentError as error:
        raise _refused(changes, world) or error from None


def follows(follow: bool | None, world: World) -> bool:
    """Return whether composed facts follow new overrides: by default as they do earlier ones.

    Raises
    ------
    ArgumentError
        When `follow` is neither a bool nor None.
    """
    if follow is not None:
        return flag("follow", follow)
    _, _, earlier = world._native.overrides  # false without earlier ones
    return earlier


def _refused(changes: Mapping[int, int], world: World) -> ArgumentError | None:
    """Return the error for the first change that is not of a fact, or to an object of a number."""
    for fact, made in changes.items():
        if not isinstance(fact, Integral) or not 0 <= fact < world.num_facts:
            return ArgumentError("objects", f"fact {fact!r}", f"a fact below {world.num_facts}")
        if not isinstance(made, Integral) or not 0 <= made < 1 << 32:
            relation = int(world.arrays_of([int(fact)]).relation[0])
            count = world.relation_table[relation]["objects"]
            allowed = f"an object below {count}, those of relation {relation}"
            return ArgumentError("objects", f"object {made!r} for fact {fact}", allowed)
    return None

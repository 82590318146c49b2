"""Conversion of numbers and arrays to the exact dtypes of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth.support.errors import ArgumentError


def whole(values: ArrayLike, name: str, dtype: type[np.unsignedinteger]) -> NDArray[Any]:
    """Convert integers to a contiguous array of `dtype`, without overflow.

    Parameters
    ----------
    values : array_like of int, any shape
    name : str
        The argument's name, for the error.
    dtype : numpy unsigned type

    Raises
    ------
    ArgumentError
        When the values are not integers, or one does not fit `dtype`.
    """
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(dtype)
    largest = int(np.iinfo(dtype).max)
    if array.dtype.kind not in "iu":
        # Python integers beyond 64 bits are objects here; floats and booleans keep their kind.
        got = repr(values) if array.ndim == 0 else f"an array of {array.dtype}"
        raise ArgumentError(name, got, f"whole numbers 0 to {largest}")
    if array.size and (array.dtype.kind == "i" or array.dtype.itemsize > np.dtype(dtype).itemsize):
        bad = int(array.min()) if int(array.min()) < 0 else int(array.max())
        if not 0 <= bad <= largest:
            raise ArgumentError(name, bad, f"whole numbers 0 to {largest}")
    return np.asarray(array, dtype=dtype, order="C")


def chosen_facts(facts: ArrayLike | None, count: int) -> NDArray[np.uint64]:
    """Return ids of facts as an array of the same shape; of all `count` facts if `facts` is None.

    Raises
    ------
    ArgumentError
        When the ids are not whole numbers from 0.
    """
    return whole(np.arange(count, dtype=np.uint64) if facts is None else facts, "facts", np.uint64)


def fillable(out: NDArray[Any]) -> NDArray[Any]:
    """Refuse an array that the engine cannot fill with tokens.

    Raises
    ------
    ArgumentError
    """
    dtypes = ("uint16", "uint32", "int32", "int64")
    allowed = "a one-dimensional array of uint16, uint32, int32 or int64"
    if not isinstance(out, np.ndarray):
        raise ArgumentError("out", out, allowed)
    if out.ndim != 1 or out.dtype.name not in dtypes:
        got = f"an array of {out.dtype} with {out.ndim} dimensions"
        raise ArgumentError("out", got, allowed)
    return out


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


def overrides(changes: Mapping[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Split ``{fact: object}`` into uint64 facts and uint32 objects."""
    if not isinstance(changes, Mapping):
        raise ArgumentError("objects", changes, "a mapping of fact to object")
    return (
        whole(list(changes.keys()), "facts", np.uint64),
        whole(list(changes.values()), "objects", np.uint32),
    )

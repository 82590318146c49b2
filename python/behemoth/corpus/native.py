"""The engine's corpus of a spec, with what the spec only refers to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth import _gen
from behemoth.support.errors import ArgumentError

from .arrays import whole
from .background import Background
from .grammar import Text
from .spec import Exposures, split_wordings, to_json
from .world import World

__all__ = ["native_corpus", "split_exposures"]

_FORMS = "a whole number, Constant, Groups, ZipfExposures, or whole numbers, one for each fact"


def native_corpus(
    world: World,
    spec: Mapping[str, Any],
    exposures: NDArray[np.uint32] | None,
    text: Text | None,
    background: Background | None,
) -> _gen.Corpus:
    """Make the engine's corpus.

    Parameters
    ----------
    world : World
    spec : mapping
        The ``[corpus]`` table, or the arguments of `Corpus` by name.
    exposures : uint32[subject facts], optional
        If `spec` refers to an array of them.
    text : Text, optional
    background : Background, optional

    Raises
    ------
    ArgumentError
        For any value that the engine does not allow.
    """
    spec = split_wordings(spec)
    _check_sign(spec.get("exposures"))
    lexicon = None
    if text is not None:
        among = spec.get("filler") is not None or spec.get("insert") is not None
        lexicon = text.lexicon_with_words if among else text.lexicon
    return _gen.Corpus(
        world._native,
        json.dumps(to_json(spec)),
        exposures,
        lexicon,
        None if background is None else background.native,
    )


def _check_sign(exposures: object) -> None:
    """Refuse a negative number of exposures: to the engine, which counts from 0, it is no number.

    Raises
    ------
    ArgumentError
    """
    if isinstance(exposures, str):
        negative = exposures.startswith("-") and exposures[1:].isdecimal()
    else:
        negative = isinstance(exposures, int) and exposures < 0
    if negative:
        raise ArgumentError("exposures", exposures, "a whole number from 1")


def split_exposures(
    exposures: int | str | Exposures | ArrayLike,
) -> tuple[Any, NDArray[np.uint32] | None]:
    """Split the argument `exposures` into its form in a spec and, for a table, the array.

    The array is read-only and the corpus's own: it is copied if the argument is of its dtype.

    Raises
    ------
    ArgumentError
        When it is none of the forms, and no array of whole numbers.
    """
    form: Any = exposures
    if isinstance(form, np.integer):
        return int(form), None
    if isinstance(form, bool) or not isinstance(form, int | str | Mapping | Exposures):
        try:
            given = np.asarray(form)
        except ValueError:  # lists of several lengths
            raise ArgumentError("exposures", "lists within a list", _FORMS) from None
        if given.ndim != 1:
            got = f"an array of shape {given.shape}" if given.ndim else repr(form)
            raise ArgumentError("exposures", got, _FORMS)
        array = whole(given, "exposures", np.uint32)
        if np.may_share_memory(array, given):
            array = array.copy()
        array.setflags(write=False)
        return {"kind": "array"}, array
    return form, None

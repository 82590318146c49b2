"""Corpora made from another one by its spec: its twins, and its equal in another process.

The engine makes the twins that differ in the objects of facts (`Corpus.override`) or omit facts
(`Corpus.without`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth.support.errors import ArgumentError

from .arrays import whole
from .world import World

if TYPE_CHECKING:
    from .background import Background
    from .corpus import Corpus
    from .grammar import Text
    from .names import Names

__all__ = ["exchanged", "remade", "without_insert", "without_others"]

_OTHERS = ("insert", "background", "filler", "schedule")
"""What a spec says of documents without facts, and of the places of sentences among them."""


def exchanged(corpus: Corpus, pairs: ArrayLike) -> Corpus:
    """Return the corpus in which the facts of each pair have exchanged their exposures.

    Parameters and errors are those of `Corpus.exchanged`.
    """
    if corpus.spec["corpus"].get("twin", {}).get("without"):
        # Omitted facts keep their places in the order, with exposures that are not seen here.
        got = "facts of a corpus that omits some"
        raise ArgumentError("pairs", got, "those of a complete corpus: exchange, then omit")
    facts = whole(pairs, "pairs", np.uint64)
    if facts.size and facts.shape[1:] != (2,):
        raise ArgumentError("pairs", f"an array of shape {facts.shape}", "pairs of facts: (n, 2)")
    facts = facts.reshape(-1, 2)
    count = corpus.world.num_subject_facts
    if len(np.unique(facts)) < facts.size or (facts >= count).any():
        raise ArgumentError("pairs", facts.tolist(), f"facts below {count}, each once")
    given = corpus.exposures_array  # it may also have numbers for links
    every = corpus.exposures(np.arange(count if given is None else len(given), dtype=np.uint64))
    exposures = whole(every, "exposures", np.uint32)  # the dtype of a table of exposures
    exposures[facts] = exposures[facts[:, ::-1]]
    exposures.setflags(write=False)  # a corpus keeps it without a copy
    own = {**corpus.spec["corpus"], "exposures": {"kind": "array"}}
    parts = exposures, corpus.text_settings, corpus.background
    return type(corpus).from_arrays(corpus.world, own, *parts)


def without_insert(corpus: Corpus) -> Corpus:
    """Return the corpus of the same sentences in separate documents, without any others."""
    return without_others(corpus) if "insert" in corpus.spec["corpus"] else corpus


def without_others(corpus: Corpus) -> Corpus:
    """Return the corpus of the same sentences without other documents, in an order without them.

    This is the corpus itself if it has no others.
    """
    spec = corpus.spec["corpus"]
    own = {key: spec[key] for key in spec if key not in _OTHERS}
    if len(own) == len(spec):
        return corpus
    return type(corpus).from_arrays(corpus.world, own, corpus.exposures_array, corpus.text_settings)


def remade(
    spec: Mapping[str, Any],
    table: dict[str, NDArray[Any]] | None,
    names: Names | None,
    exposures: NDArray[np.uint32] | None,
    text: Text | None,
    background: Background | None,
    directory: Path | None = None,
) -> Corpus:
    """Rebuild a corpus from the values that `Corpus.__reduce__` returns."""
    from .corpus import Corpus

    if exposures is not None:
        exposures.setflags(write=False)  # kept without a copy: it is of no one else
    world = World.from_arrays(spec["world"], table, spec["format_version"], names)
    corpus = Corpus.from_arrays(world, spec["corpus"], exposures, text, background)
    corpus.directory = directory
    return corpus

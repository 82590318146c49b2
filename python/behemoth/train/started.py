"""What the model that a training starts from has read, as far as its record tells."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth.support.errors import ArgumentError, CorpusError

from .config import TrainConfig
from .model_source import run_of_checkpoint
from .run import read_record

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["corpora_of_start", "objects_read", "objects_written", "warn_of_start"]

_WRITTEN = ("exposures", "nested_exposures", "twin")
"""Keys of a spec that determine which facts are written, and with which objects."""


def corpora_of_start(config: TrainConfig) -> list[dict[str, Any]] | None:
    """Return the specs of the corpora that the model in `start` has read, the last first.

    They are known of a run and its checkpoints, with what the run itself started from. None without
    a start, and for a model of another origin, whose texts are not known.
    """
    if config.start is None:
        return None
    place = Path(config.start)
    try:
        record = read_record(run_of_checkpoint(place) or place)
    except CorpusError:  # a checkpoint of the run, which has a record of its own, may be sound
        return None
    if record is None:
        return None
    specs = [record.spec, *(record.start_corpora or ())]
    return [spec for number, spec in enumerate(specs) if spec not in specs[:number]]


def objects_written(corpus: Corpus, facts: ArrayLike) -> NDArray[np.int64]:
    """Return the objects with which a corpus writes facts, [n]; -1 for a fact it never writes."""
    objects = corpus.world.facts_of(facts)["object"].to_numpy().astype(np.int64)
    return np.where(corpus.exposures(facts) > 0, objects, -1)


def objects_read(
    specs: Sequence[Mapping[str, Any]] | None, corpus: Corpus, facts: ArrayLike
) -> Iterator[NDArray[np.int64] | None]:
    """Yield the result of `objects_written` for each of these corpora that is of the same world.

    It is None if a corpus has an array of exposures that is not that of `corpus`: records of runs
    have only its digest.

    Parameters
    ----------
    specs : sequence of dict, optional
        Result of `corpora_of_start`, or what a record has of it.
    corpus : Corpus
    facts : array_like of int
    """
    for spec in specs or ():
        if spec["world"] == corpus.spec["world"]:
            read = _facts_of(spec, corpus)
            yield None if read is None else objects_written(read, facts)


def warn_of_start(corpus: Corpus, config: TrainConfig) -> None:
    """Warn before a twin is trained from a model that has read the facts that are to be missing."""
    twin = corpus.spec["corpus"].get("twin", {})
    facts = np.array([*(fact for fact, _ in twin.get("overrides", ())), *twin.get("without", ())])
    if config.start is None or not len(facts):
        return
    now, read, known = objects_written(corpus, facts), np.zeros(len(facts), bool), True
    for there in objects_read(corpora_of_start(config), corpus, facts):
        if there is None:
            known = False
        else:
            read |= (there >= 0) & (there != now)
    if read.any() or not known:
        logging.getLogger(__name__).warning(
            "%s, which training starts from, has read %s of the %s facts that the corpus omits or "
            "overrides: what is trained is no twin that never read them",
            config.start,
            f"{read.sum():,}" if known else "an unknown number",
            f"{len(facts):,}",
        )


def _facts_of(spec: Mapping[str, Any], corpus: Corpus) -> Corpus | None:
    """Return a corpus of the same facts as that of a spec, of the world of another corpus."""
    from behemoth.corpus.twins import remade

    own = {key: spec["corpus"][key] for key in _WRITTEN if key in spec["corpus"]}
    array = corpus.exposures_array if own["exposures"]["kind"] == "array" else None
    world = corpus.world
    if array is not None and len(array) > world.num_subject_facts:
        own.pop("nested_exposures", None)  # 0 of links without sentences in the grammar
    try:
        return remade({**spec, "corpus": own}, world.table_columns, world.names, array, None, None)
    except ArgumentError:
        return None

"""Recall by exposures, measured during and at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from transformers import PreTrainedModel

from behemoth.corpus.corpus import Corpus
from behemoth.recall.facts import recall

_CLASSES = 16  # more different numbers of exposures are grouped by powers of two
_FACTS = 10_000


def probed_facts(corpus: Corpus, most: int = _FACTS) -> NDArray[np.uint64]:
    """Return an exact sample of at most `most` facts, always the same for a corpus."""
    return corpus.sample_facts(most)


def recall_by_exposures(
    model: PreTrainedModel, corpus: Corpus, facts: NDArray[np.uint64]
) -> pl.DataFrame:
    """Measure recall in the wordings that occur in the corpus.

    Held-out wordings, and questions about subjects without questions in the corpus, are excluded;
    `behemoth.evaluate` measures them.

    Returns
    -------
    polars.DataFrame
        exposures (Int64; the minimum of a class), n, recall and log_probability (mean), sorted.
    """
    frame = recall(model, corpus, facts=facts, held_out=False).filter(
        pl.col("seen").fill_null(True)
    )
    classes = exposure_classes(row["exposures"] for row in corpus.exposure_classes)
    return (
        frame.with_columns(pl.col("exposures").cast(pl.Int64).replace(classes))
        .group_by("exposures")
        .agg(
            pl.len().cast(pl.Int64).alias("n"),
            pl.col("exact_match").mean().alias("recall"),
            pl.col("log_probability").mean(),
        )
        .sort("exposures")
    )


def exposure_classes(exposures: Iterable[int]) -> dict[int, int]:
    """Map each number of exposures to its class."""
    levels = sorted(set(exposures))
    if len(levels) <= _CLASSES:
        return {level: level for level in levels}
    return {level: 1 << (level.bit_length() - 1) if level else 0 for level in levels}

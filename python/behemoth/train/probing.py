"""Recall by exposures, measured during and at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from transformers import PreTrainedModel

from behemoth.corpus.corpus import Corpus
from behemoth.recall.facts import recall, recall_by_group

_CLASSES = 16  # more different numbers of exposures are grouped by powers of two
MOST_FACTS = 10_000
"""Number of facts that recall is measured on at most."""


def probed_facts(corpus: Corpus, most: int = MOST_FACTS) -> NDArray[np.uint64]:
    """Return an exact sample of at most `most` facts, always the same for a corpus."""
    return corpus.sample_facts(most)


def recall_by_exposures(
    model: PreTrainedModel, corpus: Corpus, facts: NDArray[np.uint64], batch_size: int = 512
) -> pl.DataFrame:
    """Measure recall in the wordings that occur in the corpus.

    Held-out wordings, and questions about subjects without questions in the corpus, are excluded;
    `behemoth.evaluate` measures them.

    Parameters
    ----------
    model : PreTrainedModel
    corpus : Corpus
    facts : uint64[N]
    batch_size : int
        Number of rows per pass.

    Returns
    -------
    polars.DataFrame
        exposures (Int64; the minimum of a class), n, recall and log_probability (mean), sorted.
    """
    frame = recall(model, corpus, facts=facts, held_out=False, unseen=False, batch_size=batch_size)
    classes = exposure_classes(row["exposures"] for row in corpus.exposure_classes)
    frame = frame.with_columns(pl.col("exposures").cast(pl.Int64).replace(classes))
    own = ("exposures", pl.col("n").cast(pl.Int64), "recall", "log_probability")
    return recall_by_group(frame).select(*own)


def exposure_classes(exposures: Iterable[int]) -> dict[int, int]:
    """Map each number of exposures to its class."""
    levels = sorted(set(exposures))
    # A twin has facts at 0 that the levels of its parent do not count: both need the same classes.
    if sum(level > 0 for level in levels) <= _CLASSES:
        return {level: level for level in levels}
    return {level: 1 << (level.bit_length() - 1) if level else 0 for level in levels}

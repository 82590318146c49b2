"""What a model knows of its corpus: by exposures, wording, and in bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.evaluate.clusters import interval, proper, weight_parts
from behemoth.recall.bits import saved_bits

from .intervals import RESAMPLES, numbered_subjects
from .levels import Level, levels_of
from .measured_model import MeasuredModel
from .suite import Found, Measure, MissingError, Suite

__all__ = ["SUITE"]


def _measures(measured: MeasuredModel) -> Sequence[Measure]:
    levels = levels_of(measured.recall["exposures"].unique().to_list())
    return (
        Measure(
            "recall",
            "free generation gives the object, in written wordings; over all facts, "
            "including those that are never written",
            lambda measured: _recall(measured, _written(), "wordings of this kind"),
            version=2,  # 1: with questions that the corpus does not ask
            beside=True,
        ),
        Measure(
            "recall_held_out",
            "the same in wordings that are never written",
            lambda measured: _recall(
                measured, _asked() & pl.col("held_out"), "wordings of this kind"
            ),
            version=2,
            beside=True,
        ),
        Measure(
            "recall_unasked",
            "free generation answers questions about subjects that the corpus asks no questions "
            "about (arXiv 2309.14316)",
            lambda measured: _recall(
                measured, ~_asked(), "subjects that the corpus does not ask about"
            ),
            beside=True,
        ),
        Measure(
            "valid_object",
            "free generation gives some object of the relation, in all wordings but questions "
            "about subjects that the corpus asks no questions about",
            lambda measured: measured.mean(
                measured.recall.filter(_asked()), pl.col("valid_object"), "probes"
            ),
            version=2,
        ),
        Measure(
            "recall_written",
            "recall of facts that are written at all",
            lambda measured: _recall(
                measured, _written() & (pl.col("exposures") > 0), "written facts"
            ),
            version=2,
        ),
        *(
            Measure(
                f"recall_exposures_{level.name}",
                f"recall of facts written {level.text} times",
                lambda measured, level=level: _recall(
                    measured, _written() & level.condition, "probes in written wordings"
                ),
                version=2,
            )
            for level in levels
        ),
        Measure(
            "bits_per_fact",
            "mean over written facts of log2(objects) + log2 p(object); numbers of exposures whose "
            "own mean is negative count as 0 (arXiv 2404.05405, section 2)",
            _bits,
            # 1: clipped over all exposures together, without facts that are not finite; 2: with
            # questions that the corpus does not ask
            version=3,
        ),
        *(
            Measure(
                f"bits_exposures_{level.name}",
                f"bits_per_fact of facts written {level.text} times",
                lambda measured, level=level: _bits(measured, level),
                version=2,
            )
            for level in levels
            if level.low > 0
        ),
        Measure(
            "bits_per_parameter",
            "total over all written facts, per parameter without the embeddings",
            _bits_per_parameter,
            version=3,
        ),
    )


def _asked() -> pl.Expr:
    """Return what holds for all rows but questions that the corpus does not ask of their subject.

    A grammar has questions even if no corpus of it asks any: they are probes of knowledge that is
    extracted in a form that the model has never seen, and no written wordings.
    """
    return pl.col("seen").fill_null(True)


def _written() -> pl.Expr:
    return _asked() & ~pl.col("held_out")


def _recall(measured: MeasuredModel, rows: pl.Expr, needs: str) -> Found:
    return measured.mean(measured.recall.filter(rows), pl.col("exact_match"), needs)


def _bits(measured: MeasuredModel, level: Level | None = None) -> Found:
    """Return the bits stored per written fact, as `study.analysis.capacity` computes them.

    With `level`, only facts with these numbers of exposures count.
    """
    objects = {row["relation"]: row["objects"] for row in measured.run.corpus.world.relation_table}
    count = pl.col("relation").replace_strict(objects, return_dtype=pl.Float64)
    facts = (
        measured.recall.filter(
            _written(),
            pl.col("exposures") > 0,
            pl.lit(True) if level is None else level.condition,
        )
        .with_columns(count.alias("objects"))
        .with_columns(saved_bits().alias("bits"))
        .group_by("fact", "link", "subject", "exposures", maintain_order=True)
        .agg(pl.col("bits").mean())
        .sort("exposures", "fact")
    )
    if facts.is_empty():
        raise MissingError("written facts")
    cluster = numbered_subjects(facts)
    clusters = int(cluster.max()) + 1
    bits = facts["bits"].to_numpy()
    levels = np.split(np.arange(len(facts)), np.flatnonzero(np.diff(facts["exposures"])) + 1)

    def stored(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        # Only the sum of a level is clipped: clipping each fact would count luck as knowledge.
        sums = [np.maximum(weights[:, cluster[rows]] @ bits[rows], 0.0) for rows in levels]
        return np.sum(sums, axis=0) / (weights @ np.bincount(cluster))

    values = [stored(part) for part in weight_parts(clusters, RESAMPLES, 0)]
    low, high = proper(*interval(np.concatenate(values), 0.95))
    return Found(float(stored(np.ones((1, clusters)))[0]), low, high, clusters, "subjects")


def _bits_per_parameter(measured: MeasuredModel) -> Found:
    bits = _bits(measured)
    parameters = measured.run.parameters_without_embedding
    if not parameters:
        raise MissingError("a run whose record says how many parameters it has")
    facts = measured.written_facts / parameters
    low, high = (None if x is None else x * facts for x in (bits.low, bits.high))
    return Found(bits.value * facts, low, high, bits.count, bits.over)


SUITE = Suite(
    "recall",
    "a trained run: what it knows, and how many bits",
    _measures,
    frame=lambda measured: measured.recall,
    needs_plan=False,
)

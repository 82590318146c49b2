"""What a model knows of its corpus: by exposures, wording, and in bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import polars as pl

from behemoth.evaluate.clusters import proper

from .bench import Bench
from .suite import Found, Measure, MissingError, Suite

__all__ = ["SUITE"]


def _measures(bench: Bench) -> Sequence[Measure]:
    levels = bench.recall["exposures"].unique().sort().to_list()
    return (
        Measure(
            "recall",
            "free generation gives the object, in written wordings",
            _recall(False),
            beside=True,
        ),
        Measure(
            "recall_held_out",
            "the same in wordings that are never written",
            _recall(True),
            beside=True,
        ),
        Measure(
            "valid_object",
            "free generation gives some object of the relation",
            lambda bench: bench.mean(bench.recall, pl.col("valid_object"), "probes"),
        ),
        *(
            Measure(
                f"recall_exposures_{level}",
                f"recall of facts written {level} times",
                lambda bench, level=level: bench.mean(
                    bench.recall.filter(~pl.col("held_out"), exposures=level),
                    pl.col("exact_match"),
                    "probes in written wordings",
                ),
            )
            for level in (levels if len(levels) <= 16 else ())
        ),
        Measure(
            "bits_per_fact",
            "mean of log2(objects) + log2 p(object), 0 if negative (arXiv 2404.05405, section 2)",
            _bits,
        ),
        Measure(
            "bits_per_parameter",
            "total over all written facts, per parameter without the embeddings",
            _bits_per_parameter,
        ),
    )


def _recall(held_out: bool) -> Callable[[Bench], Found]:
    def find(bench: Bench) -> Found:
        rows = bench.recall.filter(held_out=held_out)
        return bench.mean(rows, pl.col("exact_match"), "wordings of this kind")

    return find


def _bits(bench: Bench) -> Found:
    objects = {row["relation"]: row["objects"] for row in bench.run.corpus.world.relation_table}
    rows = bench.recall.filter(~pl.col("held_out"), pl.col("exposures") > 0).with_columns(
        pl.col("relation").replace_strict(objects, return_dtype=pl.Float64).alias("objects")
    )
    # Only the mean is clipped: clipping each fact would count luck as knowledge.
    stored = pl.col("objects").log(2) + pl.col("log_probability") / math.log(2)
    bits = bench.mean(rows, stored.fill_nan(None), "written facts")
    low, high = bits.low, bits.high
    if low is not None and high is not None:
        low, high = proper(max(low, 0.0), max(high, 0.0))
    return Found(max(bits.value, 0.0), low, high, bits.count, bits.over)


def _bits_per_parameter(bench: Bench) -> Found:
    bits = _bits(bench)
    parameters = bench.run.parameters_without_embedding
    if not parameters:
        raise MissingError("a run whose record says how many parameters it has")
    facts = bench.written_facts / parameters
    low, high = (None if x is None else x * facts for x in (bits.low, bits.high))
    return Found(bits.value * facts, low, high, bits.count, bits.over)


SUITE = Suite(
    "recall",
    "a trained run: what it knows, and how many bits",
    _measures,
    frame=lambda bench: bench.recall,
    needs_plan=False,
)

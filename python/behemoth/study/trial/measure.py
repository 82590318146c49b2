"""The `edits` and `traces` frames of a trial, with the properties and outcome of each edit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.evaluate.dose import first_dose
from behemoth.evaluate.metrics import more_likely
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.schemas import ABOUT, EDITS, TRACES

if TYPE_CHECKING:
    from behemoth.delta.delta import EditDelta
    from behemoth.edit.protocol import MethodInfo

__all__ = ["about_edits", "dose_of", "edit_frame", "trace_frame"]


_DOSES = ("dose_kind", "dose", "dose_low", "reached", "limit", "dose_held_out",
          "dose_held_out_low", "reached_held_out", "norm_at_flip", "kl_at_flip")  # fmt: skip
_LEDGER_ROWS = 1_000_000  # sentences looked up at a time


def about_edits(plan: EditPlan, corpus: Corpus) -> pl.DataFrame:
    """Return properties of the edits of a plan that follow from the corpus.

    Returns
    -------
    polars.DataFrame
        One row per edit, columns as in `ABOUT`. subject_exposures: total exposures of all facts of
        the subject (null for link facts); recency: the share of the corpus' documents that come
        after the last one with the fact, 0 is the latest (null for facts without exposures).
    """
    edits = plan.edits
    facts = edits["fact"].to_numpy()
    return (
        edits.with_columns(
            pl.Series("subject_exposures", _subject_exposures(edits, corpus), dtype=pl.UInt64),
            pl.Series("recency", _recency(facts, corpus), dtype=pl.Float64),
        )
        .with_columns(
            pl.when(~pl.col("link")).then(pl.col("subject_exposures")).alias("subject_exposures")
        )
        .select(pl.col(name).cast(dtype) for name, dtype in ABOUT.items())
    )


def _subject_exposures(edits: pl.DataFrame, corpus: Corpus) -> Any:
    world = corpus.world
    if not world.is_table:
        subjects = edits["subject"].to_numpy()
        subjects = np.where(edits["link"].to_numpy(), 0, subjects)
        facts = world.fact_ids(subjects[:, None], np.arange(world.num_relations)[None, :])
        return corpus.exposures(facts).sum(1)
    # A table may lack facts, so only the existing facts of a subject are summed.
    every = world.facts(0, world.num_subject_facts)
    totals = (
        every.with_columns(pl.Series("exposures", corpus.exposures(every["fact"].to_numpy())))
        .group_by("subject", maintain_order=True)
        .agg(pl.col("exposures").sum())
    )
    return edits.join(totals, on="subject", how="left", maintain_order="left", suffix="_all")[
        "exposures_all"
    ]


def _recency(facts: Any, corpus: Corpus) -> list[float | None]:
    """Look up the last document of each fact, some facts at a time."""
    last: dict[int, int] = {}
    exposures = corpus.exposures(facts)
    ends = np.cumsum(exposures, dtype=np.uint64) // np.uint64(_LEDGER_ROWS)
    for part in np.unique(ends):
        part_last = (
            corpus.ledger(facts[ends == part])
            .group_by("fact", maintain_order=True)
            .agg(pl.col("document").max())
        )
        last.update(part_last.iter_rows())
    documents = corpus.num_documents
    return [
        None if fact not in last else (documents - 1 - last[fact]) / documents
        for fact in facts.tolist()
    ]


def dose_of(
    trace: Sequence[Mapping[str, Any]], *, forgets: bool, doses: bool = True
) -> dict[str, Any]:
    """Return the edit dose of a trace.

    Parameters
    ----------
    trace : sequence of mapping
        Rows by step, as stored in deltas.
    forgets : bool
        If true, the dose kind is ``forget``: some other token is more probable than one of the old
        answer. Else it is ``flip``: p(new) > p(old).
    doses : bool
        Whether the steps of the trace are doses (`MethodInfo.doses`).

    Returns
    -------
    dict
        ``dose_kind``; ``dose``, ``dose_low``, ``reached``, ``limit`` as in
        `behemoth.evaluate.dose.first_dose`; ``dose_held_out``, ``dose_held_out_low``,
        ``reached_held_out`` for the mean over wordings that the edit is not trained on;
        ``norm_at_flip`` and ``kl_at_flip``: columns of the trace at ``dose``. All but the kind are
        None for methods without doses; values that the trace lacks are None.
    """
    dose = held_out_dose = None
    if doses:
        dose = first_dose(trace, forgets=forgets)
        held_out_dose = first_dose(trace, forgets=forgets, held_out=True)
    flip: Mapping[str, Any] = {}
    if dose is not None and dose.reached:
        flip = next(row for row in trace if row.get("step") == dose.dose)
    return {
        "dose_kind": "forget" if forgets else "flip",
        "dose": None if dose is None else dose.dose,
        "dose_low": None if dose is None else dose.low,
        "reached": None if dose is None else dose.reached,
        "limit": None if dose is None else dose.limit,
        "dose_held_out": None if held_out_dose is None else held_out_dose.dose,
        "dose_held_out_low": None if held_out_dose is None else held_out_dose.low,
        "reached_held_out": None if held_out_dose is None else held_out_dose.reached,
        "norm_at_flip": flip.get("norm"),
        "kl_at_flip": flip.get("kl"),
    }


def trace_frame(deltas: Mapping[int | None, EditDelta]) -> pl.DataFrame:
    """Return the traces of deltas, one row per edit and step.

    In a batch edit is null, except in a search for target vectors, which is one of each edit.
    """
    rows = [
        {
            "edit": row.get("edit") if edit is None else edit,
            **{name: row.get(name) for name in list(TRACES)[1:]},
        }
        for edit, delta in deltas.items()
        for row in delta.trace
        if "step" in row
    ]
    return pl.DataFrame(rows, schema=TRACES)


def edit_frame(
    about: pl.DataFrame,
    deltas: Mapping[int | None, EditDelta],
    probes: pl.DataFrame,
    shapes: pl.DataFrame,
    info: MethodInfo,
) -> pl.DataFrame:
    """Return the `edits` frame of some deltas.

    Parameters
    ----------
    about : polars.DataFrame
        Frame returned by `about_edits`.
    deltas : mapping of int or None to EditDelta
        Deltas by number of the edit; or one delta of the plan as one batch, by None.
    probes : polars.DataFrame
        Frame returned by `evaluate_model` for them.
    shapes : polars.DataFrame
        Frame returned by `behemoth.study.trial.batched_geometry.shapes` for them.
    info : MethodInfo
        Description of the method.

    Returns
    -------
    polars.DataFrame
        One row per edit, columns as in `EDITS`:

        - those of `ABOUT`.
        - batch: number of edits made together; 1 for single edits.
        - known: whether the unedited model generates the old answer to a trained wording.
        - margin: log p(old) - log p(new) of the unedited model in nats, at the token where the
          answers differ first. For methods without a trace, and for batches, it is that of the
          complete answers, as a mean over trained wordings. If there is no new object, the
          likeliest other token takes its place; then it is null without a trace or for a batch.
        - dose_kind to kl_at_flip: see `dose_of`; except for the kind and the limit they are null
          for batches, whose steps train all edits together.
        - failure: why the edit broke down, null if it did not. If it did, the following columns
          describe the unedited model; `Results.edits` has efficacy and success as 0.
        - efficacy: share of trained wordings with p(new) > p(old) after the edit, new being the
          answer that is to be given, also a refusal; if the method
          is to forget (`MethodInfo.forgets`), the share whose old answer is no longer generated.
        - success: share of trained wordings whose generated answer is exactly right; if the method
          is to forget, the same as efficacy.
        - norm (Frobenius) and effective_rank (mean over changed matrices, weighted by norm) of the
          change; the same for all edits of a batch. effective_rank is null if it was not computed,
          or if no matrix changed.
    """
    single = None not in deltas
    forgets = info.forgets(nameless=bool(about["new_object"].is_null().all()))
    rows = []
    for edit, delta in deltas.items():
        dose = dose_of(delta.trace, forgets=forgets, doses=info.doses)
        if not single:
            dose.update({name: None for name in dose if name not in ("dose_kind", "limit")})
        before = next((row for row in delta.trace if row.get("step") == 0), {})
        margins = {
            name: before.get("log_probability_old", math.nan)
            - before.get(f"log_probability_{name}", math.nan)
            for name in ("new", "other")
        }
        rows.append(
            {
                "edit": edit,
                "failure": delta.failure,
                **dose,
                **{
                    name: None if math.isnan(margin) or not single else margin
                    for name, margin in margins.items()
                },
            }
        )
    schema = {
        **{name: EDITS[name] for name in ("edit", "failure", *_DOSES)},
        "new": pl.Float64,
        "other": pl.Float64,
    }
    outcomes = pl.DataFrame(rows, schema=schema)
    shape = _shape_of(shapes, deltas)
    if single:
        frame = about.join(outcomes, on="edit", maintain_order="left").join(
            shape, on="edit", how="left", maintain_order="left"
        )
    else:
        own = shape.drop("edit")
        # Without geometry there is no shape, and a cross join with no row has none.
        own = own.clear(1) if own.is_empty() else own
        frame = about.join(outcomes.drop("edit"), how="cross").join(own, how="cross")
    batch = 1 if single else about.height
    return (
        frame.join(_evaluated(probes, forgets), on="edit", how="left", maintain_order="left")
        .with_columns(
            pl.lit(batch).alias("batch"),
            pl.when(pl.col("new_object").is_not_null())
            .then(pl.coalesce("new", "asked"))
            .otherwise("other")
            .alias("margin"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in EDITS.items())
    )


def _evaluated(probes: pl.DataFrame, forgets: bool) -> pl.DataFrame:
    """Summarise generation and probabilities over the trained wordings of each edit."""
    edited = probes.filter(pl.col("group") == "edited")
    old, new = pl.col("log_probability_old"), pl.col("log_probability_new")
    before = edited.filter(pl.col("stage") == "before")
    after = edited.filter(pl.col("stage") == "after")
    forgotten = (~pl.col("old_match")).mean()
    return (
        before.group_by("edit", maintain_order=True)
        .agg(pl.col("edit_known").any().alias("known"), (old - new).mean().alias("asked"))
        .join(
            after.group_by("edit", maintain_order=True).agg(
                # The right answer of a refusal has no new object.
                (forgotten if forgets else more_likely("true", "old").mean()).alias("efficacy"),
                (forgotten if forgets else pl.col("exact_match").mean()).alias("success"),
            ),
            on="edit",
            how="left",
        )
    )


def _shape_of(shapes: pl.DataFrame, deltas: Mapping[int | None, EditDelta]) -> pl.DataFrame:
    """Return the norm over all parameters, and the mean effective rank of matrices, by edit."""
    vectors = {
        name
        for delta in deltas.values()
        for name, change in delta.of_parameters.items()
        if len(change.shape) != 2
    }
    matrix = ~pl.col("parameter").is_in(list(vectors))
    norm, rank = (pl.col(name).filter(matrix) for name in ("norm", "effective_rank"))
    return shapes.group_by("edit", maintain_order=True).agg(
        # The norm of a codebook is null, not 0.
        pl.when(pl.col("norm").is_not_null().any()).then(pl.col("norm").pow(2).sum().sqrt()),
        pl.when(rank.is_not_null().all() & (norm.sum() > 0))
        .then((rank * (norm / norm.sum())).sum())
        .alias("effective_rank"),
    )

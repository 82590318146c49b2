"""What editing papers report of an edit, and its consequences for other facts, by closeness."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from behemoth.delta.delta import parameters_of
from behemoth.evaluate.clusters import interval, proper
from behemoth.evaluate.damage import BYSTANDERS, known_bystanders
from behemoth.evaluate.dose import doses_of
from behemoth.evaluate.geometry import changed_parameter
from behemoth.evaluate.metrics import success
from behemoth.evaluate.text_losses import document_divergences
from behemoth.plan.groups import FOLLOWING

from .frame_measure import of_frame
from .intervals import median_samples, resampled_ratio
from .levels import Level, levels_of
from .measured_model import MeasuredModel
from .suite import Found, Measure, MissingError, Suite

__all__ = ["SUITE", "damage_of", "question_match"]

_SHOWN = ("efficacy", "paraphrase", "neighbourhood", "score", "efficacy_magnitude",
          "paraphrase_magnitude", "neighbourhood_magnitude", "exact_efficacy",
          "exact_generalization", "exact_specificity", "exact_score")  # fmt: skip


def question_match(measured: MeasuredModel) -> Found:
    """Return the share of exact matches of answers to questions about edited facts."""
    rows = measured.rows.filter(group="edited_question")
    what = "questions in the corpus (gen --questions)"
    return measured.mean(rows, success(pl.col("exact_match")), what)


_SUCCESS = (
    *map(of_frame, _SHOWN),
    Measure(
        "question_match",
        "free generation gives the new object in answer to a question",
        question_match,
        before=True,
    ),
)


def _followed(measured: MeasuredModel, group: str, *, known: bool = False) -> Found:
    rows = measured.rows.filter(group=group, must_change=True)
    if known:
        rows = measured.known_before(rows)
    what = "facts that follow from an edit in this way"
    return measured.mean(rows, success(pl.col("exact_match")), what)


def _inverse(measured: MeasuredModel, *, known: bool = False) -> Found:
    rows = measured.known_before(measured.inverse) if known else measured.inverse
    what = "inverse questions that the unedited model answered" if known else "inverse questions"
    return measured.mean(rows, pl.col("exact_match"), what)


_FOLLOWING = (
    of_frame("exact_portability"),
    of_frame("exact_portability", "known"),
    *(
        Measure(
            f"portability_{group}",
            f"free generation gives the right answer for facts that follow from the edit: {group}",
            lambda measured, group=group: _followed(measured, group),
            before=True,
        )
        for group in FOLLOWING
    ),
    *(
        Measure(
            f"portability_{group}_if_known",
            "free generation gives the right answer for facts that follow from the edit: "
            f"{group}; facts known before",
            lambda measured, group=group: _followed(measured, group, known=True),
            in_trials=False,
            before=True,
        )
        for group in FOLLOWING
    ),
    Measure(
        "portability_inverse",
        "greedy generation names the subject when asked whose object the new one is, where the "
        "corpus writes the relation in both orders",
        _inverse,
        in_trials=False,
        before=True,
    ),
    Measure(
        "portability_inverse_if_known",
        "the same for new objects whose subject before the edit the unedited model named",
        lambda measured: _inverse(measured, known=True),
        in_trials=False,
        before=True,
    ),
)


def damage_of(measured: MeasuredModel, groups: Sequence[str], level: Level | None = None) -> Found:
    """Return the share of bystanders that were right before the edit and no longer are."""
    if not measured.deltas:
        raise measured.unedited()
    rows = known_bystanders(measured.rows, groups, made=False)
    if level is not None:
        rows = rows.filter(level.condition)
    what = "such facts that the model knew before"
    return measured.mean(rows, pl.col("exact_match").not_(), what, made=True)


_DAMAGE = tuple(
    Measure(
        f"damage_{group}",
        f"share of the known facts that are no longer generated: {group}",
        lambda measured, group=group: damage_of(measured, (group,)),
    )
    for group in BYSTANDERS
)


def _levels(measured: MeasuredModel) -> list[Level]:
    """Return the exposure levels of the bystanders that are written at all."""
    levels = measured.plan.probes.filter(pl.col("group").is_in(BYSTANDERS))["exposures"].unique()
    return [level for level in levels_of(levels.to_list()) if level.low > 0]


def _damage_by_exposures(measured: MeasuredModel) -> Sequence[Measure]:
    levels = _levels(measured)
    # Trials omit ranges, and with them the single level 1 below them.
    listed = all(level.single for level in levels)
    return [
        Measure(
            f"damage_exposures_{level.name}",
            f"the same over all bystanders written {level.text} times",
            lambda measured, level=level: damage_of(measured, BYSTANDERS, level),
            in_trials=listed,
        )
        for level in levels
    ]


def _divergence(documents: str) -> Callable[[MeasuredModel], Found]:
    def find(measured: MeasuredModel) -> Found:
        delta = measured.delta
        sums, counts = document_divergences(
            measured.model, delta, getattr(measured, documents), measured.findings
        )
        return resampled_ratio(sums, counts, "documents")

    return find


_ELSEWHERE = (
    *map(of_frame, ("leakage", "leakage_unrelated", "validity", "kl")),
    Measure(
        "kl_corpus",
        "KL(unedited || edited) in nats per token of the corpus",
        _divergence("documents"),
    ),
    Measure(
        "kl_filler",
        "the same on filler text that is not in the corpus",
        _divergence("filler"),
    ),
)


def _dose(measured: MeasuredModel) -> Found:
    if not measured.deltas:
        raise measured.unedited()
    if None in measured.deltas and len(measured.plan) > 1:
        raise MissingError("single edits: the steps of a batch train all of its edits")
    frame = doses_of(measured.deltas, measured.plan).filter(dose_kind="flip").drop_nulls("dose")
    if frame.is_empty():
        raise MissingError("a method that reports doses of new answers")
    short = int((~frame["reached"]).sum())
    if short:
        raise MissingError(f"edits that all got there: {short} of {frame.height} did not")
    values = frame["dose"].to_numpy().astype(np.float64)
    low, high = proper(*interval(median_samples(values), 0.95))
    return Found(float(np.median(values)), low, high, frame.height, "edits")


def _norm(measured: MeasuredModel) -> Found:
    parameters = parameters_of(measured.model)
    rows = measured.geometry.drop_nulls("norm")
    norms = [
        float(changed_parameter(parameters, name).detach().double().square().sum())
        for name in rows["parameter"]
    ]
    sums = (
        rows.with_columns(pl.Series("own", norms, pl.Float64))
        .group_by("edit", maintain_order=True)
        .agg(pl.col("norm").pow(2).sum().sqrt(), pl.col("own").sum().sqrt())
    )
    shares = (sums["norm"] / sums["own"]).to_list()
    if not shares:
        raise MissingError("an edit that changed weights")
    drawn = resampled_ratio(np.array(shares), np.ones(len(shares), np.int64), "edits")
    return Found(float(np.mean(shares)), drawn.low, drawn.high, len(shares), "edits")


def _geometric(column: str) -> Callable[[MeasuredModel], Found]:
    def find(measured: MeasuredModel) -> Found:
        values = measured.geometry[column].cast(pl.Float64).drop_nulls()
        if not len(values):
            raise MissingError("an edit that changed a matrix")
        return Found(float(values.mean()), count=len(values), over="matrices")  # type: ignore[arg-type]

    return find


def _spectrum(measured: MeasuredModel) -> Found:
    spectra = [np.array(own) for own in measured.geometry["spectrum"].drop_nulls()]
    shares = [own[0] ** 2 / np.square(own).sum() for own in spectra if own.any()]
    if not shares:
        raise MissingError("an edit that changed a matrix")
    return Found(float(np.mean(shares)), count=len(shares), over="matrices")


_SIZE = (
    Measure(
        "dose", "median number of steps to p(new) > p(old), if all edits reach it", _dose, version=2
    ),
    Measure(
        "norm",
        "norm of the change relative to that of the changed parameters, mean over edits",
        _norm,
    ),
    Measure(
        "rank",
        "numerical rank of the change of a matrix, mean over changed matrices",
        _geometric("rank"),
        version=2,  # 1: with biases and other vectors, as matrices of rank 1
    ),
    Measure(
        "effective_rank",
        "exponential of the entropy of its singular values (Roy and Vetterli, 2007), mean",
        _geometric("effective_rank"),
        version=2,
    ),
    Measure(
        "spectrum_largest",
        "share of a change's squared norm in its largest singular value, mean over matrices",
        _spectrum,
        version=2,
        in_trials=False,
    ),
)


def _recorded(measured: MeasuredModel, name: str) -> Found:
    if measured.edit is None:
        if measured.deltas:
            raise MissingError("a saved edit, whose edit.json states it")
        raise measured.unedited()
    value = getattr(measured.edit, name)
    if value is None:
        raise MissingError(f"an edit made in one call, whose edit.json states {name}")
    return Found(float(value), over="edits", count=len(measured.edit.edits))


_COST = (
    Measure(
        "seconds",
        "time to make the edits, without loading the model",
        lambda measured: _recorded(measured, "seconds"),
        in_trials=False,
    ),
    Measure(
        "peak_memory",
        "peak bytes of the process that made them: of tensors on a GPU, else resident memory",
        lambda measured: _recorded(measured, "peak_memory"),
        in_trials=False,
    ),
)


def _measures(measured: MeasuredModel) -> Sequence[Measure]:
    by_exposures = _damage_by_exposures(measured)
    return (*_SUCCESS, *_FOLLOWING, *_DAMAGE, *by_exposures, *_ELSEWHERE, *_SIZE, *_COST)


SUITE = Suite("editing", "edits: success, generality, consequences, damage, size", _measures)

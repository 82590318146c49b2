"""Meta-evaluation of the metrics of unlearning, by comparison with the retrained twin.

Questions about each measure of the suite: does it distinguish the trained model from its twin; does
it rank methods, and doses of a method, like their distance to the twin; does it call facts
forgotten that are only refused, or that relearning or rounding recovers; and does its value for the
twin depend on the exposures of the facts in the trained model's corpus, though the twin never saw
any of them.

The distance is KL(twin || model) at the first token of answers: over the facts to forget for
measures of forgetting, over those to retain for measures of the rest, the sum of both for scores of
the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.study.results import Results

from .concordance import area, area_interval, kendall
from .estimate import means
from .judged import JUDGED, Judged
from .leaderboard import taken
from .ranges import ANY, CHANGE, SHARE

__all__ = ["QUESTIONS", "READINGS", "MetaEvaluation", "judge", "readings"]

READINGS: dict[str, Any] = {
    "trial": pl.String,
    "block": pl.String,
    "world_seed": pl.Int64,
    "seed": pl.Int64,
    "label": pl.String,
    "method": pl.String,
    "role": pl.String,
    "refuses": pl.Boolean,
    "exposures": pl.UInt64,
    "measure": pl.String,
    "value": pl.Float64,
}
"""Columns of `readings`."""

QUESTIONS: Mapping[str, str] = {
    "ranks": "rank correlation with the distance to the twin, over pairs of different methods",
    "ranks_twin": "the same with |value - the twin's value| in place of the value",
    "doses": "the same as ranks, over pairs of one method with other settings",
    "doses_twin": "the same as ranks_twin, over such pairs",
    "suppression": "share called forgotten, of models that refuse and are far from the twin",
    "relearning": "of models that say no more facts than the twin and relearn faster than it",
    "rounding": "of models that say no more facts than the twin, and do with rounded weights",
    "frequency": "change of the twin's value per doubling of exposures, in gaps to the trained",
}
"""Questions other than how well trained model and twin are distinguished, which is an area."""

_UNEDITED = 1e-9  # Frobenius norm below which nothing was changed
_REFUSES = 0.1  # a probability, as complete refusals of several tokens are rarely generated
_SHARES = ("suppression", "relearning", "rounding")
_BOUNDS = {**dict.fromkeys(_SHARES, SHARE), "frequency": ANY}
_ROUNDED = ("recall_8_bit", "recall_4_bit")
_GAP = 1e-9
_ROUNDING = 1e-6  # gaps below which a slope is that of rounded numbers


@dataclass(frozen=True)
class MetaEvaluation:
    """Answers for each measure.

    Attributes
    ----------
    table : polars.DataFrame
        One row per measure, in the order of `JUDGED`: measure, about, better, area (of
        distinguishing the trained model from the twin; 1 if the twin is always better), area_low,
        area_high, clusters (UInt32), then each of `QUESTIONS` with ``_low``, ``_high`` (95%,
        cluster jackknife; null for one cluster, and if all values are the same), ``_count``
        (UInt32: number of blocks, edited models or clusters averaged) and ``_clusters`` (UInt32:
        clusters with an answer). A block is a plan on a model. The interval of ``frequency`` is
        that of its numerator: the gap, a mean over all blocks, is taken as known.
    levels : polars.DataFrame
        Columns measure, exposures, area, trained, twin, clusters: the area by exposures of the
        facts, with mean values of trained models and twins.
    parts : polars.DataFrame
        Columns measure, question, world_seed, seed, block, label, value: the averaged values. block
        is null for ``frequency``, whose values are of clusters.
    """

    table: pl.DataFrame
    levels: pl.DataFrame
    parts: pl.DataFrame


def readings(results: Results) -> pl.DataFrame:
    """Return the measures of the unlearning suite of a study's trials, with the trials' roles.

    Parameters
    ----------
    results : Results

    Returns
    -------
    polars.DataFrame
        One row per trial and measure, columns as in `READINGS`. block: model and plan. role:
        ``twin`` for an oracle, ``trained`` for a label that changes nothing (a norm below 1e-9 in
        all of its trials: one trial may have nothing to do), ``method`` for all others. refuses:
        whether the refusal has a mean probability above 0.1 on edited facts, and above that of the
        old answer; only for methods. exposures: of the plan's facts, null if they differ.
    """
    own = results.suites.filter(pl.col("suite") == "unlearning").collect()
    if own.is_empty():
        return pl.DataFrame(schema=READINGS)
    blocks = pl.DataFrame(
        [(trial.id, f"{trial.model}/{trial.plan}") for trial in results.about.trials],
        schema={"trial": pl.String, "block": pl.String},
        orient="row",
    )
    edits = results.edits.group_by("trial", maintain_order=True).agg(
        pl.col("norm").max(),
        pl.when(pl.col("exposures").n_unique() == 1)
        .then(pl.col("exposures").first())
        .alias("exposures"),
        pl.col("new_object").is_null().all().alias("nameless"),
    )
    edited = (pl.col("group") == "edited") & (pl.col("stage") == "after")
    refusals = (
        results.probes.filter(edited)
        .group_by("trial", maintain_order=True)
        .agg(
            pl.col("log_probability_true").exp().mean().alias("refusals"),
            pl.col("log_probability_old").exp().mean().alias("old"),
        )
    )
    role = (
        pl.when(pl.col("family") == "oracle")
        .then(pl.lit("twin"))
        .when(pl.col("norm").max().over("label") < _UNEDITED)
        .then(pl.lit("trained"))
        .otherwise(pl.lit("method"))
    )
    joined = (
        taken(own)
        .filter(pl.col("value").is_not_null())
        .join(blocks, on="trial")
        .join(edits.collect(), on="trial", how="left")
        .join(refusals.collect(), on="trial", how="left")
        .with_columns(role.alias("role"))
        .with_columns(
            (
                # With new objects, the right answer is no refusal.
                ((pl.col("role") == "method") & pl.col("nameless"))
                & (pl.col("refusals") > pl.max_horizontal(pl.lit(_REFUSES), "old")).fill_null(False)
            ).alias("refuses")
        )
    )
    return joined.select(pl.col(name).cast(dtype) for name, dtype in READINGS.items())


@dataclass(frozen=True)
class _Block:
    """Trials of one plan on one model, with their measures by name: float64[trials]."""

    world_seed: int
    seed: int
    name: str
    exposures: int | None
    labels: list[str]
    methods: NDArray[Any]
    roles: NDArray[Any]
    refuses: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]]

    def __getitem__(self, measure: str) -> NDArray[np.float64]:
        return self.values.get(measure, np.full(len(self.labels), np.nan))

    def of(self, role: str, measure: str) -> float:
        """Return the value of the first trial of a role; NaN if there is none."""
        places = np.flatnonzero(self.roles == role)
        return float(self[measure][places[0]]) if len(places) else math.nan

    def distance(self, measures: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the sum of some distances to the twin."""
        return np.sum([self[name] for name in measures], axis=0)

    def forgotten(self, measure: str, place: int) -> bool | None:
        """Return whether a measure calls a trial's model forgotten; see `Judged.forgotten`."""
        judged = JUDGED.get(measure, _DISTANCE)
        own = float(self[measure][place])
        return judged.forgotten(own, self.of("trained", measure), self.of("twin", measure))


_DISTANCE = Judged("twin")


def judge(rows: pl.DataFrame) -> MetaEvaluation:
    """Answer the questions about each measure.

    Parameters
    ----------
    rows : polars.DataFrame
        Frame returned by `readings`.
    """
    blocks = list(_blocks(rows))
    there = set(rows["measure"].unique())
    measures = [name for name in JUDGED if name in there]
    answers = (_ranks, _fooled, _frequency)
    parts = pl.DataFrame(
        [part for name in measures for answer in answers for part in answer(name, blocks)],
        schema=_PARTS,
    )
    levels = pl.DataFrame(
        [row for name in measures for row in _levels(name, blocks)], schema=_LEVELS
    )
    clusters = len({(block.world_seed, block.seed) for block in blocks})
    table = pl.DataFrame([_told(name, levels, clusters) for name in measures], schema=_TOLD)
    found = means(parts, "value", ("question", "measure"))
    for question in QUESTIONS:
        within = _BOUNDS.get(question, CHANGE)
        own = found.filter(question=question).select(
            "measure",
            pl.col("mean").alias(question),
            *(pl.col(end).clip(*within).alias(f"{question}_{end}") for end in ("low", "high")),
            pl.col("rows").alias(f"{question}_count"),
            pl.col("clusters").alias(f"{question}_clusters"),
        )
        table = table.join(own, on="measure", how="left", maintain_order="left")
    return MetaEvaluation(table, levels, parts)


_PARTS = {"measure": pl.String, "question": pl.String, "world_seed": pl.Int64, "seed": pl.Int64,
          "block": pl.String, "label": pl.String, "value": pl.Float64}  # fmt: skip
_LEVELS = {"measure": pl.String, "exposures": pl.UInt64, "area": pl.Float64,
           "trained": pl.Float64, "twin": pl.Float64, "clusters": pl.UInt32}  # fmt: skip
_TOLD = {"measure": pl.String, "about": pl.String, "better": pl.String, "area": pl.Float64,
         "area_low": pl.Float64, "area_high": pl.Float64, "clusters": pl.UInt32}  # fmt: skip


def _blocks(rows: pl.DataFrame) -> Iterator[_Block]:
    for (name,), own in rows.group_by("block", maintain_order=True):
        trials = own.unique("trial", maintain_order=True)
        order = {trial: place for place, trial in enumerate(trials["trial"])}
        values = {}
        for (measure,), some in own.group_by("measure", maintain_order=True):
            found = np.full(len(order), np.nan)
            found[[order[trial] for trial in some["trial"]]] = some["value"].to_numpy()
            values[str(measure)] = found
        first = trials.row(0, named=True)
        yield _Block(
            first["world_seed"],
            first["seed"],
            str(name),
            first["exposures"],
            trials["label"].to_list(),
            trials["method"].to_numpy(),
            trials["role"].to_numpy(),
            trials["refuses"].to_numpy(),
            values,
        )


def _part(
    measure: str, question: str, block: _Block, value: float, label: str | None = None
) -> dict[str, Any]:
    return {
        "measure": measure,
        "question": question,
        "world_seed": block.world_seed,
        "seed": block.seed,
        "block": block.name,
        "label": label,
        "value": None if math.isnan(value) else float(value),
    }


def _ranks(measure: str, blocks: list[_Block]) -> Iterator[dict[str, Any]]:
    """Yield rank correlations with the distance to the twin, one per block."""
    judged = JUDGED[measure]
    for block in blocks:
        own = block.roles == "method"
        distance = block.distance(judged.distances)[own]
        read = judged.badness(block[measure][own])
        same = block.methods[own][:, None] == block.methods[own]
        for question, pairs in (("ranks", ~same), ("doses", same)):
            yield _part(measure, question, block, kendall(read, distance, pairs))
            if judged.alone:
                held = _apart(block[measure][own], block.of("twin", measure))
                value = kendall(held, distance, pairs)
                yield _part(measure, f"{question}_twin", block, value)


def _apart(values: NDArray[np.float64], twin: float) -> NDArray[np.float64]:
    """Return |value - twin|, or, if the twin's value is infinite, values that rank in this order.

    The values nearest to an infinite one are the most extreme in its direction.
    """
    if math.isinf(twin):
        return -values if twin > 0 else values
    return np.abs(values - twin)


def _fooled(measure: str, blocks: list[_Block]) -> Iterator[dict[str, Any]]:
    """Yield whether models that have not forgotten are called forgotten, one value per model."""
    if JUDGED[measure].about == "rest":
        return
    for block in blocks:
        for place in np.flatnonzero(block.roles == "method").tolist():
            said = block.forgotten(measure, place)
            if said is None:
                continue
            silent = _silent(block, place)
            near = block.forgotten("kl_twin_forget", place)
            cases = {
                "suppression": bool(block.refuses[place]) and near is False,
                "relearning": silent
                and bool(block["relearning_steps"][place] < block.of("twin", "relearning_steps")),
                "rounding": silent
                and any(block.forgotten(rounded, place) is False for rounded in _ROUNDED),
            }
            for question, is_one in cases.items():
                if is_one:
                    yield _part(measure, question, block, float(said), block.labels[place])


def _silent(block: _Block, place: int) -> bool:
    """Return whether a model recalls no more of the facts than the twin, but the trained one does.

    A recall nearer to the twin's than to the trained model's is not enough: of 12 facts, four could
    still be generated.
    """
    own = float(block["forget_recall"][place])
    return own <= block.of("twin", "forget_recall") < block.of("trained", "forget_recall")


def _frequency(measure: str, blocks: list[_Block]) -> Iterator[dict[str, Any]]:
    """Yield the slope of the twin's value on log2 exposures, in gaps to the trained model.

    One value per cluster; the gap is the mean over blocks. The value is as reported, not its
    badness: above 0 it increases with exposures, whether more of it is better or less.
    """
    if JUDGED[measure].about == "rest":  # which has no clear gap
        return
    levelled = [block for block in blocks if block.exposures]
    twins = np.array([block.of("twin", measure) for block in levelled])
    trained = np.array([block.of("trained", measure) for block in levelled])
    with np.errstate(invalid="ignore"):
        gaps = np.abs(trained - twins)
    gap = float(gaps[np.isfinite(gaps)].mean()) if np.isfinite(gaps).any() else math.nan
    if not gap > _GAP:
        return

    def cluster(pair: tuple[_Block, float]) -> tuple[int, int]:
        return pair[0].world_seed, pair[0].seed

    kept = [pair for pair in zip(levelled, twins.tolist(), strict=True) if math.isfinite(pair[1])]
    for _, some in groupby(sorted(kept, key=cluster), cluster):
        pairs = list(some)
        x = np.log2([float(block.exposures or 1) for block, _ in pairs])
        y = np.array([value for _, value in pairs])
        if len(set(x.tolist())) < 2:
            continue
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()) / gap
        slope = 0.0 if abs(slope) < _ROUNDING else slope
        # The value is about several plans, so it belongs to no block.
        yield {**_part(measure, "frequency", pairs[0][0], slope), "block": None}


def _levels(measure: str, blocks: list[_Block]) -> Iterator[dict[str, Any]]:
    """Yield the area of trained models against twins, for each level of exposures."""
    judged = JUDGED[measure]
    for level in sorted({block.exposures for block in blocks}, key=lambda each: each or 0):
        own = [block for block in blocks if block.exposures == level]
        before = np.array([block.of("trained", measure) for block in own])
        after = np.array([block.of("twin", measure) for block in own])
        known = ~(np.isnan(before) | np.isnan(after))
        if not known.any():
            continue
        yield {
            "measure": measure,
            "exposures": level,
            "area": area(judged.badness(before[known]), judged.badness(after[known])),
            "trained": float(before[known].mean()),
            "twin": float(after[known].mean()),
            "clusters": len({(b.world_seed, b.seed) for b, k in zip(own, known, strict=True) if k}),
        }


def _told(measure: str, levels: pl.DataFrame, clusters: int) -> dict[str, Any]:
    judged = JUDGED[measure]
    own = levels.filter(measure=measure)
    value = math.nan if own.is_empty() else float(own["area"].mean())  # type: ignore[arg-type]
    least = 0 if own.is_empty() else int(own["clusters"].min())  # type: ignore[arg-type]
    # A mean over levels of the same clusters is assumed to be as precise as one level.
    ends = area_interval(value, least, least)
    return {
        "measure": measure,
        "about": judged.about,
        "better": judged.better,
        "area": None if math.isnan(value) else value,
        "area_low": None if ends is None else ends[0],
        "area_high": None if ends is None else ends[1],
        "clusters": clusters,
    }

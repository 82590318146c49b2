"""Methods compared at equal cost: at the same KL on bystanders, or the same norm of the update.

At their own learning rates methods differ not only in kind but also in how far they change a model.
So two methods are compared at equal change, in one of two ways. Over steps: for a budget of the
cost, the share of edits that flip within it is computed, from the cost of each edit at its flip
(`flips_at_matched_cost`). Over a sweep of rates: the outcome of each method at each setting of its
sweep is a point of a curve over its cost, and the curves are compared at equal cost, interpolated
linearly in the logarithm of cost (`outcomes_at_matched_cost`). Both average the difference over a
range of costs, which is returned with it, and have intervals by the cluster jackknife.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.evaluate.clusters import numbered, numbered_rows
from behemoth.support.text import plural_text

from .dose import broke_down
from .estimate import Estimate, cluster_keys, clusters_of, jackknife

__all__ = ["COSTS", "MATCHED", "PLACES", "flips_at_matched_cost", "matched_table",
           "outcomes_at_matched_cost"]  # fmt: skip

COSTS = {"norm_at_flip": "norm", "kl_at_flip": "kl"}
"""Columns of the cost of an edit at its flip, and of the same cost at its end."""
PLACES = 9
"""Number of costs at which two methods are compared, evenly spaced in their logarithm."""
MATCHED: dict[str, Any] = {
    "method": pl.String,
    "optimiser": pl.String,
    "retain_rows": pl.Int64,
    "comparison": pl.String,
    "first": pl.String,
    "second": pl.String,
    "cost": pl.String,
    "outcome": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "cost_low": pl.Float64,
    "cost_high": pl.Float64,
    "edits": pl.UInt32,
    "clusters": pl.UInt32,
    "note": pl.String,
}
"""Columns of the frame returned by `matched_table`."""
_SAME = ("method", "optimiser", "retain_rows")
_APART = "no cost that both have"
_OF_MODEL = ("model", "world", "world_seed", "seed")
_OF_EDIT = (*_OF_MODEL, "fact", "link")
_Range = tuple[float, float]
_Arm = tuple[int | None, str]  # rank, part


@dataclass(frozen=True)
class _Difference:
    """The difference of two arms at equal cost, as a function of the rows to include.

    `fit` takes bool [rows], and is None if the arms cannot be compared, with the reason in `note`.
    """

    fit: Callable[[NDArray[np.bool_]], float] | None = None
    cluster: pl.Series = field(default_factory=pl.Series)
    sizes: tuple[int, int] = (0, 0)  # rows of each arm
    reach: _Range | None = None
    note: str | None = None
    said: str | None = None  # what was left out so that both arms have the same edits

    @property
    def rows(self) -> int:
        """Number of rows of both arms."""
        return sum(self.sizes)

    def estimate(self) -> tuple[Estimate, _Range | None]:
        """Return the difference with its interval, and the range of costs."""
        found = _mean([self])
        return found.adding(self.said) if self.said and self.fit else found, self.reach


def _mean(differences: Sequence[_Difference]) -> Estimate:
    """Return the mean of differences; their clusters are left out of all of them together."""
    rows = sum(each.rows for each in differences)
    fits = [each.fit for each in differences]
    notes = [each.note for each in differences if each.fit is None]
    if notes:
        return Estimate(None, rows=rows, note=notes[0])
    cluster = numbered(pl.concat([each.cluster for each in differences]))
    ends = np.cumsum([each.rows for each in differences])

    def fit(chosen: NDArray[np.bool_]) -> list[float]:
        parts = np.split(chosen, ends[:-1])
        return [float(np.mean([own(part) for own, part in zip(fits, parts, strict=True) if own]))]

    return jackknife(fit, cluster)[0]


def flips_at_matched_cost(
    first: pl.DataFrame, second: pl.DataFrame, cost: str = "kl_at_flip"
) -> tuple[Estimate, _Range | None]:
    """Return the difference of the shares of edits that flip within a budget, first - second.

    Parameters
    ----------
    first, second : polars.DataFrame
        Edits of two methods, with ``reached`` and the cost (null without a flip, 0 if none was
        needed). An edit that never flipped did not flip within any budget, so the share of a method
        in which none did is 0.
    cost : str
        Column: ``kl_at_flip`` (nats) or ``norm_at_flip`` (Frobenius).

    Returns
    -------
    (Estimate, (float, float) or None)
        Difference of the shares, between -1 and 1, averaged over budgets; and the range of the
        budgets, which is the 5th and 95th percentile of the costs above 0 of both methods together.
        No estimate if a method has flips, but none with a cost, or neither has a cost above 0.
    """
    return _flips(first, second, cost).estimate()


def _flips(first: pl.DataFrame, second: pl.DataFrame, cost: str) -> _Difference:
    """Return the difference that `flips_at_matched_cost` estimates."""
    parts = [_flipped(frame, cost) for frame in (first, second)]
    costs = [part["cost"].drop_nulls().to_numpy() for part in parts]
    sizes = (parts[0].height, parts[1].height)
    above = np.concatenate(costs)
    above = above[above > 0]  # budgets are evenly spaced in their logarithm
    unpriced = [part["reached"].any() and not len(own)
                for part, own in zip(parts, costs, strict=True)]  # fmt: skip
    if not all(sizes) or any(unpriced):
        return _Difference(sizes=sizes, note="one of them has no edit with a cost")
    if not len(above):
        return _Difference(sizes=sizes, note="neither has an edit with a cost above 0")
    ends = np.quantile(above, [0.05, 0.95])
    budgets = np.geomspace(float(ends[0]), float(ends[1]), PLACES)
    both = pl.concat(
        part.with_columns(pl.lit(sign).alias("side"))
        for part, sign in zip(parts, (0, 1), strict=True)
    )
    side, flipped = both["side"].to_numpy(), both["reached"].to_numpy()
    value = both["cost"].fill_null(float("inf")).to_numpy()
    known = np.isfinite(value)
    within = (value[:, None] <= budgets).astype(np.float64)

    def fit(chosen: NDArray[np.bool_]) -> float:
        shares = []
        for which in (0, 1):
            mine = chosen & (side == which)
            if mine.any() and not flipped[mine].any():
                shares.append(np.zeros(PLACES))
                continue
            if not (mine & known).any():
                return np.nan
            # Flips of unknown cost are assumed to have cost the same as the others.
            shares.append(flipped[mine].mean() * within[mine & known].mean(0))
        return float((shares[0] - shares[1]).mean())

    return _Difference(fit, clusters_of(both), sizes, (float(ends[0]), float(ends[1])))


def _flipped(frame: pl.DataFrame, cost: str) -> pl.DataFrame:
    """Return edits that could flip, with the cost of those that did, null if unknown."""
    value = pl.col(cost).cast(pl.Float64)
    reached = pl.col("reached") & ~broke_down()
    # An edit that needs no step costs 0, and is within every budget: taken for a flip of unknown
    # cost, it counted like those that need steps, which inflated every difference.
    there = reached & value.is_finite()
    return frame.drop_nulls("reached").select(
        *cluster_keys(frame), reached.alias("reached"), pl.when(there).then(value).alias("cost")
    )


def outcomes_at_matched_cost(
    first: pl.DataFrame,
    second: pl.DataFrame,
    outcome: str,
    cost: str = "kl",
    *,
    setting: str = "label",
) -> tuple[Estimate, _Range | None]:
    """Return the difference of the outcomes at equal cost, first - second.

    Parameters
    ----------
    first, second : polars.DataFrame
        Edits of two methods over all settings of their sweeps.
    outcome : str
        Column to average; rows without it are excluded, and it is 0 for edits that broke down,
        whatever the column has.
    cost : str
        Column above 0: ``kl`` (nats on bystanders) or ``norm``. For edits that broke down it is
        unknown and assumed to be that of the others of their setting.
    setting : str
        Column of the settings of a sweep: each value is a point, at the geometric mean of its cost.

    Returns
    -------
    (Estimate, (float, float) or None)
        Difference, averaged over a range of costs; and this range, in which the curves overlap.
        No estimate if they do not overlap, or if a method has one setting only and so no curve.
    """
    return _outcomes(first, second, outcome, cost, setting).estimate()


def _outcomes(
    first: pl.DataFrame, second: pl.DataFrame, outcome: str, cost: str, setting: str = "label"
) -> _Difference:
    """Return the difference that `outcomes_at_matched_cost` estimates."""
    parts = []
    for sign, frame in enumerate((first, second)):
        value = pl.col(cost).cast(pl.Float64)
        broken = broke_down()
        # An edit without a dependent fact cannot fail to be followed either.
        there = pl.col(outcome).is_not_null() & (broken | (value.is_finite() & (value > 0)))
        parts.append(
            frame.filter(there).select(
                *cluster_keys(frame),
                pl.when(~broken).then(value.log()).alias("cost"),
                pl.when(broken)
                .then(0.0)
                .otherwise(pl.col(outcome).cast(pl.Float64))
                .alias("outcome"),
                pl.col(setting).cast(pl.String).alias("setting"),
                pl.lit(sign).alias("side"),
            )
        )
    sizes = (parts[0].height, parts[1].height)
    both = pl.concat(parts)
    side, result = both["side"].to_numpy(), both["outcome"].to_numpy()
    value = both["cost"].fill_null(float("nan")).to_numpy()
    point = numbered_rows(both, ("side", "setting"))
    size = int(point.max(initial=0)) + 1

    def curves(chosen: NDArray[np.bool_]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        found = []
        for which in (0, 1):
            rows = chosen & (side == which)
            known = rows & np.isfinite(value)
            count = np.bincount(point[rows], minlength=size)
            priced = np.bincount(point[known], minlength=size)
            there = priced > 0
            x = np.bincount(point[known], value[known], minlength=size)[there] / priced[there]
            y = np.bincount(point[rows], result[rows], minlength=size)[there] / count[there]
            order = np.argsort(x)
            found.append((x[order], y[order]))
        return found

    whole = curves(np.ones(both.height, np.bool_))
    if not all(len(x) > 1 for x, _ in whole):
        return _Difference(sizes=sizes, note="a sweep of one setting is no curve")
    low, high = max(x[0] for x, _ in whole), min(x[-1] for x, _ in whole)
    if not low < high:
        return _Difference(sizes=sizes, note=_APART)
    places = np.linspace(low, high, PLACES)

    def fit(chosen: NDArray[np.bool_]) -> float:
        drawn = curves(chosen)
        if not all(len(x) > 1 for x, _ in drawn):
            return np.nan
        # Without a cluster a curve may be a little shorter: it is continued by its end value.
        ahead, behind = (np.interp(places, x, y) for x, y in drawn)
        return float((ahead - behind).mean())

    reach = (float(np.exp(low)), float(np.exp(high)))
    return _Difference(fit, clusters_of(both), sizes, reach)


def matched_table(
    edits: pl.DataFrame, of_edits: pl.DataFrame, follows: pl.DataFrame
) -> pl.DataFrame:
    """Compare ranks on the same part, and parts at the same rank, at equal cost.

    Only arms that differ in one property are compared: the method is the same (fine-tuning and LoRA
    count as one, of full and of restricted rank), and so are the optimiser and the retained rows.
    Labels that differ only in other settings, such as rates, are the sweep of one arm.

    Parameters
    ----------
    edits : polars.DataFrame
        The `edits` frame of the study.
    of_edits : polars.DataFrame
        Frame returned by `damage_of_edits`: kl by trial and edit.
    follows : polars.DataFrame
        Frame returned by `consequences`: whether dependent facts follow the edit.

    Returns
    -------
    polars.DataFrame
        Columns as in `MATCHED`. comparison: rank (first has the lower rank) or part (first is both,
        second is the MLP alone); outcome: flipped (over steps), success and follows (over the
        sweep); cost: norm or kl. Pairs are compared on the facts that both arms edited in one
        model, over the sweep at all settings of both; the note has the number of these models if
        other edits were left out, or why a pair cannot be compared. Two means over pairs, with
        intervals of their own, follow: rank_mean (each lower rank against full rank) and part_mean
        (over ranks).
    """
    keys = ["trial", "edit"]
    frame = (
        edits.filter(pl.col("part").is_not_null())
        .with_columns(pl.col("method").replace({"lora": "ft"}))
        .join(of_edits.select(*keys, "kl"), on=keys, how="left")
        .join(
            follows.group_by(keys, maintain_order=True).agg(pl.col("follows").mean()),
            on=keys,
            how="left",
        )
    )
    rows: list[dict[str, Any]] = []
    for same, part in frame.group_by(_SAME, maintain_order=True):
        pairs = _pairs(part.select("rank", "part").unique().rows())
        about = dict(zip(_SAME, same, strict=True))
        for cost_at, outcome in itertools.product(COSTS, ("flipped", "success", "follows")):
            found = [
                (kind, first, second, _compared(part, first, second, cost_at, outcome))
                for kind, first, second in pairs
            ]
            known = about | {"cost": COSTS[cost_at], "outcome": outcome}
            rows += [known | _row(kind, _name(first), _name(second), each.estimate())
                     for kind, first, second, each in found]  # fmt: skip
            rows += [known | row for row in _means(found)]
    # By pair, means last, as the report lists them.
    place = {pair: at for at, pair in enumerate(dict.fromkeys(_pair_of(row) for row in rows))}
    return pl.DataFrame(
        sorted(rows, key=lambda row: (row["comparison"].endswith("mean"), place[_pair_of(row)])),
        schema=MATCHED,
    )


def _pair_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in (*_SAME, "comparison", "first", "second"))


def _pairs(arms: Sequence[tuple[Any, ...]]) -> list[tuple[str, _Arm, _Arm]]:
    """Return pairs of (rank, part) to compare, the one expected to be better first."""
    size: dict[_Arm, float] = {(rank, part): rank or float("inf") for rank, part in arms}
    ordered = sorted(size, key=lambda arm: (arm[1], size[arm]))
    found: list[tuple[str, _Arm, _Arm]] = [
        ("rank", first, second)
        for first, second in itertools.combinations(ordered, 2)
        if first[1] == second[1]
    ]
    ranks = [arm[0] for arm in ordered if arm[1] == "both" and (arm[0], "mlp") in size]
    return found + [("part", (rank, "both"), (rank, "mlp")) for rank in ranks]


def _compared(
    frame: pl.DataFrame, first: _Arm, second: _Arm, cost_at: str, outcome: str
) -> _Difference:
    ahead, behind = (
        frame.filter(pl.col("rank").eq_missing(pl.lit(rank, pl.Int64)) & (pl.col("part") == part))
        for rank, part in (first, second)
    )
    swept = outcome != "flipped"
    ahead, behind, said = _shared(ahead, behind, swept)
    if not ahead.height:
        return _Difference(note=f"no fact of a model that {_shared_text(swept)}")
    if not swept:
        return replace(_flips(ahead, behind, cost_at), said=said)
    return replace(_outcomes(ahead, behind, outcome, COSTS[cost_at]), said=said)


def _shared(
    first: pl.DataFrame, second: pl.DataFrame, swept: bool
) -> tuple[pl.DataFrame, pl.DataFrame, str | None]:
    """Return the edits of facts that both arms edited in one model, and what to say of the rest.

    Arms need not have the same models or plans (trials fail, methods have a ``where``), and a
    difference between worlds would be taken for one between arms. So it would between the points of
    a curve: over a sweep (`swept`) both arms have to have edited the facts at all their settings.
    """
    counts = []
    for own in (first, second):
        settings = pl.col("label").n_unique()
        least = own["label"].n_unique() if swept else 1
        counts.append(own.group_by(_OF_EDIT).agg(settings).filter(pl.col("label") >= least))
    shared = counts[0].join(counts[1], on=_OF_EDIT, how="semi", nulls_equal=True)
    kept = [own.join(shared, on=_OF_EDIT, how="semi", nulls_equal=True) for own in (first, second)]
    if kept[0].height == first.height and kept[1].height == second.height:
        return first, second, None
    models = shared.select(_OF_MODEL).n_unique()
    said = f"only facts that {_shared_text(swept)}, in {plural_text(models, 'model')}"
    return kept[0], kept[1], said


def _shared_text(swept: bool) -> str:
    return "both edited at every setting" if swept else "both edited"


def _means(found: Sequence[tuple[str, _Arm, _Arm, _Difference]]) -> list[dict[str, Any]]:
    """Return the means over pairs that answer one question, if there are several."""
    means = []
    for kind, ahead, behind, own in (
        ("rank", "lower rank", "full rank", [row for row in found if row[2][0] is None]),
        ("part", "both, mean over ranks", "mlp", found),
    ):
        pairs = [row for row in own if row[0] == kind]
        if len(pairs) > 1:
            # An arm that is in several pairs has its edits once.
            sizes: dict[Any, int] = {}
            for _, *arms, each in pairs:
                for arm, size in zip(arms, each.sizes, strict=True):
                    sizes[arm] = max(size, sizes.get(arm, 0))
            mean = replace(_mean([each for *_, each in pairs]), rows=sum(sizes.values()))
            means.append(_row(f"{kind}_mean", ahead, behind, (mean, None)))
    return means


def _name(arm: _Arm) -> str:
    rank, part = arm
    return f"{part}, {'full rank' if rank is None else f'rank {rank}'}"


def _row(
    kind: str, first: str, second: str, found: tuple[Estimate, _Range | None]
) -> dict[str, Any]:
    estimate, reach = found
    return {
        "comparison": kind, "first": first, "second": second, "difference": estimate.value,
        "low": estimate.low, "high": estimate.high, "cost_low": reach and reach[0],
        "cost_high": reach and reach[1], "edits": estimate.rows, "clusters": estimate.clusters,
        "note": estimate.note,
    }  # fmt: skip

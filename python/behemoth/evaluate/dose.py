"""ED50: the edit dose that half of the edits need, right-censored if it is not reached.

The dose of an edit is the smallest number of steps from which on p(new) > p(old) for good
(`first_dose`) or, for methods that unlearn, from which on greedy decoding does not give the old
answer. Methods whose steps are not edit steps (`MethodInfo.doses`: a search for target
vectors) have no doses. For an edit that never reaches its dose, it is only known to exceed the last
step that could have been one; excluding such edits would make stubborn facts look easy, so medians
are Kaplan-Meier estimates (1958).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.edit.protocol import HOLD
from behemoth.edit.registry import info_if_loadable
from behemoth.plan.edit_plan import EditPlan
from behemoth.support.errors import ArgumentError
from behemoth.support.text import plural_text

from .aggregate import CLUSTERS
from .clusters import (
    check_bootstrap,
    groups_of,
    interval,
    names_of,
    numbered_rows,
    proper,
    resampled_weights,
)

if TYPE_CHECKING:
    from behemoth.delta.delta import EditDelta
    from behemoth.edit.record import EditRecord

__all__ = ["DOSES", "Dose", "doses", "doses_of", "ed50", "first_dose", "shortfall"]

DOSES: dict[str, Any] = {
    "edit": pl.UInt32,
    "fact": pl.UInt64,
    "exposures": pl.UInt64,
    "dose_kind": pl.String,
    "dose": pl.UInt32,
    "dose_low": pl.UInt32,
    "reached": pl.Boolean,
    "failure": pl.String,
}
"""Columns of the frame that `doses` returns."""


class Dose(NamedTuple):
    """The dose of an edit according to its trace, in steps.

    Attributes
    ----------
    dose : int
        Step at which the first flip began that held; `limit` if none did.
    reached : bool
        Whether a flip held.
    low : int or None
        Last recorded step before the dose, so that the dose lies above `low` and up to `dose`;
        None if the dose is the first recorded step; `limit` if no flip held.
    limit : int
        Last step at which a flip could have begun that was seen to hold.
    """

    dose: int
    reached: bool
    low: int | None
    limit: int


def first_dose(
    trace: Sequence[Mapping[str, Any]],
    *,
    forgets: bool = False,
    held_out: bool = False,
    hold: int = HOLD,
) -> Dose | None:
    """Return the first step of a trace from which on the old answer has given way for good.

    "For good" means at this step and at the next `hold` recorded ones: a flip that is undone within
    them does not count. So the last `hold` rows of a trace can confirm flips but not begin them:
    flips there are censored, at the same step for all edits with equally many steps, whether they
    would have held or not. A trace that its method stopped because its goal was reached
    (``stopped`` in its last row) is assumed to continue as it ended, as the delta does. Any other
    trace of at most `hold` + 1 rows has the dose of its first row, or none.

    Parameters
    ----------
    trace : sequence of mapping
        Rows with ``step`` and log-probabilities, as in deltas.
    forgets : bool
        What the old answer gives way to: the new one (at the token where they first differ), or if
        true any other, by which greedy decoding no longer gives it: another token is likelier than
        one of its own. Of methods that do not train on old answers, and of traces of earlier
        versions, only the token where the answers first differ is known, and decides.
    held_out : bool
        Whether the wordings count that the edit was not trained on.
    hold : int
        Number of further recorded steps for which the flip has to hold.

    Returns
    -------
    Dose or None
        None if the trace has no such log-probabilities. NaN never counts as a flip.
    """
    ending = "_held_out" if held_out else ""
    rival = f"log_probability_{'other' if forgets else 'new'}{ending}"
    old = f"log_probability_old{ending}"
    looked = [row for row in trace if rival in row]
    if not looked:
        return None
    if forgets and (weakest := f"log_probability_old_weakest{ending}") in looked[0]:
        old = weakest
    steps = [int(row["step"]) for row in looked]
    above = [bool(row[rival] > row[old]) for row in looked]
    begin = len(looked) if looked[-1].get("stopped") else max(1, len(looked) - hold)
    limit = steps[begin - 1]
    for at in range(begin):
        if all(above[at : at + hold + 1]):
            return Dose(steps[at], True, steps[at - 1] if at else None, limit)
    return Dose(limit, False, limit, limit)


def doses(
    deltas: Mapping[int | None, EditDelta], plan: EditPlan | str | PathLike[str]
) -> pl.DataFrame:
    """Return the dose of each edit, from the trace of its delta.

    Parameters
    ----------
    deltas : mapping of int or None to EditDelta
        Deltas of single edits by number, or None to that of a batch, whose dose is one row with
        null edit, fact and exposures.
    plan : EditPlan or path
        That of the edits.

    Returns
    -------
    polars.DataFrame
        Columns as in `DOSES`. dose_kind: ``forget`` for methods that unlearn (some other token is
        more probable than one of the old answer), else ``flip`` (p(new) > p(old)); dose: number of
        steps (if not reached, the last step that could have been the dose; null without a trace and
        for methods whose steps are not doses); dose_low: the last recorded step before it (see
        `Dose`); reached: whether the kind's condition was reached and held, in an edit that did
        not fail.

    Raises
    ------
    ArgumentError
        If `deltas` is something else, such as the edit itself, or they were made by another plan.
    CorpusError
        If the files of the plan are damaged.
    """
    from behemoth.delta.delta import EditDelta

    plan = EditPlan.of(plan)
    values: Any = deltas.values() if isinstance(deltas, Mapping) else None
    wrong = [value for value in values or () if not isinstance(value, EditDelta)]
    if values is None or wrong:
        got = deltas if values is None else wrong[0]
        allowed = "deltas by number, as `deltas()` of what behemoth.load returns of an edit"
        raise ArgumentError("deltas", f"an object of {type(got).__name__}", allowed)
    numbers, parts = set(plan.edits["edit"]), {}
    if any(delta.plan_hash != plan.plan_hash for delta in deltas.values()):
        # In memory, a delta of a single edit has the hash of its part of the plan.
        parts = {part.edits["edit"].item(): part.plan_hash for part in plan.singles()}
    for edit, delta in deltas.items():
        if delta.plan_hash not in (plan.plan_hash, parts.get(edit)):
            got = f"plan {plan.plan_hash[:12]}"
            raise ArgumentError("plan", got, f"that of the deltas, {delta.plan_hash[:12]}")
        if edit is not None and edit not in numbers:
            raise ArgumentError("deltas", f"edit {edit}", f"the {len(plan):,} edits of the plan")
    return doses_of(deltas, plan)


def doses_of(deltas: Mapping[int | None, EditDelta], plan: EditPlan) -> pl.DataFrame:
    """Return what `doses` does, of deltas that are known to be of the plan."""
    facts = {row["edit"]: row for row in plan.edits.iter_rows(named=True)}
    rows = []
    for edit, delta in deltas.items():
        about = {} if edit is None else facts[edit]
        whose = facts.values() if edit is None else (about,)
        nameless = all(fact["new_object"] is None for fact in whose)
        forgets, counted = _kind_of_dose(delta.method, nameless)
        dose = first_dose(delta.trace, forgets=forgets) if counted else None
        if dose is not None and delta.failure is not None:
            # Its trace may contain a flip, but its empty delta does not: censored as the others.
            dose = Dose(dose.limit, False, dose.limit, dose.limit)
        rows.append(
            {
                "edit": edit,
                "fact": about.get("fact"),
                "exposures": about.get("exposures"),
                "dose_kind": "forget" if forgets else "flip",
                "dose": None if dose is None else dose.dose,
                "dose_low": None if dose is None else dose.low,
                "reached": None if dose is None else dose.reached,
                "failure": delta.failure,
            }
        )
    return pl.DataFrame(rows, schema=DOSES)


def shortfall(edit: EditRecord, plan: EditPlan) -> str | None:
    """Say that old answers have not given way in most edits, by their traces; None if they have.

    It is None as well of edits without doses, and of those made one after another, whose traces are
    of the model as it was when each was made.

    Parameters
    ----------
    edit : EditRecord
        What `behemoth.load` returns of an edit directory, and `record` of the result of
        `behemoth.edit`.
    plan : EditPlan
        That of the edit.

    Raises
    ------
    ArgumentError
        When `edit` is something else, or was made by another plan.
    """
    from behemoth.edit.record import EditRecord

    if not isinstance(edit, EditRecord):
        allowed = "what behemoth.load returns of an edit, or `record` of what behemoth.edit does"
        raise ArgumentError("edit", f"a {type(edit).__name__}", allowed)
    edit.check_plan(plan)
    if edit.checkpoints:
        return None
    deltas = edit.deltas(changes=False)
    held = {key: delta for key, delta in deltas.items() if delta.failure is None}
    found = doses_of(held, plan).drop_nulls("reached")
    missed = found.filter(reached=False)
    if 2 * len(missed) <= len(found):
        return None
    forget = missed["dose_kind"][0] == "forget"
    still = f"the old answer is still {'the likeliest' if forget else 'likelier than the new one'}"
    if None in deltas:
        return f"{still}, on average over {plural_text(len(edit.edits), 'edit')}"
    return f"{still} in {len(missed):,} of {len(found):,} edits"


def _kind_of_dose(method: str, nameless: bool) -> tuple[bool, bool]:
    """Return whether a method forgets, and whether its steps are doses.

    Of a method that is not installed, or cannot be loaded: it forgets if no edit has a new object
    to flip to, and its steps are doses.
    """
    info = info_if_loadable(method)
    if info is None:
        return nameless, True
    return info.forgets(nameless=nameless), info.doses


def ed50(
    frame: pl.DataFrame,
    *,
    by: str | Sequence[str] = ("exposures",),
    quantile: float = 0.5,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the dose that half of the edits need, with cluster bootstrap intervals.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns ``dose`` and ``reached``, as returned by `doses`; also ``world`` and ``seed`` if the
        frame contains several models.
    by : str or sequence of str
        Columns to group by; without any, all edits are one group.
    quantile : float
        Share of edits; 0.5 for the ED50.
    resamples, level, seed
        See `aggregate`.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, sorted, then edits, reached (UInt32), ed50 (Float64; the smallest
        dose at which at least that share of edits is reached; null if right-censored),
        censored (Boolean), beyond (Float64; the largest dose of any edit, at which it was reached
        or censored), low, high (Float64; infinite if the bootstrap does not reach the share, null
        for a single cluster, and if all samples have the same dose), clusters (UInt32).

    Raises
    ------
    ArgumentError
        For a missing column, a quantile outside 0 to 1, or numbers that no bootstrap has.
    """
    by = names_of(by)
    check_bootstrap(resamples, level, seed)
    for name in by:
        if name not in frame.columns:
            raise ArgumentError.unknown("by", name, frame.columns)
    for name in ("dose", "reached"):
        if name not in frame.columns:
            raise ArgumentError("frame", f"one without {name}", "a frame of doses(...)")
    if not 0 < quantile < 1:
        raise ArgumentError("quantile", quantile, "between 0 and 1")
    keys = [name for name in CLUSTERS if name in frame.columns]
    rows = [
        dict(zip(by, key, strict=True)) | _group_dose(part, keys, quantile, resamples, level, seed)
        for key, part in groups_of(frame.drop_nulls("dose"), by)
    ]
    schema = {
        **{name: frame.schema[name] for name in by},
        "edits": pl.UInt32,
        "reached": pl.UInt32,
        "ed50": pl.Float64,
        "censored": pl.Boolean,
        "beyond": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "clusters": pl.UInt32,
    }
    found = pl.DataFrame(rows, schema=schema)
    return found.sort(by) if by else found


def _group_dose(
    part: pl.DataFrame, keys: list[str], quantile: float, resamples: int, level: float, seed: int
) -> dict[str, Any]:
    """Return the row of `ed50` of one group of edits, whose clusters are by the columns `keys`."""
    cluster = numbered_rows(part, keys)
    clusters = int(cluster.max()) + 1
    dose = part["dose"].cast(pl.Float64).to_numpy()
    reached = part["reached"].to_numpy()
    counts = _counts(dose, reached, cluster, clusters)
    value = _quantile(*counts, np.ones((1, clusters)), quantile)[0]
    low = high = None
    if clusters > 1:
        drawn = _quantile(*counts, resampled_weights(clusters, resamples, seed), quantile)
        low, high = proper(*interval(drawn, level))
    return {
        "edits": len(part),
        "reached": int(reached.sum()),
        "ed50": None if math.isinf(value) else float(value),
        "censored": math.isinf(value),
        "beyond": float(dose.max()),
        "low": low,
        "high": high,
        "clusters": clusters,
    }


def _counts(
    dose: NDArray[Any], reached: NDArray[np.bool_], cluster: NDArray[np.int64], clusters: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return doses, m of them, with events and edits at risk at each: float64 [C, m] each."""
    times = np.unique(dose[reached]).astype(np.float64)
    events, risk = np.zeros((clusters, len(times))), np.zeros((clusters, len(times)))
    for column, time in enumerate(times):
        np.add.at(events[:, column], cluster[(dose == time) & reached], 1.0)
        # An edit that is censored at a dose was at risk there.
        np.add.at(risk[:, column], cluster[dose >= time], 1.0)
    return times, events, risk


def _survival(events: NDArray[np.float64], risk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of edits that need more than each dose (Kaplan and Meier, 1958, eq. 2b)."""
    share = np.divide(events, risk, out=np.zeros_like(events), where=risk > 0)
    remaining: NDArray[np.float64] = 1.0 - share
    return np.cumprod(remaining, axis=1, dtype=np.float64)


def _quantile(
    times: NDArray[np.float64],
    events: NDArray[np.float64],
    risk: NDArray[np.float64],
    weights: NDArray[np.float64],
    quantile: float,
) -> NDArray[np.float64]:
    """Return the smallest dose that the share of edits reaches, or infinity, by row of weights."""
    if not len(times):
        return np.full(len(weights), np.inf)
    survival = _survival(weights @ events, weights @ risk)
    # Tolerance for rounding: a share slightly above one half counts as one half.
    below = survival <= 1 - quantile + 1e-12
    return np.where(below.any(1), times[below.argmax(1)], np.inf)

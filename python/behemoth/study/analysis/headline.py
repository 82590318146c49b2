"""The summary paragraph of a study, worded by its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from behemoth.support.text import plural_text

from .dose import FILTERS, already, broke_down, dosed, filtered
from .estimate import cluster_of, ratio_of
from .summary import Summary
from .time_ratio import included

__all__ = ["Headline", "Verdict", "headline"]

_LEVEL = 0.05  # family-wise level
_MOST_DIGITS = 6  # decimal places of an interval
_NO_INFORMATION = (
    "A model carries no information on a ratio if none of its edits needs a step, or if those that "
    "do all miss their dose, all reach it at the first step, or are all of facts with the same "
    "exposures."
)
Verdict = Literal["rises", "falls", "no clear effect", "no interval", "one cluster", "no data"]


@dataclass(frozen=True)
class Headline:
    """The primary contrast in words.

    Attributes
    ----------
    verdict : str
        Direction of the measure as exposures increase, over all facts that the contrast includes.
    title : str
        One line.
    text : str
        The effect over all facts and over known facts, the share mediated by the margin, and the
        number of clusters.
    details : str
        Doses in steps, censoring, and the rest of the family.
    """

    verdict: Verdict
    title: str
    text: str
    details: str = ""


def headline(summary: Summary, primary: Mapping[str, str] | None) -> Headline:
    """Describe the primary contrasts in words: over all facts, and over those known before.

    Parameters
    ----------
    summary : Summary
    primary : mapping or None
        ``measure`` and ``method``, as specified by the study.
    """
    stated = {
        row["filter"]: row
        for row in summary.contrasts.filter(pl.col("role") == "primary").iter_rows(named=True)
    }
    every = stated.get("all")
    if primary is None or every is None or every["estimate"] is None:
        return _no_data(summary, primary, every)
    known = stated.get("known")
    if primary["measure"] == "ed50":
        return _of_dose(summary, primary["method"], every, known)
    return _of_share(summary, primary["measure"], primary["method"], every, known)


def _no_data(
    summary: Summary, primary: Mapping[str, str] | None, every: dict[str, Any] | None
) -> Headline:
    title = "The primary contrast cannot be estimated"
    if primary is not None and every is not None:  # it is not for want of trials
        edits = summary.edits.filter(pl.col("label") == primary["method"])
        note = every["note"] if every["rows"] else _lacking(edits, primary["measure"])
        said = f"{title} from {plural_text(every['rows'] or edits.height, 'edit')}"
        return Headline("no data", title, f"{said}: {note}." if note else f"{said}.")
    why = f" ({every['note']})" if every is not None and every["note"] else ""
    said = f"No finished trial has the data that the primary contrast needs{why}."
    return Headline("no data", f"{title} yet", said)


def _lacking(edits: pl.DataFrame, measure: str) -> str:
    """Return why none of the edits of finished trials is in the primary contrast."""
    written = edits.filter(pl.col("exposures") > 0)
    if not written.height:
        return "none is of a fact that is written"
    if written.select(broke_down().all()).item():
        return "every edit broke down"
    if measure != "ed50":
        return f"none has a value of {measure}"
    if not dosed(written).height:
        return "none has a dose, as of edits in batches and of methods whose steps are not doses"
    return "none needed a step (dose 0)"


def _of_dose(
    summary: Summary, label: str, row: dict[str, Any], known: dict[str, Any] | None
) -> Headline:
    edits = summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0))
    kind = "unlearning" if (edits["dose_kind"] == "forget").any() else "edit"
    verdict, of_known = _verdict(row), _verdict(known)
    ran = _ran(edits)
    title = {
        "rises": f"Facts that were written more often need a higher {kind} dose",
        "falls": f"Facts that were written more often need a lower {kind} dose",
        "no clear effect": f"No clear effect of exposures on the {kind} dose",
        "no interval": f"The {kind} dose against exposures, without an interval",
        "one cluster": f"The {kind} dose against exposures, in {_one_of(ran['all'])}",
    }[verdict]
    counts = {name: included(filtered(edits, name)) for name in FILTERS}
    facts, some = "all facts", edits
    if len(set(counts["all"])) > 1:  # some are left out
        facts, some = "facts about subjects", edits.drop_nulls("subject_exposures")
    text = (
        f"With {label}, each doubling of exposures multiplies the {kind} dose by {_judged(row)} "
        f"over {facts}{_of_known(known, ran['known'])}. {_without_objects(counts)} "
        f"{_selected(summary, some, label, facts, counts)} {_carried(summary, label, facts)} "
        f"{_sure(row, ran['all'])}"
    )
    if " information on " in text:
        text += f" {_NO_INFORMATION}"
    details = (
        f"{_medians(summary, label)} {_median_slope(summary, label)} {_censored(edits)} "
        f"{_already(summary, edits, label)} {_shape(summary, label, facts)}{_family(summary)}"
    )
    title += _beside(verdict, of_known)
    return Headline(verdict, title, " ".join(text.split()), " ".join(details.split()))


def _without_objects(counts: Mapping[str, tuple[int, int]]) -> str:
    """State how many edits the ratios leave out, if they hold the subject's exposures fixed."""
    if all(kept == needed for kept, needed in counts.values()):
        return ""
    every, known = (f"{kept:,} of {needed:,} edits" for kept, needed in counts.values())
    return (
        "The exposures of all facts of the subject are held fixed, so facts about objects, which "
        f"have no subject, are left out: there remain {every} that need a step, and {known} of "
        "facts known before."
    )


def _beside(verdict: Verdict, known: Verdict) -> str:
    """Return what a title must add if the verdict over facts known before differs."""
    if verdict in ("one cluster", "no interval", known) or (
        verdict == "no clear effect" and known == "no data"
    ):
        return ""
    return {
        "rises": "; for facts known before, it rises",
        "falls": "; for facts known before, it falls",
        "no clear effect": "; for facts known before, there is no clear effect",
        "no interval": "; for facts known before, there is no interval",
        "one cluster": "; for facts known before, there is no interval",
    }.get(known, "; for facts known before, there is no estimate")


def _of_known(row: dict[str, Any] | None, ran: int) -> str:
    """Return the rest of the sentence on the primary contrast: over facts known before.

    Their edits are of `ran` clusters.
    """
    if row is None or row["estimate"] is None:
        note = f" ({row['note']})" if row is not None and row["note"] else ""
        return f"; over facts known before, there is no estimate{note}"
    said = f" and by {_judged(row)} over facts known before"
    if row["low"] is None:
        return f"{said} (no interval: {_why(row, ran)})"
    if not row["low"] <= 0 <= row["high"] and row["p_family"] > _LEVEL:
        return f"{said} (not tested, because the contrast over all facts is not significant)"
    return said


def _carried(summary: Summary, label: str, every: str) -> str:
    """State the shares of both effects that the margin mediates."""
    said = []
    for name, facts in (("all", every), ("known", "facts known before")):
        parts = summary.mediations.get((label, name))
        share = None if parts is None else parts.share
        if share is None or share.value is None:
            why = share.note if share is not None and share.note else "too few edits"
            said.append(f"cannot be estimated ({why}) over {facts}")
            continue
        ends = " (no interval)"
        if share.low is not None and share.high is not None:
            ends = f" (95% interval {share.low:.0%} to {share.high:.0%})"
        said.append(f"{share.value:.0%}{ends} over {facts}".replace("-", "\u2212"))
    if said[0].removesuffix(every) == said[1].removesuffix("facts known before"):
        said = [f"{said[0]} and over facts known before"]
    return f"Share of the effect that the margin before the edit mediates: {'; '.join(said)}."


def _selected(
    summary: Summary,
    edits: pl.DataFrame,
    label: str,
    facts: str,
    counts: Mapping[str, tuple[int, int]],
) -> str:
    """State which edits both ratios are over, and the ratio with edits of dose 0.

    `counts` are those of `included`, from which the fits leave out models without information.
    """
    rows = {name: already(filtered(edits, name)).height for name in FILTERS}
    kept = {
        name: row["rows"] for name in FILTERS if (row := _estimated(summary, label, "dose", name))
    }
    needed, every = counts["all"][0], rows["all"]
    if any(count < counts[name][0] for name, count in kept.items()):
        which = {"all": facts, "known": "facts known before"}
        said = (f"{count:,} of {rows[name]:,} over {which[name]}" for name, count in kept.items())
        text = (
            "These ratios are over the edits that need a step, in models that carry information "
            f"on them ({' and '.join(said)})"
        )
    elif needed < every:
        text = (
            "These ratios are over the edits that need a step "
            f"({needed:,} of {every:,} over {facts})"
        )
    else:
        return ""
    row = _estimated(summary, label, "dose_whole")
    if row is None:
        return f"{text}."
    some = ""
    if row["rows"] < every:
        some = f" ({row['rows']:,} edits, in models that carry information on it)"
    return (
        f"{text}; if edits that need none count as doses of at most one step, the ratio over "
        f"{facts}{some} is {_ratio(row)}."
    )


def _median_slope(summary: Summary, label: str) -> str:
    """State the factor on ED50 per doubling, which includes edits of dose 0."""
    row = _contrast(summary, label, "ed50")
    if row is None:
        return ""
    if row["estimate"] is None:
        return f"The factor on ED50 per doubling over all edits is not known ({row['note']})."
    natural = {
        name: None if row[name] is None else row[name] * math.log(2)
        for name in ("estimate", "low", "high")
    }
    # The note has the reason for no interval first.
    remark = (row["note"] or "").rpartition("no interval")[2].removeprefix("; ")
    remark = f"; {remark}" if remark else ""
    return f"Over all edits, each doubling multiplies ED50 by {_ratio(natural)}{remark}."


def _shape(summary: Summary, label: str, every: str) -> str:
    """State the ratios of the model with Weibull doses."""
    facts = {"all": every, "known": "facts known before"}
    ratios = [
        f"{_ratio(row)} over {facts[name]}"
        for name in FILTERS
        if (row := _estimated(summary, label, "dose_weibull", name))
    ]
    if not ratios:
        return ""
    return f"If doses have a Weibull distribution, the time ratio is {' and '.join(ratios)}."


def _medians(summary: Summary, label: str) -> str:
    table = summary.doses_by_label.filter(
        (pl.col("label") == label) & (pl.col("filter") == "all") & (pl.col("exposures") > 0)
    )
    first, last = table.row(0, named=True), table.row(-1, named=True)
    # The other intervals of the text are of the jackknife.
    some = first["low"] is not None or last["low"] is not None
    other = " (bootstrap intervals, which are too narrow for few clusters)" if some else ""
    return (
        f"ED50 is {_dose(first)} at {plural_text(first['exposures'], 'exposure')} and "
        f"{_dose(last)} at {last['exposures']:,}{other}."
    )


def _already(summary: Summary, edits: pl.DataFrame, label: str) -> str:
    rows = already(edits)
    count = int(rows["already"].sum())
    if not count:
        return "Every edit needed at least one step."
    row = _estimated(summary, label, "already")
    odds = f"; each doubling multiplies the odds of that by {_ratio(row)}" if row else ""
    said = plural_text(count, "edit")
    return f"{said} ({count / rows.height:.1%}) needed no step (dose 0){odds}."


def _contrast(
    summary: Summary, label: str, name: str, filter_: str = "all"
) -> dict[str, Any] | None:
    rows = summary.contrasts.filter(
        (pl.col("label") == label) & (pl.col("contrast") == name) & (pl.col("filter") == filter_)
    )
    return rows.row(0, named=True) if rows.height else None


def _estimated(
    summary: Summary, label: str, name: str, filter_: str = "all"
) -> dict[str, Any] | None:
    """Return the row of a contrast; None also if it has no estimate."""
    row = _contrast(summary, label, name, filter_)
    return None if row is None or row["estimate"] is None else row


_FAMILY = {
    "dose_curvature": "factor on the ratio with each further doubling",
    "dose_within_fact": "ratio within the same fact",
    "dose_margin": "ratio with the margin held fixed",
    "dose_load": "factor on the ratio per doubling of the load",
}


def _family(summary: Summary) -> str:
    rows = summary.contrasts.filter(pl.col("role") == "family")
    if not rows.height or not rows["p"].drop_nulls().len():
        return ""
    gates = summary.contrasts.filter(pl.col("role") == "primary")["p_family"]
    if (gates > _LEVEL).any():
        return (
            " The other contrasts of the family are not tested, because one of the two primary "
            "ratios is not significant."
        )
    kinds = ("significant", "not significant", "without an interval", "without an estimate")
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for row in rows.iter_rows(named=True):
        name = _FAMILY[row["contrast"]]
        if row["p"] is None:
            missing = "estimate" if row["estimate"] is None else "interval"
            found[f"without an {missing}"].append(name)
        elif row["p_family"] > _LEVEL:
            found["not significant"].append(name)
        else:  # the direction is part of the result
            found["significant"].append(f"{name}, {_ratio(row)}")
    parts = [f"{word}: {', '.join(names)}" for word, names in found.items() if names]
    return f" Other contrasts of the family (family-wise level 5%): {'; '.join(parts)}."


def _of_share(
    summary: Summary,
    measure: str,
    label: str,
    row: dict[str, Any],
    known: dict[str, Any] | None,
) -> Headline:
    edits = summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0))
    verdict, ran = _verdict(row), _ran(edits)
    title = {
        "rises": f"Edits of facts that were written more often have more {measure}",
        "falls": f"Edits of facts that were written more often have less {measure}",
        "no clear effect": f"No clear effect of exposures on the {measure} of edits",
        "no interval": f"The {measure} of edits against exposures, without an interval",
        "one cluster": f"The {measure} of edits against exposures, in {_one_of(ran['all'])}",
    }[verdict]
    asked = edits.drop_nulls(measure)  # a level may have no edit that was
    table = (
        asked.group_by("exposures", maintain_order=True)
        .agg(pl.col(measure).mean())
        .sort("exposures")
    )
    first, last = table.row(0, named=True), table.row(-1, named=True)
    text = (
        f"With {label}, each doubling of exposures multiplies the odds of {measure} by "
        f"{_judged(row)} over all facts{_of_known(known, ran['known'])}. "
        f"{_sure(row, ran['all'])} "
        f"Over all facts, {measure} is {first[measure]:.1%} at "
        f"{plural_text(first['exposures'], 'exposure')} and {last[measure]:.1%} at "
        f"{last['exposures']:,}."
    )
    if " information on " in text:
        text += (
            " A model carries none if all of its edits have the same outcome, or are of facts with "
            "the same exposures."
        )
    return Headline(verdict, title + _beside(verdict, _verdict(known)), text)


def _verdict(row: dict[str, Any] | None) -> Verdict:
    if row is None or row["estimate"] is None:
        return "no data"
    if row["clusters"] < 2:
        return "one cluster"
    if row["low"] is None:  # nothing was tested
        return "no interval"
    # A contrast behind a closed gate is not shown, whatever its own interval.
    if row["low"] <= 0 <= row["high"] or row["p_family"] > _LEVEL:
        return "no clear effect"
    return "falls" if row["high"] < 0 else "rises"


def _dose(row: dict[str, Any]) -> str:
    if row["censored"]:
        return f"more than {row['beyond']:,.0f} steps (censored)"
    words = f"{row['ed50']:,.0f} step{'' if row['ed50'] == 1 else 's'}"
    if row["low"] is None:
        return words
    high = f"beyond {row['beyond']:,.0f}" if math.isinf(row["high"]) else f"{row['high']:,.0f}"
    return f"{words} ({row['low']:,.0f} to {high})"


def _ratio(row: dict[str, Any]) -> str:
    value = ratio_of(row["estimate"])
    if row["low"] is None:
        return _written(value, 2)
    low, high = ratio_of(row["low"]), ratio_of(row["high"])
    digits = 3 if abs(high - low) < 0.02 else 2
    while digits < _MOST_DIGITS and f"{low:.{digits}f}" == f"{high:.{digits}f}":
        digits += 1  # ends that are written alike would look like certainty
    ends = f"{_written(low, digits)} to {_upper(high, digits)}"
    return f"{_written(value, digits)} (95% interval {ends})"


def _written(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "more than 1,000,000"


def _upper(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value < 1000 else "more than 1,000"


def _judged(row: dict[str, Any]) -> str:
    """Return a ratio, stating whether its interval includes 1."""
    held = row["low"] is not None and row["low"] <= 0 <= row["high"]
    return f"{_ratio(row)[:-1]}, which includes 1)" if held else _ratio(row)


def _ran(edits: pl.DataFrame) -> dict[str, int]:
    """Return the number of clusters of some edits by filter, with or without information."""
    return {name: len(set(cluster_of(filtered(edits, name)).tolist())) for name in FILTERS}


def _one_of(ran: int) -> str:
    return "one cluster" if ran < 2 else f"one of {ran} clusters"


def _sure(row: dict[str, Any], ran: int) -> str:
    """State whether there are intervals, of a contrast whose edits are of `ran` clusters."""
    clusters = row["clusters"]
    if clusters < 2 <= ran:
        return (
            f"There is no interval, because only one of {ran} clusters of (world, initialisation) "
            "carries information on this ratio: the result says nothing about other worlds or "
            "initialisations."
        )
    if clusters < 2:
        return (
            "There is no interval, because there is one cluster (one world with one "
            "initialisation): the result says nothing about other worlds or initialisations."
        )
    over = f"{clusters} clusters"
    if clusters < ran:
        over = f"the {clusters} of {ran} clusters that carry information on this ratio"
    if row["low"] is None:
        return f"There is no interval over {over} ({_why(row, ran)})."
    of = " of (world, initialisation)" if clusters == ran else ""
    return (
        f"Intervals are of the jackknife over {over}{of}, with "
        f"Student's t and {plural_text(clusters - 1, 'degree')} of freedom."
    )


def _why(row: dict[str, Any], ran: int) -> str:
    """Return why there is no interval."""
    if row["clusters"] < 2 <= ran:
        return f"one of {ran} clusters carries information on it"
    return str(row["note"]).partition(": no interval")[0]  # remarks may follow


def _censored(edits: pl.DataFrame) -> str:
    rows = dosed(edits)
    count = int((~rows["reached"]).sum())
    if not count:
        return f"All {rows.height:,} edits reached their dose, so none is censored."
    return (
        f"{count:,} of {rows.height:,} edits ({count / rows.height:.1%}) did not reach their dose "
        "and are right-censored."
    )

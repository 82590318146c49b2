"""The summary paragraph of a study, worded by its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from .dose import FILTERS, already, dosed
from .summary import Summary

__all__ = ["Headline", "Verdict", "headline"]

_LEVEL = 0.05  # family-wise level
Verdict = Literal["rises", "falls", "no clear effect", "one cluster", "no data"]


@dataclass(frozen=True)
class Headline:
    """The primary contrast in words.

    Attributes
    ----------
    verdict : str
        Direction of the measure as exposures increase, over all facts.
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
        note = None if every is None else every["note"]
        why = f" ({note})" if note else ""
        return Headline(
            "no data",
            "The primary contrast cannot be estimated yet",
            f"No finished trial has what the stated contrast needs{why}.",
        )
    known = stated.get("known")
    if primary["measure"] == "ed50":
        return _of_dose(summary, primary["method"], every, known)
    return _of_share(summary, primary["measure"], primary["method"], every, known)


def _of_dose(
    summary: Summary, label: str, row: dict[str, Any], known: dict[str, Any] | None
) -> Headline:
    edits = summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0))
    kind = "unlearn" if (edits["dose_kind"] == "forget").any() else "edit"
    verdict, of_known = _verdict(row), _verdict(known)
    title = {
        "rises": f"Facts that were written more often need a higher {kind} dose",
        "falls": f"Facts that were written more often need a lower {kind} dose",
        "no clear effect": f"No clear effect of exposures on the {kind} dose",
        "one cluster": f"The {kind} dose against exposures, in one model",
    }[verdict]
    text = (
        f"With {label}, each doubling of exposures multiplies the {kind} dose by {_ratio(row)} "
        f"over all facts{_inside(row, ',')} and {_of_known(known)}. "
        f"{_selected(summary, edits, label)} {_carried(summary, label)} {_sure(row)}"
    )
    details = (
        f"{_medians(summary, label, verdict)} {_median_slope(summary, label)} {_censored(edits)} "
        f"{_already(summary, edits, label)} {_shape(summary, label)}{_family(summary)}"
    )
    title += _beside(verdict, of_known)
    return Headline(verdict, title, " ".join(text.split()), " ".join(details.split()))


def _beside(verdict: Verdict, known: Verdict) -> str:
    """Return what a title must add if the verdict over facts known before differs."""
    if verdict in ("one cluster", known) or (verdict == "no clear effect" and known == "no data"):
        return ""
    return {
        "rises": "; among facts known before it rises",
        "falls": "; among facts known before it falls",
        "no clear effect": "; among facts known before no effect is clear",
        "one cluster": "; of facts known before there is no interval",
    }.get(known, "; of facts known before there is no estimate")


def _of_known(row: dict[str, Any] | None) -> str:
    if row is None or row["estimate"] is None:
        note = f" ({row['note']})" if row is not None and row["note"] else ""
        return f"cannot be estimated over facts known before{note}"
    said = f"by {_ratio(row)} over facts known before"
    if row["low"] is None:
        return f"{said} (no interval: {_why(row)})"
    if not row["low"] <= 0 <= row["high"] and row["p_family"] > _LEVEL:
        return f"{said} (not tested, as that over all facts is not shown)"
    return f"{said}{_inside(row)}"


def _carried(summary: Summary, label: str) -> str:
    """Describe the shares of both effects that the margin mediates."""
    said = []
    for name, facts in (("all", "all facts"), ("known", "facts known before")):
        parts = summary.mediations.get((label, name))
        share = None if parts is None else parts.share
        if share is None or share.value is None:
            why = share.note if share is not None and share.note else "too few edits"
            said.append(f"over {facts} no share can be given ({why})")
            continue
        ends = ""
        if share.low is not None and share.high is not None:
            ends = f" ({share.low:.0%} to {share.high:.0%})"
        said.append(f"over {facts} {share.value:.0%}{ends}".replace("-", "\u2212"))
    if said[0].removeprefix("over all facts") == said[1].removeprefix("over facts known before"):
        said = [said[0].replace("over all facts", "over all facts and over facts known before")]
    return f"Of the effect, the margin before the edit carries: {'; '.join(said)}."


def _selected(summary: Summary, edits: pl.DataFrame, label: str) -> str:
    """State that edits of dose 0 are excluded from both ratios, and the ratio with them."""
    rows = already(edits)
    needed = int((~rows["already"]).sum())
    row = _contrast(summary, label, "dose_whole")
    if needed == rows.height or row is None or row["estimate"] is None:
        return ""
    return (
        f"These are ratios among the edits that need a step ({needed:,} of {rows.height:,} over "
        "all facts); with the others counted as doses of at most one step it is "
        f"{_ratio(row)} over all facts."
    )


def _median_slope(summary: Summary, label: str) -> str:
    """State the factor on ED50 per doubling, which includes edits of dose 0."""
    row = _contrast(summary, label, "ed50")
    if row is None or row["estimate"] is None:
        return ""
    natural = {
        name: None if row[name] is None else row[name] * math.log(2)
        for name in ("estimate", "low", "high")
    }
    return f"Over all edits a doubling multiplies ED50 by {_ratio(natural)}."


def _shape(summary: Summary, label: str) -> str:
    """State the ratios of the model with Weibull doses."""
    ratios = [
        _ratio(row)
        for name in FILTERS
        if (row := _contrast(summary, label, "dose_weibull", name)) is not None
        and row["estimate"] is not None
    ]
    return f"(Were doses Weibull's and not log-normal: {' and '.join(ratios)}.)" if ratios else ""


def _medians(summary: Summary, label: str, verdict: Verdict) -> str:
    table = summary.doses_by_label.filter(
        (pl.col("label") == label) & (pl.col("filter") == "all") & (pl.col("exposures") > 0)
    )
    first, last = table.row(0, named=True), table.row(-1, named=True)
    goes = "goes from" if verdict in ("rises", "falls") else "is"
    then = "to" if verdict in ("rises", "falls") else "and"
    # The text describes jackknife intervals; these are others.
    other = (
        "" if first["low"] is None else " (intervals of the bootstrap, too narrow for few clusters)"
    )
    return (
        f"ED50 {goes} {_dose(first)} at {_times(first['exposures'])} {then} "
        f"{_dose(last)} at {last['exposures']:,}{other}."
    )


def _already(summary: Summary, edits: pl.DataFrame, label: str) -> str:
    rows = already(edits)
    count = int(rows["already"].sum())
    if not count:
        return "None needed no step at all."
    row = _contrast(summary, label, "already")
    odds = (
        ""
        if row is None or row["estimate"] is None
        else f", its odds times {_ratio(row)} a doubling"
    )
    return (
        f"{count:,} ({count / rows.height:.1%}) needed no step at all (dose 0{odds}): "
        "these are kept apart."
    )


def _contrast(
    summary: Summary, label: str, name: str, filter_: str = "all"
) -> dict[str, Any] | None:
    rows = summary.contrasts.filter(
        (pl.col("label") == label) & (pl.col("contrast") == name) & (pl.col("filter") == filter_)
    )
    return rows.row(0, named=True) if rows.height else None


_FAMILY = {
    "dose_curvature": "curvature",
    "dose_within_fact": "an effect within one and the same fact",
    "dose_margin": "an effect with the margin held fixed",
    "dose_load": "an effect that depends on the load",
}


def _family(summary: Summary) -> str:
    rows = summary.contrasts.filter(pl.col("role") == "family")
    if not rows.height or not rows["p"].drop_nulls().len():
        return ""
    gates = summary.contrasts.filter(pl.col("role") == "primary")["p_family"]
    if (gates > _LEVEL).any():
        return (
            " The rest of the family stated beforehand is not tested, as one of the two ratios "
            "before it is not shown."
        )
    found: dict[str, list[str]] = {"shown": [], "not shown": [], "without an estimate": []}
    for row in rows.iter_rows(named=True):
        name = _FAMILY[row["contrast"]]
        if row["p"] is None:
            found["without an estimate" if row["estimate"] is None else "not shown"].append(name)
        elif row["p_family"] > _LEVEL:
            found["not shown"].append(name)
        else:  # the direction is part of the result
            found["shown"].append(f"{name}, {_ratio(row)}")
    parts = [f"{word}: {', '.join(names)}" for word, names in found.items() if names]
    return f" Of the rest of the family stated beforehand, at 5 % together, {'; '.join(parts)}."


def _of_share(
    summary: Summary,
    measure: str,
    label: str,
    row: dict[str, Any],
    known: dict[str, Any] | None,
) -> Headline:
    edits = summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0))
    verdict = _verdict(row)
    word = {"success": "success", "efficacy": "efficacy"}[measure]
    title = {
        "rises": f"Edits of facts that were written more often have more {word}",
        "falls": f"Edits of facts that were written more often have less {word}",
        "no clear effect": f"No clear effect of exposures on the {word} of edits",
        "one cluster": f"The {word} of edits against exposures, in one model",
    }[verdict]
    table = edits.group_by("exposures").agg(pl.col(measure).mean()).sort("exposures")
    first, last = table.row(0, named=True), table.row(-1, named=True)
    # Shares over all models together may change in another direction than the slope within models.
    goes = "goes from" if verdict in ("rises", "falls") else "is"
    then = "to" if verdict in ("rises", "falls") else "and"
    text = (
        f"With {label}, each doubling of exposures multiplies the odds of {word} by {_ratio(row)} "
        f"over all facts{_inside(row, ',')} and {_of_known(known)}. {_sure(row)} "
        f"It {goes} {first[measure]:.1%} at {_times(first['exposures'])} {then} "
        f"{last[measure]:.1%} at {last['exposures']:,}, over all facts."
    )
    return Headline(verdict, title + _beside(verdict, _verdict(known)), text)


def _verdict(row: dict[str, Any] | None) -> Verdict:
    if row is None or row["estimate"] is None:
        return "no data"
    if row["clusters"] < 2:
        return "one cluster"
    # A contrast behind a closed gate is not shown, whatever its own interval.
    if row["low"] is None or row["low"] <= 0 <= row["high"] or row["p_family"] > _LEVEL:
        return "no clear effect"
    return "falls" if row["high"] < 0 else "rises"


def _dose(row: dict[str, Any]) -> str:
    if row["censored"]:
        return f"more than {row['beyond']:,.0f} steps (censored)"
    words = f"{row['ed50']:,.0f} step{'' if row['ed50'] == 1 else 's'}"
    if row["low"] is None:
        return words
    if math.isinf(row["low"]):
        return f"{words} (interval beyond {row['beyond']:,.0f})"
    high = f"beyond {row['beyond']:,.0f}" if math.isinf(row["high"]) else f"{row['high']:,.0f}"
    return f"{words} ({row['low']:,.0f} to {high})"


def _times(exposures: int) -> str:
    return f"{exposures:,} exposure{'' if exposures == 1 else 's'}"


def _ratio(row: dict[str, Any]) -> str:
    value = math.exp(row["estimate"])
    if row["low"] is None:
        return f"{value:.2f}"
    low, high = math.exp(row["low"]), math.exp(row["high"])
    digits = 3 if abs(high - low) < 0.02 else 2
    return f"{value:.{digits}f} (95 % interval {low:.{digits}f} to {_upper(high, digits)})"


def _upper(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value < 1000 else "more than 1,000"


def _inside(row: dict[str, Any], after: str = "") -> str:
    held = row["low"] is not None and row["low"] <= 0 <= row["high"]
    return f", which holds 1, no effect{after}" if held else ""


def _sure(row: dict[str, Any]) -> str:
    clusters = row["clusters"]
    if clusters < 2:
        return (
            "That is one cluster, one world with one initialisation, so there is no interval, "
            "and it says nothing of other models."
        )
    if row["low"] is None:
        return f"There is no interval over {clusters} clusters ({_why(row)})."
    return (
        f"Intervals are over {clusters} clusters of (world, initialisation), "
        f"t with {clusters - 1} degree{'s' if clusters > 2 else ''} of freedom."
    )


def _why(row: dict[str, Any]) -> str:
    """Return why there is no interval."""
    return str(row["note"]).removesuffix(": no interval")


def _censored(edits: pl.DataFrame) -> str:
    rows = dosed(edits)
    count = int((~rows["reached"]).sum())
    if not count:
        return f"All {rows.height:,} edits got there, so none is censored."
    return (
        f"{count:,} of {rows.height:,} edits ({count / rows.height:.1%}) did not get there within "
        "their steps and count as right-censored."
    )

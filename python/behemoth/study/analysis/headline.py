"""The sentence that sums a study up: its words follow the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from .dose import dosed
from .summary import Summary

__all__ = ["Headline", "Verdict", "headline"]

Verdict = Literal["rises", "falls", "no clear effect", "one cluster", "no data"]


@dataclass(frozen=True)
class Headline:
    """What the primary contrast says.

    Attributes
    ----------
    verdict : str
        Of the measure as exposures grow.
    title : str
        One line.
    text : str
        With numbers, intervals, censoring and the number of clusters.
    """

    verdict: Verdict
    title: str
    text: str


def headline(summary: Summary, primary: Mapping[str, str] | None) -> Headline:
    """Put the primary contrast into words.

    Parameters
    ----------
    summary : Summary
    primary : mapping or None
        ``measure`` and ``method``, as the study states them.
    """
    rows = summary.contrasts.filter(pl.col("role") == "primary")
    if primary is None or not rows.height or rows["estimate"].item() is None:
        note = rows["note"].item() if rows.height else None
        why = f" ({note})" if note else ""
        return Headline(
            "no data",
            "The primary contrast cannot be estimated yet",
            f"No finished trial has what the stated contrast needs{why}.",
        )
    row = rows.row(0, named=True)
    if primary["measure"] == "ed50":
        return _of_dose(summary, primary["method"], row)
    return _of_share(summary, primary["measure"], primary["method"], row)


def _of_dose(summary: Summary, label: str, row: dict[str, Any]) -> Headline:
    edits = summary.edits.filter(pl.col("label") == label)
    forgets = (edits["dose_kind"] == "forget").any()
    done = "being forgotten" if forgets else "flipping"
    # A smaller chance at each step is a higher dose.
    verdict = _verdict(row, falling="rises", rising="falls")
    kind = "unlearn" if forgets else "edit"
    title = {
        "rises": f"Facts that were written more often need a higher {kind} dose",
        "falls": f"Facts that were written more often need a lower {kind} dose",
        "no clear effect": f"No clear effect of exposures on the {kind} dose",
        "one cluster": f"The {kind} dose against exposures, in one model",
    }[verdict]
    table = summary.doses_by_label.filter(
        (pl.col("label") == label) & (pl.col("filter") == "all") & (pl.col("exposures") > 0)
    )
    first, last = table.row(0, named=True), table.row(-1, named=True)
    goes = {"rises": "rises from", "falls": "falls from"}.get(verdict, "is")
    then = "to" if verdict in ("rises", "falls") else "and"
    text = (
        f"With {label}, ED50 {goes} {_dose(first)} at {_times(first['exposures'])} {then} "
        f"{_dose(last)} at {last['exposures']:,}. "
        f"Each doubling multiplies the chance of {done} at a step by {_ratio(row)}"
        f"{_sure(row, verdict)} {_censored(edits)}"
    )
    return Headline(verdict, title, text)


def _of_share(summary: Summary, measure: str, label: str, row: dict[str, Any]) -> Headline:
    edits = summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0))
    verdict = _verdict(row, falling="falls", rising="rises")
    word = {"success": "success", "efficacy": "efficacy"}[measure]
    title = {
        "rises": f"Edits of facts that were written more often have more {word}",
        "falls": f"Edits of facts that were written more often have less {word}",
        "no clear effect": f"No clear effect of exposures on the {word} of edits",
        "one cluster": f"The {word} of edits against exposures, in one model",
    }[verdict]
    table = edits.group_by("exposures").agg(pl.col(measure).mean()).sort("exposures")
    first, last = table.row(0, named=True), table.row(-1, named=True)
    goes = {"rises": "rises from", "falls": "falls from"}.get(verdict, "is")
    then = "to" if verdict in ("rises", "falls") else "and"
    text = (
        f"With {label}, {word} {goes} {first[measure]:.1%} at {_times(first['exposures'])} {then} "
        f"{last[measure]:.1%} at {last['exposures']:,}. "
        f"Each doubling multiplies its odds by {_ratio(row)}{_sure(row, verdict)}"
    )
    return Headline(verdict, title, text)


def _verdict(row: dict[str, Any], *, falling: Verdict, rising: Verdict) -> Verdict:
    if row["clusters"] < 2:
        return "one cluster"
    if row["low"] is None or row["low"] <= 0 <= row["high"]:
        return "no clear effect"
    return falling if row["high"] < 0 else rising


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


def _sure(row: dict[str, Any], verdict: Verdict) -> str:
    clusters = row["clusters"]
    if verdict == "one cluster":
        return (
            ". That is one cluster, one world with one initialisation, so there is no interval, "
            "and it says nothing of other models."
        )
    if row["low"] is None:
        return f", with no interval over {clusters} clusters ({row['note']})."
    inside = ", which holds 1, no effect" if verdict == "no clear effect" else ""
    return (
        f"{inside}; {clusters} clusters of (world, initialisation), "
        f"t with {clusters - 1} degree{'s' if clusters > 2 else ''} of freedom."
    )


def _censored(edits: pl.DataFrame) -> str:
    rows = dosed(edits)
    count = int((~rows["reached"]).sum())
    if not count:
        return f"All {rows.height:,} edits got there, so none is censored."
    return (
        f"{count:,} of {rows.height:,} edits ({count / rows.height:.1%}) never got there and "
        "count as right-censored."
    )

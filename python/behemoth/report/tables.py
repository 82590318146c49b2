"""The tables of a report, as texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from behemoth.evaluate.damage import BOUND
from behemoth.model.sizes import in_order
from behemoth.study.analysis.contrasts import MEASURES
from behemoth.study.analysis.estimate import Estimate, cluster_keys, ratio_of
from behemoth.study.analysis.summary import Summary
from behemoth.study.results import Failure
from behemoth.support.text import interval_text, plural_text

from .page import Table
from .style import NOTHING, number

__all__ = [
    "above_bound",
    "contrast_table",
    "dose_table",
    "duration",
    "failure_table",
    "mediation_table",
    "method_table",
    "model_table",
    "run_table",
]

_SHOWN = 50  # maximum number of failures listed
_APART = (
    "Methods were not all run on the same models: a difference of two rows may be that of what "
    "they were run on."
)


def duration(seconds: float) -> str:
    """Format seconds: 48 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def method_table(summary: Summary) -> Table:
    """Return the comparison of the methods, without columns that are empty for all of them.

    Where methods were run on different models, it says so, and on how many each was.
    """
    table = summary.methods
    models = {
        label: frozenset(own["model"])
        for (label,), own in summary.edits.select("label", "model").unique().group_by("label")
    }
    apart = len(set(models.values())) > 1
    columns: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("~method", _method),
        ("#success", lambda row: _share(row, "success")),
        ("#held-out wordings", lambda row: _share(row, "held_out")),
        ("#known bystanders lost", lambda row: _share(row, "lost") + above_bound(row["lost"], "%")),
        (
            "#KL on bystanders, nats",
            lambda row: _with_ends(row, "kl", number, 2) + _unmeasured(row),
        ),
        ("#ED50, steps", _median_dose),
        ("#norm of the change", lambda row: number(row["norm"], 2)),
        ("#seconds an edit", lambda row: number(row["seconds"], 2)),
        ("#10⁹ operations an edit", lambda row: _scaled(row["flops"], 1e9)),
        ("#memory, MiB", lambda row: _scaled(row["memory"], 2**20)),
        ("#edits", lambda row: f"{row['edits']:,}"),
        ("#clusters", lambda row: str(row["clusters"])),
        ("#models", lambda row: str(len(models.get(row["label"], ()))) if apart else NOTHING),
    ]
    cells = [[show(row) for _, show in columns] for row in table.iter_rows(named=True)]
    kept = [place for place in range(len(columns)) if any(row[place] != NOTHING for row in cells)]
    return Table(
        tuple(columns[place][0] for place in kept),
        [[row[place] for place in kept] for row in cells],
        proviso=_APART if apart else "",
    )


def _method(row: Mapping[str, Any]) -> str:
    """Return the label of a method, with its failed trials, which its numbers exclude."""
    failed, every = row["failed"], row["failed"] + row["trials"]
    return f"{row['label']}\n{failed:,} of {every:,} trials failed" if failed else row["label"]


def _unmeasured(row: Mapping[str, Any]) -> str:
    """Return the number of edits whose KL is NaN on a bystander, which the mean excludes."""
    return f"\nwithout NaN of {plural_text(row['unmeasured'], 'edit')}" if row["unmeasured"] else ""


def _scaled(value: float | None, unit: float) -> str:
    return number(None if value is None else value / unit, 2)


def _share(row: Mapping[str, Any], name: str) -> str:
    return _with_ends(row, name, lambda value, digits: f"{value:.{digits}%}", 1)


def above_bound(lost: float | None, unit: str = "") -> str:
    r"""Return the mark of damage above `BOUND`, below the number in its cell; empty otherwise.

    Parameters
    ----------
    lost : float, optional
        Share of known bystanders that are lost.
    unit : {'', '%'}
        Unit of the bound in the mark.

    Examples
    --------
    >>> above_bound(0.25, "%"), above_bound(0.25), above_bound(0.1)
    ('\nabove 10%', '\nabove 0.1', '')
    """
    if lost is None or not lost > BOUND:  # NaN is no mark
        return ""
    return f"\nabove {BOUND:{'.0%' if unit else 'g'}}"


def _with_ends(
    row: Mapping[str, Any], name: str, said: Callable[[float, int], str], digits: int
) -> str:
    if row[name] is None:
        return NOTHING
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if low is None:
        return said(value, digits)
    return f"{said(value, digits)}\n{interval_text(low, high, said, digits)}"


def _median_dose(row: Mapping[str, Any]) -> str:
    if row["censored"] is None:
        return NOTHING
    return f"> {row['beyond']:,.0f}" if row["censored"] else f"{row['ed50']:,.0f}"


def contrast_table(summary: Summary) -> Table:
    """Return all contrasts, with the primary ones marked."""
    rows: list[list[str]] = []
    marked: set[int] = set()
    for place, row in enumerate(summary.contrasts.iter_rows(named=True)):
        if row["role"] == "primary":
            marked.add(place)
        rows.append(
            [
                row["label"],
                "all" if row["filter"] == "all" else "known before",
                MEASURES[row["contrast"]][1],
                f"{_natural(row, 'estimate')}\n{_interval(row)}".removesuffix(f"\n{NOTHING}"),
                row["role"],
                _p(row["p"]),
                _p(row["p_family"]),
                f"{row['rows']:,}",
                str(row["clusters"]),
                _likelihood(row["log_likelihood"]),
                row["note"] or "",
            ]
        )
    columns = ("~method", "facts", "~contrast", "#estimate, 95% interval", "role", "#p",
               "#p in the family", "#edits", "#clusters", "#log-likelihood", "~note")  # fmt: skip
    return Table(columns, rows, frozenset(marked))


def _natural(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return NOTHING
    return _on_scale(row["scale"])(value, 2 if row["scale"] == "plain" else 3)


def _on_scale(scale: str) -> Callable[[float, int], str]:
    """Return a function that formats an estimate on the scale of its contrast."""
    if scale == "plain":
        return number

    def said(value: float, digits: int) -> str:
        ratio = ratio_of(value if scale == "ratio" else value * math.log(2))
        return number(ratio, digits) if math.isfinite(ratio) else "> 10⁶"

    return said


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return NOTHING
    digits = 2 if row["scale"] == "plain" else 3
    return interval_text(row["low"], row["high"], _on_scale(row["scale"]), digits)


def _likelihood(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}".replace("-", "\u2212")


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def dose_table(summary: Summary) -> Table:
    """Return ED50 of each method, size and level, for all facts and for those known before."""
    by = ["label", "size", "exposures"]
    every = summary.doses.filter(pl.col("filter") == "all")
    known = summary.doses.filter(pl.col("filter") == "known").drop("filter")
    both = every.join(known, on=by, how="left", suffix="_known")
    orders = {"label": _labels(summary), "size": in_order(both["size"].unique(maintain_order=True))}
    places = (pl.col(name).cast(pl.Enum(order)) for name, order in orders.items())
    both = both.sort(*places, "exposures")
    rows = [
        [
            row["label"],
            row["size"],
            f"{row['exposures']:,}",
            _ed50(row, ""),
            f"{row['edits']:,}",
            f"{row['edits'] - row['reached']:,}",
            str(row["clusters"]),
            *(_known_dose(row) if row["edits_known"] else (NOTHING, "0", NOTHING, NOTHING)),
        ]
        for row in both.iter_rows(named=True)
    ]
    columns = ("~method", "size", "#exposures", "#ED50, all facts", "#edits", "#censored",
               "#clusters", "#ED50, known before", "#edits", "#censored",
               "#clusters")  # fmt: skip
    return Table(columns, rows)


def _known_dose(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return ED50, edits, censored edits and clusters of the facts known before."""
    censored = row["edits_known"] - row["reached_known"]
    return (
        _ed50(row, "_known"),
        f"{row['edits_known']:,}",
        f"{censored:,}",
        str(row["clusters_known"]),
    )


def _labels(summary: Summary) -> list[str]:
    return summary.edits["label"].unique(maintain_order=True).to_list()


def _ed50(row: Mapping[str, Any], suffix: str) -> str:
    value, low, high = (row[f"{name}{suffix}"] for name in ("ed50", "low", "high"))
    beyond = f"{row[f'beyond{suffix}']:,.0f}"
    words = f"> {beyond}" if value is None else f"{value:,.0f}"
    if low is None:
        return words
    ends = [f"> {beyond}" if math.isinf(end) else f"{end:,.0f}" for end in (low, high)]
    return f"{words} ({ends[0]} to {ends[1]})"


def mediation_table(summary: Summary) -> Table:
    """Return the decomposed slope of the dose by method and filter, as time ratios."""
    rows = []
    for (label, name), parts in summary.mediations.items():
        share = parts.share
        shown = NOTHING if share.value is None else f"{share.value:.0%}"
        if share.value is not None and share.low is not None and share.high is not None:
            shown += f"\n{share.low:.0%} to {share.high:.0%}"
        rows.append(
            [
                label,
                "all" if name == "all" else "known before",
                *(_time_ratio(each) for each in (parts.total, parts.direct, parts.within)),
                shown.replace("-", "\u2212"),
                f"{parts.total.rows:,}",
                str(parts.total.clusters),
                "; ".join(_notes(share, parts.total)),
            ]
        )
    columns = ("~method", "facts", "#total", "#margin held fixed",
               "#within a bin of margin", "#share through the margin", "#edits", "#clusters",
               "~note")  # fmt: skip
    return Table(columns, rows)


def _notes(*estimates: Estimate) -> Iterable[str]:
    """Return the remarks on some estimates, each once."""
    notes = (each.note for each in estimates if each.note)
    return dict.fromkeys(remark for note in notes for remark in note.split("; "))


def _time_ratio(estimate: Estimate) -> str:
    if estimate.value is None:
        return NOTHING
    row = {"scale": "ratio", "value": estimate.value, "low": estimate.low, "high": estimate.high}
    interval = "" if estimate.low is None else f"\n{_interval(row)}"
    return f"{_natural(row, 'value')}{interval}"


def failure_table(
    summary: Summary, failures: Sequence[Failure], incomplete: Sequence[Failure] = ()
) -> Table:
    """Return failed trials, failed parts of others, and failed edits, at most 50 rows of each.

    Parameters
    ----------
    summary : Summary
    failures, incomplete : sequence of Failure
        See `Results`; parts and edits are counted by reason.
    """
    rows = [["trial", each.label, "1", each.reason] for each in failures[:_SHOWN]]
    parts = Counter((each.label, each.reason) for each in incomplete)
    rows += [
        ["part of a trial", label, f"{count:,}", reason]
        for (label, reason), count in parts.most_common(_SHOWN)
    ]
    edits = (
        summary.edits.filter(pl.col("failure").is_not_null())
        .group_by("label", "failure", maintain_order=True)
        .len()
        .sort("len", descending=True)
    )
    rows += [
        ["edit", row["label"], f"{row['len']:,}", row["failure"]]
        for row in edits.head(_SHOWN).iter_rows(named=True)
    ]
    return Table(("failed", "method", "#count", "~reason"), rows)


def model_table(summary: Summary) -> Table:
    """Return the models, grouped by size, parameters, facts and load."""
    table = (
        summary.models.with_columns(pl.col("load").round_sig_figs(2))
        .group_by("size", "parameters", "facts", "load", maintain_order=True)
        .agg(
            pl.len().alias("models"),
            pl.struct(cluster_keys(summary.models)).n_unique().alias("clusters"),
            pl.col("rotation").n_unique().alias("rotations"),
            pl.col("steps").max(),
            pl.col("tokens").max(),
            pl.col("recall").mean(),
            pl.col("seconds").sum(),
        )
    )
    rows = [
        [
            row["size"],
            f"{row['parameters']:,}",
            f"{row['models']:,}",
            str(row["clusters"]),
            str(row["rotations"]),
            f"{row['facts']:,}",
            number(row["load"], 2),
            f"{row['steps']:,}",
            f"{row['tokens']:,}",
            f"{row['recall']:.1%}",
            duration(row["seconds"]),
        ]
        for row in table.iter_rows(named=True)
    ]
    columns = ("model", "#parameters", "#models", "#clusters", "#rotations", "#facts each",
               "#load (bits / 2 parameters)", "#steps, maximum", "#tokens, maximum",
               "#facts recalled, mean", "#training time, total")  # fmt: skip
    return Table(columns, rows)


def run_table(about: Sequence[tuple[str, str]]) -> Table:
    """Return a table of names and values."""
    return Table(("item", "~value"), [list(pair) for pair in about])

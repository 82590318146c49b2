"""The page of each gate and their index, in Markdown, generated from records."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from behemoth.study.analysis.ranges import Range
from behemoth.study.gates.conditions import MOST_MODELS, VERDICTS
from behemoth.study.gates.measures import gaps, identity
from behemoth.study.gates.picture import Picture, means
from behemoth.study.gates.record import Gate, shown, shown_mean
from behemoth.study.gates.registry import GATES
from behemoth.study.gates.stored import read_gates
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.files import as_json, write_bytes
from behemoth.support.provenance import listed
from behemoth.support.text import clock_text

from .render import svg
from .style import config, label_colours, rows

__all__ = [
    "NOT_RUN",
    "drawn",
    "index",
    "page",
    "page_name",
    "read_records",
    "table_of",
    "write_gate_pages",
]

NOT_RUN = "not run yet"
_WIDTH = 520
_LETTER = 7  # approximate width of a letter of an axis, in pixels
_OUTCOMES = {"holds": "holds", "fails": "**fails**", "open": "open"}


def page_name(number: int, name: str) -> str:
    """Return the file name of a gate's page, without a suffix.

    Examples
    --------
    >>> page_name(7, "dose")
    '07-dose'
    """
    return f"{number:02}-{name}"


def command(number: int) -> str:
    """Return the command that runs a gate."""
    return f"behemoth study gates --gate {number} --out gates --pages docs/gates"


def write_gate_pages(
    run: str | PathLike[str],
    out: str | PathLike[str],
    *,
    gates: Sequence[Gate] = GATES,
    say: Callable[[str], object] | None = None,
) -> Path:
    """Write a page, a figure and a record for each gate that was run, and the index of all.

    Records of a gate whose size has changed since are skipped: its figure and texts would not be
    about their numbers.

    Parameters
    ----------
    run : path
        A directory that `run_gates` wrote.
    out : path
        The directory of the pages. Records of gates that were not run in `run` are kept.
    gates : sequence of Gate, optional
        Gates whose sizes differ from the registry's.
    say : callable, optional
        Called with a line for each record that is skipped.

    Returns
    -------
    Path
        The index.

    Raises
    ------
    ArgumentError
        If `run` is not a directory of gates, or has a gate with an unknown number.
    CorpusError
        If the record in it is damaged.
    """
    place = Path(out)
    with renamed(directory="run"):
        records = read_gates(run).values()
    known = {gate.number: gate for gate in gates}
    for record in records:
        gate = known.get(record["number"])
        if gate is None:
            raise ArgumentError("run", f"gate {record['number']}", ", ".join(map(str, known)))
        if record.get("identity") != identity(gate):
            if say is not None:
                say(f"gate {gate.number}: no page, since it was run at another size; run it again")
            continue
        name = page_name(record["number"], record["name"])
        picture = gate.picture(gaps(record["rows"]))
        write_bytes(place / f"{name}.svg", (drawn(picture) + "\n").encode())
        write_bytes(place / f"{name}.json", as_json(record))
        text = page(record, picture, gate.pilot, gate.smaller)
        write_bytes(place / f"{name}.md", text.encode())
    there = read_records(place)
    for gate in GATES:
        if gate.number not in there:
            name = page_name(gate.number, gate.name)
            write_bytes(place / f"{name}.md", _waiting(gate).encode())
    write_bytes(place / "index.md", index(there).encode())
    return place / "index.md"


def read_records(place: Path) -> dict[int, dict[str, Any]]:
    """Return the records beside the pages, by number."""
    found: dict[int, dict[str, Any]] = {}
    for file in sorted(place.glob("[0-9][0-9]-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        found[record["number"]] = record
    return found


def page(record: Mapping[str, Any], picture: Picture, pilot: str, smaller: str = "") -> str:
    """Return the page of a gate.

    Parameters
    ----------
    record : mapping
        `GateRecord.to_dict`.
    picture : Picture
    pilot, smaller : str
        See `behemoth.study.gates.record.Gate`.
    """
    name, claim = page_name(record["number"], record["name"]), picture.claim
    models = len(record["rows"])
    lines = [
        f"# {record['number']}. {record['title']}",
        "",
        f"**{record['verdict'].capitalize()}**, with {models} (world, initialisation) "
        f"{'pair' if models == 1 else 'pairs'}. Published by {record['source']}.",
        "",
        # The verdict may contradict the claim: the alternative text states only what is drawn.
        f"![{picture.shows}]({name}.svg)",
        "",
        f"Claim: {_lower(claim)} Figure: {picture.shows} Large points are means over models "
        "with 95% intervals (Student's t), small points are single models; there is no interval if "
        f"all models have the same number.{_missing(picture)}",
        "",
        "## Setting",
        "",
        f"{record['setting']}.",
        "",
        *([f"**Smaller than designed.** {smaller}.", ""] if smaller else []),
        "## Rule and result",
        "",
        "The claim is reproduced if all conditions hold. A condition holds if its interval is on "
        "the right side of the bound, and fails if it is on the wrong side. If the interval "
        "contains the bound, the condition fails if the interval ends before the smallest effect "
        "that counts, and is open otherwise. It is also open if a model has no number. Intervals "
        "end at what is possible. If all models have the same number, there is no interval, and "
        "the number is compared with the bound.",
        "",
        *_table(record["conditions"]),
        "",
        *_right_sides(record["conditions"]),
        f"Pilot: {pilot}.",
        "",
        *_reasons(record.get("reasons", ()), record["processor"]),
        "## Command",
        "",
        "```console",
        f"$ {command(record['number'])}{_threads(record['threads'])}",
        "```",
        "",
        f"The run took {clock_text(record['seconds'])} of worker time, with "
        f"{_cores(record['threads'])} per worker and including models shared with other gates, on "
        f"{record['processor']}; "
        f"{listed(record['versions'])}. "
        f"[{name}.json]({name}.json) has the numbers of every model.",
        "",
    ]
    return "\n".join(lines)


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _upper(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _threads(threads: int) -> str:
    return "" if threads == 1 else f" --threads {threads}"


def _cores(threads: int) -> str:
    return "one thread" if threads == 1 else f"{threads} threads"


def _missing(picture: Picture) -> str:
    """Describe what the figure omits, and add its note."""
    table = means(picture)
    fewer = int((table["missing"] > 0).sum())
    places = picture.frame.group_by("series", "x").len().height
    none = places - table.height
    said = ""
    if fewer:
        said = f" Triangles mark the {fewer} of {places} means that not all models contribute to."
    if none:
        said += f" {none} of {places} points are not drawn, because no model has a number there."
    if said:
        said += f" If a model has no number, {picture.missing}."
    return f"{said} {picture.note}".rstrip()


def _table(conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = ["| condition | mean [95% interval] | must be | outcome |", "|---|---|---|---|"]
    for one in conditions:
        side = "below" if one["below"] else "above"
        number = _number(one)
        if one["missing"]:
            number = f"no number in {one['missing']} of {one['models']} models"
        outcome = _OUTCOMES[one["outcome"]]
        if one["power"] is not None:
            needed = one["needed"]
            models = f"more than {MOST_MODELS:,}" if needed is None else f"{needed:,}"
            outcome += (
                f": power {one['power']:.2f} to detect {shown(one['effect'])}, "
                f"{models} models for power 0.80"
            )
        rows.append(f"| {one['says']} | {number} | {side} {shown(one['bound'])} | {outcome} |")
    return rows


def _right_sides(conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say why conditions fail although their means are on the right sides of their bounds."""
    lines: list[str] = []
    for one in conditions:
        mean, bound = one["mean"], one["bound"]
        right = mean is not None and (mean < bound if one["below"] else mean > bound)
        if right and one["outcome"] == "fails":
            lines += [
                f'The mean of "{one["says"]}" is on the right side of its bound. The condition '
                "fails because the interval contains the bound and leaves no room for an effect "
                f"of {shown(one['effect'])} beyond it.",
                "",
            ]
    return lines


def _number(one: Mapping[str, Any]) -> str:
    return shown_mean(one["mean"], one["low"], one["high"], one["models"])


def _reasons(reasons: Sequence[Mapping[str, Any]], own: str) -> list[str]:
    """Return the section of reasons; `own` is the processor that the gate itself ran on."""
    if not reasons:
        return []
    lines = ["## Possible reasons", ""]
    for reason in reasons:
        changes = ", ".join(f"`{name}={value}`" for name, value in reason["changes"].items())
        said = f"- {_upper(reason['says'])}"
        if "conditions" in reason:
            missed = [one for one in reason["conditions"] if one["outcome"] != "holds"]
            told = "; ".join(
                f"{one['says']} {_number(one)}" for one in missed or reason["conditions"]
            )
            other = reason.get("processor", own)  # records of earlier versions do not state it
            where = "" if other == own else f", on {other}"
            lines.append(
                f"{said} ({changes}{where}): **{reason['verdict']}**"
                + ("; conditions that do not hold" if missed else "")
                + (f": {told}." if told else ".")
            )
        elif changes:
            why = f", failed: {reason['failed']}" if "failed" in reason else _costs(reason)
            lines.append(f"{said} ({changes}): not tested{why}.")
        else:
            lines.append(f"{said}: not tested{_costs(reason)}.")
    return [*lines, ""]


def _costs(reason: Mapping[str, Any]) -> str:
    cost = reason.get("cost")
    return f" because of its cost ({cost})" if cost else ""


def _waiting(gate: Gate) -> str:
    lines = [
        f"# {gate.number}. {gate.title}", "", f"**{NOT_RUN.capitalize()}.** "
        f"Published by {gate.source}.", "", "## Setting", "", f"{gate.setting}.", "",
        "## Command", "", "```console", f"$ {command(gate.number)}", "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def index(records: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the index of all gates, from the available records."""
    revised = [gate.number for gate in GATES if gate.revised]
    found = Counter(_verdict(records, gate) for gate in GATES)
    told = ", ".join(f"{found[each]} {each}" for each in (*VERDICTS, NOT_RUN) if found[each])
    return "\n".join(
        [
            "# Known results, reproduced or not",
            "",
            "Twelve published results, tested with bounds of our own, each at a size that "
            "runs on a CPU. A gate states its setting and its rule beforehand, in code; "
            f"{len(revised)} rules were changed after models had been seen "
            f"({', '.join(map(str, revised))}), as their pages say. How an interval that contains "
            "the bound is judged was changed for all gates at the same time, which changed no "
            "outcome of the others. The rule is applied to intervals over trained models, and "
            "failures are reported as failures. `behemoth study gates --pages docs/gates` writes "
            "these pages. The column worlds counts (world, initialisation) pairs, each with one or "
            "more models.",
            "",
            f"Of {len(GATES)}: {told}.",
            "",
            *table_of(records),
            "",
            "To repeat all gates or one of them (a stopped run resumes):",
            "",
            "```console",
            "$ behemoth study gates --out gates",
            "$ behemoth study gates --gate 7 --out gates",
            "$ behemoth study gates --out gates --dry-run",
            "```",
            "",
        ]
    )


def table_of(records: Mapping[int, Mapping[str, Any]], folder: str = "") -> list[str]:
    """Return the table of all gates, whose pages are in a folder, as lines."""
    lines = ["| gate | claim | verdict | worlds |", "|---|---|---|---|"]
    for gate in GATES:
        models = len(records[gate.number]["rows"]) if gate.number in records else ""
        file = f"{folder}{page_name(gate.number, gate.name)}.md"
        verdict = _verdict(records, gate)
        lines.append(f"| {gate.number} | [{gate.title}]({file}) | {verdict} | {models} |")
    return lines


def _verdict(records: Mapping[int, Mapping[str, Any]], gate: Gate) -> str:
    return records[gate.number]["verdict"] if gate.number in records else NOT_RUN


def drawn(picture: Picture) -> str:
    """Draw the figure of a gate as SVG."""
    frame = picture.frame
    table = means(picture).with_columns((pl.col("missing") > 0).alias("some"))
    colours = label_colours(table["series"].unique(maintain_order=True).to_list())
    if picture.apart:
        panels = [
            _panel(
                picture,
                table.filter(series=series),
                frame.filter(series=series),
                alt.value(colour),
                {"title": series, "scale": _scale(picture.apart[series])},
            )
            for series, colour in colours.items()
        ]
        chart: Any = alt.vconcat(*panels, spacing=24)
    else:
        # Opaque symbols: by default the legend would have the opacity of the small points.
        legend = alt.Legend(
            title=None, orient="bottom", columns=2, labelLimit=400, symbolOpacity=1,
            symbolType="circle", symbolSize=80, symbolStrokeWidth=0,
        )  # fmt: skip
        colour = alt.Color(
            "series:N",
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            legend=legend if len(colours) > 1 else None,
        )
        y = {"title": picture.y, "scale": _scale(picture.within)}
        chart = _panel(picture, table, frame, colour, y)
    return svg({**chart.to_dict(), "config": config()})


def _panel(
    picture: Picture,
    table: pl.DataFrame,
    frame: pl.DataFrame,
    colour: Any,
    axis: dict[str, Any],
) -> Any:
    """Return means with intervals over the single models; `axis` has y's title and scale."""

    def at(field: str) -> Any:
        return alt.Y(f"{field}:Q", **axis)

    x = _x(picture)
    base: Any = alt.Chart(rows(table)).encode(x=x, color=colour)
    every = (
        alt.Chart(rows(frame.drop_nulls("y")))
        .mark_point(size=14, opacity=0.45)
        .encode(x=x, y=at("y"), color=colour)
    )
    layers = [every, base.mark_rule().encode(y=at("low"), y2="high:Q")]
    if not picture.names:
        layers.append(base.mark_line().encode(y=at("mean")))
    shape = alt.Shape(
        "some:N", scale=alt.Scale(domain=[False, True], range=["circle", "triangle-up"]),
        legend=None,
    )  # fmt: skip
    layers.append(base.mark_point(opacity=1).encode(y=at("mean"), shape=shape))
    height = 160 if picture.apart else 280
    return alt.layer(*layers).properties(width=_WIDTH, height=height)


def _scale(within: Range) -> alt.Scale:
    """Return an axis over the values that are possible, or from 0 if their end is unknown."""
    if all(map(math.isfinite, within)):
        return alt.Scale(domain=list(within))
    return alt.Scale(zero=True)


def _x(picture: Picture) -> Any:
    if picture.names:
        places = list(range(len(picture.names)))
        # Wrapped to the width of their positions, because long names would overlap.
        letters = _WIDTH // len(places) // _LETTER
        lines = [textwrap.wrap(name, letters, break_on_hyphens=False) for name in picture.names]
        named = " : ".join(
            f"datum.value == {place} ? {json.dumps(name)}" for place, name in enumerate(lines)
        )
        return alt.X(
            "x:Q",
            title=picture.x,
            scale=alt.Scale(domain=[-0.5, len(places) - 0.5]),
            axis=alt.Axis(values=places, labelOverlap=False, labelExpr=f"{named} : ''"),
        )
    scale = alt.Scale(type="log", base=2) if picture.log else alt.Scale(zero=False)
    axis = alt.Axis(format=",~g") if picture.log else alt.Axis()
    return alt.X("x:Q", title=picture.x, scale=scale, axis=axis)

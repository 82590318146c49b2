"""The report as one HTML file: it loads no other files, and draws charts from inline specs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from itertools import zip_longest
from typing import Any

import polars as pl

from behemoth.evaluate.damage import BOUND
from behemoth.study.analysis.cases import Case
from behemoth.study.analysis.headline import Headline

from .cases import case_section
from .contents import Heading, contents_part
from .render import embedded, javascript
from .style import Absent, Figure

__all__ = [
    "About", "Page", "Table", "absent_part", "closing", "counts_part", "document", "explained_part",
    "failures_part", "figure_part", "opening", "places_part", "render", "table_part",
]  # fmt: skip

COMMAND = "behemoth study run study.toml --out STUDY\nbehemoth study report STUDY"
"""Commands that repeat any study, from its file."""


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    columns : sequence of str
        Headings; columns whose heading starts with ``#`` are numbers and right-aligned, and those
        whose heading starts with ``~`` may wrap.
    rows : sequence of sequence of str
        Cells; lines after the first, such as an interval, are shown below and smaller.
    marked : frozenset of int
        Positions of highlighted rows.
    proviso : str
        Sentence above it, on what its rows alone would hide.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    proviso: str = ""


@dataclass(frozen=True)
class About:
    """What every page says of its study.

    Attributes
    ----------
    name, question : str
    made : str
        Date and time of the report.
    state : str
        Missing and failed trials, and axes of the grid over which tables pool; empty without any.
    run : Table
        What was run.
    study : str
        The study's TOML.
    """

    name: str
    question: str
    made: str
    state: str
    run: Table
    study: str


@dataclass(frozen=True)
class Page:
    """Contents of a report.

    Attributes
    ----------
    about : About
    headline : Headline
    stated : str
        The primary contrast, in words.
    counts : sequence of (str, str)
        Names and values of the main counts of the study.
    methods : Table, optional
        Comparison of the methods; None before the first trial.
    places : mapping of str to str
        Where methods edit, by label; see `behemoth.report.places.places_of`.
    left_out : str
        Sentence on methods omitted from the figures; empty if they show all.
    figures : sequence of Figure or Absent
    cases : sequence of Case
        Single edits, shown after the figures.
    sections : sequence of (title, text, Table or None)
        Sections after the cases.
    models : Table
    """

    about: About
    headline: Headline
    stated: str
    counts: Sequence[tuple[str, str]]
    methods: Table | None
    places: Mapping[str, str]
    left_out: str
    figures: Sequence[Figure | Absent]
    cases: Sequence[Case]
    sections: Sequence[tuple[str, str, Table | None]]
    models: Table


def render(page: Page) -> str:
    """Return the complete HTML file."""
    drawn = [figure for figure in page.figures if isinstance(figure, Figure)]
    absent = [figure for figure in page.figures if isinstance(figure, Absent)]
    parts: list[str | Heading] = [
        *opening(page.about, "study"),
        f'<div class="headline" data-verdict="{escape(page.headline.verdict)}">'
        f"<strong>{escape(page.headline.title)}</strong><p>{escape(page.headline.text)}</p>"
        f"{_details(page.headline)}{_compared(drawn)}"
        f'<p class="stated">{escape(page.stated)}</p></div>',
        counts_part(page.counts),
        *_methods(page.methods, page.places),
        Heading("Results", "results"),
        *([f"<p>{escape(page.left_out)}</p>"] if page.left_out else []),
        *(figure_part(figure, place + 1) for place, figure in enumerate(drawn)),
    ]
    if absent:
        items = "".join(
            f"<li><b>{escape(figure.title)}</b> {escape(figure.why)}</li>" for figure in absent
        )
        parts.append(f"<p>Figures without data:</p><ul class='absent'>{items}</ul>")
    parts += case_section(page.cases)
    for title, text, table in page.sections:
        parts.append(Heading(title, title.lower().replace(" ", "-")))
        if text:
            parts.append(f"<p>{escape(text)}</p>")
        if table is not None:
            parts.append(table_part(table, title))
    parts += closing(page.about, table_part(page.models, "Models"))
    return document(f"{page.about.name}: a Behemoth study", parts, drawn)


def opening(about: About, kind: str) -> list[str]:
    """Return the top of a page: its kind, name, question and state."""
    return [
        f'<p class="eyebrow">Behemoth {kind} · {escape(about.made)}</p>',
        f"<h1>{escape(about.name)}</h1>",
        f'<p class="question">{escape(about.question)}</p>',
        *([f'<p class="state" role="status">{escape(about.state)}</p>'] if about.state else []),
    ]


def counts_part(counts: Sequence[tuple[str, str]]) -> str:
    """Return the main counts of a study as HTML."""
    each = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in counts)
    return f'<dl class="figures">{"".join(each)}</dl>'


def explained_part(first: str, more: str) -> str:
    """Return how to read a table as HTML: what everyone needs, and a closed part with the rest."""
    return (
        f'<p>{escape(first)}</p><details class="more"><summary>How to read this table</summary>'
        f"<p>{escape(more)}</p></details>"
    )


def places_part(places: Mapping[str, str]) -> list[str]:
    """Return where methods edit, as a closed part; empty if none edits at a place.

    Parameters
    ----------
    places : mapping of str to str
        Token and layers by label, and the published ones on the next line; see
        `behemoth.report.places.places_of`.
    """
    if not places:
        return []
    table = Table(("~method", "~edits at"), list(places.items()))
    name = "Where methods edit"
    body = table_part(table, name)
    return [f'<details class="more"><summary>{name}</summary>{body}</details>']


def absent_part(missing: pl.DataFrame) -> list[str]:
    """Return a paragraph on measures that no trial has: measure, missing (what each needs)."""
    if missing.is_empty():
        return []
    rows = missing.iter_rows(named=True)
    items = "; ".join(f"{row['measure']} needs {row['missing']}" for row in rows)
    return [f'<p class="absent">Measured in no trial: {escape(items)}.</p>']


def failures_part(failures: Sequence[tuple[str, str, str]]) -> list[str | Heading]:
    """Return the section of failed trials, with the label, model and reason of each."""
    if not failures:
        return []
    table = Table(("method", "model", "~reason"), failures)
    return [Heading("Failures", "failures"), table_part(table, "Failures")]


def closing(about: About, *tables: str) -> list[str | Heading]:
    """Return the end of a page: what was run, and how to repeat it."""
    return [
        Heading("What was run", "run"),
        table_part(about.run, "What was run"),
        *tables,
        Heading("How to reproduce it", "reproduce"),
        f"<pre>{escape(COMMAND)}</pre>",
        "<p>The study, <code>study.toml</code>:</p>",
        f"<pre>{escape(about.study)}</pre>",
    ]


def document(title: str, parts: Sequence[str | Heading], drawn: Sequence[Figure]) -> str:
    """Return a complete HTML file from its parts and the charts of its figures.

    The table of contents is before the first heading.
    """
    files = resources.files("behemoth.report")
    style = (files / "page.css").read_text(encoding="utf-8")
    # A bundle may contain "</script" inside a string, which would end the element.
    script = javascript((files / "page.js").read_text(encoding="utf-8")).replace(
        "</script", "<\\/script"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without an icon in the page, a browser would request one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n"
        f"</head>\n<body>\n<main>\n{_joined(parts, drawn)}\n</main>\n{_specs(drawn)}"
        f'<script type="module">\n{script}\n</script>\n</body>\n</html>\n'
    )


_METHODS = (
    "Over all exposures. Success: free generation gives the new object (unlearning: no longer the "
    "old one); a failed edit has no success. Bystanders are facts that must not change, also those "
    "that had the new object before, which suites leave out; only those that the model knew before "
    f"can be lost, and a method is marked if more than {BOUND:.0%} of them are. ED50: the number "
    "of steps that half of the edits need (> means right-censored)."
)
_METHODS_MORE = (
    "Failed trials, such as those in which every edit failed, are counted below their method and "
    "included in no number. Norm of the change: the median "
    "Frobenius norm. Seconds are per edit, as made in the stacks of its trial. Operations are "
    "those of matrix products and attention, counted on one edit (or batch) of the first world and "
    "initialisation, made alone with cached covariances; memory is the peak of its tensors besides "
    "the model. "
    "Ranges below a number are 95% intervals of the cluster jackknife; there is none with one "
    "cluster, or if leaving out a cluster changes nothing."
)


def _details(headline: Headline) -> str:
    return f'<p class="details">{escape(headline.details)}</p>' if headline.details else ""


def _compared(drawn: Sequence[Figure]) -> str:
    """Return the finding of the comparison of ranks and placements at equal cost, as HTML."""
    found = next((figure.finding for figure in drawn if figure.name == "matched"), "")
    return f'<p class="details">{escape(found)}</p>' if found else ""


def _methods(table: Table | None, places: Mapping[str, str]) -> list[str | Heading]:
    if table is None:
        return []
    name = "Comparison of the methods"
    return [
        Heading(name, "methods"),
        explained_part(_METHODS, _METHODS_MORE),
        *([f"<p>{escape(table.proviso)}</p>"] if table.proviso else []),
        table_part(table, name, whole=True),
        *places_part(places),
    ]


def _joined(parts: Sequence[str | Heading], drawn: Sequence[Figure]) -> str:
    headings = [part for part in parts if isinstance(part, Heading)]
    lines = [part.html() if isinstance(part, Heading) else part for part in parts]
    if headings:
        lines.insert(parts.index(headings[0]), contents_part(headings, drawn))
    return "\n".join(lines)


_LONG = 1800  # pixels of a figure's panels, one below the other, above which they scroll


def figure_part(figure: Figure | Absent, number: int | None = None) -> str:
    """Return a figure with its number, whose charts `document` adds; or why there is none."""
    if isinstance(figure, Absent):
        return f"<p>{escape(figure.title)}: {escape(figure.why)}</p>"
    panels = "".join(
        f'<div class="panel">{f"<h4>{escape(panel.title)}</h4>" if panel.title else ""}'
        f'<div class="chart" data-spec="spec-{figure.name}-{place}" '
        f'style="min-height: {panel.height}px"></div></div>'
        for place, panel in enumerate(figure.panels)
    )
    count = len(figure.panels)
    single = " one" if count == 1 else ""
    columns = count if count < 3 else 2 if count == 4 else 3
    # With a panel, or a row of one, for each of many methods a figure would be screens long.
    long = sum(panel.height for panel in figure.panels) > _LONG
    bounded = f' tabindex="0" role="region" aria-label="{escape(figure.title)}"' if long else ""
    many = " many" if long else ""
    return (
        f'<figure id="{figure.name}" data-figure="{figure.name}">'
        f"<h3>{number}. {escape(figure.title)}</h3>{_finding(figure)}{_legend(figure)}"
        f'<div class="panels{single}{many}" style="--columns: {columns}"{bounded}>{panels}</div>'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _finding(figure: Figure) -> str:
    return f'<p class="finding">{escape(figure.finding)}</p>' if figure.finding else ""


def _legend(figure: Figure) -> str:
    if not figure.legend:
        return ""
    title = f"<span>{escape(figure.legend_title)}</span>" if figure.legend_title else ""
    shapes = {name: f' class="{shape}"' for name, shape in figure.shapes.items()}
    entries = "".join(
        f'<button type="button" aria-pressed="false" data-entry="{escape(name)}">'
        f'<i{shapes.get(name, "")} style="background: {colour}"></i>{escape(name)}</button>'
        for name, colour in figure.legend
    )
    marks = f"<span>{escape(figure.marks)}</span>" if figure.marks else ""
    return f'<div class="legend">{title}{entries}{marks}</div>'


def _specs(figures: Sequence[Figure]) -> str:
    found: list[str] = []
    for figure in figures:
        for place, spec in enumerate(embedded(figure)):
            found.append(
                f'<script type="application/json" id="spec-{figure.name}-{place}">'
                f"{_json(spec)}</script>\n"
            )
    return "".join(found)


def _json(spec: dict[str, Any]) -> str:
    return json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def _cell(cell: str) -> str:
    first, *below = escape(cell).split("\n")
    return first + "".join(f"<small>{line}</small>" for line in below)


_FEW = 5  # columns up to which a table is only as wide as its text


def _linked(html: str, link: str) -> str:
    return f'<a href="{escape(link)}">{html}</a>' if link else html


def table_part(table: Table, name: str, links: Sequence[str] = (), *, whole: bool = False) -> str:
    """Return a table as HTML.

    Parameters
    ----------
    table : Table
    name : str
        Accessible name, for screen readers.
    links : sequence of str, optional
        Link targets of the first cell of each row.
    whole : bool
        Whether to show all rows, for the main table of a page; otherwise long tables scroll.
    """
    shown = " ".join(("table", *(["whole"] if whole else []),
                      *(["few"] if len(table.columns) <= _FEW else [])))  # fmt: skip
    kinds = ["number" if head[:1] == "#" else "wrap" if head[:1] == "~" else ""
             for head in table.columns]  # fmt: skip
    heads = "".join(
        f'<th scope="col" class="{kind}">{escape(head.lstrip("#~"))}</th>'
        for head, kind in zip(table.columns, kinds, strict=True)
    )
    body = "".join(
        ('<tr class="primary">' if place in table.marked else "<tr>")
        + "".join(
            f'<td class="{kind}">{_linked(_cell(cell), link)}</td>'
            for cell, kind, link in zip_longest(row, kinds, links[place : place + 1], fillvalue="")
        )
        + "</tr>"
        for place, row in enumerate(table.rows)
    )
    return (
        f'<div class="{shown}" tabindex="0" role="region" aria-label="{escape(name)}">'
        "<table><thead>"
        f"<tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )

"""`behemoth inspect`: describe a directory or a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.text import bytes_text, plural_text

from . import parse
from .console import console, values_table, write_json
from .options import Option, command
from .show_found import show_found
from .show_run import show_run
from .show_suite import show_measures

if TYPE_CHECKING:
    from behemoth.corpus.inspection import Inspection
    from behemoth.inspection import SuiteDescription

_CLASSES = 12  # rows of the ledger shown; a Zipf corpus has thousands of classes


@command(Option("samples", "N", "Number of documents of a corpus to decode.", parse.count, 3))
def inspect(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="A corpus, a run, one of its checkpoints, another model, a plan, an edit, a "
            "suite, a trace, a tuning, an export, a study, a zoo, a tokenizer or what import "
            "wrote; or a file: a spec or a study (.toml), or a frame (.parquet).",
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Describe a directory or a file.

    For a corpus: its spec and counts, decoded sample sentences, and how often facts are written;
    for a run: its settings, progress and recall; for a suite: the table that `evaluate` printed;
    for other directories: their counts, values and progress; for a file: what it contains.
    """
    from behemoth import inspect as inspected
    from behemoth.corpus.inspection import Inspection
    from behemoth.inspection import SuiteDescription
    from behemoth.train.inspection import RunInspection

    found = inspected(directory, progress=Bars(), **given)
    if json:
        write_json(found if isinstance(found, dict) else asdict(found))
    elif isinstance(found, Inspection):
        _show(found)
    elif isinstance(found, RunInspection):
        show_run(found)
    elif isinstance(found, SuiteDescription):
        _show_suite(directory, found)
    else:
        show_found(directory, found)


def _show_suite(directory: str, found: SuiteDescription) -> None:
    shown = ("measures", "not_taken")  # in the table, with all that belongs to a value
    show_found(directory, {name: value for name, value in found.items() if name not in shown})
    console().print()
    show_measures(found.result)


def _show(report: Inspection) -> None:
    import numpy as np
    from rich.table import Table

    out = console()
    there = f"{report.shards_present} of {report.shards} shards are there"
    state = "complete" if report.complete else there
    out.print(
        f"{report.directory}: a corpus of behemoth {report.behemoth} "
        f"(format {report.format_version}), {state}\n"
    )
    facts = values_table()
    size = report.tokens * np.dtype(report.dtype).itemsize
    facts.add_row("facts", f"{report.facts:,} ({report.entropy_bits:,.0f} bits)")
    facts.add_row("sentences", f"{report.sentences:,} in {report.documents:,} documents")
    if (insert := report.spec["corpus"].get("insert")) is not None:
        most = insert["per_document"]
        words = ", at borders of words" if insert.get("words") else ""
        facts.add_row("inserted", f"{insert['position']}, up to {most:,} in a document{words}")
    facts.add_row("tokens", f"{report.tokens:,} ({report.dtype}, vocabulary {report.vocabulary:,})")
    facts.add_row(
        "bytes", f"{size:,} ({bytes_text(size)}) in {plural_text(report.shards_present, 'shard')}"
    )
    if report.grammar is not None:
        facts.add_row("grammar", f"{report.grammar}, tokenizer {report.tokenizer}")
    if report.names:
        facts.add_row("names", f"of {', '.join(report.names)}")
    facts.add_row("seed", str(report.spec["world"]["seed"]))
    facts.add_row("spec", report.spec_hash[:16])
    out.print(facts)
    out.print("\nSamples")
    for text in report.samples:
        out.print(f"  {text}")
    ledger = Table(box=None, padding=(0, 2, 0, 0), title="\nLedger", title_justify="left")
    for name in ("exposures", "facts", "sentences"):
        ledger.add_column(name, justify="right")
    rows = report.exposure_classes
    for row in rows[:_CLASSES]:
        sentences = row["exposures"] * row["facts"]
        ledger.add_row(f"{row['exposures']:,}", f"{row['facts']:,}", f"{sentences:,}")
    if len(rows) > _CLASSES:
        rest = rows[_CLASSES:]
        levels = [row["exposures"] for row in rest]
        ledger.add_row(
            f"{min(levels):,} to {max(levels):,}",
            f"{sum(row['facts'] for row in rest):,}",
            f"{sum(row['facts'] * row['exposures'] for row in rest):,}",
        )
    out.print(ledger)

"""`behemoth grammar`: check a grammar, and show the grammars that come with the package."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.errors import renamed
from behemoth.support.extras import needed
from behemoth.support.text import listed_text

from .console import console, values_table, warn, write_json
from .options import Option, command, group, offering
from .spec_options import grammars

if TYPE_CHECKING:
    from behemoth.corpus.grammar_check import GrammarCheck

app = group("Check grammars of text, and show those of the package.")


@app.command("check")
@command(
    Option(
        "tokenizer",
        "DIR",
        "Also compile it with this tokenizer.json, and compare 200 documents token by token.",
    )
)
def check(
    grammar: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="A grammar file (TOML), or a name.",
            autocompletion=offering(grammars),
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Check a grammar, and show its parts and sample text.

    An error is one line with file, line and key, and exit code 2. An ambiguity is a warning, and
    so is a relation of which no sentence can be a probe.
    """
    with needed():
        from behemoth.corpus.grammar_check import check_grammar

        found = check_grammar(grammar, **given)
    write_json(asdict(found)) if json else _show(found)


@app.command("show")
@command()
def show(
    given: dict[str, Any],
    json: bool,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="A grammar; all names are listed without one.",
            autocompletion=offering(grammars),
        ),
    ] = None,
) -> None:
    """Show a grammar as a start for a new one, or list grammars."""
    import tomllib

    from behemoth.corpus.grammar import GRAMMARS, Grammar

    if name is not None:
        with renamed(grammar="NAME|FILE"):
            found = Grammar.named(name)
        if json:
            write_json({"name": found.name, "toml": found.source})
        else:
            typer.echo(found.source, nl=not found.source.endswith("\n"))
        return
    from behemoth._gen import GRAMMARS as SOURCES

    tables = [tomllib.loads(source) for _, source in SOURCES]
    rows = [
        {
            "name": known,
            "language": table["language"],
            "relations": len(table["relations"]),
            "about": table["about"],
        }
        for known, table in zip(GRAMMARS, tables, strict=True)
    ]
    if json:
        write_json({"grammars": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in rows[0]:
        table.add_column(column, no_wrap=column != "about")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console().print(table)


def _show(found: GrammarCheck) -> None:
    from rich.table import Table

    out = console()
    out.print(f"{found.name} ({found.language}): {found.about}")
    classes = ", ".join(f"{one['name']} {one['weight']:g}" for one in found.classes)
    size = values_table()
    size.add_row("names", f"{found.names:,}")
    size.add_row("classes", classes)
    size.add_row("forms", f"{found.forms:,}")
    if found.vocabulary is not None:
        compared = f"{found.documents:,} documents have its tokens"
        size.add_row("tokenizer", f"{found.vocabulary:,} ids; {compared}")
    out.print(size)
    out.print()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("relation", "kind"):
        table.add_column(column, no_wrap=True)
    for column in ("objects", "statements\n+ held out", "questions\n+ held out", "of links"):
        table.add_column(column, no_wrap=True, justify="right")
    for row in found.relations:
        kind = row["kind"] if row["of"] is None else f"{row['kind']}: {row['of']}"
        link = row["link_statements"]
        table.add_row(
            row["key"],
            kind,
            f"{row['objects']:,}",
            _counts(row["statements"], row["held_out_statements"]),
            _counts(row["questions"], row["held_out_questions"]),
            "" if link is None else str(link),
        )
    out.print(table)
    for row in found.joint:
        out.print(f"{row['statements']} joint statements of {', '.join(row['relations'])}")
    if found.not_probed:
        out.print(
            f"no held-out statement of {listed_text(found.not_probed)} can be a probe: the object "
            "stands before the subject"
        )
    for text in found.samples:
        out.print(f"\n{text}")
    for line in found.ambiguities:
        warn(line)
    if found.never_probed:
        warn(
            f"no sentence of {listed_text(found.never_probed)} can be a probe, since each names "
            "the object before the subject: recall is not measured, and plans refuse these facts"
        )


def _counts(written: int, held_out: int) -> str:
    return f"{written} + {held_out}" if held_out else str(written)

"""`behemoth import`: make a world from a table of facts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.errors import ArgumentError
from behemoth.support.text import plural_text

from . import parse
from .console import console, keep_interrupts, word, write_json
from .options import Option, command, force


def _correlated(name: str, text: str) -> tuple[int, int]:
    first, second = parse.pair(text)
    if second is None:
        raise ArgumentError(name, text, "two relations, such as 0:1")
    return parse.count(name, first), parse.count(name, second)


OPTIONS = (
    Option("out", "SPEC_DIR", "Directory to write.", required="a directory to write"),
    Option("seed", "N", "Seed of the spec.", parse.count, 0),
    Option("correlated", "R:R",
           "A relation, and a later one that is known to be correlated with it "
           "[as in args.json].", _correlated),
    Option("names", None,
           "Call things by the names in the table, each of which is one token, or by number "
           "(S30, O0:3); names are then only stored beside the spec.",
           default=True, names="--names/--numbers"),
    force("the spec that is there", "SPEC_DIR"),
)  # fmt: skip


@command(*OPTIONS)
def import_(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A Parquet or CSV file with subject, relation, object and optionally minority, "
            "nested (a CSV in this order may lack the header), or the relationship_graph.txt of "
            "the reference code.",
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Make a world from a table of facts.

    Writes a spec directory for `gen --spec`. The true numbers of things are read from the args.json
    of the reference code (arXiv 2601.23153), beside its graph or in metadata/.
    """
    from behemoth.corpus import import_ as read

    keep_interrupts()
    made = read(table, **given)
    if json:
        write_json(asdict(made))
        return
    names = f"; names of {', '.join(made.names)}" if made.names else ""
    if names and not made.named:
        names += " in names/, and things are called by number"
    pair = made.correlated
    tied = "" if pair is None else f"; relation {pair[1]} is correlated with {pair[0]}"
    console().print(
        f"{made.out}: {plural_text(made.subjects, 'subject')}, "
        f"{plural_text(made.relations, 'relation')}, {plural_text(made.facts, 'fact')}{tied}{names}"
    )
    console(stderr=True).print(f"next: behemoth gen --spec {word(made.out)} --out CORPUS")

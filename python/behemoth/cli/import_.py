"""`behemoth import`: make a world from a table of facts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from . import parse
from .console import console, write_json
from .options import Option, command, force

OPTIONS = (
    Option("out", "SPEC_DIR", "Directory to write.", required="a directory to write"),
    Option("seed", "N", "Seed of the spec.", parse.count, 0),
    force("a spec that is there", "SPEC_DIR"),
)


@command(*OPTIONS)
def import_(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="The reference's relationship_graph.txt, Parquet or CSV."
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Make a world from a table of facts.

    Writes a spec directory, which gen --spec takes.
    """
    from behemoth.corpus import import_ as read

    made = read(table, **given)
    if json:
        write_json(asdict(made))
        return
    names = f"; names of {', '.join(made.names)} in names/" if made.names else ""
    console().print(
        f"{made.out}: {made.subjects:,} subjects, {made.relations:,} relations, "
        f"{made.facts:,} facts{names}"
    )
    console(stderr=True).print(f"next: behemoth gen --spec {made.out} --out CORPUS")

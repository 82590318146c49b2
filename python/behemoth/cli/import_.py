"""`behemoth import`: make a world from a table of facts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError

from .console import console, write_json


def import_(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="The reference's relationship_graph.txt, Parquet or CSV."
        ),
    ],
    out: Annotated[str | None, typer.Option(metavar="SPEC_DIR", help="Directory to write.")] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of the spec.")] = "0",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a spec that is there; it stays in SPEC_DIR/.replaced-1 "
            "until the new one is whole.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Make a world from a table of facts.

    Writes a spec directory, which gen --spec takes.
    """
    from behemoth.corpus.tables import import_ as read

    if out is None:
        raise ArgumentError("--out", "nothing", "a directory to write")
    made = read(table, out, seed=parse.count("--seed", seed), force=force)
    if json:
        write_json(asdict(made))
        return
    names = f"; names of {', '.join(made.names)} in names/" if made.names else ""
    console().print(
        f"{made.out}: {made.subjects:,} subjects, {made.relations:,} relations, "
        f"{made.facts:,} facts{names}"
    )
    console(stderr=True).print(f"next: behemoth gen --spec {made.out} --out CORPUS")

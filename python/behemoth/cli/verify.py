"""`behemoth verify`: recompute every hash and every count of a corpus directory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars

from . import parse
from .console import console, write_json
from .options import Option, command


@command(Option("threads", "N", "0 for all cores.", parse.count, 0))
def verify(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A corpus directory.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Recompute every hash and every count of a corpus.

    Names bad and missing files; exit code 1 if there are any.
    """
    from behemoth.corpus import verify as check

    report = check(directory, progress=Bars(), **given)
    if json:
        write_json(asdict(report))
    messages = console(stderr=True)
    for row in report.bad:
        messages.print(f"behemoth: error: {row['file']}: {row['reason']}", markup=False)
    for name in report.missing:
        messages.print(f"behemoth: error: {name}: is missing", markup=False)
    if not report.ok:
        raise typer.Exit(1)
    if not json:
        console().print(
            f"{report.directory}: {report.shards:,} shards, {report.tokens:,} tokens, "
            "all as they should be"
        )

"""`behemoth verify`: recompute every hash and every count of a corpus directory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from behemoth.cli import parse

from .console import console, write_json


def verify(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A corpus directory.")],
    threads: Annotated[str, typer.Option(metavar="N", help="0 for all cores.")] = "0",
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Recompute every hash and every count of a corpus.

    Names bad and missing files; exit code 1 if there are any.
    """
    from behemoth.corpus.inspection import verify as check

    from .progress import Bars

    workers = parse.count("--threads", threads)
    with Bars() as bars:
        report = check(directory, threads=workers, progress=bars.bar("verifying", "bytes"))
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

"""`behemoth facts`: write facts as a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError

from .console import bytes_text, console, keep_interrupts, write_json


def facts(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR_OR_SPEC", help="A corpus directory, a spec directory or a spec TOML."
        ),
    ],
    out: Annotated[str | None, typer.Option(metavar="F.parquet", help="File to write.")] = None,
    range: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(metavar="a:b", help="Facts a to b, b excluded [all].")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Write facts as a Parquet table.

    Columns: fact, link, subject, relation, object, minority_object.
    """
    from behemoth.corpus.tables import facts as write

    from .progress import Bars

    if out is None:
        raise ArgumentError("--out", "nothing", "a Parquet file to write")
    start, stop = (0, None) if range is None else parse.span("--range", range)
    keep_interrupts()
    with Bars() as bars:
        callback = bars.bar("writing", "facts")
        written = write(source, out, start=start, stop=stop, progress=callback)
    if json:
        write_json(asdict(written))
    else:
        console().print(f"{written.out}: {written.facts:,} facts, {bytes_text(written.bytes)}")

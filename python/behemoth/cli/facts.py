"""`behemoth facts`: write facts as a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.errors import renamed
from behemoth.support.text import bytes_text

from . import parse
from .console import console, keep_interrupts, write_json
from .options import Option, command, flag

OPTIONS = (
    Option("out", "F.parquet", "File to write.", required="a Parquet file to write"),
    Option("range", "a:b", "Facts a to b, b excluded [all].", parse.span),
    flag("force", "Replace F.parquet if it holds anything but facts of the same corpus."),
)


@command(*OPTIONS)
def facts(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR_OR_SPEC", help="A corpus directory, a spec directory or a spec TOML."
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Write facts as a Parquet table.

    Columns: fact, link, subject, relation, object, minority_object, exposures; and, if things
    have names of their own, subject_name, relation_name, object_name, minority_object_name.
    """
    from behemoth.corpus import facts as write

    start, stop = given.get("range", (0, None))
    force = given.get("force", False)
    keep_interrupts()
    with renamed(**{"start, stop": "--range"}):
        written = write(source, given["out"], start=start, stop=stop, force=force, progress=Bars())
    if json:
        write_json(asdict(written))
    else:
        console().print(f"{written.out}: {written.facts:,} facts, {bytes_text(written.bytes)}")

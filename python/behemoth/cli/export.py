"""`behemoth export`: a corpus in the format of another trainer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from behemoth.cli import parse
from behemoth.export.formats import FORMATS
from behemoth.support.errors import ArgumentError

from .console import Stopped, bytes_text, console, write_json


def export(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A finished corpus directory.")],
    to: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR2", help="Directory to write; one that is unfinished is resumed."),
    ] = None,
    block_length: Annotated[
        str | None,
        typer.Option(metavar="N", help="Tokens of a block, for megatron and litdata [2048]."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace another export; it stays in DIR2/.replaced-1 until the new one is whole.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Write a corpus in the format of another trainer.

    Where that format's tokens are the shards' own bytes (megatron, olmo, datatrove), files are
    hard links to them. The tokenizer is written beside them.
    """
    from behemoth.export import export as write

    from .progress import Bars

    if to is None:
        raise ArgumentError("--to", "nothing", "a format (`behemoth export --help` lists them)")
    if out is None:
        raise ArgumentError("--out", "nothing", "a directory to write")
    length = None if block_length is None else parse.count("--block-length", block_length, 1)
    try:
        with Bars() as bars:
            done = write(
                directory,
                out,
                to,
                block_length=length,
                force=force,
                progress=bars.bar("exporting", "tokens"),
            )
    except KeyboardInterrupt:
        raise Stopped(f"run the same command again to go on with {out}") from None
    if json:
        write_json(asdict(done))
    else:
        console().print(
            f"{done.out}: {done.files:,} files, {done.tokens:,} tokens, {bytes_text(done.bytes)}, "
            f"{done.seconds:.1f} s"
        )

"""`behemoth pull`: fetch a directory from a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.extras import needed
from behemoth.support.text import bytes_text, plural_text

from .console import console, keep_interrupts, resumable, write_json
from .options import command


@command()
def pull(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="What `push` or `gen --out URL` has written.")
    ],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A directory to write.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Fetch a directory from a store: s3://, gs://, hf:// or file://.

    Running it again fetches what is missing or damaged; a damaged record (manifest.json, ...) has
    to be removed first, and all other files be as in the store. Every file is checked against the
    size and the hash with which it was sent.
    """
    keep_interrupts()
    with needed(), resumable(directory):
        from behemoth.store import pull as bring

        done = bring(url, directory, progress=Bars(), **given)
    if json:
        write_json(asdict(done))
    else:
        console().print(
            f"{done.directory}: {plural_text(done.files, 'file')}, {bytes_text(done.bytes)}; "
            f"fetched {done.fetched:,}, {bytes_text(done.bytes_fetched)}, {done.seconds:.1f} s",
        )

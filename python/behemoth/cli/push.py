"""`behemoth push`: send a directory to a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.extras import needed
from behemoth.support.text import bytes_text, plural_text

from .console import console, keep_interrupts, resumable, write_json
from .options import command, flag

OPTIONS = (
    flag("force", "Replace another directory at URL; if it is the same one, send all files again."),
)


@command(*OPTIONS)
def push(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A corpus, a run, a plan, an edit, a study, an export or a zoo."
        ),
    ],
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="A target, such as s3://BUCKET/PATH (docs/stores.md)."),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Send a directory to a store: s3://, gs://, hf:// or file://.

    Running it again sends what is missing or has changed since. The record that makes the
    directory valid is sent last.
    """
    keep_interrupts()
    with needed(), resumable(url):
        from behemoth.store import push as send

        done = send(directory, url, progress=Bars(), **given)
    if json:
        write_json(asdict(done))
    else:
        removed = f"; removed {done.removed:,}" if done.removed else ""
        kept = f"; kept {plural_text(done.kept, 'unit')} of the store" if done.kept else ""
        console().print(
            f"{done.url}: {plural_text(done.files, 'file')}, {bytes_text(done.bytes)}; "
            f"sent {done.sent:,}, {bytes_text(done.bytes_sent)}{removed}{kept}, "
            f"{done.seconds:.1f} s",
        )

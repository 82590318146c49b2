"""`behemoth verify`: recompute every hash of a directory, and every count of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.digests import Checked
from behemoth.support.extras import needed
from behemoth.support.text import bytes_text, plural_text

from . import parse
from .console import console, write_json
from .options import Option, command


@command(Option("threads", "N", "Threads that read a corpus, 0 for all cores.", parse.count, 0))
def verify(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="A corpus, a run, a plan, an edit, a suite, a trace, a tuning, a study, gates, an "
            "export or a zoo.",
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Recompute the hashes of a directory, and a corpus's tokens.

    Every count of a corpus is recomputed too. Reports bad and missing files; the exit code is 1 if
    there are any. Files that earlier versions wrote without hashes are reported as not hashed, and
    those in a zoo that its list does not name as not checked.
    """
    with needed():
        from behemoth.corpus.inspection import Verification
        from behemoth.verification import verify as check

        found = check(directory, progress=Bars(), **given)
    if isinstance(found, Verification):
        what = f"{plural_text(found.shards, 'shard')}, {found.tokens:,} tokens"
    else:
        what = f"{plural_text(found.files, 'file')}, {bytes_text(found.bytes)}"
    if json:
        write_json(found.to_dict() if isinstance(found, Checked) else asdict(found))
    _complain(found.bad, found.missing)
    unhashed: Sequence[str] = getattr(found, "unhashed", ())
    for name in unhashed:
        console(stderr=True).print(f"behemoth: {name}: not hashed: written by an earlier version")
    extra: Sequence[str] = getattr(found, "extra", ())
    for name in extra:
        console(stderr=True).print(f"behemoth: {name}: not checked: the list does not name it")
    if not found.ok:
        raise typer.Exit(1)
    if not json:
        rest = ", the rest not hashed" if unhashed else ""
        if extra:
            rest = f"; {plural_text(len(extra), 'file')} beside them"
        console().print(f"{found.directory}: {what}, all intact{rest}")


def _complain(bad: Sequence[dict[str, Any]], missing: Sequence[str]) -> None:
    messages = console(stderr=True)
    for row in bad:
        messages.print(f"behemoth: error: {row['file']}: {row['reason']}")
    for name in missing:
        messages.print(f"behemoth: error: {name}: is missing")

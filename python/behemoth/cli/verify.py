"""`behemoth verify`: recompute every hash and every count of a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.text import bytes_text

from . import parse
from .console import console, write_json
from .options import Option, command


@command(Option("threads", "N", "0 for all cores, of a corpus.", parse.count, 0))
def verify(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A corpus, an export or a zoo.")],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Recompute every hash and every count of a corpus, and every hash of an export or a zoo.

    Names bad and missing files; exit code 1 if there are any.
    """
    from behemoth.export.inspection import is_export, verify_export
    from behemoth.zoo.verify import is_zoo, verify_zoo

    if is_zoo(directory):
        found = verify_zoo(directory, progress=Bars())
        what = f"{found.files:,} files, {bytes_text(found.bytes)}"
    elif is_export(directory):
        found = verify_export(directory, progress=Bars())
        what = f"{found.files:,} files, {bytes_text(found.bytes)}"
    else:
        from behemoth.corpus import verify as check

        found = check(directory, progress=Bars(), **given)
        what = f"{found.shards:,} shards, {found.tokens:,} tokens"
    if json:
        write_json(asdict(found))
    _complain(found.bad, found.missing)
    if not found.ok:
        raise typer.Exit(1)
    if not json:
        console().print(f"{found.directory}: {what}, all as they should be")


def _complain(bad: Sequence[dict[str, Any]], missing: Sequence[str]) -> None:
    messages = console(stderr=True)
    for row in bad:
        messages.print(f"behemoth: error: {row['file']}: {row['reason']}", markup=False)
    for name in missing:
        messages.print(f"behemoth: error: {name}: is missing", markup=False)

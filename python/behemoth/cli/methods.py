"""`behemoth methods`: list editing and unlearning methods, or check that one keeps its promises."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from behemoth.support.bars import Bars
from behemoth.support.extras import needed

from .console import console, write_columns, write_json


def methods(
    check: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Check that this method keeps the promises that every method makes to its "
            "callers.",
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Report as one JSON object on stdout."),
    ] = False,
) -> None:
    """List the editing and unlearning methods: what each changes, and the paper it is from.

    Methods of other packages (entry points `behemoth.methods`) come last. With --check a small
    model is trained, and the method is tried on it: the exit code is 1 if a promise is broken.
    """
    if check is not None:
        _check(check, json)
        return
    with needed():
        from behemoth.edit.protocol import changes_of
        from behemoth.edit.registry import method_names, method_type

        rows: list[dict[str, str]] = []
        for name in method_names():
            try:
                kind = method_type(name)
                info, changes = kind.info, changes_of(kind)
            except (ImportError, AttributeError) as error:
                # A broken method of another package must not prevent the listing of the others.
                if getattr(error, "name", None) == "torch":
                    raise
                console(stderr=True).print(f"method {name} cannot be loaded: {error}")
                continue
            rows.append(
                {
                    "name": name,
                    "family": info.family,
                    "source": info.source,
                    "changes": changes,
                }
            )
    if json:
        write_json({"methods": rows})
        return
    columns = ("name", "family", "changes", "source")
    write_columns([columns, *([row[column] for column in columns] for row in rows)])


def _check(name: str, json: bool) -> None:
    with needed():
        from behemoth.edit.contract import check_method

        found = check_method(name, progress=Bars())
    if json:
        write_json({"method": name, "promises": [asdict(promise) for promise in found]})
    else:
        rows = [("kept", "promise")]
        rows += [("no" if promise.broken else "yes", promise.name) for promise in found]
        write_columns(rows)
    messages = console(stderr=True)
    broken = [promise for promise in found if promise.broken]
    for promise in broken:
        messages.print(f"broken: {promise.name}: {promise.broken}")
    if broken:
        raise typer.Exit(1)

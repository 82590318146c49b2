"""`behemoth methods`: list editing and unlearning methods, describe one, or check its promises."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.extras import needed
from behemoth.support.text import plural_text

from .console import console, write_columns, write_json
from .options import Option, command, field_help, offering

if TYPE_CHECKING:
    from behemoth.edit.settings import Tuning


def known_methods() -> list[str]:
    """Return the names of the methods, for shell completion."""
    from behemoth.edit.registry import method_names

    return method_names()


@command(
    Option("check", "NAME", "Check that this method keeps the promises that every method makes to "
           "its callers.", offered=known_methods),
)  # fmt: skip
def methods(
    given: dict[str, Any],
    json: bool,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A method; all are listed without one.",
            autocompletion=offering(known_methods),
        ),
    ] = None,
) -> None:
    """List the editing and unlearning methods.

    The list says what each changes, and the paper it is from. With a NAME, show one method and its
    settings (`edit --set`) with their defaults and, where the method was tuned, the values that
    `--set tuned:tokens` and `--set tuned:text` take. The score of these is the highest of their
    trials, on the plan that chose them, and tends to be lower on other plans; that by default is of
    one trial. Methods of other packages (entry points `behemoth.methods`) come last in the list.
    With --check two small models of different families are trained, and the method is tried on
    them: the exit code is 1 if a promise is broken.
    """
    check = given.get("check")
    if check is not None and name is not None:
        raise ArgumentError("NAME", name, "no name with --check, which has its own")
    if name is not None:
        _show(name, json)
        return
    if check is not None:
        _check(check, json)
        return
    with needed():
        from behemoth.edit.protocol import changes_of
        from behemoth.edit.registry import ignored_methods, loadable_methods, method_names

        messages = console(stderr=True)
        rows: list[dict[str, str]] = [
            {
                "name": name,
                "family": info.family,
                "source": info.source,
                "changes": changes_of(kind),
            }
            for name, kind, info in loadable_methods(
                method_names(), lambda _, line: messages.print(line)
            )
        ]
        for name, package in ignored_methods():
            messages.print(f"method {name} of {package} is ignored: the name is taken")
    if json:
        write_json({"methods": rows})
        return
    columns = ("name", "family", "changes", "source")
    write_columns([columns, *([row[column] for column in columns] for row in rows)])


def _show(name: str, json: bool) -> None:
    with needed(), renamed(method="NAME"):
        from behemoth.edit.catalogue import setting_text
        from behemoth.edit.protocol import changes_of, settings_of
        from behemoth.edit.registry import get_method
        from behemoth.edit.settings import tuned_settings
        from behemoth.edit.tuned import PREFIX, tuned_worlds
        from behemoth.plan.request import KINDS

        method = get_method(name)
        kind, info, settings = type(method), method.info, settings_of(method)
        tuned = {world: tuned_settings(name, world) for world in tuned_worlds(name)}
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):  # a setting is described by the class that has it
        if dataclasses.is_dataclass(base):
            meanings |= field_help(base)
    kinds = [known for known in KINDS if known in info.kinds]
    if json:
        rows: list[dict[str, Any]] = [
            {
                "name": key,
                "default": value,
                "tuned": {
                    world: one.settings[key] for world, one in tuned.items() if key in one.settings
                },
                "meaning": meanings.get(key),
            }
            for key, value in settings.items()
        ]
        write_json(
            {
                "name": name,
                "family": info.family,
                "source": info.source,
                "changes": changes_of(kind),
                "kinds": kinds,
                "stacks": info.stacks,
                "settings": rows,
                "tuned": {world: one.tuning.to_dict() for world, one in tuned.items()},
            }
        )
        return
    write_columns(
        [
            ("method", name),
            ("family", info.family),
            ("changes", changes_of(kind)),
            ("kinds", ", ".join(kinds)),
            ("stacks", "yes" if info.stacks else "no"),
            ("source", info.source),
            *((f"{PREFIX}{world}", _chosen_text(one.tuning)) for world, one in tuned.items()),
        ]
    )
    typer.echo()
    table = [("setting", "default", *(f"{PREFIX}{world}" for world in tuned), "meaning")]
    for key, value in settings.items():
        chosen = [
            setting_text(one.settings[key]) if key in one.settings else "" for one in tuned.values()
        ]
        table.append((key, setting_text(value), *chosen, meanings.get(key, "")))
    write_columns(table)


def _chosen_text(tuning: Tuning) -> str:
    """Return how tuned settings of the package were chosen, in one line."""
    return (
        f"{tuning.objective} score {tuning.score:.3f} there, {tuning.default_score:.3f} by "
        f"default, best of {tuning.trials} trials"
    )


def _check(name: str, json: bool) -> None:
    with needed():
        from behemoth.edit.contract import PROMISES, check_method

        with renamed(method="--check"):
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
    if left := len(PROMISES) - len(found):
        messages.print(f"not checked: {plural_text(left, 'promise')}, which build on that one")
    if broken:
        raise typer.Exit(1)

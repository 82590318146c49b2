"""The options of a command: a table of rows, each with its key, what reads it, and its help.

The key is the name that the function behind the command gives it, and what is not said on the
command line is left to that function's default. Rows that stand for the fields of a config are
made from it: its types say how they are read, its documentation is their help.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from behemoth.support.errors import ArgumentError, renamed

from . import parse

__all__ = [
    "Option", "command", "field_help", "field_options", "flag", "force", "offering",
]  # fmt: skip

Reader = Callable[[str, Any], Any]

_JSON = "Report as one JSON object on stdout."


@dataclass(frozen=True)
class Option:
    """An option.

    Parameters
    ----------
    key : str
        What it is called in the table that a command is given; ``--key`` by default.
    metavar : str, optional
        What stands for its value in the help; flags have none.
    help : str
    read : callable, optional
        Makes the value of (name of the option, text); else the text is the value.
    default : object
        Shown in brackets: what the function behind the command takes when nothing is said.
    names : str, optional
        How it is written, where that is another word or a pair, such as ``--set``.
    required : str, optional
        What is allowed, where it must be given.
    many : bool
        May be given several times; the value is made of all the texts.
    offered : callable, optional
        Gives the words that the shell offers for a value; else those of a `metavar` such as
        ``local|ray``.
    """

    key: str
    metavar: str | None
    help: str
    read: Reader | None = None
    default: object = None
    names: str | None = None
    required: str | None = None
    many: bool = False
    offered: Callable[[], Iterable[str]] | None = None

    @property
    def name(self) -> str:
        """How it is written."""
        return self.names or "--" + self.key.replace("_", "-")

    @property
    def _shown(self) -> str:
        if self.default is True:  # of a pair
            return f" [{self.name.partition('/')[0].lstrip('-')}]"
        return "" if self.default is None or self.default is False else f" [{self.default}]"

    def _words(self) -> list[str]:
        words = (self.metavar or "").split("|")
        return words if len(words) > 1 and not re.search(r"[A-Z.]", self.metavar or "") else []

    def value(self, given: Any) -> Any:
        """Make the value of what was given.

        Raises
        ------
        ArgumentError
        """
        return given if self.read is None or self.metavar is None else self.read(self.name, given)

    def parameter(self) -> inspect.Parameter:
        """The parameter that Typer makes the option of; None of what is not given."""
        kind: Any = bool if self.metavar is None else list[str] if self.many else str
        option = typer.Option(
            self.name,
            metavar=self.metavar,
            help=self.help + self._shown,
            autocompletion=offering(self.offered or self._words),
        )
        return inspect.Parameter(
            self.key,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind | None, option],
        )


def offering(words: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Make what a shell asks for the words that begin as the one that is being written."""

    def offer(incomplete: str) -> list[str]:
        return [word for word in words() if word.startswith(incomplete)]

    return offer


def flag(key: str, help: str, names: str | None = None) -> Option:  # noqa: A002
    """Make an option without a value."""
    return Option(key, None, help, names=names)


def force(what: str, place: str) -> Option:
    """Make the option that replaces what is there."""
    return flag(
        "force",
        f"Replace {what}, even if the new one is the same; the old one stays in "
        f"{place}/.replaced-1 until the new one is complete.",
    )


def field_options(
    config: type,
    *,
    without: Sequence[str] = (),
    defaults: bool = True,
    **changes: Mapping[str, Any],
) -> tuple[Option, ...]:
    """Make the options of the fields of a dataclass with a numpydoc docstring.

    Parameters
    ----------
    config : type
    without : sequence of str
        Fields that have none.
    defaults : bool
        Show the defaults; not where they depend on other fields.
    **changes
        By field: other values for `Option`, such as ``metavar``.
    """
    names = {
        field.name: changes.get(field.name, {}).get("names", "--" + field.name.replace("_", "-"))
        for field in fields(config)
        if field.name not in without
    }
    said, types = field_help(config, names), get_type_hints(config)
    rows: list[Option] = []
    for field in fields(config):
        if field.name in without:
            continue
        metavar, read = _read_as(types[field.name])
        values: dict[str, Any] = {"metavar": metavar, "read": read}
        if defaults:
            values["default"] = field.default
        if metavar is None and not (defaults and field.default is False):
            word = field.name.replace("_", "-")
            values["names"] = f"--{word}/--no-{word}"
        rows.append(
            Option(field.name, help=said[field.name], **{**values, **changes.get(field.name, {})})
        )
    return tuple(rows)


def command(*options: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command with options.

    It keeps its arguments, and is given ``given``, the values of the options that were said by
    their keys, and ``json``.
    """
    rows = {option.key: option for option in options}

    def make(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters.values()
        arguments = [item for item in own if item.name not in ("given", "json")]
        # The library refuses an argument by its own name, and here it has that of the help.
        shown = {
            item.name: said.metavar for item in arguments for said in get_args(item.annotation)[1:]
        }

        def run(**values: Any) -> None:
            said = {key: values.pop(key) for key in rows}
            for key, row in rows.items():
                if row.required is not None and said[key] is None:
                    raise ArgumentError(row.name, "nothing", row.required)
            given = {
                key: rows[key].value(value)
                for key, value in said.items()
                if value not in (None, [])
            }
            # A function may take out of its table what it has read.
            with _as_written(rows, said, dict(given)), renamed(**shown):
                function(**values, given=given)

        parameters = [*arguments, *(row.parameter() for row in options), _json()]
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__annotations__ = {}
        vars(run)["__signature__"] = inspect.Signature(
            [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]
        )
        return run

    return make


@contextmanager
def _as_written(
    rows: Mapping[str, Option], said: Mapping[str, Any], given: Mapping[str, Any]
) -> Generator[None]:
    """Show a refused option and its value as they are written on the command line.

    What lies deeper than one key, such as ``train.steps``, is of a file and keeps its path.

    Raises
    ------
    ArgumentError
    """
    try:
        yield
    except ArgumentError as error:
        key, *deeper = error.path
        row, got = rows.get(str(key)), error.got
        if row is None or deeper or not (key in given or got in (None, "nothing")):
            raise
        on, _, off = row.name.partition("/")
        if isinstance(got, bool):
            got = on if got else off
        elif key in given and type(got) is type(given[row.key]) and got == given[row.key]:
            written = said[row.key]
            got = " ".join(written) if row.many else written
        raise type(error)(on, got, error.allowed, error.nearest) from None


def _json() -> inspect.Parameter:
    return inspect.Parameter(
        "json",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--json", help=_JSON)],
    )


def field_help(config: type, shown: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each field.

    Where it names another field in backticks, `shown` has the option that the help names instead.
    """
    text, shown = inspect.getdoc(config) or "", shown or {}

    def option(found: re.Match[str]) -> str:
        return shown.get(found[1], found[1]).partition("/")[0]

    return {
        name: " ".join(re.sub(r"(?<!`)`(\w+)`(?!`)", option, body).replace("`", "").split())
        for name, body in re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", text, re.MULTILINE)
    }


def _read_as(kind: Any) -> tuple[str | None, Reader | None]:
    """How values of a type are shown in the help, and what reads them."""
    if get_origin(kind) is Literal:
        allowed: tuple[str, ...] = get_args(kind)
        return "|".join(allowed), partial(_choice, allowed)
    if kind is bool:
        return None, None
    if kind is int:
        return "N", parse.count
    if kind is float:
        return "F", parse.number
    if kind is str:
        return "NAME", None
    if get_origin(kind) is tuple:
        return "N[,N...]", parse.levels
    if get_origin(kind) is Mapping:
        return "FILE", parse.json_object
    [inner] = [part for part in get_args(kind) if part is not type(None)]
    return _read_as(inner)


def _choice(allowed: tuple[str, ...], name: str, text: str) -> str:
    return parse.choice(name, text, allowed)

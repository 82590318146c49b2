"""The options of a command: a table of rows, each with its key, its reader, and its help.

The key is the name of the parameter of the function that the command calls, whose default applies
if the option is absent. Rows for the fields of a config are made from it: its types determine how
they are read, and its documentation is their help.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from behemoth.support.errors import ArgumentError, renamed

from . import parse

__all__ = [
    "Option", "command", "field_help", "field_options", "flag", "force", "group", "offering",
]  # fmt: skip

Reader = Callable[[str, Any], Any]

_JSON = "Report as one JSON object on stdout."


@dataclass(frozen=True)
class Option:
    """An option.

    Parameters
    ----------
    key : str
        Key of its value in the mapping passed to the command; it is written ``--key`` by default.
    metavar : str, optional
        Placeholder for the value in the help; None for flags.
    help : str
    read : callable, optional
        Called with the name of the option and the text, returns the value; by default the text.
    default : object
        Default of the function that the command calls, shown in brackets.
    names : str, optional
        How it is written, if not ``--key``, such as ``--set`` or a pair of names.
    also : str, optional
        Another word for the same option.
    required : str, optional
        Allowed values, for the error message if a required option is absent.
    unless : tuple of str
        Other options, such as ``--dry-run`` or ``--suite recall``, with any of which a required
        option may be absent.
    many : bool
        Whether it may be repeated; `read` then gets the list of all texts.
    once : bool
        Whether it is refused if it is repeated: its values look as if they added up. Of others the
        last one counts, as usual.
    offered : callable, optional
        Returns the words that shell completion offers for a value; by default those of a
        `metavar` such as ``local|ray``.
    offered_beside : callable, optional
        As `offered`, called with the texts of the other options so far, by their keys.
    """

    key: str
    metavar: str | None
    help: str
    read: Reader | None = None
    default: object = None
    names: str | None = None
    also: str | None = None
    required: str | None = None
    unless: tuple[str, ...] = ()
    many: bool = False
    once: bool = False
    offered: Callable[[], Iterable[str]] | None = None
    offered_beside: Callable[[Mapping[str, Any]], Iterable[str]] | None = None

    @property
    def name(self) -> str:
        """How it is written."""
        return self.names or "--" + self.key.replace("_", "-")

    @property
    def _shown(self) -> str:
        if self.required is not None:
            # Not Typer's own mark: it would refuse before the command can say what is allowed.
            unless = f" unless {' or '.join(self.unless)}" if self.unless else ""
            return f" [required{unless}]"
        if isinstance(self.default, bool):  # which of a pair of names
            on, _, off = self.name.partition("/")
            word = (on if self.default else off).lstrip("-")
            return f" [{word}]" if word else ""
        return "" if self.default is None else f" [{self.default}]"

    def missing(self, said: Mapping[str, Any]) -> bool:
        """Return whether a required option is not among those given, by their keys."""
        if said[self.key] is not None:
            return False
        pairs = [other.removeprefix("--").split() for other in self.unless]
        found = [(said[key.replace("-", "_")], value) for key, *value in pairs]
        return not any(
            given in value if value else given not in (None, False) for given, value in found
        )

    def _words(self) -> list[str]:
        words = (self.metavar or "").split("|")
        return words if len(words) > 1 and not re.search(r"[A-Z.]", self.metavar or "") else []

    def only(self, said: Any) -> Any:
        """Return the text of an option that is given `once`, or None if it is absent.

        Others stay as they are.

        Raises
        ------
        ArgumentError
            If it is given several times.
        """
        if not self.once:
            return said
        texts = list[str](said or ())
        if len(texts) > 1:
            raise ArgumentError(self.name, " and ".join(texts), "one value: it is given once")
        return texts[0] if texts else None

    def value(self, given: Any) -> Any:
        """Return the value of a text, a list of texts, or a flag.

        Raises
        ------
        ArgumentError
        """
        return given if self.read is None or self.metavar is None else self.read(self.name, given)

    def parameter(self) -> inspect.Parameter:
        """Return the parameter from which Typer makes the option; its value is None if absent."""
        kind: Any = bool if self.metavar is None else list[str] if self.many or self.once else str
        option = typer.Option(
            *([self.name] if self.also is None else [self.name, self.also]),
            metavar=self.metavar,
            help=self.help + self._shown,
            autocompletion=offering(
                self.offered or self._words,
                several=(self.metavar or "").endswith(",..."),
                beside=self.offered_beside,
            ),
        )
        return inspect.Parameter(
            self.key,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind | None, option],
        )


def offering(
    words: Callable[[], Iterable[str]],
    *,
    several: bool = False,
    beside: Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
) -> Callable[[typer.Context, str], list[str]]:
    """Return a function for shell completion: the words that start with an incomplete one.

    With `several`, the value is a list with commas, whose last word is completed. With `beside`,
    the words depend on what is given beside it, and `words` is not called.
    """

    def offer(context: typer.Context, incomplete: str) -> list[str]:
        before = incomplete[: incomplete.rfind(",") + 1] if several else ""
        start = incomplete[len(before) :]
        found = words() if beside is None else beside(context.params)
        return [before + word for word in found if word.startswith(start)]

    return offer


def flag(key: str, help: str) -> Option:  # noqa: A002
    """Return an option without a value."""
    return Option(key, None, help)


def force(what: str, place: str, *, stores: bool = False) -> Option:
    """Return the option that replaces an existing directory; with `stores`, also at a URL."""
    kept = (
        f"the old one stays in {place}/.replaced-1 until the new one is complete"
        + ", and at a URL it is not kept" * stores
    )
    return flag("force", f"Replace {what}, even if the new one is the same; {kept}.")


def field_options(
    config: type,
    *,
    without: Sequence[str] = (),
    dependent: Sequence[str] = (),
    **changes: Mapping[str, Any],
) -> tuple[Option, ...]:
    """Return options for the fields of a dataclass with a numpydoc docstring.

    Parameters
    ----------
    config : type
    without : sequence of str
        Fields without an option.
    dependent : sequence of str
        Fields whose defaults are not shown, as they depend on other fields.
    **changes
        By field: other arguments of `Option`, such as ``metavar``.
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
        if field.name not in dependent:
            values["default"] = field.default
        if metavar is None and field.default is not False:
            word = field.name.replace("_", "-")
            values["names"] = f"--{word}/--no-{word}"
        rows.append(
            Option(field.name, help=said[field.name], **{**values, **changes.get(field.name, {})})
        )
    return tuple(rows)


def group(text: str) -> typer.Typer:
    """Return a group of commands, which shows its help if it is called without one."""
    app = typer.Typer(help=text, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback(invoke_without_command=True)
    def usage(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return app


def command(*options: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a function a command with options.

    The function keeps its arguments, and is called with ``given``, the values of the options on the
    command line by their keys, and ``json``.
    """
    rows = {option.key: option for option in options}

    def make(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters.values()
        arguments = [item for item in own if item.name not in ("given", "json")]
        # Errors of the library use its names of arguments; here they get the names in the help.
        shown = {
            item.name: said.metavar for item in arguments for said in get_args(item.annotation)[1:]
        }

        def run(**values: Any) -> None:
            said = {key: row.only(values.pop(key)) for key, row in rows.items()}
            for row in rows.values():
                if row.required is not None and row.missing(said):
                    raise ArgumentError(row.name, "nothing", row.required)
            given = {
                key: rows[key].value(value)
                for key, value in said.items()
                if value not in (None, [])
            }
            # A function may remove from its mapping what it has read.
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

    A path of several keys, such as ``train.steps``, refers to a file and stays as it is.

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
    """Return the description of each field in the docstring of a dataclass.

    Fields named in backticks are replaced by their options in `shown`.
    """
    text, shown = inspect.getdoc(config) or "", shown or {}

    def option(found: re.Match[str]) -> str:
        return shown.get(found[1], found[1]).partition("/")[0]

    return {
        name: " ".join(re.sub(r"(?<!`)`(\w+)`(?!`)", option, body).replace("`", "").split())
        for name, body in re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", text, re.MULTILINE)
    }


def _read_as(kind: Any) -> tuple[str | None, Reader | None]:
    """Return the placeholder in the help for values of a type, and their reader."""
    if get_origin(kind) is Literal:
        allowed: tuple[str, ...] = get_args(kind)
        return "|".join(allowed), parse.one_of(*allowed)
    if kind is bool:
        return None, None
    if kind is int:
        return "N", parse.at_least(None)
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

"""The `behemoth` command: its subcommands, and the handling of their errors.

Exit codes: 0 done, 1 a failed run, 2 a bad argument, 130 stopped by Ctrl-C, 143 by SIGTERM, 138 by
SIGUSR1 (128 plus the signal's number). Errors are one line on stderr; ``--debug`` anywhere on the
line also shows the traceback, and ``--no-verify`` anywhere skips the check of hashes.
Slow packages are imported only when a command runs.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from behemoth.cli import (
    ask,
    compare,
    edit,
    evaluate,
    export,
    facts,
    gen,
    grammar,
    import_,
    inspect,
    methods,
    models,
    plan,
    pull,
    push,
    study,
    tokenizer,
    trace,
    train,
    tune,
    verify,
    zoo,
)
from behemoth.support.errors import ArgumentError, nearest
from behemoth.support.signals import Stops, stop_behind

from .console import Stopped, logging_lines

# Plain help in place of Rich's boxes: it halves the time of `behemoth --help`.
app = typer.Typer(
    name="behemoth",
    help="Write worlds of facts as token corpora of any size, train models on them, edit what they "
    "know, and measure the effects.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("gen")(gen.gen)
app.command("inspect")(inspect.inspect)
app.command("verify")(verify.verify)
app.command("facts")(facts.facts)
app.command("import")(import_.import_)
app.command("export")(export.export)
app.command("train")(train.train)
app.command("models")(models.models)
app.command("plan")(plan.plan)
app.command("edit")(edit.edit)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("ask")(ask.ask)
app.command("trace")(trace.trace)
app.command("methods")(methods.methods)
app.command("push")(push.push)
app.command("pull")(pull.pull)
app.add_typer(grammar.app, name="grammar")
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(study.app, name="study")
app.add_typer(zoo.app, name="zoo")

# For work that starts over; resumable work reports itself through `console.resumable`.
_STOPPED = "stopped: run the same command again, which starts over"
# What errors of functions advise, and the options that do the same.
_FLAGS = {"force=True": "--force", "`force`": "--force", "distinct=False": "--any-objects"}
# Options with another word: a refusal names the one that was written.
_ALSO = {option.name: option.also for option in (edit.CORPUS,)}


def _show_version(wanted: bool) -> None:
    if wanted:
        from behemoth._gen import version

        typer.echo(version())
        raise typer.Exit


@app.callback(invoke_without_command=True)
def behemoth(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (anywhere on the line).")
    ] = False,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify", help="Read files without checking their hashes (anywhere on the line)."
        ),
    ] = False,
) -> None:
    """Write worlds, train models on them, edit what they know, and measure what follows."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@cache
def click_command() -> Any:
    """Return the Click command of all subcommands. Typer takes a twentieth of a second for it."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None, stops: Stops | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments; by default those of the process.
    stops : Stops, optional
        What listens to the signals of the process since before this module was imported.

    Returns
    -------
    int
        The exit code.
    """
    stops = stops or Stops()
    if arguments is None:
        _speak_utf8()
        stops.listen()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    trusting = "--no-verify" in words
    if arguments is None and not debug:
        _quiet_asyncio()
    words = [word for word in words if word not in ("--debug", "--no-verify")]
    try:
        with _reading(trusting), logging_lines():
            result = click_command().main(words, prog_name="behemoth", standalone_mode=False)
        if result == 130:  # returned by newer versions of Typer on Ctrl-C
            raise KeyboardInterrupt
        stops.close(finished=not result)
    except KeyboardInterrupt as stop:
        return _stopped(_STOPPED, stops, stop)
    except Stopped as stop:
        return _stopped(f"stopped: {'; '.join([str(stop), *_notes(stop)])}", stops, stop)
    except Exception as error:
        # Older versions of Typer raise Abort on Ctrl-C.
        if stop_behind(error) is not None or type(error).__name__ == "Abort":
            return _stopped(_STOPPED, stops, error)
        stops.close(finished=False)
        if _is_told_elsewhere(error):
            return 1
        if debug:
            import traceback

            traceback.print_exc()
        message = "; ".join([_message(error, words), *_notes(error)])
        for advice, flag in _FLAGS.items():
            message = message.replace(advice, flag)
        written = {word.partition("=")[0] for word in words}
        for option, also in _ALSO.items():
            if also in written and option not in written:
                message = message.replace(f"argument '{option}'", f"argument '{also}'")
        return _fail(f"error: {' '.join(message.split())}", _exit_code(error))
    return result if isinstance(result, int) else 0


def _reading(trusting: bool) -> AbstractContextManager[None]:
    if not trusting:
        return nullcontext()
    from behemoth.support.digests import unchecked

    return unchecked()


def _speak_utf8() -> None:
    """Restart in UTF-8 mode if Python only supports ASCII: LC_ALL=C with PYTHONUTF8=0.

    The engine would refuse paths that Python cannot decode, and names in text could not be printed.
    A stream of another encoding (PYTHONIOENCODING, a pipe on Windows) gets escapes for what it does
    not have, since a refusal to print would come after the work.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.environ["PYTHONUTF8"] = "1"  # also for child processes
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def _quiet_asyncio() -> None:
    """Keep asyncio from logging the errors of connections to stores that a stop has closed.

    It logs them, with tracebacks, when Python exits, after the one line that says how to resume.
    Errors of transfers that are not stopped are raised, and reported as any other.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)


def _exit_code(error: Exception) -> int:
    # An ArgumentError is a ValueError; errors of Typer have a method to format the message.
    return 2 if isinstance(error, ValueError) or hasattr(error, "format_message") else 1


def _is_told_elsewhere(error: Exception) -> bool:
    """Return whether the error was raised, and is reported, by another process of the run."""
    from behemoth.support.process import rank
    from behemoth.train.errors import ElsewhereError

    return isinstance(error, ElsewhereError) and rank() > 0


def _message(error: Exception, words: Sequence[str]) -> str:
    """Return the message of an error: the argument, the value got and the values allowed."""
    if hasattr(error, "format_message"):
        return _usage_message(error, words)
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename is not None:
        from behemoth.support.checks import in_the_way

        # The system names the folder that cannot be made, which may be below the file.
        place = Path(os.fsdecode(error.filename))
        for at in (place, *place.parents):
            if (found := in_the_way(at)) is not None:
                return f"{at}: got {found}, allowed: a directory"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        # The engine's "not enough disk for out: ...". A short name may be in any words: o, de, is.
        named = f"for {error.filename}: " in error.strerror
        return error.strerror if named else f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror and _is_of_stdout(error):
        return f"stdout: {error.strerror}"
    # torch appends its own trace to the message.
    return str(error).partition("\nException raised from ")[0] or type(error).__name__


def _is_of_stdout(error: OSError) -> bool:
    """Return whether a result could not be written to stdout, for example to a full disk.

    Such an error has no file name. Results are written by these packages alone, and no files.
    """
    from traceback import walk_tb

    last = [frame for frame, _ in walk_tb(error.__traceback__)][-1:]
    names = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame in last]
    return names in (["click"], ["rich"], ["typer"])


def _notes(error: BaseException) -> list[str]:
    """Return the notes added to an error and to the errors in whose handling it was raised."""
    found: list[str] = []
    at: BaseException | None = error
    while at is not None:
        found += getattr(at, "__notes__", [])
        at = at.__context__
    return list(dict.fromkeys(found))


def _usage_message(error: Any, words: Sequence[str]) -> str:
    # By name: Typer's copies of these classes are private, and older versions use Click's.
    kind = type(error).__name__
    message = str(error.format_message())
    if kind == "NoSuchOption":
        # Without the dashes, which all options have in common.
        names = {name.lstrip("-"): name for name in error.possibilities or ()}
        near = nearest(error.option_name.lstrip("-"), names)
        hint = _hint(names.get(near or "")) or f", allowed: {', '.join(_options(error.ctx))}"
        return f"argument '{error.option_name}': no such option{hint}"
    if message.startswith("Got unexpected extra argument"):
        extra = message.partition("(")[2].partition("(")[2].rstrip(")").partition(" ")[0]
        allowed = ", ".join([*_arguments(error.ctx), "options"])
        return f"argument '{extra}': got an unexpected argument, allowed: {allowed}"
    if kind == "BadOptionUsage" and "requires" in message:
        return f"argument '{error.option_name}': got nothing, allowed: a value"
    if kind == "BadOptionUsage":
        start = f"{error.option_name}="
        value = next((word for word in words if word.startswith(start)), start).removeprefix(start)
        return str(ArgumentError(error.option_name, value, "no value"))
    if kind == "MissingParameter" and error.param is not None:
        name = _bare(error.param.metavar) or error.param.opts[-1]
        said = str(getattr(error.param, "help", None) or "a value").removesuffix(".")
        return f"argument '{name}': got nothing, allowed: {said[:1].lower()}{said[1:]}"
    if message.startswith("No such command"):
        groups = {group.name or "": group.typer_instance for group in app.registered_groups}
        verbs = tuple(verb.name or "" for verb in app.registered_commands) + tuple(groups)
        given = [word for word in words if not word.startswith("-")]
        if given and (group := groups.get(given[0])) is not None:
            verbs = tuple(verb.name or "" for verb in group.registered_commands)
            given = given[1:]
        return str(ArgumentError.unknown("COMMAND", next(iter(given), ""), verbs))
    return message


def _hint(near: str | None) -> str:
    return f" (did you mean {near}?)" if near else ""


def _options(context: Any) -> list[str]:
    """Return the options of a command, each by its longest name."""
    options = [item for item in context.command.get_params(context) if item.opts[-1][:1] == "-"]
    return [max(item.opts, key=len) for item in options]


def _arguments(context: Any) -> list[str]:
    """Return the positional arguments of a command, as named in its help."""
    params = context.command.get_params(context)
    return [str(_bare(item.metavar) or item.name) for item in params if item.opts[-1][:1] != "-"]


def _bare(metavar: str | None) -> str | None:
    """Return a metavar without the brackets that mark it as optional in --help."""
    return metavar and metavar.strip("[]")


def _stopped(message: str, stops: Stops, stop: BaseException) -> int:
    code = _fail(message, stops.exit_code(stop))
    stops.close(finished=False)
    return code


def _fail(message: str, code: int) -> int:
    from behemoth.support.process import rank

    # All processes of a run are stopped together, and only the first reports it.
    if (number := rank()) > 0:
        if message.startswith("stopped"):
            return code
        message = f"process {number}: {message}"
    typer.echo(f"behemoth: {message}", err=True)
    return code

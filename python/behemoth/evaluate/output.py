"""Where an evaluation may write: a directory that is new, empty, or holds an earlier result.

An earlier result is set aside while its successor is written, and moved back if that fails.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType

from behemoth.support.checks import check_directory, check_permission, path_of
from behemoth.support.errors import ArgumentError
from behemoth.support.files import names_in
from behemoth.support.kinds import KINDS, held
from behemoth.support.locks import sole
from behemoth.support.replacement import (
    UNFINISHED,
    Kind,
    finish,
    interrupted,
    is_of_another,
    is_set_aside,
    is_under_way,
    mark_under_way,
    recover,
    succession,
)  # fmt: skip

__all__ = ["all_or_none", "begin", "output_place", "sole_output", "unless_stopped"]

_EMPTY = "a new or empty directory"
# The directories that this context writes alone, each with what ends when it is complete.
_SOLE: ContextVar[Mapping[Path, ExitStack]] = ContextVar("sole", default=MappingProxyType({}))


def output_place(
    out: str | PathLike[str], what: str, record: str, *files: str, force: bool
) -> Path:
    """Return the directory `out` as a path, without making it.

    Parameters
    ----------
    out : path
    what : str
        Name of the result, such as 'a suite'.
    record : str
        The file that is written last.
    files : str
        Names of its other files.
    force : bool
        Whether a result that is there may be replaced.

    Raises
    ------
    ArgumentError
        If the directory contains something else, or a result without `force`. Beside a result
        other files are allowed, except the records of other kinds.
    PermissionError
        If it cannot be written.
    """
    place = path_of("out", out, _EMPTY)
    check_directory("out", place, _EMPTY)
    check_permission(place)
    if not place.is_dir():
        return place
    existing, kind = _names(place), Kind(record, files)
    if record not in existing and interrupted(place) and not is_of_another(place, kind):
        return place  # what a killed writer set aside is moved back, then looked at again
    begun = is_under_way(place, kind)
    others = existing - {record, *files} - ({UNFINISHED} if begun else set())
    if record in existing:
        others &= {*KINDS, UNFINISHED}
    if others:
        other = min(others)
        got = f"{fspath(out)}, which holds {other}" if record in existing else held(place, other)
        raise ArgumentError("out", got, _EMPTY)
    # What a killed writer left, in part or as a whole, is written again.
    if existing and not force and not begun:
        # Files without a record, and not begun as one, are somebody's own.
        found = what if record in existing else min(existing)
        raise ArgumentError("out", f"{fspath(out)}, which holds {found}", "another, or force=True")
    return place


@contextmanager
def sole_output(
    out: str | PathLike[str], what: str, record: str, *files: str, force: bool
) -> Generator[Path]:
    """Yield the directory `out` as `output_place` returns it, where no other process writes.

    A command that adds files to what a function writes takes it around both: within the block, the
    function has it already, and the result counts as unfinished up to its end. What it replaces is
    kept until then.

    Parameters
    ----------
    out, what, record, files, force
        As for `output_place`.

    Raises
    ------
    ArgumentError, PermissionError
        As `output_place` raises them.
    CorpusError
        When another process is writing to the directory.
    """
    place = output_place(out, what, record, *files, force=force)
    key = place.absolute()
    if key in _SOLE.get():
        yield place
        return
    kind = Kind(record, files)
    with sole(place, f"writing to {place}"):
        recover(place, kind)
        output_place(out, what, record, *files, force=force)  # another may just have finished
        with ExitStack() as until_complete:
            token = _SOLE.set({**_SOLE.get(), key: until_complete})
            try:
                yield place
            finally:
                _SOLE.reset(token)
        _finish(place, kind)


@contextmanager
def all_or_none(place: Path, record: str, *files: str) -> Generator[None]:
    """Write the files of a new result: none of them is left if the disk fails or a signal stops it.

    Otherwise the same command would refuse its own directory afterwards. Where the process is
    killed, a file says what was begun, and `output_place` accepts what is left. Files that are
    there are set aside, and moved back where there is no new record.
    """
    kind, outer = Kind(record, files), _SOLE.get().get(place.absolute())
    with unless_stopped(place, record, *files), ExitStack() as own:
        if not is_under_way(place, kind) and kind.own(place):
            until_complete = own if outer is None else outer
            until_complete.enter_context(succession(place, kind, force=True))
        elif UNFINISHED not in names_in(place):
            mark_under_way(place, kind)
        else:  # what a killed writer left is not of this result
            for name in (record, *files):
                (place / name).unlink(missing_ok=True)
        yield
    if outer is None:
        _finish(place, kind)


def begin(place: Path, record: str) -> None:
    """Say in a new or empty directory that a result with this record was begun there.

    The next call for it then accepts what this one leaves, whatever ends it.
    """
    place.mkdir(parents=True, exist_ok=True)
    if not _names(place):
        mark_under_way(place, Kind(record, ()))


@contextmanager
def unless_stopped(place: Path, record: str, *files: str) -> Generator[None]:
    """Remove the files of a new result if the block is not carried out to its end.

    Nothing is removed if one of the files was there before, unless a killed writer left it. What
    else it has begun stays, for the next call.
    """
    kind = Kind(record, files)
    begun = is_under_way(place, kind)
    new = begun or not place.is_dir() or not names_in(place) & {record, *files}
    try:
        yield
    except BaseException:
        if new and place.is_dir():  # a file there was refused
            for name in (record, *files):
                (place / name).unlink(missing_ok=True)
            if begun:  # by a writer that was stopped after its record: what it replaced is back
                recover(place, kind)
            goes_on = begun and names_in(place) != {UNFINISHED}
            if is_under_way(place, kind) and not goes_on:
                (place / UNFINISHED).unlink()
        raise


def _finish(place: Path, kind: Kind) -> None:
    if is_under_way(place, kind):
        finish(place)  # what it replaces, too, if an earlier writer was killed after its record


def _names(place: Path) -> set[str]:
    return {name for name in names_in(place) if not is_set_aside(name)}

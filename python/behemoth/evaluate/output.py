"""Where an evaluation may write: a directory that is new, empty, or holds an earlier result."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path

from behemoth.support.checks import check_directory, check_permission, path_of
from behemoth.support.errors import ArgumentError
from behemoth.support.files import names_in
from behemoth.support.kinds import held

__all__ = ["all_or_none", "output_place"]

_EMPTY = "a new or empty directory"


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
        If the directory contains something else, or a result without `force`.
    PermissionError
        If it cannot be written.
    """
    place = path_of("out", out, _EMPTY)
    check_directory("out", place, _EMPTY)
    check_permission(place)
    if not place.is_dir():
        return place
    existing = names_in(place)
    if others := existing - {record, *files}:
        other = min(others)
        # A result with further files beside it is one all the same.
        got = f"{fspath(out)}, which holds {other}" if record in existing else held(place, other)
        raise ArgumentError("out", got, _EMPTY)
    if existing and not force:
        # Files without a record are of a writer that was killed between them, or somebody's own.
        found = what if record in existing else min(existing)
        raise ArgumentError("out", f"{fspath(out)}, which holds {found}", "another, or force=True")
    return place


@contextmanager
def all_or_none(place: Path, *names: str) -> Generator[None]:
    """Write the files of a new result: where the disk fails, none of them is left.

    Otherwise the same command would refuse its own directory when there is room again. Nothing is
    removed if one of the files was there before.
    """
    new = not names_in(place) & {*names}
    try:
        yield
    except OSError:
        for name in names if new else ():
            (place / name).unlink(missing_ok=True)
        raise

"""The Parquet file that a user names for a result.

It must not replace a file of a directory, nor, unless that is forced, another result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.checks import check_permission, path_of
from behemoth.support.digests import FILES
from behemoth.support.errors import ArgumentError
from behemoth.support.kinds import KINDS as DIRECTORIES
from behemoth.support.toml import read_toml

from .manifest import EXPOSURES_FILE, TABLE_FILE
from .names import KINDS, NAMES_DIRECTORY

__all__ = ["Origin", "check_target"]

_ORIGIN = "behemoth_origin"
"""Key of a frame's origin in the metadata of its file."""

_RECORDS = (*DIRECTORIES, "model.json", "trial.json", "sums.json")
"""Records that may have digests of the files of their directory; ``sums.json`` is that of a corpus
or of an export, whose keys are the names."""

_SPEC = "spec.toml"
_OF_A_SPEC = (TABLE_FILE, EXPOSURES_FILE, *(f"{NAMES_DIRECTORY}/{kind}.parquet" for kind in KINDS))
"""Files that a spec reads; it has one digest of their contents and does not name them."""


@dataclass(frozen=True)
class Origin:
    """What a frame is and what it was computed from; stored in the file.

    A file may be replaced by a frame of the same origin, which holds the same or another part of
    it.

    Parameters
    ----------
    kind : str
        What the frame holds, such as ``an evaluation``.
    hashes : tuple of str
        Hashes of what it was computed from.
    """

    kind: str
    hashes: tuple[str, ...]

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the Parquet file."""
        return {_ORIGIN: f"{self.kind}: {digest(' '.join(self.hashes).encode())}"}

    def check(self, path: Path, of: str, *, force: bool) -> None:
        """Refuse to replace a file that holds something else, unless `force` is set.

        Parameters
        ----------
        path : Path
            The file to write, after `check_target`.
        of : str
            What a frame of this kind and another origin is of, such as ``another corpus``.
        force : bool

        Raises
        ------
        ArgumentError
        """
        if force or path.is_symlink() or not path.is_file():  # a link is replaced, not followed
            return
        import polars as pl

        from behemoth.support.parquet import panics_are_errors

        try:
            with panics_are_errors():
                found = pl.read_parquet_metadata(path).get(_ORIGIN)
        except pl.exceptions.PolarsError:  # a damaged file: nobody knows what it was
            found = None
        if found != self.metadata[_ORIGIN]:
            kind = None if found is None else found.partition(":")[0]
            held = f"{kind} of {of}" if kind == self.kind else kind or "something else"
            got = f"{fspath(path)!r}, which holds {held}"
            raise ArgumentError("out", got, "another file, or force=True")


def check_target(out: str | PathLike[str]) -> Path:
    """Refuse to write a Parquet file over anything but another result.

    Raises
    ------
    ArgumentError
        When `out` is a directory, a file that is not Parquet, a name that does not end in
        ``.parquet``, or a file of a corpus, a run, a plan or another
        directory whose record lists it.
    PermissionError
        When its folder cannot be written.
    """
    path = path_of("out", out)
    if path.is_dir():
        raise ArgumentError(
            "out", f"{fspath(out)!r}, a directory", "a file name that ends in .parquet"
        )
    if path.is_file() and not path.is_symlink():  # a link is replaced, not followed
        with path.open("rb") as file:
            if file.read(4) != b"PAR1":
                allowed = "a new file, or a Parquet file to replace"
                raise ArgumentError("out", f"{fspath(out)!r}, which holds something else", allowed)
    if path.suffix != ".parquet":
        raise ArgumentError("out", fspath(out), "a file name that ends in .parquet")
    # Only the folder: a file that is a link is known by its own name.
    whole = path.parent.resolve() / path.name
    for folder in whole.parents:
        name = whole.relative_to(folder).as_posix()
        for record, names in _listed(folder):
            if name in names:
                got = f"{fspath(out)!r}, which belongs to {folder.name}/{record}"
                allowed = "a file that is no part of a corpus, a run, a plan or the like"
                raise ArgumentError("out", got, allowed)
    check_permission(path)
    return path


def _listed(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each record in a folder, and the names of the files that it lists."""
    for record in _RECORDS:
        file = folder / record
        if not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8")
            values = read_toml(text) if file.suffix == ".toml" else json.loads(text)
        except (OSError, ValueError, RecursionError):
            continue  # somebody else's file of this name, or a damaged one: readers refuse it
        if not isinstance(values, dict):
            continue
        exported = record == "sums.json" and (folder / "export.json").is_file()
        names = values if exported else values.get(FILES)
        if isinstance(names, dict):
            yield record, tuple(names)
    if (folder / _SPEC).is_file():
        yield _SPEC, _OF_A_SPEC

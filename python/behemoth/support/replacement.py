"""What is replaced is not lost before its successor is whole.

A directory of some `Kind` that is replaced gives up its own files, and those alone: they are set
aside in ``.replaced-1`` inside it, where they make the same directory again when they are moved
back. They go when the successor is whole. They come back when it fails, or is killed, before its
record is there; from then on the successor is what is gone on with, and what it replaces stays
where it is until that is done.

A directory that is being written has a file ``.unfinished`` in it: files of our names in one that
has neither that nor a record are somebody else's, and are not written over.

All moves are renames on one file system. While there are several to do the folder is called
``.replacing-1``, by which the next call knows that it has to put them back.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .files import left_by_writers, sweep_folder, write_bytes

__all__ = [
    "RECORDS", "Kind", "clear", "finish", "foreign", "is_under_way", "recover", "replaced",
    "succeeds", "succession",
]  # fmt: skip

RECORDS = (
    "manifest.json", "run.json", "plan.toml", "edit.json", "export.json", "study.json",
    "gates.json", "zoo.json",
)  # fmt: skip
"""The files that make a directory one of ours; two kinds are never in one place."""

_ASIDE, _MOVING, _GOING = ".replaced-", ".replacing-", ".discarded-"
_UNFINISHED = ".unfinished"
_NAME = re.compile(r"(\.replaced-|\.replacing-|\.discarded-)([0-9]+)")


@dataclass(frozen=True)
class Kind:
    """A kind of directory, and what it owns.

    Parameters
    ----------
    record : str
        The file that makes a directory one of this kind.
    files : tuple of str
        Patterns of its other files and folders, from the directory on.
    """

    record: str
    files: tuple[str, ...]

    def own(self, place: Path) -> list[Path]:
        """What is there of it, from `place` on, the record first."""
        found: set[Path] = set()
        for path in (path for name in self.files for path in place.glob(name)):
            parts = path.relative_to(place)
            # A folder may be a link to another disk: the link is what is ours.
            links = [up for up in reversed(parts.parents) if (place / up).is_symlink()]
            found.add(next((up for up in links if up != Path()), parts))
        record = [Path(self.record)] if (place / self.record).is_file() else []
        return [*record, *sorted(found)]


def foreign(place: Path, kind: Kind) -> str | None:
    """Name something in a directory that is none of this kind; none where there is nothing.

    What lies beside the files of a directory of this kind is its owner's to keep there, unless
    it is the record of another kind.
    """
    if not place.is_dir():
        return place.name if place.exists() else None
    if (place / _UNFINISHED).is_dir():
        return _UNFINISHED
    names = sorted(entry.name for entry in place.iterdir())
    other = [name for name in names if name in RECORDS and name != kind.record]
    if other or (place / kind.record).is_file() or is_under_way(place, kind):
        return other[0] if other else None
    # Killed while it said that it had begun: the first that is written, so it may lie here alone.
    left = {room.name for room in left_by_writers(place / _UNFINISHED)}
    return next((name for name in names if not _NAME.fullmatch(name) and name not in left), None)


@contextmanager
def succession(place: Path, kind: Kind, *, force: bool) -> Generator[None]:
    """Write a directory, in the place of what is there by `force`.

    The body is to be entered when all is known to be in order, under a lock, and to end when what
    it writes is whole: then what was set aside is removed.
    """
    recover(place, kind)
    aside = _set_aside(place, kind) if force else None
    try:
        write_bytes(place / _UNFINISHED, f"{kind.record}\n".encode())
        yield
    except BaseException as error:
        begun = (place / kind.record).exists()
        if aside is not None and not begun:
            _restore(place, kind, aside)
        elif not begun and not kind.own(place):
            (place / _UNFINISHED).unlink(missing_ok=True)
        elif (kept := replaced(place)) is not None:
            error.add_note(f"what this replaces is kept in {kept} until this is finished")
        raise
    finish(place)


def clear(place: Path, kind: Kind) -> None:
    """Remove what a directory of this kind owns: there is nothing in it to lose."""
    recover(place, kind)
    _set_aside(place, kind)
    finish(place)


def replaced(place: Path) -> Path | None:
    """Where the directory is that the one in `place` replaces, as long as that is not whole."""
    found = _folders(place, _ASIDE)
    return found[-1][1] if found else None


def succeeds(place: Path, kind: Kind) -> bool:
    """Whether what is there replaces something and is not whole: `force` goes on with it."""
    return is_under_way(place, kind) and replaced(place) is not None


def is_under_way(place: Path, kind: Kind) -> bool:
    """Whether a directory of a kind was begun, and not ended."""
    file = place / _UNFINISHED
    return file.is_file() and file.read_text(encoding="utf-8").strip() == kind.record


def recover(place: Path, kind: Kind) -> None:
    """Finish what a killed call left half done; to be called under a lock."""
    for _, path in _folders(place, _GOING):
        shutil.rmtree(path)
    for _, path in _folders(place, _MOVING):
        _move_back(place, kind, path)
    # A successor that was killed before it had its record never began.
    if not (place / kind.record).exists():
        for _, path in _folders(place, _ASIDE)[-1:]:
            _restore(place, kind, path)


def finish(place: Path) -> None:
    """Remove what was set aside: its successor is whole."""
    (place / _UNFINISHED).unlink(missing_ok=True)
    for folder, inside, _ in os.walk(place):  # follows no links
        inside[:] = [name for name in inside if not name.startswith(".")]
        sweep_folder(Path(folder))
    for number, path in _folders(place, _ASIDE):
        going = place / f"{_GOING}{number}"
        # Parts of one corpus may come to its end at once.
        with suppress(FileNotFoundError):
            path.rename(going)
            shutil.rmtree(going)


def _set_aside(place: Path, kind: Kind) -> Path | None:
    own = kind.own(place) if place.is_dir() else []
    if not own:
        return None
    taken = [int(m[2]) for path in place.iterdir() if (m := _NAME.fullmatch(path.name))]
    number = 1 + max(taken, default=0)
    moving, aside = place / f"{_MOVING}{number}", place / f"{_ASIDE}{number}"
    moving.mkdir()
    try:
        _move(own, place, moving)
    except BaseException:
        _move_back(place, kind, moving)
        raise
    moving.rename(aside)
    return aside


def _restore(place: Path, kind: Kind, aside: Path) -> None:
    moving = aside.with_name(aside.name.replace(_ASIDE, _MOVING))
    aside.rename(moving)
    _move_back(place, kind, moving)
    if (place / kind.record).exists():
        (place / _UNFINISHED).unlink(missing_ok=True)


def _move_back(place: Path, kind: Kind, moving: Path) -> None:
    # What a successor wrote under these names without becoming anything goes.
    for entry in sorted(moving.iterdir(), key=lambda entry: entry.name == kind.record):
        _merge(entry, place / entry.name)
    moving.rmdir()


def _merge(source: Path, target: Path) -> None:
    if _is_folder(source) and _is_folder(target):
        for entry in source.iterdir():
            _merge(entry, target / entry.name)
        source.rmdir()
    else:
        source.replace(target)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _move(paths: Iterable[Path], source: Path, target: Path) -> None:
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).rename(target / path)
        for parent in path.parents[:-1]:
            try:
                (source / parent).rmdir()
            except OSError:  # not empty
                break


def _folders(place: Path, *kinds: str) -> list[tuple[int, Path]]:
    """Folders that are none of the directory's content, by number."""
    found: list[tuple[int, Path]] = []
    for path in place.iterdir() if place.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        # A file or a link of such a name is none of ours: what it leads to is not touched.
        if match is not None and _is_folder(path) and (not kinds or match[1] in kinds):
            found.append((int(match[2]), path))
    return sorted(found)

"""Safe replacement of directories: the old content is kept until its successor is complete.

When a directory of some `Kind` is replaced, only the files that the kind owns are set aside: they
move to ``.replaced-1`` inside it, and moving them back restores the directory. They are removed
when the successor is complete. They are moved back if the successor fails, or is killed, before
its record exists; after that, the successor is the one that is resumed, and the replaced files stay
set aside until it is complete.

A directory that is being written contains a file ``.unfinished``: in a directory with neither that
file nor a record, files with our names belong to somebody else, and are not overwritten.

All moves are renames on one file system. While several renames are pending the folder is called
``.replacing-1``, which tells the next call to move the files back.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .checks import check_directory
from .errors import ArgumentError
from .files import left_by_writers, remove_empty_parents, sweep_folder, write_bytes
from .kinds import KINDS, held

__all__ = [
    "RECORDS",
    "UNFINISHED",
    "Kind",
    "check_kind",
    "clear",
    "finish",
    "foreign",
    "interrupted",
    "is_of_another",
    "is_set_aside",
    "is_under_way",
    "mark_under_way",
    "recover",
    "replaced",
    "succeeds",
    "succession",
]  # fmt: skip

_OTHERS = ("delta.json", "suite.json", "trace.json", "tuning.json", "spec.toml")
RECORDS = tuple(name for name in KINDS if name not in _OTHERS)
"""The record files that identify our directories; no directory is of two kinds.

The others may stand beside one of these, or are not replaced by these functions.
"""

UNFINISHED = ".unfinished"
"""File of a directory that is being written, or whose writer was killed.

It holds the name of the record that the directory will have, or, while it is fetched from a store,
what is fetched.
"""

_ASIDE, _MOVING, _GOING = ".replaced-", ".replacing-", ".discarded-"
_NAME = re.compile(r"(\.replaced-|\.replacing-|\.discarded-)([0-9]+)")


@dataclass(frozen=True)
class Kind:
    """A kind of directory, and the files it owns.

    Parameters
    ----------
    record : str
        Name of the file that identifies a directory of this kind.
    files : tuple of str
        Patterns of its other files and folders, relative to the directory.
    """

    record: str
    files: tuple[str, ...]

    def own(self, place: Path) -> list[Path]:
        """Return the existing paths of this kind, relative to `place`, the record first."""
        found: set[Path] = set()
        for path in (path for name in self.files for path in place.glob(name)):
            parts = path.relative_to(place)
            # A folder may be a link to another disk: then the link itself is owned.
            links = [up for up in reversed(parts.parents) if (place / up).is_symlink()]
            found.add(next((up for up in links if up != Path()), parts))
        record = [Path(self.record)] if (place / self.record).is_file() else []
        return [*record, *sorted(found)]


def foreign(place: Path, kind: Kind) -> str | None:
    """Return the name of something that keeps a directory from being of this kind, or None.

    Further files in a directory that is already of this kind are allowed, except the record of
    another kind.
    """
    if not place.is_dir():
        return place.name if place.exists() else None
    if (place / UNFINISHED).is_dir():
        return UNFINISHED
    names = sorted(entry.name for entry in place.iterdir())
    other = [name for name in names if name in RECORDS and name != kind.record]
    if other or (place / kind.record).is_file() or is_under_way(place, kind):
        return other[0] if other else None
    # Killed while writing `.unfinished`: it is written first, so its folder may be alone here.
    left = {room.name for room in left_by_writers(place / UNFINISHED)}
    return next((name for name in names if not _NAME.fullmatch(name) and name not in left), None)


def check_kind(
    argument: str, place: Path, kind: Kind, allowed: str = "a new or empty directory"
) -> None:
    """Refuse a directory that cannot become one of a kind, as something else is there.

    Raises
    ------
    ArgumentError
    """
    check_directory(argument, place, allowed)
    if (other := foreign(place, kind)) is not None:
        raise ArgumentError(argument, held(place, other), allowed)


@contextmanager
def succession(place: Path, kind: Kind, *, force: bool) -> Generator[None]:
    """Write a directory; with `force`, replace the existing one.

    Enter the block under a lock, after all checks, and leave it when the directory is complete:
    then the files that were set aside are removed.
    """
    recover(place, kind)
    aside = _set_aside(place, kind) if force else None
    try:
        mark_under_way(place, kind)
        yield
    except BaseException as error:
        begun = (place / kind.record).exists()
        if aside is not None and not begun:
            _restore(place, kind, aside)
        elif not begun and not kind.own(place):
            (place / UNFINISHED).unlink(missing_ok=True)
        elif (kept := replaced(place)) is not None:
            error.add_note(f"what this replaces is kept in {kept} until this is finished")
        raise
    finish(place)


def clear(place: Path, kind: Kind) -> None:
    """Remove the files that a directory of this kind owns, without keeping them."""
    recover(place, kind)
    _set_aside(place, kind)
    finish(place)


def replaced(place: Path) -> Path | None:
    """Return the folder with the files that an incomplete directory in `place` replaces."""
    found = _folders(place, _ASIDE)
    return found[-1][1] if found else None


def interrupted(place: Path) -> bool:
    """Return whether files of a directory are set aside, which `recover` may move back."""
    return bool(_folders(place, _ASIDE, _MOVING))


def is_set_aside(name: str) -> bool:
    """Return whether a name is that of a folder of files that were set aside."""
    return _NAME.fullmatch(name) is not None


def succeeds(place: Path, kind: Kind) -> bool:
    """Return whether an incomplete directory replaces another: `force` then resumes it."""
    return is_under_way(place, kind) and replaced(place) is not None


def is_under_way(place: Path, kind: Kind) -> bool:
    """Return whether a directory of this kind was begun and is not complete."""
    file = place / UNFINISHED
    return file.is_file() and file.read_bytes().strip() == kind.record.encode()


def mark_under_way(place: Path, kind: Kind) -> None:
    """Say in a directory that one of this kind was begun there."""
    write_bytes(place / UNFINISHED, f"{kind.record}\n".encode())


def recover(place: Path, kind: Kind) -> None:
    """Finish or undo the moves of a killed call; the caller holds a lock.

    A directory of another kind is left as it is: what was set aside there is older than what
    stands there now, and the caller is about to refuse it.
    """
    if is_of_another(place, kind):
        return
    for _, path in _folders(place, _GOING):
        shutil.rmtree(path)
    for _, path in _folders(place, _MOVING):
        _move_back(place, kind, path)
    # A successor that was killed before it had its record is discarded.
    if not (place / kind.record).exists():
        for _, path in _folders(place, _ASIDE)[-1:]:
            _restore(place, kind, path)


def is_of_another(place: Path, kind: Kind) -> bool:
    """Return whether a directory has the record of another kind, or was begun as one."""
    if any((place / name).is_file() for name in RECORDS if name != kind.record):
        return True
    begun = place / UNFINISHED
    other = {f"{name}\n".encode() for name in KINDS if name != kind.record}
    return begun.is_file() and begun.read_bytes() in other


def finish(place: Path) -> None:
    """Remove the files that were set aside, because their successor is complete."""
    (place / UNFINISHED).unlink(missing_ok=True)
    for folder, inside, _ in os.walk(place):  # follows no links
        inside[:] = [name for name in inside if not name.startswith(".")]
        sweep_folder(Path(folder))
    for number, path in _folders(place, _ASIDE):
        going = place / f"{_GOING}{number}"
        # Several parts of one corpus may finish at the same time.
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
        (place / UNFINISHED).unlink(missing_ok=True)


def _move_back(place: Path, kind: Kind, moving: Path) -> None:
    # Files that an unsuccessful successor wrote under these names are overwritten.
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
        remove_empty_parents(source, path)


def _folders(place: Path, *kinds: str) -> list[tuple[int, Path]]:
    """Return the folders of set-aside files with their numbers, in ascending order."""
    found: list[tuple[int, Path]] = []
    try:
        paths = list(place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        # Another call may just have removed the empty folder that it had made for its lock.
        return found
    for path in paths:
        match = _NAME.fullmatch(path.name)
        # A file or a link with this name is not ours; the target of a link stays untouched.
        if match is not None and _is_folder(path) and (not kinds or match[1] in kinds):
            found.append((int(match[2]), path))
    return sorted(found)

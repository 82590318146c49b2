"""Files that are either whole or not there: written aside, synced, then renamed.

All that the package writes goes through here. What is under way lies in a folder beside its
target, ``.NAME.<random>.tmp``, which nobody else may enter and nobody can have planted: libraries
that are given a name and open it themselves follow no link there, and two that write the same
file do not meet. Its writer holds a lock on it, so that what a killed one left is known by its
lock being free, and goes when the same file is written again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TextIO

from .errors import CorpusError
from .locks import lock_descriptor

_OLD = ".old"
_OF_SYSTEM = re.compile(r"\(os error (\d+)\)")  # as Rust's libraries say it
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp")


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a name to write to, for a file or a folder; on success what is there becomes `path`.

    A link that is at `path` is replaced and not followed. The name that is given ends in that of
    `path`, for writers that look at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    with named(path), _private(path) as room:
        temporary = room / path.name
        yield temporary
        _sync_all(temporary)
        if temporary.is_dir() and path.is_dir() and not path.is_symlink():
            path.rename(room / f"{path.name}{_OLD}")
        temporary.replace(path)
        sync(path.parent)


@contextmanager
def named(path: Path) -> Generator[None]:
    """Say of a disk that fails which file it was about, and not which temporary one.

    Parameters
    ----------
    path : Path
        The file that is written.

    Raises
    ------
    OSError
        Also where a library has an error of its own for what the system said.
    """
    try:
        yield
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if (found := _OF_SYSTEM.search(str(error))) is not None:
            code = code or int(found[1])
        about = getattr(error, "filename", None)
        own = str(path.parent / f".{path.name}.")
        elsewhere = about is not None and not str(about).startswith(own)
        if not code or elsewhere:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically; a file that already holds it stays untouched."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        sweep(path)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def open_to_append(path: Path) -> TextIO:
    """Open a text file to add lines to it; a link is refused."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, "a", encoding="utf-8", opener=opener)


def check_regular(path: Path) -> None:
    """Refuse what is there and no file: to open a pipe would wait for a writer for good.

    Raises
    ------
    CorpusError
    """
    if path.exists() and not path.is_file():
        raise CorpusError(f"{path} is no regular file")


def as_json(value: object) -> bytes:
    """Write a record as JSON that people can read, too."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def sync(path: Path) -> None:
    """Ask the system to put a file or a folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(path: Path) -> None:
    """Remove what killed writers of `path` left; of those that are at work nothing."""
    for room in left_by_writers(path):
        try:
            descriptor = os.open(room, os.O_RDONLY)
        except OSError:  # gone by now
            continue
        try:
            held = lock_descriptor(descriptor, wait=False)
            # Where there are no locks it cannot be told who is at work.
            if held and held.real:
                _clear(room, path)
        finally:
            os.close(descriptor)


def sweep_folder(folder: Path) -> None:
    """Remove what killed writers left in a folder that is all ours."""
    names = {match[1] for path in folder.glob(".*") if (match := _TEMPORARY.fullmatch(path.name))}
    for name in names:
        sweep(folder / name)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it: a kill leaves it whole, or what `sweep` knows."""
    with _private(path) as room:
        path.rename(room / path.name)


def _clear(room: Path, path: Path) -> None:
    old = room / f"{path.name}{_OLD}"
    if not room.is_dir() or not {entry.name for entry in room.iterdir()} <= {path.name, old.name}:
        return  # gone by now, or none of ours
    if old.exists() and not path.exists():
        old.rename(path)  # killed between the two renames of a folder
    shutil.rmtree(room, ignore_errors=True)


def left_by_writers(path: Path) -> Iterator[Path]:
    """Folders of writers of `path`, killed ones or at work."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.tmp")
    if path.parent.is_dir():
        for entry in path.parent.iterdir():
            if name.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
                yield entry


@contextmanager
def _private(path: Path) -> Generator[Path]:
    """A new folder beside `path`, locked, for this process alone."""
    with ExitStack() as stack:
        room = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        while not _hold(room, stack):
            room = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            yield room
        finally:
            try:
                shutil.rmtree(room, ignore_errors=True)
            except KeyboardInterrupt:  # it came while this was going on, and stops what is next
                shutil.rmtree(room, ignore_errors=True)
                raise


def _hold(room: Path, stack: ExitStack) -> bool:
    """Lock a folder; not where another process swept it first."""
    try:
        descriptor = os.open(room, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:  # Windows opens no folders
        return True
    stack.callback(os.close, descriptor)
    lock_descriptor(descriptor)
    return room.is_dir()


def _sync_all(path: Path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            _sync_all(entry)
    sync(path)

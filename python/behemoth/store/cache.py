"""The local cache folder: copies of directories in stores, and stages of directories to be sent.

A copy is named by its URL and by the identity of what it holds. If the store then holds another
directory, that gets a copy of its own, and readers of the older one keep what they opened: shards
are mapped one by one as they are needed. An older copy is removed once no process reads it.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.digests import COPY, Checked
from behemoth.support.files import (
    has_sizes,
    remove_empty_parents,
    remove_folder,
    sweep_folder,
    write_bytes,
)
from behemoth.support.locks import lock, lock_descriptor, lock_folder
from behemoth.support.progress import ProgressLike

from .files import files_of
from .ledger import Ledger
from .place import Place
from .pull import bring, look, source_of
from .source import COPIES, cache_directory
from .url import read_url

__all__ = ["clear", "copy_of", "stage_of", "verified_copy_of"]

_NAME = 128  # bytes of the last part of a URL in a name


def copy_of(argument: str, url: str, progress: ProgressLike = None) -> Path:
    """Fetch a directory from a store into the cache, and return the path of the copy.

    Once a copy was checked against its digests, only its file sizes are checked, as long as the
    store's ledger is unchanged and no file of the copy was found damaged.
    """
    place, ledger = source_of(argument, url)
    target = _copy(url, ledger)
    stamp, mark = target / COPY, digest(ledger.to_bytes()).encode()
    sizes = {name: entry.size for name, entry in ledger.files.items()}
    with lock_folder(target):
        if stamp.is_file() and stamp.read_bytes() == mark and has_sizes(target, sizes):
            return target
        _make_ready(url, target)
        _complete(place, ledger, target, progress)
    return target


def verified_copy_of(url: str, progress: ProgressLike) -> tuple[Path, Checked]:
    """Fetch every file of a directory in a store, and check it against the ledger.

    Returns
    -------
    Path
        The copy, which is brought up to date if no file in the store is damaged or missing.
    Checked
        Result of the check of the store.
    """
    place, ledger = source_of("directory", url)
    target = _copy(url, ledger)
    with lock_folder(target):
        _make_ready(url, target)
        found = look(place, ledger, target, progress)
        if found.ok:
            _complete(place, ledger, target, progress)
    return target, found


def _make_ready(url: str, target: Path) -> None:
    """Remove the stamp of a copy, and older copies of the URL; call under the lock of the copy."""
    (target / COPY).unlink(missing_ok=True)
    sweep_folder(target.parent)
    older = re.compile(rf"{re.escape(_name(url))}-[0-9a-f]{{12}}")
    for folder in target.parent.iterdir():
        if folder != target and older.fullmatch(folder.name):
            # Several users may share a cache; each removes copies of its own.
            with suppress(PermissionError), lock(_guard(folder), wait=False) as unread:
                # Without locks, copies that are read cannot be told from others.
                if unread and unread.real and folder.is_dir():
                    remove_folder(folder)


def _complete(place: Place, ledger: Ledger, target: Path, progress: ProgressLike) -> None:
    """Make a copy equal to the store, checked against its digests; call under its lock.

    Its other files are removed: readers take what stands beside a record for the store's.
    """
    bring(place, ledger, target, progress)
    for name in set(files_of(target, ledger.record)) - set(ledger.files):
        (target / name).unlink()
        remove_empty_parents(target, Path(name))
    write_bytes(target / COPY, digest(ledger.to_bytes()).encode())


def _copy(url: str, ledger: Ledger) -> Path:
    """Return the folder of a copy, which stays in the cache for as long as this process lives."""
    held = digest(f"{ledger.record} {ledger.identity}".encode())[:12]
    target = cache_directory() / COPIES / f"{_name(url)}-{held}"
    _read(_guard(target))
    return target


def _guard(target: Path) -> Path:
    """Return the file that readers of a copy lock; it stays, so that all lock the same one.

    The folder itself is locked by those who change it.
    """
    return target.with_name(f"{target.name}.lock")


@cache  # a descriptor for each copy and not for each call
def _read(guard: Path) -> int:
    """Lock the guard of a copy as a reader until this process ends, and return the descriptor.

    Nobody knows when a copy is no longer read: a corpus maps its shards when they are needed.
    """
    guard.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(guard, flags, 0o644)
    lock_descriptor(descriptor, shared=True)
    return descriptor


def stage_of(url: str, part: str = "") -> Path:
    """Return the folder where a directory is made before it is sent to a URL.

    `part` distinguishes several of one URL.
    """
    return cache_directory() / "stages" / f"{_name(url)}{part}"


def clear(folder: Path) -> None:
    """Remove the contents of a folder of the cache, but keep the folder and thus its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _name(url: str) -> str:
    parsed = read_url("out", url)
    # Digests, locks and temporary files are named after it, and names of files end at 255 bytes.
    name = parsed.name.encode()[:_NAME].decode(errors="ignore")
    return f"{name}-{digest(str(parsed).encode())[:12]}"

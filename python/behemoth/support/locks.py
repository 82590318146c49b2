"""Locks that go away with the process that holds them, however that ends."""

from __future__ import annotations

import errno
import logging
import os
import platform
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .checks import in_the_way

# What file systems say that have no locks, or none of folders.
_WITHOUT = {errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


@dataclass(frozen=True)
class Held:
    """Whether a lock is held; true as well where there are none, and `real` says which."""

    held: bool
    real: bool = True

    def __bool__(self) -> bool:
        return self.held


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[Held]:
    """Hold a lock on a folder, or on a file that is made if need be.

    Parameters
    ----------
    path : Path
        A folder that is there, or a file.
    shared : bool
        Let others hold it in this way, too.
    wait : bool
        Until it is free. That it waits for a folder is said by a warning of the logger of this
        module, which Python writes to stderr where nothing else is done with it.

    Yields
    ------
    Held
        Always true with `wait`.
    """
    if path.is_dir():
        descriptor = os.open(path, os.O_RDONLY)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o644)
    try:
        yield _taken(descriptor, path, shared=shared, wait=wait)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, path: Path, *, shared: bool, wait: bool) -> Held:
    held = lock_descriptor(descriptor, shared=shared, wait=False)
    if wait and not held:
        if path.is_dir():  # of work that takes long; files are held for moments
            who = holder(path)
            logging.getLogger(__name__).warning("waiting for %s in %s", who, path)
        held = lock_descriptor(descriptor, shared=shared)
    return held


def lock_descriptor(descriptor: int, *, shared: bool = False, wait: bool = True) -> Held:
    """Lock an open file or folder until it is closed; see `lock`."""
    try:
        import fcntl
    except ImportError:  # Windows
        return Held(True, real=False)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return Held(False)
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
        return Held(True, real=False)
    return Held(True)


def holder(path: Path) -> str:
    """Who holds the lock of a folder or file: ``process 4711 on HOST``, as far as it can be told.

    The kernel of Linux lists who holds locks on this machine. Whoever is elsewhere, on a file
    system that both share, is not listed.
    """
    try:
        inode = path.stat().st_ino
        rows = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return "another process"
    for row in rows:
        words = row.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
            return f"process {words[4]} on {platform.node()}"
    return "another process, not on this machine"


@contextmanager
def lock_folder(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[Held]:
    """Hold a lock on a folder; one that is not there is made, and goes if it stays empty."""
    if in_the_way(path):  # which its user has words for
        yield Held(True, real=False)
        return
    made = [place for place in (path, *path.parents) if not place.exists()]
    try:
        with ExitStack() as stack:
            yield _locked_folder(path, stack, shared=shared, wait=wait)
    finally:
        for place in made:
            try:
                place.rmdir()
            except OSError:
                break


def _locked_folder(path: Path, stack: ExitStack, *, shared: bool, wait: bool) -> Held:
    """Lock a folder to the end of `stack`; made anew where another took it away as empty."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with ExitStack() as attempt:
            attempt.callback(os.close, descriptor)
            held = _taken(descriptor, path, shared=shared, wait=wait)
            # A lock on a folder that is gone keeps nobody from the one in its place.
            if not held or (path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())):
                stack.push(attempt.pop_all())
                return held

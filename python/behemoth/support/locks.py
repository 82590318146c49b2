"""Locks that are released when the process that holds them ends, however it ends."""

from __future__ import annotations

import errno
import logging
import os
import platform
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .checks import in_the_way
from .errors import CorpusError

# Errors of file systems without locks, or without locks on folders.
_WITHOUT = {errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}
_ATTEMPTS = 100  # to make a folder


@dataclass(frozen=True)
class Held:
    """Whether a lock is held; also true if the system has no locks, and then `real` is false."""

    held: bool
    real: bool = True

    def __bool__(self) -> bool:
        return self.held


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[Held]:
    """Hold a lock on a folder, or on a file that is created if it does not exist.

    Parameters
    ----------
    path : Path
        An existing folder, or a file.
    shared : bool
        If true, others may hold the lock as shared, too.
    wait : bool
        Whether to wait until the lock is free. While it waits for a folder, the logger of this
        module warns, which Python writes to stderr unless logging is configured otherwise.

    Yields
    ------
    Held
        Always true with `wait`.
    """
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        yield Held(True, real=False)
        return
    if path.is_dir():
        descriptor = os.open(path, os.O_RDONLY)
    else:
        descriptor = _opened_file(path)
    try:
        yield _taken(descriptor, path, shared=shared, wait=wait)
    finally:
        os.close(descriptor)


def _opened_file(path: Path) -> int:
    """Open a file that is created, in a folder that other processes may remove meanwhile."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_ATTEMPTS):
        _make(path.parent)
        with suppress(FileNotFoundError):  # the folder was removed again
            return os.open(path, flags, 0o644)
    return os.open(path, flags, 0o644)  # whose error says what is missing


def _taken(descriptor: int, path: Path, *, shared: bool, wait: bool) -> Held:
    held = lock_descriptor(descriptor, shared=shared, wait=False)
    if wait and not held:
        if path.is_dir():  # folders are locked during long work, files only for moments
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
    """Return the holder of the lock of a folder or file, if known: ``process 4711 on HOST``.

    The Linux kernel lists the processes of this machine that hold locks, not those of other
    machines that share the file system.
    """
    try:
        own = path.stat()
        rows = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return "another process"
    device = f"{os.major(own.st_dev):02x}:{os.minor(own.st_dev):02x}"
    elsewhere = "another process, not on this machine"
    for row in rows:
        words = row.split()
        if len(words) > 5 and words[1] == "FLOCK":
            place, _, inode = words[5].rpartition(":")
            if inode == str(own.st_ino) and place == device:
                return f"process {words[4]} on {platform.node()}"
            # Another file with this number, or this one: some file systems have two device numbers.
            elsewhere = "another process" if inode == str(own.st_ino) else elsewhere
    return elsewhere


@contextmanager
def lock_folder(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[Held]:
    """Hold a lock on a folder; a missing one is created, and removed again if it stays empty."""
    if in_the_way(path) is not None:  # the caller refuses it with an error of its own
        yield Held(True, real=False)
        return
    made = [place for place in (path, *path.parents) if not place.exists()]
    with ExitStack() as stack:
        held, descriptor = _locked_folder(path, stack, shared=shared, wait=wait)
        try:
            yield held
        finally:
            # Before the lock is released: whoever takes it next sees that the folder is gone.
            if made and _is_alone(held, descriptor, shared=shared):
                _remove_empty(made)


def _is_alone(held: Held, descriptor: int, *, shared: bool) -> bool:
    """Return whether nobody else has the lock of a folder; a shared one becomes exclusive."""
    return bool(held) and (not shared or bool(lock_descriptor(descriptor, wait=False)))


def _remove_empty(places: Sequence[Path]) -> None:
    for place in places:
        try:
            # Not tried in vain: a stop that met it would say that finished work starts over.
            if any(place.iterdir()):
                return
            place.rmdir()
        except OSError:
            return


@contextmanager
def sole(path: Path, doing: str, error: type[RuntimeError] = CorpusError) -> Generator[None]:
    """Hold a lock on a folder, as `lock_folder` does, or refuse at once if another process has it.

    Parameters
    ----------
    path : Path
    doing : str
        What the other process is doing, such as ``writing to DIR``.
    error : type
        The error that is raised.

    Raises
    ------
    RuntimeError
        A CorpusError, or `error`, with the process that holds the lock, if it is known.
    """
    with refused(lock_folder(path, wait=False), path, doing, error):
        yield


@contextmanager
def refused(
    taking: AbstractContextManager[Held],
    path: Path,
    doing: str,
    error: type[RuntimeError] = CorpusError,
) -> Generator[None]:
    """Hold a lock that is being taken without waiting, or raise as `sole` does.

    Parameters
    ----------
    taking : context manager
        As `lock` and `lock_folder` return it for `path`, with ``wait=False``.
    path, doing, error
        As for `sole`.
    """
    with taking as ours:
        if not ours:
            raise error(f"another process is {doing}: {holder(path)}")
        yield


def _locked_folder(path: Path, stack: ExitStack, *, shared: bool, wait: bool) -> tuple[Held, int]:
    """Lock a folder until the end of `stack`; recreate it if another process removed it.

    Returns the lock and its descriptor, -1 on Windows.
    """
    while True:
        _make(path)
        if os.name == "nt":  # Windows cannot open folders
            return Held(True, real=False), -1
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with ExitStack() as attempt:
            attempt.callback(os.close, descriptor)
            held = _taken(descriptor, path, shared=shared, wait=wait)
            # A lock on a folder that was removed does not protect the one in its place.
            if not held or _is_at(path, descriptor):
                stack.push(attempt.pop_all())
                return held, descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _make(path: Path) -> None:
    """Make a folder and those above it, which other processes may remove meanwhile.

    `Path.mkdir` then says that one of them exists, or that one is missing. So it does of a link to
    nothing and in a working directory that was removed: the number of attempts is limited.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            path.mkdir(parents=True, exist_ok=True)
            return
        except (FileExistsError, FileNotFoundError):
            if not left:
                raise

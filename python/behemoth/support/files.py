"""Atomic files, either complete or absent: written to a temporary folder, synced, then renamed.

The package writes all its files through this module. A file is written in a folder beside its
target, ``.NAME.<random>.tmp``, which other users cannot enter and cannot have planted: libraries
that open a file by its name follow no link there, and two writers of the same file do not
collide. The writer holds a lock on the folder, so that a folder left by a killed writer is
recognized by its free lock, and is removed when the same file is written again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, TextIO

from .errors import CorpusError
from .locks import lock_descriptor

if TYPE_CHECKING:
    from torch import Tensor

_OLD = ".old"  # name of a replaced folder, beside its successor
_SETTINGS_BYTES = 1 << 20
_PRIVATE = 0o600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_OF_SYSTEM = re.compile(r"\(os error (\d+)\)")  # the form in errors of Rust's libraries
_THRIFT = "Invalid thrift: transport error"  # polars, of a Parquet footer that finds no room
_PARTIAL = ".tmp"  # how names of files begin that safetensors writes beside its target
_LONGEST = 255 - len("..xxxxxxxx.tmp")  # bytes of a name that leave room for those of its folder
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp")


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary name for a file or a folder, which becomes `path` on success.

    A link at `path` is replaced and not followed. The last part of the temporary name is that of
    `path`, for writers that depend on it. Files are as readable for others as the process makes its
    own: safetensors 0.8 renames a file of its own, which only its owner can read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    with named(path), _private(path) as room:
        temporary = room / path.name
        mode = _usual_mode(temporary)
        yield temporary
        _sync_all(temporary, mode)
        if temporary.is_dir() and path.is_dir() and not path.is_symlink():
            path.rename(room / _OLD)
        temporary.replace(path)
        sync(path.parent)


@contextmanager
def named(path: Path) -> Generator[None]:
    """Name the file itself, not the temporary one, in errors of the disk.

    Parameters
    ----------
    path : Path
        The file that is written.

    Raises
    ------
    OSError
        Also when a library raises an error of its own for an error of the system.
    """
    try:
        yield
    except Exception as error:
        if _THRIFT in str(error):
            what = "could not be written to its end; the disk may be full"
            raise OSError(errno.EIO, what, str(path)) from error
        code = error.errno if isinstance(error, OSError) else None
        if (found := _OF_SYSTEM.search(str(error))) is not None:
            code = code or int(found[1])
        about = getattr(error, "filename", None)
        # A copy names its source first, also where its target has no room.
        about = (getattr(error, "filename2", None) or about) if code in _FULL else about
        # By its parts: a temporary folder is spelled as Python's tempfile spells it.
        elsewhere = about is not None and not _is_of(path, Path(os.fsdecode(about)))
        if not code or elsewhere:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def has_sizes(folder: Path, sizes: Mapping[str, int]) -> bool:
    """Return whether a folder has all of these files, each of its number of bytes."""
    files = ((folder / name, size) for name, size in sizes.items())
    return all(file.is_file() and file.stat().st_size == size for file, size in files)


def write_bytes(path: Path, data: bytes) -> bool:
    """Write `data` to `path` atomically, unless the file contains it; return whether it did not."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        sweep(path)
        return False
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return True


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors takes them: on the CPU, contiguous, without gradients."""
    from safetensors.torch import save_file

    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(own, temporary, metadata=metadata)


def open_to_append(path: Path) -> TextIO:
    """Open a text file to append lines to it; a link is refused."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, "a", encoding="utf-8", opener=opener)


def check_regular(path: Path) -> None:
    """Refuse an existing path that is not a regular file: opening a pipe could wait forever.

    A link that leads back to itself is none either.

    Raises
    ------
    CorpusError
    """
    if (path.exists() and not path.is_file()) or _is_loop(path):
        raise CorpusError(f"{path} is not a regular file")


def _is_loop(path: Path) -> bool:
    """Return whether a path is a link that leads back to itself, of which `exists` says no."""
    if path.is_symlink():
        try:
            path.stat()
        except OSError as error:
            return error.errno == errno.ELOOP
    return False


def check_regular_files(folder: Path) -> None:
    """Refuse a folder with a pipe, a socket or a device in it, at any depth; nothing is opened.

    Raises
    ------
    CorpusError
        For the first of them.
    """
    for place, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(place) / name for name in sorted(names)):
            with suppress(OSError):  # a link to nothing, or what a writer has just removed
                if not stat.S_ISREG(path.stat().st_mode):
                    raise CorpusError(f"{path} is not a regular file")


def text_of(file: Path) -> str:
    """Return the UTF-8 text of a file of anyone's, without the byte order mark of Windows.

    Raises
    ------
    OSError
        Also for a path that is not a regular file, since opening a pipe could wait forever.
    UnicodeDecodeError
    """
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return file.read_text(encoding="utf-8-sig")


def read_json_object(file: Path, encoding: str = "utf-8") -> dict[str, Any]:
    """Read a JSON object of settings, such as the configuration of a model; it may be anyone's.

    Parameters
    ----------
    file : Path
    encoding : str
        ``utf-8-sig`` allows the byte order mark of Windows, which transformers does not read.

    Raises
    ------
    OSError
    ValueError
        If it is no JSON object, nested too deep, or larger than settings are; or no regular file,
        since opening a pipe could wait forever.
    """
    if file.exists() and not file.is_file():
        raise ValueError(f"{file} is not a regular file")
    with file.open("rb") as source:
        content = source.read(_SETTINGS_BYTES + 1)
    try:
        values = json.loads(content.decode(encoding))
    except RecursionError:
        values = None
    if len(content) > _SETTINGS_BYTES or not isinstance(values, dict):
        raise ValueError(f"{file} has no settings")
    return values


def as_json(value: object) -> bytes:
    """Return a record as indented JSON."""
    try:
        return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a path below a folder whose name is not UTF-8: escapes keep it
        return (json.dumps(value, indent=1) + "\n").encode()


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk; on Windows, which cannot open folders, only files."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(path: Path) -> None:
    """Remove the folders that killed writers of `path` left, not those of active writers."""
    for room in left_by_writers(path):
        try:
            descriptor = os.open(room, os.O_RDONLY)
        except OSError:  # removed in the meantime
            continue
        try:
            held = lock_descriptor(descriptor, wait=False)
            # Without locks, active writers cannot be told from killed ones.
            if held and held.real:
                _clear(room, path)
        finally:
            os.close(descriptor)


def sweep_folder(folder: Path) -> None:
    """Remove the folders that killed writers left in a folder that is entirely ours."""
    names = {match[1] for path in folder.glob(".*") if (match := _TEMPORARY.fullmatch(path.name))}
    for name in names:
        sweep(folder / name)


def unless_gone(error: OSError) -> None:
    """Raise an error of listing a folder, unless the folder was removed in the meantime."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def is_temporary(name: str) -> bool:
    """Return whether a name is that of the temporary folder of a writer."""
    return _TEMPORARY.fullmatch(name) is not None


def names_in(folder: Path) -> set[str]:
    """Return the names in a folder, without those that writers, active or killed, will remove."""
    return {entry.name for entry in folder.iterdir() if not is_temporary(entry.name)}


def remove_folder(path: Path) -> None:
    """Remove a folder with its content; a kill leaves it complete, or for `sweep` to remove."""
    with _private(path) as room:
        path.rename(room / path.name)


def remove_empty_parents(root: Path, name: Path) -> None:
    """Remove the folders below `root` that `name`, relative to it, was in, as far as empty."""
    for parent in name.parents[:-1]:
        try:
            (root / parent).rmdir()
        except OSError:  # not empty
            break


def _clear(room: Path, path: Path) -> None:
    ours = {path.name, _OLD}
    if not room.is_dir():
        return  # removed in the meantime
    if not all(entry.name in ours or entry.name.startswith(_PARTIAL) for entry in room.iterdir()):
        return  # not ours
    _discard(room, path)


def _discard(room: Path, path: Path) -> None:
    old = room / _OLD
    if old.exists() and not path.exists():
        old.rename(path)  # stopped between the two renames of a folder
    shutil.rmtree(room, ignore_errors=True)


def left_by_writers(path: Path) -> Iterator[Path]:
    """Yield the temporary folders of writers of `path`, killed or active."""
    name = re.compile(rf"{re.escape(_prefix(path))}[a-z0-9_]{{8}}\.tmp")
    if path.parent.is_dir():
        for entry in path.parent.iterdir():
            if name.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
                yield entry


def _is_of(path: Path, about: Path) -> bool:
    """Return whether `about` is the temporary folder of a writer of `path`, or a file in it."""
    matches = map(_TEMPORARY.fullmatch, about.parts)
    return any(match is not None and f".{match[1]}." == _prefix(path) for match in matches)


def _prefix(path: Path) -> str:
    """Return how the names of the temporary folders of `path` begin: its own, as far as it fits."""
    return f".{os.fsencode(path.name)[:_LONGEST].decode(errors='ignore')}."


@contextmanager
def _private(path: Path) -> Generator[Path]:
    """Yield a new folder beside `path`, locked, for this process alone."""
    with ExitStack() as stack:
        room = Path(mkdtemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent))
        while not _hold(room, stack):
            room = Path(mkdtemp(prefix=_prefix(path), suffix=".tmp", dir=path.parent))
        try:
            yield room
        finally:
            try:
                _discard(room, path)
            except KeyboardInterrupt:  # Ctrl-C during the removal: finish it, then stop
                _discard(room, path)
                raise


def _hold(room: Path, stack: ExitStack) -> bool:
    """Lock a folder; return whether it still exists: another process may have swept it."""
    try:
        descriptor = os.open(room, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:  # Windows cannot open folders
        return True
    stack.callback(os.close, descriptor)
    lock_descriptor(descriptor)
    return room.is_dir()


def _usual_mode(path: Path) -> int:
    """Return the mode of a new file, made at `path` for a moment: asking for the umask sets it."""
    try:
        with path.open("xb") as file:
            return stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    finally:
        path.unlink(missing_ok=True)


def _sync_all(path: Path, mode: int) -> None:
    """Flush a file, or a folder with its files, after giving private files the usual mode."""
    if path.is_dir():
        for entry in path.iterdir():
            _sync_all(entry, mode)
    elif not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) == _PRIVATE:
        path.chmod(mode)
    sync(path)

"""The local cache folder: copies of directories in stores, and stages of directories to be sent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.digests import COPY, Checked
from behemoth.support.errors import CorpusError
from behemoth.support.files import write_bytes
from behemoth.support.locks import lock_folder
from behemoth.support.progress import ProgressLike

from .files import identity_of
from .ledger import Ledger
from .place import Place
from .pull import bring, is_begun, look, source_of
from .url import read_url

__all__ = ["cache_directory", "clear", "copy_of", "stage_of", "verified_copy_of"]


def cache_directory() -> Path:
    """Return ``$BEHEMOTH_CACHE``, or ``~/.cache/behemoth`` if it is not set."""
    configured = os.environ.get("BEHEMOTH_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "behemoth"


def copy_of(argument: str, url: str, progress: ProgressLike = None) -> Path:
    """Fetch a directory from a store into the cache, and return the path of the copy.

    Once a copy was checked against its digests, only its file sizes are checked, as long as the
    store's ledger is unchanged and no file of the copy was found damaged.
    """
    place, ledger = source_of(argument, url)
    target = _copy(argument, url)
    stamp, mark = target / COPY, digest(ledger.to_bytes()).encode()
    with lock_folder(target):
        if stamp.is_file() and stamp.read_bytes() == mark and _has_sizes(target, ledger):
            return target
        _make_ready(ledger, target)
        _complete(place, ledger, target, progress)
    return target


def verified_copy_of(
    argument: str, url: str, progress: ProgressLike = None
) -> tuple[Path, Checked]:
    """Fetch every file of a directory in a store, and check it against the ledger.

    Returns
    -------
    Path
        The copy, which is brought up to date if no file in the store is damaged or missing.
    Checked
        Result of the check of the store.
    """
    place, ledger = source_of(argument, url)
    target = _copy(argument, url)
    with lock_folder(target):
        _make_ready(ledger, target)
        found = look(place, ledger, target, progress)
        if found.ok:
            _complete(place, ledger, target, progress)
    return target, found


def _make_ready(ledger: Ledger, target: Path) -> None:
    """Remove the stamp of a copy, and empty one of another directory; call under its lock."""
    (target / COPY).unlink(missing_ok=True)
    if not _is_same(target, ledger):
        clear(target)


def _complete(place: Place, ledger: Ledger, target: Path, progress: ProgressLike) -> None:
    """Check a copy against its digests, fetch missing files, and stamp it; call under its lock."""
    bring(place, ledger, target, progress)
    write_bytes(target / COPY, digest(ledger.to_bytes()).encode())


def _copy(argument: str, url: str) -> Path:
    return cache_directory() / "copies" / _name(argument, url)


def stage_of(argument: str, url: str, part: str = "") -> Path:
    """Return the folder where a directory is made before it is sent to a URL.

    `part` distinguishes several of one URL.
    """
    return cache_directory() / "stages" / f"{_name(argument, url)}{part}"


def clear(folder: Path) -> None:
    """Remove the contents of a folder of the cache, but keep the folder and thus its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _name(argument: str, url: str) -> str:
    parsed = read_url(argument, url)
    return f"{parsed.name}-{digest(str(parsed).encode())[:12]}"


def _is_same(target: Path, ledger: Ledger) -> bool:
    if is_begun(target, ledger):
        return True
    record = target / ledger.record
    try:
        return record.is_file() and identity_of(target, ledger.record) == ledger.identity
    except CorpusError:
        return False


def _has_sizes(target: Path, ledger: Ledger) -> bool:
    return all(
        (target / name).is_file() and (target / name).stat().st_size == entry.size
        for name, entry in ledger.files.items()
    )

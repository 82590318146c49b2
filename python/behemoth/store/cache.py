"""The folder of this machine with copies of what is in stores, and what is on its way there."""

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
    """``$BEHEMOTH_CACHE``, or ``~/.cache/behemoth``."""
    told = os.environ.get("BEHEMOTH_CACHE")
    return Path(told) if told else Path.home() / ".cache" / "behemoth"


def copy_of(argument: str, url: str, progress: ProgressLike = None) -> Path:
    """Bring a directory from a store into the cache, and give its place.

    What was held to its digests once is only looked at for its sizes as long as the store's ledger
    stays the same, and nobody has found a file of it damaged.
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
    """Fetch all of a directory in a store, hold it to the ledger, and give its copy.

    Returns
    -------
    Path
        Of the copy, which is brought up to date where nothing is bad or missing in the store.
    Checked
        What was found in the store.
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
    """Take the mark off a copy, and empty one of something else; to be called under its lock."""
    (target / COPY).unlink(missing_ok=True)
    if not _is_same(target, ledger):
        clear(target)


def _complete(place: Place, ledger: Ledger, target: Path, progress: ProgressLike) -> None:
    """Hold a copy to its digests, bring what is not there, and mark it; called under its lock."""
    bring(place, ledger, target, progress)
    write_bytes(target / COPY, digest(ledger.to_bytes()).encode())


def _copy(argument: str, url: str) -> Path:
    return cache_directory() / "copies" / _name(argument, url)


def stage_of(argument: str, url: str, part: str = "") -> Path:
    """Where what goes to a URL is made before it is sent; `part` tells several of them apart."""
    return cache_directory() / "stages" / f"{_name(argument, url)}{part}"


def clear(folder: Path) -> None:
    """Remove what is in a folder of the cache; the folder stays, and with it who holds its lock."""
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

"""``file://``: a folder of a mounted disk, used as a store.

It does not use fsspec, which writes local files in place: a killed process would leave a partial
file under its final name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from behemoth.support.errors import CorpusError
from behemoth.support.files import (
    is_temporary,
    named,
    remove_empty_parents,
    replacing,
    unless_gone,
    write_bytes,
)

from .place import RANGE, Moved
from .url import Url

__all__ = ["Folder"]


class Folder:
    """A folder; see `behemoth.store.place.Place`."""

    def __init__(self, url: Url) -> None:
        self.url = str(url)
        self._path = Path(url.path)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all files by name, without those being written.

        Other parts rename and remove while this looks: what is gone by then is not listed.
        `Path.rglob` raised `FileNotFoundError` at folders of theirs.
        """
        sizes = {}
        for folder, inside, names in os.walk(self._path, onerror=unless_gone):
            inside[:] = [name for name in inside if not is_temporary(name)]
            place = Path(folder)
            for name in names:
                with suppress(FileNotFoundError):
                    path = place / name
                    found = path.stat()
                    if stat.S_ISREG(found.st_mode):
                        sizes[path.relative_to(self._path).as_posix()] = found.st_size
        return sizes

    def read(self, name: str) -> bytes | None:
        """Return the contents of a small file, or None if it does not exist.

        Raises
        ------
        CorpusError
            If it is no regular file: opening a pipe could wait forever.
        """
        path = self._path / name
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise CorpusError(f"{path} is not a regular file")
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        write_bytes(self._path / name, data)

    def send(self, name: str, file: Path, moved: Moved) -> None:
        """Copy a file."""
        with (
            replacing(self._path / name) as temporary,
            temporary.open("xb") as target,
            file.open("rb") as source,
        ):
            while data := source.read(RANGE):
                moved(0)
                target.write(data)
                moved(len(data))

    def fetch(self, name: str, file: Path, size: int, moved: Moved) -> None:
        """Copy the missing bytes of a file."""
        with (self._path / name).open("rb") as source, file.open("ab") as target:
            source.seek(target.tell())
            while data := source.read(RANGE):
                moved(0)
                with named(file):
                    target.write(data)
                    target.flush()
                moved(len(data))

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, and folders that this leaves empty."""
        for name in names:
            (self._path / name).unlink(missing_ok=True)
            remove_empty_parents(self._path, Path(name))

"""Object stores through fsspec: S3 and compatible stores, Google Cloud Storage, Hugging Face."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from behemoth.support.extras import MissingExtraError, needed
from behemoth.support.files import named

from .errors import about
from .multipart import send_in_parts, worth_parts
from .place import RANGE, Moved
from .url import Url
from .work import WORKERS, carry_out

__all__ = ["Objects"]

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}


class Objects:
    """A prefix of a bucket; see `behemoth.store.place.Place`.

    Credentials, regions and endpoints are found as the protocol's own tools find them: in the
    environment (``AWS_ENDPOINT_URL``, ``AWS_PROFILE``, ...) or in their configuration files.
    """

    def __init__(self, url: Url) -> None:
        self.url = str(url)
        self._path, self._protocol = url.path, url.protocol
        self._warning, self._warned = threading.Lock(), False
        # Each change of a Hugging Face repository is a commit, and one that was begun before
        # another ended is refused.
        self._changing = threading.Lock() if url.protocol == "hf" else nullcontext()
        with needed():
            import fsspec
        _check_installed(url.protocol)
        with about(self.url):
            # Cached listings would not show what another process has sent since.
            self._fs: Any = fsspec.filesystem(
                url.protocol, use_listings_cache=False, skip_instance_cache=True
            )

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all objects, by name."""
        with about(self.url):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._path, detail=True)
            except FileNotFoundError as error:  # some stores raise it for an empty prefix
                _raise_without_bucket(error)
                found = {}
        root = self._path.strip("/") + "/"
        return {
            name.strip("/").removeprefix(root): int(info["size"])
            for name, info in found.items()
            if name.strip("/").startswith(root)
        }

    def read(self, name: str) -> bytes | None:
        """Return the contents of a small object, or None if it does not exist."""
        with about(self._url(name)):
            self._fs.invalidate_cache()
            try:
                data: bytes = self._fs.cat_file(self._at(name))
            except FileNotFoundError as error:
                _raise_without_bucket(error)
                return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a small object."""
        with self._changing, about(self._url(name)):
            self._fs.pipe_file(self._at(name), data)

    def send(self, name: str, file: Path, moved: Moved) -> None:
        """Send a file; to S3, a large one in parts, skipping parts the store already has."""
        moved(0)
        size = file.stat().st_size
        if self._protocol == "s3" and worth_parts(size):
            with about(self._url(name)):
                send_in_parts(self._fs, self._at(name), file, moved, self._warn)
            return
        with self._changing:
            moved(0)  # raises if another file has failed in the meantime
            with about(self._url(name)):
                self._fs.put_file(str(file), self._at(name))
        moved(size)

    def fetch(self, name: str, file: Path, size: int, moved: Moved) -> None:
        """Fetch the missing bytes of an object, range by range."""
        with file.open("ab") as target:
            while (start := target.tell()) < size:
                moved(0)
                stop = min(start + RANGE, size)
                with about(self._url(name)):
                    data: bytes = self._fs.cat_file(self._at(name), start=start, end=stop)
                if not data:  # the object is shorter than expected
                    return
                with named(file):
                    target.write(data)
                    target.flush()
                moved(len(data))

    def remove(self, names: Iterable[str]) -> None:
        """Remove those of the objects that exist.

        fsspec's `rm` is not used: it reads ``*``, ``?`` and ``[`` in a path as a pattern, which may
        match objects of another directory, and `HfFileSystem` does not accept several paths.
        """
        if not (wanted := list(names)):  # usual, and a listing may take many requests
            return
        sizes = self.sizes()
        carry_out([name for name in wanted if name in sizes], self._remove, workers=WORKERS)

    def _remove(self, name: str, moved: Moved) -> None:
        with self._changing:
            moved(0)
            # Another machine may have removed it since it was listed.
            with about(self._url(name)), suppress(FileNotFoundError):
                self._fs.rm_file(self._at(name))

    def _warn(self, error: PermissionError) -> None:
        """Warn once that uploads to this store cannot be resumed."""
        with self._warning:
            if not self._warned:
                self._warned = True
                logging.getLogger(__name__).warning(
                    "%s: unfinished uploads may not be listed or aborted (%s): large files are "
                    "sent from the start, and parts sent by stopped calls stay in the store",
                    self.url, error,
                )  # fmt: skip

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _url(self, name: str) -> str:
        return f"{self.url}/{name}"


def _raise_without_bucket(error: FileNotFoundError) -> None:
    """Raise the error again if it states that the bucket does not exist."""
    if error.__cause__ is not None and "bucket" in str(error).lower():
        raise error


def _check_installed(protocol: str) -> None:
    """Check that the package of a protocol is installed.

    Raises
    ------
    MissingExtraError
    """
    package = _PACKAGES.get(protocol)
    with needed():
        try:
            if package is not None:
                import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package or protocol == "s3":
                raise
            raise MissingExtraError(
                f"{package} is not installed: pip install {package}", name=package
            ) from error

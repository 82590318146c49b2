"""Files that are either whole or not there: written aside, synced, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a temporary name beside `path`; on success what is there becomes `path`.

    The name is always the same one, so that a run that takes up after a kill writes
    over what the killed one left and no litter stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically; a file that already holds it stays untouched."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    with replacing(path) as temporary:
        temporary.write_bytes(data)


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

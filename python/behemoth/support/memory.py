"""Memory: the amount available to this process, and amounts written as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .checks import LARGEST
from .control_groups import group_folders
from .errors import ArgumentError
from .text import bytes_text

__all__ = ["available", "bytes_of", "halves", "limit_of", "limit_text"]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}  # fmt: skip
# The controller, the limit of a control group, its usage, and the part of that which is cached
# pages of files that the kernel gives up when memory is needed: version 2, and version 1.
_LIMITS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still use without swapping; None if unknown.

    The smallest of the memory Linux reports as available and the rests of the limits of the
    container, or of the job of a cluster, and of the groups that it is in.

    Parameters
    ----------
    root : Path
        Root of the file system.
    """
    found: list[int] = []
    rows = _read(root / "proc/meminfo").splitlines()
    found += [int(row.split()[1]) * 1024 for row in rows if row.startswith("MemAvailable:")]
    for controller, limit, used, cached in _LIMITS:
        for group in group_folders(controller, root):
            most, taken = _read(group / limit).strip(), _read(group / used).strip()
            if most.isdigit() and taken.isdigit():
                rows = _read(group / "memory.stat").splitlines()
                freed = sum(int(row.split()[1]) for row in rows if row.startswith(f"{cached} "))
                found.append(max(0, int(most) - max(0, int(taken) - freed)))
    return min(found, default=None)


def limit_of(memory: int | None) -> int | None:
    """Return the limit on memory: `memory` if given, else what is free; None if unknown.

    Examples
    --------
    >>> limit_of(10**9)
    1000000000
    """
    return available() if memory is None else memory


def halves(most: int) -> Iterator[int]:
    """Yield the number, its half, and so on down to 1.

    Examples
    --------
    >>> list(halves(12))
    [12, 6, 3, 1]
    """
    while most > 1:
        yield most
        most //= 2
    yield 1


def limit_text(limit: int, memory: int | None) -> str:
    """Return the limit on memory for an error: what is free, or allowed if `memory` was given.

    Examples
    --------
    >>> limit_text(2 * 10**9, None), limit_text(10**9, 10**9)
    ('2.00 GB is free', '1.00 GB is allowed')
    """
    return f"{bytes_text(limit)} is {'free' if memory is None else 'allowed'}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def bytes_of(name: str, text: str) -> int:
    """Parse an amount of memory: ``8GB``, ``500 MB``, ``2GiB`` or a number of bytes.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> bytes_of("memory", "1.5 GB"), bytes_of("memory", "2GiB"), bytes_of("memory", "1e9")
    (1500000000, 2147483648, 1000000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:[eE]\d{1,2})?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    unit = _UNITS.get(match[2].upper()) if match is not None else None
    if match is None or unit is None or not 1 <= float(match[1]) * unit <= LARGEST:
        raise ArgumentError(name, text, "an amount of memory, such as 8GB, 500MB or 2GiB")
    return int(float(match[1]) * unit)

"""The hardware and software behind a number, as runs, studies, reports and benchmarks record it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from .control_groups import group_folders


def processor() -> str:
    """Return the model name of the processor, such as ``Intel(R) Xeon(R) Platinum 8481C``."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def cores(root: Path = Path("/")) -> int:
    """Return the number of cores this process may use, in a container or a job not always all.

    A share of processor time, such as 1.5 cores, is rounded up.

    Parameters
    ----------
    root : Path
        Root of the file system.
    """
    affine = hasattr(os, "sched_getaffinity")
    found = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    shares = [_words(group / "cpu.max") for group in group_folders("", root)]  # version 2
    shares += [
        [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
        for group in group_folders("cpu", root)  # version 1
    ]
    for words in shares:  # microseconds of processor time, and the period; "max" or -1 if unlimited
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            found = min(found, max(1, -(-int(words[0]) // int(words[1]))))
    return found


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those of the packages that are installed, by name."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def listed(found: Mapping[str, str]) -> str:
    """Return versions as text: ``python 3.11.7, torch 2.15.0``."""
    return ", ".join(f"{name} {number}" for name, number in found.items())

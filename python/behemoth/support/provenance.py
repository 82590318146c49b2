"""Where and with what a number was made: what runs, studies, reports and benches note of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path


def processor() -> str:
    """What the processor calls itself, as in ``Intel(R) Xeon(R) Platinum 8481C``."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use, which in a container are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the packages that are installed, by name."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def listed(found: Mapping[str, str]) -> str:
    """Versions as a person writes them: ``python 3.11.7, torch 2.15.0``."""
    return ", ".join(f"{name} {number}" for name, number in found.items())

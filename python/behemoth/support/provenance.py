"""The hardware and software behind a number, as runs, studies, reports and benchmarks record it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path


def processor() -> str:
    """Return the model name of the processor, such as ``Intel(R) Xeon(R) Platinum 8481C``."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return the number of cores this process may use; in a container not always all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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

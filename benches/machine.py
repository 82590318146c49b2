"""What a bench says about where and when it ran."""

import datetime
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path


def cores() -> int:
    """Number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, str]:
    """Machine, versions and date, as a person would write them under a table of numbers."""
    return {
        "machine": f"{_processor()}, {cores()} cores, {_memory()}",
        "system": f"{platform.system()} {platform.release()}",
        "versions": f"behemoth {_version('behemoth')}, Python {platform.python_version()}, "
        f"numpy {_version('numpy')}, polars {_version('polars')}, {_rustc()}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "?"


def _rustc() -> str:
    rustc = shutil.which("rustc")
    if rustc is None:
        return "rustc ?"
    done = subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2]) or "rustc ?"

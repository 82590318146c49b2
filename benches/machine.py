"""What a bench says about where and when it ran."""

import datetime
import os
import platform
import shutil
import subprocess

from behemoth.support.provenance import cores, listed, processor, versions


def describe() -> dict[str, str]:
    """Machine, versions and date, as a person would write them under a table of numbers."""
    found = versions("behemoth", "numpy", "polars", "torch", "transformers")
    return {
        "machine": f"{processor()}, {cores()} cores, {_memory()}",
        "system": f"{platform.system()} {platform.release()}",
        "versions": f"{listed(found)}, {_rustc()}",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def show() -> None:
    """Print that, as lines of Markdown."""
    for key, value in describe().items():
        print(f"{key}: {value}  ")


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _rustc() -> str:
    rustc = shutil.which("rustc")
    if rustc is None:
        return "rustc ?"
    done = subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2]) or "rustc ?"

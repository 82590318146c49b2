"""Description of the machine and date of a bench, printed under its table and kept as history.

A line of `history.jsonl` is one run of one bench: commit, date, machine, versions, and figures with
stable names, so that a figure can be compared over commits (on the same processor; figures of
different processors are not comparable). Lines are only ever added.
"""

import argparse
import datetime
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from behemoth.support.provenance import cores, listed, processor, versions

HISTORY = Path(__file__).with_name("history.jsonl")
_LOAD = os.getloadavg()[0]  # of other programs: this one has only just begun
_PACKAGES = ("behemoth", "numpy", "polars", "torch", "transformers")


def describe() -> dict[str, str]:
    """Machine, versions and date, as a person would write them under a table of numbers."""
    return {
        "machine": f"{processor()}, {cores()} cores, {_memory()} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": f"{listed(versions(*_PACKAGES))}, rustc {_rustc()}",
        "date": _date(),
    }


def show() -> None:
    """Print that, as lines of Markdown."""
    for key, value in describe().items():
        print(f"{key}: {value}  ")


def note_option(parser: argparse._ActionsContainer) -> None:
    """Add the option ``--note``, whose text is for `record`."""
    parser.add_argument("--note", default="", help="kept with the figures in history.jsonl")


def record(bench: str, figures: Mapping[str, float | None], note: str = "") -> None:
    """Add a line to history.jsonl.

    Parameters
    ----------
    bench : str
        Its file's name, without ending.
    figures : mapping of str to float
        Units belong to the names: ``gen_seconds``. Four digits are kept; what is not a number
        is null.
    note : str
        What a reader must know who compares them, as of other sizes or a busy machine.
    """
    line = {
        "bench": bench,
        "commit": _commit(),
        "date": _date(),
        "cpu": processor(),
        "cores": cores(),
        "memory_gib": _memory(),
        "load_before": round(_LOAD, 2),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": versions(*_PACKAGES) | {"rustc": _rustc()},
        "note": note,
        "figures": {name: _rounded(value) for name, value in figures.items()},
    }
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


def _commit() -> str:
    """The commit that is checked out, with ``+`` where files differ from it."""
    here = HISTORY.parent
    changes = ("diff", "--quiet", "HEAD", "--", ":/", f":(exclude,top)benches/{HISTORY.name}")
    try:
        head = subprocess.check_output(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, text=True, stderr=subprocess.PIPE
        )
        differs = subprocess.run(["git", *changes], cwd=here, check=False).returncode != 0
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return head.strip() + "+" * differs


def _date() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _rustc() -> str:
    rustc = shutil.which("rustc")
    if rustc is None:
        return "?"
    done = subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False)
    return "".join(done.stdout.split()[1:2]) or "?"

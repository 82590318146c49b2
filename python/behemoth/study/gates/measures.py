"""What gates measured, on disk: a file for each gate of one size and seed, written when it is done.

A run that is killed goes on with the seed that it was at; a gate of another size is another file.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from behemoth._gen import digest
from behemoth.study.file.identity import canonical
from behemoth.support.files import as_json, write_bytes

from .bench import Bench
from .record import Gate, Row

__all__ = ["gaps", "identity", "measured", "plain"]

_FORMAT = 1  # of the numbers: raised where what is measured is another thing


def identity(gate: Gate) -> str:
    """Name a gate of one size, with any number of seeds: 16 hexadecimal digits."""
    size: Any = gate
    what = {key: value for key, value in asdict(size).items() if key != "seeds"}
    return digest(canonical([_FORMAT, gate.number, plain(what)]).encode())[:16]


def measured(gate: Gate, bench: Bench) -> tuple[Row, float]:
    """Give what a gate measures of a seed and the seconds that it took, made once."""
    units = sorted([*(unit.id for unit in bench.units.models.values()),
                    *(unit.id for unit in bench.units.trials.values())])  # fmt: skip
    name = digest(canonical([identity(gate), bench.seed, bench.threads, units]).encode())[:16]
    file: Path = bench.directory.path / "measures" / f"{gate.number:02}-{name}.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        return gaps(found["row"]), found["seconds"]
    began = time.perf_counter()
    row = plain(gate.measure(bench))
    seconds = time.perf_counter() - began
    write_bytes(file, as_json({"gate": gate.number, "seed": bench.seed, "seconds": seconds,
                               "row": row}))  # fmt: skip
    return gaps(row), seconds


def plain(value: Any) -> Any:
    """Give values that JSON has, with none for what is no number."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    item = getattr(value, "item", None)  # of numbers that numpy has
    return value if item is None else item()


def gaps(value: Any) -> Any:
    """Give what `plain` gave with NaN for none."""
    if isinstance(value, dict):
        return {key: gaps(one) for key, one in value.items()}
    if isinstance(value, list):
        return [gaps(one) for one in value]
    return math.nan if value is None else value

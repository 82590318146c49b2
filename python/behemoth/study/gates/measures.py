"""Measurements of gates on disk: one file per gate, size and seed, written when it is finished.

A run that was killed resumes with the seed it was at; a gate of another size has other files.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from behemoth._gen import digest
from behemoth.model.threads import threads
from behemoth.study.file.identity import canonical
from behemoth.support.digests import no_record, read_sealed, sealed
from behemoth.support.errors import CorpusError
from behemoth.support.files import as_json, write_bytes

from .record import Gate, Row
from .units import GateResults

__all__ = ["MEASURES", "gaps", "identity", "measured", "plain", "read_measurements"]

MEASURES = "measures"
"""Folder of the measurements, in a directory of gates."""

_FORMAT = 1  # increased when the meaning of measurements changes


def identity(gate: Gate) -> str:
    """Return the id of a gate of one size, with any number of seeds: 16 hexadecimal digits."""
    size: Any = gate
    what = {key: value for key, value in asdict(size).items() if key != "seeds"}
    return digest(canonical([_FORMAT, gate.number, plain(what)]).encode())[:16]


def measured(gate: Gate, results: GateResults) -> tuple[Row, float]:
    """Return the measurements of a gate for one seed and their seconds, from disk if present.

    Measurements are made with the threads of the results. A damaged file is measured again.
    """
    units = sorted([*(unit.id for unit in results.units.models.values()),
                    *(unit.id for unit in results.units.trials.values())])  # fmt: skip
    name = digest(canonical([identity(gate), results.seed, results.threads, units]).encode())[:16]
    file: Path = results.directory.path / MEASURES / f"{gate.number:02}-{name}.json"
    if file.is_file():
        with suppress(CorpusError):
            found = read_measurements(file)
            return gaps(found["row"]), found["seconds"]
    began = time.perf_counter()
    with threads(results.threads):  # the weights that a gate trains depend on them
        row = plain(gate.measure(results))
    seconds = time.perf_counter() - began
    about = {"gate": gate.number, "seed": results.seed, "seconds": seconds, "row": row}
    write_bytes(file, as_json(sealed(about)))
    return gaps(row), seconds


def read_measurements(file: Path) -> dict[str, Any]:
    """Read the measurements of a gate for one seed: ``row`` and ``seconds``.

    Raises
    ------
    CorpusError
        If the file is damaged. Earlier versions did not seal it.
    """
    found = read_sealed(file, "measurements of a gate")
    # Nothing else: a flipped bit may rename the key of the seal.
    if not {"row", "seconds"} <= found.keys() <= {"gate", "seed", "row", "seconds"}:
        raise no_record(file, "record of measurements of a gate")
    return found


def plain(value: Any) -> Any:
    """Convert a value to JSON types, with None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    item = getattr(value, "item", None)  # numpy scalars
    return value if item is None else item()


def gaps(value: Any) -> Any:
    """Replace None by NaN in values returned by `plain`."""
    if isinstance(value, dict):
        return {key: gaps(one) for key, one in value.items()}
    if isinstance(value, list):
        return [gaps(one) for one in value]
    return math.nan if value is None else value

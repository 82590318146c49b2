"""Run gates: the units of all of them on the local engine, each once, then a verdict each."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.study.directory import StudyDirectory, StudyError
from behemoth.study.file.expand import Expansion
from behemoth.study.file.identity import FORMAT
from behemoth.study.file.units import ModelUnit, TrialUnit
from behemoth.study.work.engine import Engine
from behemoth.study.work.schedule import Work
from behemoth.support.errors import ArgumentError
from behemoth.support.files import as_json, write_bytes
from behemoth.support.locks import lock
from behemoth.support.progress import Looking, task

from .bench import Bench, Units
from .record import Gate, GateRecord
from .registry import get_gates

__all__ = ["GatesResult", "Unseen", "run_gates"]

_FILE = "gates.json"


@dataclass(frozen=True)
class Unseen:
    """A gate without a verdict.

    Attributes
    ----------
    number : int
    title, reason : str
    """

    number: int
    title: str
    reason: str


@dataclass(frozen=True)
class GatesResult:
    """What `run_gates` found.

    Attributes
    ----------
    out : str
    gates : tuple of GateRecord
    failures : list of Unseen
    seconds : float
        Of this run.
    """

    out: str
    gates: tuple[GateRecord, ...]
    failures: list[Unseen]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def run_gates(
    out: str | PathLike[str] = "gates",
    *,
    only: Sequence[int] | None = None,
    threads: int = 1,
    workers: int | None = None,
    gates: Sequence[Gate] | None = None,
    progress: Looking = None,
) -> GatesResult:
    """Run gates, or go on with them: models and trials that are finished are not made again.

    Parameters
    ----------
    out : path
        Directory for models, trials and ``gates.json``.
    only : sequence of int, optional
        Numbers of gates; all by default.
    threads : int
        CPU threads of a worker; weights depend on it.
    workers : int, optional
        Units at once; by default one for `threads` cores.
    gates : sequence of Gate, optional
        Gates of other sizes, in the place of the registry's.
    progress : callable or Progress, optional
        Who looks on, a few times a second: models, and trials, whose details are a `Status`;
        then gates, whose details are the gate that is looked at.

    Returns
    -------
    GatesResult
        Also written as ``gates.json``, where gates of earlier runs stay.

    Raises
    ------
    ArgumentError
        On a number that is no gate's, or when `out` holds something else.
    StudyError
        When another process is at work there.
    """
    chosen = get_gates(only) if gates is None else list(gates)
    for name, value in (("threads", threads), ("workers", workers)):
        if value is not None and value < 1:
            raise ArgumentError(name, value, "1 or more")
    directory = StudyDirectory(out)
    before = _before(directory.path)
    directory.path.mkdir(parents=True, exist_ok=True)
    with lock(directory.path / ".lock", wait=False) as ours:
        if not ours:
            raise StudyError(f"another process is running gates in {fspath(out)}")
        began = time.perf_counter()
        _write(directory.path, before)
        wanted = [(gate, gate.units(threads)) for gate in chosen]
        work = Work(directory, _expansion([units for _, units in wanted]), progress)
        if work.models or work.trials:
            engine = _engine(directory.path, workers, threads, work)
            try:
                work.carry_out(engine)
            finally:
                engine.close()
        records: list[GateRecord] = []
        failures: list[Unseen] = []
        with task(progress, "gates", "gates") as step:
            for done, (gate, units) in enumerate(wanted, 1):
                step(done, len(wanted), f"gate {gate.number}: {gate.title}")
                try:
                    records.append(_look(gate, Bench(directory, units)))
                except StudyError as error:
                    failures.append(Unseen(gate.number, gate.title, str(error)))
                else:
                    before[gate.number] = records[-1].to_dict()
                    _write(directory.path, before)
        return GatesResult(fspath(out), tuple(records), failures, time.perf_counter() - began)


def _look(gate: Gate, bench: Bench) -> GateRecord:
    units = bench.seconds  # of none where one of them failed, and that is told
    began = time.perf_counter()
    seen = gate.look(bench)
    return GateRecord(
        number=gate.number,
        title=gate.title,
        done=seen.done,
        seen=seen.numbers,
        summary=seen.judgement.summary,
        rule=gate.rule,
        verdict=seen.judgement.verdict,
        expected=seen.judgement.expected,
        source=gate.source,
        seconds=units + time.perf_counter() - began,
    )


def _expansion(wanted: Sequence[Units]) -> Expansion:
    """All units once: gates share those that are the same."""
    models: dict[str, ModelUnit] = {}
    trials: dict[str, TrialUnit] = {}
    for units in wanted:
        models |= {unit.id: unit for unit in units.models.values()}
        trials |= {unit.id: unit for unit in units.trials.values()}
    return Expansion(models, list(trials.values()))


def _engine(path: Path, workers: int | None, threads: int, work: Work) -> Engine:
    from behemoth.study.work.local import LocalEngine
    from behemoth.support.provenance import cores

    count = workers or max(1, cores() // threads)
    return LocalEngine(path, min(count, max(len(work.models), len(work.trials))), threads)


def _before(path: Path) -> dict[int, dict[str, Any]]:
    """Records of earlier runs, by number."""
    if path.exists() and not path.is_dir():
        raise ArgumentError("out", fspath(path), "a directory")
    if not path.is_dir() or not {entry.name for entry in path.iterdir()} - {".lock"}:
        return {}
    try:
        about = json.loads((path / _FILE).read_text(encoding="utf-8"))
        found = {record["number"]: record for record in about["gates"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise ArgumentError(
            "out",
            f"{fspath(path)!r}, which holds something else",
            f"a new or empty directory, or one of gates (with {_FILE})",
        ) from None
    if about.get("format_version") != FORMAT:
        raise ArgumentError(
            "out",
            f"{fspath(path)!r}, gates of format version {about.get('format_version')}",
            f"a new directory, or one of gates of format version {FORMAT}",
        )
    return found


def _write(path: Path, records: dict[int, dict[str, Any]]) -> None:
    listed = [records[number] for number in sorted(records)]
    write_bytes(path / _FILE, as_json({"format_version": FORMAT, "gates": listed}))

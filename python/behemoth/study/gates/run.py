"""Run gates one after the other: the units of each on the local engine, then its verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth.study.directory import StudyDirectory, StudyError
from behemoth.study.work.engine import Engine, check_sizes
from behemoth.study.work.memory_budget import Shares
from behemoth.study.work.schedule import Work
from behemoth.support.checks import flag, whole_number
from behemoth.support.progress import ProgressLike, check_progress, task
from behemoth.support.provenance import processor, versions

from .conditions import verdict_of
from .measures import identity, measured, plain
from .memory_budget import shares_of_gates
from .record import Gate, GateRecord, Row
from .registry import get_gates
from .stored import earlier_gates, write_gates
from .units import GateResults, expansion_of, units_of

__all__ = ["GateState", "GatesResult", "Unseen", "run_gates"]


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
class GateState:
    """Progress of a gate.

    Attributes
    ----------
    number : int
    title : str
    models, trials : int
        Number of models and trials that it needs, over all seeds.
    models_done, trials_done : int
        Number of them that are finished.
    seconds_left : float
        Estimated seconds of one worker, for models and trials alone.
    verdict : str or None
        Verdict at this size, if there is one.
    """

    number: int
    title: str
    models: int
    trials: int
    models_done: int
    trials_done: int
    seconds_left: float
    verdict: str | None


@dataclass(frozen=True)
class GatesResult:
    """Outcome of `run_gates`.

    Attributes
    ----------
    out : str
    gates : tuple of GateRecord
        Gates that this run has given a verdict.
    failures : list of Unseen
        Gates of this run without a verdict.
    seconds : float
        Duration of this run.
    states : tuple of GateState
        States of all requested gates.
    """

    out: str
    gates: tuple[GateRecord, ...]
    failures: list[Unseen]
    seconds: float
    states: tuple[GateState, ...] = field(default=())

    def __fspath__(self) -> str:
        return self.out

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        values: dict[str, Any] = plain(asdict(self))
        return values


def run_gates(
    out: str | PathLike[str] = "gates",
    *,
    gate: int | Sequence[int] | None = None,
    threads: int = 1,
    workers: int | None = None,
    reasons: bool = False,
    dry_run: bool = False,
    memory: int | None = None,
    gates: Sequence[Gate] | None = None,
    progress: ProgressLike = None,
) -> GatesResult:
    """Run or resume gates; finished units are not carried out again.

    The verdict of a gate is written as soon as it is finished. Models, trials and measurements of
    each seed are saved one by one, and models save checkpoints during training.

    Parameters
    ----------
    out : path
        Directory for models, trials, measurements and ``gates.json``.
    gate : int or sequence of int, optional
        Number of a gate, or numbers of gates, which are run in this order; all by default.
    threads : int
        CPU threads per worker, on which weights depend.
    workers : int, optional
        Number of units at a time; by default one per `threads` cores.
    reasons : bool
        For gates that are not reproduced, test the reasons that can be tested.
    dry_run : bool
        Only report the progress of each gate.
    memory : int, optional
        Bytes that all workers, and this process, which measures, may use on a CPU; by default what
        the machine or the container has free. There are fewer workers if these do not fit, unless
        `workers` is given.
    gates : sequence of Gate, optional
        Gates of other sizes, instead of the registry's.
    progress : callable or Progress, optional
        Called a few times a second for models and for trials, the latter with a `Status`, and for
        gates, with the number and title of the current gate.

    Returns
    -------
    GatesResult
        Its gates are also written to ``gates.json``, which keeps gates of earlier runs.

    Raises
    ------
    ArgumentError
        If a number is not that of a gate, `out` contains something else, or a unit of a gate is
        estimated to need more memory.
    CorpusError
        If ``gates.json`` is damaged.
    StudyError
        If another process is running gates in `out`.
    """
    chosen = get_gates(gate) if gates is None else list(gates)
    check_sizes(workers, threads)
    check_progress(progress)
    reasons, dry_run = flag("reasons", reasons), flag("dry_run", dry_run)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    before = earlier_gates(out)
    directory = StudyDirectory(out)
    if dry_run:
        return GatesResult(fspath(out), (), [], 0.0, _states(directory, chosen, threads, before))
    shares = shares_of_gates(directory, chosen, threads, workers, memory, reasons=reasons)
    directory.path.mkdir(parents=True, exist_ok=True)
    with directory.locked(f"running gates in {fspath(out)}"):
        began = time.perf_counter()
        # Read again: another process may have written a verdict before the lock was acquired.
        before = earlier_gates(out)
        write_gates(directory.path, before)
        records: list[GateRecord] = []
        failures: list[Unseen] = []
        shared_workers = _Workers(directory, threads, shares, progress)
        with closing(shared_workers), task(progress, "gates", "gates") as step:
            for done, one in enumerate(chosen, 1):
                named = f"gate {one.number}: {one.title}"
                step(done - 1, len(chosen), f"{done - 1} of {len(chosen)}, {named}")
                try:
                    records.append(_run(shared_workers, one, reasons=reasons))
                except StudyError as error:
                    failures.append(Unseen(one.number, one.title, str(error)))
                else:
                    about = {"identity": identity(one), **plain(records[-1].to_dict())}
                    before[one.number] = about
                    write_gates(directory.path, before)
                step(done, len(chosen), f"{done} of {len(chosen)}, {named}")
        states = _states(directory, chosen, threads, before)
        seconds = time.perf_counter() - began
        return GatesResult(fspath(out), tuple(records), failures, seconds, states)


class _Workers:
    """Workers that are started when first needed, and kept for all gates."""

    def __init__(
        self, directory: StudyDirectory, threads: int, shares: Shares, progress: ProgressLike
    ) -> None:
        self.directory, self.threads, self.shares = directory, threads, shares
        self.progress = progress
        self._engine: Engine | None = None

    def close(self) -> None:
        """Stop the workers, if any were started."""
        if self._engine is not None:
            self._engine.close()

    def rows(self, gate: Gate) -> tuple[list[Row], float]:
        """Carry out the units of a gate; return its measurements per seed, and worker seconds."""
        wanted = units_of(gate, self.threads)
        work = Work(self.directory, expansion_of(wanted), self.progress)
        if work.models or work.trials:
            if self._engine is None:
                self._engine = _engine(self.directory.path, self.shares, self.threads)
            work.carry_out(self._engine)
        rows: list[Row] = []
        seconds = 0.0
        for seed, units in enumerate(wanted):
            results = GateResults(self.directory, units, seed, self.threads)
            seconds += results.seconds  # raises if one of the units failed
            row, own = measured(gate, results)
            rows.append(row)
            seconds += own
        return rows, seconds


def _run(workers: _Workers, gate: Gate, *, reasons: bool) -> GateRecord:
    rows, seconds = workers.rows(gate)
    held = tuple(condition.judge() for condition in gate.conditions(rows))
    verdict = verdict_of(held)
    tested: list[Mapping[str, Any]] = []
    for reason in gate.reasons if verdict != "reproduced" else ():
        about: dict[str, Any] = {
            "says": reason.says, "changes": dict(reason.changes), "cost": reason.cost,
        }  # fmt: skip
        if reason.changes and reasons:
            changed = reason.changed(gate)
            try:
                other, _ = workers.rows(changed)
            except StudyError as error:
                about["failed"] = str(error)
            else:
                found = [condition.judge() for condition in changed.conditions(other)]
                about |= {"verdict": verdict_of(found), "conditions": [asdict(x) for x in found],
                          "processor": processor()}  # fmt: skip
        tested.append(about)
    return GateRecord(
        number=gate.number,
        name=gate.name,
        title=gate.title,
        verdict=verdict,
        setting=gate.setting,
        conditions=held,
        rows=tuple(rows),
        seconds=seconds,
        threads=workers.threads,
        source=gate.source,
        processor=processor(),
        versions=versions("behemoth", "torch", "transformers"),
        reasons=tuple(tested),
    )


def _engine(path: Path, shares: Shares, threads: int) -> Engine:
    from behemoth.study.work.local import LocalEngine, wait_for_workers

    wait_for_workers(path)
    return LocalEngine(path, shares.workers, threads, memory=shares.unit_bytes)


def _states(
    directory: StudyDirectory,
    gates: Sequence[Gate],
    threads: int,
    records: Mapping[int, Mapping[str, Any]],
) -> tuple[GateState, ...]:
    """Return the progress of each gate."""
    states: list[GateState] = []
    for gate in gates:
        everything = expansion_of(units_of(gate, threads))
        work = Work(directory, everything, None)
        left = sum(cost.seconds for cost in work.estimate())
        record = records.get(gate.number, {})
        own = {"identity": identity(gate), "threads": threads}  # on which weights depend
        same = own.items() <= record.items() and len(record["rows"]) == gate.seeds
        models, trials = len(everything.models), len(everything.trials)
        states.append(
            GateState(
                gate.number, gate.title, models, trials, models - len(work.models),
                trials - len(work.trials), left, record.get("verdict") if same else None,
            )
        )  # fmt: skip
    return tuple(states)

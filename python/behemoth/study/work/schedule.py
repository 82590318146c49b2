"""Scheduling of units: the order, the slots, and the handling of failures."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from behemoth.study.directory import StudyDirectory
from behemoth.study.file.expand import Expansion
from behemoth.study.file.units import ModelUnit, TrialUnit, Unit
from behemoth.study.records import ModelRecord, TrialRecord
from behemoth.support.errors import CorpusError
from behemoth.support.progress import ProgressLike, task
from behemoth.support.text import clock_text

from .cost import Cost, Estimator
from .engine import Engine, Event

__all__ = ["Status", "Work"]

_TICK = 0.25  # seconds between looks at the workers
_MODEL = "model"  # kind of unit; those of trials have the label of their method


@dataclass(frozen=True)
class Status:
    """Progress of a study; `str` gives it in one line.

    Attributes
    ----------
    models, trials : int
        Number of models and trials of the study.
    models_done, trials_done : int
        Number of them that are neither waiting nor under way: finished in this run or before, or
        failed in this run.
    running, failed : int
        Number of units under way, and of models and trials that failed in this run.
    seconds_left : float
        Estimated seconds left.
    """

    models: int
    trials: int
    models_done: int
    trials_done: int
    running: int
    failed: int
    seconds_left: float

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{self.trials_done} of {self.trials}, {self.running} running{failed}, "
            f"{clock_text(self.seconds_left)} left"
        )


@dataclass
class _Running:
    """A unit under way."""

    unit: Unit
    began: float
    seconds: float
    share: float = 0.0


@dataclass
class _Pace:
    """Sums over the units of one kind.

    Attributes
    ----------
    waiting : int
        Number of waiting units.
    left : float
        Estimated seconds of these.
    finished : int
        Number of units finished in this run.
    spent, estimated : float
        Seconds of these, and those that were estimated.
    """

    waiting: int = 0
    left: float = 0.0
    finished: int = 0
    spent: float = 0.0
    estimated: float = 0.0

    def wait(self, seconds: float, units: int) -> None:
        """Add a unit to those that wait, or, with -1, take one from them."""
        self.waiting += units
        self.left = self.left + units * seconds if self.waiting else 0.0

    def finish(self, seconds: float, estimated: float) -> None:
        """Add a finished unit."""
        self.finished += 1
        self.spent += seconds
        self.estimated += estimated

    @property
    def correction(self) -> float:
        """Seconds of finished units by those that were estimated; 1 if none is finished."""
        return self.spent / max(1e-9, self.estimated) if self.finished else 1.0


@dataclass
class Work:
    """The remaining units of a study, and their distribution over the slots of an engine.

    Parameters
    ----------
    directory : StudyDirectory, optional
        Records of finished units; None if nothing counts as finished.
    expansion : Expansion
    progress : callable or Progress, optional
        Called a few times a second for models and for trials, the latter with a `Status`.

    Attributes
    ----------
    models, trials : dict
        Waiting units by id: neither finished nor under way.
    awaited : list of (Unit, str)
        Units that failed here, with the reason, while another part of the study carries them out.
    trained, carried_out, failed : int
        Number of models trained and trials carried out in this run, and of both that failed.
    working : float
        Total seconds of all workers.
    """

    directory: StudyDirectory | None
    expansion: Expansion
    progress: ProgressLike
    models: dict[str, ModelUnit] = field(init=False)
    trials: dict[str, TrialUnit] = field(init=False)

    def __post_init__(self) -> None:
        self.models = {
            name: unit
            for name, unit in self.expansion.models.items()
            if not self.is_done("model", name)
        }
        self.trials = {
            unit.id: unit for unit in self.expansion.trials if not self.is_done("trial", unit.id)
        }
        self.running: dict[int, _Running] = {}
        self.awaited: list[tuple[Unit, str]] = []
        self.last: dict[int, str] = {}  # the last model of each slot
        self.estimates: dict[str, float] = {}
        # Sums, as a look at every unit in each round would take longer the more units there are.
        self.paces: dict[str, _Pace] = {}
        self.of_trials = _Pace()  # finished ones of every kind
        self.failed = self.trained = self.carried_out = 0
        self.working = 0.0

    @cached_property
    def costs(self) -> Estimator:
        """The estimator of costs, which keeps the corpora that it counts."""
        return Estimator()

    def estimate(self) -> list[Cost]:
        """Estimate the costs of all remaining units: of the models, then of the trials."""
        models, costs = self.expansion.models, self.costs
        return [
            *(costs.model(unit) for unit in self.models.values()),
            *(costs.trial(unit, models[unit.model]) for unit in self.trials.values()),
        ]

    def carry_out(self, engine: Engine) -> None:
        """Carry out all remaining units."""
        self._expect_all()
        slots = engine.slots
        models, trials = (
            task(self.progress, "models", "models"),
            task(self.progress, "trials", "trials"),
        )
        with models as of_models, trials as of_trials:

            def tell() -> None:
                status = self._status(slots)
                of_models(status.models_done, status.models)
                of_trials(status.trials_done, status.trials, status)

            while self.models or self.trials or self.running or self.awaited:
                for slot in range(slots):
                    if slot not in self.running and (unit := self._next(slot)) is not None:
                        self._submit(engine, slot, unit)
                tell()
                for event in engine.wait(_TICK):
                    self._heard(event)
                awaited, self.awaited = self.awaited, []
                for unit, reason in awaited:
                    self._fail(unit, reason)
            tell()

    def is_done(self, kind: Literal["model", "trial"], name: str) -> bool:
        """Return whether a model or trial is finished and did not fail."""
        if self.directory is None:
            return False
        of = self.directory.model_record if kind == "model" else self.directory.trial_record
        try:
            record = of(name)
        except CorpusError as error:
            logging.getLogger(__name__).warning("%s; this %s is made again", error, kind)
            return False
        return record is not None and record.status == "done"

    def _expect_all(self) -> None:
        """Enter all remaining units as waiting, with their estimated seconds."""
        units = [*self.models.values(), *self.trials.values()]
        for unit, cost in zip(units, self.estimate(), strict=True):
            self.estimates[unit.id] = cost.seconds
            self._pace(unit).wait(cost.seconds, 1)

    def _next(self, slot: int) -> Unit | None:
        """Choose the next unit of a slot, None if none is ready.

        Models come first, the longest first. Then trials: on the last model of this slot if any,
        else on one that is not the last model of another busy slot if any.
        """
        if self.models:
            name = max(self.models, key=lambda name: self.estimates[name])
            return self._taken(self.models[name])
        training = {unit.id for unit in self._under_way if isinstance(unit, ModelUnit)}
        ready = [unit for unit in self.trials.values() if training.isdisjoint(unit.models)]
        if not ready:
            return None
        mine = [unit for unit in ready if unit.model == self.last.get(slot)]
        taken = {self.last.get(other) for other in self.running if other != slot}
        free = [unit for unit in ready if unit.model not in taken]
        chosen = (mine or free or ready)[0]
        return self._taken(chosen)

    def _taken(self, unit: Unit) -> Unit:
        """Take a unit from those that wait."""
        del (self.models if isinstance(unit, ModelUnit) else self.trials)[unit.id]
        self._pace(unit).wait(self.estimates[unit.id], -1)
        return unit

    @property
    def _under_way(self) -> list[Unit]:
        """Units that are carried out here, or awaited from another part."""
        return [*(run.unit for run in self.running.values()), *(unit for unit, _ in self.awaited)]

    def _pace(self, unit: Unit) -> _Pace:
        return self.paces.setdefault(_kind(unit), _Pace())

    def _submit(self, engine: Engine, slot: int, unit: Unit) -> None:
        self.last[slot] = unit.id if isinstance(unit, ModelUnit) else unit.model
        self.running[slot] = _Running(unit, time.monotonic(), self.estimates[unit.id])
        engine.submit(slot, unit)

    def _heard(self, event: Event) -> None:
        run = self.running[event.slot]
        if event.kind == "progress":
            run.share = event.share
            return
        del self.running[event.slot]
        # Tasks of a cluster may wait for room, so they report their own duration.
        since = time.monotonic() - run.began
        seconds = since if event.seconds is None else event.seconds
        self.working += seconds
        if event.kind == "failed":
            self._fail(run.unit, event.reason)
            return
        self._pace(run.unit).finish(seconds, run.seconds)
        if isinstance(run.unit, ModelUnit):
            self.trained += 1
            return
        self.of_trials.finish(seconds, run.seconds)
        self.carried_out += 1
        self.failed += event.status == "failed"

    def _fail(self, unit: Unit, reason: str) -> None:
        """Record that a unit failed; the trials of a failed model fail, too.

        The result of a unit that another part is carrying out is awaited. It does not go to a
        worker again: two parts that take it from each other would never record that it fails.
        """
        failed = self._record(unit, reason)
        if failed is None:
            self.awaited.append((unit, reason))
        if not failed:
            return
        self.failed += 1
        if isinstance(unit, TrialUnit):
            return
        for trial in [trial for trial in self.trials.values() if unit.id in trial.models]:
            self._taken(trial)
            self._fail(trial, f"model {unit.id}: {reason}")

    def _record(self, unit: Unit, reason: str) -> bool | None:
        """Record a failure, unless another part of the study has carried the unit out meanwhile.

        A worker that waits for another part's result may be killed; that result is kept. None is
        returned while the other part is at work: waiting for it here would hold up all units.
        """
        directory, trial = self.directory, isinstance(unit, TrialUnit)
        assert directory is not None  # whoever carries units out has one
        place = directory.trial(unit.id) if trial else directory.model(unit.id)
        with directory.holding(place, wait=False) as ours:
            if not ours:
                return None
            if self.is_done("trial" if trial else "model", unit.id):
                return False
            if isinstance(unit, TrialUnit):
                row = vars(unit.row())
                directory.write(TrialRecord(**row, status="failed", reason=reason, seconds={}))
            else:
                directory.write(ModelRecord(unit.id, "failed", reason))
        return True

    def _status(self, slots: int) -> Status:
        models, trials = len(self.expansion.models), len(self.expansion.trials)
        under_way = self._under_way
        training = sum(isinstance(unit, ModelUnit) for unit in under_way)
        return Status(
            models=models,
            trials=trials,
            models_done=models - len(self.models) - training,
            trials_done=trials - len(self.trials) - (len(under_way) - training),
            running=len(self.running),
            failed=self.failed,
            seconds_left=self._seconds_left(slots),
        )

    def _seconds_left(self, slots: int) -> float:
        """Estimate the seconds left, corrected by the times of finished units of each kind."""
        now = time.monotonic()
        left = 0.0
        longest = 0.0
        for run in self.running.values():
            own = run.seconds * self._correction(_kind(run.unit))
            if run.share > 0.02:
                own = (now - run.began) / run.share
            rest = max(0.0, own - (now - run.began))
            left, longest = left + rest, max(longest, rest)
        left += sum(pace.left * self._correction(kind) for kind, pace in self.paces.items())
        for unit, _ in self.awaited:
            left += self.estimates[unit.id] * self._correction(_kind(unit))
        return max(longest, left / max(1, slots))

    def _correction(self, kind: str) -> float:
        """Return that of a kind; of trials none of whose kind is finished, that of all trials."""
        pace = self.paces[kind]
        return (pace if pace.finished or kind == _MODEL else self.of_trials).correction


def _kind(unit: Unit) -> str:
    return _MODEL if isinstance(unit, ModelUnit) else f"trial {unit.choice.label}"

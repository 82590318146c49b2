"""A study whose units are files of fixed bytes, made at once and without torch, and its parts."""

from __future__ import annotations

from pathlib import Path

from behemoth.store.ledger import LEDGER, read_ledger
from behemoth.store.place import open_place
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.spec import Study
from behemoth.study.file.units import ModelUnit, TrialUnit
from behemoth.study.records import ModelRecord, TrialRecord
from behemoth.study.work import local, prepare, run as runs
from behemoth.study.work.engine import Event
from behemoth.study.work.memory_budget import Shares

__all__ = ["STUDY", "Making", "ModelUnit", "TrialUnit", "install", "ledger", "part"]

STUDY = """
name = "made"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = 2
[train]
model = "pico"
steps = 2
[plan]
edits = 2
[[method]]
name = "lora"
settings = { steps = 1 }
[[method]]
name = "ft"
settings = { steps = 1 }
[grid]
"train.seed" = [0, 1, 2]
"""
"""Three models and six trials, which share one plan."""


class Making:
    """Makes one unit at a time in the directory of a study.

    `before` is called with each unit; what it returns, if anything, is why the unit fails. With
    `mark`, the files of models and plans are those of one machine.
    """

    slots = 1

    def __init__(self, path, before=lambda unit: None, mark=""):
        self.directory, self.before, self.mark = StudyDirectory(path), before, mark
        self.unit = None

    def submit(self, slot, unit):
        self.unit = unit

    def wait(self, seconds):
        unit, self.unit = self.unit, None
        reason = self.before(unit)
        of = self._model if isinstance(unit, ModelUnit) else self._trial
        of(unit, reason)
        return [Event(0, "done", 1.0, "done" if reason is None else "failed")]

    def close(self):
        pass

    def _model(self, unit, reason):
        if reason is not None:
            self.directory.write(ModelRecord(unit.id, "failed", reason))
            return
        place = self.directory.model(unit.id)
        _write(place / "model.safetensors", f"{unit.id} {self.mark}" * 5_000)
        _write(place / "recall.parquet", unit.id)
        self.directory.write(ModelRecord(unit.id, "done"))

    def _trial(self, unit, reason):
        plan = self.directory.plan(unit.plan.id)
        if not (plan / "plan.toml").is_file():
            _write(plan / "probes.parquet", f"{unit.plan.id} {self.mark}")
            _write(plan / "plan.toml", "x = 1\n")
        if reason is None:
            _write(self.directory.fresh(unit.id) / "edits.parquet", unit.id)
        row, status = vars(unit.row()), "done" if reason is None else "failed"
        self.directory.write(TrialRecord(**row, status=status, reason=reason, seconds={}))


def _write(file, text):
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def install(**options):
    """Let all studies of this process be made in this way."""
    local.gpus = lambda: 0
    # An estimate compiles the plan of every run, which makes nothing that is looked at here.
    prepare.shares_of = lambda work, workers, *_, **__: Shares(workers, None, None)
    runs._engine = lambda name, path, *_: Making(path, **options)


def part(url, number, count=3, study=None, **options):
    """Carry out part `number` of `count` of a study at a URL."""
    study = Study.parse(STUDY) if study is None else study
    return runs.run_study(study, url, part=(number, count), **options)


def ledger(url, name=LEDGER):
    """Return a ledger of a URL: that of all, or that of a part by its name."""
    return read_ledger(open_place("url", url), name)

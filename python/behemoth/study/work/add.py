"""A model that another tool has edited, added to a study as a trial.

Models of a study are transformers models, and its plans can be exported to formats of other tools.
The model that such a tool edits is measured like the study's own trials of that model and plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar

from behemoth.edit.protocol import ALL_KINDS, EditContext, EditKind, Goal, MethodInfo
from behemoth.edit.registry import method_type
from behemoth.evaluate.foreign_delta import foreign_delta, weights_id
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.measurement import Measurement
from behemoth.study.file.method import MethodChoice
from behemoth.study.file.units import PlanUnit, TrialUnit
from behemoth.study.records import FOREIGN, StudyRecord, TrialRecord, TrialRow, place_of
from behemoth.support.errors import ArgumentError, renamed

if TYPE_CHECKING:
    from torch import nn

    from behemoth.delta.delta import EditDelta

__all__ = ["add_model"]


@dataclass
class _Foreign:
    """The method of another tool, of which only the edited model is known.

    The model's path is not a setting: the id of the trial follows from its weights alone.
    """

    model: InitVar[str]
    digest: str
    name: str
    goal: Goal

    kinds: ClassVar[frozenset[EditKind]] = ALL_KINDS

    def __post_init__(self, model: str) -> None:
        self._place = model

    @property
    def info(self) -> MethodInfo:
        """Description of the method, with the goal of the trial it is measured like."""
        return MethodInfo(
            name=self.name, family="fine-tuning", source="another tool", changes="unknown",
            kinds=self.kinds, stacks=False, goal=self.goal, doses=False,
        )  # fmt: skip

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return the difference of the two models as a delta."""
        return [foreign_delta(self._place, self.name, model, plan) for plan in plans]  # type: ignore[arg-type]


def add_model(
    study: str | PathLike[str],
    model: str | PathLike[str],
    *,
    name: str,
    run: str,
    plan: str,
) -> TrialRecord:
    """Add a model that another tool has edited to a study.

    Parameters
    ----------
    study : path
    model : path
        Directory as written by `save_pretrained`: the run, edited by the plan.
    name : str
        New label of the method; the same for all models that the tool edited. A model that was
        added with this label for the same run and plan is replaced.
    run, plan : str
        Ids of the model and of the plan in the study: names of folders in ``models`` and ``plans``.

    Returns
    -------
    TrialRecord
        Record of the new trial, measured like the study's own first trial of this run and plan.

    Raises
    ------
    ArgumentError
        If the study has no such run or plan, the plan is of several independent edits, its trials
        take the suite ``sequence``, or `model` is not a model or of another shape.
    StudyError
        If another process is running the study.
    """
    from behemoth.study.trial.laboratory import Laboratory

    directory = StudyDirectory(study)
    with renamed(path="study"):
        about = directory.read()
    _check_label(about, name)
    beside = _beside(directory, about, run, plan)
    measured = Measurement.from_dict(beside.measure)
    if measured.suite == "sequence":
        allowed = "one whose trials take another suite than sequence: a model has no checkpoints"
        raise ArgumentError("plan", plan, allowed)
    measured = replace(measured, sequential=False)  # the model has all edits at once
    made = EditPlan.load(directory.plan(plan))
    if made.request.independent and len(made) > 1:
        raise ArgumentError("plan", plan, "one whose edits are made together: a model has them all")
    forgets = method_type(beside.method).info.forgets(nameless=made.nameless)
    method: Any = _Foreign(fspath(model), weights_id(model), name, "forget" if forgets else "flip")
    choice = MethodChoice(name, name, method, {})
    unit = TrialUnit.of(
        run, PlanUnit(plan, made.request), choice, measured, beside.rotation, beside.swap,
        beside.twin,
    )  # fmt: skip
    unit = replace(unit, counted=False)  # what the other tool needed is unknown
    with directory.locked(f"running the study in {fspath(study)}"):
        # Read again: another process may have changed the record before the lock was acquired.
        about = directory.read()
        _check_label(about, name)
        text = directory.text()  # refused before the work if it is damaged
        record = Laboratory(directory).carry_out(unit)
        row = replace(unit.row(), family=FOREIGN)
        # A corrected model replaces the one before: two would count their run and plan twice.
        others = tuple(trial for trial in about.trials if place_of(trial) != place_of(row))
        directory.begin(text, replace(about, trials=(*others, row)))
    return record


def _check_label(about: StudyRecord, name: str) -> None:
    given: object = name  # with a label that is no text the study could not be read any more
    taken = any(row.label == name and row.family != FOREIGN for row in about.trials)
    if not isinstance(given, str) or not given or taken:
        raise ArgumentError("name", name, "a label that no method of the study has")


def _beside(directory: StudyDirectory, about: StudyRecord, run: str, plan: str) -> TrialRow:
    """Return the study's own first trial of a run and plan; one that a model can be added to."""
    own = [row for row in about.trials if row.family != FOREIGN]
    runs = list(dict.fromkeys(row.model for row in own))
    if run not in runs:
        raise ArgumentError.unknown("run", run, runs)
    plans = list(dict.fromkeys(row.plan for row in own if row.model == run))
    if plan not in plans:
        raise ArgumentError.unknown("plan", plan, plans)
    same = [row for row in own if (row.model, row.plan) == (run, plan)]
    row = next((row for row in same if row.measure.get("suite") != "sequence"), same[0])
    for needed in (run, *([row.twin] if row.twin else [])):
        record = directory.model_record(needed)
        if record is None or record.status != "done":
            raise ArgumentError("run", run, f"one whose model {needed} is trained (study run)")
    if not (directory.plan(plan) / "plan.toml").is_file():
        raise ArgumentError("plan", plan, "one that a trial was carried out with (study run)")
    return row

"""The contents of ``study.json`` for a study that is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from behemoth._gen import FORMAT_VERSION
from behemoth.edit.errors import MethodError
from behemoth.edit.registry import loadable_methods, method_names
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.expand import Expansion
from behemoth.study.file.spec import Study
from behemoth.study.records import FOREIGN, StudyRecord, TrialRow
from behemoth.support.errors import ArgumentError

__all__ = ["record_of"]


def record_of(
    study: Study, expansion: Expansion, threads: int, directory: StudyDirectory
) -> StudyRecord:
    """Return the record of a study, which keeps the trials of other tools in its directory.

    Raises
    ------
    ArgumentError
        If a method has the label of a model of another tool: tables would take them for one.
    MethodError
        If a method whose trials the study had cannot be loaded any more: they would be dropped.
    """
    before = () if (begun := directory.begun()) is None else begun.trials
    _check_methods(before, expansion)
    foreign = _foreign(before, expansion)
    _check_labels(study, foreign)
    worlds: dict[str, set[str | None]] = {}
    for trial in expansion.trials:
        worlds.setdefault(trial.choice.label, set()).add(trial.choice.world)
    return StudyRecord(
        name=study.name,
        question=study.question,
        primary=asdict(study.primary),
        threads=threads,
        corpus_version=study.format_version or FORMAT_VERSION,
        methods=tuple(choice.among(worlds[choice.label]).to_dict() for choice in study.methods),
        points=study.points,
        models=tuple(unit.to_dict() for unit in expansion.models.values()),
        requests={unit.plan.id: unit.plan.request.to_dict() for unit in expansion.trials},
        trials=(*(unit.row() for unit in expansion.trials), *foreign),
    )


def _check_methods(before: Sequence[TrialRow], expansion: Expansion) -> None:
    """Refuse a study without a method that it had and that is broken, not left out on purpose."""
    now = {trial.choice.method.info.name for trial in expansion.trials}
    gone = {row.method for row in before if row.family != FOREIGN} - now

    def refuse(_: str, line: str) -> None:
        raise MethodError(line)

    for _ in loadable_methods([name for name in method_names() if name in gone], refuse):
        pass


def _check_labels(study: Study, foreign: Sequence[TrialRow]) -> None:
    taken = {row.label for row in foreign}
    for choice in study.methods:
        if choice.label in taken:
            allowed = "labels other than those of models of other tools (study add)"
            raise ArgumentError("method", choice.label, allowed)


def _foreign(before: Sequence[TrialRow], expansion: Expansion) -> list[TrialRow]:
    """Return a study's trials of other tools whose model and plan are still part of it."""
    pairs = {(trial.model, trial.plan.id) for trial in expansion.trials}
    return [row for row in before if row.family == FOREIGN and (row.model, row.plan) in pairs]

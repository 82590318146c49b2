"""The contents of ``study.json`` for a study that is run."""

from __future__ import annotations

from dataclasses import asdict

from behemoth._gen import FORMAT_VERSION
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.expand import Expansion
from behemoth.study.file.spec import Study
from behemoth.study.records import FOREIGN, StudyRecord, TrialRow

__all__ = ["record_of"]


def record_of(
    study: Study, expansion: Expansion, threads: int, directory: StudyDirectory
) -> StudyRecord:
    """Return the record of a study, which keeps the trials of other tools in its directory."""
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
        trials=(*(unit.row() for unit in expansion.trials), *_foreign(directory, expansion)),
    )


def _foreign(directory: StudyDirectory, expansion: Expansion) -> list[TrialRow]:
    """Return a study's trials of other tools whose model and plan are still part of it."""
    if not (directory.path / "study.json").is_file():
        return []
    pairs = {(trial.model, trial.plan.id) for trial in expansion.trials}
    return [
        row
        for row in directory.read().trials
        if row.family == FOREIGN and (row.model, row.plan) in pairs
    ]

"""What is evaluated: a run, or the run of an edit and the edit."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from behemoth.support.checks import path_of
from behemoth.support.errors import ArgumentError, renamed
from behemoth.train.run import Run, read_run

if TYPE_CHECKING:
    from behemoth.edit.record import EditRecord
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["check_plan", "open_source"]


def open_source(name: str, place: str | PathLike[str]) -> tuple[Path, Run, EditRecord | None]:
    """Open a run, or an edit and its run; `name` is the argument that gave the place."""
    from behemoth.edit.record import read_edit

    path = path_of(name, place, "a training run or an edit directory")
    with renamed(directory=name):
        edit = read_edit(path) if (path / "edit.json").is_file() else None
        return path, read_run(path if edit is None else edit.run), edit


def check_plan(plan: EditPlan, run: Run, edit: EditRecord | None) -> None:
    """Refuse a plan of another world, or another plan than the edit's."""
    plan.check(run.corpus)
    if edit is not None and edit.plan_hash != plan.plan_hash:
        raise ArgumentError(
            "plan", f"plan {plan.plan_hash[:12]}", f"the edit's own, {edit.plan_hash[:12]}"
        )

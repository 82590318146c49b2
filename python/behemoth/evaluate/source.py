"""Source of an evaluation: a run or another model, or an edit with its unedited model."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from behemoth.store.source import at_hand
from behemoth.support.checks import url_or_none
from behemoth.support.errors import ArgumentError, renamed
from behemoth.train.run import read_model_source

if TYPE_CHECKING:
    from behemoth.edit.record import EditRecord
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.model_source import ModelSource

__all__ = ["check_plan", "is_edit", "open_source"]


def open_source(
    name: str, place: str | PathLike[str], corpus: str | PathLike[str] | None = None
) -> tuple[Path, ModelSource, EditRecord | None]:
    """Open a run or a model with its corpus, or an edit with the run or model that it changes.

    Parameters
    ----------
    name : str
        Name of the argument, for errors.
    place : path
    corpus : path, optional
        Corpus of a model that is not a training run; an edit records its own.

    Raises
    ------
    ArgumentError
        When it is none of these, or the weights that an edit was made on have changed.
    """
    from behemoth.edit.record import read_edit

    path = at_hand(name, place, "a training run, a model or an edit directory")
    with renamed(directory=name):
        if not is_edit(path):
            return path, read_model_source(path, corpus), None
        edit = read_edit(path, url_or_none(place))
        return path, edit.open_run(corpus), edit


def is_edit(place: str | PathLike[str]) -> bool:
    """Return whether a directory is one of an edit, finished or not."""
    return (Path(place) / "edit.json").is_file()


def check_plan(plan: EditPlan, run: ModelSource, edit: EditRecord | None) -> None:
    """Refuse a plan of another world, or another plan than the edit's."""
    plan.check(run.corpus)
    if edit is not None and edit.plan_hash != plan.plan_hash:
        raise ArgumentError(
            "plan", f"plan {plan.plan_hash[:12]}", f"the edit's own, {edit.plan_hash[:12]}"
        )

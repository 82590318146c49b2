"""Checks of the directories named on a command line, before torch or scipy is imported (slow).

Only the existence and kind are checked, by the functions that also read the directory later and
check the rest. Empty names and URLs are left to those functions.
"""

from __future__ import annotations

from pathlib import Path

from behemoth.support.checks import is_url
from behemoth.support.errors import ArgumentError, renamed

__all__ = [
    "check_corpus", "check_edit", "check_plan", "check_run", "check_source", "check_study",
]  # fmt: skip


def check_run(name: str, place: str, *, model: bool = False) -> None:
    """Refuse anything but a training run or, with `model`, a model saved by transformers.

    Raises
    ------
    ArgumentError
    """
    from behemoth.train.run import run_place

    if _is_here(place):
        with renamed(directory=name):
            run_place(place, model=model)


def check_source(name: str, place: str | None) -> None:
    """Refuse anything but a run, a model, an edit or None.

    Raises
    ------
    ArgumentError
    """
    from behemoth.evaluate.source import is_edit

    if place is not None and not (_is_here(place) and is_edit(place)):
        try:
            check_run(name, place, model=True)
        except ArgumentError as error:
            raise type(error)(error.path, error.got, f"an edit, {error.allowed}") from None


def check_plan(name: str, place: str | None) -> None:
    """Refuse anything but a plan or None.

    Raises
    ------
    ArgumentError
    """
    from behemoth.plan.directory import plan_place

    if place is not None and _is_here(place):
        with renamed(directory=name):
            plan_place(place)


def check_edit(name: str, place: str) -> None:
    """Refuse anything but an edit; a run is left to the export, which says what reads it.

    Raises
    ------
    ArgumentError
    """
    from behemoth.edit.record import read_edit

    if _is_here(place) and not (Path(place) / "run.json").is_file():
        with renamed(directory=name):
            read_edit(place)


def check_study(name: str, place: str) -> None:
    """Refuse anything but a study.

    Raises
    ------
    ArgumentError
    """
    from behemoth.study.directory import StudyDirectory

    if _is_here(place):
        with renamed(path=name):
            StudyDirectory(place).record_file()


def check_corpus(name: str, place: str | None) -> None:
    """Refuse anything but a spec, a corpus or None.

    Raises
    ------
    ArgumentError
    """
    from behemoth.corpus.source import source_place

    if place is not None and _is_here(place):
        with renamed(spec=name):
            source_place(place)


def _is_here(place: str) -> bool:
    return bool(place) and not is_url(place)

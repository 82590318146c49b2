"""Places that a command names, looked for before torch is loaded, which takes seconds.

Only that something of the kind is there is seen here, in the words of those that read it: they see
the rest. What is empty, or a URL, is theirs from the first.
"""

from __future__ import annotations

from behemoth.support.checks import is_url
from behemoth.support.errors import renamed

__all__ = ["check_corpus", "check_plan", "check_run", "check_source"]


def check_run(name: str, place: str, *, model: bool = False) -> None:
    """Refuse what is no training run, nor with `model` a model of transformers.

    Raises
    ------
    ArgumentError
    """
    from behemoth.train.run import run_place

    if _is_here(place):
        with renamed(directory=name):
            run_place(place, model=model)


def check_source(name: str, place: str | None) -> None:
    """Refuse what is neither a run nor a model nor an edit; None is left alone.

    Raises
    ------
    ArgumentError
    """
    from behemoth.evaluate.source import is_edit

    if place is not None and not (_is_here(place) and is_edit(place)):
        check_run(name, place, model=True)


def check_plan(name: str, place: str | None) -> None:
    """Refuse what is no plan; None is left alone.

    Raises
    ------
    ArgumentError
    """
    from behemoth.plan.directory import plan_place

    if place is not None and _is_here(place):
        with renamed(directory=name):
            plan_place(place)


def check_corpus(name: str, place: str | None) -> None:
    """Refuse what is neither a spec nor a corpus; None is left alone.

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

"""Why points of the chart by number of edits are missing, in words, for its caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from behemoth.report.learnt import world_name
from behemoth.study.analysis.leaderboard import Board
from behemoth.support.text import listed_text, plural_text

__all__ = ["gaps_text"]

_UNRUN, _FAILED, _EITHER, _PENDING = (
    "points are missing where a method was not run",
    "points are missing where all trials failed",
    "points are missing where a method was not run, or all trials failed",
    "points are missing where no trial has been run yet",
)
_UNKNOWN = "{} is missing where the models knew no bystander before the edit"
_BROKEN = "{} is missing where no trial has a finite value"
_ABSENT = "{} is missing where no trial has it"


def gaps_text(board: Board, measures: Mapping[str, str], counts: Sequence[int]) -> str:
    """Return sentences that name the missing points by their reason, or an empty text.

    Each sentence follows a space.

    Parameters
    ----------
    board : Board
    measures : mapping of str to str
        Titles of the measures that are drawn.
    counts : sequence of int
        Numbers of edits of a plan, in order.
    """
    worlds = board.cells["grammar"].unique().sort(nulls_last=False).to_list()
    found: dict[str, dict[str, dict[str | None, list[int]]]] = {}
    for label in board.table["label"]:
        for world in worlds:
            for count in counts:
                for reason in _reasons(board, measures, label, world, count):
                    by_world = found.setdefault(reason, {}).setdefault(label, {})
                    by_world.setdefault(world, []).append(count)
    every = board.table.height
    return "".join(
        f" {reason[:1].upper()}{reason[1:]}: {_methods(by_label, every, worlds)}."
        for reason, by_label in found.items()
    )


def _methods(
    by_label: Mapping[str, Mapping[str | None, list[int]]], every: int, worlds: Sequence[object]
) -> str:
    """Return the methods with their numbers; labels have commas, so semicolons are between them."""
    first, *others = by_label.values()
    if others and len(by_label) == every and all(own == first for own in others):
        return _named("all methods", first, worlds)
    return "; ".join(_named(label, own, worlds) for label, own in by_label.items())


def _named(label: str, by_world: Mapping[str | None, list[int]], worlds: Sequence[object]) -> str:
    """Return a method with its numbers of edits, and worlds if it is not the same in all."""
    numbers = list(by_world.values())
    if len(by_world) == len(worlds) and all(own == numbers[0] for own in numbers):
        return f"{label} ({_edits(numbers[0])})"
    each = [f"{_edits(own)} of {world_name(world)}" for world, own in by_world.items()]
    return f"{label} ({listed_text(each)})"


def _edits(counts: Sequence[int]) -> str:
    *earlier, last = counts
    return listed_text([*(f"{count:,}" for count in earlier), plural_text(last, "edit")])


def _reasons(
    board: Board, measures: Mapping[str, str], label: str, world: str | None, count: int
) -> Iterator[str]:
    """Yield why points of a method are missing for a world and a number of edits."""
    there = pl.col("grammar").eq_missing(world)
    rows = board.trials.filter(there, label=label, edits=count)
    if rows.is_empty():
        yield _without_trials(board, label, world, count)
        return
    taken = rows.drop_nulls("value")
    finite = set(taken.filter(pl.col("value").is_finite())["measure"])
    for measure, title in measures.items():
        if measure in finite:
            continue
        if measure in set(taken["measure"]):
            reason = _BROKEN
        else:
            reason = _UNKNOWN if measure == "damage" else _ABSENT
        yield reason.format(title)


def _without_trials(board: Board, label: str, world: str | None, count: int) -> str:
    own = board.outcomes.filter(label=label)
    here = own.filter(pl.col("grammar").eq_missing(world), edits=count)
    became = set(here["outcome"])
    if "failed" in became:
        return _FAILED
    if "not run" in became:
        return _PENDING
    # Of a plan that no trial compiled the number of edits is unknown.
    unknown = own.filter(pl.col("edits").is_null())["outcome"].to_list()
    failed = int(board.table.filter(label=label)["failed"].sum())
    if "failed" in unknown or (own.is_empty() and failed):
        return _EITHER
    return _PENDING if "not run" in unknown else _UNRUN

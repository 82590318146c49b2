"""The headline of a board: which method leads, and what its name alone would hide."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from behemoth.evaluate.damage import BOUND
from behemoth.study.analysis.leaderboard import Board
from behemoth.support.text import listed_text

from .learnt import world_name
from .style import number

__all__ = ["leader", "provisos"]


def leader(board: Board) -> str:
    """Return a sentence that names the leading methods, and those tied with them."""
    table, apart = _compared(board)
    if table.is_empty():
        return "no method has a score yet."
    best = table.row(0, named=True)
    score = number(best["score"], 2)
    if table.height == 1 and not apart:
        return f"{best['label']} is the only method with a score ({score})."
    shared = table.filter(score=best["score"])["label"].to_list()
    have = f"{listed_text(shared)} {'has' if len(shared) == 1 else 'have'} the highest score"
    said = f"{have}, {score}"
    if best["first"] is None:
        return f"{said}; without intervals no method is ranked."
    if apart:
        said = f"{have} of the ranked methods, {score}"
    without = f" Not ranked: {', '.join(apart)}." if apart else ""
    if table.height == 1:
        return f"{best['label']} is the only ranked method, with a score of {score}.{without}"
    # A method whose scores are all 0, or all 1, has a place without an interval.
    low, high = (pl.coalesce(f"score_{end}", "score") for end in ("low", "high"))
    lowest = table.filter(score=best["score"]).select(low.min()).item()
    tied = table.filter((high >= lowest) & ~pl.col("label").is_in(shared))["label"]
    alone = len(shared) == 1
    if tied.is_empty() and table.height == len(shared):
        return f"{said}.{without}"  # all of them share it
    if tied.is_empty() and best["score_low"] is None:  # the same in every trial
        return f"{said}, and no other is tied with {'it' if alone else 'them'}.{without}"
    if tied.is_empty():
        whose = "its interval lies" if alone else "their intervals lie"
        return f"{said}, and {whose} above all others.{without}"
    names = ", ".join(tied.to_list())
    how = "is" if len(tied) == 1 else "are"
    others = f"{len(tied)} of {table.height - len(shared)} others {how} tied with "
    return f"{said}; {others}{'it' if alone else 'them'}: {names}.{without}"


def provisos(board: Board) -> Iterator[str]:
    """Yield what the names of the leading methods alone would hide.

    That is their damage, other worlds, and that methods were not run on the same plans.
    """
    table, _ = _compared(board)
    if table.is_empty():
        return
    for label in table.filter(score=table["score"][0])["label"]:
        for lost in board.measures.filter(label=label, measure="damage")["mean"]:
            if lost is not None and lost > BOUND:
                yield f"{label} loses {number(lost, 2)} of the other facts that the models knew."
    known = board.cells.filter(pl.col("label").is_in(table["label"].implode()), measure="score")
    # Over trials, as all scores: cells differ in the number of theirs if trials have failed.
    mean = (pl.col("mean") * pl.col("rows")).sum() / pl.col("rows").sum()
    worlds = known.group_by("label", "grammar", maintain_order=True).agg(mean)
    yield from _by_world(worlds.sort("grammar", nulls_last=False, maintain_order=True))
    sizes = known.group_by("label", maintain_order=True).agg(pl.col("edits").unique().sort())
    if sizes["edits"].n_unique() > 1:
        yield (
            "Scores are over all plans, and methods differ in the numbers of edits of theirs: "
            "compare within a number."
        )
    # A place over other worlds or initialisations may be theirs, and not the method's.
    run = ("grammar", "edits", "world_seed", "seed")
    own = board.trials.filter(pl.col("label").is_in(table["label"].implode()), measure="score")
    parts = own.drop_nulls("value").partition_by("label", maintain_order=True)
    if len({frozenset(part.select(run).iter_rows()) for part in parts}) > 1:
        yield (
            "Scores and places are over all trials of a method, and methods differ in the worlds, "
            "initialisations or plans of theirs: a difference may be that of what they were run on."
        )


def _by_world(scores: pl.DataFrame) -> Iterator[str]:
    """Yield which methods have the highest score by kind of world, if they are not the same.

    A kind in which all methods have the same score has no highest.
    """
    leading, highest, alike = set[tuple[str, ...]](), list[str](), list[str]()
    for kind in scores.partition_by("grammar", maintain_order=True):
        best = kind.sort("mean", descending=True).row(0, named=True)
        shared = kind.filter(mean=best["mean"])["label"].to_list()
        leading.add(tuple(sorted(shared)))
        world, score = world_name(best["grammar"]), number(best["mean"], 2)
        if len(shared) < kind.height:
            highest.append(f"{listed_text(shared)} for {world} ({score})")
        elif kind.height > 1:
            alike.append(f"all compared methods have {score} for {world}")
        else:
            alike.append(f"{shared[0]} is the only one for {world} ({score})")
    if len(leading) > 1:
        are = "is" if len(highest) == 1 and " and " not in highest[0] else "are"
        said = [f"the highest {are} {' and '.join(highest)}"] if highest else []
        yield f"By kind of world, {'; '.join(said + alike)}."


def _compared(board: Board) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of the methods that are compared, and the names of others with a score.

    They are the ranked methods, or all with a score if none is ranked.
    """
    table = board.table.filter((pl.col("family") != "oracle") & pl.col("score").is_not_null())
    ranked = table.filter(pl.col("first").is_not_null())
    if ranked.is_empty():
        return table, []
    return ranked, table.filter(pl.col("first").is_null())["label"].to_list()

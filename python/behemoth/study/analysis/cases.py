"""Example edits with all their probes: the neighbourhood of a fact, before and after the edit.

The cases are of one model, so that methods are compared on the same facts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

if TYPE_CHECKING:
    from behemoth.study.results import Results

__all__ = ["MOST", "Asked", "Case", "Said", "cases_of"]

MOST = 24
"""Maximum number of cases."""
_METHODS, _FACTS = 8, 6

Outcome = Literal["followed", "not followed", "kept", "lost", "found", "unknown"]
_NEEDED = ("subject", "relation", "template", "wording", "held_out", "generated", "old_match",
           "log_probability_old", "log_probability_true", "log_probability_new")  # fmt: skip
_Names = Mapping[tuple[int, int], str]


@dataclass(frozen=True)
class Said:
    """Answer of a model to a probe.

    Attributes
    ----------
    words : str
        Generated text.
    right : bool
        Whether it is the right answer: before the edit the old one.
    probability : float, optional
        Probability of the right answer.
    old, new : float, optional
        Probabilities of the old answer and of the edit's new object.
    """

    words: str
    right: bool
    probability: float | None
    old: float | None
    new: float | None


@dataclass(frozen=True)
class Asked:
    """A probe, before and after the edit.

    Attributes
    ----------
    group : str
        Probe group, as named in plans.
    subject, relation : int
        Subject and relation of its fact; the subject of a link fact is an object.
    link : bool
    object : str, optional
        Right answer before the edit, if known.
    must_change : bool
    wording : str
        Template and number, and whether it is held out.
    before, after : Said
    outcome : str
        For probes that must change: followed or not followed; for others: kept, lost, found (right
        only after the edit) or unknown (right neither before nor after).
    """

    group: str
    subject: int
    relation: int
    link: bool
    object: str | None
    must_change: bool
    wording: str
    before: Said
    after: Said
    outcome: Outcome


@dataclass(frozen=True)
class Case:
    """One edit by one method.

    Attributes
    ----------
    label : str
        Label of the method.
    model : str
    fact, subject, relation : int
    old, new : str
        Names of the objects; new is empty if there is none, as in unlearning.
    exposures : int
        Exposures of the fact.
    known : bool
        Whether the unedited model knew the fact.
    batch : int
        Number of edits made together.
    failure : str, optional
    asked : tuple of Asked
        Probes in the order of the plan.
    """

    label: str
    model: str
    fact: int
    subject: int
    relation: int
    old: str
    new: str
    exposures: int
    known: bool
    batch: int
    failure: str | None
    asked: tuple[Asked, ...]


def cases_of(frames: Results) -> tuple[Case, ...]:
    """Choose cases from the model with the most methods, of facts of few to many exposures.

    Returns
    -------
    tuple of Case
        At most `MOST` cases, of at most 8 methods and 6 facts; every fact by every method, in the
        order of the study. Empty if the study's frames lack the generated texts.
    """
    there = set(frames.probes.collect_schema().names())
    edits = frames.edits.collect()
    if edits.is_empty() or not there.issuperset(_NEEDED):
        return ()
    edits = _of_one_model(edits)
    chosen = edits["label"].unique(maintain_order=True)[:_METHODS]
    edits = edits.filter(pl.col("label").is_in(chosen.implode()))
    facts = _facts(edits, min(_FACTS, MOST // len(chosen)))
    keys = edits.filter(pl.col("fact").is_in(facts)).select("trial", "edit")
    # Names of objects are taken from right answers of the model in any of these trials.
    asked = frames.probes.filter(pl.col("trial").is_in(keys["trial"].unique().implode())).collect()
    objects = _objects(frames, edits["model"][0])
    names = {**_new_names(asked, edits), **_names(asked, objects)}
    asked = asked.join(keys, on=["trial", "edit"], how="semi")
    parts = asked.partition_by("trial", "edit", as_dict=True, maintain_order=True)
    order = {fact: place for place, fact in enumerate(facts)}
    rows = edits.filter(pl.col("fact").is_in(facts)).with_columns(
        pl.col("fact").replace_strict(order, return_dtype=pl.Int64).alias("place"),
        pl.col("label").rle_id().alias("method_place"),
    )
    return tuple(
        _case(row, parts[row["trial"], row["edit"]], names, objects)
        for row in rows.sort("method_place", "place").iter_rows(named=True)
        if (row["trial"], row["edit"]) in parts
    )


def _of_one_model(edits: pl.DataFrame) -> pl.DataFrame:
    """Return the edits of the first model with the maximum of methods, one trial per method."""
    counts = edits.group_by("model", maintain_order=True).agg(pl.col("label").n_unique())
    model = counts.filter(pl.col("label") == pl.col("label").max())["model"][0]
    own = edits.filter(pl.col("model") == model)
    return own.filter(pl.col("trial") == pl.col("trial").first().over("label"))


def _facts(edits: pl.DataFrame, most: int) -> list[int]:
    """Return facts that all methods edit, evenly over levels of exposures, known facts first."""
    methods = edits["label"].n_unique()
    shared = edits.group_by("fact", maintain_order=True).agg(
        pl.col("label").n_unique().alias("methods"),
        pl.col("exposures").first(),
        pl.col("known").first().fill_null(False),
    )
    if (shared["methods"] == methods).any():
        shared = shared.filter(pl.col("methods") == methods)
    shared = shared.sort("exposures", ~pl.col("known"), maintain_order=True)
    levels = shared["exposures"].unique().sort()
    if len(levels) < most:
        # One of each level, then a second of each, and so on.
        turns = shared.with_columns(pl.int_range(pl.len()).over("exposures").alias("turn"))
        first = turns.sort("turn", maintain_order=True).head(most)
        return first.sort("exposures", maintain_order=True)["fact"].to_list()
    places = [round(at * (len(levels) - 1) / max(1, most - 1)) for at in range(most)]
    first = shared.unique("exposures", keep="first", maintain_order=True)
    return first["fact"].gather(places).to_list()


def _objects(frames: Results, model: str) -> dict[int, int]:
    """Return the object of each fact of a model's world."""
    table = frames.recall.filter(pl.col("model") == model)
    if "object" not in table.collect_schema().names():
        return {}
    return dict(table.select("fact", "object").collect().iter_rows())


def _names(asked: pl.DataFrame, objects: Mapping[int, int]) -> _Names:
    """Return names of objects by (relation, object): generated texts of right answers."""
    before = (pl.col("stage") == "before") & pl.col("old_match")
    after = (pl.col("stage") == "after") & pl.col("exact_match") & ~pl.col("must_change")
    rows = asked.filter(before | after).select("relation", "fact", "generated").unique()
    return {
        (relation, objects[fact]): words.strip()
        for relation, fact, words in rows.sort("relation", "fact", "generated").iter_rows()
        if fact in objects
    }


def _new_names(asked: pl.DataFrame, edits: pl.DataFrame) -> _Names:
    """Return names of new objects by (relation, object): answers of edits that are followed."""
    followed = (pl.col("stage") == "after") & pl.col("exact_match") & pl.col("must_change")
    own = edits.select("trial", "edit", "relation", "new_object").drop_nulls("new_object")
    rows = (
        asked.filter(followed & pl.col("group").str.starts_with("edited"))
        .select("trial", "edit", "relation", "generated")
        .join(own, on=["trial", "edit", "relation"])
        .select("relation", "new_object", "generated")
        .unique()
        .sort("relation", "new_object", "generated")
    )
    return {
        (relation, number): words.strip() for relation, number, words in rows.iter_rows() if words
    }


def _name(names: _Names, relation: int, number: int) -> str:
    return names.get((relation, number), f"object {number}")


def _case(
    row: Mapping[str, Any], asked: pl.DataFrame, names: _Names, objects: Mapping[int, int]
) -> Case:
    relation = row["relation"]
    new = row["new_object"]
    return Case(
        label=row["label"],
        model=row["model"],
        fact=row["fact"],
        subject=row["subject"],
        relation=relation,
        old=_name(names, relation, row["old_object"]),
        new="" if new is None else _name(names, relation, new),
        exposures=row["exposures"],
        known=bool(row["known"]),
        batch=row.get("batch") or 1,
        failure=row["failure"],
        asked=tuple(_both(asked, names, objects, new is None)),
    )


def _both(
    asked: pl.DataFrame, names: _Names, objects: Mapping[int, int], forgets: bool
) -> Iterable[Asked]:
    before = {row["probe"]: row for row in asked.filter(stage="before").iter_rows(named=True)}
    for row in asked.filter(stage="after").iter_rows(named=True):
        first = before.get(row["probe"])
        if first is None:
            continue
        number = objects.get(row["fact"])
        yield Asked(
            group=row["group"],
            subject=row["subject"],
            relation=row["relation"],
            link=bool(row["link"]),
            object=None if number is None else _name(names, row["relation"], number),
            must_change=row["must_change"],
            wording=f"{row['template']} {row['wording']}{', held out' * row['held_out']}",
            before=_said(first, "old_match", "log_probability_old"),
            after=_said(row, "exact_match", "log_probability_true"),
            outcome=_outcome(row, forgets),
        )


def _said(row: Mapping[str, Any], right: str, probability: str) -> Said:
    return Said(
        words=row["generated"].strip(),
        right=bool(row[right]),
        probability=_exp(row[probability]),
        old=_exp(row["log_probability_old"]),
        new=_exp(row["log_probability_new"]),
    )


def _exp(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else math.exp(value)


def _outcome(row: Mapping[str, Any], forgets: bool) -> Outcome:
    right = bool(row["exact_match"])
    if row["must_change"]:
        # Without a new object, the edit is followed if the old object is no longer generated.
        right = not row["old_match"] if forgets else right
        return "followed" if right else "not followed"
    if row["known"]:
        return "kept" if right else "lost"
    return "found" if right else "unknown"

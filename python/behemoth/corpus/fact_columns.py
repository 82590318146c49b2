"""Facts of a world by their ids, as columns: parallel arrays, or a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth import _gen
from behemoth.support.errors import ArgumentError

from .arrays import fact_numbers

if TYPE_CHECKING:
    import polars as pl

    from .world import World

__all__ = ["FactArrays", "TableRows", "fact_arrays", "fact_frame", "first_facts"]


class FactArrays(NamedTuple):
    """Facts as parallel arrays.

    Attributes
    ----------
    subject : uint64[n]
        Subject; of a link fact the object it starts from.
    relation, object : uint32[n]
    minority : int64[n]
        Second object; -1 for none.
    """

    subject: NDArray[np.uint64]
    relation: NDArray[np.uint32]
    object: NDArray[np.uint32]
    minority: NDArray[np.int64]


@dataclass(frozen=True)
class TableRows:
    """The rows of the table that a world was made of, which the engine has but for their order.

    Parameters
    ----------
    native : _gen.World
        The world without overrides.
    facts : unsigned[n], optional
        The fact of each row, in the narrowest type that they fit; by default all of the relations
        of the table, ascending.
    """

    native: _gen.World
    facts: NDArray[np.unsignedinteger[Any]] | None

    @classmethod
    def of(cls, native: _gen.World, table: Mapping[str, NDArray[Any]]) -> TableRows:
        """Return the rows of a table that the engine made a world of."""
        facts = native.fact_ids(table["subject"], table["relation"])
        if (facts[1:] > facts[:-1]).all():
            return cls(native, None)
        return cls(native, facts.astype(np.min_scalar_type(native.facts)))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of the table, as in `World.from_arrays`: new arrays each time."""
        native = self.native
        relations = native.relations - native.link_relations  # the others are composed
        if self.facts is None:
            rows = FactArrays(*native.facts_range(0, native.subject_facts))
            if native.link_relations:
                there = rows.relation < relations
                rows = FactArrays._make(column[there] for column in rows)
        else:
            rows = FactArrays(*native.facts_of(self.facts.astype(np.uint64)))
        nested = np.full(len(rows.subject), -1)
        for row in json.loads(native.relation_table()):
            if row["kind"] == "composed":
                of = rows.relation == row["of"]
                nested[of] = native.links(row["relation"])[rows.object[of]]
        return rows._asdict() | {"nested": nested}


def fact_arrays(world: World, facts: ArrayLike | range) -> FactArrays:
    """Return facts as arrays; parameters and errors are those of `World.arrays_of`."""
    if isinstance(facts, range):
        if facts.step != 1 or not 0 <= facts.start <= facts.stop <= world.num_facts:
            allowed = f"a range of step 1 within 0:{world.num_facts}"
            raise ArgumentError("facts", facts, allowed)
        return FactArrays(*world._native.facts_range(facts.start, facts.stop))
    return FactArrays(*world._native.facts_of(fact_numbers(facts)))


def fact_frame(world: World, facts: NDArray[np.uint64], arrays: FactArrays) -> pl.DataFrame:
    """Return the facts with these ids and columns as a frame like that of `World.facts`."""
    import polars as pl

    return pl.DataFrame(
        {
            "fact": facts,
            "link": facts >= np.uint64(world.num_subject_facts),
            "subject": arrays.subject,
            "relation": arrays.relation,
            "object": arrays.object,
            "minority_object": arrays.minority,
        }
    ).with_columns(
        pl.when(pl.col("minority_object") >= 0)
        .then(pl.col("minority_object"))
        .cast(pl.UInt32)
        .alias("minority_object")
    )


def first_facts(world: World) -> dict[int, int]:
    """Return the first fact of each relation that has any, by relation."""
    relations = range(len(world.relation_table))
    if not world.is_table:
        return dict(zip(relations, world.fact_ids(0, list(relations)).tolist(), strict=True))
    # Of a table, any subject may lack any relation.
    import polars as pl

    facts = world.facts().group_by("relation").agg(pl.col("fact").min())
    return dict(facts.sort("relation").iter_rows())

"""Facts of a world by their ids, as columns: parallel arrays, or a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth.support.errors import ArgumentError

from .arrays import whole

if TYPE_CHECKING:
    import polars as pl

    from .world import World

__all__ = ["FactArrays", "fact_arrays", "fact_frame", "first_facts"]


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


def fact_arrays(world: World, facts: ArrayLike | range) -> FactArrays:
    """Return facts as arrays; parameters and errors are those of `World.arrays_of`."""
    if isinstance(facts, range):
        if facts.step != 1 or not 0 <= facts.start <= facts.stop <= world.num_facts:
            allowed = f"a range of step 1 within 0:{world.num_facts}"
            raise ArgumentError("facts", facts, allowed)
        return FactArrays(*world._native.facts_range(facts.start, facts.stop))
    ids = np.atleast_1d(whole(facts, "facts", np.uint64))
    return FactArrays(*world._native.facts_of(ids))


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

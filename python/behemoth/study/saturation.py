"""Capacity load of a model: bits of the world divided by the bits its parameters can store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from behemoth.corpus.world import World

__all__ = ["facts_per_object", "load_of"]

BITS_A_PARAMETER = 2
"""Bits that a parameter stores of facts with many exposures (Allen-Zhu and Li, 2024, arXiv
2404.05405, result 1)."""


def load_of(bits: float, parameters: int) -> float:
    """Return bits of the world / (2 x parameters), embedding and head counted."""
    return bits / (BITS_A_PARAMETER * parameters)


def facts_per_object(world: World) -> float:
    """Return the number of subject facts divided by the number of objects of their relations."""
    objects = sum(row["objects"] for row in world.relation_table if not row["link"])
    return world.num_subject_facts / objects

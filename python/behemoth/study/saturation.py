"""How full a model is of its world: bits to learn, by what its parameters can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from behemoth.model.sizes import Size

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.corpus.world import World

__all__ = ["facts_per_object", "load_of"]

BITS_A_PARAMETER = 2
"""What a parameter holds of facts that are written often (Allen-Zhu and Li, 2024, arXiv
2404.05405, result 1)."""


def load_of(corpus: Corpus, size: Size) -> float:
    """Bits of the world by 2 bits a parameter, embedding and head counted."""
    parameters = size.parameters_with(corpus.vocabulary_size)
    return corpus.world.entropy / (BITS_A_PARAMETER * parameters)


def facts_per_object(world: World) -> float:
    """Facts of subjects by the number of objects of their relations."""
    objects = sum(row["objects"] for row in world.relation_table if not row["link"])
    return world.num_subject_facts / objects

"""The sizes of a zoo: its worlds, models and training settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from behemoth.support.errors import ArgumentError

__all__ = ["SIZES", "ZooSize", "find_size"]


@dataclass(frozen=True)
class ZooSize:
    """Settings of a zoo, which has a model for each world, size of model and initialisation.

    Attributes
    ----------
    name : str
    grammar : str
        ``islanders``, which belongs to this package, or the name of a grammar of `behemoth`.
    worlds, inits : int
        Number of worlds, and of initialisations of each model; both are seeded from 0.
    models : tuple of str
        Sizes of models.
    subjects : int
        Number of subjects in a world.
    exposures : tuple of int
        Exposure levels, with equal numbers of facts at each.
    edits : int
        Number of facts in a plan at each level above 0.
    steps, batch_size, block_length : int
        Settings of training.
    learning_rate : float
    """

    name: str
    grammar: str
    worlds: int
    inits: int
    models: tuple[str, ...]
    subjects: int
    exposures: tuple[int, ...]
    edits: int
    steps: int
    batch_size: int
    block_length: int
    learning_rate: float

    @property
    def runs(self) -> int:
        """Number of models, which is also that of twins."""
        return self.worlds * self.inits * len(self.models)


SIZES: Mapping[str, ZooSize] = {
    size.name: size
    for size in (
        ZooSize("smoke", "islanders", 2, 2, ("pico",), 60, (0, 2, 8, 32), 3, 120, 16, 64, 5e-3),
        ZooSize(
            "desk", "bios-en", 3, 2, ("nano", "micro"), 400, (0, 1, 4, 16, 64), 8, 400, 64, 128,
            2.5e-3,
        ),
    )
}  # fmt: skip


def find_size(name: str) -> ZooSize:
    """Return the size with a name.

    Raises
    ------
    ArgumentError
        If the name is unknown.
    """
    if isinstance(name, str) and name in SIZES:
        return SIZES[name]
    raise ArgumentError.unknown("size", name, SIZES)

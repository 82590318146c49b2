"""What is measured of each trial of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made

__all__ = ["Measure"]


@dataclass(frozen=True)
class Measure:
    """What is measured of each trial.

    Parameters
    ----------
    durability : int
        Steps of training that goes on on the corpus after the edits; 0 for none.
    durability_rate : float
        Its learning rate, constant, as a share of the peak of training.
    deltas : bool
        Keep what each edit changed.
    geometry : bool
        Measure size and shape of what each edit changed.
    edit_seed : int
        Key of the methods' draws.
    held_out, bystanders : int
        How much is looked at on the way of an edit: most wordings that it is not trained on, for
        their dose, and most facts that are to stay, for divergence and norm at the flip.
    """

    durability: int = 0
    durability_rate: float = 0.1
    deltas: bool = False
    geometry: bool = True
    edit_seed: int = 0
    held_out: int = 2
    bystanders: int = 8

    def __post_init__(self) -> None:
        for name in ("durability", "edit_seed", "held_out", "bystanders"):
            if getattr(self, name) < 0:
                raise ArgumentError(name, getattr(self, name), "a whole number from 0")
        if not 0 < self.durability_rate <= 1:
            raise ArgumentError("durability_rate", self.durability_rate, "above 0 up to 1")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values; hashes rest on them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Measure:
        """Make what `to_dict` gave, or a ``[measure]`` table says.

        Raises
        ------
        ArgumentError
        """
        return made(cls, table)

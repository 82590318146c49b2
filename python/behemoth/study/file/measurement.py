"""What is measured of each trial of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made

__all__ = ["SUITES", "Measurement"]

SUITES = ("editing", "unlearning")
"""Suites that a trial can take: those of what one plan of edits did to a model."""
_CONTINUED = 64


@dataclass(frozen=True)
class Measurement:
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
        Measurement size and shape of what each edit changed.
    edit_seed : int
        Key of the methods' draws.
    held_out, bystanders : int
        How much is looked at on the way of an edit: most wordings that it is not trained on, for
        their dose, and most facts that are to stay, for divergence and norm at the flip.
    suite : {'editing', 'unlearning'}, optional
        Measures that are taken of the edited model together (`behemoth.evaluate.evaluate_suite`);
        none by default.
    continued : int
        Adam steps of continued training after which the unlearning suite stops looking for what
        comes back.
    twin : bool
        Take them beside a twin: a model that is trained in the same way on the corpus in which the
        plan's edits had always been so.
    """

    durability: int = 0
    durability_rate: float = 0.1
    deltas: bool = False
    geometry: bool = True
    edit_seed: int = 0
    held_out: int = 2
    bystanders: int = 8
    suite: str | None = None
    continued: int = _CONTINUED
    twin: bool = False

    def __post_init__(self) -> None:
        for name in ("durability", "edit_seed", "held_out", "bystanders"):
            if getattr(self, name) < 0:
                raise ArgumentError(name, getattr(self, name), "a whole number from 0")
        if self.continued < 1:
            raise ArgumentError("continued", self.continued, "a whole number from 1")
        if not 0 < self.durability_rate <= 1:
            raise ArgumentError("durability_rate", self.durability_rate, "above 0 up to 1")
        if self.suite is not None and self.suite not in SUITES:
            raise ArgumentError.unknown("suite", self.suite, SUITES)
        if self.twin and self.suite is None:
            raise ArgumentError("twin", True, "false without a suite, which measures it")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values; hashes rest on them, so what is not taken is not said."""
        values = asdict(self)
        if self.suite is None:
            del values["suite"], values["twin"]
        # What was not to be chosen at first is said only where it is chosen.
        if self.suite is None or self.continued == _CONTINUED:
            del values["continued"]
        return values

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Measurement:
        """Make what `to_dict` gave, or a ``[measure]`` table says.

        Raises
        ------
        ArgumentError
        """
        return made(cls, table)

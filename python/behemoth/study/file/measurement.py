"""The ``[measure]`` table: what is measured for each trial of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made

__all__ = ["DECOMPOSED", "SUITES", "Measurement"]

SUITES = ("editing", "unlearning", "sequence")
"""Suites that a trial can run: those that evaluate the effects of one plan of edits on a model."""
DECOMPOSED = 8
"""Edits of each level of exposures whose dense changes have ranks; low-rank changes always do."""
_CONTINUED = 64
_SEQUENCE = "sequence"
_LEAST = {"durability": 0, "edit_seed": 0, "held_out": 0, "bystanders": 0, "continued": 1}


@dataclass(frozen=True)
class Measurement:
    """What is measured for each trial.

    Parameters
    ----------
    durability : int
        Number of steps of continued training on the corpus after the edits; 0 for none.
    durability_rate : float
        Its learning rate after warm-up, constant, as a share of the peak of training.
    deltas : bool
        Whether to save the change of each edit.
    geometry : bool
        Whether to measure norm and rank of the change of each edit; the ranks of dense changes only
        for the first `DECOMPOSED` edits of each level of exposures.
    edit_seed : int
        Seed of the methods' random draws.
    held_out, bystanders : int
        Maximum number of wordings and of facts that are evaluated during an edit: wordings that it
        is not trained on, for their dose, and facts that should not change, for the divergence and
        norm at the flip.
    suite : {'editing', 'unlearning', 'sequence'}, optional
        Suite of measures of the edited model (`behemoth.evaluate.evaluate_suite`); none by default.
        ``sequence`` is for edits that are made one after another.
    continued : int
        Maximum number of Adam steps of continued training in which the unlearning suite looks for
        recovered facts.
    added : bool
        Whether the suite takes the measures that were added after the first studies, too.
    twin : bool
        Whether the suite compares with a twin: a model trained in the same way on the corpus that
        always had the outcome of the plan's edits.
    sequential : bool
        Whether the edits are made one after another in the order of the plan, each on the model
        that the earlier ones left, and measured in the model after the last one.
    checkpoint_at : tuple of int, optional
        For suite ``sequence``: the numbers of edits after which it is taken; by default 1, 10, 100
        and so on, which an empty tuple is too, and always after the last edit.
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
    added: bool = False
    twin: bool = False
    sequential: bool = False
    checkpoint_at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        for name in ("deltas", "geometry", "added", "twin", "sequential"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))
        rate = self.durability_rate
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate <= 1:
            raise ArgumentError("durability_rate", rate, "above 0 up to 1")
        if self.suite is not None and self.suite not in SUITES:
            raise ArgumentError.unknown("suite", self.suite, SUITES)
        for name in ("added", "twin"):
            if getattr(self, name) and self.suite is None:
                raise ArgumentError(name, True, "false without a suite, which measures it")
        if self.suite == _SEQUENCE and not self.sequential:
            raise ArgumentError("suite", self.suite, "with sequential = true, or another suite")
        if self.suite == _SEQUENCE and self.twin:
            raise ArgumentError("twin", True, f"false with suite {_SEQUENCE}, which needs none")
        if self.checkpoint_at is not None:
            self._check_checkpoints(self.checkpoint_at)

    def _check_checkpoints(self, given: object) -> None:
        if not isinstance(given, list | tuple):
            raise ArgumentError("checkpoint_at", given, "a list of whole numbers from 1")
        # In order and once each, as they are part of ids. TOML has no null value: an empty list.
        counts = {whole_number("checkpoint_at", number, 1) for number in given}
        object.__setattr__(self, "checkpoint_at", tuple(sorted(counts)) or None)
        if counts and self.suite != _SEQUENCE:
            raise ArgumentError("checkpoint_at", given, f"only with suite {_SEQUENCE}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; hashes depend on them, so unused fields are omitted."""
        values = asdict(self)
        if self.suite is None:
            del values["suite"], values["twin"]
        # A field that was added later is included only if it is not the default.
        if self.suite in (None, _SEQUENCE) or self.continued == _CONTINUED:
            del values["continued"]
        if not self.added or self.suite == _SEQUENCE:  # which has none of these
            del values["added"]
        if not self.sequential:
            del values["sequential"]
        if self.checkpoint_at is None:
            del values["checkpoint_at"]
        else:
            values["checkpoint_at"] = list(self.checkpoint_at)  # as it is read from JSON
        return values

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> Measurement:
        """Create a measurement from the values of `to_dict` or of a ``[measure]`` table.

        Raises
        ------
        ArgumentError
            If a key is unknown or a value is not allowed.
        """
        return made(cls, table)

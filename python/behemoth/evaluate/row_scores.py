"""Scores of rows as arrays: what is said of each, and how probable its answers are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .prompted import ANSWERS

__all__ = ["Scores"]


@dataclass(frozen=True)
class Scores:
    """Scores of m rows, one per probe or one per (edit, probe).

    Attributes
    ----------
    log_probability : dict of str to float64[m]
        Natural logarithm, of all tokens of an answer; by name of `ANSWERS`, and ``wrong``: of the
        mean probability of the relation's other objects; NaN where it is not computed.
    match : dict of str to bool[m]
        Whether the free generation is exactly that answer.
    rank : uint32[m]
        Rank of the true object among those of its relation, 0 if the true answer is not an object.
    extraction : float64[m]
        Extraction strength of the old answer.
    valid, leaked : bool[m]
        Whether the generation is an object of the relation; whether it contains the edit's new
        object where it must not.
    generated : list of str
    divergence : float64[m]
        KL(base || model) in nats, where the object's word begins.
    """

    log_probability: dict[str, NDArray[np.float64]]
    match: dict[str, NDArray[np.bool_]]
    rank: NDArray[np.uint32]
    extraction: NDArray[np.float64]
    valid: NDArray[np.bool_]
    leaked: NDArray[np.bool_]
    divergence: NDArray[np.float64]
    generated: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, rows: int) -> Scores:
        """Allocate scores for a number of rows."""
        return cls(
            {name: np.full(rows, np.nan) for name in (*ANSWERS, "wrong")},
            {name: np.zeros(rows, np.bool_) for name in ANSWERS},
            np.zeros(rows, np.uint32),
            np.zeros(rows, np.float64),
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.bool_),
            np.zeros(rows, np.float64),
            [""] * rows,
        )

    def of(self, rows: NDArray[np.intp]) -> Scores:
        """Return a copy of the scores of some rows."""
        return Scores(
            {name: values[rows] for name, values in self.log_probability.items()},
            {name: values[rows] for name, values in self.match.items()},
            self.rank[rows],
            self.extraction[rows],
            self.valid[rows],
            self.leaked[rows],
            self.divergence[rows],
            [self.generated[row] for row in rows.tolist()],
        )

    def put(self, rows: NDArray[np.intp], found: Scores) -> None:
        """Overwrite the scores of some rows."""
        for own, other in zip(self._arrays, found._arrays, strict=True):
            own[rows] = other
        for row, text in zip(rows.tolist(), found.generated, strict=True):
            self.generated[row] = text

    @property
    def nbytes(self) -> int:
        """Number of bytes, without what the language takes for each text."""
        return sum(own.nbytes for own in self._arrays) + sum(map(len, self.generated))

    @property
    def _arrays(self) -> list[NDArray[Any]]:
        return [*self.log_probability.values(), *self.match.values(), self.rank, self.extraction,
                self.valid, self.leaked, self.divergence]  # fmt: skip

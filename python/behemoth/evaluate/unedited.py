"""What was found of an unedited model, kept for the next edit of it.

Every method of a study edits the same model by the same plan, and every evaluation asks that model
the same questions without the edit. Scores are kept, and the hidden states before the head, which
makes the same logits of them again: logits themselves are as wide as the vocabulary.

All ask in the same order, so what is full keeps what it has: if the findings used least recently
made room, each would be gone just before it is asked for again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, TypeVar

__all__ = ["KEPT", "Unedited"]

KEPT = 32 << 20
"""Maximum number of bytes that are kept."""


class _Sized(Protocol):
    """Something that knows its size, as arrays and tensors do."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class Unedited:
    """Findings on one model without edits, by what it was asked; the first of them.

    It belongs to one model and plan: for others, make another object. A finding must be the same,
    to the bit, whenever it is made again.

    Parameters
    ----------
    most : int
        Maximum number of bytes kept. What exceeds it is not kept, and is asked again.

    Examples
    --------
    >>> import numpy as np
    >>> unedited = Unedited(most=16)
    >>> unedited.keep("a", np.zeros(1))
    >>> unedited.keep("b", np.ones(1))
    >>> unedited.keep("c", np.ones(1))
    >>> unedited.find("a", np.ndarray), unedited.find("c", np.ndarray), unedited.nbytes
    (array([0.]), None, 16)
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._found: dict[Hashable, _Sized] = {}
        self.nbytes = 0

    def find(self, question: Hashable, kind: type[T]) -> T | None:
        """Return what was found for a question, None if it was not kept."""
        found = self._found.get(question)
        assert found is None or isinstance(found, kind)
        return found

    def keep(self, question: Hashable, found: _Sized) -> None:
        """Keep what was found for a question that `find` had nothing for, if there is room."""
        if self.nbytes + found.nbytes <= self._most:
            self._found[question] = found
            self.nbytes += found.nbytes

"""What was found of an unedited model, kept for the next edit of it.

Every method of a study edits the same model by the same plan, and every evaluation asks that model
the same questions without the edit. Scores are kept, and the hidden states before the head, which
makes the same logits of them again: logits themselves are as wide as the vocabulary.
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
    """Findings on one model without edits, by what it was asked; the latest of them.

    It belongs to one model on one corpus: whoever loads another model makes another object. A
    finding must be the same, to the bit, whenever it is made again.

    Parameters
    ----------
    most : int
        Maximum number of bytes kept. Those that were not used for longest are dropped first, and
        what is larger is not kept at all.

    Examples
    --------
    >>> import numpy as np
    >>> unedited = Unedited(most=16)
    >>> unedited.keep("a", np.zeros(1))
    >>> unedited.keep("b", np.ones(1))
    >>> unedited.find("a", np.ndarray)
    array([0.])
    >>> unedited.keep("c", np.ones(1))
    >>> unedited.find("b", np.ndarray) is None, unedited.nbytes
    (True, 16)
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._found: dict[Hashable, _Sized] = {}  # the latest last
        self.nbytes = 0

    def find(self, question: Hashable, kind: type[T]) -> T | None:
        """Return what was found for a question, None if it was not kept."""
        found = self._found.pop(question, None)
        if found is None:
            return None
        assert isinstance(found, kind)
        self._found[question] = found
        return found

    def keep(self, question: Hashable, found: _Sized) -> None:
        """Keep what was found for a question that `find` had nothing for."""
        if found.nbytes > self._most:
            return
        self._found[question] = found
        self.nbytes += found.nbytes
        while self.nbytes > self._most:
            first = next(iter(self._found))
            self.nbytes -= self._found.pop(first).nbytes

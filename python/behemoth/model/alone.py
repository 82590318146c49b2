"""One model at a time is made in a process, whichever threads ask for one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from threading import RLock

__all__ = ["alone"]

# Of the process, as is what it guards; reentrant, as a model may be made while another is.
_MAKING = RLock()


@contextmanager
def alone() -> Generator[None]:
    """Wait until no other thread makes or loads a model, and keep others waiting.

    While transformers makes or loads one, it replaces functions of its classes (that which ties
    weights, those which initialise them) and torch's default dtype, and puts back what it found. Of
    two threads at once, the second finds the replacement of the first and puts that back: from then
    on no model of the process had tied weights. Random weights come from torch's global generator,
    of which two threads would take each other's numbers.
    """
    with _MAKING:
        yield

"""Deltas, the changes made by an edit: apply, revert bit by bit, stack, save, export to PEFT.

It knows models and files, but not the methods that make deltas.
"""

from typing import TYPE_CHECKING

from behemoth.support.lazy import lazy

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    from .delta import (
        AppliedDelta as AppliedDelta,
        Dense as Dense,
        EditDelta as EditDelta,
        LowRank as LowRank,
    )
    from .module import Codebook as Codebook, SideMemory as SideMemory
    from .stack import StackedDeltas as StackedDeltas, stack_deltas as stack_deltas

__all__, __dir__, __getattr__ = lazy(
    __name__,
    {
        "delta": "AppliedDelta Dense EditDelta LowRank",
        "module": "Codebook SideMemory",
        "stack": "StackedDeltas stack_deltas",
    },
)

"""The kinds of changes of modules that there are; the names of their tensors tell them apart."""

from __future__ import annotations

from .context import Context
from .module import Codebook, ModuleChange, SideMemory

__all__ = ["KINDS"]

KINDS: tuple[type[ModuleChange], ...] = (Codebook, SideMemory, Context)
"""What files hold."""

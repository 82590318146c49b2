"""The kinds of module changes; in files they are distinguished by the names of their tensors."""

from __future__ import annotations

from .context import Context
from .module import Codebook, ModuleChange, SideMemory

__all__ = ["KINDS"]

KINDS: tuple[type[ModuleChange], ...] = (Codebook, SideMemory, Context)
"""The kinds that delta files may contain."""

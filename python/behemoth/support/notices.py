"""Warnings that name the line of the caller, whichever of the package's functions it called."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

__all__ = ["warn_caller"]

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the line outside the package that led to it.

    How many calls lie between depends on how the function was called: a package such as
    `behemoth.edit` passes calls on to its verb.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)

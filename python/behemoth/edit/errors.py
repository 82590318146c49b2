"""The error and the warning for a method that cannot be loaded, fails, or breaks its contract."""

from __future__ import annotations

__all__ = ["MethodError", "MethodWarning"]


class MethodError(RuntimeError):
    """A method cannot be loaded, raised an exception, or returned what it must not.

    The message names the method. The method's own exception is the cause (``__cause__``).
    """


class MethodWarning(UserWarning):
    """A method cannot be loaded, and is left out. The message names it."""

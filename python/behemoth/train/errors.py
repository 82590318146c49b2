"""Exceptions that end a run early, and the warning of a model that one starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import TrainResult


class TrainError(RuntimeError):
    """A run failed, for example because the loss diverged or memory ran out."""


class StartWarning(UserWarning):
    """The model that training starts from could not be compared with the corpus, and why."""


class ElsewhereError(TrainError):
    """Another process of the run ended it, and reports the reason."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGUSR1; the message states which checkpoint was saved.

    Attributes
    ----------
    signal_number : int
        Number of the signal.
    result : TrainResult or None
        Result of the run if the signal arrived too late to stop it.
    """

    def __init__(self, message: str, signal_number: int, result: TrainResult | None = None) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.result = result

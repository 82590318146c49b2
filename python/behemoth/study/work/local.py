"""The local engine: long-lived worker processes on this machine.

Small models do not use two cores fully (a step of `nano` ends before a second thread has woken up),
so two models on one core each are faster than one model on two cores.
"""

from __future__ import annotations

from pathlib import Path

from behemoth.study.directory import StudyError
from behemoth.study.file.units import Unit
from behemoth.support.workers import Workers, WorkersError, have_ended

from .engine import Event

__all__ = ["LocalEngine", "gpus", "wait_for_workers"]


def gpus() -> int:
    """Return the number of GPUs that torch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def wait_for_workers(path: Path) -> None:
    """Wait until the workers of a killed run of a study have ended.

    Raises
    ------
    StudyError
        If they do not end.
    """
    if not have_ended(path):
        raise StudyError(f"{path}: workers of another run are still at work")


class LocalEngine:
    """Workers on this machine.

    Parameters
    ----------
    path : Path
        The study's directory.
    workers : int
    threads : int
        CPU threads per worker.
    devices : int
        Number of GPUs to distribute over the workers, 0 for none.
    memory : int, optional
        See `behemoth.study.trial.laboratory.Laboratory`.
    """

    def __init__(
        self,
        path: Path,
        workers: int,
        threads: int,
        devices: int = 0,
        *,
        memory: int | None = None,
    ) -> None:
        arguments = [str(path.resolve()), *([] if memory is None else [str(memory)])]
        self.workers = Workers("behemoth.study.work.worker", arguments, workers, threads, devices)

    @property
    def slots(self) -> int:
        """Number of workers."""
        return len(self.workers)

    def submit(self, slot: int, unit: Unit) -> None:
        """Send a unit to a worker."""
        self.workers.submit(slot, unit.to_dict())

    def wait(self, seconds: float) -> list[Event]:
        """Return events of the workers; the unit of a dead worker failed, and it is replaced."""
        try:
            news = self.workers.wait(seconds)
        except WorkersError as error:
            raise StudyError(str(error)) from None
        events: list[Event] = []
        for said in news:
            share = 1.0 if said.kind == "done" else said.fields.get("share", 0.0)
            status, reason = said.fields.get("status", "done"), said.fields.get("reason", "")
            events.append(Event(said.slot, said.kind, share, status, reason))
        return events

    def close(self) -> None:
        """Stop the workers; those that train save a checkpoint if there is time."""
        self.workers.close()

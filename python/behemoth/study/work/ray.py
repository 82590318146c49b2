"""The Ray engine: units as tasks of a cluster, one GPU a task where there are GPUs.

The study's directory is on a disk that all nodes share. Tasks get plain values and write files;
nothing but a record comes back. Units of a node that is lost are carried out elsewhere: training
goes on from its last checkpoint, a trial begins anew.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from behemoth.study.file.units import Unit
from behemoth.support.cluster import ray_cluster
from behemoth.support.progress import silent

from .engine import Event, Performed, perform

__all__ = ["RayEngine"]

_RETRIES = 3


class RayEngine:
    """Tasks of a Ray cluster: an existing one, or one on this machine.

    Parameters
    ----------
    path : Path
        The study's directory, which all nodes see.
    workers : int, optional
        Units under way at once; by default as many as there are GPUs, or else cores for.
    threads : int
        CPU threads of each.

    Raises
    ------
    ArgumentError
        When Ray is not installed.
    """

    def __init__(self, path: Path, workers: int | None, threads: int) -> None:
        self._path = str(path.resolve())
        self._cluster = ExitStack()
        self._ray: Any = self._cluster.enter_context(ray_cluster())
        ray = self._ray
        there = ray.cluster_resources()
        devices = int(there.get("GPU", 0))
        most = devices or max(1, int(there.get("CPU", 1)) // threads)
        self._slots = most if workers is None else workers
        share = min(1.0, devices / self._slots) if devices else 0
        # With a node its tasks are lost, which is no fault of theirs. What they raise is caught in
        # them; one that ends its process each time is a unit that failed.
        self._task: Any = ray.remote(num_cpus=threads, num_gpus=share, max_retries=_RETRIES)(
            _carry_out
        )
        self._threads = threads
        self._running: dict[Any, int] = {}

    @property
    def slots(self) -> int:
        """How many units are under way at once."""
        return self._slots

    def submit(self, slot: int, unit: Unit) -> None:
        """Hand a unit to the cluster."""
        self._running[self._task.remote(self._path, unit.to_dict(), self._threads)] = slot

    def wait(self, seconds: float) -> list[Event]:
        """Give what has finished."""
        if not self._running:
            return []
        finished, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        events: list[Event] = []
        for task in finished:
            slot = self._running.pop(task)
            try:
                result: Performed = self._ray.get(task)
            except Exception as error:
                reason = " ".join(str(error).split())[:500]
                events.append(Event(slot, "failed", reason=f"{type(error).__name__}: {reason}"))
                continue
            events.append(result.event(slot))
        return events

    def close(self) -> None:
        """Stop what is running, and the cluster if it was started here."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._cluster.close()


def _carry_out(path: str, unit: dict[str, Any], threads: int) -> Performed:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    return perform(path, unit, silent)

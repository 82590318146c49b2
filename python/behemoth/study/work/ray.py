"""The Ray engine: units as tasks of a cluster, with a share of one GPU each if there are GPUs.

The study's directory is on a disk that all nodes share. Tasks receive plain values and write files;
only their outcome is returned. If a node is lost, its units are carried out elsewhere: training
resumes from its last checkpoint, a trial starts over. Any worker may get any task and loads its
model again each time, so the last model of a slot, by which units are scheduled, has no effect
here.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from behemoth.study.file.units import Unit
from behemoth.support.cluster import ray_cluster
from behemoth.support.digests import checking, checks
from behemoth.support.errors import ArgumentError
from behemoth.support.process import leave_launcher
from behemoth.support.progress import silent

from .engine import Event, Performed, perform

__all__ = ["RayEngine"]

_RETRIES = 3
_PARTS = 10_000  # smallest parts of a CPU or GPU that Ray assigns


class RayEngine:
    """Tasks of a Ray cluster: an existing one, or one on this machine.

    Parameters
    ----------
    path : Path
        The study's directory, which all nodes can access.
    workers : int, optional
        Number of units at a time; by default one per GPU that has `threads` cores beside it, or one
        per `threads` cores if no node has a GPU.
    threads : int
        CPU threads per unit.

    Raises
    ------
    ArgumentError
        If Ray is not installed, or no node (with a GPU, if any node has one) has `threads` cores:
        Ray would wait for such a node to join.
    """

    def __init__(self, path: Path, workers: int | None, threads: int) -> None:
        self._path = str(path.resolve())
        with ExitStack() as opened:
            ray: Any = opened.enter_context(ray_cluster())
            room, devices = _room(ray.nodes(), threads)
            self._cluster = opened.pop_all()
        self._ray = ray
        self._slots = room if workers is None else workers
        # A task gets a share of one GPU, not of several: 3 tasks on 2 GPUs are placed as 2 and 1
        # with 1/2 each, whereas with 2/3 each only 2 would run.
        share = _PARTS // math.ceil(self._slots / devices) / _PARTS if devices else 0
        # Only tasks whose node or process was lost are retried: `perform` catches exceptions. A
        # task that ends its process each time is a failed unit.
        self._task: Any = ray.remote(num_cpus=threads, num_gpus=share, max_retries=_RETRIES)(
            _carry_out
        )
        self._threads = threads
        self._running: dict[Any, int] = {}

    @property
    def slots(self) -> int:
        """Number of units carried out at a time."""
        return self._slots

    def submit(self, slot: int, unit: Unit) -> None:
        """Hand a unit to the cluster."""
        task = self._task.remote(self._path, unit.to_dict(), self._threads, checks())
        self._running[task] = slot

    def wait(self, seconds: float) -> list[Event]:
        """Return the events of finished tasks."""
        if not self._running:  # a unit is awaited from another part of the study
            time.sleep(seconds)
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
        """Cancel running tasks, and stop the cluster if it was started here."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._cluster.close()


def _room(nodes: Sequence[Mapping[str, Any]], threads: int) -> tuple[int, int]:
    """Return the number of units that fit on the nodes, and the number of GPUs for them.

    A node with GPUs has room for one unit per GPU, if it has `threads` cores for each; if any node
    has GPUs, nodes without carry out no units.
    """
    there = [
        (int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
        for node in nodes
        if node["Alive"]
    ]
    with_devices = [each for each in there if each[1]]
    able = [each for each in with_devices or there if each[0] >= threads]
    if not able:
        most = max((cores for cores, _ in with_devices or there), default=0)
        kind = "a node with a GPU" if with_devices else "a node of the cluster"
        raise ArgumentError("threads", threads, f"up to {most}, the maximum cores of {kind}")
    room = sum(min(cores // threads, gpus or cores) for cores, gpus in able)
    return room, sum(gpus for _, gpus in able)


def _carry_out(path: str, unit: dict[str, Any], threads: int, checked: bool) -> Performed:
    leave_launcher(os.environ)  # of the node, or of the process that started the cluster
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    with checking(wanted=checked):
        return perform(path, unit, silent)

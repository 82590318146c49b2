"""The Ray engine: units as tasks of a cluster, one GPU a task where there are GPUs.

The study's directory is on a disk that all nodes share. Tasks get plain values and write files;
nothing but a record comes back. Units of a node that is lost are carried out elsewhere: training
goes on from its last checkpoint, a trial begins anew. Any worker may get any task, so each loads
its model anew: what a slot has at hand, by which units are dealt out, is nothing here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from behemoth.study.file.units import Unit
from behemoth.support.cluster import ray_cluster
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import silent

from .engine import Event, Performed, perform

__all__ = ["RayEngine"]

_RETRIES = 3
_PARTS = 10_000  # of a CPU or GPU, which Ray cuts no finer


class RayEngine:
    """Tasks of a Ray cluster: an existing one, or one on this machine.

    Parameters
    ----------
    path : Path
        The study's directory, which all nodes see.
    workers : int, optional
        Units under way at once; by default as many as the nodes have GPUs with cores for, or cores
        where none has a GPU.
    threads : int
        CPU threads of each.

    Raises
    ------
    ArgumentError
        When Ray is not installed, or no node has so many cores (beside a GPU, where some node has
        one): Ray would wait for such a node to join.
    """

    def __init__(self, path: Path, workers: int | None, threads: int) -> None:
        self._path = str(path.resolve())
        with ExitStack() as opened:
            ray: Any = opened.enter_context(ray_cluster())
            room, devices = _room(ray.nodes(), threads)
            self._cluster = opened.pop_all()
        self._ray = ray
        self._slots = room if workers is None else workers
        # A task has its share of one GPU and not of several: 3 tasks for 2 GPUs are 2 and 1, a half
        # each, where 2/3 each would let 2 run.
        share = _PARTS // math.ceil(self._slots / devices) / _PARTS if devices else 0
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


def _room(nodes: Sequence[Mapping[str, Any]], threads: int) -> tuple[int, int]:
    """How many units the nodes have room for, and how many GPUs there are for them.

    A node with GPUs has room for as many units as it has GPUs with cores for; where any node has
    GPUs those without carry out none.
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
        raise ArgumentError("threads", threads, f"up to {most}, the most cores that {kind} has")
    room = sum(min(cores // threads, gpus or cores) for cores, gpus in able)
    return room, sum(gpus for _, gpus in able)


def _carry_out(path: str, unit: dict[str, Any], threads: int) -> Performed:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    return perform(path, unit, silent)

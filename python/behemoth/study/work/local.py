"""The local engine: long-lived worker processes on this machine.

Small models do not use two cores fully (a step of `nano` ends before a second thread has woken up),
so two models on one core each are faster than one model on two cores.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from behemoth.study.directory import StudyError
from behemoth.study.file.units import Unit
from behemoth.support.locks import lock
from behemoth.support.process import ENVIRONMENT

from .engine import Event

__all__ = ["LocalEngine", "gpus", "wait_for_workers"]

_PATIENCE = 15.0  # seconds to wait for workers of a killed run to end
_STOPPING = 0.8  # seconds to wait for workers of this run to end
_TAIL = 2000  # bytes read from the end of a worker's standard error


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
    until = time.monotonic() + _PATIENCE
    while True:
        with lock(path / ".workers.lock", wait=False) as free:
            if free:
                return
        if time.monotonic() > until:
            raise StudyError(f"{path}: workers of another run are still at work")
        time.sleep(0.1)


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
    alone : bool
        Whether to wait for workers of other runs to end; not needed if other parts run too.
    memory : int, optional
        See `behemoth.study.trial.laboratory.Laboratory`.

    Raises
    ------
    StudyError
        If workers of a killed run do not end.
    """

    def __init__(
        self,
        path: Path,
        workers: int,
        threads: int,
        devices: int = 0,
        *,
        alone: bool = True,
        memory: int | None = None,
    ) -> None:
        self.path, self.threads, self.devices = path.resolve(), threads, devices
        self.memory = memory
        if alone:
            wait_for_workers(self.path)
        self._selector = selectors.DefaultSelector()
        self._workers = [self._start(slot) for slot in range(workers)]

    @property
    def slots(self) -> int:
        """Number of workers."""
        return len(self._workers)

    def submit(self, slot: int, unit: Unit) -> None:
        """Send a unit to a worker."""
        self._workers[slot].send(unit)

    def wait(self, seconds: float) -> list[Event]:
        """Return events of the workers; the unit of a dead worker failed, and it is replaced."""
        events: list[Event] = []
        for key, _ in self._selector.select(seconds):
            slot: int = key.data
            worker = self._workers[slot]
            lines = worker.read()
            if lines is None:
                self._selector.unregister(worker.output)
                reason = worker.obituary()
                if not worker.ready and not worker.killed:
                    raise StudyError(f"a worker did not start: {reason}")
                if worker.busy:
                    events.append(Event(slot, "failed", reason=reason))
                worker.stop()
                self._workers[slot] = self._start(slot)
                continue
            for line in lines:
                event = worker.heard(line)
                if event is not None:
                    events.append(event)
        return events

    def close(self) -> None:
        """Stop the workers; those that train save a checkpoint if there is time."""
        for worker in self._workers:
            worker.end()
        until = time.monotonic() + _STOPPING
        for worker in self._workers:
            worker.stop(until)
        self._selector.close()

    def _start(self, slot: int) -> _Worker:
        environment = {**ENVIRONMENT, **os.environ}
        for name in ("OMP", "MKL", "OPENBLAS", "VECLIB_MAXIMUM", "NUMEXPR"):
            environment[f"{name}_NUM_THREADS"] = str(self.threads)
        environment["POLARS_MAX_THREADS"] = str(self.threads)
        environment["TOKENIZERS_PARALLELISM"] = "false"
        if self.devices > 1:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            names = visible.split(",") if visible else [str(i) for i in range(self.devices)]
            environment["CUDA_VISIBLE_DEVICES"] = names[slot % self.devices]
        worker = _Worker(slot, self.path, environment, self.memory)
        self._selector.register(worker.output, selectors.EVENT_READ, slot)
        return worker


class _Worker:
    """A worker process, and the lines exchanged with it."""

    def __init__(
        self, slot: int, path: Path, environment: Mapping[str, str], memory: int | None
    ) -> None:
        self.slot = slot
        self.ready = self.busy = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        limit = [] if memory is None else [str(memory)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "behemoth.study.work.worker", str(path), *limit],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=dict(environment),
            start_new_session=True,  # the engine, not the terminal, passes on Ctrl-C
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self.output: IO[bytes] = self._process.stdout
        os.set_blocking(self.output.fileno(), False)
        self._rest = b""

    def send(self, unit: Unit) -> None:
        """Send the worker a unit."""
        self.busy = True
        with suppress(BrokenPipeError):  # then its output has ended too, which `wait` reports
            self._input.write((json.dumps(unit.to_dict()) + "\n").encode())
            self._input.flush()

    def read(self) -> list[bytes] | None:
        """Return the lines that the worker wrote; None if it has ended."""
        data = os.read(self.output.fileno(), 1 << 20)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def heard(self, line: bytes) -> Event | None:
        """Return the event that a line reports; None for the line that it is ready."""
        said = json.loads(line)
        kind = said["event"]
        if kind == "ready":
            self.ready = True
            return None
        if kind == "progress":
            return Event(self.slot, "progress", share=said["share"])
        self.busy = False
        if kind == "done":
            return Event(self.slot, "done", 1.0, said["status"])
        return Event(self.slot, "failed", reason=said["reason"])

    @property
    def killed(self) -> bool:
        """Whether a signal ended the worker; waits until it has ended."""
        return self._process.wait() < 0

    def obituary(self) -> str:
        """Return why the worker ended, with the last line of its standard error."""
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - _TAIL))
        words = self._said.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"the worker {how}" + (f": {words}" if words else "")

    def end(self) -> None:
        """Ask the worker to end, by closing its input."""
        with suppress(BrokenPipeError):
            self._input.close()

    def stop(self, until: float = 0.0) -> None:
        """Ask the worker to end, and kill it if it has not by `until` (`time.monotonic`)."""
        self.end()
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.output.close()
        self._said.close()

"""Long-lived worker processes on this machine, which carry out one task at a time.

Tasks and events are lines of JSON. A worker runs a module that calls `behemoth.support.worker_loop
.serve`.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from .digests import checks
from .errors import ArgumentError
from .locks import lock
from .process import ENVIRONMENT, leave_launcher

__all__ = [
    "WORKER", "Said", "Workers", "WorkersError", "have_ended", "too_many_workers", "workers_lock",
]  # fmt: skip

WORKER = 448 << 20
"""Bytes that a worker takes by itself: the interpreter, torch and the other libraries.

Pages of the libraries' files are not included: workers share them.
"""

_PATIENCE = 15.0  # seconds to wait for workers of a killed process to end
_STOPPING = 0.8  # seconds to wait for workers of this process to end
_TAIL = 2000  # bytes read from the end of a worker's standard error


class WorkersError(RuntimeError):
    """A worker did not start; the message says why."""


def workers_lock(directory: Path) -> Path:
    """Return the file that workers which write to a directory hold a shared lock on."""
    return directory / ".workers.lock"


def have_ended(directory: Path) -> bool:
    """Wait until the workers of a killed process have ended; return whether they have in time."""
    until = time.monotonic() + _PATIENCE
    while True:
        with lock(workers_lock(directory), wait=False) as free:
            if free:
                return True
        if time.monotonic() > until:
            return False
        time.sleep(0.1)


def too_many_workers(given: int, need: str, there: str, fit: int) -> ArgumentError:
    """Return the refusal of a number of workers that do not fit into memory.

    Parameters
    ----------
    given : int
    need : str
        What each of them needs, such as ``1.20 GB of memory``.
    there : str
        What there is, as `behemoth.support.memory.limit_text` says it.
    fit : int
        Number of workers that fit.
    """
    each = f"{given}, each of which needs about {need} while {there}"
    return ArgumentError("workers", each, f"up to {fit}")


@dataclass(frozen=True)
class Said:
    """What is known anew of the task of a slot.

    Attributes
    ----------
    slot : int
    kind : {'progress', 'done', 'failed'}
    fields : mapping
        ``share`` of 'progress' (0 to 1), ``reason`` of 'failed', and of 'done' what the worker
        returned.
    """

    slot: int
    kind: Literal["progress", "done", "failed"]
    fields: Mapping[str, Any]


class Workers:
    """Worker processes, numbered by slots from 0.

    Parameters
    ----------
    module : str
        The module that a worker runs.
    arguments : sequence of str
        Its arguments.
    count : int
    threads : int
        CPU threads of each worker.
    devices : int
        Number of GPUs to distribute over the workers, 0 for none.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], count: int, threads: int, devices: int = 0
    ) -> None:
        # -P: modules are not taken from the working directory, whose files may be of others.
        self._command = [sys.executable, "-P", "-m", module, *arguments]
        self._threads, self._devices = threads, devices
        self._selector = selectors.DefaultSelector()
        self._workers = [self._start(slot) for slot in range(count)]

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes, by slot."""
        return [worker.pid for worker in self._workers]

    def submit(self, slot: int, task: Mapping[str, Any]) -> None:
        """Send a task to a free worker."""
        self._workers[slot].send(task)

    def wait(self, seconds: float) -> list[Said]:
        """Return what workers said, waiting for at most this many seconds.

        The task of a worker that died has failed, and another worker takes its place.

        Raises
        ------
        WorkersError
            If a worker ended by itself before it was ready.
        """
        said: list[Said] = []
        for key, _ in self._selector.select(seconds):
            slot: int = key.data
            worker = self._workers[slot]
            lines = worker.read()
            if lines is None:
                self._selector.unregister(worker.output)
                reason = worker.obituary()
                if not worker.ready and not worker.killed:
                    raise WorkersError(f"a worker did not start: {reason}")
                if worker.busy:
                    said.append(Said(slot, "failed", {"reason": reason}))
                worker.stop()
                self._workers[slot] = self._start(slot)
                continue
            said += [new for line in lines if (new := worker.heard(line)) is not None]
        return said

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
        leave_launcher(environment)
        for name in ("OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "VECLIB_MAXIMUM", "NUMEXPR_NUM",
                     "POLARS_MAX"):  # fmt: skip
            environment[f"{name}_THREADS"] = str(self._threads)
        environment["TOKENIZERS_PARALLELISM"] = "false"
        if self._devices > 1:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            names = visible.split(",") if visible else [str(i) for i in range(self._devices)]
            environment["CUDA_VISIBLE_DEVICES"] = names[slot % self._devices]
        worker = _Worker(slot, self._command, environment)
        self._selector.register(worker.output, selectors.EVENT_READ, slot)
        return worker


class _Worker:
    """A worker process, and the lines exchanged with it."""

    def __init__(self, slot: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.slot = slot
        self.ready = self.busy = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=dict(environment),
            start_new_session=True,  # this process, not the terminal, passes on Ctrl-C
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self.output: IO[bytes] = self._process.stdout
        os.set_blocking(self.output.fileno(), False)
        self._rest = b""

    def send(self, task: Mapping[str, Any]) -> None:
        """Send the worker a task, and whether it is to check files against their digests."""
        self.busy = True
        line = {"task": task, "checks": checks()}
        with suppress(BrokenPipeError):  # then its output has ended too, which `wait` reports
            self._input.write((json.dumps(line) + "\n").encode())
            self._input.flush()

    def read(self) -> list[bytes] | None:
        """Return the lines that the worker wrote; None if it has ended."""
        data = os.read(self.output.fileno(), 1 << 20)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def heard(self, line: bytes) -> Said | None:
        """Return what a line reports; None for the line that the worker is ready."""
        fields = json.loads(line)
        kind = fields.pop("event")
        if kind == "ready":
            self.ready = True
            return None
        self.busy = self.busy and kind == "progress"
        return Said(self.slot, kind, fields)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

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

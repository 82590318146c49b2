"""The worker's side of `behemoth.support.workers`: tasks are read, carried out, and reported.

When its input ends, because the work is done or the process that gave it has ended, a worker ends
too. Training saves a checkpoint first; another task is started over by the next run.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from .digests import checking
from .locks import lock
from .process import prepare
from .progress import Advance
from .workers import workers_lock

__all__ = ["serve"]

_GRACE = 3.0  # seconds for a checkpoint
_INTERVAL = 0.2  # seconds between reports of progress


class _Inbox:
    """Reads tasks from standard input, in a thread of its own."""

    def __init__(self) -> None:
        self.tasks: queue.Queue[str | None] = queue.Queue()
        self.busy = self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self.tasks.put(line)
        # Tasks that wait are not begun: nobody would hear of them. `busy` is looked at before the
        # other thread is woken, and set there before `ended` is looked at, so one of them sees it.
        self.ended = True
        busy = self.busy
        self.tasks.put(None)
        if busy:
            # Training saves a checkpoint on this signal; any other work ends.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_GRACE)
            os._exit(1)


class _Outbox:
    """Writes events to standard output."""

    def __init__(self) -> None:
        # Output printed by libraries must not mix with the events.
        self._stream: TextIO = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._last = 0.0

    def write(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write one event."""
        try:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            os._exit(1)

    def progress(self, done: int, total: int, _: object = None, /) -> None:
        """Write the progress of a task, at most every `_INTERVAL` seconds."""
        now = time.monotonic()
        if now - self._last > _INTERVAL:
            self._last = now
            self.write("progress", {"share": done / max(1, total)})


Carry = Callable[[Any, Advance], tuple[str, Mapping[str, Any]]]
"""Carries out a task, and returns the event at its end, 'done' or 'failed', and its fields."""


def serve(directory: Path, carry_out: Carry) -> None:
    """Carry out tasks until standard input ends.

    Parameters
    ----------
    directory : Path
        The directory that is written to, on which `workers.have_ended` waits.
    carry_out : callable
        Called with a task and with an `Advance`.
    """
    outbox, inbox = _Outbox(), _Inbox()
    prepare()
    from transformers.utils import logging

    logging.set_verbosity_error()
    with lock(workers_lock(directory), shared=True):
        outbox.write("ready", {})
        while (line := inbox.tasks.get()) is not None:
            inbox.busy = True
            if inbox.ended:
                break
            told = json.loads(line)
            with checking(wanted=told["checks"]):
                event, fields = carry_out(told["task"], outbox.progress)
            inbox.busy = False
            outbox.write(event, fields)

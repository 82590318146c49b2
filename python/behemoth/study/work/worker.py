"""A worker of the local engine: ``python -m behemoth.study.work.worker STUDY [BYTES]``.

BYTES is the memory that a unit may use in addition to that of the worker itself.

Units are read as lines of JSON, and events are written as lines of JSON. When its input ends,
because the study is done or the process that runs it has ended, the worker ends too. Training saves
a checkpoint first; other units are started over by the next run.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any, TextIO

from behemoth.support.locks import lock
from behemoth.support.process import prepare

from .engine import perform

_GRACE = 3.0  # seconds for a checkpoint
_INTERVAL = 0.2  # seconds between reports of progress


class _Inbox:
    """Reads units from standard input, in a thread of its own."""

    def __init__(self) -> None:
        self.units: queue.Queue[str | None] = queue.Queue()
        self.busy = self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self.units.put(line)
        # Units that wait are not begun: nobody would hear of them. `busy` is looked at before the
        # other thread is woken, and set there before `ended` is looked at, so one of them sees it.
        self.ended = True
        busy = self.busy
        self.units.put(None)
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

    def write(self, **event: Any) -> None:
        """Write one event."""
        try:
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            os._exit(1)

    def progress(self, done: int, total: int, _: object = None, /) -> None:
        """Write the progress of a unit, at most every `_INTERVAL` seconds."""
        now = time.monotonic()
        if now - self._last > _INTERVAL:
            self._last = now
            self.write(event="progress", share=done / max(1, total))


def main(path: str, memory: int | None = None) -> int:
    """Carry out units until standard input ends."""
    outbox, inbox = _Outbox(), _Inbox()
    prepare()
    from transformers.utils import logging

    logging.set_verbosity_error()
    laboratories: dict[str, Any] = {}
    # The next run of the study waits until no worker holds this lock.
    with lock(_lock(path), shared=True):
        outbox.write(event="ready")
        while (line := inbox.units.get()) is not None:
            inbox.busy = True
            if inbox.ended:
                break
            result = perform(path, json.loads(line), outbox.progress, laboratories, memory)
            inbox.busy = False
            if result.status is None:
                outbox.write(event="failed", reason=result.reason)
            else:
                outbox.write(event="done", status=result.status)
    return 0


def _lock(path: str) -> Any:
    from pathlib import Path

    return Path(path) / ".workers.lock"


if __name__ == "__main__":
    from behemoth.train.errors import Interrupted

    try:
        sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
    except Interrupted:
        sys.exit(0)

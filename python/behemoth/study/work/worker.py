"""A worker of the local engine: ``python -m behemoth.study.work.worker STUDY``.

Units come in as lines of JSON, and events go out as lines of JSON. When its input ends, because
the study is done or because the process that runs it is gone, the worker ends too: training saves
a checkpoint first, all else is made again.
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
    """Units as they come in, and the end of them."""

    def __init__(self) -> None:
        self.units: queue.Queue[str | None] = queue.Queue()
        self.busy = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self.units.put(line)
        self.units.put(None)
        if self.busy:
            # In training this means a checkpoint, anywhere else the end.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_GRACE)
            os._exit(1)


class _Outbox:
    """Writes events."""

    def __init__(self) -> None:
        # What libraries print must not get between our lines.
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
        """Write how far a unit is, now and then."""
        now = time.monotonic()
        if now - self._last > _INTERVAL:
            self._last = now
            self.write(event="progress", share=done / max(1, total))


def main(path: str) -> int:
    """Work until there is nothing more to do."""
    outbox, inbox = _Outbox(), _Inbox()
    prepare()
    from transformers.utils import logging

    logging.set_verbosity_error()
    laboratories: dict[str, Any] = {}
    # Whoever runs the study next waits until nobody holds this.
    with lock(_lock(path), shared=True):
        outbox.write(event="ready")
        while (line := inbox.units.get()) is not None:
            inbox.busy = True
            result = perform(path, json.loads(line), outbox.progress, laboratories)
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
        sys.exit(main(sys.argv[1]))
    except Interrupted:
        sys.exit(0)

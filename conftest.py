"""What the tests and the examples of docstrings share: an engine that works in this process."""

from __future__ import annotations

import json

import pytest


class InProcess:
    """An engine of studies with one slot, which does a unit when it is waited for.

    `done` holds the units that it has done; it is interrupted once those are `stop_after`.
    """

    slots = 1

    def __init__(self, path, stop_after=None):
        self.path, self.left = str(path), stop_after
        self.unit, self.done, self.laboratories, self.closed = None, [], {}, False

    def submit(self, slot, unit):
        assert self.unit is None
        self.unit = unit

    def wait(self, seconds):
        from behemoth.study.work.engine import Event, perform

        if self.left is not None and len(self.done) == self.left:
            raise KeyboardInterrupt
        unit, self.unit = self.unit, None
        shares = []
        plain = json.loads(json.dumps(unit.to_dict()))  # as it comes from another process
        result = perform(self.path, plain, lambda *at: shares.append(at), self.laboratories)
        assert shares == sorted(shares)
        self.done.append(unit)
        return [Event(0, "progress", 0.5), result.event(0)]

    def close(self):
        self.closed = True


@pytest.fixture(scope="session")
def in_process_engine():
    """The engine that works in this process: in_process_engine(path, stop_after=None)."""
    return InProcess

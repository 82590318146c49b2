"""What the tests and the examples of docstrings share: engines that work in this process, pip."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

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


class RayTask:
    """What `ray.remote` makes of a function, run when its result is asked for."""

    def __init__(self, function):
        self.function = function

    def remote(self, *arguments):
        return lambda: self.function(*arguments)


@pytest.fixture
def fake_ray(monkeypatch):
    """Ray with four cores; what it is asked to do is in `calls`, what tasks need in `options`."""
    calls, options = [], []

    def remote(**own):
        options.append(own)
        return RayTask

    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda log_to_driver: calls.append("init"),
        shutdown=lambda: calls.append("shutdown"),
        cluster_resources=lambda: {"CPU": 4.0},
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}],
        put=lambda value: value,
        remote=remote,
        wait=lambda waiting, num_returns, timeout=None: (waiting[-1:], waiting[:-1]),
        get=lambda tasks: [task() for task in tasks] if isinstance(tasks, list) else tasks(),
        cancel=lambda task, force: calls.append("cancel"),
        calls=calls,
        options=options,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


@pytest.fixture(scope="session")
def install():
    """Install a package from its folder into another folder: install(source, site)."""

    def install(source, site):
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        words += ["--no-build-isolation", "--disable-pip-version-check", "--target", site, source]
        subprocess.run(words, check=True)

    return install

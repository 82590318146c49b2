import json
import subprocess
import sys
from pathlib import Path

import pytest

from behemoth import Corpus, World
from behemoth.train import default_config

SMALL = {
    "steps": 8, "block_length": 32, "batch_size": 4, "threads": 1, "tensorboard": False,
    "probe_facts": 20, "log_interval": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def small():
    """A corpus of 4,400 tokens."""
    return Corpus(World(subjects=20, relations=2, objects=5), exposures="groups:4,16")


@pytest.fixture(scope="session")
def config():
    """Settings of a run of a second: config(learning_rate=1e-3)."""

    def config(**settings):
        return default_config("nano", **{**SMALL, **settings})

    return config


class Launched:
    """A command in several processes."""

    def __init__(self, launcher, pids, out):
        self._launcher, self.pids, self._out = launcher, pids, out

    def ended(self):
        """Exit code, stdout and stderr of each process."""
        codes = json.loads(self._launcher.stdout.readline())
        texts = [
            [(self._out / f"{rank}.{name}").read_text() for name in ("out", "err")]
            for rank in range(len(codes))
        ]
        return [(code, *text) for code, text in zip(codes, texts, strict=True)]


@pytest.fixture(scope="session")
def launcher():
    """The process that starts others; see launcher.py."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("launcher.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def launch(launcher, tmp_path_factory):
    """Start a command in several processes: launch(2, "train", ...) -> Launched.

    With `patience` they wait for each other so many seconds where they average gradients, and the
    first takes a second more for what it is `slow` at: "probe", "save" or "update".
    """

    def launch(processes, *words, killed_at=None, patience=None, slow=()):
        out = tmp_path_factory.mktemp("said")
        job = {
            "processes": processes, "words": [*map(str, words)], "out": str(out),
            "killed_at": killed_at, "patience": patience, "slow": slow,
        }  # fmt: skip
        launcher.stdin.write(json.dumps(job) + "\n")
        launcher.stdin.flush()
        return Launched(launcher, json.loads(launcher.stdout.readline()), out)

    return launch

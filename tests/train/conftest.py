from importlib.util import find_spec

import pytest

from behemoth import Corpus, World
from behemoth.train import default_config

collect_ignore = [] if find_spec("torch") else ["test_data.py", "test_loop.py"]

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

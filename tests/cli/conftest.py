"""What the tests of the commands that edit and evaluate share."""

import pytest


@pytest.fixture
def plan(run, trained, tmp_path):
    """Two independent edits of `trained`."""
    run("plan", trained, "--edits", 2, "--independent", "--out", tmp_path / "plan", "--json").json()
    return tmp_path / "plan"

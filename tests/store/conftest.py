"""A corpus to send to a store, and what kills those who send it."""

import os
import subprocess
import sys

import pytest

from behemoth import Corpus, Groups, World


@pytest.fixture(scope="session")
def corpus():
    """A corpus of several shards."""
    return Corpus(
        World(subjects=600, relations=2, objects=5), exposures=Groups([4, 16]), shard_bytes=65_536
    )


@pytest.fixture(scope="session")
def directory(corpus, tmp_path_factory):
    place = tmp_path_factory.mktemp("corpora") / "corpus"
    corpus.write(place, probes=20)
    return place


@pytest.fixture
def killed(tmp_path):
    """Run a call in a process that is killed once it moved so many bytes: killed(text, bytes)."""

    def killed(call, moved):
        script = (
            "import os, signal, behemoth as bh\n"
            "def look(moment):\n"
            f"    if moment.unit == 'bytes' and moment.done > {moved}:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            f"{call}\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, env=os.environ.copy(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, -9), done.stderr
        return done.returncode == -9

    return killed


@pytest.fixture
def files():
    """What a directory holds: files(path) -> bytes by name."""

    def files(place):
        return {
            path.relative_to(place).as_posix(): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file()
        }

    return files


@pytest.fixture
def url(request, tmp_path):
    """A place in a folder; in S3 as well where a test asks for it, as requests matter to it."""
    if getattr(request, "param", "file") == "file":
        return f"file://{tmp_path}/store"
    request.getfixturevalue("s3")
    return "s3://corpora/st"

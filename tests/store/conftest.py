"""A server that speaks S3 in this process, a bucket, and a corpus to send there."""

import logging
import os
import subprocess
import sys

import pytest

from behemoth import Corpus, Groups, World


@pytest.fixture(scope="session")
def endpoint():
    """The URL of moto's server, which keeps objects in the memory of this process."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint, monkeypatch):
    """A file system of an empty server with the bucket ``corpora``."""
    import urllib.request

    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(request).close()
    found = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    found.mkdir("corpora")
    return found


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where copies of what is in stores are kept, for this test alone."""
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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

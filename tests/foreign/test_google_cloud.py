"""Directories at Google Cloud Storage, by an emulator of it: sent, fetched, generated and read.

Needs gcsfs and gcp-storage-emulator, which both are on PyPI.
"""

import os
import socket

import pytest

import behemoth as bh
from behemoth.store import place as places

# Read at the import of gcsfs: its other file system asks for the kind of a bucket by gRPC, which
# the emulator does not speak, and waits a minute for an answer.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
gcsfs = pytest.importorskip("gcsfs")
emulator = pytest.importorskip("gcp_storage_emulator.server")

pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def gs(monkeypatch, tmp_path):
    """An empty store with the bucket ``corpora``."""
    import fsspec

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="corpora")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    yield
    server.stop()


@pytest.fixture
def corpus():
    """A corpus of several shards."""
    return bh.Corpus(
        bh.World(subjects=600, relations=2, objects=5),
        exposures=bh.Groups([4, 16]),
        shard_bytes=65_536,
    )


@pytest.fixture
def directory(corpus, tmp_path):
    corpus.write(tmp_path / "corpus", probes=20)
    return tmp_path / "corpus"


def files(place):
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


@pytest.mark.usefixtures("gs")
def test_what_is_sent_is_fetched_and_lost_objects_are_sent_again(directory, tmp_path):
    url = "gs://corpora/of mine/one[1]"
    sent = bh.push(directory, url)
    assert sent.sent == sent.files == len(files(directory))
    assert bh.push(directory, url).sent == 0
    place = places.open_place("url", url)
    place.remove(["tokens/00000.bin"])
    place.write("spec.toml", b"half")
    assert bh.push(directory, url).sent == 2
    bh.pull(url, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(directory)
    whole = place.read("tokens/00001.bin")
    place.write("tokens/00001.bin", bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(bh.CorpusError, match=r"tokens/00001\.bin is damaged"):
        bh.pull(url, tmp_path / "other")


@pytest.mark.usefixtures("gs")
def test_a_stopped_push_is_resumed(directory):
    def stop(moment):
        if moment.unit == "bytes" and moment.done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bh.push(directory, "gs://corpora/stopped", progress=stop)
    with pytest.raises(bh.CorpusError):
        bh.load("gs://corpora/stopped")
    rest = bh.push(directory, "gs://corpora/stopped")
    assert 0 < rest.sent <= rest.files


@pytest.mark.usefixtures("gs")
def test_a_corpus_is_generated_there_verified_and_read(corpus, directory, tmp_path):
    url = "gs://corpora/generated"
    assert bh.gen(corpus, url, probes=20).complete
    bh.pull(url, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(directory)
    assert bh.verify(url).ok
    config = bh.default_config("pico", steps=2, batch_size=4, block_length=32, tensorboard=False)
    bh.train(url, out=tmp_path / "run", config=config)
    bh.export(url, "gs://corpora/text", to="text")
    bh.pull("gs://corpora/text", tmp_path / "text")
    bh.export(directory, tmp_path / "local", to="text")
    assert files(tmp_path / "text") == files(tmp_path / "local")


@pytest.mark.usefixtures("gs")
def test_a_bucket_that_does_not_exist_is_named(directory):
    with pytest.raises(bh.StoreError, match=r"^gs://nobody/c"):
        bh.push(directory, "gs://nobody/c")

"""Corpora go to a store shard by shard, and are the bytes of a local run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.store import place as places

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def stored(files, tmp_path):
    """What a store holds of a corpus: stored(url) -> bytes by name, the ledger left out."""

    def stored(url):
        place = places.open_place("url", url)
        names = [name for name in place.sizes() if not name.startswith(".behemoth/")]
        return {name: place.read(name) for name in names}

    return stored


@pytest.mark.parametrize("url", ["s3://corpora/gen", "file://{}/store"], ids=["s3", "file"])
def test_the_bytes_are_those_of_a_local_run(corpus, directory, s3, url, tmp_path, stored, files):
    url = url.format(tmp_path)
    done = bh.gen(corpus, url, probes=20)
    assert (done.out, done.complete, done.shards_written) == (url, True, corpus.num_shards)
    assert (done.tokens, done.bytes) == (corpus.count_tokens(), corpus.count_tokens() * 2)
    assert stored(url) == files(directory)
    again = bh.gen(corpus, url, probes=20)
    assert (again.shards_written, again.shards_present) == (0, corpus.num_shards)
    assert again.tokens == done.tokens
    bh.pull(url, tmp_path / "back")
    assert files(tmp_path / "back") == files(directory)


def test_a_shard_for_each_thread_is_all_that_is_here(corpus, cache, tmp_path, monkeypatch):
    from behemoth.store.folder import Folder

    most, send = [], Folder.send

    def seen(self, name, file, moved):
        shards = list(cache.rglob("tokens/*.bin"))
        most.append((len(shards), sum(path.stat().st_blocks * 512 for path in shards)))
        send(self, name, file, moved)

    monkeypatch.setattr(Folder, "send", seen)
    bh.gen(corpus, f"file://{tmp_path}/store", threads=2, probes=0)
    room = 3 * 65_536  # one is being sent, one written, and blocks are whole
    assert corpus.num_shards > 3
    assert max(count for count, _ in most) == corpus.num_shards  # the others are empty
    assert max(size for _, size in most) <= room
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("moved", [0, 100_000])
def test_killed_it_goes_on_here_and_elsewhere(
    corpus, directory, s3, killed, moved, tmp_path, stored, files, monkeypatch, cache
):
    url = "s3://corpora/gen"
    made = (
        "corpus = bh.Corpus(bh.World(subjects=600, relations=2, objects=5), "
        "exposures=bh.Groups([4, 16]), shard_bytes=65_536)\n"
        f"bh.gen(corpus, {url!r}, probes=20, threads=1, progress=look)"
    )
    assert killed(made, moved)
    assert not s3.exists("corpora/gen/manifest.json")
    there = sum(name.endswith(".bin") for name in s3.find("corpora/gen"))
    if moved:  # of another machine, which has nothing of it
        monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
    done = bh.gen(corpus, url, probes=20)
    assert done.shards_present >= there - 1 and done.complete
    assert stored(url) == files(directory)


def test_an_empty_shard_is_never_sent(
    corpus, directory, s3, cache, tmp_path, stored, files, killed
):
    """The store lost what was sent, and the stage has empty files in its place."""
    url = f"file://{tmp_path}/store"
    made = (
        "corpus = bh.Corpus(bh.World(subjects=600, relations=2, objects=5), "
        "exposures=bh.Groups([4, 16]), shard_bytes=65_536)\n"
        f"bh.gen(corpus, {url!r}, probes=20, threads=1, progress=look)"
    )
    assert killed(made, 150_000)
    assert any(path.stat().st_blocks == 0 for path in cache.rglob("tokens/*.bin"))
    shutil.rmtree(tmp_path / "store")
    bh.gen(corpus, url, probes=20)
    assert stored(url) == files(directory)


@pytest.mark.parametrize("finish", [False, True], ids=["the last part", "--finish"])
def test_parts(corpus, directory, s3, tmp_path, stored, files, run, finish):
    url = "s3://corpora/parts"
    for part in (0, 2) if finish else (2, 0, 1):
        done = bh.gen(corpus, url, probes=20, part=(part, 3))
        assert done.complete == (part == 1)
    if finish:
        assert not s3.exists("corpora/parts/manifest.json")
        told = run("gen", "--finish", url, "--json").json()
        assert (told["out"], told["tokens"]) == (url, corpus.count_tokens())
    assert stored(url) == files(directory)
    assert {name for name in s3.find("corpora/parts") if ".behemoth" in name} == {
        "corpora/parts/.behemoth/ledger.json"
    }


def test_a_corpus_that_rests_on_arrays_is_finished_from_the_store(s3, tmp_path, stored, files):
    table = bh.World(subjects=50, relations=2, objects=5)
    exposures = [1 + number % 7 for number in range(table.num_facts)]
    corpus = bh.Corpus(table, exposures=exposures, shard_bytes=4_096)
    corpus.write(tmp_path / "local")
    bh.gen(corpus, "s3://corpora/arrays", part=(0, 2))
    bh.finish_corpus("s3://corpora/arrays")
    assert stored("s3://corpora/arrays") == files(tmp_path / "local")


def test_another_corpus_is_replaced_by_force_alone(corpus, s3, stored, files, tmp_path):
    url, other = "s3://corpora/gen", bh.Corpus(bh.World(50, 2, 5), exposures=3)
    bh.gen(corpus, url, probes=0)
    with pytest.raises(bh.CorpusError, match=r"holds another directory \(manifest\.json\)"):
        bh.gen(other, url, probes=0)
    bh.gen(other, url, probes=0, force=True)
    other.write(tmp_path / "other", probes=0)
    assert stored(url) == files(tmp_path / "other")


def test_the_command_takes_a_url(s3, run, directory, stored, files, tmp_path):
    words = ("gen", "--spec", directory / "spec.toml", "--probes", 20)
    expected = run(*words, "--out", "s3://corpora/cli", "--dry-run", "--json").json()
    told = run(*words, "--out", "s3://corpora/cli", "--json").json()
    assert (told["out"], told["tokens"]) == ("s3://corpora/cli", expected["tokens"])
    assert stored("s3://corpora/cli") == files(directory)


def test_a_local_run_loads_nothing_of_stores(tmp_path):
    script = (
        "import sys, behemoth as bh\n"
        "corpus = bh.Corpus(bh.World(subjects=10, relations=2, objects=5))\n"
        "bh.gen(corpus, 'c'); bh.load('c'); bh.verify('c')\n"
        "loaded = [name for name in sys.modules if name.partition('.')[0] in ('fsspec', 's3fs')]\n"
        "loaded += [name for name in sys.modules if name.startswith('behemoth.store.')]\n"
        "assert loaded == ['behemoth.store.source'], loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=os.environ.copy(), check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not Path(os.environ["BEHEMOTH_CACHE"]).exists()

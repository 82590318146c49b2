"""Corpora go to a store shard by shard, and are the bytes of a local run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.corpus import stored as stored_corpora
from behemoth.corpus.manifest import MANIFEST
from behemoth.store import place as places
from behemoth.store.ledger import Entry, Ledger

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def stored(files, tmp_path):
    """What a store holds of a corpus: stored(url) -> bytes by name, the ledger left out."""

    def stored(url):
        place = places.open_place("url", url)
        names = [name for name in place.sizes() if not name.startswith(".behemoth/")]
        return {name: place.read(name) for name in names}

    return stored


def is_empty(path):
    """Whether nothing is on the disk of a shard, but for what file systems count of a hole."""
    return path.stat().st_blocks * 512 <= 4096


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
        most.append((len(shards), sum(not is_empty(path) for path in shards)))
        send(self, name, file, moved)

    monkeypatch.setattr(Folder, "send", seen)
    bh.gen(corpus, f"file://{tmp_path}/store", threads=2, probes=0)
    assert corpus.num_shards > 3
    assert max(count for count, _ in most) == corpus.num_shards  # the others are empty
    assert max(whole for _, whole in most) <= 2
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
    assert any(is_empty(path) for path in cache.rglob("tokens/*.bin"))
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


def test_probes_in_a_store_stay_unless_others_are_asked_for(tmp_path, stored, monkeypatch):
    corpus = bh.Corpus(bh.World(6000, 2, 5), templates={"default": 1, "rso": 1})
    url, empty = (tmp_path / "store").as_uri(), (tmp_path / "empty").as_uri()
    bh.gen(corpus, url, probes="all", part=(0, 2))
    bh.gen(corpus, empty, probes=0)
    probes = {name: data for name, data in stored(url).items() if name.startswith("probes/")}
    assert len(probes) == 2
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "of another machine"))
    for again in (bh.gen, lambda corpus, url: bh.finish_corpus(url)):
        assert again(corpus, url).complete and probes.items() <= stored(url).items()
        assert again(corpus, empty).complete and not probes.keys() & stored(empty).keys()
    bh.gen(corpus, url, probes=9)
    assert all(len(stored(url)[name]) < len(data) for name, data in probes.items())


def other_of(seed):
    """A corpus of as many shards as the others of these tests, with other bytes."""
    return bh.Corpus(
        bh.World(subjects=600, relations=2, objects=5, seed=seed), exposures=8, shard_bytes=65_536
    )


def test_parts_of_another_corpus_are_refused_by_their_name(s3, stored):
    """Whichever of the parts that are there it is."""
    url, mine, other = "s3://corpora/mixed", other_of(1), other_of(2)
    bh.gen(mine, url, part=(0, 3), probes=0)
    data = Ledger(MANIFEST, other.spec_hash).to_bytes()
    place = places.open_place("url", url)
    place.write(".behemoth/part-00001-of-00003.json", data)
    before = stored(url)
    for call in (lambda: bh.gen(mine, url, part=(2, 3), probes=0), lambda: bh.finish_corpus(url)):
        with pytest.raises(
            bh.CorpusError, match=r"holds another directory \(manifest\.json, part 1/3\)"
        ):
            call()
    assert stored(url) == before
    bh.gen(mine, url, force=True, probes=0)  # which clears the place
    assert bh.verify(url).ok


@pytest.mark.parametrize("url", ["s3://corpora/at-once", "file://{}/store"], ids=["s3", "file"])
def test_parts_of_two_corpora_that_begin_at_once_do_not_mix(s3, url, tmp_path, monkeypatch, stored):
    """The other one begins when this one has found the place empty."""
    url, mine, other = url.format(tmp_path), other_of(1), other_of(2)
    look, looked = stored_corpora.target_of, []

    def meanwhile(*words, **more):
        found = look(*words, **more)
        if not looked:
            looked.append(True)
            bh.gen(other, url, part=(1, 2), probes=0)
        return found

    monkeypatch.setattr(stored_corpora, "target_of", meanwhile)
    with pytest.raises(bh.CorpusError, match=r"another directory \(manifest\.json, part 1/2\)"):
        bh.gen(mine, url, part=(0, 2), probes=0)
    # It has withdrawn: the other goes on.
    bh.gen(other, url, part=(0, 2), probes=0)
    other.write(tmp_path / "other", probes=0)
    assert stored(url)["tokens/00001.bin"] == (tmp_path / "other/tokens/00001.bin").read_bytes()
    assert bh.verify(url).ok


def test_shards_of_another_corpus_are_named(s3, tmp_path):
    """As two that began at once have left them in earlier versions."""
    url, mine, other = "s3://corpora/shards", other_of(1), other_of(2)
    bh.gen(mine, url, part=(0, 2), probes=0)
    other.write(tmp_path / "other", probes=0)
    place, files = places.open_place("url", url), {}
    for shard in range(mine.num_shards // 2, mine.num_shards):
        for suffix in ("bin", "json"):
            name = f"tokens/{shard:05}.{suffix}"
            place.send(name, tmp_path / "other" / name, lambda moved: None)
            files[name] = Entry.of(tmp_path / "other" / name)
    ledger = Ledger(MANIFEST, mine.spec_hash, files=files)
    place.write(".behemoth/part-00001-of-00002.json", ledger.to_bytes())
    first, last = mine.num_shards // 2, mine.num_shards - 1
    said = f"shards {first} to {last} at {url} are of another corpus"
    with pytest.raises(bh.CorpusError, match=f"^{said}$"):
        bh.finish_corpus(url)


def test_a_part_that_looks_while_the_last_one_ends_finds_the_corpus(s3, monkeypatch, tmp_path):
    """Its listing has the ledgers of parts, which are gone when it reads them."""
    from behemoth.store.folder import Folder

    url, mine = f"file://{tmp_path}/store", other_of(1)
    bh.gen(mine, url, part=(1, 2), probes=0)
    sizes, listed = Folder.sizes, []

    def late(self):
        found = sizes(self)
        if not listed:
            listed.append(True)
            bh.gen(mine, url, part=(0, 2), probes=0)
        return found

    monkeypatch.setattr(Folder, "sizes", late)
    done = bh.gen(mine, url, part=(1, 2), probes=0)
    assert (done.complete, done.shards_written) == (True, 0)
    assert bh.verify(url).ok


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


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_of_another_kind_is_not_replaced(run, directory, tmp_path, files, force):
    url = (tmp_path / "store").as_uri()
    bh.export(directory, url, to="jsonl")
    before = files(tmp_path / "store")
    words = ("gen", "--facts", 60, "--out", url, *(["--force"] * force))
    line = run(*words).refused()
    assert f"argument '--out': got {url}, which is an export, allowed: a new place, or " in line
    assert files(tmp_path / "store") == before


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

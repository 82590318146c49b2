"""Directories are sent whole, once, and in an order in which none is ever torn."""

import errno
import json
import os
import shutil
import threading
import time
from dataclasses import replace

import pytest

import behemoth as bh
from behemoth.store import ledger as ledgers, place as places
from behemoth.store.files import in_order
from behemoth.store.push import send
from behemoth.store.recorded import recorded
from behemoth.support.digests import digests, sealed, unchecked
from behemoth.support.files import as_json
from behemoth.train.run import read_record
from behemoth.verification import _KINDS

URLS = {"s3": "s3://corpora/mine", "memory": "memory://mine-{}", "file": "file://{}/store"}
ANYWHERE = pytest.mark.parametrize("url", URLS, indirect=True)


@pytest.fixture
def url(request, tmp_path):
    """A place in a folder; in the other stores as well where a test asks for it."""
    kind = getattr(request, "param", "file")
    if kind == "s3":
        request.getfixturevalue("s3")
    return URLS[kind].format(tmp_path)


@pytest.fixture
def ledger():
    def ledger(url):
        return ledgers.read_ledger(places.open_place("url", url))

    return ledger


@ANYWHERE
def test_what_is_sent_is_what_is_there(directory, url, files, ledger):
    sent = bh.push(directory, url)
    there, place = files(directory), places.open_place("url", url)
    assert sent.sent == sent.files == len(there)
    assert sent.bytes == sent.bytes_sent == sum(map(len, there.values()))
    assert {name: place.read(name) for name in there} == there
    assert set(place.sizes()) == {*there, ".behemoth/ledger.json"}
    assert ledger(url).complete and ledger(url).record == "manifest.json"


@ANYWHERE
def test_again_sends_nothing(directory, url):
    bh.push(directory, url)
    again = bh.push(directory, url)
    assert (again.sent, again.bytes_sent, again.removed) == (0, 0, 0)


def test_what_is_sent_many_times_is_read_once(directory, url, tmp_path, monkeypatch):
    """A study that runs into a store read all it had finished every 30 seconds."""
    place, read = shutil.copytree(directory, tmp_path / "c"), []
    digest_file = ledgers.digest_file
    monkeypatch.setattr(ledgers, "digest_file", lambda file: read.append(file) or digest_file(file))
    entries = ledgers.Entries()
    sent = send(place, url, entries=entries)
    assert sorted(read) == sorted(path for path in place.rglob("*") if path.is_file())
    assert sent.sent == len(read)
    read.clear()
    assert send(place, url, entries=entries).sent == 0 and not read
    (place / "notes.txt").write_text("mine")
    assert send(place, url, entries=entries).sent == 1
    file = place / "notes.txt"
    before = file.stat()
    file.write_text("ours")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert send(place, url, entries=entries).sent == 1
    assert places.open_place("url", url).read("notes.txt") == b"ours"
    assert read == [file, file]
    assert send(place, url).sent == 0 and len(read) == 3 + sent.sent


@ANYWHERE
def test_what_was_lost_in_the_store_is_sent_again(directory, url):
    bh.push(directory, url)
    place = places.open_place("url", url)
    place.remove(["tokens/00000.bin"])
    place.write("spec.toml", b"half")
    assert bh.push(directory, url).sent == 2
    assert place.read("spec.toml") == (directory / "spec.toml").read_bytes()


@ANYWHERE
def test_force_sends_all_again_and_mends_what_is_damaged(directory, url):
    files = bh.push(directory, url).files
    place = places.open_place("url", url)
    whole = place.read("tokens/00001.bin")
    place.write("tokens/00001.bin", bytes([whole[0] ^ 1]) + whole[1:])
    assert bh.push(directory, url).sent == 0

    def stop(moment):
        if moment.unit == "bytes" and moment.done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bh.push(directory, url, force=True, progress=stop)
    rest = bh.push(directory, url)  # goes on with what was to be sent
    assert 0 < rest.sent <= files and place.read("tokens/00001.bin") == whole
    assert bh.push(directory, url, force=True).sent == files
    assert bh.push(directory, url).sent == 0


@ANYWHERE
def test_force_that_was_stopped_sends_what_it_has_not_sent_and_no_less(directory, url):
    """An object that was damaged meanwhile, or before a push that was never finished."""
    files = bh.push(directory, url).files
    place = places.open_place("url", url)
    whole = place.read("tokens/00001.bin")

    def damage():
        place.write("tokens/00001.bin", bytes([whole[0] ^ 1]) + whole[1:])

    # Incomplete, without force: what is there may have been sent by anybody.
    ledger = ledgers.read_ledger(place)
    place.write(ledgers.LEDGER, replace(ledger, complete=False).to_bytes())
    damage()
    assert bh.push(directory, url, force=True).sent == files
    assert place.read("tokens/00001.bin") == whole
    # Incomplete by force: it goes on.
    first = {name: ledger.files[name] for name in sorted(ledger.files)[:3]}
    begun = replace(ledger, complete=False, files=dict(first), forced=True)
    place.write(ledgers.LEDGER, begun.to_bytes())
    damage()
    assert "tokens/00001.bin" not in first
    assert bh.push(directory, url, force=True).sent == files - 3
    assert place.read("tokens/00001.bin") == whole
    done = ledgers.read_ledger(place)
    assert done.complete and not done.forced and done.files == ledger.files


@pytest.mark.parametrize(
    "name", ["tokens/00001.bin", "probes/default.parquet", "spec.toml", "manifest.json",
             "tokens/00001.json"],
)  # fmt: skip
def test_what_was_damaged_here_does_not_replace_what_is_good(
    directory, url, tmp_path, name, run, monkeypatch
):
    bh.push(directory, url)
    place = places.open_place("url", url)
    whole, ledger = place.read(name), place.read(ledgers.LEDGER)
    shutil.copytree(directory, tmp_path / "c")
    data = bytearray(whole)
    # A digit of a digest, as one more that is well-formed.
    at = data.index(b'"blake3": "') + 11 if name == "tokens/00001.json" else len(data) // 2
    data[at] ^= 1
    (tmp_path / "c" / name).write_bytes(bytes(data))
    said = run("push", tmp_path / "c", url).refused(1)
    assert said.startswith(f"{tmp_path}/c/{name} is damaged"), said
    assert place.read(name) == whole and place.read(ledgers.LEDGER) == ledger
    if name.endswith((".bin", ".parquet")):
        assert run("push", tmp_path / "c", url, "--no-verify").code == 0
        assert place.read(name) == bytes(data)


def test_what_was_lost_here_is_not_removed_there(directory, url, tmp_path, run):
    bh.push(directory, url)
    shutil.copytree(directory, tmp_path / "c")
    (tmp_path / "c/tokens/00001.bin").unlink()
    assert run("push", tmp_path / "c", url).refused(1).endswith("/c/tokens/00001.bin is missing")
    assert places.open_place("url", url).read("tokens/00001.bin") is not None


def test_a_damaged_run_is_not_sent(trained, url, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    record = read_record(tmp_path / "run")
    files = digests(tmp_path / "run", ["model.safetensors"])
    replace(record, files=files).write(tmp_path / "run")
    file = tmp_path / "run/model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(bh.CorpusError, match=r"run/model\.safetensors is damaged"):
        bh.push(tmp_path / "run", url)
    assert "run.json" not in places.open_place("url", url).sizes()
    with unchecked():
        bh.push(tmp_path / "run", url)


def test_a_damaged_plan_or_export_is_not_sent(corpus, directory, url, tmp_path):
    bh.plan(corpus, edits=2, repeats=2, probes=1).save(tmp_path / "plan")
    bh.export(directory, tmp_path / "export", to="jsonl")
    for place, pattern in ((tmp_path / "plan", "edits.parquet"), (tmp_path / "export", "*.jsonl*")):
        file = next(path for path in place.rglob(pattern))
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
        with pytest.raises(bh.CorpusError, match=f"{file.name} is damaged"):
            bh.push(place, f"{url}-{place.name}")


@pytest.mark.parametrize("record", sorted({*_KINDS} - {"gates.json", "plan.toml"}))
def test_the_digests_in_every_record_are_looked_at_before_it_is_sent(record, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "rows.parquet").write_bytes(b"rows")
    wanted = digests(inner, ["rows.parquet"])
    (inner / record).write_bytes(as_json(sealed({"files": wanted})))
    found = recorded(tmp_path, [f"inner/{record}"])
    assert found == {"inner/rows.parquet": wanted["rows.parquet"]}
    names = [f"inner/{record}", "inner/rows.parquet", "study.json"]
    assert in_order(names, "study.json") == [[names[1]], [names[0]], [names[2]]]
    data = (inner / record).read_bytes()
    (inner / record).write_bytes(data.replace(b"rows", b"rowz"))
    with pytest.raises(bh.CorpusError, match=f"{record} is damaged"):
        recorded(tmp_path, [f"inner/{record}"])


def test_the_record_is_sent_last(directory, s3, monkeypatch):
    from behemoth.store.objects import Objects

    order, send = [], Objects.send

    def noted(self, name, file, moved):
        order.append(name)
        send(self, name, file, moved)

    monkeypatch.setattr(Objects, "send", noted)
    bh.push(directory, "s3://corpora/ordered")
    assert order[-1] == "manifest.json"
    shards = [name for name in order if name.startswith("tokens/")]
    records = [name for name in shards if name.endswith(".json")]
    assert records
    assert all(order.index(name) > order.index(name[:-4] + "bin") for name in records)


@ANYWHERE
def test_another_corpus_is_replaced_by_force_alone(directory, url, tmp_path, files):
    bh.push(directory, url)
    bh.Corpus(bh.World(50, 2, 5)).write(tmp_path / "other", probes=0)
    with pytest.raises(bh.CorpusError, match=r"holds another directory \(manifest.json\)"):
        bh.push(tmp_path / "other", url)
    done = bh.push(tmp_path / "other", url, force=True)
    assert done.removed > 0
    place = places.open_place("url", url)
    assert set(place.sizes()) == {*files(tmp_path / "other"), ".behemoth/ledger.json"}
    bh.pull(url, tmp_path / "back")
    assert files(tmp_path / "back") == files(tmp_path / "other")


@pytest.mark.parametrize("name", ["s3://corpora/run{1}", "memory://b/run{1}", "file://{0}/run{1}"])
def test_marks_of_a_pattern_in_a_url_match_no_other_directory(name, directory, s3, tmp_path, files):
    """`--force` for `run[1]` removed the record of `run1`."""
    beside, url = name.format(tmp_path, "1"), name.format(tmp_path, "[1]")
    bh.push(directory, beside)
    bh.push(directory, url)
    bh.Corpus(bh.World(20, 2, 5)).write(tmp_path / "other", probes=0)
    assert bh.push(tmp_path / "other", url, force=True).removed
    bh.pull(beside, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(directory)
    bh.pull(url, tmp_path / "copy of other")
    assert set(files(tmp_path / "copy of other")) == set(files(tmp_path / "other"))


def test_objects_at_hugging_face_are_removed_one_by_one(monkeypatch):
    """`HfFileSystem.rm` takes one path: every push that had to remove something failed."""
    hub = pytest.importorskip("huggingface_hub")
    removed = []
    there = dict.fromkeys(("a", "b/c", "d"), 1)
    monkeypatch.setattr(hub.HfFileSystem, "_rm", lambda self, path: removed.append(path))
    place = places.open_place("url", "hf://datasets/lab/corpora/mine")
    monkeypatch.setattr(type(place), "sizes", lambda self: there)
    place.remove(["b/c", "gone", "d"])
    root = "datasets/lab/corpora/mine"
    assert sorted(removed) == [f"{root}/b/c", f"{root}/d"]


def test_commits_at_hugging_face_do_not_overlap(directory, tmp_path, files, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from fsspec.implementations.memory import MemoryFileSystem

    busy, commits = threading.Lock(), []

    def alone(name):
        method = getattr(MemoryFileSystem, name)

        def commit(self, *arguments, **more):
            assert busy.acquire(blocking=False), f"{name} during another commit"
            try:
                commits.append(name)
                time.sleep(0.002)  # what a request takes
                return method(self, *arguments, **more)
            finally:
                busy.release()

        return commit

    names = ("put_file", "pipe_file", "rm_file")
    store = type("Repository", (MemoryFileSystem,), {name: alone(name) for name in names})
    monkeypatch.setattr("fsspec.filesystem", lambda protocol, **_: store(skip_instance_cache=True))
    url, other = "hf://datasets/lab/corpora/mine", bh.Corpus(bh.World(50, 2, 5), exposures=3)
    bh.push(directory, url)
    bh.gen(other, url, probes=0, force=True)
    assert set(commits) == set(names)
    other.write(tmp_path / "other", probes=0)
    bh.pull(url, tmp_path / "back")
    assert files(tmp_path / "back") == files(tmp_path / "other")


def test_without_names_nothing_is_listed(monkeypatch):
    place = places.open_place("url", "memory://none")
    monkeypatch.setattr(type(place), "sizes", lambda self: pytest.fail("listed"))
    place.remove([])


def test_what_is_none_of_ours_is_not_touched(directory, url):
    place = places.open_place("url", url)
    place.write("notes.txt", b"mine")
    with pytest.raises(bh.CorpusError, match=r"holds something else \(notes.txt\)"):
        bh.push(directory, url, force=True)
    assert set(place.sizes()) == {"notes.txt"}


def test_gates_are_not_sent(tmp_path, cache):
    (tmp_path / "gates.json").write_text("{}")
    with pytest.raises(bh.ArgumentError, match=r"an edit, a study, an export or a zoo"):
        bh.push(tmp_path, (tmp_path / "store").as_uri())


def test_a_corpus_that_is_not_whole_is_not_sent(corpus, s3, tmp_path):
    corpus.write(tmp_path / "part", part=(0, 3), probes=0)
    with pytest.raises(bh.CorpusError, match="is not finished: run the command that made it"):
        bh.push(tmp_path / "part", "s3://corpora/part")
    assert not s3.find("corpora/part")


@pytest.mark.parametrize("moved", [0, 70_000, 200_000])
def test_killed_it_goes_on(directory, s3, killed, ledger, files, tmp_path, moved):
    url = "s3://corpora/killed"
    call = f"bh.push({str(directory)!r}, {url!r}, progress=look)"
    assert killed(call, moved)
    # Whatever is there, it does not pass for a corpus.
    assert not s3.exists("corpora/killed/manifest.json")
    if (begun := ledger(url)) is not None:
        assert not begun.complete
        with pytest.raises(bh.CorpusError, match="is not finished: push it again"):
            bh.pull(url, tmp_path / "early")
    done = bh.push(directory, url)
    assert done.sent + (len(begun.files) if begun else 0) == done.files
    bh.pull(url, tmp_path / "back")
    assert files(tmp_path / "back") == files(directory)


def test_a_run_is_sent_with_its_checkpoints(trained, s3, tmp_path, files):
    bh.push(trained, "s3://corpora/run")
    bh.pull("s3://corpora/run", tmp_path / "run")
    own = {name: data for name, data in files(trained).items() if not name.startswith(".")}
    assert files(tmp_path / "run") == own
    assert bh.load(tmp_path / "run").record.status == "finished"


def test_files_that_are_hidden_stay_here(directory, s3, tmp_path):
    shutil.copytree(directory, tmp_path / "c")
    (tmp_path / "c/.lock").write_text("")
    (tmp_path / "c/.secret").mkdir()
    (tmp_path / "c/.secret/key").write_text("mine")
    bh.push(tmp_path / "c", "s3://corpora/c")
    assert not [name for name in s3.find("corpora/c") if "key" in name or ".lock" in name]


def test_a_folder_that_cannot_be_listed_stays_in_the_store(directory, url, tmp_path, monkeypatch):
    """Its files counted as removed, and were removed from the store."""
    own = shutil.copytree(directory, tmp_path / "own")
    (own / "notes").mkdir()
    (own / "notes/a.txt").write_bytes(b"a")
    bh.push(own, url)
    scan = os.scandir

    def refused(path):
        if not isinstance(path, int) and os.fspath(path).endswith("/notes"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    with monkeypatch.context() as context:
        context.setattr(os, "scandir", refused)
        with pytest.raises(PermissionError):
            bh.push(own, url)
    assert places.open_place("url", url).read("notes/a.txt") == b"a"
    (own / "notes").rename(tmp_path / "disk")
    (own / "notes").symlink_to(tmp_path / "disk")
    assert bh.push(own, url).sent == 0
    (tmp_path / "disk").rename(tmp_path / "not mounted")
    with pytest.raises(bh.CorpusError, match=r"own/notes is a link that leads nowhere"):
        bh.push(own, url)
    assert places.open_place("url", url).read("notes/a.txt") == b"a"


def test_a_damaged_ledger_is_named(directory, url):
    bh.push(directory, url)
    place = places.open_place("url", url)
    told = json.loads(place.read(".behemoth/ledger.json"))
    told["files"]["spec.toml"][0] += 1
    place.write(".behemoth/ledger.json", json.dumps(told).encode())
    with pytest.raises(bh.CorpusError, match=r"\.behemoth/ledger\.json is damaged"):
        bh.push(directory, url)

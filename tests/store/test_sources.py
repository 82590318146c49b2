"""A URL wherever a directory of ours is read or written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import behemoth as bh
from behemoth.edit import record
from behemoth.edit.traced import TracedSite, TraceRecord
from behemoth.store import place as places
from behemoth.store.source import in_copy
from behemoth.study.work import run as runs
from behemoth.support.digests import COPY

STUDY = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = 2
[train]
model = "pico"
steps = 2
[plan]
edits = 2
[[method]]
name = "lora"
settings = { steps = 1 }
"""

MORE = """
[[method]]
name = "ft"
settings = { steps = 1 }
"""

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def url(directory, s3):
    bh.push(directory, "s3://corpora/mine")
    return "s3://corpora/mine"


def test_a_corpus_is_loaded_with_its_shards(url, corpus, directory, cache):
    found = bh.load(url)
    assert found.spec_hash == corpus.spec_hash
    assert found.shard(1).tobytes() == (directory / "tokens/00001.bin").read_bytes()
    assert sum(len(found.shard(n)) for n in range(found.num_shards)) == corpus.count_tokens()
    assert bh.Corpus.open(url).directory.is_relative_to(cache)
    assert bh.verify(url).ok


def test_it_is_fetched_once(url, monkeypatch, cache):
    from behemoth.store.objects import Objects

    bh.load(url)
    fetched, fetch = [], Objects.fetch

    def noted(self, name, *words):
        fetched.append(name)
        fetch(self, name, *words)

    monkeypatch.setattr(Objects, "fetch", noted)
    bh.load(url)
    assert not fetched
    next(cache.rglob("00001.bin")).write_bytes(b"short")
    bh.load(url)
    assert sorted(fetched) == ["manifest.json", "tokens/00001.bin"]


def test_verify_looks_into_the_store(url, run, directory, cache, files):
    assert bh.verify(url).ok
    place = places.open_place("url", url)
    data = bytearray(place.read("tokens/00001.bin"))
    data[7] ^= 1
    place.write("tokens/00001.bin", bytes(data))
    place.write("spec.toml", b"half")
    place.remove(["tokens/00000.json"])
    found = bh.verify(url)
    size = (directory / "spec.toml").stat().st_size
    assert found.bad == [
        {"file": "spec.toml", "reason": f"has 4 bytes, not {size:,}"},
        {"file": "tokens/00001.bin", "reason": "is not what was sent"},
    ]
    assert (found.directory, found.missing, found.ok) == (url, ["tokens/00000.json"], False)
    said = run("verify", url)
    assert said.code == 1 and "tokens/00001.bin: is not what was sent" in said.err
    assert bh.load(url).spec_hash  # the copy is what was sent


def test_the_first_verify_fetches_once_and_none_leaves_its_room(
    url, directory, cache, files, monkeypatch
):
    from behemoth.store.objects import Objects

    fetched, fetch = [], Objects.fetch

    def noted(self, name, file, size, moved):
        before = file.stat().st_size if file.exists() else 0
        fetch(self, name, file, size, moved)
        if file.stat().st_size > before:  # what is whole already is asked for no byte
            fetched.append(name)

    monkeypatch.setattr(Objects, "fetch", noted)
    assert not list(cache.rglob("manifest.json"))
    assert bh.verify(url).ok
    assert sorted(fetched) == sorted(files(directory))
    assert len(fetched) == len(set(fetched))
    assert not list(cache.rglob(".pulling"))
    fetched.clear()
    assert bh.verify(url).ok  # of a copy that is whole
    assert sorted(fetched) == sorted(files(directory))
    assert not list(cache.rglob(".pulling"))


@pytest.mark.parametrize("damage", ["missing", "shorter", "flipped"])
def test_a_verify_that_finds_damage_keeps_nothing_of_what_it_fetched(url, cache, damage):
    place = places.open_place("url", url)
    data = bytearray(place.read("tokens/00001.bin"))
    data[7] ^= 1
    if damage == "missing":
        place.remove(["tokens/00001.bin"])
    else:
        place.write("tokens/00001.bin", bytes(data if damage == "flipped" else data[:-1]))
    assert not bh.verify(url).ok
    assert not list(cache.rglob(".pulling"))
    assert not list(cache.rglob("*.bin"))


def test_verify_mends_a_damaged_copy(url, directory, cache, monkeypatch):
    from behemoth.store.objects import Objects

    fetched, fetch = [], Objects.fetch

    def noted(self, name, *words):
        fetched.append(name)
        fetch(self, name, *words)

    bh.load(url)
    file = next(cache.rglob("00001.bin"))
    data = bytearray(file.read_bytes())
    data[7] ^= 1
    file.write_bytes(data)
    monkeypatch.setattr(Objects, "fetch", noted)
    assert bh.verify(url).ok
    assert file.read_bytes() == (directory / "tokens" / "00001.bin").read_bytes()
    there = {path.relative_to(directory).as_posix() for path in directory.rglob("*")}
    assert set(fetched) == {name for name in there if (directory / name).is_file()}
    assert not list(cache.rglob(".pulling"))


def test_a_copy_that_a_reader_finds_damaged_is_brought_anew(corpus, tmp_path, cache):
    plan, url = bh.plan(corpus, edits=2, repeats=2, probes=1), (tmp_path / "store").as_uri()
    bh.push(plan.save(tmp_path / "plan"), url)
    bh.load(url)
    [file] = cache.rglob("probes.parquet")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(bh.CorpusError, match=r"probes.parquet is damaged"):
        bh.load(url)
    assert bh.load(url).plan_hash == plan.plan_hash


def test_the_copy_follows_what_is_there(url, tmp_path):
    bh.load(url)
    other = bh.Corpus(bh.World(50, 2, 5), exposures=3)
    other.write(tmp_path / "other", probes=0)
    bh.push(tmp_path / "other", url, force=True)
    assert bh.load(url).spec_hash == other.spec_hash


def test_a_name_may_be_as_long_as_file_systems_allow(corpus, tmp_path):
    url = (tmp_path / "store" / ("ü" + "n" * 250)).as_uri()
    corpus.write(tmp_path / "c", probes=0)
    bh.push(tmp_path / "c", url)
    assert bh.load(url).spec_hash == corpus.spec_hash


def test_a_copy_loses_what_the_store_has_lost(trained, tmp_path, cache):
    kept = shutil.copytree(trained, tmp_path / "run")
    TraceRecord("ab", 7, 10, 3.0, 1, 0, (TracedSite("subject", 0, 0.4, 0.3, 0.5),)).write(kept)
    (kept / "checkpoints/step-00000001").mkdir(parents=True)
    (kept / "checkpoints/step-00000001/notes").write_text("")
    url = (tmp_path / "store").as_uri()
    bh.push(kept, url)
    place = bh.load(url).directory
    assert (place / "trace.json").is_file() and (place / "checkpoints").is_dir()
    (kept / "trace.json").unlink()
    shutil.rmtree(kept / "checkpoints")
    bh.push(kept, url)
    assert bh.load(url).directory == place
    assert not (place / "trace.json").exists() and not (place / "checkpoints").exists()


def test_nothing_is_written_into_a_copy(trained, tmp_path, cache):
    """It was lost with the copy, and was in another place than the URL says."""
    plan = bh.plan(trained, edits=1, independent=True, repeats=1, probes=1)
    url = (tmp_path / "store").as_uri()
    bh.push(trained, url)
    for run in (url, bh.load(url)):
        with pytest.raises(bh.ArgumentError, match=r"'run': got .*, allowed: a local run to save"):
            bh.trace(run, plan, samples=1, save=True)
    (tmp_path / "study.toml").write_text(STUDY)
    bh.study(tmp_path / "study.toml", out=tmp_path / "study", workers=1)
    url = (tmp_path / "studies").as_uri()
    bh.push(tmp_path / "study", url)
    for path in (url, bh.load(url)):
        with pytest.raises(bh.ArgumentError, match="'out': got nothing, allowed: a folder for"):
            bh.report(path)


def test_a_copy_is_one_by_its_place(url, tmp_path, monkeypatch):
    """Its mark is lost when a file of it is found damaged, and copied to where it is taken."""
    copy = bh.load(url).directory
    shutil.copytree(copy, tmp_path / "own")
    assert (tmp_path / "own" / COPY).is_file() and not in_copy(tmp_path / "own")
    (copy / COPY).unlink()
    monkeypatch.chdir(copy / "tokens")
    assert in_copy(copy) and in_copy(copy / "tokens") and in_copy(Path())


@pytest.fixture
def two(tmp_path):
    """A corpus in a store, and another one of the same sizes."""
    made = [
        bh.Corpus(bh.World(600, 2, 5, seed=seed), exposures=8, shard_bytes=65_536)
        for seed in (0, 1)
    ]
    for n, corpus in enumerate(made):
        corpus.write(tmp_path / str(n), probes=0)
    url = (tmp_path / "store").as_uri()
    bh.push(tmp_path / "0", url)
    return url, made[1]


def test_a_reader_keeps_its_corpus_when_the_url_gets_another(two, tmp_path, cache):
    """It went on with the tokens of the other corpus, which another command had fetched."""
    url, second = two
    reader = bh.Corpus.open(url)
    assert reader.shard(0).tobytes() == (tmp_path / "0/tokens/00000.bin").read_bytes()
    bh.push(tmp_path / "1", url, force=True)
    after = bh.load(url)
    last = reader.num_shards - 1
    whole = (tmp_path / "0/tokens" / f"{last:05}.bin").read_bytes()
    assert reader.shard(last).tobytes() == whole
    assert after.spec_hash == second.spec_hash
    assert len(list(cache.rglob("manifest.json"))) == 2


def test_a_copy_that_nobody_reads_is_removed(two, tmp_path, cache):
    url, _ = two
    script = f"import behemoth as bh; bh.load({url!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
    [old] = cache.rglob("manifest.json")
    bh.push(tmp_path / "1", url, force=True)
    bh.load(url)
    assert not old.parent.exists()
    assert len(list(cache.rglob("manifest.json"))) == 1


def test_train_reads_it(url, tmp_path, run, directory):
    words = ("--model", "pico", "--steps", 2, "--batch-size", 2, "--block-length", 16)
    told = run("train", url, *words, "--out", tmp_path / "run", "--json").json()
    local = run("train", directory, *words, "--out", tmp_path / "local", "--json").json()
    assert told["loss"] == local["loss"]


def test_a_run_and_its_plan_are_read(trained, s3, run, tmp_path):
    bh.push(trained, "s3://corpora/run")
    assert bh.load("s3://corpora/run").record.status == "finished"
    made = bh.plan("s3://corpora/run", edits=2, out=tmp_path / "plan", repeats=2, probes=1)
    bh.push(tmp_path / "plan", "s3://corpora/plan")
    assert bh.load("s3://corpora/plan").plan_hash == made.plan_hash
    frame = bh.evaluate("s3://corpora/run", "s3://corpora/plan")
    assert frame.height == bh.evaluate(trained, tmp_path / "plan").height
    words = ("--method", "ft", "--set", "steps=2", "--json")
    told = run("edit", "s3://corpora/run", "--plan", "s3://corpora/plan", "--out",
               tmp_path / "edit", *words).json()  # fmt: skip
    assert told["edits"] == 2 and not told["failed"]
    bh.push(tmp_path / "edit", "s3://corpora/edit")
    stored = bh.evaluate("s3://corpora/edit", "s3://corpora/plan")
    assert bh.load("s3://corpora/run").name == "run"
    assert stored["run"].unique().to_list() == ["run"]
    local = bh.evaluate(tmp_path / "edit", tmp_path / "plan")
    assert stored.drop("run").equals(local.drop("run"))


def test_the_next_step_of_a_plan_for_a_run_in_a_store_is_its_edit(trained, run, tmp_path, cache):
    url = (tmp_path / "store").as_uri()
    bh.push(trained, url)
    said = run("plan", url, "--edits", 1, "--repeats", 1, "--out", tmp_path / "plan")
    assert f"next: behemoth edit {url} --plan" in said.err


def test_the_command_edits_where_a_run_in_a_store_was_traced(trained, run, tmp_path, cache):
    kept = shutil.copytree(trained, tmp_path / "run")
    best = TracedSite("subject", 0, 0.4, 0.3, 0.5)
    TraceRecord("ab", 7, 10, 3.0, 1, 0, (best,)).write(kept)
    url = (tmp_path / "store").as_uri()
    bh.push(kept, url)
    bh.plan(kept, edits=1, repeats=1, probes=1).save(tmp_path / "plan")
    words = ["edit", url, "--plan", tmp_path / "plan", "--method", "rome", "--json"]
    words += ["--set", "steps=1", "--set", "samples=500", "--out", tmp_path / "edit"]
    done = run(*words).json()
    assert done["place"].endswith(", as traced")
    assert (done["settings"]["layers"], done["settings"]["steps"]) == ([0], 1)


def test_an_edit_finds_its_run_beside_it_in_the_store(trained, s3, tmp_path):
    s3.mkdir("lab")
    shutil.copytree(trained, tmp_path / "run")
    plan = bh.plan(tmp_path / "run", edits=2, out=tmp_path / "plan", repeats=2, probes=1)
    bh.edit(tmp_path / "run", plan, "ft", tmp_path / "edit", settings={"steps": 2})
    for name in ("run", "edit"):
        bh.push(tmp_path / name, f"s3://lab/{name}")
    shutil.rmtree(tmp_path / "run")
    assert bh.evaluate("s3://lab/edit", plan).height
    assert bh.load("s3://lab/edit").run == "s3://lab/run"
    bh.push(tmp_path / "edit", "s3://lab/elsewhere/edit")
    with pytest.raises(bh.ArgumentError, match=r"an edit of s3://lab/elsewhere/run, .* pull the "):
        bh.evaluate("s3://lab/elsewhere/edit", plan)


def test_an_export_goes_there(url, directory, run, tmp_path, files, cache):
    words = ("export", url, "--to", "jsonl")
    told = run(*words, "--out", "s3://corpora/jsonl", "--json").json()
    assert told["out"] == "s3://corpora/jsonl"
    assert run("export", directory, "--to", "jsonl", "--out", tmp_path / "local").code == 0
    bh.pull("s3://corpora/jsonl", tmp_path / "back")
    assert files(tmp_path / "back") == files(tmp_path / "local")
    assert run(*words, "--out", "s3://corpora/jsonl").code == 0  # again, which sends nothing
    kept = files(directory)
    for force in ((), ("--force",)):
        line = run(*words, "--out", url, *force).refused()
        assert f"got {url}, which is a corpus, allowed: a new place, or that of an export" in line
        bh.pull(url, tmp_path / f"pulled{len(force)}")
        assert files(tmp_path / f"pulled{len(force)}") == kept


def test_another_export_is_refused_before_its_work_and_jams_nothing(
    directory, run, tmp_path, files, cache, monkeypatch
):
    url = (tmp_path / "store").as_uri()
    bh.export(directory, url, to="jsonl")

    def never(*_):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr("behemoth.export.run._put", never)
        said = run("export", directory, "--to", "text", "--out", url).refused()
    assert f"argument '--out': got {url}, which holds another (export.json)" in said
    # What an earlier version has left of the other one.
    from behemoth.store.cache import stage_of

    bh.export(directory, stage_of(url), to="text")
    bh.export(directory, url, to="jsonl")
    assert not list(stage_of(url).iterdir())
    monkeypatch.setattr("behemoth.export.run.version", lambda: "9.9.9")
    bh.export(directory, url, to="jsonl")
    bh.pull(url, tmp_path / "back")
    assert bh.verify(tmp_path / "back").ok
    assert '"9.9.9"' in (tmp_path / "back" / "export.json").read_text()
    bh.export(directory, url, to="text", force=True)
    bh.pull(url, tmp_path / "text")
    bh.export(directory, tmp_path / "local", to="text")
    assert files(tmp_path / "text") == files(tmp_path / "local")


def test_a_study_goes_there_and_on_from_there(
    s3, run, tmp_path, monkeypatch, in_process_engine, files
):
    monkeypatch.setattr(runs, "_engine", lambda name, path, *_: in_process_engine(path))
    (tmp_path / "study.toml").write_text(STUDY)
    words = ("study", "run", tmp_path / "study.toml", "--workers", 1, "--out")
    told = run(*words, "s3://corpora/study", "--json").json()
    assert (told["out"], told["done"], told["failed"]) == ("s3://corpora/study", 1, 0)
    results = bh.load("s3://corpora/study")
    assert results.edits.collect().height == 2
    assert bh.verify("s3://corpora/study").ok
    # Another machine, and one trial more.
    monkeypatch.setenv("BEHEMOTH_CACHE", str(tmp_path / "elsewhere"))
    (tmp_path / "study.toml").write_text(STUDY + MORE)
    told = run(*words, "s3://corpora/study", "--json").json()
    assert (told["done"], told["trained"], told["carried_out"]) == (2, 0, 1)
    assert len(bh.load("s3://corpora/study").done) == 2


def test_a_study_is_sent_as_it_goes_on(s3, tmp_path, monkeypatch, in_process_engine):
    """What is finished is in the store before the end, and what is not is not."""
    from behemoth.store import staged

    monkeypatch.setattr(staged, "_EVERY", 0.2)
    (tmp_path / "study.toml").write_text(STUDY)
    seen = []

    def look(name, path, *_):
        engine = in_process_engine(path)
        close = engine.close

        def late():
            import time

            until = time.monotonic() + 60
            while not seen and time.monotonic() < until:
                data = places.open_place("url", "s3://corpora/live").read(".behemoth/ledger.json")
                told = json.loads(data)["files"] if data else {}
                seen.extend(name for name in told if name.endswith("trial.json"))
                time.sleep(0.1)
            close()

        engine.close = late
        return engine

    monkeypatch.setattr(runs, "_engine", look)
    bh.study(tmp_path / "study.toml", out="s3://corpora/live", workers=1)
    assert seen


@pytest.mark.parametrize(
    ("url", "told", "wanted"),
    [
        ("s3://lab/edits/one", "../../runs/one", "s3://lab/runs/one"),
        ("s3://lab/a/b/c/d/e/f", "../../../../../../run", "s3://lab/run"),
        ("file:///data/edits/one", "../../runs/one", "file:///data/runs/one"),
        ("s3://lab/edit", "s3://other/run", "s3://other/run"),
        ("s3://lab/edits/one", "../../runs/a%20b", "s3://lab/runs/a%20b"),
        ("file:///data/edits/one", "../../runs/a%20b", "file:///data/runs/a%2520b"),
        # What leads out of the bucket leads nowhere else.
        ("s3://lab/edits/one", "../../../runs/one", None),
        ("s3://lab/one", "../../runs/one", None),
        ("file:///data/edits/one", "../../../../runs/one", None),
    ],
)
def test_what_lies_beside_an_edit_is_in_its_bucket(tmp_path, url, told, wanted):
    found = record._found(told, tmp_path / "copy", url)
    assert found == (wanted or (tmp_path / "copy" / told).resolve())

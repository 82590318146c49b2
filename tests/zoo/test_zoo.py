"""A turnkey set: what is in it, that it is gone on with, and that all of it is vouched for."""

import json
import re
import shutil
from dataclasses import replace

import polars as pl
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import behemoth as bh
from behemoth import ArgumentError, CorpusError
from behemoth._gen import digest_file
from behemoth.support.workers import WORKER
from behemoth.zoo import SIZES, Zoo
from behemoth.zoo.record import Listed, ZooModel, ZooRecord
from behemoth.zoo.training import Trainer, workers_for

NAMES = ["w0-pico-s0", "w0-pico-s1", "w1-pico-s0", "w1-pico-s1"]
TINY = replace(SIZES["smoke"], subjects=20, edits=1, steps=2, batch_size=4)


@pytest.fixture(scope="module")
def tiny():
    """The size smoke, of a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, "smoke", TINY)
        yield


@pytest.fixture(scope="module")
def zoo(tiny, tmp_path_factory):
    place = tmp_path_factory.mktemp("zoo") / "zoo"
    bh.make_zoo(place, workers=1)
    return place


def test_every_model_has_a_twin_a_plan_a_corpus_and_its_facts(zoo):
    made = bh.load(zoo)
    assert made.names == NAMES and repr(made) == f"Zoo({str(zoo)!r}, smoke, 4 models)"
    assert made.table()["seed"].to_list() == [0, 1, 0, 1]
    for name in NAMES:
        run, twin, plan = made.run(name), made.twin(name), made.plan(name)
        plan.check(run.corpus)
        assert made.corpus(name).spec_hash == run.corpus.spec_hash != twin.corpus.spec_hash
        edited = plan.edits["fact"].to_numpy()
        assert (run.corpus.exposures(edited) > 0).all()
        assert (twin.corpus.exposures(edited) == 0).all()
        # But for those facts, and for what is left of the seeds, the twin is the model.
        assert run.config == twin.config
        others = [fact for fact in range(run.corpus.world.num_facts) if fact not in edited]
        assert (run.corpus.exposures(others) == twin.corpus.exposures(others)).all()
    with pytest.raises(ArgumentError, match=r"'name': got w0-pico-s7 .*, allowed: w0-pico-s0, .*"):
        made.run("w0-pico-s7")


def test_worlds_and_initialisations_differ(zoo):
    made = bh.load(zoo)
    first, other_init, other_world, _ = [made.run(name) for name in NAMES]
    assert first.corpus.spec_hash == other_init.corpus.spec_hash != other_world.corpus.spec_hash
    own, other = (run.model.get_input_embeddings().weight for run in (first, other_init))
    assert not own.equal(other)


def test_facts_are_labelled(zoo):
    made = bh.load(zoo)
    facts, plan = made.facts("w0-pico-s0"), made.plan("w0-pico-s0")
    corpus = made.corpus("w0-pico-s0")
    assert facts["fact"].to_list() == list(range(80))
    assert facts["exposures"].to_list() == list(corpus.exposures(range(80)))
    assert dict(facts["exposures"].value_counts().iter_rows()) == dict.fromkeys((0, 2, 8, 32), 20)
    edited = facts.drop_nulls("edit").sort("edit").select("fact", "edit", "new_object")
    assert edited.equals(plan.edits.select("fact", "edit", "new_object"))


def test_recall_is_of_all_models(zoo):
    made = bh.load(zoo)
    frame = made.recall()
    assert frame["name"].unique(maintain_order=True).to_list() == NAMES
    own = frame.filter(pl.col("name") == NAMES[2]).drop("name")
    assert own.equals(made.recall(NAMES[2])) and own["fact"].n_unique() == 80


def test_frames_are_held_to_the_digests_of_the_record(tmp_path):
    names = {"facts": "facts/w0.parquet", "recall": "recall/m.parquet"}
    for name in names.values():
        (tmp_path / name).parent.mkdir()
        pl.DataFrame({"fact": [1, 2]}).write_parquet(tmp_path / name)
    files = {
        name: Listed((tmp_path / name).stat().st_size, digest_file(tmp_path / name))
        for name in names.values()
    }
    record = ZooRecord("smoke", "0", (ZooModel("m", 0, "pico", 0, "", "", ""),), files)
    made = Zoo(tmp_path, record)
    for kind, name in names.items():
        assert getattr(made, kind)("m")["fact"].to_list() == [1, 2]
        pl.DataFrame({"fact": [1, 3]}).write_parquet(tmp_path / name)
        with pytest.raises(bh.CorpusError, match=rf"{name} is damaged"):
            getattr(made, kind)("m")


def test_models_are_loaded_by_themselves(zoo):
    assert isinstance(bh.load(zoo / "models" / NAMES[0]), bh.Run)
    assert isinstance(bh.load(zoo / "plans" / "w1"), bh.EditPlan)
    model = AutoModelForCausalLM.from_pretrained(zoo / "twins" / NAMES[0])
    tokenizer = AutoTokenizer.from_pretrained(zoo / "twins" / NAMES[0])
    assert model.config.vocab_size >= len(tokenizer)
    card = (zoo / "twins" / NAMES[0] / "README.md").read_text()
    assert "# w0-pico-s0, the twin" in card and "without the 3 facts of the plan" in card
    assert "the twin" not in (zoo / "models" / NAMES[0] / "README.md").read_text()
    card = (zoo / "README.md").read_text()
    assert all(f"| `{name}` | {name[1]} | pico | {name[-1]} | `" in card for name in NAMES)
    assert "are written 0, 2, 8, 32 times each" in card


def test_a_method_and_a_suite_work_on_it(zoo, tmp_path):
    made = bh.load(zoo)
    run, plan = made.run(NAMES[0]), made.plan(NAMES[0])
    edited = bh.edit(run, plan, "grad_diff", tmp_path / "edit", settings={"steps": 2})
    found = bh.evaluate_suite(edited, "unlearning", plan, twin=made.twin(NAMES[0]))
    assert found["parameters_twin"] > 0


def test_again_it_is_left_as_it_is(zoo):
    times = {path: path.stat().st_mtime_ns for path in zoo.rglob("*") if path.is_file()}
    again = bh.make_zoo(zoo)
    assert (again.models, again.zoo_hash) == (4, bh.load(zoo).record.zoo_hash)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert not (zoo / ".unfinished").exists()


def test_what_a_finished_one_has_lost_is_made_again(zoo, tmp_path):
    place = tmp_path / "zoo"
    shutil.copytree(zoo, place)
    before = ZooRecord.read(place)
    shutil.rmtree(place / "models" / NAMES[0])
    shutil.rmtree(place / "recall")
    made = bh.make_zoo(place, workers=1)
    assert made.content_hash == before.content_hash and bh.verify(place).ok
    # A part that is damaged is named: what is there is never trained over.
    weights = place / "models" / NAMES[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CorpusError, match=f"{NAMES[0]}.*model.safetensors"):
        bh.make_zoo(place, workers=1)


def test_one_that_was_stopped_is_gone_on_with(tiny, zoo, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(moment):
        if moment.done == 4:
            raise StoppedError

    place = tmp_path / "zoo"
    with pytest.raises(StoppedError):
        bh.make_zoo(place, workers=1, progress=stop)
    with pytest.raises(ArgumentError, match="which is not finished, allowed: a finished one"):
        bh.load(place)
    done = {path: path.stat().st_mtime_ns for path in place.rglob("*.safetensors")}
    assert sorted({path.parent.name for path in done}) == NAMES[:2]
    # What is left is made by two processes.
    seen = []
    bh.make_zoo(place, workers=2, progress=lambda moment: seen.append((moment.done, moment.total)))
    assert seen == [(number, 8) for number in range(1, 9)]
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    # What a machine and a clock say apart, it is the one that was made in one go.
    own, other = (ZooRecord.read(there).files for there in (place, zoo))
    changing = ("run.json", "metrics.jsonl", "metrics.parquet")
    kept = {name for name in other if not name.endswith(changing)}
    assert own.keys() == other.keys() and len(kept) > 80
    assert all(own[name] == other[name] for name in kept)
    one, two = (ZooRecord.read(there) for there in (place, zoo))
    assert one.content_hash == two.content_hash and one.zoo_hash != two.zoo_hash
    assert f"the hash `{two.content_hash}`" in (zoo / "README.md").read_text()
    assert json.loads((zoo / "zoo.json").read_text())["content_hash"] == two.content_hash


def test_a_worker_that_fails_names_its_run(tiny, tmp_path):
    other = tmp_path / "models" / NAMES[1]
    bh.train(
        bh.Corpus(bh.World(4, 2, 3), exposures=9),
        out=other,
        config=bh.default_config("pico", steps=1),
    )
    ZooRecord("smoke", "0").write(tmp_path)
    (tmp_path / ".unfinished").write_text("zoo.json\n")
    with pytest.raises(CorpusError, match=rf"models/{NAMES[1]}: .*a run of the corpus"):
        bh.make_zoo(tmp_path, workers=2)
    assert not ZooRecord.read(tmp_path).complete


def test_workers_share_the_memory(tmp_path):
    trainer = Trainer(tmp_path, SIZES["smoke"], 2 << 30)
    count, share = workers_for(trainer, 8, 3)
    assert (count, share) == (3, (2 << 30) // 3 - WORKER)
    assert workers_for(trainer, 2, 3)[0] == 2  # no more than there are trainings
    assert workers_for(replace(trainer, memory=WORKER), 8, None) == (1, WORKER)
    with pytest.raises(ArgumentError, match=r"'workers': got 9, each of which .*: up to [1-4]$"):
        bh.make_zoo(tmp_path / "zoo", workers=9, memory=2 << 30)
    with pytest.raises(ArgumentError, match=r"what fits into 1\.00 MB"):
        bh.make_zoo(tmp_path / "zoo", workers=2, memory=10**6)
    assert not (tmp_path / "zoo").exists()


def test_the_hash_of_contents_covers_specs_plans_tokens_and_weights():
    model = ZooModel("m", 0, "pico", 0, "spec", "twin", "plan")
    names = ("README.md", "corpora/w0/tokens/00000.bin", "models/m/model.safetensors",
             "models/m/run.json", "twins/m/model.safetensors")  # fmt: skip
    record = ZooRecord("smoke", "0", (model,), {name: Listed(1, "0") for name in names})
    for name in names:
        other = replace(record, files={**record.files, name: Listed(1, "1")})
        counts = name.endswith((".bin", ".safetensors"))
        assert (other.content_hash != record.content_hash) == counts, name
        assert other.zoo_hash != record.zoo_hash
    for key in ("spec_hash", "twin_hash", "plan_hash"):
        other = replace(record, models=(replace(model, **{key: "other"}),))
        assert other.content_hash != record.content_hash
    assert replace(record, behemoth="1").content_hash == record.content_hash


def test_verify_names_what_the_list_does_not(zoo, run):
    assert bh.verify(zoo).extra == [] and "beside" not in run("verify", zoo).out
    added = [zoo / "notes.txt", zoo / "models" / "mine" / "model.safetensors"]
    try:
        for file in added:
            file.parent.mkdir(exist_ok=True)
            file.write_text("x")
        found, said = bh.verify(zoo), run("verify", zoo)
    finally:
        for file in added:
            file.unlink()
        added[1].parent.rmdir()
    assert found.ok and found.extra == ["models/mine/model.safetensors", "notes.txt"]
    assert said.code == 0 and "all intact; 2 files beside them" in said.out
    assert "notes.txt: not checked: the list does not name it" in said.err


def test_verify_names_what_is_bad_and_what_is_missing(tiny, zoo, tmp_path, run):
    said = run("verify", zoo)
    assert said.code == 0 and ", all intact" in said.out
    found = bh.verify(zoo)
    listed = json.loads((zoo / "zoo.json").read_text())["files"]
    there = {str(path.relative_to(zoo)) for path in zoo.rglob("*") if path.is_file()}
    assert set(listed) == there - {"zoo.json"} and found.files == len(listed)
    weights = zoo / "models" / NAMES[1] / "model.safetensors"
    whole, plan = weights.read_bytes(), zoo / "plans" / "w0" / "probes.parquet"
    probes = plan.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    plan.unlink()
    try:
        found = bh.verify(zoo)
        assert not found.ok and found.missing == ["plans/w0/probes.parquet"]
        name = f"models/{NAMES[1]}/model.safetensors"
        assert found.bad == [{"file": name, "reason": "is damaged: it is not what was written"}]
        assert run("verify", zoo).code == 1
    finally:
        weights.write_bytes(whole)
        plan.write_bytes(probes)
    assert bh.verify(zoo).ok


def test_a_list_that_was_changed_is_no_list(zoo, tmp_path):
    values = json.loads((zoo / "zoo.json").read_text())
    values["files"]["README.md"]["blake3"] = "0" * 64
    (tmp_path / "zoo.json").write_text(json.dumps(values))
    [bad] = bh.verify(tmp_path).bad
    assert bad["file"] == "zoo.json" and "is damaged" in bad["reason"]
    (tmp_path / "zoo.json").write_text(json.dumps({**values, "format_version": 9}))
    with pytest.raises(CorpusError, match="format version 9, and this version of behemoth reads 1"):
        bh.load(tmp_path)


def test_what_is_there_is_not_written_over(zoo, tmp_path):
    with pytest.raises(ArgumentError, match=r"'out': got .*, a zoo of size smoke, allowed: a new"):
        bh.make_zoo(zoo, "desk")
    with pytest.raises(ArgumentError, match=r"'size': got smok .*, allowed: smoke, desk"):
        bh.make_zoo(tmp_path / "new", "smok")
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ArgumentError, match=r"'out': .* something else \(thesis.tex\), allowed: a"):
        bh.make_zoo(tmp_path)


def test_the_command(run, tiny, zoo):
    made = run("zoo", "make", "--out", zoo, "--json").json()
    assert list(made) == [
        "out", "size", "models", "files", "bytes", "zoo_hash", "content_hash", "seconds"
    ]  # fmt: skip
    assert (made["models"], made["size"]) == (4, "smoke")
    assert made["zoo_hash"] == bh.load(zoo).record.zoo_hash
    report = run("inspect", zoo, "--json").json()
    assert report["is"] == "a zoo of size smoke" and report["models"] == NAMES
    assert report["content_hash"] == made["content_hash"]
    refused = run("zoo", "make", "--size", "huge", "--out", zoo).refused(2)
    assert "got huge, allowed: smoke, desk" in refused
    assert "make" in run("zoo").out


def test_a_limit_on_memory_is_that_of_each_training(tiny, tmp_path):
    with pytest.raises(ArgumentError, match=r"got pico, which .* needs about .*fits into 1\.00 MB"):
        bh.make_zoo(tmp_path / "zoo", memory=10**6)


def test_memory_for_a_smaller_batch_is_refused_by_its_own_name(tmp_path):
    trainer = Trainer(tmp_path, SIZES["desk"], 400 * 10**6)
    allowed = r"^argument 'memory': got 400\.0 MB, allowed: (\S+) MB or more for size desk$"
    with pytest.raises(ArgumentError, match=allowed) as caught:
        workers_for(trainer, 8, None)
    least = float(re.match(allowed, str(caught.value))[1])
    assert workers_for(replace(trainer, memory=int((least + 1) * 10**6)), 8, None)[0] == 1


def test_a_refused_limit_on_memory_changes_nothing(tiny, zoo, tmp_path):
    def files(place):
        return {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}

    before = files(zoo)
    for force in (False, True):
        with pytest.raises(ArgumentError, match="'memory': got 0, allowed: a whole number from 1"):
            bh.make_zoo(zoo, force=force, memory=0)
    with pytest.raises(ArgumentError, match="got pico, which "):
        bh.make_zoo(zoo, force=True, memory=10**6)
    assert {path: when for path, when in files(zoo).items() if path.name != ".lock"} == before
    for memory in (0, 10**6):
        with pytest.raises(ArgumentError):
            bh.make_zoo(tmp_path / "zoo", memory=memory)
    assert {path.name for path in files(tmp_path)} <= {".lock"}

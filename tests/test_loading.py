"""One verb loads whatever a path is."""

import os
import shutil

import polars as pl
import pytest

import behemoth as bh
from behemoth.corpus.tokenizer import write_tokenizer

STUDY = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[train]
steps = 1
[plan]
edits = 1
[[method]]
name = "retrain"
"""


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    """A path of every kind."""
    place = tmp_path_factory.mktemp("all")
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5))
    bh.gen(corpus, place / "corpus", probes=0)
    (place / "spec.toml").write_text(corpus.spec_toml)
    (place / "study.toml").write_text(STUDY)
    plan = bh.plan(trained, edits=2, independent=True, repeats=1, probes=1, out=place / "plan")
    settings = {"rank": 1, "steps": 1}
    edited = bh.edit(trained, plan, "lora", place / "edit", settings=settings, single=True)
    bh.evaluate(edited, plan, out=place / "frame.parquet")
    bh.evaluate_suite(trained, "recall", out=place / "suite", facts=20)
    return place


def test_whatever_a_path_is_is_loaded(made, trained):
    assert bh.load(made / "corpus").directory == made / "corpus"
    assert bh.load(made / "spec.toml").spec_hash == bh.load(made / "corpus").spec_hash
    assert isinstance(bh.load(trained), bh.Run)
    assert isinstance(bh.load(made / "plan"), bh.EditPlan)
    edit = bh.load(made / "edit")
    assert isinstance(edit, bh.EditRecord) and list(edit.deltas()) == [0, 1]
    assert isinstance(bh.load(made / "edit" / "deltas" / "00000"), bh.EditDelta)
    assert isinstance(bh.load(made / "suite"), bh.SuiteResult)
    assert isinstance(bh.load(made / "study.toml"), bh.Study)
    assert isinstance(bh.load(made / "frame.parquet"), pl.DataFrame)


def test_what_is_written_is_a_path_and_has_a_short_name(made, trained):
    run, edit, suite = bh.load(trained), bh.load(made / "edit"), bh.load(made / "suite")
    assert os.fspath(run) == str(trained) and os.fspath(edit) == str(made / "edit")
    assert bh.load(run).directory == run.directory
    for thing in (run, edit, *edit.deltas().values(), suite, bh.load(made / "study.toml")):
        text = repr(thing)
        assert text.startswith(f"{type(thing).__name__}(") and "\n" not in text and len(text) < 200


def test_the_result_of_a_verb_is_a_path(made, tmp_path):
    store = (tmp_path / "store").as_uri()
    facts = bh.facts(made / "corpus", tmp_path / "facts.parquet")
    assert pl.read_parquet(os.fspath(facts)).height == 40
    assert bh.load(bh.import_(facts, tmp_path / "world")).world.num_facts == 40
    assert bh.verify(bh.export(made / "corpus", tmp_path / "exported", to="jsonl")).ok
    bh.push(made / "corpus", store)
    assert bh.load(bh.pull(store, tmp_path / "pulled")).num_shards == 1
    study = bh.study(made / "study.toml", out=tmp_path / "study", workers=1)
    merged = bh.study.merge_studies([study], tmp_path / "merged")
    assert bh.load(study).path == tmp_path / "study" and bh.load(merged).about.name == "tiny"


def test_a_run_has_its_model(trained):
    run = bh.load(trained)
    assert "model" not in vars(run)  # nothing is loaded before it is asked for
    assert run.model is run.model and run.model.device.type == "cpu" and not run.model.training
    own, loaded = run.model.state_dict(), run.load_model("cpu").state_dict()
    assert all(own[name].equal(value) for name, value in loaded.items())


def test_a_run_that_is_gone_is_not_called_damaged(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    run = bh.load(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    with pytest.raises(bh.CorpusError, match=r"run.config\.json is not there$"):
        run.load_model("cpu")


def test_a_tokenizer_is_loaded(tmp_path):
    made = bh.train_tokenizer("bios-en", tmp_path / "bpe", vocabulary=300, documents=20)
    assert bh.load(tmp_path / "bpe").digest == made.digest
    found = bh.inspect(tmp_path / "bpe")
    assert (found["is"], found["kind"], found["vocabulary"]) == ("a tokenizer", "BPE", made.size)


def test_a_checkpoint_is_a_model_of_the_corpus_of_its_run(tmp_path):
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5))
    config = bh.default_config(
        "pico", steps=1, batch_size=2, block_length=16, threads=1, checkpoint_history=1
    )
    bh.train(corpus, out=tmp_path / "run", config=config)
    place = tmp_path / "run" / "checkpoints" / "step-00000000"
    found = bh.load(place)
    assert found.corpus.spec_hash == corpus.spec_hash
    before, after = found.load_model("cpu"), bh.load(tmp_path / "run").load_model("cpu")
    assert not all(
        after.state_dict()[name].equal(value) for name, value in before.state_dict().items()
    )
    assert bh.inspect(place)["run"] == str(tmp_path / "run")
    place.rename(tmp_path / "model")
    with pytest.raises(bh.ArgumentError, match=r"model, a model without a corpus, allowed: one "):
        bh.load(tmp_path / "model")


def test_a_run_has_its_tokenizer(trained, tmp_path):
    run = bh.load(shutil.copytree(trained, tmp_path / "run"))
    with pytest.raises(bh.CorpusError, match=r"has no tokenizer\.json"):
        run.tokenizer  # noqa: B018
    write_tokenizer(tmp_path / "run", run.corpus.tokenizer_files)
    tokens = run.corpus.tokens(0, 2)
    text = run.corpus.decode(tokens)
    assert run.tokenizer.decode(tokens).strip() == text.strip()
    assert run.tokenizer(text).input_ids == tokens.tolist()


@pytest.mark.parametrize("name", ["nowhere", "empty", "notes.txt", "broken.parquet"])
def test_anything_else_is_refused(name, tmp_path):
    (tmp_path / "empty").mkdir()
    for file in ("notes.txt", "broken.parquet"):
        (tmp_path / file).write_text("not a table")
    with pytest.raises(bh.ArgumentError, match=r"argument 'path': got .*, allowed: a "):
        bh.load(tmp_path / name)

"""What the model that a training starts from has read."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from behemoth import Composed, Corpus, Grammar, Independent, World
from behemoth.edit.apply import edit
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train import default_config, train
from behemoth.train.config import TrainConfig
from behemoth.train.run import RECORD, read_record, read_run
from behemoth.train.started import corpora_of_start, objects_read, objects_written

SETTINGS = {"batch_size": 2, "block_length": 32, "threads": 1, "tensorboard": False, "steps": 2,
            "device": "cpu"}  # fmt: skip
NAMED = pl.DataFrame(
    {"subject": ["Ann", "Bob", "Cem"], "relation": "likes", "object": ["tea", "rum", "ale"]}
)


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(subjects=12, relations=2, objects=5, seed=4), exposures=4)


@pytest.fixture(scope="module")
def first(corpus, tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "first"
    config = default_config("pico", checkpoint_history=1, **SETTINGS)
    train(corpus, out=place, config=config)
    return place


def config_from(place):
    return default_config(start=place, **SETTINGS)


def start_warnings(caplog):
    return [line for line in caplog.messages if "training starts from" in line]


def test_a_run_records_what_its_start_and_the_starts_of_that_have_read(corpus, first, tmp_path):
    assert read_record(first).start_corpora is None
    [step] = sorted((first / "checkpoints").glob("step-*"))[:1]
    assert corpora_of_start(config_from(step)) == [corpus.spec]
    few = corpus.without([3])
    train(few, out=tmp_path / "second", config=config_from(first))
    assert read_record(tmp_path / "second").start_corpora == [corpus.spec]
    train(few, out=tmp_path / "third", config=config_from(tmp_path / "second"))
    assert read_record(tmp_path / "third").start_corpora == [few.spec, corpus.spec]
    assert corpora_of_start(config_from(tmp_path / "third")) == [few.spec, corpus.spec]


def test_of_a_model_of_another_origin_and_of_earlier_records_it_is_unknown(corpus, first, tmp_path):
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(first).save_pretrained(tmp_path / "other")
    assert corpora_of_start(config_from(tmp_path / "other")) is None
    train(corpus, out=tmp_path / "run", config=config_from(first))
    replace(read_record(tmp_path / "run"), start_corpora=None).write(tmp_path / "run")
    assert read_run(tmp_path / "run").record.start_corpora is None
    assert corpora_of_start(config_from(tmp_path / "run")) == [corpus.spec]
    (first / RECORD).rename(first / "aside")
    (first / RECORD).write_text("{")
    assert corpora_of_start(config_from(first)) is None
    (first / "aside").replace(first / RECORD)


@pytest.mark.parametrize(
    "exposures",
    [3, "groups:0,1,4,16", "latin:1,4", "zipf:alpha=1,min=1,max=100", np.arange(120) % 5],
    ids=["constant", "groups", "latin", "zipf", "array"],
)
def test_the_facts_of_a_corpus_are_known_by_its_spec(exposures):
    relations = [Independent(20), Independent(20), Composed(0, 5)]
    world = World(subjects=40, relations=relations, seed=3)
    corpus = Corpus(world, exposures=exposures, order="bios", nested_exposures=7)
    twin = corpus.override({3: 1, 5: 2}, follow=True).without([7, 8, 121])
    facts = np.arange(world.num_facts)
    specs = json.loads(json.dumps([corpus.spec, twin.spec]))
    for one in (corpus, twin):
        read = objects_read(specs, one, facts)
        for made, wanted in zip(read, (corpus, twin), strict=True):
            assert made.tolist() == objects_written(wanted, facts).tolist()
    assert objects_written(twin, [7, 8, 121]).tolist() == [-1, -1, -1]
    other = Corpus(World(subjects=40, relations=relations, seed=4))
    assert list(objects_read(specs, other, facts)) == []


def test_a_table_of_names_is_known_and_another_array_of_exposures_is_not():
    corpus = Corpus(World.from_table(NAMED), exposures=[3, 0, 2])
    twin = corpus.override({0: 1})
    [read] = objects_read([corpus.spec], twin, [0, 1, 2])
    assert read.tolist() == objects_written(corpus, [0, 1, 2]).tolist() and read[1] == -1
    more = Corpus(corpus.world, exposures=[3, 1, 2])
    assert list(objects_read([more.spec], twin, [0, 1, 2])) == [None]


def test_an_array_of_a_grammar_without_link_sentences_is_known_too():
    file = Path(__file__).parents[2] / "crates/behemoth-gen/tests/text/small.toml"
    text = file.read_text()
    link = text[text.index("[relations.seat.link]") : text.index("[[joint]]")]
    grammar = Grammar("small.toml", text.replace(link, ""))
    world = grammar.world(6)
    exposures = np.ones(world.num_facts, np.uint32)
    exposures[world.num_subject_facts :] = 0
    corpus = Corpus(world, exposures=exposures, grammar=grammar)
    [read] = objects_read([corpus.spec], corpus.without([0]), [0, 1])
    assert read.tolist() == objects_written(corpus, [0, 1]).tolist()


def test_a_twin_from_a_model_that_read_the_facts_is_trained_with_a_warning(
    corpus, first, tmp_path, caplog
):
    def warned(twin, start, out):
        caplog.clear()
        train(twin, out=tmp_path / out, config=config_from(start))
        return start_warnings(caplog)

    twin = corpus.without([3]).override({5: (corpus.world.facts_of([5])["object"][0] + 1) % 5})
    [line] = warned(twin, first, "twin")
    assert line == (
        f"{first}, which training starts from, has read 2 of the 2 facts that the corpus omits or "
        "overrides: what is trained is no twin that never read them"
    )
    assert warned(corpus, first, "on") == [], "it is no twin"
    few = default_config("pico", **SETTINGS)
    train(twin, out=tmp_path / "clean", config=few)
    assert warned(twin, tmp_path / "clean", "from clean") == []
    assert warned(twin, tmp_path / "clean", "from clean") == [], "it is finished"
    array = Corpus(corpus.world, exposures=np.arange(24) % 3)
    train(array, out=tmp_path / "array", config=few)
    [line] = warned(twin, tmp_path / "array", "from array")
    assert "has read an unknown number of the 2 facts" in line


def test_retrain_says_that_its_twin_starts_from_such_a_model(corpus, first, tmp_path, caplog):
    plan = compile_plan(corpus, EditRequest(edits=3, kind="refusal", distinct=False, repeats=1))
    edit(first, plan, "retrain", tmp_path / "plain")
    assert start_warnings(caplog) == []
    train(corpus, out=tmp_path / "on", config=config_from(first))
    edit(tmp_path / "on", plan, "retrain", tmp_path / "edit")
    [line] = start_warnings(caplog)
    assert "has read 3 of the 3 facts" in line and line.startswith(f"{first}, ")
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_record_without_a_start_has_no_such_entry(first):
    record = read_record(first)
    assert "start_corpora" not in record.to_dict()
    assert replace(record, start_corpora=[]).to_dict()["start_corpora"] == []
    assert corpora_of_start(TrainConfig()) is None

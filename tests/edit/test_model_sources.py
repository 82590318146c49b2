"""What transformers wrote is edited, traced and evaluated like a run, where a corpus is given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth import ArgumentError, Corpus, World
from behemoth.corpus.tokens import PERIOD
from behemoth.model.build import model_config
from behemoth.model.sizes import Size


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    place = tmp_path_factory.mktemp("sources") / "spec.toml"
    corpus = Corpus(World(subjects=30, relations=2, objects=6, seed=1), exposures=4)
    place.write_text(corpus.spec_toml)
    return place


@pytest.fixture(scope="module")
def llama(spec, tmp_path_factory):
    """A Llama that says the facts of the world, as `save_pretrained` writes one."""
    from transformers import LlamaForCausalLM

    place = tmp_path_factory.mktemp("models") / "llama"
    corpus = Corpus.from_spec(spec)
    torch.manual_seed(0)
    size = Size("tiny", 48, 2, 4, 64, "llama", key_value_heads=2)
    model = LlamaForCausalLM(model_config(size, corpus.vocabulary_size))
    probes = corpus.probes(corpus.sample_facts(60))
    pairs = zip(probes["prompt"].to_list(), probes["answer"].to_list(), strict=True)
    tokens = torch.tensor([[*prompt, *answer, PERIOD] for prompt, answer in pairs])
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def plan(spec, tmp_path_factory):
    place = tmp_path_factory.mktemp("plans") / "plan"
    corpus = Corpus.from_spec(spec)
    bh.plan(corpus, edits=2, independent=True, repeats=2, probes=2, seed=3, out=place)
    return place


def test_a_model_of_another_origin_is_a_model_source(llama, spec, plan, tmp_path, run):
    asked = ("--plan", plan, "--corpus", spec)
    report = run(
        "edit", llama, *asked, "--method", "lora", "--set", "steps=30", "--set",
        "learning_rate=1e-2", "--single", "--adapter", "--out", tmp_path / "edit", "--json",
    ).json()  # fmt: skip
    assert (report["edits"], report["failed"]) == (2, [])
    # An edit knows what it is of, and with which corpus.
    frame = bh.evaluate(tmp_path / "edit", plan)
    edited = frame.filter(group="edited")
    assert edited.filter(stage="after")["exact_match"].all()
    assert not edited.filter(stage="before")["exact_match"].any()
    assert frame["run"].unique().to_list() == ["llama"]
    kept = frame.filter(pl.col("group").is_in(["unrelated", "same_relation"]), stage="before")
    assert kept["exact_match"].mean() > 0.9
    assert bh.load(tmp_path / "edit").corpus == spec.resolve()

    run("evaluate", llama, *asked, "--out", tmp_path / "frame.parquet", "--json").json()
    before = pl.read_parquet(tmp_path / "frame.parquet")
    assert before["stage"].unique().to_list() == ["before"]
    traced = run("trace", llama, *asked, "--samples", 2, "--out", tmp_path / "trace", "--json")
    assert traced.json()["facts"] == 2
    run(
        "evaluate", llama, *asked, "--suite", "recall", "--out", tmp_path / "suite", "--json"
    ).json()


def test_locate_and_edit_of_another_origin(llama, spec, plan, tmp_path):
    bh.edit(llama, plan, "rome", tmp_path / "edit", corpus=spec, single=True)
    frame = bh.evaluate(tmp_path / "edit", plan)
    after = frame.filter(group="edited", stage="after")
    assert (after["log_probability_new"] > after["log_probability_old"]).all()


def test_its_edit_is_exported(llama, spec, plan, tmp_path):
    from transformers import AutoModelForCausalLM

    settings = {"steps": 2}
    bh.edit(llama, plan, "lora", tmp_path / "edit", corpus=spec, settings=settings)
    bh.export(tmp_path / "edit", tmp_path / "out", to="hf")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    model = AutoModelForCausalLM.from_pretrained(llama)
    with bh.load(tmp_path / "edit").deltas()[None].apply(model):
        assert all(found[name].equal(value) for name, value in model.state_dict().items())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| run | `llama`: of another origin |" in card


def test_an_edit_of_a_model_that_was_edited(llama, spec, plan, tmp_path, run):
    settings = {"steps": 2}
    bh.edit(llama, plan, "lora", tmp_path / "first", corpus=spec, settings=settings)
    bh.export(tmp_path / "first", tmp_path / "once", to="hf")
    other = bh.plan(Corpus.from_spec(spec), edits=1, repeats=2, probes=2, seed=4)
    bh.edit(tmp_path / "once", other, "lora", tmp_path / "second", corpus=spec, settings=settings)
    bh.export(tmp_path / "second", tmp_path / "twice", to="hf")
    card = (tmp_path / "twice" / "README.md").read_text()
    assert "`run` below is the model that was edited." in card and "unedited" not in card
    assert "| run | `once`: of another origin |" in card
    # The model has the edit in it, and is none.
    found = bh.evaluate_suite(tmp_path / "once", "editing", plan, corpus=Corpus.from_spec(spec))
    missing = {taken.name: taken.missing for taken in found.measures}
    for name in ("norm", "kl", "kl_corpus", "damage_unrelated", "exact_portability_if_known"):
        assert missing[name].startswith("an edit: this is a model by itself, which does not say")
    words = ("--plan", plan, "--corpus", spec, "--out", tmp_path / "f.parquet")
    ran = run("evaluate", tmp_path / "once", *words)
    assert ran.code == 0 and "efficacy" in ran.out
    assert "if known" not in ran.out + ran.err and "kl" not in ran.out.split()
    ran = run("evaluate", tmp_path / "once", *words, "--json")
    assert {row["filter"] for row in ran.json()["metrics"]} == {"all"}
    assert "kl" not in {row["metric"] for row in ran.json()["metrics"]}


def test_an_edit_whose_model_was_moved_away_says_so(llama, spec, plan, tmp_path, run):
    model, out = tmp_path / "model", tmp_path / "edit"
    shutil.copytree(llama, model)
    bh.edit(model, plan, "ft", out=out, corpus=spec, settings={"steps": 1})
    model.rename(tmp_path / "elsewhere")
    said = (
        f"got {out}, an edit of {model}, which does not exist, allowed: "
        "an edit and its model where they were when it was made (move them back)"
    )
    words = ("--plan", plan, "--out", tmp_path / "frame.parquet")
    assert run("evaluate", out, *words).refused() == f"argument 'RUN_OR_EDIT': {said}"
    assert run("ask", out, "S1").refused() == f"argument 'RUN_OR_EDIT': {said}"
    with pytest.raises(ArgumentError, match=r"'directory': got .*edit, an edit of .*model, which"):
        bh.load(out).load_model()


def test_its_edit_is_found_again_and_goes_on(llama, spec, plan, tmp_path):
    settings = {"steps": 2}
    made = [
        bh.edit(llama, plan, "lora", tmp_path / "edit", corpus=spec, settings=settings)
        for _ in range(2)
    ]
    assert [one.present for one in made] == [0, 1]


def test_what_is_no_model_source_is_refused(llama, spec, plan, tmp_path, trained):
    def refused(match, place, **more):
        with pytest.raises(ArgumentError, match=match):
            bh.edit(place, plan, "lora", tmp_path / "edit", **more)

    refused("'corpus': got nothing, allowed: the corpus or spec of the facts, as .*llama", llama)
    refused("'run': got .* a training run", tmp_path, corpus=spec)
    refused("'corpus': got .*, allowed: none for a run, which has its own", trained, corpus=spec)
    # The record of an edit names the corpus.
    refused(
        "'corpus': got Corpus.*, allowed: a path, which the record",
        llama,
        corpus=Corpus.from_spec(spec),
    )
    large = tmp_path / "large.toml"
    large.write_text(Corpus(World(5000, 2, 900), exposures=1).spec_toml)
    refused(r"'run': got a model of \d+ tokens, allowed: one of \d+ or more", llama, corpus=large)


def test_the_command_names_its_own_option(llama, plan, run, tmp_path):
    words = ("edit", llama, "--plan", plan, "--method", "lora")
    refused = run(*words, "--out", tmp_path / "edit").refused(2)
    assert "argument '--corpus': got nothing, allowed: the corpus or spec of the facts" in refused
    refused = run(*words, "--world", tmp_path / "none", "--out", tmp_path / "edit").refused(2)
    assert f"argument '--world': got {tmp_path / 'none'}" in refused


def changed(llama, place, **values):
    """A copy of the model with other values in its configuration."""
    place.mkdir()
    for file in filter(Path.is_file, llama.iterdir()):
        (place / file.name).write_bytes(file.read_bytes())
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | values))
    return place


def test_nothing_of_a_directory_is_run(llama, spec, plan, tmp_path):
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').close()\nfrom transformers import LlamaForCausalLM as Mine\n"
    place = changed(
        llama, tmp_path / "coded", auto_map={"AutoModelForCausalLM": "mine.Mine"},
        attn_implementation="someone/kernel", _attn_implementation_internal="someone/kernel",
    )  # fmt: skip
    (place / "mine.py").write_text(code)
    (place / "custom_generate").mkdir()
    (place / "custom_generate" / "generate.py").write_text(code)
    edited = bh.edit(place, plan, "lora", tmp_path / "edit", corpus=spec, settings={"steps": 1})
    assert not edited.failed and not mark.exists()
    # Of a family that is not known there is only that code.
    foreign = changed(place, tmp_path / "foreign", model_type="mine")
    with pytest.raises(ArgumentError, match="'run': got mine, allowed: gpt_neox, gpt2, llama"):
        bh.edit(foreign, plan, "lora", tmp_path / "other", corpus=spec)
    assert not mark.exists()


def test_pickled_and_quantised_weights_are_refused(llama, spec, plan, tmp_path):
    place = changed(llama, tmp_path / "quantised", quantization_config={"bits": 4})
    with pytest.raises(ArgumentError, match="whose weights are quantised"):
        bh.edit(place, plan, "lora", tmp_path / "edit", corpus=spec)
    pickled = changed(llama, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ArgumentError, match=r"'run': got .*pickled"):
        bh.edit(pickled, plan, "lora", tmp_path / "edit", corpus=spec)


def test_a_corpus_of_other_words_is_refused(llama, spec, plan, tmp_path):
    place = changed(llama, tmp_path / "worded")
    words = {"model": {"vocab": {"one": 0, "two": 1}}}
    (place / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ArgumentError, match="whose tokens are others than the model's"):
        bh.edit(place, plan, "lora", tmp_path / "edit", corpus=spec)
    own = Corpus.from_spec(spec).tokenizer_files["tokenizer.json"]
    (place / "tokenizer.json").write_bytes(own)
    bh.edit(place, plan, "lora", tmp_path / "edit", corpus=spec, settings={"steps": 1})

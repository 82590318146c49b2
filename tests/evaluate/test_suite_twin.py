"""The twin of a suite: which runs are twins, and what is measured with one."""

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import behemoth as bh
from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.edit import registry
from behemoth.evaluate import SUITES, evaluate_suite
from behemoth.evaluate.hints import hinted
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.suites.suite import take
from behemoth.evaluate.suites.unlearning import _RETAINED
from behemoth.support.digests import SEAL, digests, sealed
from behemoth.support.files import as_json
from behemoth.train.run import read_record

WEIGHTS = ("relearning_steps", "continued_steps", "recall_8_bit", "recall_4_bit",
           "recall_pruned_10", "recall_pruned_30")  # fmt: skip


def test_a_twin_is_asked_once_for_several_edits_and_a_frame_that_is_there_is_taken(edited_run):
    _, twin, plan, edited = edited_run
    few = ["forget_recall", "perplexity_corpus", "membership_loss", "privacy_loss", "recall_8_bit",
           "linear_probe", "kl_twin_forget", "kl_twin_text", "parameters_twin"]  # fmt: skip
    first = MeasuredModel.open(edited, plan, twin)
    taken = take(SUITES["unlearning"], first, only=few).table()
    asked = []
    load = first.twin._load
    first.twin._load = lambda: asked.append(1) or load()
    measured = first.twin.run.corpus, dict(first.twin._taken)
    second = MeasuredModel(
        first.source, first.run, first.plan, first.deltas, first._load, first.edit, first.twin,
        frame=first.frame.with_columns(pl.lit("other").alias("run")),
    )  # fmt: skip
    again = take(SUITES["unlearning"], second, only=few).table()
    assert not asked and measured[1] == first.twin._taken
    assert_frame_equal(taken, again, abs_tol=1e-3)
    names = set(taken.filter(pl.col("twin").is_not_null())["measure"])
    assert names <= set(first.twin._taken) and "perplexity_corpus" in names


@pytest.mark.parametrize("single", [False, True])
def test_a_twin_is_asked_what_the_edits_are_asked(run_of, tmp_path, single):
    # The edits are independent: of those made in one model, none is asked what another changes.
    corpus = Corpus(World(60, 2, 6), exposures=2)
    run = run_of(tmp_path / "run", corpus, 1)
    plan = bh.plan(run, edits=12, independent=True, kind="refusal", repeats=2, probes=1)
    together = plan.together(corpus)
    assert together.probes.height < plan.probes.height
    twin = run_of(tmp_path / "twin", corpus.without(plan.edits["fact"]), 2)
    edited = bh.edit(
        run, plan, "grad_diff", tmp_path / "edit", settings={"steps": 1}, single=single
    )
    measured = MeasuredModel.open(edited, plan, twin)
    asked = plan if single else together
    for rows in (measured.rows, measured.twin.rows):
        assert set(rows["probe"]) == set(asked.probes["probe"])
    few = ["kl_twin_retain", "forget_recall_hint"]
    measures = take(SUITES["unlearning"], measured, only=few).measures
    if not single:  # one model for all edits
        [hint, kl] = measures
        stay = asked.probes.filter(pl.col("group").is_in(_RETAINED))
        assert kl.found.count == stay.select("link", "subject").n_unique()
        assert hint.found.count == hinted(corpus, together)["subject"].n_unique()
    beside = MeasuredModel.open(run, plan, twin)
    assert set(beside.rows["probe"]) == set(beside.twin.rows["probe"])
    assert set(beside.rows["probe"]) == set(plan.probes["probe"])


def test_a_twin_is_of_the_same_world_and_has_not_learned_the_facts(run_of, edited_run, tmp_path):
    run, _, plan, edited = edited_run
    corpus = bh.load(run).corpus
    facts = plan.edits["fact"].to_list()

    def refused(place, why, allowed):
        with pytest.raises(ArgumentError) as error:
            MeasuredModel.open(edited, plan, place)
        assert str(error.value) == f"argument 'twin': got {Path(place)}, {why}, allowed: {allowed}"

    spec = {**corpus.spec["world"], "seed": 7}
    world = World.from_arrays(spec, None, corpus.spec["format_version"], None)
    other = Corpus.from_arrays(world, corpus.spec["corpus"], None, None)
    refused(run_of(tmp_path / "seed", other, 2), "of another world", "a twin of the run")
    without = "a run on a corpus without these facts, or with other objects for them"
    refused(run, "whose corpus writes 6 of the 6 facts of the plan", without)
    most = run_of(tmp_path / "most", corpus.without(facts[1:]), 2)
    refused(most, "whose corpus writes 1 of the 6 facts of the plan", without)
    refused(
        edited, "an edit by grad_diff", "one by retrain, or by another oracle that is installed"
    )
    wide = run_of(tmp_path / "wide", corpus.without(facts), 2, width=64)
    like_it = f"a twin of the run, trained as {run} was"
    refused(wide, "a model of another size", like_it)
    objects = corpus.world.facts_of(facts)["object"]
    overridden = corpus.override({facts[0]: (objects[0] + 1) % 10}).without(facts[1:])
    assert MeasuredModel.open(run, plan, run_of(tmp_path / "both", overridden, 2)).twin is not None
    assert MeasuredModel.open(edited, None, most).twin is not None, (
        "without a plan there is no such fact"
    )


def test_a_twin_has_not_started_from_a_model_that_learned_the_facts(run_of, edited_run, tmp_path):
    run, _, plan, edited = edited_run
    corpus = bh.load(run).corpus
    facts = plan.edits["fact"].to_list()
    clean = corpus.without(facts)
    twin = run_of(tmp_path / "twin", clean, 2)

    def opened(*start):
        specs = [one.spec for one in start]
        replace(read_record(twin), start_corpora=specs).write(twin)
        return MeasuredModel.open(edited, plan, twin).twin

    def refused(place, count):
        with pytest.raises(ArgumentError) as error:
            MeasuredModel.open(edited, plan, place)
        assert str(error.value) == (
            f"argument 'twin': got {place}, whose start has read {count} of the 6 facts of the "
            "plan, allowed: a run without a start (--from), or from a model that has not read "
            "these facts"
        )

    assert opened() and opened(clean, Corpus(World(90, 3, 10, seed=1)))
    with pytest.raises(ArgumentError):
        opened(clean, corpus)  # what its start had started from
    refused(twin, 6)
    with pytest.raises(ArgumentError):
        opened(corpus.without(facts[1:]), corpus.without(facts[:-1]))
    refused(twin, 2)
    assert MeasuredModel.open(edited, None, twin).twin is not None
    # An edit by retrain starts from where the run started.
    on = run_of(tmp_path / "on", corpus, 1)
    replace(read_record(on), start_corpora=[corpus.spec]).write(on)
    retrained = shutil.copytree(edited, tmp_path / "retrained")
    record = json.loads((retrained / "edit.json").read_text())
    record |= {"method": "retrain", "run": str(on)}
    del record[SEAL]
    (retrained / "edit.json").write_bytes(as_json(sealed(record)))
    refused(retrained, 6)


def test_a_start_of_which_only_the_world_is_known_is_told(run_of, edited_run, tmp_path, caplog):
    run, _, plan, edited = edited_run
    corpus = bh.load(run).corpus
    twin = run_of(tmp_path / "twin", corpus.without(plan.edits["fact"]), 2)
    array = Corpus(corpus.world, exposures=np.arange(270) % 3)
    replace(read_record(twin), start_corpora=[array.spec]).write(twin)
    assert MeasuredModel.open(edited, plan, twin).twin is not None
    told = f"{twin}: its start has read facts of this world, and which of them is not recorded"
    assert caplog.messages == [told]


def test_a_twin_that_was_trained_otherwise_is_told(run_of, edited_run, tmp_path, caplog):
    run, twin, plan, edited = edited_run
    assert MeasuredModel.open(edited, plan, twin).twin is not None
    assert not caplog.messages, "with another seed, and without the facts of the plan"
    corpus, facts = bh.load(run).corpus, plan.edits["fact"].to_list()
    written = np.flatnonzero(corpus.exposures())
    others = [fact for fact in written.tolist() if fact not in facts][:2]
    bad = run_of(tmp_path / "bad", corpus.without([*facts, *others]), 2)
    record = read_record(bad)
    replace(record, config=replace(record.config, steps=3, threads=2)).write(bad)
    assert MeasuredModel.open(edited, plan, bad).twin is not None
    told = "steps 3, not None; other exposures of 2 facts that the plan does not edit"
    assert caplog.messages == [f"{bad} was trained otherwise than {run}: with {told}"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_twin_is_refused_before_any_measure(edited_run, tmp_path, name):
    run, twin, plan, _ = edited_run
    other = shutil.copytree(twin, tmp_path / "twin")
    files = digests(other, ["config.json", "model.safetensors"])
    replace(read_record(other), files=files).write(other)
    assert MeasuredModel.open(run, plan, other).twin is not None
    content = (other / name).read_bytes()
    (other / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(CorpusError, match=rf"twin/{name} is damaged"):
        MeasuredModel.open(run, plan, other)


def test_an_edit_by_an_oracle_is_the_twin_of_its_own_plan(edited_run, monkeypatch):
    run, _, plan, edited = edited_run
    retrained = Path(edited).with_name("retrained")  # its record names the run beside it
    shutil.copytree(edited, retrained)
    record = json.loads((retrained / "edit.json").read_text()) | {"method": "retrain"}
    del record[SEAL]
    (retrained / "edit.json").write_bytes(as_json(sealed(record)))
    assert MeasuredModel.open(edited, plan, retrained).twin.source == retrained
    with monkeypatch.context() as patch:  # whatever an oracle is called
        patch.setitem(registry.OWN_METHODS, "grad_diff", "Oracle")
        module = import_module("behemoth.edit.methods.grad_diff")
        patch.setattr(module, "Oracle", registry.method_type("retrain"), raising=False)
        assert MeasuredModel.open(run, plan, edited).twin.source == Path(edited)
    other = bh.plan(run, edits=6, repeats=2, probes=3, seed=1)
    with pytest.raises(ArgumentError, match="retrained, an edit by another plan, allowed: one by"):
        MeasuredModel.open(run, other, retrained)
    [weights] = retrained.rglob("delta.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CorpusError, match=r"delta\.safetensors is damaged"):
        MeasuredModel.open(run, plan, retrained)


@pytest.mark.exact
def test_the_twin_is_no_distance_from_itself(edited_run):
    _, twin, plan, edited = edited_run
    names = ["kl_twin_forget", "kl_twin_retain", "privacy_loss", "membership_reference",
             "forget_distance", "forget_quality", "parameters_twin"]  # fmt: skip
    found = evaluate_suite(twin.with_name("alone"), "unlearning", plan, twin=twin, measures=names)
    measured = MeasuredModel.open(edited, plan)

    def load():
        model = measured.run.load_model()
        measured.edit.deltas()[None].apply(model)
        return model

    measured.twin = MeasuredModel(measured.source, measured.run, plan, {}, load)
    by_edit = take(SUITES["unlearning"], measured, only=names)
    assert by_edit["kl_twin_forget"] == by_edit["privacy_loss"] == by_edit["parameters_twin"] == 0.0
    assert found["kl_twin_forget"] == found["kl_twin_retain"] == 0.0
    assert found["privacy_loss"] == 0.0 and found["membership_reference"] == 0.5
    assert found["forget_distance"] == 0.0 and found["forget_quality"] == 1.0
    with pytest.raises(ArgumentError, match="argument 'measure': got parameters_twin"):
        found["parameters_twin"]


def test_the_twins_own_numbers_stand_beside(edited_run, few_steps):
    _, twin, plan, edited = edited_run
    names = ["forget_probability", "extraction_strength", "model_utility", "perplexity_corpus",
             "perplexity_filler", "membership_loss", "linear_probe", *WEIGHTS]  # fmt: skip
    without = ["privacy_loss", "kl_twin_text"]
    found = evaluate_suite(edited, "unlearning", plan, twin=twin, measures=[*names, *without])
    alone = evaluate_suite(twin.with_name("alone"), "unlearning", plan, measures=names)
    rows = {taken.name: taken for taken in found.measures}
    # The last of them need weights, and no edit.
    for name in names:
        assert rows[name].twin == pytest.approx(alone[name], rel=1e-6), name
    assert rows["forget_probability"].found.value != rows["forget_probability"].twin
    assert rows["privacy_loss"].twin is None and rows["kl_twin_text"].twin is None


def test_text_is_compared_with_the_twin(edited_run):
    _, twin, plan, edited = edited_run
    measured = MeasuredModel.open(edited, plan, twin)
    measures = {measure.name: measure for measure in SUITES["unlearning"].measures(measured)}
    found = measures["kl_twin_text"].find(measured)
    total = count = 0.0
    with measured.edited() as model, torch.no_grad():
        for document in measured.documents:
            ids = torch.from_numpy(document[:64].astype(np.int64))[None]
            theirs, ours = (
                each(ids).logits[0, :-1].double().log_softmax(-1)
                for each in (measured.beside.model, model)
            )
            total += (theirs.exp() * (theirs - ours)).sum().item()
            count += len(theirs)
    assert found.value == pytest.approx(total / count, rel=1e-4) and found.value > 0
    assert (found.over, found.count) == ("documents", len(measured.documents))
    assert found.low < found.value < found.high

"""Retraining takes a run over that is what it would train, and no other."""

import shutil
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.edit import sequential
from behemoth.edit.apply import edit
from behemoth.edit.methods.retrain import Retraining
from behemoth.edit.protocol import EditContext
from behemoth.edit.record import read_edit
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.train import default_config, train
from behemoth.train.run import read_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A corpus, a plan that leaves facts out, a run, its twin, and a run like neither."""
    corpus = Corpus(World(subjects=12, relations=2, objects=5, seed=4), exposures=4)
    place = tmp_path_factory.mktemp("runs")
    config = default_config(
        "pico", batch_size=2, steps=4, block_length=32, threads=1, tensorboard=False
    )
    plan = compile_plan(corpus, EditRequest(edits=3, kind="refusal", distinct=False, repeats=1))
    twin = corpus.without(plan.edits["fact"].to_list())
    train(corpus, out=place / "run", config=config)
    train(twin, out=place / "twin", config=config)
    train(twin, out=place / "other", config=replace(config, seed=1))
    return corpus, plan, place


def retrained(trained, *runs):
    corpus, plan, place = trained
    saved = []
    context = EditContext(
        corpus, run=place / "run", retrained=[place / run for run in runs], saved=saved.append
    )
    model = read_run(place / "run").load_model("cpu")
    [delta] = Retraining().apply(model, [plan], context)
    return delta, saved


def test_a_damaged_twin_at_hand_is_refused(trained):
    place = trained[2]
    other = shutil.copytree(place / "twin", place / "damaged")
    weights = other / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorpusError, match=r"damaged/model\.safetensors is damaged"):
        retrained(trained, "damaged")


def test_a_twin_at_hand_has_the_weights_that_training_gives(trained):
    anew, nothing = retrained(trained)
    taken, [seconds] = retrained(trained, "other", "twin")
    assert nothing == [] and seconds > 0
    assert anew.changes.keys() == taken.changes.keys()
    for name, change in anew.changes.items():
        assert torch.equal(change.to_dense(), taken.changes[name].to_dense()), name


def test_a_run_of_another_kind_of_device_is_retrained_in_its_shapes(trained, tmp_path):
    """The usual multiple that the vocabulary is padded to depends on the device."""
    corpus, plan, place = trained
    run, twin = (read_run(place / name) for name in ("run", "twin"))
    wide = replace(run.config, vocabulary_multiple=64)
    for name, there in (("run", run.corpus), ("twin", twin.corpus)):
        train(there, out=tmp_path / name, config=wide)
        # As if its vocabulary had been padded so on a GPU.
        record = read_run(tmp_path / name).record
        replace(record, device="cuda:0", config=run.config).write(tmp_path / name)
    wanted, [_] = retrained((corpus, plan, tmp_path), "twin")
    anew, nothing = retrained((corpus, plan, tmp_path))
    assert nothing == []
    for name, change in wanted.changes.items():
        assert torch.equal(change.to_dense(), anew.changes[name].to_dense()), name
    # A twin trained here has another embedding.
    shutil.copytree(place / "twin", tmp_path / "narrow")
    assert retrained((corpus, plan, tmp_path), "narrow")[1] == []


def test_it_trains_where_the_model_is(trained, tmp_path):
    """Also a run of a machine whose device this one lacks."""
    corpus, plan, place = trained
    for name in ("run", "twin"):
        shutil.copytree(place / name, tmp_path / name)
        record = read_run(tmp_path / name).record
        elsewhere = replace(record.config, device="cuda:7", vocabulary_multiple=8)
        replace(record, device="cuda:7", config=elsewhere).write(tmp_path / name)
    wanted, [_] = retrained((corpus, plan, tmp_path), "twin")
    anew, nothing = retrained((corpus, plan, tmp_path))
    assert nothing == []
    for name, change in wanted.changes.items():
        assert torch.equal(change.to_dense(), anew.changes[name].to_dense()), name


def test_runs_of_another_corpus_or_seed_are_not_taken(trained):
    _, saved = retrained(trained, "run", "other")
    assert saved == []


def test_a_sequence_retrains_on_the_twin_of_all_edits_so_far(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(sequential, "SAVED_EVERY", 1)
    corpus, _, place = trained
    bare = {"repeats": 1, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 0}
    plan = compile_plan(corpus, EditRequest(edits=3, independent=True, **bare))
    edits = dict(zip(plan.edits["fact"], plan.edits["new_object"], strict=True))
    config = read_run(place / "run").config
    train(corpus.override(edits), out=tmp_path / "all", config=config)
    wanted = read_run(tmp_path / "all").load_model("cpu").state_dict()

    class StoppedError(Exception):
        pass

    def stop(moment):
        if moment.done == 2:
            raise StoppedError

    for progress in (stop, None):  # the second call resumes the first, after its first edit
        with suppress(StoppedError):
            edit(
                place / "run", plan, "retrain", tmp_path / "edit", sequential=True,
                progress=progress,
            )  # fmt: skip
    model = read_run(place / "run").load_model("cpu")
    with read_edit(tmp_path / "edit").deltas()[None].apply(model):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-6)


def test_facts_with_new_objects_keep_them_beside_facts_without(trained):
    corpus, _, _ = trained
    objects = {3: 1, 7: None, 9: 2}
    wanted = corpus.override({3: 1, 9: 2}).without([7])
    assert Retraining().twin_with(objects, corpus).spec_hash == wanted.spec_hash
    omitted = Retraining(twin="without").twin_with(objects, corpus)
    assert omitted.spec_hash == corpus.without([3, 7, 9]).spec_hash
    with pytest.raises(ArgumentError, match="'twin': got 'override' for edits without"):
        Retraining(twin="override").twin_with(objects, corpus)
    # Twins of one kind are those that studies have, whose runs are taken over.
    same = {3: 1, 9: 2}
    assert Retraining().twin_with(same, corpus).spec_hash == corpus.override(same).spec_hash
    refused = Retraining().twin_with({7: None}, corpus)
    assert refused.spec_hash == corpus.without([7]).spec_hash


def test_a_sequence_of_refusals_leaves_out_all_facts_so_far(trained):
    corpus, plan, place = trained
    model = read_run(place / "run").load_model("cpu")
    config = read_run(place / "run").config
    context = EditContext(corpus, run=place / "run")
    first, *_, last = plan.singles()
    sequence = Retraining().in_sequence(model, context)
    sequence(first)
    other = Retraining().in_sequence(model, context)
    other.restore(sequence.memory())
    delta = other(last)
    both = [first.edits["fact"].item(), last.edits["fact"].item()]
    train(corpus.without(both), out=place / "both", config=config)
    wanted = read_run(place / "both").load_model("cpu").state_dict()
    with delta.apply(model):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, wanted[name], rtol=0, atol=1e-6)


def test_a_start_that_has_changed_since_is_refused(trained):
    corpus, plan, place = trained
    shutil.copytree(place / "other", place / "start")
    config = default_config(
        start=place / "start", batch_size=2, steps=1, block_length=32, threads=1, tensorboard=False
    )
    train(corpus, out=place / "second", config=config)
    context = EditContext(corpus, run=place / "second")
    model = read_run(place / "second").load_model("cpu")
    [delta] = Retraining().apply(model, [plan], context)
    assert delta.failure is None
    shutil.copy(place / "twin" / "model.safetensors", place / "start" / "model.safetensors")
    with pytest.raises(ArgumentError, match=r"whose start .*start has other weights now"):
        Retraining().apply(model, [plan], context)

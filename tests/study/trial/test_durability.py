import json
from copy import deepcopy
from dataclasses import replace

import polars as pl
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from behemoth import Corpus, World
from behemoth.delta.delta import EditDelta
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.model.architecture import Architecture
from behemoth.model.labels import IGNORED
from behemoth.model.loss import training_loss
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.study.results import Results
from behemoth.study.trial import trial
from behemoth.study.trial.durability import (
    as_one_batch,
    durable_batch,
    log_steps,
    retention,
    train_on,
)
from behemoth.train.data import BlockStream, DataConfig
from behemoth.train.device import Machine
from behemoth.train.optimiser import make_optimiser
from behemoth.train.run import read_run


def test_steps():
    assert log_steps(1) == [0, 1]
    assert log_steps(8) == [0, 1, 2, 4, 8]
    assert log_steps(9) == [0, 1, 2, 4, 8, 9]


def test_rows_that_hold_an_edited_fact_are_left_out(corpus):
    request = EditRequest(edits=30, independent=True, repeats=2, regular=4, probes=0)
    plan = compile_plan(corpus, request)
    edited = set(plan.edits["fact"])
    kept = plan.as_batch().training
    others = kept.filter(pl.col("role") != "edit")
    assert not edited & set(others["fact"]) and others.height
    assert edited & set(plan.training.filter(pl.col("role") != "edit")["fact"])
    assert kept.filter(pl.col("role") == "edit").height == 30


def test_a_batch_has_as_many_rows_in_a_step_as_its_edits_alone():
    corpus = Corpus(World(subjects=100, relations=2, objects=20), exposures=2, paraphrases=3)
    request = EditRequest(edits=6, independent=True, wordings=3, repeats=3, regular=4, probes=0)
    plan = compile_plan(corpus, request)
    rows = {rows: durable_batch(get_method("ft", {"edit_rows": rows}), plan)[1] for rows in (1, 8)}
    assert [method.edit_rows for method in rows.values()] == [6, 18]
    assert rows[8] == get_method("ft", {"edit_rows": 8}).for_batch(edits=6, wordings=3)
    assert get_method("ft", {"edit_rows": 8}).for_batch(edits=40).edit_rows == 40
    # No more than 256, unless a single edit is to have more.
    assert get_method("ft", {"edit_rows": 8}).for_batch(edits=400).edit_rows == 256
    assert get_method("ft", {"edit_rows": 512}).for_batch(edits=400).edit_rows == 512


def test_the_frame_of_a_study(finished):
    frame = Results.open(finished[0]).retention.collect()
    assert sorted(frame["step"].unique()) == [0, 1, 2, 3]
    assert frame.height == 8 * 4 * 4
    assert ((frame["margin"] > 0) == frame["kept"]).all()


def test_what_lasts_of_a_batch_is_the_batch_of_the_trial(tiny, in_process, tmp_path, monkeypatch):
    """Made again with the settings of many edits, it would be another one."""
    head, _, rest = tiny.partition("[[method]]")
    batch = rest[rest.index('name = "ft"') :].replace("[0, 1]", "[0]")
    text = f"{head}[measure]\ndurability = 1\n[[method]]\n{batch}"
    made = []
    own = trial.retention

    def seen(model, corpus, plan, delta, *others, **named):
        made.append(delta)
        return own(model, corpus, plan, delta, *others, **named)

    monkeypatch.setattr(trial, "retention", seen)
    monkeypatch.setattr(trial, "as_one_batch", None)
    in_process(text, tmp_path / "s")
    [delta] = made
    edits = Results.open(tmp_path / "s").edits.collect()
    [norm] = edits["norm"].unique()
    square = sum(float(change.to_dense().square().sum()) for change in delta.changes.values())
    assert norm == pytest.approx(square**0.5, rel=1e-5)


@pytest.fixture
def ran(finished):
    run = read_run(next((finished[0] / "models").glob("[!.]*")))
    request = EditRequest(edits=6, independent=True, repeats=2, regular=4, probes=0)
    return run, run.load_model("cpu"), compile_plan(run.corpus, request)


def test_a_corpus_that_says_otherwise_wears_edits_down(ran):
    run, model, plan = ran
    before = {name: value.clone() for name, value in model.state_dict().items()}
    method = get_method("ft", {"steps": 30, "learning_rate": 1e-3})
    context = EditContext(run.corpus)
    delta = as_one_batch(model, plan, method, context)
    frame = retention(model, run.corpus, plan, delta, run.config, forgets=False, steps=40, rate=1.0)
    margins = frame.group_by("step", maintain_order=True).agg(pl.col("margin").mean())["margin"]
    assert margins[0] > 1 and margins[-1] < margins[0] / 2
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("forgets", [False, True])
def test_a_forgotten_answer_is_back_when_every_token_of_it_leads(forgets, ran):
    """Not when its token leads at which it differs from an answer that unlearning does not use."""
    run, _, _ = ran
    corpus = Corpus(World(40, 2, 12, seed=5), exposures=4, base=10)
    plan = compile_plan(corpus, EditRequest(edits=8, independent=True, repeats=1, probes=0))
    torch.manual_seed(1)
    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=corpus.vocabulary_size, hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=24, max_position_embeddings=64,
            initializer_range=0.3, bos_token_id=0, eos_token_id=0,
        )
    ).eval()  # fmt: skip
    nothing = EditDelta({}, "grad_ascent", {}, plan.plan_hash, 0)
    frame = retention(model, corpus, plan, nothing, run.config, forgets=forgets, steps=1, rate=1.0)
    rows = plan.training.filter(pl.col("role") == "edit").unique("edit", maintain_order=True)
    margins = dict(frame.filter(step=0).select("edit", "margin").iter_rows())
    places = set()
    for edit, prompt, new, old in rows.select("edit", "prompt", "answer", "old_answer").iter_rows():
        with torch.no_grad():
            ids = torch.tensor([[*prompt, *old[:-1]]])
            scores = model(input_ids=ids).logits[0, -len(old) :]
        own = scores.gather(1, torch.tensor(old)[:, None])[:, 0]
        others = scores.scatter(1, torch.tensor(old)[:, None], -torch.inf).amax(1)
        at = next(at for at in range(len(old)) if new[at] != old[at])
        expected = (others - own).max() if forgets else scores[at, new[at]] - own[at]
        assert margins[edit] == pytest.approx(float(expected), abs=1e-5)
        places.add((at, int((others - own).argmax())))
    assert {weakest for _, weakest in places} == {0, 1}


@pytest.mark.parametrize(
    ("name", "settings"),
    [("grace", {"steps": 30}), ("wise", {"steps": 20}), ("ike", {"demonstrations": 2})],
)
def test_training_goes_through_what_an_edit_attached(ran, name, settings):
    """Adam's steps are those of the edited model's own loss, not of its weights alone."""
    run, model, plan = ran
    edited = deepcopy(model)
    [delta] = get_method(name, settings).apply(model, [plan.as_batch()], EditContext(run.corpus))
    delta.apply(edited)
    weights = {}
    for kind, start in (("with", edited), ("without", model)):
        own = deepcopy(start)
        list(train_on(own, run.corpus, run.config, 2, 1.0))
        weights[kind] = torch.cat([value.flatten() for value in own.parameters()])
    assert not torch.equal(weights["with"], weights["without"])


def stepped_by_hand(model, corpus, config, steps):
    """The weights after steps of AdamW on all parameters, of batches and rates as they should be.

    Retention was published with weights that came about like this.
    """
    machine = Machine.find(config)
    micro = machine.micro_batch(config)
    data = DataConfig(config.block_length, micro, config.document_mask, config.answers_only)
    batches = iter(BlockStream(corpus, data))
    optimiser = make_optimiser(dict(model.named_parameters()), config)
    module = training_loss(model, machine.dtype)
    model.train()
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / 10)
        with machine.settings():
            parts = [next(batches) for _ in range(config.accumulate)]
            count = sum(int((part["labels"][:, 1:] != IGNORED).sum()) for part in parts)
            for part in parts:
                (module(part) / count).backward()
            torch.nn.utils.clip_grad_norm_(list(model.parameters()), config.clip or float("inf"))
            optimiser.step()
            optimiser.zero_grad()
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_of_all_weights_continues_to_the_same_bits(ran, accumulate):
    run, model, _ = ran
    config = replace(run.config, accumulate=accumulate)
    expected = stepped_by_hand(deepcopy(model), run.corpus, config, 3)
    own = deepcopy(model)
    assert list(train_on(own, run.corpus, config, 3, 1.0)) == [1, 2, 3]
    assert all(torch.equal(expected[name], value) for name, value in own.named_parameters())


def test_a_low_rank_run_continues_with_low_rank_updates(ran):
    """Embeddings and norms were frozen in training, and stay so."""
    run, model, _ = ran
    own = deepcopy(model)
    architecture = json.loads((run.directory / "config.json").read_text())
    known = {"start": str(run.directory), "architecture": architecture, "model": "gpt_neox"}
    config = replace(run.config, **known, lora_rank=2)
    list(train_on(own, run.corpus, config, 2, 1.0))
    before = dict(model.named_parameters())
    changed = {
        name for name, value in own.named_parameters() if not torch.equal(before[name], value)
    }
    names = Architecture.of(model).linear_modules("both")
    assert changed == {f"{module}.weight" for module in names}
    for name in changed:
        change = (own.get_parameter(name) - before[name]).detach().double()
        assert torch.linalg.matrix_rank(change, rtol=1e-3) <= 2


def test_a_batch_that_breaks_down_says_so(ran, tiny, in_process, tmp_path, monkeypatch):
    run, model, plan = ran
    method = get_method("ft", {"steps": 5, "learning_rate": 1e30})
    broken = as_one_batch(model, plan, method, EditContext(run.corpus))
    assert broken.failure.startswith("loss")
    head, _, rest = tiny.partition("[[method]]")
    single = rest[rest.index('name = "ft"') :].replace("[0, 1]", "[0]").replace("false", "true")
    monkeypatch.setattr(trial, "as_one_batch", lambda *_: broken)
    in_process(f"{head}[measure]\ndurability = 1\n[[method]]\n{single}", tmp_path / "s")
    results = Results.open(tmp_path / "s")
    [name] = results.without_retention
    reason = f"durability: the batch broke down: {broken.failure}"
    assert results.directory.trial_record(name).reason == reason

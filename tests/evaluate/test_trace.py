"""Tracing: one state at a time against a pass of its own, and places that carry nothing."""

from dataclasses import replace

import polars as pl
import pytest
import torch

from behemoth import Corpus, World
from behemoth.edit.locate.sites import Places
from behemoth.edit.registry import get_method
from behemoth.edit.traced import TraceRecord
from behemoth.evaluate.trace import KINDS, ROLES, trace, trace_model
from behemoth.evaluate.trace_noise import fact_noise
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.generation import generate

SAMPLES = 3


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(subjects=40, relations=2, objects=12, seed=5), exposures=4, base=10)


@pytest.fixture
def model(corpus, random_model):
    return random_model(corpus.vocabulary_size).double()


def known_plan(corpus, model, edits=4, *, cut=False):
    """Edits of facts that the model knows: what it says is taken for the truth.

    Prompts end with their subjects if `cut`, as those of some templates do.
    """
    bare = {"repeats": 1, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 0}
    plan = compile_plan(corpus, EditRequest(edits=edits, **bare))
    rows, ends = plan.training, [end for _, end in Places(corpus).spans(plan.training)]
    if cut:
        rows = rows.with_columns(pl.col("prompt").list.head(pl.lit(pl.Series(ends))))
    said = generate(model, rows["prompt"].to_list(), most=2, stop=())
    answers = pl.Series("old_answer", said, dtype=pl.List(pl.UInt32))
    return replace(plan, training=rows.with_columns(answers))


def output(model, kind, layer):
    block = model.gpt_neox.layers[layer]
    return {
        "block": block,
        "mlp": block.mlp.dense_4h_to_h,
        "attention": block.attention.dense,
    }[kind]


def alone(model, row, span, noise, restored=None):
    """The probability of the answer in one pass of one row, with noise and a state given back."""
    text = torch.tensor([[*row["prompt"], *row["old_answer"][:-1]]])
    kept, handles = {}, []

    def keep(_, __, out):
        kept["clean"] = (out[0] if isinstance(out, tuple) else out).clone()

    def restore(_, __, out):
        whole = out[0] if isinstance(out, tuple) else out
        whole[0, place] = kept["clean"][0, place]

    def disturb(_, __, out):
        out[0, span[0] : span[1]] += noise

    with torch.no_grad():
        if restored is not None:
            kind, layer, place = restored
            handle = output(model, kind, layer).register_forward_hook(keep)
            model(input_ids=text)
            handle.remove()
            handles.append(output(model, kind, layer).register_forward_hook(restore))
        if noise is not None:
            handles.append(model.gpt_neox.embed_in.register_forward_hook(disturb))
        scores = model(input_ids=text).logits[0].log_softmax(-1)
    for handle in handles:
        handle.remove()
    start = len(row["prompt"]) - 1
    own = [scores[start + i, token] for i, token in enumerate(row["old_answer"])]
    return float(torch.stack(own).sum().exp())


def test_every_state_equals_a_pass_of_its_own(corpus, model):
    plan = known_plan(corpus, model)
    found = trace_model(model, corpus, plan, samples=SAMPLES, seed=4)
    assert found.unknown == 0
    assert set(found.facts["kind"]) == set(KINDS)
    # "subject", two tokens of the name, "has", "the", "relation", ...: roles from ids.
    first = {row["first"]: row["first"] + row["count"] for row in corpus.vocabulary["ranges"]
             if row["kind"] == "subject"}  # fmt: skip
    rows = {row["edit"]: row for row in plan.training.iter_rows(named=True)}
    for edit, row in rows.items():
        places = [
            place for place, token in enumerate(row["prompt"])
            if any(low <= token < high for low, high in first.items())
        ]  # fmt: skip
        span = places[0], places[-1] + 1
        assert span[1] - span[0] == 2
        generator = torch.Generator().manual_seed(4 * 1_000_003 + row["fact"])
        noise = found.noise * torch.randn(SAMPLES, 2, 32, generator=generator)
        own = found.facts.filter(pl.col("edit") == edit)
        assert own["clean"][0] == pytest.approx(alone(model, row, span, None), 1e-9)
        corrupted = sum(alone(model, row, span, one) for one in noise) / SAMPLES
        assert own["corrupted"][0] == pytest.approx(corrupted, 1e-6)
        groups = {
            "subject_first": [span[0]],
            "subject_last": [span[1] - 1],
            "between": list(range(span[1], len(row["prompt"]) - 1)),
            "prompt_last": [len(row["prompt"]) - 1],
        }
        assert set(own["role"]) == set(groups)
        for state in own.iter_rows(named=True):
            wanted = [
                alone(model, row, span, one, (state["kind"], state["layer"], place))
                for one in noise
                for place in groups[state["role"]]
            ]
            assert state["tokens"] == len(groups[state["role"]])
            assert state["restored"] == pytest.approx(sum(wanted) / len(wanted), 1e-6)
            effect = state["restored"] - state["corrupted"]
            assert state["indirect_effect"] == pytest.approx(effect, abs=1e-12)


def test_the_noise_is_in_deviations_of_the_embeddings_of_subjects(corpus, model):
    plan = known_plan(corpus, model)
    found = trace_model(model, corpus, plan, samples=1, noise=2.0)
    ids = [
        token
        for prompt in plan.training["prompt"].to_list()
        for token in prompt
        if corpus.token_names[token].startswith("S")
    ]
    deviation = float(model.gpt_neox.embed_in.weight[torch.tensor(ids)].detach().float().std())
    assert found.noise == pytest.approx(2 * deviation)


def test_what_the_last_block_gives_back(corpus, model):
    plan = known_plan(corpus, model)
    first = plan.training.with_columns(pl.col("old_answer").list.head(1))
    found = trace_model(model, corpus, replace(plan, training=first), samples=2)
    last = found.facts.filter((pl.col("kind") == "block") & (pl.col("layer") == 1))
    # An answer of one token is read at the prompt's last one, and there alone.
    whole = last.filter(pl.col("role") == "prompt_last")
    others = last.filter(pl.col("role") != "prompt_last")
    assert whole["restored"].to_list() == pytest.approx(whole["clean"].to_list(), 1e-9)
    assert (whole["indirect_effect"].abs() > 1e-6).all()
    assert (others["indirect_effect"].abs() < 1e-9).all()


def test_an_mlp_that_adds_nothing_carries_nothing(corpus, model):
    with torch.no_grad():
        model.gpt_neox.layers[0].mlp.dense_4h_to_h.weight.zero_()
    found = trace_model(model, corpus, known_plan(corpus, model), samples=2)
    mlp = found.facts.filter(pl.col("kind") == "mlp")
    assert (mlp.filter(pl.col("layer") == 0)["indirect_effect"].abs() < 1e-9).all()
    assert mlp.filter(pl.col("layer") == 1)["indirect_effect"].abs().max() > 1e-6


@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_a_window_gives_back_the_layers_around_it(corpus, model, kind):
    """Where layer 0 adds nothing, what comes back with both layers is that of layer 1."""
    with torch.no_grad():
        output(model, kind, 0).weight.zero_()
    plan = known_plan(corpus, model, 2)
    narrow, two, three = (
        trace_model(model, corpus, plan, samples=2, window=window).facts for window in (1, 2, 3)
    )

    def effects(facts, kind, layer):
        return facts.filter(kind=kind, layer=layer)["indirect_effect"].to_list()

    own = effects(narrow, kind, 1)
    assert max(map(abs, own)) > 1e-6
    assert max(map(abs, effects(narrow, kind, 0))) < 1e-9
    # A window of 2 ends with the named layer, and one of 3 has the named layer in its middle.
    assert effects(two, kind, 1) == pytest.approx(own, abs=1e-9)
    assert max(map(abs, effects(two, kind, 0))) < 1e-9
    for layer in (0, 1):
        assert effects(three, kind, layer) == pytest.approx(own, abs=1e-9)
    for layer in (0, 1):  # blocks are given back one at a time
        wanted = effects(narrow, "block", layer)
        assert effects(three, "block", layer) == pytest.approx(wanted, abs=1e-9)


def test_summary_and_places(corpus, model):
    found = trace_model(model, corpus, known_plan(corpus, model, 6), samples=2)
    for row in found.summary.iter_rows(named=True):
        own = found.facts.filter(
            (pl.col("kind") == row["kind"])
            & (pl.col("layer") == row["layer"])
            & (pl.col("role") == row["role"])
        )["indirect_effect"]
        assert row["indirect_effect"] == pytest.approx(own.mean())
        if row["low"] is not None:  # null if all facts agree
            assert own.min() - 1e-12 <= row["low"] <= row["indirect_effect"] <= row["high"]
    assert found.summary["low"].is_not_null().any()
    assert set(found.summary["role"]) <= set(ROLES)
    by_token = {place.token: place for place in found.places}
    assert set(by_token) == {"subject", "prompt"}
    assert by_token["subject"].layer == 0  # of two layers nothing reads the last one there
    mlp = found.summary.filter((pl.col("kind") == "mlp") & (pl.col("role") == "prompt_last"))
    assert by_token["prompt"].effect == mlp["indirect_effect"].max()
    assert found.places[0].effect >= found.places[1].effect
    method = get_method("rome", by_token["subject"].settings)
    assert (method.token, method.layers) == ("subject", (0,))


def test_a_subject_that_ends_the_prompt_is_traced_as_its_last_token(corpus, model):
    """There the last layer decides the answer, which it does not where more tokens follow."""
    found = trace_model(model, corpus, known_plan(corpus, model, cut=True), samples=2)
    assert set(found.facts["role"]) == {"subject_first", "prompt_last"}
    [place] = found.places
    mlp = found.summary.filter(kind="mlp", role="prompt_last")
    assert (place.token, place.effect) == ("prompt", mlp["indirect_effect"].max())
    assert mlp["layer"].to_list() == [0, 1]
    assert "token='prompt'" in repr(found)


def test_a_single_fact_has_no_interval(corpus, model, tmp_path):
    found = trace_model(model, corpus, known_plan(corpus, model, 1), samples=2)
    assert found.summary["facts"].unique().to_list() == [1]
    assert found.summary.select("low", "high").null_count().row(0) == (found.summary.height,) * 2
    assert {(place.low, place.high) for place in found.places} == {(None, None)}
    record = TraceRecord("hash", 1, 2, 3.0, 1, 0, tuple(found.places))
    record.write(tmp_path)
    assert TraceRecord.read(tmp_path) == record


def test_the_same_seed_the_same_numbers_and_the_model_as_it_was(corpus, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan = known_plan(corpus, model)
    first, again, other = (
        trace_model(model, corpus, plan, samples=2, seed=seed).facts for seed in (1, 1, 2)
    )
    assert first["restored"].to_list() == pytest.approx(again["restored"].to_list(), 1e-9)
    assert first["restored"].to_list() != pytest.approx(other["restored"].to_list(), 1e-3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_noise_of_every_fact_and_seed_is_its_own():
    step = 1_000_003
    pairs = [(0, 5), (1, 5), (2**62, 5), (0, step - 1), (0, step), (1, 0), (0, 2 * step), (1, step),
             (2, 0), (0, step + 5), (0, 2**32 + 5), (1, 2**32 + 5)]  # fmt: skip
    found = {tuple(fact_noise((2, 3), *pair).flatten().tolist()) for pair in pairs}
    assert len(found) == len(pairs)
    assert fact_noise((2, 3), 0, step).equal(fact_noise((2, 3), 0, step))
    # Results of earlier versions stay.
    for seed, fact in ((0, 5), (7, step - 1)):
        generator = torch.Generator().manual_seed(seed * step + fact)
        assert fact_noise((2, 3), seed, fact).equal(torch.randn(2, 3, generator=generator))


def test_facts_that_the_model_does_not_know_are_left_out(corpus, model):
    plan = known_plan(corpus, model)
    wrong = plan.training["old_answer"].list.eval((pl.element() + 1) % corpus.vocabulary_size)
    half = pl.int_range(pl.len()) < 2
    mixed = plan.training.with_columns(
        old_answer=pl.when(half).then(plan.training["old_answer"]).otherwise(wrong)
    )
    assert trace_model(model, corpus, replace(plan, training=mixed), samples=1).unknown == 2
    none = replace(plan, training=plan.training.with_columns(old_answer=wrong))
    with pytest.raises(ValueError, match="none of which the model knows"):
        trace_model(model, corpus, none, samples=1)


@pytest.mark.parametrize(
    ("name", "value"), [("samples", 0), ("window", 0), ("noise", 0.0), ("seed", -1)]
)
def test_refuses_settings_out_of_range(corpus, model, name, value):
    with pytest.raises(ValueError, match=f"argument '{name}'"):
        trace_model(model, corpus, known_plan(corpus, model), **{name: value})


def test_a_directory_that_holds_something_is_refused(trained, tmp_path):
    (tmp_path / "mine").write_text("")
    said = r"which holds something else \(mine\), allowed: a new or empty directory"
    with pytest.raises(ValueError, match=said):
        trace(trained, tmp_path, out=tmp_path, force=True)


def test_settings_are_refused_before_the_model_is_loaded(tmp_path):
    for noise in (float("inf"), float("nan"), "x", True):
        with pytest.raises(ValueError, match=r"'noise': got .*, allowed: a finite number"):
            trace(tmp_path / "nowhere", tmp_path, noise=noise)

"""UltraEdit against its paper's equations, token by token in float64."""

import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, World
from behemoth.edit.cost import edit_cost
from behemoth.edit.memory_budget import edit_bytes
from behemoth.edit.methods import ultraedit
from behemoth.edit.methods.ultraedit import Statistics, UltraEdit, _imagined, ridge_step
from behemoth.edit.protocol import EditContext
from behemoth.model.build import build_model
from behemoth.model.labels import IGNORED
from behemoth.model.sizes import find_size
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture
def model(network):
    return network.double()


def test_statistics_joined_are_those_of_all():
    values = torch.randn(17, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = [Statistics.of(part) for part in values.split([1, 6, 10])]
    joined = parts[0].joined(parts[1]).joined(parts[2])
    torch.testing.assert_close(joined.mean, values.mean(0))
    torch.testing.assert_close(joined.deviations / 17, values.var(0, correction=0))
    normal = joined.normalised(values, [3, 2], values.dtype)
    torch.testing.assert_close(normal.std(0, correction=0), torch.ones(5, dtype=torch.float64))


def test_the_step_solves_the_normal_equations():
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    gradients = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    seen = Statistics.of(torch.cat([inputs, gradients], 1))
    normal = (torch.cat([inputs, gradients], 1) - seen.mean) / (seen.deviations / 4).sqrt()
    wanted = -0.3 * normal[:, :7].square().sum(1, keepdim=True) * normal[:, 7:]
    ridged = inputs.T @ inputs + 2.0 * torch.eye(7, dtype=torch.float64)
    found = ridge_step(inputs, gradients, seen, 0.3, 2.0, torch.float64).to_dense()
    torch.testing.assert_close(found, (torch.linalg.inv(ridged) @ inputs.T @ wanted).T)


def test_the_change_is_that_of_features_taken_one_sentence_at_a_time(model, compiled, small_corpus):
    plan = compiled(3)
    method = UltraEdit(layers=(1,), learning_rate=0.01)
    [delta] = method.apply(model, [plan], EditContext(small_corpus))
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h"
    assert set(delta.changes) == {f"{name}.weight", "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"}
    module = model.get_submodule(name)
    inputs, gradients = [], []
    for row in plan.training.filter(role="edit").iter_rows(named=True):
        seen = {}

        def keep(_, given, output, seen=seen):
            output.retain_grad()
            seen.update(given=given[0], output=output)

        handle = module.register_forward_hook(keep)
        tokens = row["prompt"] + row["answer"]
        scores = model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
        handle.remove()
        places = range(len(row["prompt"]) - 1, len(tokens) - 1)
        loss = -sum(scores[place, tokens[place + 1]] for place in places) / len(places)
        loss.backward()
        inputs.append(seen["given"][0, list(places)].detach())
        gradients.append(seen["output"].grad[0, list(places)])
    inputs, gradients = torch.cat(inputs), torch.cat(gradients)
    features = torch.cat([inputs, gradients], 1)
    seen = Statistics.of(features)
    wanted = ridge_step(inputs, gradients, seen, 0.01, 1.0, torch.float64).to_dense()
    assert wanted.norm() > 1e-6
    torch.testing.assert_close(delta.changes[f"{name}.weight"].to_dense(), wanted)


def test_a_step_raises_the_new_answers(model, compiled, small_corpus):
    plan = compiled(2)
    [delta] = UltraEdit(learning_rate=1e-3).apply(model, [plan], EditContext(small_corpus))

    def score():
        total = 0.0
        for row in plan.training.filter(role="edit").iter_rows(named=True):
            tokens, start = row["prompt"] + row["answer"], len(row["prompt"])
            with torch.no_grad():
                scores = model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
            total += sum(float(scores[i - 1, tokens[i]]) for i in range(start, len(tokens)))
        return total

    before = score()
    with delta.apply(model):
        assert score() > before


def test_an_edit_that_breaks_down_leaves_the_statistics_as_they_were(
    model, compiled, small_corpus, monkeypatch
):
    first, second = compiled(2, seed=1).singles()
    edit = UltraEdit(layers=(1,)).in_sequence(model, EditContext(small_corpus))
    assert edit(first).failure is None
    before = dict(edit.seen)
    features = ultraedit._features

    def broken(*given):
        return {name: (inputs * torch.nan, gradients)
                for name, (inputs, gradients) in features(*given).items()}  # fmt: skip

    monkeypatch.setattr(ultraedit, "_features", broken)
    assert "no finite solution" in edit(second).failure
    assert edit.seen == before
    monkeypatch.setattr(ultraedit, "_features", features)
    assert edit(second).failure is None and edit.seen != before


@pytest.mark.parametrize("sequential", [False, True])
def test_rounding_of_another_pass_is_no_variation(contract_corpus, monkeypatch, sequential):
    """In layer 0 the MLP sees the last token alone, beside attention, which is always the same."""
    model = build_model(find_size("pico"), contract_corpus.vocabulary_size, seed=0)
    plans = compile_plan(contract_corpus, EditRequest(edits=3, seed=1)).singles()
    features, generator = ultraedit._features, torch.Generator().manual_seed(1)

    def rounded(*given):
        # As if the kernels of a pass with another number of rows had computed them.
        return {
            name: tuple(
                part * (1 + 1e-6 * torch.randn(part.shape[1], generator=generator).double())
                for part in pair
            )
            for name, pair in features(*given).items()
        }

    monkeypatch.setattr(ultraedit, "_features", rounded)
    method, context = UltraEdit(), EditContext(contract_corpus)
    if sequential:
        deltas = list(map(method.in_sequence(model, context), plans))
    else:
        deltas = method.apply(model, plans, context)
    for delta in deltas:
        for name, change in delta.changes.items():
            assert bool(change.to_dense().any()) == (".layers.1." in name), name


def test_what_varies_is_normalised_to_the_same_bits_and_constants_are_0():
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(20, 600, generator=generator, dtype=torch.float64)
    noise = 1e-6 * torch.randn(20, 600, generator=generator, dtype=torch.float64)
    values[:, :300] *= 1e-3  # the second vector is a thousand times as long
    constant = torch.arange(600) % 3 == 0
    values[:, constant] = values[0, constant] * torch.logspace(-6, 0, 200).double()
    values[:10] += noise[:10] * torch.tensor([1e-3, 1.0]).double().repeat_interleave(300)
    seen = Statistics.of(values[:7]).joined(Statistics.of(values[7:]))
    found = seen.normalised(values, [300, 300], torch.float32)
    wanted = (values - seen.mean) / ((seen.deviations / 20).sqrt() + 1e-8)
    assert torch.equal(found[:, ~constant], wanted[:, ~constant])
    assert wanted[:, constant].abs().max() > 0.5 and not found[:, constant].any()
    # In float64 these are differences.
    assert torch.equal(seen.normalised(values, [300, 300], torch.float64), wanted)


@pytest.mark.parametrize("settings", [{"learning_rate": 0.0}, {"ridge": 0.0}, {"imagined": 1}])
def test_bad_settings(settings):
    [name] = settings
    with pytest.raises(ArgumentError, match=f"argument '{name}'"):
        UltraEdit(**settings)


def test_statistics_begin_with_rows_of_several_answers_and_an_edit_without_any_fails():
    corpus = Corpus(World(subjects=2000, relations=3, objects=8), exposures=1)
    plan = compile_plan(corpus, EditRequest(edits=1, relation=2))
    listed = plan.training.filter(pl.col("role") != "edit")["answer"].head(64)
    assert listed.n_unique() == 1, "those with the edit's old object come first"
    imagined, again, other = (_imagined(plan, 64, seed=seed) for seed in (0, 0, 1))
    assert len(imagined) > 32
    assert torch.equal(imagined.tokens, again.tokens)
    assert {*map(tuple, other.tokens.tolist())} != {*map(tuple, imagined.tokens.tolist())}
    answers = {tuple(row[row != IGNORED].tolist()) for row in imagined.labels}
    assert len(answers) > 2
    other = build_model(find_size("pico"), corpus.vocabulary_size, seed=0)
    [delta] = UltraEdit().apply(other, [plan], EditContext(corpus))
    assert delta.failure is None
    moved = {name for name, change in delta.changes.items() if change.to_dense().any()}
    assert {name for name in delta.changes if ".layers.1." in name} == moved
    few = {"repeats": 1, "same_object": 0, "new_object": 0, "same_relation": 0, "regular": 0}
    bare = compile_plan(corpus, EditRequest(edits=1, relation=2, probes=0, **few))
    [nothing] = UltraEdit().apply(other, [bare], EditContext(corpus))
    assert nothing.failure == "statistics of features that never varied" and not nothing.changes


def test_logits_are_computed_where_answers_are_predicted_only():
    corpus = Corpus(World(subjects=200, relations=2, objects=20, seed=5), exposures=4, base=10)
    model = build_model(find_size("pico"), 20_000)
    request = EditRequest(edits=60, distinct=False, repeats=1, same_object=1, regular=1, probes=0)
    plan, context = compile_plan(corpus, request), EditContext(corpus)
    cost = edit_cost(UltraEdit(), model, [plan], context)
    assert cost is not None and cost.memory < edit_bytes(UltraEdit(), model, [plan], context)
    words = int(plan.training.filter(role="edit")["answer"].list.len().sum()) + 64 * 2
    assert cost.memory < 4 * 4 * words * 20_000  # not at every token of the sentences

"""MEND: its networks token by token, and that no fact of a half teaches its own editors."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Corpus, World
from behemoth.edit.batch import edit_rows_of
from behemoth.edit.meta import training
from behemoth.edit.meta.factors import contributing, factors_of
from behemoth.edit.meta.network import Editor, changes_of
from behemoth.edit.meta.training import halves
from behemoth.edit.methods.mend import Mend
from behemoth.edit.protocol import EditContext
from behemoth.model.labels import IGNORED
from behemoth.plan.together import affected

NAMES = ["gpt_neox.layers.1.mlp.dense_h_to_4h", "gpt_neox.layers.2.mlp.dense_4h_to_h"]
QUICK = {"layers": (1,), "facts": 12, "training_steps": 3, "training_batch": 4, "rank": 5}


@pytest.fixture
def model(network):
    return network.double()


def drawn(width, seed=0, rank=5):
    """An editor that is not the identity."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Editor(
        draw(width), draw(width).abs() + 0.1, draw(rank, width), draw(width, rank), draw(width),
        draw(rank, width), draw(width, rank), draw(width), torch.tensor(-3.0).double(),
    )  # fmt: skip


def test_factors_are_those_of_each_row_and_their_products_its_gradient(model, compiled):
    rows = edit_rows_of(compiled(3, seed=1), "answer")
    found = factors_of(model, rows.tokens, rows.labels, NAMES)
    for row in range(len(rows)):
        labels = rows.labels[row, 1:]
        logits = model(input_ids=rows.tokens[row : row + 1]).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED)
        for name in NAMES:
            weight = model.get_parameter(f"{name}.weight")
            [wanted] = torch.autograd.grad(loss, [weight], retain_graph=True)
            inputs, gradients = (part[row] for part in found[name])
            torch.testing.assert_close(gradients.T @ inputs, wanted)


def test_an_update_is_that_of_its_paper_a_token_at_a_time(model, compiled):
    """Equation 3 of Mitchell et al. with one vector, and the sum over tokens that follows it."""
    rows = edit_rows_of(compiled(2, seed=1), "answer")
    found = factors_of(model, rows.tokens, rows.labels, NAMES)
    editors = {name: drawn(sum(part.shape[-1] for part in found[name])) for name in NAMES}
    shares = torch.linspace(0.3, 1.0, len(rows)).double()
    made = changes_of(editors, found, shares)
    for name in NAMES:
        own, (inputs, gradients) = editors[name], found[name]
        out, width = gradients.shape[-1], inputs.shape[-1]
        wanted = torch.zeros(out, width, dtype=torch.float64)
        for row in range(len(rows)):
            for u, delta in zip(inputs[row], gradients[row], strict=True):
                if not bool((delta != 0).any()):
                    continue
                z = (torch.cat([u, delta]) - own.mean) / (own.spread + 1e-7)
                hidden = own.first_out @ (own.first_in @ z) + own.first_bias
                h = z + hidden.clamp_min(0)
                g = h + own.second_out @ (own.second_in @ h) + own.second_bias
                wanted -= shares[row] * own.rate.exp() * torch.outer(g[width:], g[:width])
        torch.testing.assert_close(made[name].to_dense(), wanted)


def test_an_editor_begins_as_the_identity_of_normalised_features():
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)).double() * 3 + 1
    editor = Editor.begin(features, 4, 0.01, torch.Generator().manual_seed(2))
    normal = (features - features.mean(0)) / features.std(0)
    torch.testing.assert_close(editor(features), normal, rtol=1e-5, atol=1e-6)
    assert float(editor.rate.exp()) == pytest.approx(0.01)


def test_halves_are_of_about_equal_size_and_say_nothing_else():
    facts = np.arange(10_000, dtype=np.uint64)
    found = halves(facts)
    assert set(found.tolist()) == {0, 1} and abs(found.mean() - 0.5) < 0.02
    assert (halves(facts[5_000:]) == found[5_000:]).all()
    for relations in range(1, 101):  # the facts of a relation are so far apart
        found = halves(np.arange(400, dtype=np.uint64) * np.uint64(relations))
        ends = np.flatnonzero(np.diff(found, prepend=2, append=2))
        assert abs(found.mean() - 0.5) < 0.15 and np.diff(ends).max() < 25


def test_an_edit_is_made_by_editors_that_saw_the_other_half(
    model, compiled, small_corpus, monkeypatch
):
    facts_of = {}
    plan_of = training._training_plan

    def seen(corpus, half, settings):
        plan = plan_of(corpus, half, settings)
        facts_of[half] = plan.edits["fact"].to_list()
        return plan

    monkeypatch.setattr(training, "_training_plan", seen)
    plans = compiled(4, seed=1).singles()
    method, context = Mend(**QUICK), EditContext(small_corpus)
    method.apply(model, plans[:1], context)
    [half] = facts_of
    assert (halves(np.array(facts_of[half], np.uint64)) == half).all()
    assert halves(plans[0].edits["fact"].to_numpy())[0] == 1 - half


def trainer_of(model, corpus, settings):
    """The training of the editors of half 0."""
    settings = Mend(**QUICK | settings).training_settings(0, edits=1)
    plan = training._training_plan(corpus, 0, settings)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    like = torch.empty(0, dtype=torch.float64)
    return training._Trainer(model, NAMES, plan, affected(plan, corpus), 0, settings, like)


@pytest.mark.parametrize("together", [1, 2, 3, 7])
def test_the_loss_is_that_of_models_with_the_updates_in(model, small_corpus, together):
    """One group of edits after the other, each in a model of its own, the whole of it.

    A group retains no fact that one of its edits changes.
    """
    settings = {"together": together, "training_batch": 7, "edited": 1.7}
    one = trainer_of(model, small_corpus, settings)
    assert one.size == 7 // together * together
    factors = {name: found[0].shape[-1] + found[1].shape[-1] for name, found in one.factors.items()}
    editors = {name: drawn(width, seed) for seed, (name, width) in enumerate(factors.items())}
    chosen = torch.randperm(12, generator=torch.Generator().manual_seed(5))[: one.size]
    plain = {name: parameter.clone() for name, parameter in model.named_parameters()}
    nll, divergence, contrary = [], [], 0
    plans = training._training_plan(small_corpus, 0, one.settings).singles()
    for start in range(0, one.size, together):
        group = chosen[start : start + together]
        tokens, labels = one.tokens_kbt[group].flatten(0, 1), one.labels_kbt[group].clone()
        changed = {plans[edit].edits["fact"].item() for edit in group}
        for row, edit in enumerate(group):
            facts = training._retained(plans[edit], 0, one.settings.retained)["fact"]
            for place, fact in enumerate(facts, one.answering):
                if fact in changed:
                    labels[row, place] = IGNORED
                    contrary += 1
        labels = labels.flatten(0, 1)
        rows, columns = torch.nonzero(labels != IGNORED, as_tuple=True)
        before = model(input_ids=tokens).logits.log_softmax(-1)[rows, columns - 1]
        first = one.tokens_kbt[group, 0], one.labels_kbt[group, 0]
        made = changes_of(editors, factors_of(model, *first, NAMES), torch.ones(together).double())
        changed = {f"{name}.weight": plain[f"{name}.weight"] + change.to_dense()
                   for name, change in made.items()}  # fmt: skip
        logits = torch.func.functional_call(model, changed, (), {"input_ids": tokens}).logits
        after = logits.log_softmax(-1)[rows, columns - 1]
        is_edit = rows % one.tokens_kbt.shape[1] < one.answering
        nll += (-after[is_edit].gather(1, labels[rows, columns][is_edit, None])).flatten().tolist()
        divergence += (before.exp() * (before - after)).sum(1)[~is_edit].tolist()
    assert contrary or together < 7
    wanted = one.settings.edited * np.mean(nll) + np.mean(divergence)
    assert float(one._loss(editors, chosen)) == pytest.approx(wanted, rel=1e-9)


def test_updates_of_many_tokens_are_summed_to_dense_changes(model, small_corpus):
    """Factors of a higher rank than the weight's would take longer than its own product."""
    one = trainer_of(model, small_corpus, {"training_batch": 6, "together": 6})
    draw, straight = torch.Generator().manual_seed(1), one.architecture
    for tokens, factored in ((1, True), (9, False)):
        one.architecture = straight
        left = torch.randn(6, 20, tokens, generator=draw)
        right = torch.randn(6, tokens, 30, generator=draw)
        wanted = (left @ right).sum(0)
        made = one._summed(left, right)
        assert len(made) == (2 if factored else 1)
        torch.testing.assert_close((made[0] @ made[1] if factored else made[0])[0], wanted)
        one.architecture = SimpleNamespace(transposed=True)
        made = one._summed(left, right)
        torch.testing.assert_close((made[0] @ made[1] if factored else made[0])[0], wanted.T)


def test_tokens_without_a_gradient_are_left_out():
    draw = torch.Generator().manual_seed(1)
    inputs, gradients = (torch.randn(3, 5, width, generator=draw) for width in (4, 2))
    gradients[0, [0, 2, 4]] = 0
    gradients[1, 1:] = 0
    gradients[2] = 0
    kept_inputs, kept = contributing(inputs, gradients)
    assert kept.shape == (3, 2, 2) and kept_inputs.shape == (3, 2, 4)
    assert torch.equal(kept[0], gradients[0, [1, 3]])
    assert torch.equal(kept_inputs[0], inputs[0, [1, 3]])
    assert torch.equal(kept[1], torch.stack([gradients[1, 0], torch.zeros(2)]))
    assert not kept[2].any() and not kept_inputs[2].any()
    torch.testing.assert_close(kept.mT @ kept_inputs, gradients.mT @ inputs)


def test_training_makes_the_loss_smaller(model, small_corpus):
    from behemoth.support.progress import silent

    losses = []
    settings = {"training_steps": 60, "learning_rate": 0.01, "edited": 1.0, "together": 2}
    one = trainer_of(model, small_corpus, settings)
    loss = one._loss
    one._loss = lambda *given: losses.append(loss(*given)) or losses[-1]
    editors = one.train(silent)
    for editor in editors.values():  # both of its layers, the first of which begins at relu(0)
        assert editor.first_out.norm() > 0.01 and editor.second_out.norm() > 0.01
    losses = [float(value.detach()) for value in losses]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


@pytest.mark.exact
def test_networks_are_kept_by_the_model_and_give_the_same_bits(
    model, compiled, small_corpus, tmp_path, monkeypatch, never
):
    plans = compiled(4, seed=1).singles()
    method, context = Mend(**QUICK), EditContext(small_corpus, cache=tmp_path)
    first = method.apply(model, plans, context)
    files = sorted((tmp_path / "mend").iterdir())
    assert 1 <= len(files) <= 2
    files[0].with_name(f".{files[0].name}.abcdefgh.tmp").mkdir()  # of one that was killed
    monkeypatch.setattr(training, "_training_plan", never)
    for one, other in zip(first, method.apply(model, plans, context), strict=True):
        for name, change in one.changes.items():
            assert torch.equal(change.to_dense(), other.changes[name].to_dense())
    assert sorted((tmp_path / "mend").iterdir()) == files
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    with pytest.raises(pytest.fail.Exception):
        method.apply(model, plans, context)  # another model: it is trained again


def test_a_batch_is_the_sum_of_its_edits(model, compiled, small_corpus, tmp_path):
    plan = compiled(4, seed=1)
    method, context = Mend(**QUICK, together=1), EditContext(small_corpus, cache=tmp_path)
    [whole] = method.apply(model, [plan], context)
    parts = method.apply(model, plan.singles(), context)
    for name, change in whole.changes.items():
        wanted = sum(part.changes[name].to_dense() for part in parts)
        torch.testing.assert_close(change.to_dense(), wanted)


def test_an_edit_in_several_rows_is_their_mean(model, compiled, small_corpus, tmp_path):
    """Its rows twice over are no larger edit, as those of a plan in many wordings would be."""
    plan = compiled(2, seed=1)
    own = plan.training.filter(role="edit")
    twice = replace(plan, training=pl.concat([plan.training, own, own]))
    method, context = Mend(**QUICK), EditContext(small_corpus, cache=tmp_path)
    [once], [often] = (method.apply(model, [each], context) for each in (plan, twice))
    for name, change in once.changes.items():
        assert change.to_dense().norm() > 0
        torch.testing.assert_close(often.changes[name].to_dense(), change.to_dense())


def test_no_fact_of_the_other_half_is_trained_on_or_held(small_corpus):
    settings = Mend(**QUICK).training_settings(0, edits=1)
    for half in (0, 1):
        for plan in training._training_plan(small_corpus, half, settings).singles():
            taken = training._retained(plan, half, 8)
            assert 0 < taken.height <= 8 and "edit" not in taken["role"]
            assert (halves(taken["fact"].to_numpy()) == half).all()
            assert (halves(plan.edits["fact"].to_numpy()) == half).all()


@pytest.mark.parametrize(("rephrased", "found"), [(0, 0), (1, 1), (2, 2), (5, 2)])
def test_new_answers_count_in_other_written_wordings(rephrased, found):
    corpus = Corpus(World(40, 2, 12, seed=5), exposures=4, paraphrases=4, held_out=1, base=60)
    settings = Mend(**QUICK, rephrased=rephrased).training_settings(0, edits=1)
    plans = training._training_plan(corpus, 0, settings).singles()
    *grid, facts = training._grid(plans, 0, settings, torch.Generator().manual_seed(1))
    answering = 1 + found
    assert answering == grid[0].shape[1] - facts.shape[1]
    second = set()
    for plan, tokens, labels in zip(plans, *grid, strict=True):
        asked = corpus.probes(plan.edits["fact"].to_numpy(), ["default"]).filter(
            ~pl.col("held_out")
        )
        answer = plan.training.filter(role="edit")["answer"][0].to_list()
        written = [(*prompt, *answer) for prompt in asked["prompt"].to_list()]
        said = [
            tuple(row[: 1 + int((own != IGNORED).nonzero().max())].tolist())
            for row, own in zip(tokens[:answering], labels[:answering], strict=True)
        ]
        assert said[0] == written[0] and len(set(said)) == len(said) == 1 + found
        assert set(said) <= set(written)
        second |= {written.index(sentence) for sentence in said[1:2]}
        assert bool((labels[answering:] != IGNORED).any()), "retained rows are behind them"
    assert len(second) == (2 if found else 0), "not the same wording of every fact"


def test_the_seed_of_training_says_what_is_trained_on(small_corpus):
    trained_on = [
        training._training_plan(small_corpus, 0, settings).edits["fact"].to_list()
        for settings in (Mend(**QUICK).training_settings(seed, edits=1) for seed in (0, 0, 1))
    ]
    assert trained_on[0] == trained_on[1] and set(trained_on[0]) != set(trained_on[2])


def test_settings_that_differ_have_names_that_do():
    names = {Mend(learning_rate=1e-3 + step).training_settings(10_000_000 + seed, 1).name
             for step in (0, 1e-12) for seed in range(3)}  # fmt: skip
    assert len(names) == 6


def test_networks_are_trained_for_as_many_edits_as_a_plan_has(
    model, compiled, small_corpus, tmp_path
):
    plan = compiled(6, seed=1)
    method, context = Mend(**QUICK), EditContext(small_corpus, cache=tmp_path)
    assert method.training_settings(0, edits=1).together == 1
    assert method.training_settings(0, edits=6).together == QUICK["training_batch"]
    [whole] = method.apply(model, [plan], context)
    once = {file.name for file in (tmp_path / "mend").iterdir()}
    [apart] = method.apply(model, plan.singles()[:1], context)
    assert once < {file.name for file in (tmp_path / "mend").iterdir()}
    assert whole.changes.keys() == apart.changes.keys()


def test_progress_goes_on_to_the_last_plan(model, compiled, small_corpus):
    plans = compiled(4, seed=1).singles()
    told = []
    context = EditContext(small_corpus, progress=lambda done, total: told.append(done / total))
    Mend(**QUICK).apply(model, plans, context)
    assert told == sorted(told) and told.count(1.0) == 1
    assert told[-4:] == [0.625, 0.75, 0.875, 1.0], "of the edits"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "argument 'rank': got 0, allowed: at least 1"),
        ({"facts": 1}, "argument 'facts': got 1, allowed: at least 2"),
        ({"edit_rate": 0.0}, "argument 'edit_rate': got 0.0, allowed: above 0"),
        ({"together": 17}, "argument 'together': got 17, allowed: 1 to training_batch"),
        ({"rephrased": -1}, "argument 'rephrased': got -1, allowed: at least 0"),
        ({"layers": ()}, "argument 'layers': got none, allowed: at least one layer"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Mend(**settings)

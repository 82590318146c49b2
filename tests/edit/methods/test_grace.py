"""GRACE: its codebook against the published rules in plain Python, and what edits leave behind."""

import math
from contextlib import ExitStack

import pytest
import torch

from behemoth import ArgumentError
from behemoth.edit.memory.entries import Entries
from behemoth.edit.methods.grace import Grace, _Search
from behemoth.edit.protocol import EditContext, Lookahead, Stateful


@pytest.fixture
def model(network):
    return network.double()


class Published:
    """Algorithm 1 of the paper, over lists."""

    def __init__(self):
        self.book = []  # [key, radius, answer]

    def take(self, key, answer, epsilon):
        if not self.book:
            self.book.append([key, epsilon, answer])
            return
        distance, nearest = min((math.dist(key, entry[0]), n) for n, entry in enumerate(self.book))
        entry = self.book[nearest]
        if distance > epsilon + entry[1]:
            self.book.append([key, epsilon, answer])
        elif entry[2] == answer:
            entry[1] = max(entry[1], distance)
        else:
            entry[1] = distance / 2
            self.book.append([key, distance / 2, answer])


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 1.0])
def test_entries_follow_the_published_rules(epsilon):
    generator = torch.Generator().manual_seed(4)
    keys = torch.rand(60, 2, generator=generator, dtype=torch.float64)
    answers = torch.randint(0, 2, (60,), generator=generator).tolist()
    entries, published = Entries(), Published()
    for key, answer in zip(keys, answers, strict=True):
        entries.take(key, answer, torch.zeros(3), epsilon)
        published.take(key.tolist(), answer, epsilon)
    assert entries.answers == [entry[2] for entry in published.book]
    torch.testing.assert_close(entries.keys, torch.tensor([e[0] for e in published.book]).double())
    wanted = torch.tensor([entry[1] for entry in published.book]).double()
    torch.testing.assert_close(entries.radii, wanted, rtol=1e-4, atol=0)
    assert 2 < len(entries) < 60, "some keys join others"


def test_a_radius_that_was_widened_holds_the_key_it_was_widened_for():
    entries = Entries()
    first, second = torch.zeros(2).double(), torch.tensor([0.7, 0.4]).double()
    for key in (first, second):
        entries.take(key, 1, torch.zeros(3), 0.5)
    assert len(entries) == 1
    x, own = second[None], torch.ones(1, 3)
    assert torch.equal(entries.codebook().alone().respond(x, own), torch.zeros(1, 3))


def test_a_key_that_is_not_finite_is_near_to_nothing():
    entries = Entries()
    entries.take(torch.zeros(2).double(), 1, torch.zeros(3), 0.5)
    keys = torch.tensor([[math.nan, 0.0], [0.3, 0.4]]).double()
    [lost, near] = entries.nearest(keys)
    assert lost[1] == math.inf and near == (0, pytest.approx(0.5))


def test_the_same_prompt_again_gets_its_latest_answer():
    entries = Entries()
    key = torch.tensor([0.3, 0.4]).double()
    for answer in (1, 2):
        entries.take(key, answer, torch.zeros(3), 0.5)
    assert entries.answers == [2] and float(entries.radii) == 0.5


def losses_of(model, plan):
    """The loss of the answer of every row of an edit in a model, as written out."""
    losses = []
    for row in plan.training.filter(role="edit").iter_rows(named=True):
        tokens, start = row["prompt"] + row["answer"], len(row["prompt"])
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
        own = [-float(scores[place - 1, tokens[place]]) for place in range(start, len(tokens))]
        losses.append(sum(own) / len(own))
    return losses


def test_every_token_of_an_answer_is_moved_and_none_before_it(model, compiled, small_corpus):
    from behemoth.edit.batch import edit_rows_of
    from behemoth.model.labels import IGNORED

    plan = compiled(3, seed=1)
    method = Grace(layer=1, epsilon=1e-6, learning_rate=0.3, steps=30)
    [delta] = method.apply(model, [plan], EditContext(small_corpus))
    assert delta.trace[-1]["loss"] < delta.trace[0]["loss"] - 1
    rows = edit_rows_of(plan, "answer")
    with torch.no_grad():
        before = model(input_ids=rows.tokens).logits
        with delta.apply(model):
            logits = model(input_ids=rows.tokens).logits
    # Nothing moves before the token that asks, and every token of an answer has an entry.
    first = (rows.labels != IGNORED).int().argmax(1) - 1
    for row, place in enumerate(first.tolist()):
        torch.testing.assert_close(logits[row, :place], before[row, :place])
        assert not torch.allclose(logits[row, place], before[row, place])
    [memory] = delta.of_modules.values()
    answered = (rows.labels != IGNORED).sum()
    assert delta.of_parameters == {} and len(memory.radii) == answered


@pytest.mark.parametrize("epsilon", [1e-6, 0.05, 0.3, 0.6, 1.0, 2.0])
def test_the_loss_of_the_search_is_that_of_the_edited_model(model, compiled, small_corpus, epsilon):
    """At every step, also where entries that came later took tokens from a value."""
    context, plan = EditContext(small_corpus), compiled(8, seed=1)
    for steps in range(1, 5):
        method = Grace(layer=1, epsilon=epsilon, learning_rate=0.3, steps=steps)
        [delta] = method.apply(model, [plan], context)
        with delta.apply(model):
            wanted = losses_of(model, plan)
        assert delta.trace[-1]["step"] == steps
        assert delta.trace[-1]["loss"] == pytest.approx(sum(wanted) / len(wanted), rel=1e-9)
    [memory] = delta.of_modules.values()
    assert len(memory.radii) > 1


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("ahead", [False, True])
def test_so_it_is_after_the_edits_before_it(model, compiled, small_corpus, epsilon, ahead):
    context, method = EditContext(small_corpus), Grace(layer=1, epsilon=epsilon, steps=4)
    plans = compiled(8, seed=2).singles() + compiled(4, seed=3).singles()
    going = method.in_sequence(model, context)
    if ahead:
        going.look_ahead(plans, method.lookahead)
    with ExitStack() as applied:
        for plan in plans:
            delta = going(plan)
            applied.enter_context(delta.apply(model))
            wanted = losses_of(model, plan)
            assert delta.trace[-1]["loss"] == pytest.approx(sum(wanted) / len(wanted), rel=1e-9)


def test_every_token_of_an_answer_has_an_entry_where_it_is_decided(model, compiled, small_corpus):
    plan = compiled(2, seed=1)
    going = Grace(layer=1, epsilon=1e-6, steps=1).in_sequence(model, EditContext(small_corpus))
    going(plan)
    memory = going.memory()
    keys, said = [], []
    inputs = []
    handle = model.gpt_neox.layers[1].mlp.dense_4h_to_h.register_forward_pre_hook(
        lambda _, given: inputs.append(given[0][0])
    )
    for row in plan.training.filter(role="edit").unique("prompt").iter_rows(named=True):
        prompt, answer = row["prompt"], row["answer"]
        assert len(answer) > 1
        for place, token in enumerate(answer):
            with torch.no_grad():
                model(input_ids=torch.tensor([prompt + answer[:place]]))
            keys.append(inputs[-1][-1])
            said.append(token)
    handle.remove()
    distances = torch.cdist(torch.stack(keys), memory["keys"])
    nearest = distances.argmin(1)
    assert sorted(nearest.tolist()) == list(range(len(keys))), "one entry for each token"
    assert distances.amin(1).max() < 1e-6
    assert memory["answers"][nearest, 0].tolist() == said


def test_a_value_that_another_of_its_row_undoes_is_gone_on_with():
    search = object.__new__(_Search)
    search.method = Grace(steps=100, learning_rate=0.1, stop_loss=0.05)
    # The first is right while the second is nothing, and has to follow it.
    search._losses = lambda values: torch.stack([
        (values[0] - values[1]).square().sum(), (values[1] - 1).square().sum()
    ])  # fmt: skip
    search._by_entry = lambda losses: losses  # a row for each entry
    values, losses = search._adam(torch.zeros(2, 1), EditContext(corpus=None))
    assert losses[0].tolist() == [0.0, 1.0]
    assert float(losses[-1].max()) < 0.05 and float(values[0]) > 0.6


def test_a_memory_with_whole_answers_is_gone_on_with_by_their_first_tokens(model, small_corpus):
    going = Grace(layer=1).in_sequence(model, EditContext(small_corpus))
    keys, values = torch.eye(2, 24).double(), torch.zeros(2, 16).double()
    whole = torch.tensor([[7, 9, -1], [8, -1, -1]])
    going.restore({"keys": keys, "values": values, "radii": torch.ones(2), "answers": whole})
    assert going.memory()["answers"].tolist() == [[7], [8]]


@pytest.mark.exact
def test_a_sequence_keeps_earlier_entries_and_can_be_gone_on_with(model, compiled, small_corpus):
    context = EditContext(small_corpus)
    method = Grace(layer=1, epsilon=0.01, steps=5)
    plans = compiled(4, seed=2).singles()
    going = method.in_sequence(model, context)
    assert isinstance(going, Stateful) and going.memory() == {}
    deltas = [going(plan) for plan in plans]
    sizes = [len(next(iter(delta.of_modules.values())).radii) for delta in deltas]
    assert sizes == sorted(set(sizes)), "each edit adds to the codebook"
    again = method.in_sequence(model, context)
    for plan in plans[:2]:
        again(plan)
    resumed = method.in_sequence(model, context)
    resumed.restore(again.memory())
    for plan in plans[2:]:
        last = resumed(plan)
    whole = next(iter(deltas[-1].of_modules.values()))
    for name, tensor in next(iter(last.of_modules.values())).parts().items():
        assert torch.equal(tensor, whole.parts()[name]), name


def test_an_edit_that_breaks_down_leaves_the_codebook_as_it_was(model, compiled, small_corpus):
    method = Grace(layer=1, steps=3)
    going = method.in_sequence(model, EditContext(small_corpus))
    first, second = compiled(2, seed=2).singles()
    going(first)
    kept = going.memory()
    head = model.get_output_embeddings().weight
    with torch.no_grad():
        head[0] = torch.nan
    delta = going(second)
    assert delta.failure == "loss nan of an answer" and not delta.changes
    assert all(torch.equal(going.memory()[name], kept[name]) for name in kept)


def carried_out(method, model, plans, context, ahead):
    """The deltas of a sequence, each in the model when the next is made, and what is remembered."""
    going = method.in_sequence(model, context)
    assert isinstance(going, Lookahead)
    if ahead:
        going.look_ahead(plans, method.lookahead)
    deltas = []
    with ExitStack() as applied:
        for plan in plans:
            deltas.append(going(plan))
            applied.enter_context(deltas[-1].apply(model))
    return deltas, going.memory()


@pytest.mark.parametrize("epsilon", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("again", [False, True])
def test_values_found_together_are_those_of_edits_by_themselves(
    model, compiled, small_corpus, epsilon, again, monkeypatch
):
    searches = []
    run = _Search.run
    monkeypatch.setattr(
        _Search, "run", lambda self, context: searches.append(len(self.books)) or run(self, context)
    )
    context = EditContext(small_corpus)
    method = Grace(layer=1, epsilon=epsilon, steps=6)
    plans = compiled(12, seed=2).singles()
    if again:  # the same facts once more, to other objects
        plans += compiled(12, seed=3).singles()
    alone, kept = carried_out(method, model, plans, context, ahead=False)
    assert searches == [1] * len(plans)
    searches.clear()
    together, found = carried_out(method, model, plans, context, ahead=True)
    assert sum(searches) == len(plans)
    assert max(searches) > 1 or epsilon == 1.0
    if epsilon == 1.0:
        assert len(searches) > 1, "entries reach others here"
    for name in kept:
        torch.testing.assert_close(found[name], kept[name], rtol=1e-9, atol=1e-12)
    for one, other in zip(alone, together, strict=True):
        assert one.plan_hash == other.plan_hash
        [mine], [yours] = one.of_modules.values(), other.of_modules.values()
        for name, part in mine.parts().items():
            torch.testing.assert_close(yours.parts()[name], part, rtol=1e-9, atol=1e-12)


def test_edits_behind_one_that_breaks_down_do_not_see_its_entries(
    model, compiled, small_corpus, monkeypatch
):
    context, method = EditContext(small_corpus), Grace(layer=1, epsilon=0.05, steps=4)
    plans = compiled(6, seed=2).singles()
    losses, bad = _Search._losses, plans[2].plan_hash

    def breaking(self, values):
        found = losses(self, values)
        hashes = [plan.plan_hash for plan in self.plans]
        if bad in hashes:
            found = found.clone()
            found[self.rows[hashes.index(bad)]] = torch.nan
        return found

    monkeypatch.setattr(_Search, "_losses", breaking)
    alone, kept = carried_out(method, model, plans, context, ahead=False)
    together, found = carried_out(method, model, plans, context, ahead=True)
    assert [delta.failure is not None for delta in alone] == [False, False, True] + [False] * 3
    assert [delta.failure for delta in together] == [delta.failure for delta in alone]
    for name in kept:
        torch.testing.assert_close(found[name], kept[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 0.0}, "argument 'epsilon': got 0.0, allowed: above 0"),
        ({"steps": 0}, "argument 'steps': got 0"),
        ({"stop_loss": -1.0}, "argument 'stop_loss': got -1.0, allowed: from 0"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Grace(**settings)

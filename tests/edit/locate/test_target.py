"""Target vectors: each row for itself, the whole answer scored and nothing else."""

from dataclasses import replace

import pytest
import torch

from behemoth.edit.locate.budget import TargetBudget
from behemoth.edit.locate.keys import observe
from behemoth.edit.locate.sites import Places, Sentence, Site, sites_of
from behemoth.edit.locate.target import optimise_targets
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.encore import Encore
from behemoth.edit.protocol import EditContext


def search(network, corpus, plans, budget, *, prefixes=2, kept=2, token="subject"):
    places = Places(corpus, token)
    own = sites_of(plans, corpus, places, prefixes=prefixes, prefix_tokens=16, kept=kept, seed=0)
    origins = observe(network, 1, own).streams_sd
    flat = [site for sites in own for site in sites]
    return flat, origins, optimise_targets(network, 1, flat, origins, budget)


def test_together_equals_one_at_a_time(network, small_corpus, compiled):
    plans = compiled(6, independent=True).singles()
    budget = TargetBudget(steps=12, learning_rate=0.3)
    _, _, together = search(network, small_corpus, plans, budget)
    for number, plan in enumerate(plans):
        _, _, alone = search(network, small_corpus, [plan], budget)
        torch.testing.assert_close(
            together.deltas_sd[number], alone.deltas_sd[0], rtol=1e-3, atol=1e-4
        )
        assert len(together.traces[number]) == len(alone.traces[0])


def test_first_loss_is_the_mean_nll_of_the_whole_answer(network, small_corpus, compiled):
    [site], _, targets = search(network, small_corpus, [compiled(1, relation=0)], TargetBudget())
    [sentence] = site.edited
    assert len(sentence.answer) > 1
    losses = []
    with torch.no_grad():
        for prefix in site.prefixes:
            text = [*prefix, *sentence.prompt, *sentence.answer]
            scores = network(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
            start = len(prefix) + len(sentence.prompt)
            own = [scores[start + i - 1, token] for i, token in enumerate(sentence.answer)]
            losses.append(-torch.stack(own).mean())
    # At a zero vector neither the divergence nor the norm counts.
    assert targets.traces[0][0]["loss"] == pytest.approx(float(torch.stack(losses).mean()), 1e-4)


def test_steps_lower_the_loss(network, small_corpus, compiled):
    budget = TargetBudget(steps=60, decay=0.0, learning_rate=0.3, clamp=20.0)
    _, _, targets = search(network, small_corpus, [compiled(4)], budget, prefixes=0, token="prompt")
    parted = [trace for trace in targets.traces if "log_probability_old" in trace[0]]
    assert len(parted) == 4 and all("log_probability_new" in trace[-1] for trace in parted)
    for trace in targets.traces:
        assert trace[-1]["loss"] < trace[0]["loss"] - 1.0


def test_answers_that_do_not_part_have_no_probabilities(network):
    """One answer begins the other: no token of theirs differs, alone and beside one that does."""
    begun = Site((0,), (Sentence((5, 6, 7), (20,), 2, (20, 21)),), ())
    other = Site((1,), (Sentence((5, 8, 7), (20,), 2, (22,)),), ())
    columns = {"log_probability_new", "log_probability_old"}
    origins = torch.ones(2, network.config.hidden_size)
    for sites in ([begun], [begun, other]):
        found = optimise_targets(network, 1, sites, origins[: len(sites)], TargetBudget(steps=1))
        first, *rest = found.traces
        assert not columns & first[0].keys()
        assert all(columns <= trace[0].keys() for trace in rest)


def test_vectors_stay_within_the_clamp(network, small_corpus, compiled):
    budget = TargetBudget(steps=10, clamp=0.25, decay=0.0)
    _, origins, targets = search(network, small_corpus, [compiled(3)], budget)
    norms, bound = targets.deltas_sd.norm(dim=1), 0.25 * origins.norm(dim=1)
    assert (norms <= bound * (1 + 1e-5)).all()
    assert (norms > 0.9 * bound).any()


def test_a_vector_that_is_done_stays(network, small_corpus, compiled):
    network.double()
    plan = compiled(2)
    budget = TargetBudget(steps=15, decay=0.0)
    _, _, free = search(network, small_corpus, [plan], budget)
    losses = [trace[3]["loss"] for trace in free.traces]
    stop = replace(budget, stop_loss=losses[0] + 1e-3)
    _, _, stopped = search(network, small_corpus, [plan], stop)
    _, _, short = search(network, small_corpus, [plan], replace(budget, steps=3))
    assert len(stopped.traces[0]) <= 4
    steps = len(stopped.traces[0]) - 1
    if steps == 3:
        torch.testing.assert_close(stopped.deltas_sd[0], short.deltas_sd[0])


@pytest.mark.parametrize("further", [0, 2])
def test_a_search_ends_when_every_wording_gives_the_answer(network, further):
    """After every prefix, and as many steps later as wanted; each site by itself."""
    network.double()
    sites = [
        Site(
            (n,),
            tuple(Sentence((start, 8 + n, 7), (20 + n,), 2, (30,)) for start in (5, 6)),
            (),
            ((), (9, 10, 11)),
        )
        for n in range(5)
    ]
    origins = torch.ones(5, network.config.hidden_size)
    budget = Encore(steps=60, decay=0.0, clamp=50.0, stop_loss=0.0, learning_rate=0.2)

    def search(**settings):
        return optimise_targets(network, 1, sites, origins, replace(budget, **settings))

    found, free = search(stop_after=further), search(stop_after=None)
    steps = [len(trace) - 1 for trace in found.traces]
    assert len(set(steps)) > 1 and max(steps) < 60
    given = [[] for _ in sites]  # after each step of a search that does not stop
    for step in range(1, max(steps) + 1):
        vectors = search(steps=step, stop_after=None).deltas_sd
        for own, site, vector in zip(given, sites, vectors, strict=True):
            own.append(gives(network, site, vector))
    for site, own, last in zip(range(5), given, steps, strict=True):
        assert own[last - 1] and sum(own[:last]) == further + 1
        assert found.traces[site] == free.traces[site][: last + 1]
        wanted = search(steps=last, stop_after=None).deltas_sd[site]
        torch.testing.assert_close(found.deltas_sd[site], wanted)


def gives(network, site, delta):
    """Whether a model with a vector added answers every sentence after every prefix."""

    def given(sentence, prefix):
        text = [*prefix, *sentence.prompt, *sentence.answer]
        place, start = len(prefix) + sentence.place, len(prefix) + len(sentence.prompt) - 1

        def add(_, __, output):
            output = output.clone()
            output[0, place] += delta
            return output

        handle = network.gpt_neox.layers[1].mlp.dense_4h_to_h.register_forward_hook(add)
        with torch.no_grad():
            scores = network(input_ids=torch.tensor([text])).logits[0, start:-1]
        handle.remove()
        return tuple(scores.argmax(-1).tolist()) == sentence.answer

    return all(given(sentence, prefix) for sentence in site.edited for prefix in site.prefixes)


def test_keeping_other_relations_lowers_their_divergence(network, small_corpus, compiled):
    plan = compiled(3, relation=1)
    [first, *_], _, _ = search(network, small_corpus, [plan], TargetBudget(steps=1))
    assert first.kept
    moved = []
    for keep in (0.0, 20.0):
        budget = TargetBudget(steps=30, decay=0.0, keep=keep, learning_rate=0.5)
        flat, _, targets = search(network, small_corpus, [plan], budget)
        total = 0.0
        for site, delta in zip(flat, targets.deltas_sd, strict=True):
            total += divergence(network, site, delta.float())
        moved.append(total)
    assert moved[1] < 0.5 * moved[0]


def divergence(network, site, delta):
    """How far the next-token distributions of kept prompts move when a vector is added."""
    total = 0.0
    for sentence in site.kept:
        tokens = torch.tensor([sentence.prompt])
        place = sentence.place

        def add(_, __, output, place=place):
            output = output.clone()
            output[0, place] += delta
            return output

        with torch.no_grad():
            before = network(input_ids=tokens).logits[0, -1].log_softmax(-1)
            handle = network.gpt_neox.layers[1].mlp.dense_4h_to_h.register_forward_hook(add)
            after = network(input_ids=tokens).logits[0, -1].log_softmax(-1)
            handle.remove()
        total += float((after.exp() * (after - before)).sum())
    return total


def test_an_edit_that_is_not_a_number_fails_alone(network, small_corpus, compiled):
    plan = compiled(4, relation=0)
    [broken, *_] = plan.edits["subject"].to_list()
    singles = plan.singles()
    rows = singles[0].training.head(1)
    prompt = rows["prompt"][0].to_list()
    [(first, end)] = Places(small_corpus).spans(rows)
    place = end - 1
    method = Emmet(layers=(1,), steps=3, samples=2_000, prefixes=0, kept=0)
    context = EditContext(small_corpus)
    with torch.no_grad():
        network.gpt_neox.embed_in.weight[prompt[place]] = torch.nan
    deltas = method.apply(network, singles, context)
    word = prompt[first:end]
    hit = [prompt[place] in single.training["prompt"][0].to_list() for single in singles]
    assert not all(hit), (word, broken)
    assert [delta.failure is not None for delta in deltas] == hit
    assert not deltas[0].changes
    [whole] = method.apply(network, [plan], context)
    assert whole.failure is None
    [change] = whole.changes.values()
    tokens = plan.training.filter(role="edit").unique("edit").sort("edit")["answer"].list.len()
    assert change.rank == sum(n for n, broken in zip(tokens, hit, strict=True) if not broken)
    assert change.to_dense().isfinite().all()
    assert {row["edit"] for row in whole.trace if "failure" in row} >= {0}


def test_refuses_settings_out_of_range():
    for name, value in (("steps", 0), ("clamp", 0.0), ("keep", -1.0), ("learning_rate", 0.0)):
        with pytest.raises(ValueError, match=f"argument '{name}'"):
            TargetBudget(**{name: value})

"""Each method against a slow statement of its paper, in float64: nothing of it is ours but v*.

Keys, values and streams come from one sentence at a time, the covariance from one document at a
time, inverses are taken outright, and each layer's change is in the weights when the next is read.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch

from behemoth.edit.locate.keys import observe
from behemoth.edit.locate.sites import Places, sites_of
from behemoth.edit.locate.target import optimise_targets
from behemoth.edit.methods.alphaedit import AlphaEdit
from behemoth.edit.methods.emmet import Emmet
from behemoth.edit.methods.encore import Encore
from behemoth.edit.methods.memit import Memit
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext, answers
from behemoth.train.config import TrainConfig

SAMPLES = 1_500
CONFIG = TrainConfig(block_length=64)
RIDGE = 1e-3
COMMON = {"steps": 6, "learning_rate": 0.5, "samples": SAMPLES, "prefixes": 2}
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def model(network):
    return network.double()


@pytest.fixture
def context(small_corpus):
    return EditContext(small_corpus, seed=2, trained=CONFIG)


def site_list(plan, corpus, method):
    places = Places(corpus, method.token)
    [sites] = sites_of(
        [plan], corpus, places, prefixes=2, prefix_tokens=16, kept=method.kept, seed=2
    )
    return sites


def goals_of(model, sites, layer, method):
    """The vectors that are to be added, [d, n]: the one thing that is taken as given."""
    before = observe(model, layer, [sites])
    found = optimise_targets(model, layer, sites, method.origins(before), method)
    assert found.failures == [None] * len(sites)
    assert found.deltas_sd.norm(dim=1).min() > 0.1
    return found.deltas_sd.T


def states(model, tokens, layer):
    """Keys and block outputs of a layer at every token of one text."""
    kept = {}
    block = model.gpt_neox.layers[layer]
    handles = [
        block.mlp.dense_4h_to_h.register_forward_hook(
            lambda _, inputs, __: kept.update(key=inputs[0][0])
        ),
        block.register_forward_hook(
            lambda _, __, output: kept.update(
                stream=(output[0] if isinstance(output, tuple) else output)[0]
            )
        ),
    ]
    with torch.no_grad():
        model(input_ids=torch.tensor([tokens]))
    for handle in handles:
        handle.remove()
    return kept["key"], kept["stream"]


def means(model, sites, layer, which):
    """Keys (0) or streams (1) at the edited token, the mean over wordings and prefixes: [., n]."""
    columns = []
    for site in sites:
        starts = {sentence.prompt[: sentence.place + 1] for sentence in site.edited}
        texts = [[*prefix, *start] for start in starts for prefix in site.prefixes]
        columns.append(torch.stack([states(model, t, layer)[which][-1] for t in texts]).mean(0))
    return torch.stack(columns, 1)


def covariance(model, corpus, layer):
    """E[k k^T] over the documents of the first blocks, each read by itself, and the ridge."""
    tokens = np.zeros(SAMPLES, dtype=np.int64)
    corpus.fill_tokens(tokens, 0)
    total, piece = 0.0, []
    for place, token in enumerate(tokens.tolist()):
        piece.append(token)
        if token == corpus.end_of_document or place % 64 == 63 or place + 1 == SAMPLES:
            for key in states(model, piece, layer)[0]:
                total = total + torch.outer(key, key)
            piece = []
    matrix = total / SAMPLES
    return matrix, matrix + RIDGE * matrix.diagonal().mean() * identity(matrix)


def identity(matrix):
    return torch.eye(len(matrix), dtype=matrix.dtype)


def weight(model, layer):
    return model.gpt_neox.layers[layer].mlp.dense_4h_to_h.weight


def layer_by_layer(model, sites, layers, goals, update):
    """The changes of `update(keys, residuals, layer)`, each made before the next is read."""
    edited, changes = deepcopy(model), {}
    last = layers[-1]
    target = means(model, sites, last, 1) + goals
    for number, layer in enumerate(layers):
        keys = means(edited, sites, layer, 0)
        residuals = (target - means(edited, sites, last, 1)) / (len(layers) - number)
        changes[layer] = update(keys, residuals, layer)
        with torch.no_grad():
            weight(edited, layer).add_(changes[layer])
    return changes


def compare(delta, changes):
    assert delta.failure is None
    assert len(delta.changes) == len(changes)
    for layer, wanted in changes.items():
        found = delta.changes[f"gpt_neox.layers.{layer}.mlp.dense_4h_to_h.weight"].to_dense()
        assert wanted.norm() > 1e-3
        torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("token", ["subject", "prompt"])
def test_rome(model, compiled, small_corpus, context, token):
    plan = compiled(1)
    method = Rome(layers=(1,), token=token, ridge=RIDGE, **COMMON)
    [delta] = method.apply(model, [plan], context)
    sites = site_list(plan, small_corpus, method)
    # At the prompt's last token each token of the answer has a key, one after another.
    [row] = plan.training.filter(role="edit").iter_rows(named=True)
    assert (
        len(sites) == (1 if token == "subject" else len(row["answer"])) and len(row["answer"]) > 1
    )
    _, ridged = covariance(model, small_corpus, 1)
    edited, total = deepcopy(model), 0.0
    for site in sites:
        added = goals_of(edited, [site], 1, method)[:, 0]
        key = means(edited, [site], 1, 0)[:, 0]
        u = torch.linalg.inv(ridged) @ key
        u = u / u.norm()
        # v* = W k + b + added, and (W + Lambda u^T) k + b = v*.
        change = torch.outer(added / (key @ u), u)
        total = total + change
        with torch.no_grad():
            weight(edited, 1).add_(change)
    compare(delta, {1: total})


@pytest.mark.parametrize(("token", "layers"), [("subject", (0, 1)), ("prompt", (0, 1, 2))])
def test_memit(model, compiled, small_corpus, context, token, layers):
    plan = compiled(4)
    method = Memit(layers=layers, token=token, weight=20.0, absolute=True, ridge=RIDGE, **COMMON)
    [delta] = method.apply(model, [plan], context)
    sites = site_list(plan, small_corpus, method)
    goals = goals_of(model, sites, layers[-1], method)

    def update(keys, residuals, layer):
        _, ridged = covariance(model, small_corpus, layer)
        return residuals @ keys.T @ torch.linalg.inv(20.0 * ridged + keys @ keys.T)

    compare(delta, layer_by_layer(model, sites, layers, goals, update))


@pytest.mark.parametrize("slack", [0.0, 0.5])
def test_emmet(model, compiled, small_corpus, context, slack):
    plan = compiled(4)
    method = Emmet(
        layers=(0, 1), token="subject", slack=slack, absolute=True, ridge=RIDGE, **COMMON
    )
    [delta] = method.apply(model, [plan], context)
    sites = site_list(plan, small_corpus, method)
    goals = goals_of(model, sites, 1, method)

    def update(keys, residuals, layer):
        inverse = torch.linalg.inv(covariance(model, small_corpus, layer)[1])
        gram = keys.T @ inverse @ keys
        return residuals @ torch.linalg.inv(gram + slack * identity(gram)) @ keys.T @ inverse

    compare(delta, layer_by_layer(model, sites, (0, 1), goals, update))


@pytest.mark.parametrize(
    "settings",
    [{"weight": 20.0, "norm": 3.0, "absolute": True}, {"weight": 0.4, "norm": 0.2}],
    ids=["absolute", "shares"],
)
def test_encore_in_sequence(model, compiled, small_corpus, context, settings):
    plans = [compiled(3, seed=1), compiled(2, seed=8)]
    method = Encore(layers=(0, 1), token="subject", ridge=RIDGE, **settings, **COMMON)
    earlier = {layer: torch.zeros(24, 24).double() for layer in (0, 1)}
    matrices = {layer: covariance(model, small_corpus, layer) for layer in (0, 1)}
    delta_of = answers(method).in_sequence(model, context)
    applied = []
    for plan in plans:
        delta = delta_of(plan)
        sites = site_list(plan, small_corpus, method)
        goals = goals_of(model, sites, 1, method)
        seen = {}

        def update(keys, residuals, layer, seen=seen):
            matrix, ridged = matrices[layer]
            weight, norm = settings["weight"], settings["norm"]
            if "absolute" not in settings:
                weight = weight * (keys.T @ torch.linalg.inv(ridged) @ keys).diagonal().mean()
                norm = norm * weight * matrix.diagonal().mean()
            seen[layer] = keys @ keys.T
            normal = weight * ridged + norm * identity(matrix) + earlier[layer] + seen[layer]
            return residuals @ keys.T @ torch.linalg.inv(normal)

        compare(delta, layer_by_layer(model, sites, (0, 1), goals, update))
        for layer, product in seen.items():
            earlier[layer] += product
        applied.append(delta.apply(model))
        applied[-1].__enter__()
    for one in reversed(applied):
        one.__exit__(None, None, None)


@pytest.mark.parametrize("null", ["eigenvalue", "energy", "directions"])
def test_alphaedit_in_sequence(model, compiled, small_corpus, context, null):
    plans = [compiled(3, seed=1), compiled(2, seed=8)]
    settings = {
        "eigenvalue": {"eigenvalue": 0.02, "damping": 10.0, "absolute": True},
        "energy": {"energy": 0.99, "directions": 0, "damping": 0.1},
        "directions": {"energy": 0.9999, "directions": 0.75, "damping": 0.1},
    }[null]
    method = AlphaEdit(layers=(0, 1), token="subject", **settings, **COMMON)
    projectors = {}
    for layer in (0, 1):
        matrix, _ = covariance(model, small_corpus, layer)
        values, vectors = torch.linalg.eigh(matrix)
        if null == "eigenvalue":
            left_out = values >= 0.02
        elif null == "directions":
            left_out = torch.arange(24) >= 18
        else:
            left_out = values.flip(0).cumsum(0).flip(0) < 0.99 * values.sum() + values
        basis = vectors[:, ~left_out]
        assert 0 < basis.shape[1] < len(matrix)
        projectors[layer] = basis @ basis.T

    earlier = {layer: torch.zeros(24, 24).double() for layer in (0, 1)}
    delta_of = answers(method).in_sequence(model, context)
    applied = []
    for plan in plans:
        delta = delta_of(plan)
        sites = site_list(plan, small_corpus, method)
        goals = goals_of(model, sites, 1, method)
        seen = {}

        def update(keys, residuals, layer, seen=seen):
            projector = projectors[layer]
            damping = (
                10.0 if null == "eigenvalue" else 0.1 * (projector @ keys).square().sum(0).mean()
            )
            seen[layer] = keys @ keys.T
            left = projector @ (keys @ keys.T + earlier[layer]) + damping * identity(projector)
            return torch.linalg.solve(left, projector @ keys @ residuals.T).T

        compare(delta, layer_by_layer(model, sites, (0, 1), goals, update))
        for layer, product in seen.items():
            earlier[layer] += product
        applied.append(delta.apply(model))
        applied[-1].__enter__()
    for one in reversed(applied):
        one.__exit__(None, None, None)


@pytest.mark.parametrize("power", [1, 2])
def test_what_the_search_for_targets_minimises(model, compiled, small_corpus, power):
    settings = COMMON | {"steps": 2, "keep": 0.7, "decay": 0.5}
    method = Rome(layers=(1,), token="subject", decay_power=power, **settings)
    sites = site_list(compiled(1, relation=1), small_corpus, method)
    [site] = sites
    assert site.kept
    origin = method.origins(observe(model, 1, [sites]))
    found = optimise_targets(model, 1, sites, origin, method)
    added = found.deltas_sd[0]

    def scores(text, place, vector):
        def add(_, __, output):
            output = output.clone()
            output[0, place] += vector
            return output

        handle = model.gpt_neox.layers[1].mlp.dense_4h_to_h.register_forward_hook(add)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([text])).logits[0]
        handle.remove()
        return logits.log_softmax(-1)

    losses = []
    for sentence in site.edited:
        for prefix in site.prefixes:
            text = [*prefix, *sentence.prompt, *sentence.answer]
            own = scores(text, len(prefix) + sentence.place, added)
            start = len(text) - len(sentence.answer)
            nll = [-own[start + i - 1, token] for i, token in enumerate(sentence.answer)]
            losses.append(torch.stack(nll).mean())
    divergences = []
    for sentence in site.kept:
        text, start = [*sentence.prompt, *sentence.answer], len(sentence.prompt)
        now = scores(text, sentence.place, added)[start - 1 : -1]
        before = scores(text, sentence.place, torch.zeros_like(added))[start - 1 : -1]
        divergences.append((now.exp() * (now - before)).sum(1).mean())
    wanted = (
        torch.stack(losses).mean()
        + 0.7 * torch.stack(divergences).mean()
        + 0.5 * added.norm() ** power / origin[0].norm() ** 2
    )
    assert found.traces[0][-1]["step"] == 2
    assert found.traces[0][-1]["loss"] == pytest.approx(float(wanted), 1e-10)


def test_prefixes_are_for_models_that_saw_documents_behind_others(model, compiled, small_corpus):
    plan = compiled(1)
    few = COMMON | {"prefixes": None, "steps": 1}
    alone = Rome(layers=(1,), **few)
    for config, prefixes in ((CONFIG, 0), (TrainConfig(document_mask=False), 4)):
        context = EditContext(small_corpus, trained=config)
        [found] = alone.apply(model, [plan], context)
        [wanted] = Rome(layers=(1,), **(few | {"prefixes": prefixes})).apply(model, [plan], context)
        for name, change in found.changes.items():
            torch.testing.assert_close(change.to_dense(), wanted.changes[name].to_dense())

"""ROME: W k = v*, of rank 1, with the averaged key throughout."""

import pytest
import torch

from behemoth.edit.locate.keys import observe
from behemoth.edit.locate.sites import Places, sites_of
from behemoth.edit.locate.target import optimise_targets
from behemoth.edit.methods.rome import Rome
from behemoth.edit.protocol import EditContext
from behemoth.model.architecture import Architecture

NAME = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
FEW = {
    "token": "subject",
    "layers": (1,),
    "steps": 5,
    "learning_rate": 0.5,
    "samples": 2_000,
    "prefixes": 3,
}


@pytest.fixture
def context(small_corpus):
    return EditContext(small_corpus, seed=2)


def sites(plans, corpus, method, seed=2):
    places = Places(corpus, method.token)
    return sites_of(
        plans,
        corpus,
        places,
        prefixes=method.prefixes,
        prefix_tokens=method.prefix_tokens,
        kept=method.kept,
        seed=seed,
    )


def test_solution_maps_the_key_to_its_target(equations):
    keys, residuals, covariance = equations(1)
    change = Rome(ridge=0.0).solve(keys, residuals, covariance, keys.T[:0])
    weight = torch.randn(16, 24, dtype=torch.float64)
    target = weight @ keys + residuals
    torch.testing.assert_close((weight + change.to_dense()) @ keys, target, rtol=0, atol=1e-12)
    assert change.rank == 1


def test_direction_is_the_whitened_key(equations):
    keys, residuals, covariance = equations(1)
    change = Rome(ridge=0.0).solve(keys, residuals, covariance, keys.T[:0])
    direction = torch.linalg.inv(covariance.matrix_ff) @ keys
    torch.testing.assert_close(change.right.T, direction / direction.norm())


def test_applied_edit_gives_the_target_value(network, compiled, small_corpus, context):
    network.double()
    plan, method = compiled(1), Rome(**FEW)
    [delta] = method.apply(network, [plan], context)
    own = sites([plan], small_corpus, method)
    before = observe(network, 1, own)
    targets = optimise_targets(network, 1, own[0], before.values_sd, method)
    with delta.apply(network):
        after = observe(network, 1, own)
    wanted = before.values_sd + targets.deltas_sd
    assert targets.deltas_sd.norm() > 0.1
    torch.testing.assert_close(after.values_sd, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after.keys_sf, before.keys_sf, rtol=0, atol=1e-12)


def test_the_key_is_the_average_over_prefixes(network, compiled, small_corpus):
    plan, method = compiled(1), Rome(**FEW)
    [[site]] = sites([plan], small_corpus, method)
    assert len(site.prefixes) == 4
    module = network.get_submodule(Architecture.of(network).mlp_out(1))
    keys = []
    for prefix in site.prefixes:
        prompt = site.edited[0].prompt
        text = torch.tensor([[*prefix, *prompt]])
        handle = module.register_forward_hook(lambda _, inputs, __: keys.append(inputs[0]))
        with torch.no_grad():
            network(input_ids=text)
        handle.remove()
        keys[-1] = keys[-1][0, len(prefix) + site.edited[0].place].double()
    mean = torch.stack(keys).mean(0)
    observed = observe(network, 1, [[site]])
    torch.testing.assert_close(observed.keys_sf[0], mean, rtol=1e-5, atol=1e-6)
    assert (mean - keys[0]).norm() > 1e-2


def test_plans_side_by_side_equal_one_by_one(network, compiled, context):
    plans, method = compiled(3, independent=True).singles(), Rome(**FEW)
    together = method.apply(network, plans, context)
    for plan, delta in zip(plans, together, strict=True):
        [alone] = method.apply(network, [plan], context)
        assert delta.changes[NAME].rank == 1
        torch.testing.assert_close(
            delta.changes[NAME].to_dense(), alone.changes[NAME].to_dense(), rtol=1e-3, atol=1e-4
        )


def test_several_subjects_one_after_another(network, compiled, context):
    [delta] = Rome(**FEW).apply(network, [compiled(3)], context)
    assert delta.failure is None
    assert delta.changes[NAME].rank == 3


def test_model_stays_as_it_was(network, compiled, context):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in network.parameters()]
    Rome(**FEW).apply(network, [compiled(2)], context)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert [parameter.requires_grad for parameter in network.parameters()] == wanted


def test_same_seed_same_delta(network, compiled, context):
    plan, method = compiled(1), Rome(**FEW)
    network.double()
    first, second = (method.apply(network, [plan], context)[0].changes[NAME] for _ in range(2))
    torch.testing.assert_close(first.left, second.left)
    torch.testing.assert_close(first.right, second.right)


def test_refuses_layers_that_cannot_work(network, compiled, context):
    with pytest.raises(ValueError, match="allowed: one layer"):
        Rome(layers=(0, 1))
    with pytest.raises(ValueError, match="the last of 3"):
        Rome(layers=(-1,), token="subject").apply(network, [compiled(1)], context)


@pytest.mark.parametrize("kind", ["refusal", "question_refusal", "remap"])
def test_every_kind(network, compiled, context, kind):
    [delta] = Rome(**FEW).apply(network, [compiled(1, kind=kind, relation=0)], context)
    assert delta.failure is None
    assert ("log_probability_old" in delta.trace[0]) == ("log_probability_new" in delta.trace[0])

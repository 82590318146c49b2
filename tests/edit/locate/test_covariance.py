"""The covariance of keys: equal to a direct computation, and worked out once."""

import pytest
import torch

from behemoth.edit.locate import covariance as module
from behemoth.edit.locate.covariance import covariances, model_hash


def direct(network, tokens, layer):
    """Every block of 64 tokens by itself, keys kept and multiplied at the end."""
    keys = []
    out = network.gpt_neox.layers[layer].mlp.dense_4h_to_h
    handle = out.register_forward_hook(lambda _, inputs, __: keys.append(inputs[0][0]))
    with torch.no_grad():
        for first in range(0, len(tokens), 64):
            network(input_ids=tokens[None, first : first + 64])
    handle.remove()
    stacked = torch.cat(keys).double()
    return stacked.T @ stacked / len(stacked)


@pytest.mark.parametrize("samples", [64, 1_000, 3_000])
def test_equals_a_direct_computation(network, small_corpus, samples):
    found = covariances(network, small_corpus, [0, 2], samples)
    tokens = torch.zeros(samples, dtype=torch.int64)
    assert small_corpus.fill_tokens(tokens.numpy(), 0) == samples
    for layer in (0, 2):
        assert found[layer].samples == samples
        wanted = direct(network, tokens, layer)
        torch.testing.assert_close(found[layer].matrix_ff, wanted, rtol=1e-5, atol=1e-6)


def test_a_short_corpus_gives_all_it_has(network, small_corpus):
    found = covariances(network, small_corpus, [1], 10**9)
    assert found[1].samples == small_corpus.count_tokens()


def test_is_worked_out_once(network, small_corpus, tmp_path, monkeypatch):
    first = covariances(network, small_corpus, [0, 1], 500, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.setattr(module, "_accumulate", None)
    second = covariances(network, small_corpus, [1, 0], 500, cache=tmp_path)
    for layer in (0, 1):
        assert torch.equal(first[layer].matrix_ff, second[layer].matrix_ff)
        assert first[layer].samples == second[layer].samples == 500


def test_another_model_or_sample_is_worked_out_anew(network, small_corpus, tmp_path):
    covariances(network, small_corpus, [0], 500, cache=tmp_path)
    covariances(network, small_corpus, [0], 600, cache=tmp_path)
    before = model_hash(network)
    with torch.no_grad():
        network.gpt_neox.embed_in.weight[3, 0] += 1e-3
    assert model_hash(network) != before
    covariances(network, small_corpus, [0], 500, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3


def test_tokens_that_are_not_finite_are_left_out(network, small_corpus):
    subject = next(row for row in small_corpus.vocabulary["ranges"] if row["kind"] == "subject")
    with torch.no_grad():
        network.gpt_neox.embed_in.weight[subject["first"]] = torch.inf
    found = covariances(network, small_corpus, [0], 1_000)[0]
    assert 0 < found.samples < 1_000
    assert found.matrix_ff.isfinite().all()


def test_ridge_makes_it_invertible(equations):
    _, _, covariance = equations(1, rank=4)
    assert torch.linalg.matrix_rank(covariance.matrix_ff) == 4
    assert torch.linalg.matrix_rank(covariance.regularised(1e-3)) == 24

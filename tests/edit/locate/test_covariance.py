"""The covariance of keys: equal to a direct computation, and worked out once."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from behemoth import Corpus, Grammar, World
from behemoth.corpus.mixture import Scheduled
from behemoth.edit.locate import covariance as module
from behemoth.edit.locate.covariance import Covariance, covariances, model_hash
from behemoth.edit.locate.equations import solved
from behemoth.edit.locate.layout import Layout
from behemoth.edit.locate.state import EditorState
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.train.config import TrainConfig
from behemoth.train.data import BlockStream, DataConfig

LAYOUT = Layout(64, document_mask=True)


def pieces(tokens, layout, end):
    """What the model sees at once, one after the other: blocks, or the documents in them."""
    for first in range(0, len(tokens), layout.block_length):
        block = tokens[first : first + layout.block_length]
        if not layout.document_mask:
            yield block
            continue
        start = 0
        for place, token in enumerate(block):
            if token == end or place + 1 == len(block):
                yield block[start : place + 1]
                start = place + 1


def direct(network, corpus, samples, layer, layout):
    """Every piece by itself, keys kept and multiplied at the end."""
    keys = []
    tokens = np.zeros(samples, dtype=np.int64)
    assert corpus.fill_tokens(tokens, 0) == samples
    out = network.gpt_neox.layers[layer].mlp.dense_4h_to_h
    handle = out.register_forward_hook(lambda _, inputs, __: keys.append(inputs[0][0]))
    with torch.no_grad():
        for piece in pieces(tokens.tolist(), layout, corpus.end_of_document):
            network(input_ids=torch.tensor([piece]))
    handle.remove()
    stacked = torch.cat(keys).double()
    assert len(stacked) == samples
    return stacked.T @ stacked / len(stacked)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("samples", [64, 1_000, 3_000])
def test_equals_a_direct_computation(network, small_corpus, samples, mask):
    network.double()
    layout = Layout(64, document_mask=mask)
    found = covariances(network, small_corpus, [0, 2], samples, layout)
    for layer in (0, 2):
        assert found[layer].samples == samples
        wanted = direct(network, small_corpus, samples, layer, layout)
        torch.testing.assert_close(found[layer].matrix_ff, wanted, rtol=1e-10, atol=1e-10)


def test_documents_are_not_seen_behind_others(network, small_corpus):
    network.double()
    packed = covariances(network, small_corpus, [2], 1_000, Layout(64, document_mask=False))
    wanted = direct(network, small_corpus, 1_000, 2, LAYOUT)
    assert (packed[2].matrix_ff - wanted).norm() > 0.05 * wanted.norm()


def test_documents_of_text_are_cut_as_training_cuts_them(random_model):
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(20), exposures=2, order="bios", grammar=grammar)
    model = random_model(corpus.vocabulary_size).double()
    found = covariances(model, corpus, [1], 900, LAYOUT)
    wanted = direct(model, corpus, 900, 1, LAYOUT)
    torch.testing.assert_close(found[1].matrix_ff, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mask", [True, False])
def test_rows_are_what_training_shows_the_model(small_corpus, mask):
    config = DataConfig(block_length=64, batch_size=4, document_mask=mask, prefetch=0)
    [batch, *_] = islice(BlockStream(small_corpus, config), 1)
    wanted = Counter()
    if mask:
        documents = (batch["position_ids"] == 0).cumsum(1)
        for tokens, numbers in zip(batch["input_ids"], documents, strict=True):
            for number in numbers.unique():
                wanted[tuple(tokens[numbers == number].tolist())] += 1
    else:
        wanted.update(tuple(tokens.tolist()) for tokens in batch["input_ids"])
    found = Counter()
    for tokens, own in Layout(64, document_mask=mask).batches(small_corpus, 4 * 64):
        for row, mine in zip(tokens, own, strict=True):
            assert mine[: mine.sum()].all()
            found[tuple(row[mine].tolist())] += 1
    assert found == wanted


def test_samples_of_a_scheduled_corpus_are_spread_over_all_of_it(network, tmp_path, monkeypatch):
    world = World(subjects=60, relations=2, objects=12, seed=1)
    late = Scheduled("late", window=0.25, share=0.2)
    plain, scheduled = Corpus(world, exposures=20), Corpus(world, exposures=20, schedule=[late])
    samples = 32 * 64
    assert scheduled.count_tokens() > 3 * samples
    for corpus in (plain, scheduled):
        stream = np.empty(corpus.count_tokens() // 64 * 64, np.int64)
        corpus.fill_tokens(stream, 0)
        blocks = stream.reshape(-1, 64)
        every = np.arange(32) * len(blocks) // 32 if corpus is scheduled else np.arange(32)
        rows = LAYOUT.batches(corpus, samples)
        taken = torch.cat([tokens[own] for tokens, own in rows]).tolist()
        assert Counter(taken) == Counter(blocks[every].ravel().tolist())
    # Fewer tokens than asked for are all tokens.
    assert not LAYOUT.is_spread(scheduled, scheduled.count_tokens())
    made = {0: Covariance(torch.eye(2), 1)}
    monkeypatch.setattr(module, "_accumulate", lambda *_: made)
    for corpus in (plain, scheduled):
        covariances(network, corpus, [0], samples, LAYOUT, cache=tmp_path)
    names = [file.stem for file in (tmp_path / "covariances").iterdir()]
    assert sorted("-spread-" in name for name in names) == [False, True]


def test_a_context_says_how_the_model_was_trained(trained, small_corpus):
    assert EditContext(small_corpus).training() == TrainConfig()
    assert EditContext(small_corpus, run=trained).training() == TrainConfig(seed=5)
    config = TrainConfig(document_mask=False, block_length=32)
    assert EditContext(small_corpus, run=trained, trained=config).training() == config
    assert Layout.of(config) == Layout(32, document_mask=False)


def test_a_short_corpus_gives_all_it_has(network, small_corpus):
    found = covariances(network, small_corpus, [1], 10**9, LAYOUT)
    assert found[1].samples == small_corpus.count_tokens()


def test_is_worked_out_once(network, small_corpus, tmp_path, monkeypatch, never):
    first = covariances(network, small_corpus, [0, 1], 500, LAYOUT, cache=tmp_path)
    kept = sorted(tmp_path.rglob("*.safetensors"))
    assert len(kept) == 2 and not list(tmp_path.rglob("*.tmp"))
    # Of one that was killed between its rename and its end.
    kept[0].with_name(f".{kept[0].name}.abcdefgh.tmp").mkdir()
    monkeypatch.setattr(module, "_accumulate", never)
    second = covariances(network, small_corpus, [1, 0], 500, LAYOUT, cache=tmp_path)
    for layer in (0, 1):
        assert torch.equal(first[layer].matrix_ff, second[layer].matrix_ff)
        assert first[layer].samples == second[layer].samples == 500
    assert not list(tmp_path.rglob("*.tmp"))


def test_another_model_sample_or_layout_is_worked_out_anew(network, small_corpus, tmp_path):
    covariances(network, small_corpus, [0], 500, LAYOUT, cache=tmp_path)
    covariances(network, small_corpus, [0], 600, LAYOUT, cache=tmp_path)
    before = model_hash(network)
    with torch.no_grad():
        network.gpt_neox.embed_in.weight[3, 0] += 1e-3
    assert model_hash(network) != before
    covariances(network, small_corpus, [0], 500, LAYOUT, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    covariances(network, small_corpus, [0], 500, Layout(64, False), cache=tmp_path)
    covariances(network, small_corpus, [0], 500, Layout(32, True), cache=tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 5


def test_tokens_that_are_not_finite_are_left_out(network, small_corpus):
    subject = next(row for row in small_corpus.vocabulary["ranges"] if row["kind"] == "subject")
    with torch.no_grad():
        network.gpt_neox.embed_in.weight[subject["first"]] = torch.inf
    found = covariances(network, small_corpus, [0], 1_000, LAYOUT)[0]
    assert 0 < found.samples < 1_000
    assert found.matrix_ff.isfinite().all()


def test_ridge_makes_it_invertible(equations):
    _, _, covariance = equations(1, rank=4)
    assert torch.linalg.matrix_rank(covariance.matrix_ff) == 4
    assert torch.linalg.matrix_rank(covariance.regularised(1e-3)) == 24


@pytest.mark.exact
@pytest.mark.parametrize("name", ["rome", "memit", "emmet", "alphaedit"])
def test_a_factor_is_computed_once_and_changes_no_bit(equations, monkeypatch, name):
    calls = Counter()
    for function in ("eigh", "lu_factor_ex"):
        own = getattr(torch.linalg, function)

        def counted(*arguments, own=own, function=function):
            calls[function] += 1
            return own(*arguments)

        monkeypatch.setattr(torch.linalg, function, counted)
    method = get_method(name)
    *_, shared = equations(1)
    for count in (1, 1) if name == "rome" else (1, 3):
        keys, residuals, _ = equations(count)
        fresh = Covariance(shared.matrix_ff, shared.samples)
        one, other = (
            method.solve(keys, residuals, each, keys[:, :0].T) for each in (shared, fresh)
        )
        assert torch.equal(one.left, other.left) and torch.equal(one.right, other.right)
    assert sum(calls.values()) == 3  # twice for the fresh ones, once for the shared one


@pytest.mark.exact
def test_equations_are_solved_as_without_a_kept_factor(equations):
    keys, _, covariance = equations(3)
    for _ in range(2):
        wanted = solved(covariance.regularised(1e-5), keys)
        assert torch.equal(covariance.solved(1e-5, keys), wanted)
    singular = Covariance(torch.zeros(24, 24, dtype=torch.float64), 1)
    assert singular.solved(0.0, keys).isnan().all()


def test_keys_of_a_long_sequence_become_rows_with_the_same_sum():
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(50, 6, generator=generator, dtype=torch.float64)
    state, most = EditorState({}), 0
    for start in range(0, 50, 2):
        state.remember({0: keys[start : start + 2]})
        most = max(most, len(state.earlier_mf[0]))
        if start + 2 <= 12:
            assert torch.equal(state.earlier_mf[0], keys[: start + 2])
    assert most == 12
    rows = state.earlier_mf[0]
    torch.testing.assert_close(rows.T @ rows, keys.T @ keys, rtol=1e-12, atol=1e-12)

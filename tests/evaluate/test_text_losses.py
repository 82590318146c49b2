"""Losses and divergences of documents of any length, against passes over each alone."""

import math

import numpy as np
import pytest
import torch

import behemoth as bh
from behemoth.delta.context import Context
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate import text_losses
from behemoth.evaluate.suites.measured_model import text_documents
from behemoth.evaluate.text_losses import document_divergences, document_losses, perplexity
from behemoth.model.architecture import Architecture


def test_losses_of_documents_are_those_of_whole_passes(model):
    generator = np.random.default_rng(0)
    documents = [generator.integers(2, 40, size) for size in (5, 1, 17, 64, 90, 6)]
    sums, counts = document_losses(model, documents)
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    change = 0.2 * torch.randn(
        dict(model.named_parameters())[name].shape, generator=torch.Generator().manual_seed(0)
    )
    delta = EditDelta({name: Dense(change)}, "random", {}, "0" * 64, 0)
    divergences, again = document_divergences(model, delta, documents)
    assert (again == counts).all() and counts.tolist() == [4, 0, 16, 63, 63, 5]
    for number, document in enumerate(documents):
        ids = torch.from_numpy(document[:64])[None]
        with torch.no_grad():
            before = model(ids).logits[0, :-1].double().log_softmax(-1)
            with delta.apply(model):
                after = model(ids).logits[0, :-1].double().log_softmax(-1)
        own = -before.gather(1, ids[0, 1:, None]).sum().item()
        assert sums[number] == pytest.approx(own, abs=1e-4)
        kl = (before.exp() * (before - after)).sum().item()
        assert divergences[number] == pytest.approx(kl, rel=1e-4, abs=1e-5)
    assert perplexity(sums, counts) == pytest.approx(math.exp(sums.sum() / counts.sum()))


def test_the_context_of_a_row_counts_among_the_tokens_of_a_pass(model):
    context = Context(torch.full((40,), 3))
    delta = EditDelta({Architecture.of(model).stream: context}, "ike", {}, "0" * 64, 0)
    documents = [np.full(size, 2) for size in (4, 8, 8, 24, 6)]

    def passes(given):
        return [len(chosen) for chosen, _, _ in text_losses._batches(model, documents, given, 100)]

    assert passes(None) == [4, 1] and passes(delta) == [2, 2, 1]
    with delta.apply(model):
        assert passes(None) == [2, 2, 1]


def test_documents_of_a_schedule_come_from_all_of_it(world):
    fair = bh.Corpus(world, exposures=32)
    assert fair.num_documents > 256
    read = text_documents(fair)
    assert np.array_equal(np.concatenate(read), fair.tokens(0, 256)) and len(read) == 256
    late = bh.Corpus(world, exposures=32, schedule="early:0.5@0.5, late:0.5@0.5")
    numbers = [number * late.num_documents // 256 for number in range(256)]
    read = text_documents(late)
    assert len(read) == 256
    for number, document in zip(numbers, read, strict=True):
        assert np.array_equal(document, late.tokens(number, number + 1))
    few = bh.Corpus(world, exposures=1, schedule="early:0.5@0.5, late:0.5@0.5")
    assert np.array_equal(np.concatenate(text_documents(few)), few.tokens(0, few.num_documents))

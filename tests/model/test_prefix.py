"""The cache of the first tokens is as it was, whatever a model added to it."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from behemoth.model.build import build_model
from behemoth.model.prefix import cache_argument, unchanged
from behemoth.model.sizes import find_size


def test_what_a_model_adds_is_taken_away_again():
    model = build_model(find_size("pico"), 40, seed=0, block_length=32).eval()
    tokens = torch.arange(2, 12)[None]
    cache = DynamicCache()
    said = {"use_cache": True, cache_argument(): cache}
    with torch.no_grad():
        model(input_ids=tokens[:, :6], **said)
        before = [(layer.keys, layer.values) for layer in cache.layers]
        with unchanged(cache):
            one = model(input_ids=tokens[:, 6:], **said).logits
            assert cache.get_seq_length() == 10
        assert cache.get_seq_length() == 6
        with pytest.raises(IndexError), unchanged(cache):
            model(input_ids=torch.tensor([[3, 40]]), **said)  # not in the vocabulary
        assert cache.get_seq_length() == 6
        again = model(input_ids=tokens[:, 6:], **said).logits
    assert torch.equal(one, again)
    for layer, (keys, values) in zip(cache.layers, before, strict=True):
        assert torch.equal(layer.keys[:, :, :6], keys)
        assert torch.equal(layer.values[:, :, :6], values)

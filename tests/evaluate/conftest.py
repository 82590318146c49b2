"""A tiny random model, and one whose every word is known."""

from types import SimpleNamespace

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM


@pytest.fixture(scope="session")
def random_model():
    """Make a GPT-NeoX of a vocabulary, with weights large enough that every token matters."""

    def random_model(vocabulary):
        torch.manual_seed(0)
        config = GPTNeoXConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=128,
            initializer_range=0.4,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=1,
        )
        return GPTNeoXForCausalLM(config).eval()

    return random_model


class Bigrams(torch.nn.Module):
    """Says what it was told to say after a token; logits 5 for that, 0 for all the others."""

    def __init__(self, vocabulary, after):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=vocabulary)
        self.table = torch.nn.Parameter(torch.zeros(vocabulary, vocabulary))
        with torch.no_grad():
            for token, following in after.items():
                self.table[token, following] = 5.0

    def forward(self, input_ids, logits_to_keep=0, **others):
        kept = slice(None) if isinstance(logits_to_keep, int) else logits_to_keep
        return SimpleNamespace(logits=self.table[input_ids][:, kept])


@pytest.fixture(scope="session")
def bigrams():
    """Make a model from {name of a token: name of the one that follows}."""

    def bigrams(corpus, after, vocabulary=None):
        ids = {name: index for index, name in enumerate(corpus.token_names)}
        pairs = {ids[token]: ids.get(other, other) for token, other in after.items()}
        return Bigrams(vocabulary or corpus.vocabulary_size, pairs)

    return bigrams

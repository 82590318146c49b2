"""A model from its size, a vocabulary and a seed."""

from __future__ import annotations

import math

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from behemoth.corpus.tokens import END_OF_DOCUMENT, PADDING

from .architecture import Architecture
from .sizes import Size

_POSITIONS = 2048  # as in the Pythia suite; rotary positions take no parameters


def padded_vocabulary(tokens: int, multiple: int) -> int:
    """Round a number of token ids up to a multiple, for the matrix units of a device."""
    return -(-tokens // multiple) * multiple


def model_config(
    size: Size,
    vocabulary: int,
    block_length: int = _POSITIONS,
    end_of_document: int = END_OF_DOCUMENT,
) -> GPTNeoXConfig:
    """Give the configuration of a model: Pythia's, at the dimensions of `size`.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Rows of the embedding and of the head, padding included.
    block_length : int
        Longest block that it trains on.
    end_of_document : int
        The token that ends a document.
    """
    return GPTNeoXConfig(
        vocab_size=vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.hidden,
        hidden_act="gelu",
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "partial_rotary_factor": 0.25,
        },
        max_position_embeddings=max(_POSITIONS, block_length),
        use_parallel_residual=True,
        tie_word_embeddings=False,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        bos_token_id=end_of_document,
        eos_token_id=end_of_document,
        pad_token_id=PADDING,
    )


def build_model(
    size: Size,
    vocabulary: int,
    *,
    seed: int = 0,
    block_length: int = _POSITIONS,
    end_of_document: int = END_OF_DOCUMENT,
) -> GPTNeoXForCausalLM:
    """Make a model with random weights: float32, on the CPU, the same for a seed everywhere.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Rows of the embedding and of the head, padding included.
    seed : int
    block_length : int
        Longest block that it trains on.
    end_of_document : int
        The token that ends a document.
    """
    # transformers draws weights of its own from the global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        model = GPTNeoXForCausalLM(model_config(size, vocabulary, block_length, end_of_document))
    initialise(model, seed)
    return model


@torch.no_grad()
def initialise(model: GPTNeoXForCausalLM, seed: int) -> None:
    """Draw all weights by a seed, with the deviations that Pythia was trained from.

    sqrt(2 / (5 width)) everywhere (Nguyen and Salazar 2019, "small init") but in the matrices
    that write to the stream, which have 2 / (layers sqrt(width)) (Wang and Komatsuzaki 2021);
    biases are 0 and the norms the identity.
    """
    names = Architecture.of(model)
    generator = torch.Generator().manual_seed(seed)
    small = math.sqrt(2 / (5 * names.width))
    output = 2 / (names.layers * math.sqrt(names.width))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:
            parameter.fill_(1.0)
    # In an order of its own: that of the module's attributes is not ours to keep.
    draws = [(names.embedding, small)]
    for layer in range(names.layers):
        draws += [(names.attention_in(layer), small), (names.attention_out(layer), output)]
        draws += [(names.mlp_in(layer), small), (names.mlp_out(layer), output)]
    for name, deviation in [*draws, (names.head, small)]:
        weight = model.get_parameter(f"{name}.weight")
        weight.normal_(0.0, deviation, generator=generator)

"""A model from its size, a vocabulary and a seed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from behemoth.corpus.tokens import END_OF_DOCUMENT, PADDING

from .architecture import Architecture
from .architectures import FAMILIES
from .sizes import Size

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_POSITIONS = 2048  # as in the Pythia suite; rotary positions take no parameters
_LEARNT_POSITIONS = 256  # those of a table do


def padded_vocabulary(tokens: int, multiple: int) -> int:
    """Round a number of token ids up to a multiple, for the matrix units of a device."""
    return -(-tokens // multiple) * multiple


def model_config(
    size: Size,
    vocabulary: int,
    block_length: int = _POSITIONS,
    end_of_document: int = END_OF_DOCUMENT,
) -> PretrainedConfig:
    """Give the configuration of a model: Pythia's, or its family's, at the dimensions of `size`.

    No dropout; positions as many as a block has, but at least 2,048 of a GPT-NeoX and of others
    with rotary positions, and 256 where positions are a table.

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
    family = FAMILIES[size.family]
    least = _POSITIONS if family.learnt_positions is None else _LEARNT_POSITIONS
    values: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "max_position_embeddings": max(least, block_length),
        "tie_word_embeddings": size.is_tied,
        "bos_token_id": end_of_document,
        "eos_token_id": end_of_document,
        "pad_token_id": PADDING,
        **(_PYTHIA if size.family == "gpt_neox" else _UNDISTURBED[family.transposed]),
        **size.settings,
    }
    values["n_inner" if size.family == "gpt2" else "intermediate_size"] = size.hidden
    if len(family.attention_inputs) > 1:
        values["num_key_value_heads"] = size.key_value_heads or size.heads
        if size.head_width is not None:
            values["head_dim"] = size.head_width
            if family.mlp_post_norm is not None and family.attention_norm is not None:
                values.setdefault("query_pre_attn_scalar", size.head_width)  # Gemma's, of its own
    return AutoConfig.for_model(size.family, **values)


_PYTHIA: dict[str, Any] = {
    "hidden_act": "gelu",
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10_000.0,
        "partial_rotary_factor": 0.25,
    },
    "use_parallel_residual": True,
    "attention_dropout": 0.0,
    "hidden_dropout": 0.0,
}
# Without dropout, by whether a family is GPT-2 or one of the others.
_UNDISTURBED: dict[bool, dict[str, Any]] = {
    True: {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    False: {"attention_dropout": 0.0},
}


def build_model(
    size: Size,
    vocabulary: int,
    *,
    seed: int = 0,
    block_length: int = _POSITIONS,
    end_of_document: int = END_OF_DOCUMENT,
) -> PreTrainedModel:
    """Make a model with random weights: float32, on the CPU, the same for a seed everywhere.

    The weights of a GPT-NeoX are drawn by `initialise`. Those of other families are what their
    own class in transformers draws (normal, of deviation `initializer_range`, 0.02; GPT-2's output
    matrices less, by the root of twice the layers), from a generator that begins with the seed:
    the same for the same versions of torch and transformers.

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
    config = model_config(size, vocabulary, block_length, end_of_document)
    # transformers draws weights of its own from the global generator, which is left as it was.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed begins those of GPUs as well
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if size.family == "gpt_neox":
        initialise(model, seed)
    return model


@torch.no_grad()
def initialise(model: PreTrainedModel, seed: int) -> None:
    """Draw all weights of a GPT-NeoX by a seed, with the deviations that Pythia was trained from.

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
        draws += [(name, small) for name in names.attention_inputs(layer)]
        draws += [(names.attention_out(layer), output)]
        draws += [(name, small) for name in names.mlp_inputs(layer)]
        draws += [(names.mlp_out(layer), output)]
    for name, deviation in [*draws, (names.head, small)]:
        weight = model.get_parameter(f"{name}.weight")
        weight.normal_(0.0, deviation, generator=generator)

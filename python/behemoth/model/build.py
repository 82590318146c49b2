"""Construction of a model from its size, a vocabulary and a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.activations import ACT2FN
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from behemoth.corpus.tokens import END_OF_DOCUMENT, PADDING
from behemoth.support.errors import ArgumentError

from .alone import MAKING
from .architecture import Architecture
from .architectures import FAMILIES
from .padding import allow_padding
from .sizes import Size

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_POSITIONS = 2048  # as in the Pythia suite; rotary positions have no parameters
_LEARNT_POSITIONS = 256  # fewer, because a table of positions has parameters


def padded_vocabulary(tokens: int, multiple: int) -> int:
    """Round a number of token ids up to a multiple, for the matrix units of a device."""
    return -(-tokens // multiple) * multiple


def model_config(
    size: Size,
    vocabulary: int,
    block_length: int = _POSITIONS,
    end_of_document: int = END_OF_DOCUMENT,
    padding: int | None = PADDING,
) -> PretrainedConfig:
    """Return the configuration of a model: Pythia's, or its family's, with the sizes of `size`.

    It has no dropout; the number of positions is the length of a block, but at least 2,048 for
    rotary positions, and at least 256 for a table of positions.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Number of rows of the embedding and of the head, including padding.
    block_length : int
        Length of the longest block that it trains on.
    end_of_document : int
        The token that ends a document.
    padding : int, optional
        A token that no text contains: some families set its embedding to 0 and never train it.

    Raises
    ------
    ArgumentError
        If the settings name an activation or rotary positions that transformers lacks.
    """
    _check_names(size.settings)
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
        "pad_token_id": padding,
        **(_PYTHIA if size.family == "gpt_neox" else _UNDISTURBED[family.transposed]),
        **size.settings,
    }
    if "rope_parameters" not in size.settings and not _ROTARY.isdisjoint(size.settings):
        values.pop("rope_parameters", None)  # transformers reads the settings' own names
    values["n_inner" if size.family == "gpt2" else "intermediate_size"] = size.hidden
    if len(family.attention_inputs) > 1:
        values["num_key_value_heads"] = size.key_value_heads or size.heads
        # Some families have a default of their own, whatever the width.
        values["head_dim"] = size.head
        if family.mlp_post_norm is not None and family.attention_norm is not None:
            values.setdefault("query_pre_attn_scalar", values["head_dim"])  # only Gemma has it
    return AutoConfig.for_model(size.family, **values)


def _check_names(settings: Mapping[str, Any]) -> None:
    """Refuse names of functions that transformers lacks, for which it raises a bare KeyError."""
    rotary = ("default", *ROPE_INIT_FUNCTIONS)
    named = [(key, settings.get(key), ACT2FN) for key in _ACTIVATIONS]
    for key in ("rope_parameters", "rope_scaling"):
        table = settings.get(key)
        if isinstance(table, Mapping):
            tables = [(key, table)]  # Gemma 3 has one for each kind of layer
            tables += [(f"{key}.{own}", each) for own, each in table.items()]
            named += [
                (f"{at}.{own}", each[own], rotary)
                for at, each in tables
                if isinstance(each, Mapping)
                for own in ("rope_type", "type")
                if own in each
            ]
    for key, name, known in named:
        if isinstance(name, str) and name not in known:
            raise ArgumentError.unknown(key, name, known)


_ACTIVATIONS = ("hidden_act", "activation_function", "hidden_activation")
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
# Names of rotary settings in the configurations that were published.
_ROTARY = frozenset(
    {"rotary_pct", "rotary_emb_base", "rope_scaling", "rope_theta", "partial_rotary_factor"}
)
# Settings without dropout: for GPT-2 (True) and for the others (False).
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
    padding: int | None = PADDING,
) -> PreTrainedModel:
    """Make a model with random weights: float32, on the CPU, reproducible by its seed.

    The weights of a GPT-NeoX are drawn by `initialise`. Those of other families are drawn by their
    own class in transformers (normal, with standard deviation `initializer_range`, 0.02; GPT-2's
    output matrices less, by the root of twice the layers), from a generator with the seed: they are
    the same for the same versions of torch and transformers.

    Parameters
    ----------
    size : Size
    vocabulary : int
        Number of rows of the embedding and of the head, including padding.
    seed : int
    block_length : int
        Length of the longest block that it trains on.
    end_of_document, padding
        See `model_config`.
    """
    config = model_config(size, vocabulary, block_length, end_of_document, padding)
    # transformers draws weights from the global generator, whose state is restored.
    with MAKING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        model = _of_config(size, config)
    if size.family == "gpt_neox":
        initialise(model, seed)
    allow_padding(model)
    return model


def shape_of(size: Size, vocabulary: int, block_length: int = _POSITIONS) -> PreTrainedModel:
    """Make a model on the device meta, which has shapes and no weights: for estimates.

    Parameters
    ----------
    size, vocabulary, block_length
        See `build_model`.
    """
    with MAKING, torch.device("meta"):
        return _of_config(size, model_config(size, vocabulary, block_length))


def _of_config(size: Size, config: PretrainedConfig) -> PreTrainedModel:
    # Before 5.22, transformers lets torch compute attention that it does not know how to cap.
    attention = "eager" if FAMILIES[size.family].caps_attention else None
    return AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation=attention
    )


@torch.no_grad()
def initialise(model: PreTrainedModel, seed: int) -> None:
    """Draw all weights of a GPT-NeoX from a seed, with the standard deviations of Pythia.

    These are sqrt(2 / (5 width)) (Nguyen and Salazar 2019, "small init") except for the matrices
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
    # In a fixed order: the order of the module's attributes may change in transformers.
    draws = [(names.embedding, small)]
    for layer in range(names.layers):
        draws += [(name, small) for name in names.attention_inputs(layer)]
        draws += [(names.attention_out(layer), output)]
        draws += [(name, small) for name in names.mlp_inputs(layer)]
        draws += [(names.mlp_out(layer), output)]
    for name, deviation in [*draws, (names.head, small)]:
        weight = model.get_parameter(f"{name}.weight")
        weight.normal_(0.0, deviation, generator=generator)

"""Families of models and the names of their parts: one table with a row for each family.

A family is a `model_type` of transformers. Properties that differ within a family follow from a
model's configuration (`architecture.Architecture`) or from a size (`sizes.Size`). This module needs
no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from behemoth.support.errors import ArgumentError

__all__ = ["FAMILIES", "Family", "find_family", "is_pythias"]


@dataclass(frozen=True)
class Family:
    """Names of a family's modules, and how they are composed.

    Parameters
    ----------
    name : str
        The `model_type` of its configurations.
    stream : str
        The model without its head; its output is the residual stream after the final norm. The
        names of `blocks`, `embedding`, `learnt_positions` and `final_norm` are relative to it.
    blocks, embedding, final_norm : str
    heads : tuple of str
        Possible names of the module from the stream to the vocabulary, which depend on the version
        of transformers.
    mlp_inputs : tuple of str
        Within a block, from the stream to the MLP's hidden units: one matrix, or gate and up.
    mlp_out : str
        From the hidden units to the stream.
    attention_inputs : tuple of str
        Queries, keys and values: one fused matrix, or three.
    attention_out : str
        From the heads to the stream.
    attention_norm, mlp_norm : str, optional
        Norms before attention and MLP; OLMo 2 has none.
    attention_post_norm, mlp_post_norm : str, optional
        Norms of the outputs of attention and MLP, before they are added to the stream.
    head_norms : tuple of str
        Norms of queries and of keys.
    transposed : bool
        Whether the matrices of blocks are [in, out], as in transformers' Conv1D.
    layer_norm : bool
        Whether norms have an offset in addition to their gain.
    biases : tuple of str
        Matrices of a block that have a bias: attention_inputs, attention_out, mlp.
    learnt_positions : str, optional
        Table of positions, if they are not rotary.
    head_norms_width : {'head', 'all'}
        Whether a norm of queries is over each head, or over all heads together.
    tied : bool
        Whether new models have one matrix for embedding and head.
    stored_head : str, optional
        Name of the head in files of weights, if it is not the module's.
    caps_attention : bool
        Whether attention logits may be capped, which torch's attention does not support:
        transformers then has none but its own.
    """

    name: str
    stream: str = "model"
    blocks: str = "layers"
    embedding: str = "embed_tokens"
    final_norm: str = "norm"
    heads: tuple[str, ...] = ("lm_head",)
    mlp_inputs: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    mlp_out: str = "mlp.down_proj"
    attention_inputs: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    attention_out: str = "self_attn.o_proj"
    attention_norm: str | None = "input_layernorm"
    mlp_norm: str | None = "post_attention_layernorm"
    attention_post_norm: str | None = None
    mlp_post_norm: str | None = None
    head_norms: tuple[str, ...] = ()
    transposed: bool = False
    layer_norm: bool = False
    biases: tuple[str, ...] = ()
    learnt_positions: str | None = None
    head_norms_width: Literal["head", "all"] = "head"
    tied: bool = False
    stored_head: str | None = None
    caps_attention: bool = False

    @property
    def block_norms(self) -> int:
        """Number of norms of a block, except those of queries and keys."""
        names = (
            self.attention_norm, self.mlp_norm, self.attention_post_norm, self.mlp_post_norm
        )  # fmt: skip
        return sum(name is not None for name in names)


_LLAMA = Family("llama")
_QK_NORMS = ("self_attn.q_norm", "self_attn.k_norm")
_GEMMA2 = replace(
    _LLAMA,
    name="gemma2",
    attention_post_norm="post_attention_layernorm",
    mlp_norm="pre_feedforward_layernorm",
    mlp_post_norm="post_feedforward_layernorm",
    tied=True,
    caps_attention=True,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "gpt_neox",
            stream="gpt_neox",
            embedding="embed_in",
            final_norm="final_layer_norm",
            heads=("lm_head", "embed_out"),
            stored_head="embed_out",
            mlp_inputs=("mlp.dense_h_to_4h",),
            mlp_out="mlp.dense_4h_to_h",
            attention_inputs=("attention.query_key_value",),
            attention_out="attention.dense",
            layer_norm=True,
            biases=("attention_inputs", "attention_out", "mlp"),
        ),
        Family(
            "gpt2",
            stream="transformer",
            blocks="h",
            embedding="wte",
            final_norm="ln_f",
            mlp_inputs=("mlp.c_fc",),
            mlp_out="mlp.c_proj",
            attention_inputs=("attn.c_attn",),
            attention_out="attn.c_proj",
            attention_norm="ln_1",
            mlp_norm="ln_2",
            transposed=True,
            layer_norm=True,
            biases=("attention_inputs", "attention_out", "mlp"),
            learnt_positions="wpe",
            tied=True,
        ),
        _LLAMA,
        replace(_LLAMA, name="qwen2", biases=("attention_inputs",)),
        replace(_LLAMA, name="qwen3", head_norms=_QK_NORMS),
        replace(
            _LLAMA,
            name="olmo2",
            attention_norm=None,
            attention_post_norm="post_attention_layernorm",
            mlp_norm=None,
            mlp_post_norm="post_feedforward_layernorm",
            head_norms=_QK_NORMS,
            head_norms_width="all",
        ),
        _GEMMA2,
        replace(_GEMMA2, name="gemma3_text", head_norms=_QK_NORMS, caps_attention=False),
    )
}


def is_pythias(config: Mapping[str, Any]) -> bool:
    """Return whether a GPT-NeoX has the structure of those of the Pythia suite, and no dropout.

    Parameters
    ----------
    config : mapping
        Content of a ``config.json``; what is missing is the family's default.
    """
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return bool(
        config.get("use_parallel_residual", True)
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("attention_bias", True)
        and isinstance(rotary, Mapping)
        and rotary.get("rope_type", rotary.get("type", "default")) == "default"
        and not config.get("attention_dropout")
        and not config.get("hidden_dropout")
    )


def find_family(config: Mapping[str, Any], name: str = "model") -> Family:
    """Return the family of a configuration.

    Parameters
    ----------
    config : mapping
        Content of a ``config.json``.
    name : str
        Name of the argument in errors.

    Raises
    ------
    ArgumentError
        When its `model_type` is unknown, or tokens attend to later ones.
    """
    kind = config.get("model_type")
    if kind is None:
        raise ArgumentError(f"{name}.model_type", None, ", ".join(FAMILIES))
    if f"{kind}_text" in FAMILIES:  # of images too, with the model of text inside it
        raise ArgumentError(name, kind, ", ".join(FAMILIES), f"{kind}_text")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ArgumentError.unknown(name, str(kind), FAMILIES)
    if both := config.get("use_bidirectional_attention"):
        raise ArgumentError(f"{name}.use_bidirectional_attention", both,
                            "false: a token is predicted from those before it")  # fmt: skip
    return FAMILIES[kind]

"""Sizes of models: those of the Pythia suite, three smaller ones, and two of each other family.

Pythia's dimensions are those of Biderman et al. 2023 (arXiv 2304.01373), table 1, and of the
suite's own configurations for 14m and 31m. `pico` (so small that few facts fill it), `nano` and
`micro` keep the family's proportions: an MLP four times as wide as the stream, heads of 32 (as 14m
and 31m have), a quarter of each head rotated. `nano` and `micro` of other families have the same
width, layers and heads; gated MLPs, with three matrices instead of two, are two thirds as
wide, rounded up to a multiple of 32, and in gated families except OLMo 2 two heads share one head
of keys and values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from behemoth.support.errors import ArgumentError, nearest

from .architectures import FAMILIES, find_family
from .config_numbers import check_numbers


@dataclass(frozen=True)
class Size:
    """Dimensions of a model.

    Parameters
    ----------
    name : str
    width : int
        Size of the residual stream.
    layers : int
    heads : int
        Number of attention heads of a layer.
    hidden : int
        Number of hidden units of a layer's MLP.
    family : str
        A name of `FAMILIES`.
    key_value_heads : int, optional
        Number of heads of keys and values; equal to `heads` by default.
    head_width : int, optional
        Size of a head; `width` / `heads` by default.
    tied : bool, optional
        Whether embedding and head are one matrix; the family's default by default.
    settings : mapping
        Further settings of a configuration, with their names in transformers.
    """

    name: str
    width: int
    layers: int
    heads: int
    hidden: int
    family: str = "gpt_neox"
    key_value_heads: int | None = None
    head_width: int | None = None
    tied: bool | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_tied(self) -> bool:
        """Whether embedding and head are one matrix."""
        return FAMILIES[self.family].tied if self.tied is None else self.tied

    @property
    def head(self) -> int:
        """Size of a head."""
        return self.head_width or self.width // self.heads

    @property
    def all_heads(self) -> int:
        """Size of all heads of a layer together."""
        return self.heads * self.head

    @property
    def parameters(self) -> int:
        """Number of parameters without embedding, positions and head, which depend on the corpus.

        The count assumes the family's defaults: biases that `settings` add or remove are ignored.
        """
        family = FAMILIES[self.family]
        queries, keys = self.all_heads, (self.key_value_heads or self.heads) * self.head
        inputs, hidden = queries + 2 * keys, len(family.mlp_inputs) * self.hidden
        block = self.width * (inputs + queries) + self.width * (hidden + self.hidden)
        biases = {"attention_inputs": inputs, "attention_out": self.width,
                  "mlp": hidden + self.width}  # fmt: skip
        block += sum(biases[name] for name in family.biases)
        norm = self.width * (2 if family.layer_norm else 1)
        block += family.block_norms * norm
        if family.head_norms:
            block += 2 * self.head if family.head_norms_width == "head" else queries + keys
        return self.layers * block + norm

    def parameters_with(self, vocabulary: int) -> int:
        """Return the number of parameters except positions, with `vocabulary` token ids."""
        return self.parameters + (1 if self.is_tied else 2) * vocabulary * self.width

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str = "config") -> Size:
        """Return the size of a configuration of transformers.

        Parameters
        ----------
        config : mapping
            Content of a ``config.json``; no dimension has a default, except that the hidden size of
            GPT-2 is 4 times the width.
        name : str
            Name of the argument in errors.

        Raises
        ------
        ArgumentError
            For an unknown family, for dimensions that are missing, not positive integers, or do
            not fit each other, and for numbers that `check_numbers` refuses.
        """
        family = find_family(config, name)
        values: dict[str, Any] = {}
        for key, names in _DIMENSIONS.items():
            value = next((config[own] for own in names if config.get(own) is not None), None)
            if key == "hidden" and value is None and family.name == "gpt2" and "width" in values:
                value = 4 * values["width"]
            required = key in ("width", "layers", "heads", "hidden")
            if (required or value is not None) and (not isinstance(value, int) or value < 1):
                shown = repr(value) if isinstance(value, str) else value
                raise ArgumentError(f"{name}.{names[0]}", shown, "a whole number from 1")
            values[key] = value
        if values["width"] % values["heads"] and values["head_width"] is None:
            raise ArgumentError(f"{name}.num_attention_heads", values["heads"],
                                f"a divisor of the width {values['width']}")  # fmt: skip
        head = values["head_width"] or values["width"] // values["heads"]
        # Newer versions of transformers say so too. A GPT-NeoX turns only a part of its head.
        if head % 2 and family.learnt_positions is None and family.name != "gpt_neox":
            raise ArgumentError(f"{name}.head_dim", head,
                                "an even number, as rotary positions turn pairs")  # fmt: skip
        shared = values["key_value_heads"]
        if len(family.attention_inputs) > 1 and shared and values["heads"] % shared:
            raise ArgumentError(f"{name}.num_key_value_heads", shared,
                                f"a divisor of the {values['heads']} heads")  # fmt: skip
        check_numbers(config, name)
        own = {key for names in _DIMENSIONS.values() for key in names}
        kept = {key: value for key, value in config.items() if key not in own | _NOT_OURS}
        return cls(family.name, **values, family=family.name,
                   tied=config.get("tie_word_embeddings"), settings=kept)  # fmt: skip


# Names of dimensions in configurations: the usual name, and GPT-2's.
_DIMENSIONS = {
    "width": ("hidden_size", "n_embd"),
    "layers": ("num_hidden_layers", "n_layer"),
    "heads": ("num_attention_heads", "n_head"),
    "hidden": ("intermediate_size", "n_inner"),
    "key_value_heads": ("num_key_value_heads",),
    "head_width": ("head_dim",),
}
# Keys of a configuration about its origin, its code, its tokens or its training.
_NOT_OURS = frozenset(
    {
        "model_type", "architectures", "auto_map", "_name_or_path", "transformers_version",
        "torch_dtype", "dtype", "quantization_config", "attn_implementation",
        "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
        "_experts_implementation_internal", "vocab_size", "tie_word_embeddings",
        "max_position_embeddings", "n_positions", "n_ctx", "bos_token_id", "eos_token_id",
        "pad_token_id", "unk_token_id", "attention_dropout", "hidden_dropout", "resid_pdrop",
        "embd_pdrop", "attn_pdrop", "use_cache", "torchscript", "task_specific_params",
    }
)  # fmt: skip


def _others() -> list[Size]:
    """Return `nano` and `micro` of the families other than GPT-NeoX."""
    found = []
    for name, family in FAMILIES.items():
        if name == "gpt_neox":
            continue
        for size, width, layers, heads in (("nano", 128, 3, 4), ("micro", 192, 4, 6)):
            gated = len(family.mlp_inputs) == 2
            hidden = -(-8 * width // 3 // 32) * 32 if gated else 4 * width
            shares = gated and name != "olmo2"
            found.append(
                Size(
                    f"{name.removesuffix('_text')}-{size}", width, layers, heads, hidden, name,
                    heads // 2 if shares else None, width // heads if gated else None,
                )
            )  # fmt: skip
    return found


SIZES: dict[str, Size] = {
    size.name: size
    for size in (
        Size("pico", 64, 2, 2, 256),
        Size("nano", 128, 3, 4, 512),
        Size("micro", 192, 4, 6, 768),
        Size("14m", 128, 6, 4, 512),
        Size("31m", 256, 6, 8, 1024),
        Size("70m", 512, 6, 8, 2048),
        Size("160m", 768, 12, 12, 3072),
        Size("410m", 1024, 24, 16, 4096),
        *_others(),
    )
}


def find_size(name: str) -> Size:
    """Return the size with a name.

    Raises
    ------
    ArgumentError
        When there is none; the message suggests the nearest name, but none of another family.
    """
    if isinstance(name, str) and name in SIZES:
        return SIZES[name]
    family, dash, _ = str(name).rpartition("-")
    families = {size.rpartition("-")[0]: None for size in SIZES if "-" in size}
    own = nearest(family, families)
    near = [size for size in SIZES if not dash or size.rpartition("-")[0] == own]
    raise ArgumentError("model", name, ", ".join(SIZES), nearest(str(name), near))


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of sizes in the order of `SIZES`, small ones first in a family, others last."""
    places = {name: place for place, name in enumerate(SIZES)}
    return sorted(names, key=lambda name: places.get(name, len(places)))

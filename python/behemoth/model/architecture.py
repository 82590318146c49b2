"""What GPT-NeoX calls its parts: the one place that knows.

The residual of a block is parallel, ``h + attention(norm_1 h) + mlp(norm_2 h)``: attention of the
same block never reaches the MLP's input. Queries, keys and values are the rows of one matrix,
interleaved by head: ``[head, 3, head_dim]``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn


__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """Names of modules, by layer from 0.

    Attributes
    ----------
    layers : int
        Number of blocks.
    heads : int
        Number of attention heads of a block.
    width : int
        Size of the residual stream.
    head : str
        From the residual stream to the vocabulary; its name depends on the version of
        transformers.
    stream : str
        All but the head; its output is the residual stream behind the final norm.
    embedding, final_norm : str
        From the vocabulary to the residual stream; the last norm before the head.
    frequencies : str
        Buffer of the rotary positions' inverse frequencies, float32[rotated / 2].
    """

    layers: int
    heads: int
    width: int
    head: str
    stream: str = "gpt_neox"
    embedding: str = "gpt_neox.embed_in"
    final_norm: str = "gpt_neox.final_layer_norm"
    frequencies: str = "gpt_neox.rotary_emb.inv_freq"

    @classmethod
    def of(cls, model: nn.Module) -> Architecture:
        """The architecture of a model.

        Raises
        ------
        ValueError
            For a model that is no GPT-NeoX.
        """
        config = getattr(model, "config", None)
        kind = getattr(config, "model_type", type(model).__name__)
        if config is None or kind != "gpt_neox":
            raise ArgumentError("model", kind, "gpt_neox")
        modules = dict(model.named_modules())
        head = next(name for name in ("lm_head", "embed_out") if name in modules)
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        return cls(layers, heads, config.hidden_size, head)

    def block(self, layer: int) -> str:
        """A whole block; its output is the residual stream after it."""
        return f"gpt_neox.layers.{layer}"

    def mlp_in(self, layer: int) -> str:
        """From the residual stream to the MLP's hidden units."""
        return f"{self.block(layer)}.mlp.dense_h_to_4h"

    def mlp_out(self, layer: int) -> str:
        """From the MLP's hidden units (its input is the edited fact's key) to the stream."""
        return f"{self.block(layer)}.mlp.dense_4h_to_h"

    def attention_in(self, layer: int) -> str:
        """From the residual stream to queries, keys and values."""
        return f"{self.block(layer)}.attention.query_key_value"

    def attention_out(self, layer: int) -> str:
        """From the heads to the residual stream."""
        return f"{self.block(layer)}.attention.dense"

    def attention_norm(self, layer: int) -> str:
        """The norm before the attention."""
        return f"{self.block(layer)}.input_layernorm"

    def mlp_norm(self, layer: int) -> str:
        """The norm before the MLP; both norms read the same stream."""
        return f"{self.block(layer)}.post_attention_layernorm"

    def linear_modules(
        self, part: Literal["mlp", "attention", "both"], layers: Iterable[int] | None = None
    ) -> list[str]:
        """Linear modules of a part, layer by layer; of all layers by default."""
        names = []
        for layer in range(self.layers) if layers is None else layers:
            if part in ("attention", "both"):
                names += [self.attention_in(layer), self.attention_out(layer)]
            if part in ("mlp", "both"):
                names += [self.mlp_in(layer), self.mlp_out(layer)]
        return names

    def split_qkv(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of `attention_in`, [3 * width, ...], as queries, keys and values, [width, ...]."""
        shape = (self.heads, 3, self.width // self.heads, *rows.shape[1:])
        query, key, value = rows.reshape(shape).unbind(1)
        return query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)

    def join_qkv(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The inverse of `split_qkv`."""
        parts = [rows.unflatten(0, (self.heads, -1)) for rows in (query, key, value)]
        stacked = parts[0].new_empty(self.heads, 3, *parts[0].shape[1:])
        for place, rows in enumerate(parts):
            stacked[:, place] = rows
        return stacked.flatten(0, 2)

"""Names of the parts of a model, whatever its family.

The residual of a block of GPT-NeoX is parallel, ``h + attention(norm_1 h) + mlp(norm_2 h)``:
attention of the same block never reaches the MLP's input. Other families are sequential:
``h' = h + attention(norm_1 h)``, then ``h' + mlp(norm_2 h')``. In both cases the output of an MLP
is added to the block's output, either unchanged or, in OLMo 2 and Gemma, after a separate norm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from behemoth.support.errors import ArgumentError

from .architectures import FAMILIES, Family

if TYPE_CHECKING:
    from torch import Tensor, nn


__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """Names of a model's modules; layers are numbered from 0.

    Attributes
    ----------
    family : Family
    layers : int
        Number of blocks.
    heads : int
        Number of attention heads of a block.
    width : int
        Size of the residual stream.
    head : str
        Name of the module from the residual stream to the vocabulary.
    soft_cap : float, optional
        Bound c of the logits, c tanh(logits / c), after the head.
    """

    family: Family
    layers: int
    heads: int
    width: int
    head: str
    soft_cap: float | None = None

    @classmethod
    def of(cls, model: nn.Module) -> Architecture:
        """Return the architecture of a model.

        Raises
        ------
        ArgumentError
            For a model of an unknown family.
        """
        config = getattr(model, "config", None)
        kind = getattr(config, "model_type", type(model).__name__)
        if config is None or kind not in FAMILIES:
            raise ArgumentError("model", kind, ", ".join(FAMILIES))
        family = FAMILIES[kind]
        modules = dict(model.named_modules())
        head = next(name for name in family.heads if name in modules)
        return cls(
            family,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.hidden_size,
            head,
            getattr(config, "final_logit_softcapping", None),
        )

    @property
    def stream(self) -> str:
        """The model without its head; its output is the residual stream after the final norm."""
        return self.family.stream

    @property
    def embedding(self) -> str:
        """The module from the vocabulary to the residual stream."""
        return f"{self.stream}.{self.family.embedding}"

    @property
    def final_norm(self) -> str:
        """The last norm before the head."""
        return f"{self.stream}.{self.family.final_norm}"

    @property
    def frequencies(self) -> str:
        """Buffer of the rotary positions' inverse frequencies, float32[rotated / 2]."""
        return f"{self.stream}.rotary_emb.inv_freq"

    @property
    def transposed(self) -> bool:
        """Whether the matrices of blocks are [in, out] instead of [out, in]."""
        return self.family.transposed

    def block(self, layer: int) -> str:
        """Return the name of a block; its output is the residual stream after it."""
        return f"{self.stream}.{self.family.blocks}.{layer}"

    def mlp_inputs(self, layer: int) -> tuple[str, ...]:
        """Return the modules from the stream to the MLP's hidden units; gate and up if gated."""
        return tuple(f"{self.block(layer)}.{name}" for name in self.family.mlp_inputs)

    def mlp_out(self, layer: int) -> str:
        """Return the module from the MLP's hidden units (the edited fact's key) to the stream."""
        return f"{self.block(layer)}.{self.family.mlp_out}"

    def attention_inputs(self, layer: int) -> tuple[str, ...]:
        """Return the modules from the stream to queries, keys and values; one if fused."""
        return tuple(f"{self.block(layer)}.{name}" for name in self.family.attention_inputs)

    def attention_out(self, layer: int) -> str:
        """Return the module from the heads to the residual stream."""
        return f"{self.block(layer)}.{self.family.attention_out}"

    def attention_norm(self, layer: int) -> str | None:
        """Return the norm before the attention, or None if the family has none."""
        return self._norm(layer, self.family.attention_norm)

    def mlp_norm(self, layer: int) -> str | None:
        """Return the norm before the MLP, or None if the family has none."""
        return self._norm(layer, self.family.mlp_norm)

    def mlp_post_norm(self, layer: int) -> str | None:
        """Return the norm of the MLP's output, or None if the family has none."""
        return self._norm(layer, self.family.mlp_post_norm)

    def _norm(self, layer: int, name: str | None) -> str | None:
        return None if name is None else f"{self.block(layer)}.{name}"

    def linear_modules(
        self, part: Literal["mlp", "attention", "both"], layers: Iterable[int] | None = None
    ) -> list[str]:
        """Return the linear modules of a part, layer by layer; of all layers by default."""
        names: list[str] = []
        for layer in range(self.layers) if layers is None else layers:
            if part in ("attention", "both"):
                names += [*self.attention_inputs(layer), self.attention_out(layer)]
            if part in ("mlp", "both"):
                names += [*self.mlp_inputs(layer), self.mlp_out(layer)]
        return names

    def logits(self, head: nn.Module, hidden: Tensor) -> Tensor:
        """Return the logits [..., V] of a residual stream.

        Parameters
        ----------
        head : nn.Module
            The module `head` of the model.
        hidden : [..., width] tensor
            The stream after the final norm.
        """
        logits: Tensor = head(hidden)
        if self.soft_cap is None:
            return logits
        return (logits / self.soft_cap).tanh() * self.soft_cap

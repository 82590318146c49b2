"""A context: tokens that a model reads before every input.

It is a change of the module that contains the embedding and the blocks, so that callers of the
model, with or without a cache of keys and values, receive the logits and the residual stream at
their own input tokens only. The outputs of blocks inside include the tokens of the context.

Shape letters: K edits, C tokens of the longest context, B rows, T input tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from behemoth.corpus.tokens import PADDING
from behemoth.support.errors import ArgumentError

from .module import ModuleChange, seated

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

    from .delta import EditDelta

__all__ = ["Context", "context_tokens", "longest_context", "positions_left", "positions_of"]

_NONE = -1  # beyond the end of a shorter context
_ASKED = "_behemoth_asked"  # attribute of a cache: input tokens of its first pass, without context


@dataclass(frozen=True, eq=False)
class Context(ModuleChange):
    """Tokens that the model reads before each row, without returning outputs at them.

    Attributes
    ----------
    tokens : int64 [n]
        In a stack [K, C], with -1 beyond the end of a shorter context.
    """

    tokens: Tensor

    def __repr__(self) -> str:
        return f"Context({int((self.tokens >= 0).sum())} tokens)"

    @classmethod
    def stacked(cls, each: Sequence[Self | None]) -> Self:
        """Pad each on the right; an edit without a context has nothing before its rows."""
        like = next(one.tokens for one in each if one is not None)
        longest = max(len(one.tokens) for one in each if one is not None)
        tokens = like.new_full((len(each), longest), _NONE)
        for place, one in enumerate(each):
            if one is not None:
                tokens[place, : len(one.tokens)] = one.tokens
        return cls(tokens)

    def check(self, name: str, module: nn.Module) -> None:
        """See `ModuleChange.check`: the module needs input embeddings for all of the tokens."""
        words: Any = getattr(module, "get_input_embeddings", lambda: None)()
        if words is None:
            kind = type(module).__name__
            raise ArgumentError("model", f"{name}, a {kind}", "embedding and blocks there")
        count = words.weight.shape[0]
        if int(self.tokens.max()) >= count:
            raise ArgumentError(
                "model", f"{name} of {count} words", "a model with the edit's words"
            )

    def attach(self, module: nn.Module) -> list[RemovableHandle]:
        """See `ModuleChange.attach`."""
        before = module.register_forward_pre_hook(self._begin, with_kwargs=True)
        after = module.register_forward_hook(self._end, with_kwargs=True)
        return [before, after]

    def _begin(
        self, module: nn.Module, inputs: tuple[Any, ...], said: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Prepend the context to the first tokens of a sequence, and shift position ids."""
        import torch

        from behemoth.model.prefix import cache_of

        ids: Tensor | None = inputs[0] if inputs else said.get("input_ids")
        mask: Tensor | None = said.get("attention_mask")
        if ids is None or (mask is not None and mask.ndim != 2):
            raise ArgumentError(
                "model",
                "input embeddings or a prepared attention mask",
                "token ids, with or without a mask [rows, tokens], for a model edited by a context",
            )
        rows, asked = ids.shape
        own_bc = self.tokens.repeat_interleave(rows // len(self.tokens), 0)
        count_b1 = (own_bc != _NONE).sum(1, keepdim=True)
        width, cache = own_bc.shape[1], cache_of(said)
        seen = 0 if cache is None else int(cache.get_seq_length())
        first = asked if not seen else getattr(cache, _ASKED)  # tokens of the first pass
        before = max(seen - width, 0)  # that were asked before those at hand
        _check_room(module, int(count_b1.max()), before + asked)
        if mask is None:
            mask = ids.new_ones(rows, before + asked)
        # Each row is its context, then its input, then padding, which no token attends to in this
        # pass. With the padding between context and input, some rows would begin with tokens that
        # attend to nothing, which gives NaN in some families.
        column = torch.arange(width + first, device=ids.device) - count_b1
        inside = (column >= 0) & (column < first)
        place = torch.where(column < 0, column + count_b1, column.clamp(0, first - 1) + width)
        there = torch.cat([torch.ones_like(own_bc), mask[:, :first]], 1).gather(1, place)
        mask = torch.cat([there.masked_fill(column >= first, 0), mask[:, first:]], 1)
        places: Tensor | None = said.get("position_ids")
        if seen:
            if places is None:
                places = torch.arange(before, before + asked, device=ids.device)[None]
            places = places + count_b1
        else:
            ids = torch.cat([own_bc, ids], 1).gather(1, place).masked_fill(column >= first, PADDING)
            if places is not None:
                shifted = places.expand(rows, -1) + count_b1
                column = torch.arange(width + first, device=ids.device).expand(rows, -1)
                own = torch.cat([column[:, :width], shifted], 1).gather(1, place)
                places = torch.where(inside, own, column)
        more = {"input_ids": ids, "position_ids": places, "attention_mask": mask}
        if (not seen and bool(there[inside | (column < 0)].all())) or bool(mask.all()):
            more["attention_mask"] = None  # attention is faster without a mask
        return (), {**said, **more}

    def _end(self, _: nn.Module, __: tuple[Any, ...], said: dict[str, Any], output: Any) -> Any:
        """Remove the outputs at the tokens of the context."""
        import torch

        from behemoth.model.prefix import cache_argument, cache_of

        stream = output[0] if isinstance(output, tuple) else output.last_hidden_state
        cache = cache_of(said) or getattr(output, cache_argument(), None)
        if cache is not None and int(cache.get_seq_length()) > stream.shape[1]:
            return output  # the context was in the cache already
        rows, width = stream.shape[0], self.tokens.shape[1]
        asked = stream.shape[1] - width
        if cache is not None:
            setattr(cache, _ASKED, asked)
        count_k1 = (self.tokens != _NONE).sum(1, keepdim=True)
        count_b1 = count_k1.repeat_interleave(rows // len(count_k1), 0)
        place = torch.arange(asked, device=stream.device) + count_b1
        stream = stream.gather(1, place[..., None].expand(-1, -1, stream.shape[2]))
        if isinstance(output, tuple):
            return (stream, *output[1:])
        output.last_hidden_state = stream
        return output


def positions_left(model: nn.Module, delta: EditDelta | None = None) -> int:
    """Return the maximum length of an input after a context in the model or in `delta`."""
    return positions_of(model) - context_tokens(model, delta)


def positions_of(model: nn.Module) -> int:
    """Return the number of positions of a model; a large one if its configuration has none."""
    config = getattr(model, "config", None)
    return int(getattr(config, "max_position_embeddings", 1 << 20))


def context_tokens(model: nn.Module, delta: EditDelta | None = None) -> int:
    """Return the tokens of the context, in the model or in `delta`, that each row reads first."""
    inside = [change for module in model.modules() for change in seated(module)]
    return max(_longest(inside), 0 if delta is None else longest_context([delta]))


def longest_context(deltas: Iterable[EditDelta]) -> int:
    """Return the number of tokens of the longest context of some deltas; 0 without any."""
    return max((_longest(delta.of_modules.values()) for delta in deltas), default=0)


def _longest(changes: Iterable[ModuleChange]) -> int:
    found = (change.tokens.numel() for change in changes if isinstance(change, Context))
    return max(found, default=0)


def _check_room(module: nn.Module, before: int, asked: int) -> None:
    if before + asked > (most := positions_of(module)):
        raise ArgumentError(
            "model",
            f"{asked} tokens after a context of {before}",
            f"{most} tokens together, the positions of the model",
        )

"""Padded rows without an attention mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["allow_padding"]

_WARNING = "warn_if_padding_and_no_attention_mask"


def allow_padding(model: nn.Module) -> None:
    """Let a model take padded rows without an attention mask, and without a line on stderr.

    Padding is at the end of rows, where no token before it attends to it, and what is computed for
    it is not read; attention is faster without a mask. To warn of it, transformers looks for it in
    each forward pass of a GPT-2, which on a GPU waits for all work before.
    """
    for module in model.modules():
        if hasattr(module, _WARNING):
            setattr(module, _WARNING, _nothing)


def _nothing(*_: object) -> None:
    pass

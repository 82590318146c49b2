"""Input and output of one matrix, and the loss of each row's answer.

Shape letters: n rows, T positions, a answer tokens, V words, i inputs, o outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.edit.locate.keys import watching
from behemoth.model.architecture import Architecture
from behemoth.model.labels import IGNORED
from behemoth.model.modules import backbone
from behemoth.model.precision import widened

__all__ = ["answer_losses", "answering", "deciding", "mean_losses", "seen_by"]


def deciding(labels_nt: Tensor) -> tuple[Tensor, Tensor]:
    """Return where answer tokens are predicted, one position before them: rows, columns, int64 [p].

    They are in the order of the rows, and of the tokens in a row.
    """
    rows, columns = torch.nonzero(labels_nt != IGNORED, as_tuple=True)
    return rows, columns - 1


@torch.no_grad()
def seen_by(model: nn.Module, name: str, tokens_nt: Tensor) -> tuple[Tensor, Tensor]:
    """Return a module's input [n, T, i] and output [n, T, o]."""
    with watching(model.get_submodule(name)) as seen:
        backbone(model)(input_ids=tokens_nt, use_cache=False)
    return seen["input"], seen["output"]


def answer_losses(model: nn.Module, tokens_nt: Tensor, labels_nt: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of each row's answer tokens, in nats: [n].

    A row's loss does not depend on the other rows.
    """
    rows, columns = deciding(labels_nt)
    hidden = backbone(model)(input_ids=tokens_nt, use_cache=False)[0]
    architecture = Architecture.of(model)
    head = model.get_submodule(architecture.head)
    logits = architecture.logits(head, hidden[rows, columns])
    return mean_losses(logits, labels_nt[rows, columns + 1], rows, len(tokens_nt))


def mean_losses(logits_av: Tensor, labels_a: Tensor, rows_a: Tensor, count: int) -> Tensor:
    """Return the mean negative log-likelihood of answer tokens by row, in nats: [count]."""
    nll = F.cross_entropy(widened(logits_av), labels_a, reduction="none")
    tokens = torch.bincount(rows_a, minlength=count)
    return nll.new_zeros(count).index_add(0, rows_a, nll) / tokens


@contextmanager
def answering(module: nn.Module, answer: Callable[[Tensor, Tensor], Tensor]) -> Generator[None]:
    """Replace a module's output by `answer(input, output)` while entered."""

    def hook(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return answer(inputs[0], output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()

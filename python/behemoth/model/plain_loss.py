"""The loss of a batch through a model's own forward pass, for models without fused blocks.

If attention stays inside documents, each document is a separate row (`Rows`), so that no mask
is needed and positions, rotary or learnt, begin at 0 in each. Otherwise the model is called once,
with positions, from which transformers separates documents.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .architecture import Architecture
from .cross_entropy import cross_entropy_sum
from .documents import Rows
from .labels import IGNORED
from .modules import backbone

__all__ = ["PlainLoss", "predicting"]


class PlainLoss(nn.Module):
    """Sum of the negative log-likelihoods of a batch, for a model of any family.

    Parameters
    ----------
    model : nn.Module
    dtype : torch.dtype
        dtype of the matrix products: float32, or bfloat16 by autocast.
    compiled : bool
        If true, use `torch.compile` up to the last norm.
    in_rows : bool
        Whether documents are rows, which are as many calls of the model as there are groups of
        lengths: false for a model that several processes hold in parts, as all of them must call
        it equally often. A compiled model, whose shapes do not vary, never has rows.
    """

    def __init__(
        self,
        model: nn.Module,
        dtype: torch.dtype = torch.float32,
        *,
        compiled: bool = False,
        in_rows: bool = True,
    ) -> None:
        super().__init__()
        self.model = model
        self._names, self._dtype = Architecture.of(model), dtype
        # A tuple prevents that modules are registered twice.
        self._parts = (backbone(model), model.get_submodule(self._names.head))
        self._in_rows = in_rows and not compiled
        self._through = torch.compile(self._run, dynamic=False) if compiled else self._run

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the sum over the labels that are not -100: a float32 scalar.

        Parameters
        ----------
        batch : mapping
            ``input_ids`` and ``labels`` (not shifted), int64[B, T], and optionally
            ``position_ids``, int32[B, T], with which attention stays inside documents, and
            ``label_places``, as `predicting` takes it.
        """
        ids, positions = batch["input_ids"], batch.get("position_ids")
        if positions is None or not self._in_rows:
            stream = self._through(ids, positions)
        else:
            # On a GPU a call of a small model costs more than the padding that it would save. Only
            # where lengths differ much, as of facts among filler, it is 6 to 17 times the tokens.
            rows = Rows.of(positions, grouped=ids.device.type == "cpu")
            laid = ids.flatten().index_select(0, rows.tokens)
            streams = [self._through(group, None).flatten(0, 1) for group in rows.groups(laid)]
            stream = torch.cat(streams).index_select(0, rows.places).view(*ids.shape, -1)
        hidden, labels = predicting(stream, ids, batch["labels"], batch.get("label_places"))
        head = self._parts[1]
        # A head with a hook, such as an editing memory, computes more than its weight does.
        plain = not head._forward_hooks and getattr(head, "bias", None) is None
        if self._names.soft_cap is None and plain:
            weight = head.get_parameter("weight").to(self._dtype)
            return cross_entropy_sum(hidden.to(self._dtype), weight, labels)
        with torch.autocast(ids.device.type, self._dtype, enabled=self._dtype != torch.float32):
            logits = self._names.logits(head, hidden)
        return F.cross_entropy(logits.float(), labels, reduction="sum")

    def _run(self, ids: Tensor, positions: Tensor | None) -> Tensor:
        """Return the stream after the last norm: [B, T, D]."""
        with torch.autocast(ids.device.type, self._dtype, enabled=self._dtype != torch.float32):
            return self._parts[0](input_ids=ids, position_ids=positions, use_cache=False)[0]


def predicting(
    stream: Tensor, ids: Tensor, labels: Tensor, places: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the stream where tokens with loss are predicted, [N, D], and these tokens, int64[N].

    Parameters
    ----------
    stream : [B, T, D] tensor
    ids, labels : int64[B, T] tensor
        Not shifted; if `labels` is the tensor `ids` itself, all tokens have loss.
    places : int64[N] tensor, optional
        Where ``labels[:, 1:]``, flattened, is not -100. Without them they are looked for, and the
        program waits until a GPU has counted them.
    """
    shifted = labels[:, 1:].reshape(-1)
    if labels is ids:
        return stream[:, :-1].flatten(0, 1), shifted
    # Positions without loss need no norm and no logits.
    chosen = (shifted != IGNORED).nonzero()[:, 0] if places is None else places
    return stream[:, :-1].reshape(-1, stream.shape[2])[chosen], shifted[chosen]

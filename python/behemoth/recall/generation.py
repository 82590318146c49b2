"""Greedy generation in batches, with the same results as one prompt at a time.

Prompts are sorted by length, so that those of one template, which mostly have one length, need
no padding; the padding that remains is on the right. There the causal mask of the first pass hides
it, every row has a token to attend to, and rotary positions count from each prompt's own start. The
passes that follow hide it by an attention mask. A sliding window counts padding too: rows that
exceed it pass anew for each token, without cached keys and values, so that padding stays behind.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from behemoth.corpus.tokens import END_OF_DOCUMENT, PADDING, PERIOD
from behemoth.model.device import find_device
from behemoth.model.modes import evaluating
from behemoth.model.prefix import cache_argument
from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError

from .ragged import Ragged

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STOP = frozenset({END_OF_DOCUMENT, PERIOD})


@dataclass(frozen=True)
class Decoded:
    """Output of a model for one batch of prompts.

    Parameters
    ----------
    rows : intp[B]
        Indices of the prompts.
    tokens : int64[B, T]
        Generated tokens, at most `most` of them; those from `lengths` on are undefined.
    lengths : int64[B]
        Number of tokens before the one that stopped the generation, or of all if none did.
    finished : bool[B]
        Whether a stop token was generated.
    logits : float32[B, A, V] tensor
        The logits of each token of the answer to a prompt, after the prompt and the preceding
        tokens of the answer; A is the length of the longest answer of the batch, and logits beyond
        an answer's end are undefined. Without answers, those of the first generated token.
    """

    rows: NDArray[np.intp]
    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]
    finished: NDArray[np.bool_]
    logits: torch.Tensor


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    most: int = 16,
    stop: Collection[int] = STOP,
    batch_size: int = 512,
    device: torch.device | str | None = None,
) -> list[list[int]]:
    """Continue prompts greedily until a stop token, which is excluded.

    Parameters
    ----------
    model : PreTrainedModel
    prompts : sequence of sequence of int
        Token ids, at least one per prompt.
    most : int
        Maximum number of tokens of a continuation, including the stop token.
    stop : collection of int
        Token ids that end a continuation; by default the period and the end of a document.
    batch_size : int
        Number of prompts per pass.
    device : optional
        Device of the model, which stays where it is: another one is refused.

    Returns
    -------
    list of list of int
        One continuation per prompt.

    Raises
    ------
    ArgumentError
        As `decode`.
    """
    found: list[list[int]] = [[] for _ in prompts]
    for batch in decode(
        model, Ragged.of(prompts), None, most=most, stop=stop, batch_size=batch_size, device=device
    ):
        for row, tokens, length in zip(batch.rows, batch.tokens, batch.lengths, strict=True):
            found[row] = tokens[:length].tolist()
    return found


def decode(
    model: PreTrainedModel,
    prompts: Ragged,
    answers: Ragged | None,
    *,
    most: int,
    stop: Collection[int] = STOP,
    batch_size: int = 512,
    device: torch.device | str | None = None,
) -> Iterator[Decoded]:
    """Continue prompts and score answers to them in the same passes, batch by batch.

    Parameters
    ----------
    model, stop, batch_size, device
        See `generate`.
    prompts : Ragged
    answers : Ragged, optional
        One answer per prompt, of at least one token.
    most : int
        Maximum number of tokens to generate, including the stop token.

    Raises
    ------
    ArgumentError
        When a prompt has no tokens, `most` or `batch_size` is below 1, or `device` is not that of
        the model.
    """
    for name, value in (("most", most), ("batch_size", batch_size)):
        whole_number(name, value, 1)
    for name, ragged in (("prompts", prompts), ("answers", answers)):
        if ragged is not None and len(ragged) and ragged.lengths.min() < 1:
            raise ArgumentError(name, "one without tokens", "1 or more tokens")
    place = device_of(model, device)
    scored = np.ones(len(prompts), np.int64) if answers is None else answers.lengths
    # By number of tokens in the first pass: the prompt and all but an answer's last token.
    order = np.lexsort((prompts.lengths, prompts.lengths + scored))
    with evaluating(model), torch.no_grad():
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            yield decode_batch(model, prompts, answers, rows, most, frozenset(stop), place)


def decode_batch(
    model: PreTrainedModel,
    prompts: Ragged,
    answers: Ragged | None,
    rows: NDArray[np.intp],
    most: int,
    stop: frozenset[int],
    device: torch.device,
    *,
    exactly: bool = False,
) -> Decoded:
    """Continue one batch of prompts, and score their answers; the model is in evaluation mode.

    Parameters
    ----------
    model : PreTrainedModel
    prompts : Ragged
    answers : Ragged, optional
        Answers to score, one per prompt; by default none.
    rows : intp[B]
        Numbers of the prompts of the batch.
    most : int
        Maximum number of tokens of a continuation, including the stop token.
    stop : frozenset of int
        Token ids that end a continuation.
    device : torch.device
        Device of the model, to which the prompts go.
    exactly : bool
        Stop as soon as all continuations have ended or differ from their answers, which tells
        whether they are exactly these in fewer passes.
    """
    first = _first_pass(model, prompts, answers, rows, device)
    wanted = None
    if exactly and answers is not None:
        wanted = torch.from_numpy(answers.padded(rows, most, -1)).to(device)
    generated = _greedy(model, prompts, rows, first, most, stop, wanted)
    ends_here = np.isin(generated, list(stop))
    ended = np.logical_or.reduce(ends_here, axis=1)
    lengths = np.where(ended, ends_here.argmax(1), generated.shape[1])
    return Decoded(rows, generated, lengths, ended, first.logits)


@dataclass(frozen=True)
class _FirstPass:
    """The pass over a batch of prompts and answers, from which the generation goes on.

    Parameters
    ----------
    logits : float32[B, A, V] tensor
        See `Decoded`.
    cache : DynamicCache
        Keys and values of its tokens.
    mask : int64[B, W] tensor, optional
        1 for the tokens of prompts and 0 for others; None if there are no others.
    """

    logits: torch.Tensor
    cache: DynamicCache
    mask: torch.Tensor | None


def _first_pass(
    model: PreTrainedModel,
    prompts: Ragged,
    answers: Ragged | None,
    rows: NDArray[np.intp],
    device: torch.device,
) -> _FirstPass:
    """Make the first pass, and keep the logits of the tokens of the answers."""
    ends = prompts.lengths[rows]
    scored = np.ones_like(ends) if answers is None else answers.lengths[rows]
    widths = ends + scored - 1
    width = int(widths.max())
    tokens = prompts.padded(rows, width, PADDING)
    longest = int(scored.max())
    if answers is not None and longest > 1:
        # For the generation the answer's tokens are padding, for its score they are context.
        row, column = np.nonzero(np.arange(longest - 1) < (scored - 1)[:, None])
        tokens[row, ends[row] + column] = answers.padded(rows, longest - 1, PADDING)[row, column]
    cache = DynamicCache()
    # Logits are computed only at positions that some row needs: few, as rows are sorted.
    base = int(ends.min()) - 1
    beyond = min(int(ends.max()) + longest - 1, width)
    logits = model(
        input_ids=torch.from_numpy(tokens).to(device),
        use_cache=True,
        logits_to_keep=torch.arange(base, beyond, device=device),
        **{cache_argument(): cache},
    ).logits
    places = torch.from_numpy(places_of(ends, longest, logits.shape[1])).to(device)
    logits = logits[torch.arange(len(rows), device=device)[:, None], places].float()
    mask = None
    if (ends < width).any():
        stops = torch.from_numpy(ends).to(device)
        mask = (torch.arange(width, device=device) < stops[:, None]).long()
    return _FirstPass(logits, cache, mask)


def _greedy(
    model: PreTrainedModel,
    prompts: Ragged,
    rows: NDArray[np.intp],
    first: _FirstPass,
    most: int,
    stop: frozenset[int],
    wanted: torch.Tensor | None,
) -> NDArray[np.int64]:
    """Return the most probable tokens after prompts, until all rows have ended: int64[B, T].

    Rows end with a stop token, or where they differ from `wanted`, int64[B, most], below 0 at
    positions where every token will do.
    """
    ends = prompts.lengths[rows]
    named, cache, mask = cache_argument(), first.cache, first.mask
    known = cache.get_seq_length()  # the tokens of a context included
    gaps = mask is not None or known > ends.max()
    anew = gaps and known + most - 1 > _window(model)
    token = first.logits[:, 0].argmax(-1)
    stops = torch.from_numpy(ends).to(token.device)
    ending = torch.tensor(sorted(stop), device=token.device)
    made = [token]
    finished = torch.isin(token, ending)
    for step in range(most - 1):
        if wanted is not None:
            finished |= (token != wanted[:, step]) & (wanted[:, step] >= 0)
        if bool(finished.all()):
            break
        if anew:
            token = _continued(model, prompts, rows, torch.stack(made, 1))
        else:
            more: dict[str, Any] = {named: cache}
            if mask is not None:
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
                more |= {"attention_mask": mask, "position_ids": (stops + step)[:, None]}
            token = model(input_ids=token[:, None], use_cache=True, **more).logits[:, -1].argmax(-1)
        made.append(token)
        finished |= torch.isin(token, ending)
    return torch.stack(made, 1).cpu().numpy()


def _window(model: PreTrainedModel) -> float:
    """Return the number of places that a token of a sliding layer attends to; infinite for none."""
    window = getattr(model.config, "sliding_window", None)
    types = getattr(model.config, "layer_types", None) or ("sliding_attention",)
    return math.inf if window is None or "sliding_attention" not in types else window


def _continued(
    model: PreTrainedModel, prompts: Ragged, rows: NDArray[np.intp], made: torch.Tensor
) -> torch.Tensor:
    """Return the token after prompts and those that were made after each, int64[B, t]: int64[B]."""
    lengths, count = prompts.lengths[rows], made.shape[1]
    ends = torch.from_numpy(lengths).to(made.device)
    width = int(lengths.max()) + count
    tokens = torch.from_numpy(prompts.padded(rows, width, PADDING)).to(made.device)
    tokens.scatter_(1, ends[:, None] + torch.arange(count, device=made.device), made)
    last = ends + count - 1
    kept = torch.arange(int(last.min()), width, device=made.device)
    logits = model(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits
    return logits[torch.arange(len(rows), device=made.device), last - last.min()].argmax(-1)


def places_of(ends: NDArray[np.int64], longest: int, computed: int) -> NDArray[np.int64]:
    """Return where the logits of each token of the answers are among those of a pass: int64[B, A].

    Parameters
    ----------
    ends : int64[B]
        Lengths of the prompts.
    longest : int
        Number of tokens of the longest answer.
    computed : int
        Number of positions with logits; the first is the last token of the shortest prompt.
    """
    places = (ends - ends.min())[:, None] + np.arange(longest)
    return np.minimum(places, computed - 1)


def device_of(model: PreTrainedModel, device: torch.device | str | None = None) -> torch.device:
    """Return the device of a model, which its prompts go to.

    Parameters
    ----------
    model : PreTrainedModel
    device : optional
        The one that was asked for: that of the model, without a number any GPU if it is on one, or
        auto, which is any. Of a model whose weights are loaded when they are used, which are on
        meta, it is where its prompts go.

    Raises
    ------
    ArgumentError
        If it is not available, or the model is on another one.
    """
    place = next(model.parameters()).device
    if device is not None and str(device) != "auto":
        asked = find_device(device)
        if place.type == "meta":
            return asked
        same = asked.type == place.type and asked.index in (None, place.index or 0)
        if not same:
            raise ArgumentError(
                "device", device, f"{place}, where the model is (`model.to` moves it)"
            )
    return place

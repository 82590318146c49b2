"""Scores of probes: generations and log-probabilities of a model, or of K edited models at a time.

Probabilities and free generation come from the same passes. The answers of a probe mostly differ
in their last token only, and then one pass scores them all; a refusal, or a word of several tokens,
needs another pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from behemoth.delta.tiles import tiles
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.observe import inputs_of
from behemoth.recall.generation import Decoded, decode_batch, places_of
from behemoth.recall.judging import (
    among_objects,
    matches,
    rank_among,
    said_answers,
    token_log_probabilities,
)
from behemoth.recall.ragged import Ragged

from .divergence import divergences
from .prompted import Prompted
from .row_scores import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.delta.stack import StackedDeltas
    from behemoth.recall.words import Words

    from .unedited import Unedited

__all__ = ["memorised", "score", "score_old", "score_pair", "score_stacked"]


@dataclass(frozen=True)
class _Found:
    """What was found of a model without edits, enough to make its logits again.

    Attributes
    ----------
    scores : Scores
        Scores of n probes.
    states : list of float[b, T, D] tensors
        What the head was given in each pass over some of them.
    """

    scores: Scores
    states: list[Tensor]

    @property
    def nbytes(self) -> int:
        return self.scores.nbytes + sum(own.nbytes for own in self.states)


def score(model: PreTrainedModel, asked: Prompted, *, batch_size: int = 512) -> Scores:
    """Score every probe with a model in its current state."""
    scores = Scores.empty(len(asked))
    if len(asked):
        every = np.arange(len(asked))
        with evaluating(model), torch.no_grad():
            _score_base(model, asked, every, scores, batch_size)
            _score_apart(model, None, asked, every, [every], scores, batch_size)
    return scores


def score_old(
    model: PreTrainedModel, asked: Prompted, *, batch_size: int = 512
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Score only the old answers, in fewer passes than `score`.

    Returns
    -------
    match : bool[n]
        As `Scores.match` of the old answer.
    log_probability : float64[n]
        As `Scores.log_probability` of it.
    """
    match, log_probability = np.zeros(len(asked), np.bool_), np.zeros(len(asked))
    order = np.argsort(asked.widths, kind="stable")
    with evaluating(model), torch.no_grad():
        for tile in tiles([order], asked.widths, batch_size):
            own = tile.ravel()
            decoded = _pass(model, asked, "old", own, int(asked.most[own].max()), exactly=True)
            _, each = _answered(asked, "old", decoded, own)
            log_probability[own] = each.sum(1).cpu().numpy()
            _, made, finished = _generated(asked, decoded, own)
            match[own] = finished & matches(decoded.tokens, made, asked.answers["old"], own)
    return match, log_probability


def memorised(
    model: PreTrainedModel, asked: Prompted, *, batch_size: int = 512
) -> NDArray[np.float64]:
    """Return the share of the tokens of each old answer that are the likeliest: float64[n].

    Each token is asked for after the right ones before it (teacher forcing).
    """
    share = np.zeros(len(asked))
    if not len(asked):
        return share
    order = np.argsort(asked.widths, kind="stable")
    with evaluating(model), torch.no_grad():
        for tile in tiles([order], asked.widths, batch_size):
            own = tile.ravel()
            logits = _pass(model, asked, "old", own, 1).logits
            lengths = asked.answers["old"].lengths[own]
            token = asked.answers["old"].padded(own, logits.shape[1], -1)
            share[own] = (logits.argmax(2).cpu().numpy() == token).sum(1) / lengths
    return share


def score_pair(
    model: PreTrainedModel, edited: PreTrainedModel, asked: Prompted, *, batch_size: int = 512
) -> tuple[Scores, Scores]:
    """Score every probe with a model and with another one, whose divergence is from the first."""
    before, after = Scores.empty(len(asked)), Scores.empty(len(asked))
    if len(asked):
        every = np.arange(len(asked))
        with evaluating(model), evaluating(edited), torch.no_grad():
            for tile in tiles([every], asked.widths, batch_size):
                own = np.sort(tile.ravel())
                reference = _score_base(model, asked, own, before, batch_size)
                decoded = _pass(edited, asked, "old", own, int(asked.most[own].max()))
                _judge(asked, decoded, own, own, after, reference)
            _score_apart(model, None, asked, every, [every], before, batch_size)
            _score_apart(edited, None, asked, every, [every], after, batch_size)
    return before, after


def score_stacked(
    model: PreTrainedModel,
    stacked: StackedDeltas,
    asked: Prompted,
    probes: NDArray[np.intp],
    rows: Sequence[NDArray[np.intp]],
    before: Scores,
    after: Scores,
    *,
    batch_size: int = 512,
    unedited: Unedited | None = None,
) -> None:
    """Score rows of K edited models in shared passes, and their probes without edits.

    Parameters
    ----------
    model : PreTrainedModel
    stacked : StackedDeltas
        Stack of K edits.
    asked : Prompted
    probes : intp[m]
        Probe of each row.
    rows : sequence of intp[n_k]
        Rows of each edit, at least one per edit.
    before : Scores
        Output without edits, by probe; filled for the probes that occur.
    after : Scores
        Output with edits, by row.
    batch_size : int
        Number of rows per pass.
    unedited : Unedited, optional
        What is known of the model without edits, which is then not asked again.
    """
    widths = asked.widths[probes]
    every = np.unique(np.concatenate([probes[own] for own in rows]))
    with evaluating(model), torch.no_grad():
        for tile in tiles(rows, widths, batch_size):
            flat = tile.ravel()
            own = probes[flat]
            base = np.unique(own)
            reference = _score_base(model, asked, base, before, batch_size, unedited)
            with stacked.attached():
                decoded = _pass(model, asked, "old", own, int(asked.most[own].max()))
            place = torch.from_numpy(np.searchsorted(base, own)).to(reference.device)
            _judge(asked, decoded, own, flat, after, reference[place])
        _score_apart_base(model, asked, every, before, batch_size, unedited)
        _score_apart(model, stacked, asked, probes, rows, after, batch_size)


def _pass(
    model: PreTrainedModel,
    asked: Prompted,
    name: str,
    own: NDArray[np.intp],
    most: int,
    *,
    exactly: bool = False,
) -> Decoded:
    device = next(model.parameters()).device
    return decode_batch(
        model, asked.prompts, asked.answers[name], own, most, asked.words.stop, device,
        exactly=exactly,
    )  # fmt: skip


def _score_base(
    model: PreTrainedModel,
    asked: Prompted,
    base: NDArray[np.intp],
    scores: Scores,
    batch_size: int,
    unedited: Unedited | None = None,
) -> Tensor:
    """Score probes, in ascending order; return log-probabilities where the word begins: [n, V]."""
    order = base[np.argsort(asked.widths[base], kind="stable")]
    passes = [tile.ravel() for tile in tiles([order], asked.widths, batch_size)]
    if unedited is None:
        parts = [_score_pass(model, asked, own, scores) for own in passes]
    else:
        # Other rows in a pass may round differently: the same pass is the same question.
        question = ("probes", asked.fingerprint, base.tobytes(), batch_size)
        known = unedited.find(question, _Found)
        if known is None:
            states, parts = list[Tensor](), list[Tensor]()
            for own in passes:
                with inputs_of(_head(model)) as inputs:
                    parts.append(_score_pass(model, asked, own, scores))
                states.append(inputs[0])  # of the prompts; the others are of generated tokens
            unedited.keep(question, _Found(scores.of(base), states))
        else:
            scores.put(base, known.scores)
            parts = [
                _at_word(asked, _logits(model, asked, own, states), own)
                for own, states in zip(passes, known.states, strict=True)
            ]
    found = torch.cat(parts)
    back = torch.from_numpy(np.argsort(order, kind="stable")).to(found.device)
    return found[back]


def _score_pass(
    model: PreTrainedModel, asked: Prompted, own: NDArray[np.intp], scores: Scores
) -> Tensor:
    decoded = _pass(model, asked, "old", own, int(asked.most[own].max()))
    return _judge(asked, decoded, own, own, scores, None)


def _head(model: PreTrainedModel) -> nn.Module:
    return model.get_submodule(Architecture.of(model).head)


def _logits(
    model: PreTrainedModel, asked: Prompted, own: NDArray[np.intp], states: Tensor
) -> Tensor:
    """Return the logits of a pass over probes, as `decode_batch` does: [n, A, V]."""
    logits = Architecture.of(model).logits(_head(model), states)
    longest = int(asked.answers["old"].lengths[own].max())
    places = torch.from_numpy(places_of(asked.prompts.lengths[own], longest, logits.shape[1]))
    rows = torch.arange(len(own), device=logits.device)[:, None]
    return logits[rows, places.to(logits.device)].float()


def _at_word(asked: Prompted, logits: Tensor, own: NDArray[np.intp]) -> Tensor:
    """Return log-probabilities where the object's word begins, from logits [n, A, V]: [n, V].

    In float64: the terms of a small divergence cancel, and float32 would leave about 1e-7.
    """
    start = torch.from_numpy(asked.marked[own])
    return logits[torch.arange(len(own)), start].double().log_softmax(1)


def _score_apart_base(
    model: PreTrainedModel,
    asked: Prompted,
    every: NDArray[np.intp],
    before: Scores,
    batch_size: int,
    unedited: Unedited | None,
) -> None:
    """Score the answers of probes that need passes of their own, with the model without edits."""
    names = ("true", "new")
    question = ("apart", asked.fingerprint, every.tobytes(), batch_size)
    known = None if unedited is None else unedited.find(question, np.ndarray)
    if known is None:
        _score_apart(model, None, asked, np.arange(len(asked)), [every], before, batch_size)
        if unedited is not None:
            values = [before.log_probability[name][every] for name in names]
            unedited.keep(question, np.stack(values))
        return
    for name, values in zip(names, known, strict=True):
        own = asked.apart[name][every]
        before.log_probability[name][every[own]] = values[own]


def _score_apart(
    model: PreTrainedModel,
    stacked: StackedDeltas | None,
    asked: Prompted,
    probes: NDArray[np.intp],
    rows: Sequence[NDArray[np.intp]],
    scores: Scores,
    batch_size: int,
) -> None:
    """Score the answers that differ from the old one in more than their last token."""
    for name in ("true", "new"):
        apart = asked.apart[name]
        chosen = [own[apart[probes[own]]] for own in rows]
        if not any(map(len, chosen)):
            continue
        # Every edit of the stack needs a row; rows of edits that have none are discarded.
        chosen = [some if len(some) else own[:1] for some, own in zip(chosen, rows, strict=True)]
        widths = (asked.prompts.lengths + asked.answers[name].lengths - 1)[probes]
        for tile in tiles(chosen, widths, batch_size):
            flat = tile.ravel()
            own = probes[flat]
            with nullcontext() if stacked is None else stacked.attached():
                decoded = _pass(model, asked, name, own, 1)
            _, each = _answered(asked, name, decoded, own)
            kept = apart[own]
            scores.log_probability[name][flat[kept]] = each.sum(1).cpu().numpy()[kept]


def _judge(
    asked: Prompted,
    decoded: Decoded,
    own: NDArray[np.intp],
    rows: NDArray[np.intp],
    scores: Scores,
    reference: Tensor | None,
) -> Tensor:
    """Write the results of one pass over probes `own` to positions `rows` of the scores."""
    logits, lengths = decoded.logits, asked.answers["old"].lengths[own]
    token, each = _answered(asked, "old", decoded, own)
    total = each.sum(1)
    last = each.gather(1, torch.from_numpy(lengths - 1).to(each.device)[:, None])[:, 0]
    scores.log_probability["old"][rows] = total.cpu().numpy()
    scores.extraction[rows] = _extraction_strength(logits, token, lengths)
    at_last = logits[torch.arange(len(own)), torch.from_numpy(lengths - 1)]
    for name in ("true", "new"):
        kept = asked.there[name][own] & ~asked.apart[name][own]
        ends = _last_tokens(asked.answers[name], own)
        mine = at_last.gather(1, torch.from_numpy(ends).to(logits.device)[:, None])[:, 0]
        value = (total - last) + (mine - at_last.logsumexp(1)).double()
        scores.log_probability[name][rows[kept]] = value.cpu().numpy()[kept]
    at_word = _at_word(asked, logits, own)
    _place_objects(asked, own, rows, scores, at_word, total - last)
    if reference is not None:
        scores.divergence[rows] = divergences(reference, at_word).cpu().numpy()
    _judge_generated(asked, decoded, own, rows, scores)
    return at_word


def _answered(
    asked: Prompted, name: str, decoded: Decoded, own: NDArray[np.intp]
) -> tuple[NDArray[np.int64], Tensor]:
    """Return the tokens of answers and their log-probabilities: [n, A] each."""
    answers = asked.answers[name]
    token = answers.padded(own, decoded.logits.shape[1], 0)
    return token, token_log_probabilities(decoded.logits, token, answers.lengths[own])


def _place_objects(
    asked: Prompted,
    own: NDArray[np.intp],
    rows: NDArray[np.intp],
    scores: Scores,
    at_word: Tensor,
    before_word: Tensor,
) -> None:
    """Write ranks of the true objects, and the mean probability of the wrong ones."""
    true, old = asked.answers["true"], asked.answers["old"]
    width = int(max(true.lengths[own].max(), old.lengths[own].max()))
    each = np.arange(len(own))
    lead = true.padded(own, width, -1)[each, asked.marked[own]]
    right = old.padded(own, width, -1)[each, asked.marked[own]]
    for relation, chosen, leading, among in among_objects(
        at_word, asked.relation[own], asked.words
    ):
        scores.rank[rows[chosen]] = rank_among(among, leading, lead[chosen])
        if asked.words.single[relation]:
            spot = torch.from_numpy(np.searchsorted(leading, right[chosen])).to(among.device)[
                :, None
            ]
            others = among.scatter(1, spot, -torch.inf).logsumexp(1) - np.log(len(leading) - 1)
            prefix = before_word[torch.from_numpy(chosen).to(before_word.device)]
            scores.log_probability["wrong"][rows[chosen]] = (others + prefix).cpu().numpy()


def _extraction_strength(
    logits: Tensor, token: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return 1 - k / n, with k the shortest prefix of an answer after which the rest is predicted.

    Carlini et al., 2021 as in Wang et al., 2024 (arXiv 2406.09179, equation 3). For a model that
    does not even predict the last token, k is n, and there is no credit.
    """
    said = logits.argmax(2).cpu().numpy() == token
    columns = np.arange(token.shape[1])
    wrong = ~said & (columns < lengths[:, None])
    prefix = np.where(wrong, columns + 1, 0).max(1)
    return 1.0 - prefix / lengths


def _last_tokens(answers: Ragged, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    return answers.flat[np.cumsum(answers.lengths)[rows] - 1]


def _judge_generated(
    asked: Prompted,
    decoded: Decoded,
    own: NDArray[np.intp],
    rows: NDArray[np.intp],
    scores: Scores,
) -> None:
    tokens = decoded.tokens
    lengths_said, made, finished = _generated(asked, decoded, own)
    for name, answers in asked.answers.items():
        said_it = finished & matches(tokens, made, answers, own)
        scores.match[name][rows] = said_it & asked.there[name][own]
    marker = asked.answers["old"].padded(own, 1, -1)[:, 0]
    scores.valid[rows] = finished & asked.words.valid(
        tokens, made, asked.marked[own], marker, asked.relation[own]
    )
    for row, probe, line, length in zip(
        rows.tolist(), own.tolist(), tokens.tolist(), lengths_said.tolist(), strict=True
    ):
        said = line[:length]
        scores.generated[row] = asked.text(said)
        scores.leaked[row] = _contains(said, asked.targets[probe], asked.words)


def _generated(
    asked: Prompted, decoded: Decoded, own: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return numbers of generated tokens, lengths of answers, and whether these are complete."""
    return said_answers(
        decoded, asked.most[own], asked.filler[own], asked.relation[own], asked.words
    )


def _contains(said: list[int], word: list[int], words: Words) -> bool:
    size = len(word)
    return size > 0 and any(
        said[place : place + size] == word and words.ends_at(said, place + size)
        for place in range(len(said) - size + 1)
    )

"""Target vectors: the change of an MLP's output at a token with which a model gives new answers.

A vector added to the MLP's output at the edited token is optimised until the model gives the new
answers (Meng et al. 2022, arXiv 2202.05262, equation 4). The vectors of all sites are rows of one
tensor and are optimised together, with one forward and backward pass per step. Each row's loss uses
only its own sentences, so its result is the same as alone.

Shape letters: n sentences, T positions, a answer tokens of all sentences, s sites, d residual
stream, v vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from behemoth.corpus.tokens import PADDING
from behemoth.edit.batch import first_difference
from behemoth.model.architecture import Architecture
from behemoth.model.modules import backbone
from behemoth.model.precision import wide_type, widened
from behemoth.support.progress import Advance, silent

from .budget import TargetBudget
from .sites import Sentence, Site

__all__ = ["Targets", "optimise_targets"]

_CHUNK = 1 << 26  # logits per pass: about 1 GB with their gradients


@dataclass(frozen=True)
class Targets:
    """Target vectors, with the failures and traces of their search.

    Attributes
    ----------
    deltas_sd : float64 [s, d]
        The vectors; zero if the search failed.
    failures : list of str or None
        The reason of a failure, by site.
    traces : list of list of dict
        By site and step: ``step``, ``edit`` (the site's first), ``loss`` and, if there is an old
        answer, ``log_probability_new`` and ``log_probability_old`` of the first token in which old
        and new answer differ.
    """

    deltas_sd: Tensor
    failures: list[str | None]
    traces: list[list[dict[str, Any]]]


def optimise_targets(
    model: nn.Module,
    layer: int,
    sites: Sequence[Site],
    origins_sd: Tensor,
    budget: TargetBudget,
    tell: Advance = silent,
) -> Targets:
    """Find a vector for each site.

    Parameters
    ----------
    model : nn.Module
        In eval mode; no gradient reaches its parameters.
    layer : int
        The vectors are added to this layer's MLP output, which is the same as to its block's
        output unless there is a norm in between.
    sites : sequence of Site
    origins_sd : float [s, d]
        Vectors whose norms scale those of the target vectors. If there is a norm between MLP and
        residual stream, the MLP's outputs.
    budget : TargetBudget
    tell : callable, optional
        Called with (done, total) sites.
    """
    parts = []
    head = model.get_submodule(Architecture.of(model).head)
    vocabulary = next(head.parameters()).shape[0]
    answers = max(_answer_tokens(site) for site in sites)
    step = max(1, _CHUNK // (answers * vocabulary))
    for first in range(0, len(sites), step):
        own = slice(first, first + step)
        search = _Search(model, layer, sites[own], origins_sd[own], budget)
        parts.append(search.run())
        tell(min(first + step, len(sites)), len(sites))
    return Targets(
        torch.cat([part.deltas_sd for part in parts]),
        [failure for part in parts for failure in part.failures],
        [trace for part in parts for trace in part.traces],
    )


class _Search:
    """The search for the vectors of some sites in one batch."""

    def __init__(
        self,
        model: nn.Module,
        layer: int,
        sites: Sequence[Site],
        origins_sd: Tensor,
        budget: TargetBudget,
    ) -> None:
        architecture = Architecture.of(model)
        self.model, self.sites, self.budget = model, sites, budget
        self.device = next(model.parameters()).device
        self.module = model.get_submodule(architecture.mlp_out(layer))
        self.head = model.get_submodule(architecture.head)
        self.logits = architecture.logits
        self.width = origins_sd.shape[1]
        self.dtype = wide_type(next(model.parameters()).dtype)
        origins_sd = origins_sd.to(self.device, self.dtype)
        self.unit_s = origins_sd.new_ones(len(origins_sd))
        if architecture.mlp_post_norm(layer) is not None:
            # Before a norm the MLP's output may have any scale, so steps are relative to it.
            self.unit_s = origins_sd.square().mean(1).sqrt()
        self.norm_s = origins_sd.norm(dim=1) / self.unit_s
        self.rows = _Rows(sites, self.device)
        with torch.no_grad():
            kept = self.rows.kept_a
            self.reference_av = self._log_probabilities(None)[kept]

    def run(self) -> Targets:
        """Optimise the vectors and return them."""
        budget, count = self.budget, len(self.sites)
        delta_sd = torch.zeros(count, self.width, dtype=self.dtype, device=self.device)
        delta_sd.requires_grad_()
        optimiser = torch.optim.Adam([delta_sd], lr=budget.learning_rate)
        done_s = torch.zeros(count, dtype=torch.bool, device=self.device)
        further, said_s = budget.further_steps(), torch.zeros_like(done_s, dtype=torch.int64)
        failures: list[str | None] = [None] * count
        traces: list[list[dict[str, Any]]] = [[] for _ in self.sites]
        for step in range(budget.steps + 1):
            loss_s, scores = self._losses(delta_sd)
            self._record(step, loss_s, scores, done_s, traces)
            for s, loss in enumerate(loss_s.tolist()):
                if not math.isfinite(loss) and not done_s[s]:
                    failures[s] = f"loss {loss} at step {step} of the target vector"
            done_s |= ~loss_s.isfinite() | (loss_s < budget.stop_loss)
            if further is not None:
                gives_s = self._gives(scores)
                said_s += gives_s
                done_s |= gives_s & (said_s > further)
            if step == budget.steps or bool(done_s.all()):
                break
            before_sd = delta_sd.detach().clone()
            optimiser.zero_grad(set_to_none=True)
            torch.where(done_s, torch.zeros_like(loss_s), loss_s).sum().backward()
            optimiser.step()
            with torch.no_grad():
                largest_s = budget.clamp * self.norm_s
                scale_s = (largest_s / delta_sd.norm(dim=1).clamp_min(1e-30)).clamp(max=1.0)
                delta_sd.mul_(scale_s[:, None])
                # Adam's momentum moves all vectors: one that is done is restored.
                delta_sd.copy_(torch.where(done_s[:, None], before_sd, delta_sd))
        found_sd = (delta_sd.detach() * self.unit_s[:, None]).double()
        broken = torch.tensor([failure is not None for failure in failures], device=self.device)
        return Targets(found_sd.masked_fill(broken[:, None], 0.0), failures, traces)

    def _losses(self, delta_sd: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each site [s], and log-probabilities at all answer tokens [a, v]."""
        rows, count = self.rows, len(self.sites)
        scores_av = self._log_probabilities(delta_sd)
        nll_a = -scores_av.gather(1, rows.label_a[:, None]).squeeze(1)
        edited = ~rows.kept_a
        loss_s = _site_means(nll_a[edited], rows.share_a[edited], rows.site_a[edited], count)
        if len(self.reference_av):
            kept_av = scores_av[rows.kept_a]
            divergence_a = (kept_av.exp() * (kept_av - self.reference_av)).sum(1)
            kept = rows.kept_a
            loss_s = loss_s + self.budget.keep * _site_means(
                divergence_a, rows.share_a[kept], rows.site_a[kept], count
            )
        length_s = delta_sd.norm(dim=1) ** self.budget.decay_power
        penalty_s = length_s / self.norm_s.square().clamp_min(1e-30)
        return loss_s + self.budget.decay * penalty_s, scores_av.detach()

    def _gives(self, scores_av: Tensor) -> Tensor:
        """Return whether the new answer is the likeliest in all edited sentences of a site: [s]."""
        rows = self.rows
        missed_a = (scores_av.argmax(1) != rows.label_a) & ~rows.kept_a
        missed_s = torch.zeros(len(self.sites), dtype=torch.int64, device=self.device)
        return missed_s.index_add(0, rows.site_a, missed_a.long()) == 0

    def _log_probabilities(self, delta_sd: Tensor | None) -> Tensor:
        """Return the log-probabilities at every answer token, with the vectors added: [a, v]."""
        rows = self.rows
        added_sd = None if delta_sd is None else delta_sd * self.unit_s[:, None]
        with _adding(self.module, rows, added_sd):
            hidden = backbone(self.model)(input_ids=rows.tokens_nt, use_cache=False)[0]
        logits = self.logits(self.head, hidden[rows.row_a, rows.column_a])
        return widened(logits).log_softmax(-1)

    def _record(
        self,
        step: int,
        loss_s: Tensor,
        scores_av: Tensor,
        done_s: Tensor,
        traces: list[list[dict[str, Any]]],
    ) -> None:
        rows, count = self.rows, len(self.sites)
        at, new, old, site = rows.parting.T
        share = torch.ones(len(at), device=self.device)
        new_s = _site_means(scores_av[at, new], share, site, count).tolist()
        old_s = _site_means(scores_av[at, old], share, site, count).tolist()
        parted = set(site.tolist())
        for s, (site, loss) in enumerate(zip(self.sites, loss_s.tolist(), strict=True)):
            if done_s[s]:
                continue
            row: dict[str, Any] = {"step": step, "edit": site.edits[0], "loss": loss}
            if s in parted:  # no other has a token that its answers do not share
                row |= {"log_probability_new": new_s[s], "log_probability_old": old_s[s]}
            traces[s].append(row)


class _Rows:
    """The sentences of sites as tensors, edited ones after every prefix.

    Attributes
    ----------
    tokens_nt : int64 [n, T]
    place_n, site_n : int64 [n]
        Index of the edited token, and number of its site.
    row_a, column_a, label_a, site_a : int64 [a]
        For each answer token: row and column at which it is predicted, the token, and its site.
    kept_a : bool [a]
        Whether it belongs to a kept sentence.
    share_a : float [a]
        One over the number of tokens of its answer.
    parting : int64 [m, 4]
        For every edited sentence without a prefix whose old and new answer differ, where they first
        do: index into the answer tokens, new token, old token and site.
    """

    def __init__(self, sites: Sequence[Site], device: torch.device) -> None:
        texts: list[tuple[int, ...]] = []
        place: list[int] = []
        owner: list[int] = []
        answers: list[tuple[int, int, int, int, bool, float]] = []
        parting: list[tuple[int, int, int, int]] = []
        for s, site in enumerate(sites):
            for sentence, prefix, kept in _sentences(site):
                start = len(prefix) + len(sentence.prompt)
                part = None
                if not (prefix or kept):
                    part = first_difference(sentence.answer, sentence.old_answer)
                if part is not None:
                    parting.append((len(answers) + part[0], part[1], part[2], s))
                for i, token in enumerate(sentence.answer):
                    share = 1 / len(sentence.answer)
                    answers.append((len(texts), start + i - 1, token, s, kept, share))
                place.append(len(prefix) + sentence.place)
                owner.append(s)
                texts.append(prefix + sentence.prompt + sentence.answer[:-1])
        self.tokens_nt = torch.full((len(texts), max(map(len, texts))), PADDING, device=device)
        for n, text in enumerate(texts):
            self.tokens_nt[n, : len(text)] = torch.tensor(text)
        self.place_n = torch.tensor(place, device=device)
        self.site_n = torch.tensor(owner, device=device)
        columns = [torch.tensor(column, device=device) for column in zip(*answers, strict=True)]
        self.row_a, self.column_a, self.label_a, self.site_a, self.kept_a, self.share_a = columns
        self.parting = torch.tensor(parting, dtype=torch.int64, device=device).view(-1, 4)


def _sentences(site: Site) -> Iterator[tuple[Sentence, tuple[int, ...], bool]]:
    """Yield the sentences of a site with their prefixes, and whether they are kept."""
    for sentence in site.edited:
        for prefix in site.prefixes:
            yield sentence, prefix, False
    for sentence in site.kept:
        yield sentence, (), True


def _answer_tokens(site: Site) -> int:
    return sum(len(sentence.answer) for sentence, _, _ in _sentences(site))


def _site_means(values: Tensor, share: Tensor, site: Tensor, count: int) -> Tensor:
    """Return means over sentences of means over their tokens, by site; 0 for a site without any."""
    share = share.to(values.dtype)
    sums = values.new_zeros(count).index_add(0, site, values * share)
    return sums / values.new_zeros(count).index_add(0, site, share).clamp_min(1e-30)


def _adding(
    module: nn.Module, rows: _Rows, delta_sd: Tensor | None
) -> AbstractContextManager[object]:
    """Add each site's vector to a module's output, at the edited token, while entered."""
    if delta_sd is None:
        return nullcontext()

    def add(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        number = torch.arange(len(rows.place_n), device=output.device)
        index = (number, rows.place_n)
        return output.index_put(index, delta_sd[rows.site_n].to(output.dtype), accumulate=True)

    return module.register_forward_hook(add)

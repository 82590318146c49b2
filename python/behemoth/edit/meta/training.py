"""Editors trained on edits of other facts: the new answer said, and all else as it was.

Facts are in two halves by a hash of their number. An edit of a fact in one half is made by editors
that were trained on facts of the other, whatever else is edited.

Shape letters: K edits, b rows of an edit, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.corpus.corpus import Corpus
from behemoth.delta.stack import StackedDeltas
from behemoth.edit.batch import Rows, edit_rows_of, retain_rows_of
from behemoth.model.architecture import Architecture
from behemoth.model.labels import IGNORED
from behemoth.model.modules import backbone
from behemoth.model.precision import wide_type, widened
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.request import EditRequest
from behemoth.support.errors import ArgumentError
from behemoth.support.files import replacing, sweep
from behemoth.support.progress import Step

from .factors import factors_of
from .network import Editor, Editors, restored, saved, update

__all__ = ["Lesson", "halves", "taught"]

_RETAINED = 8  # rows of an edit that are to stay


@dataclass(frozen=True)
class Lesson:
    """How editors are trained.

    Attributes
    ----------
    facts : int
        Facts to practise on, fewer where a half has fewer.
    steps : int
        Adam steps.
    batch : int
        Edits of a step, each by itself.
    learning_rate : float
        Of the editors' weights.
    rank : int
        Of the editors' matrices.
    edit_rate : float
        Step size of updates to begin with.
    edited : float
        Weight of the new answers, beside the divergence on what is to stay.
    seed : int
    """

    facts: int
    steps: int
    batch: int
    learning_rate: float
    rank: int
    edit_rate: float
    edited: float
    seed: int

    @property
    def name(self) -> str:
        """A few letters that tell lessons apart, for the names of files."""
        return "-".join(f"{value:g}" for value in vars(self).values())


def halves(facts: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The half that each fact is in, 0 or 1: a multiplicative hash of its number."""
    with np.errstate(over="ignore"):
        mixed = facts.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(63)).astype(np.int64)


def taught(
    model: nn.Module,
    corpus: Corpus,
    modules: Sequence[str],
    half: int,
    lesson: Lesson,
    file: Path | None,
    step: Step,
) -> Editors:
    """Editors that have seen no fact of the other half.

    Parameters
    ----------
    model : nn.Module
        In eval mode; stays as it is.
    corpus : Corpus
    modules : sequence of str
        Linear modules, each of which gets an editor.
    half : int
        0 or 1: whose facts are practised on.
    lesson : Lesson
    file : Path, optional
        Where they are kept, and taken from.
    step : callable
        Called with (done, total) steps.

    Raises
    ------
    ArgumentError
        When there are too few facts.
    """
    parameter = next(model.parameters())
    like = torch.empty(0, dtype=wide_type(parameter.dtype), device=parameter.device)
    if file is not None:
        sweep(file)  # a killed writer may have left its folder beside a whole file
    if file is not None and file.exists():
        return restored(load_file(file), like)
    editors = _Class(model, modules, _practice(corpus, half, lesson), lesson, like).train(step)
    if file is not None:
        tensors = {name: part.detach().cpu().contiguous() for name, part in saved(editors).items()}
        # Trials that run side by side may share a cache: each writes under a name of its own.
        with replacing(file) as temporary:
            save_file(tensors, temporary)
    return editors


def _practice(corpus: Corpus, half: int, lesson: Lesson) -> list[EditPlan]:
    """Single edits of facts of a half, each with what is to stay."""
    facts = np.arange(corpus.world.num_facts, dtype=np.uint64)
    mine = facts[halves(facts) == half]
    generator = np.random.default_rng(lesson.seed)
    chosen = generator.permutation(mine)[: lesson.facts]
    if len(chosen) < 2:
        raise ArgumentError("facts", f"{len(chosen)} in half of the world", "2 or more")
    request = EditRequest(
        facts=pl.DataFrame({"fact": chosen}), independent=True, distinct=False, repeats=1,
        same_object=2, same_relation=3, regular=3, probes=0, seed=lesson.seed,
    )  # fmt: skip
    return compile_plan(corpus, request).singles()


class _Class:
    """The training of the editors of one half."""

    def __init__(
        self,
        model: nn.Module,
        modules: Sequence[str],
        plans: Sequence[EditPlan],
        lesson: Lesson,
        like: Tensor,
    ) -> None:
        self.model, self.modules, self.lesson, self.like = model, list(modules), lesson, like
        self.generator = torch.Generator().manual_seed(lesson.seed)
        self.architecture = Architecture.of(model)
        self.head = model.get_submodule(self.architecture.head)
        self.tokens_kbt, self.labels_kbt = _grid(plans)

    def train(self, step: Step) -> Editors:
        """Take the steps."""
        lesson, count = self.lesson, len(self.tokens_kbt)
        editors = self._begin()
        learnt = [part.requires_grad_() for one in editors.values() for part in one.learnt()]
        rates = {id(one.rate) for one in editors.values()}
        groups = [
            {"params": [part for part in learnt if id(part) not in rates]},
            # A step size has far to go, and is one number.
            {"params": [one.rate for one in editors.values()], "lr": 10 * lesson.learning_rate},
        ]
        optimiser = torch.optim.Adam(groups, lr=lesson.learning_rate)
        waiting = torch.empty(0, dtype=torch.int64)
        for done in range(lesson.steps):
            if len(waiting) < min(lesson.batch, count):
                waiting = torch.randperm(count, generator=self.generator)
            chosen, waiting = waiting[: lesson.batch], waiting[lesson.batch :]
            loss = self._loss(editors, chosen)
            gradients = torch.autograd.grad(loss, learnt)
            norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
            scale = (1.0 / (norm + 1e-12)).clamp(max=1.0)
            for part, gradient in zip(learnt, gradients, strict=True):
                part.grad = gradient * scale
            optimiser.step()
            step(done + 1, lesson.steps)
        for part in learnt:
            part.requires_grad_(False)
        return editors

    def _begin(self) -> dict[str, Editor]:
        """The identity, over the factors of all edits to practise on."""
        device = self.like.device
        tokens, labels = self.tokens_kbt[:, 0].to(device), self.labels_kbt[:, 0].to(device)
        found = factors_of(self.model, tokens, labels, self.modules)
        editors = {}
        for name, (inputs, gradients) in found.items():
            features = torch.cat([inputs, gradients], -1).to(self.like)
            features = features[(gradients != 0).any(-1)]
            editors[name] = Editor.begin(
                features, self.lesson.rank, self.lesson.edit_rate, self.generator
            )
        return editors

    def _loss(self, editors: Editors, chosen: Tensor) -> Tensor:
        """Mean over edits of the new answer's loss and of the divergence on what is to stay."""
        device = self.like.device
        tokens, labels = self.tokens_kbt[chosen].to(device), self.labels_kbt[chosen].to(device)
        factors = factors_of(self.model, tokens[:, 0], labels[:, 0], self.modules)
        changes = {}
        for name, (inputs, gradients) in factors.items():
            left, right = update(editors[name], inputs.to(self.like), gradients.to(self.like))
            turned = self.architecture.transposed
            changes[f"{name}.weight"] = (right.mT, left.mT) if turned else (left, right)
        stacked = StackedDeltas(self.model, changes)
        rows, columns = torch.nonzero(labels.flatten(0, 1) != IGNORED, as_tuple=True)
        at = rows, columns
        with torch.no_grad():
            before = self._scores(tokens, at)
        with stacked.attached():
            after = self._scores(tokens, at)
        edited = at[0] % tokens.shape[1] == 0
        nll = F.nll_loss(after, labels.flatten(0, 1)[at], reduction="none")
        divergence = (before.exp() * (before - after)).sum(1)
        kept = divergence[~edited].mean() if bool((~edited).any()) else 0.0
        return self.lesson.edited * nll[edited].mean() + kept

    def _scores(self, tokens_kbt: Tensor, at: tuple[Tensor, Tensor]) -> Tensor:
        """Log-probabilities where answers are predicted: [a, v]."""
        hidden = backbone(self.model)(input_ids=tokens_kbt.flatten(0, 1), use_cache=False)[0]
        logits = self.architecture.logits(self.head, hidden[at[0], at[1] - 1])
        return widened(logits).log_softmax(-1)


def _grid(plans: Sequence[EditPlan]) -> tuple[Tensor, Tensor]:
    """One row of each edit and what is to stay: tokens and labels [K, b, T], the edit's first."""
    parts: list[Rows] = []
    for plan in plans:
        edit, retained = edit_rows_of(plan, "answer"), retain_rows_of(plan)
        length = max(edit.tokens.shape[1], retained.tokens.shape[1])
        first, rest = edit.padded(length), retained.padded(length)
        rows = [torch.cat([getattr(first, name)[:1], getattr(rest, name)[:_RETAINED]])
                for name in ("tokens", "labels", "weight")]  # fmt: skip
        parts.append(Rows(*rows))
    length = max(part.tokens.shape[1] for part in parts)
    most = max(map(len, parts))
    tokens, labels = [], []
    for part in parts:
        padded = part.padded(length)
        # What an edit lacks is filled up with its own first row, without an answer.
        fill = most - len(padded)
        tokens.append(torch.cat([padded.tokens, padded.tokens[:1].expand(fill, -1)]))
        nothing = torch.full_like(padded.labels[:1], IGNORED).expand(fill, -1)
        labels.append(torch.cat([padded.labels, nothing]))
    return torch.stack(tokens), torch.stack(labels)

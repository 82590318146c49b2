"""Training of editors on edits of other facts: new answers, with the rest unchanged.

Facts are in two halves by a hash of their number. An edit of a fact in one half is made by editors
that were trained on facts of the other half, whatever else is edited.

Shape letters: K edits, b rows of an edit of which s are retained ones, T positions, r rows of all
edits, m affected facts of an edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.corpus.corpus import Corpus
from behemoth.delta.stack import StackedDeltas
from behemoth.delta.tiles import tiles
from behemoth.edit.batch import Rows, edit_rows_of, rows_of
from behemoth.edit.cache import read_tensors, write_tensors
from behemoth.model.architecture import Architecture
from behemoth.model.blocks import LastBlocks
from behemoth.model.labels import IGNORED
from behemoth.model.modules import backbone
from behemoth.model.precision import wide_type, widened
from behemoth.plan.compile import compile_plan
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.prompts import written_wordings
from behemoth.plan.request import EditRequest
from behemoth.plan.sampling import mixed, round_keys
from behemoth.plan.together import affected
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Advance

from .factors import contributing, factors_of
from .network import Editor, Editors, restored, saved, update

__all__ = ["TrainingSettings", "halves", "trained_editors"]

# The hash of the halves and the choice of retained rows, in the names of files of editors.
_RULES = "mixed-apart"
_POPULATION = 1 << 20  # facts of a larger world from which those to train on are drawn
_LEAST_ROWS = 64  # rows of a pass: fewer do not repay another pass of the last blocks


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the training of editors.

    Attributes
    ----------
    facts : int
        Number of facts to train on; fewer if a half has fewer.
    retained : int
        Maximum number of retained rows of an edit.
    steps : int
        Number of Adam steps.
    batch : int
        Number of edits per step.
    together : int
        Number of these whose summed updates are applied to one model.
    learning_rate : float
        Step size of the editors' weights.
    rank : int
        Rank of the editors' matrices.
    edit_rate : float
        Initial step size of updates.
    edited : float
        Weight of the new answers, relative to the divergence on retained rows.
    rephrased : int
        Maximum number of other wordings of each edit in which its new answer counts as well.
    seed : int
    """

    facts: int
    retained: int
    steps: int
    batch: int
    together: int
    learning_rate: float
    rank: int
    edit_rate: float
    edited: float
    rephrased: int
    seed: int

    @property
    def name(self) -> str:
        """Short text that identifies the settings, for file names."""
        return "-".join(str(value) for value in (*vars(self).values(), _RULES))


def halves(facts: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the half of each fact, 0 or 1, by a hash of its number.

    A product alone alternates along a relation, whose facts are as far apart as there are
    relations: of 13 relations it had ten or more facts in a row in one half.
    """
    key = round_keys(0, "mend halves")[0]
    return (mixed(facts.astype(np.uint64), key) >> np.uint64(63)).astype(np.int64)


def trained_editors(
    model: nn.Module,
    corpus: Corpus,
    modules: Sequence[str],
    half: int,
    settings: TrainingSettings,
    file: Path | None,
    step: Advance,
) -> Editors:
    """Return editors that were trained without facts of the other half.

    Parameters
    ----------
    model : nn.Module
        In eval mode; left unchanged.
    corpus : Corpus
    modules : sequence of str
        Linear modules, each of which gets an editor.
    half : int
        0 or 1: the half whose facts are trained on.
    settings : TrainingSettings
    file : Path, optional
        File from which they are read if it exists, and to which they are written otherwise.
    step : callable
        Called with (done, total) steps.

    Raises
    ------
    ArgumentError
        If there are too few facts.
    """
    parameter = next(model.parameters())
    like = torch.empty(0, dtype=wide_type(parameter.dtype), device=parameter.device)
    if file is not None and (kept := read_tensors(file)) is not None:
        return restored(kept, like)
    plan = _training_plan(corpus, half, settings)
    trainer = _Trainer(model, modules, plan, affected(plan, corpus), half, settings, like)
    editors = trainer.train(step)
    if file is not None:
        write_tensors(file, saved(editors))
    return editors


def _training_plan(corpus: Corpus, half: int, settings: TrainingSettings) -> EditPlan:
    """Return the plan of independent edits of facts of a half, each with retained rows."""
    facts = corpus.sample_facts(_POPULATION)
    mine = facts[halves(facts) == half]
    generator = np.random.default_rng(settings.seed)
    chosen = generator.permutation(mine)[: settings.facts]
    if len(chosen) < 2:
        raise ArgumentError("facts", f"{len(chosen)} in half of the world", "2 or more")
    # About twice as many retained rows as are used: about half of their facts are in the other
    # half, and are not trained on either.
    wordings = written_wordings(corpus) if settings.rephrased else 1
    request = EditRequest(
        facts=pl.DataFrame({"fact": chosen}), independent=True, distinct=False, wordings=wordings,
        repeats=wordings, same_object=4, same_relation=6, regular=6, probes=0, seed=settings.seed,
    )  # fmt: skip
    return compile_plan(corpus, request)


class _Trainer:
    """The training of the editors of one half."""

    def __init__(
        self,
        model: nn.Module,
        modules: Sequence[str],
        plan: EditPlan,
        affected_km: NDArray[np.uint64],
        half: int,
        settings: TrainingSettings,
        like: Tensor,
    ) -> None:
        self.model, self.modules, self.settings, self.like = model, list(modules), settings, like
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.architecture = Architecture.of(model)
        self.head = model.get_submodule(self.architecture.head)
        device = like.device
        self.affected_km = affected_km
        tokens, labels, self.facts_ks = _grid(plan.singles(), half, settings, self.generator)
        self.answering = tokens.shape[1] - self.facts_ks.shape[1]
        self.tokens_kbt, self.labels_kbt = tokens.to(device), labels.to(device)
        self.together = min(settings.together, settings.batch, len(self.tokens_kbt))
        # Complete groups only; edits that are left over are used in another order.
        self.size = min(settings.batch, len(self.tokens_kbt)) // self.together * self.together
        self.asked_kbt = self.labels_kbt != IGNORED
        # Positions that decide about a row's labels, those before the last one: in biographies they
        # are two fifths of all positions, and a third of the rows has no label.
        place = torch.arange(self.asked_kbt.shape[2], device=device)
        self.widths_r = (self.asked_kbt * place).amax(2).flatten().cpu().numpy()
        self.positions = self.together * int(self.widths_r.sum()) // len(self.tokens_kbt)
        self._prepare()

    def train(self, step: Advance) -> Editors:
        """Train the editors and return them."""
        settings, count = self.settings, len(self.tokens_kbt)
        editors = self._begin()
        learnt = [part.requires_grad_() for one in editors.values() for part in one.learnt()]
        rates = {id(one.rate) for one in editors.values()}
        groups = [
            {"params": [part for part in learnt if id(part) not in rates]},
            # A step size is a single number that may have to change a lot.
            {"params": [one.rate for one in editors.values()], "lr": 10 * settings.learning_rate},
        ]
        optimiser = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        waiting = torch.empty(0, dtype=torch.int64)
        for done in range(settings.steps):
            if len(waiting) < self.size:
                waiting = torch.randperm(count, generator=self.generator)
            chosen, waiting = waiting[: self.size], waiting[self.size :]
            loss = self._loss(editors, chosen)
            gradients = torch.autograd.grad(loss, learnt)
            norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
            scale = (1.0 / (norm + 1e-12)).clamp(max=1.0)
            for part, gradient in zip(learnt, gradients, strict=True):
                part.grad = gradient * scale
            optimiser.step()
            step(done + 1, settings.steps)
        for part in learnt:
            part.requires_grad_(False)
        return editors

    @torch.no_grad()
    def _prepare(self) -> None:
        """Compute what training does not change, which would be half the cost of each step.

        These are the factors of each edit's gradient, the input of the first block with an editor,
        and the unedited model's hidden states where answers are predicted.
        """
        self.last = LastBlocks(self.model, self._first_layer())
        whole = backbone(self.model)
        count, found, streams, hidden = len(self.tokens_kbt), [], [], []
        for start in range(0, count, self.settings.batch):
            own = slice(start, start + self.settings.batch)
            first = self.tokens_kbt[own, 0], self.labels_kbt[own, 0]
            found.append(factors_of(self.model, *first, self.modules))
            shape = self.tokens_kbt[own].shape
            with self.last.noting() as calls:
                states = whole(input_ids=self.tokens_kbt[own].flatten(0, 1), use_cache=False)[0]
            streams.append(calls.streams[0])
            edits, rows, columns = torch.nonzero(self.asked_kbt[own], as_tuple=True)
            hidden.append(states.unflatten(0, shape[:2])[edits, rows, columns - 1])
        self.factors = {}
        for name in self.modules:
            inputs, gradients = (
                torch.cat(part).to(self.like)
                for part in zip(*(part.pop(name) for part in found), strict=True)
            )
            self.factors[name] = contributing(inputs, gradients)
        self.stream_rtd, self.before_ad = torch.cat(streams), torch.cat(hidden)
        self.asked_rt, self.labels_rt = self.asked_kbt.flatten(0, 1), self.labels_kbt.flatten(0, 1)
        self.number_rt = (self.asked_rt.flatten().cumsum(0) - 1).view_as(self.asked_rt)
        self.calls = {}
        for width in set(self.widths_r.tolist()) - {0}:
            with self.last.noting() as self.calls[width]:
                whole(input_ids=self.tokens_kbt[0, :1, :width], use_cache=False)

    def _first_layer(self) -> int:
        """Return the first layer with an editor."""
        blocks = map(self.architecture.block, range(self.architecture.layers))
        return next(
            layer
            for layer, block in enumerate(blocks)
            if any(name.startswith(f"{block}.") for name in self.modules)
        )

    def _begin(self) -> dict[str, Editor]:
        """Return initial editors with the statistics of all edits' factors."""
        editors = {}
        for name, (inputs, gradients) in self.factors.items():
            features = torch.cat([inputs, gradients], -1)[(gradients != 0).any(-1)]
            editors[name] = Editor.begin(
                features, self.settings.rank, self.settings.edit_rate, self.generator
            )
        return editors

    def _loss(self, editors: Editors, chosen: Tensor) -> Tensor:
        """Return the weighted mean loss of new answers plus the divergence on retained rows."""
        chosen = chosen.to(self.like.device)
        changes = {}
        for name, (inputs, gradients) in self.factors.items():
            made = update(editors[name], inputs[chosen], gradients[chosen])
            changes[f"{name}.weight"] = self._summed(*made)
        states, found = [], []
        with StackedDeltas(self.model, changes).attached():
            for own, asked in self._passes(chosen):
                width = asked.shape[1] - 1
                stream = self.last(self.stream_rtd[own, :width], self.calls[width])
                row, column = torch.nonzero(asked, as_tuple=True)
                states.append(stream[row, column - 1])
                found.append(torch.stack([own[row], column]))
        rows, columns = torch.cat(found, 1)
        after = self._scores(self.last.normed(torch.cat(states)))
        edited = rows % self.tokens_kbt.shape[1] < self.answering
        nll = F.nll_loss(after[edited], self.labels_rt[rows, columns][edited])
        kept = self.number_rt[rows, columns][~edited]
        if not len(kept):
            return self.settings.edited * nll
        with torch.no_grad():
            before = self._scores(self.before_ad[kept])
        divergence = (before.exp() * (before - after[~edited])).sum(1)
        return self.settings.edited * nll + divergence.mean()

    def _passes(self, chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of similar width [n], as many of each group, and their labels that count.

        The labels are bool [n, T + 1], for T positions of the rows: a row that fills up a group
        has none. Retained rows of facts that another edit of the group changes or puts in doubt are
        left out: no update could keep what the sum must change.
        """
        edits = chosen.cpu().numpy()
        rows = edits[:, None] * self.tokens_kbt.shape[1] + np.arange(self.tokens_kbt.shape[1])
        left = self.widths_r > 0
        parts = edits.reshape(-1, self.together)
        contrary = [np.isin(self.facts_ks[own], self.affected_km[own]) for own in parts]
        left[rows[:, self.answering :][np.concatenate(contrary)]] = False
        groups = [own[left[own]] for own in rows.reshape(-1, self.together * rows.shape[1])]
        for tile in tiles(groups, self.widths_r, rows.size, _LEAST_ROWS):
            own, first = np.unique(tile, return_index=True)
            counted = np.zeros(tile.size, np.bool_)
            counted[first] = left[own]
            left[own] = False
            every = torch.from_numpy(tile.ravel()).to(self.like.device)
            asked = self.asked_rt[every, : int(self.widths_r[own].max()) + 1]
            yield every, asked & torch.from_numpy(counted).to(every.device)[:, None]

    def _summed(self, left_kot: Tensor, right_kti: Tensor) -> tuple[Tensor, ...]:
        """Return the sum of each group's updates, as `StackedDeltas` takes changes of a weight."""
        left = left_kot.unflatten(0, (-1, self.together)).transpose(1, 2).flatten(2)
        right = right_kti.unflatten(0, (-1, self.together)).flatten(1, 2)
        outputs, rank, inputs = left.shape[1], left.shape[2], right.shape[2]
        factored = self.positions * rank * (outputs + inputs)
        turned = self.architecture.transposed
        if factored > (self.positions + rank) * outputs * inputs:  # multiplications with each
            dense = torch.bmm(left, right)
            return (dense.mT if turned else dense,)
        return (right.mT, left.mT) if turned else (left, right)

    def _scores(self, states_ad: Tensor) -> Tensor:
        """Return the log-probabilities of the next token: [a, v]."""
        return widened(self.architecture.logits(self.head, states_ad)).log_softmax(-1)


def _retained(plan: EditPlan, half: int, most: int) -> pl.DataFrame:
    """Return a plan's retained rows of facts of a half, at most `most`."""
    frame = plan.training.filter(pl.col("role") != "edit")
    return frame.filter(pl.Series(halves(frame["fact"].to_numpy()) == half)).head(most)


def _grid(
    plans: Sequence[EditPlan], half: int, settings: TrainingSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, NDArray[np.uint64]]:
    """Return the rows of each edit, tokens and labels [K, b, T], and the facts of retained rows.

    The first row is the one whose gradient makes the edit; the next, at most `settings.rephrased`,
    have the same answer in other wordings, chosen at random; the last s are retained rows, whose
    facts are uint64 [K, s]: 0 where rows are missing.
    """
    retained = [_retained(plan, half, settings.retained) for plan in plans]
    groups = [
        [edit.some([0]), edit.some(_others(edit, settings.rephrased, generator)), rows_of(kept)]
        for plan, kept in zip(plans, retained, strict=True)
        for edit in [edit_rows_of(plan, "answer")]
    ]
    length = max(rows.tokens.shape[1] for group in groups for rows in group)
    sizes = [max(map(len, same)) for same in zip(*groups, strict=True)]
    tokens, labels = [], []
    for group in groups:
        first = group[0].padded(length)
        for rows, size in zip(group, sizes, strict=True):
            padded = rows.padded(length)
            # Missing rows are padded with the edit's first row, without labels.
            fill = size - len(rows)
            nothing = torch.full_like(first.labels, IGNORED).expand(fill, -1)
            tokens += [padded.tokens, first.tokens.expand(fill, -1)]
            labels += [padded.labels, nothing]
    facts = np.zeros((len(groups), sizes[2]), np.uint64)
    for own, kept in zip(facts, retained, strict=True):
        own[: kept.height] = kept["fact"].to_numpy()
    shape = (len(groups), sum(sizes), length)
    return torch.cat(tokens).view(shape), torch.cat(labels).view(shape), facts


def _others(edit: Rows, most: int, generator: torch.Generator) -> list[int]:
    """Return the numbers of at most `most` rows of an edit in other wordings than the first."""
    seen = {tuple(edit.tokens[0].tolist())}
    found: list[int] = []
    for row in (1 + torch.randperm(len(edit) - 1, generator=generator)).tolist():
        said = tuple(edit.tokens[row].tolist())
        if len(found) < most and said not in seen:
            seen.add(said)
            found.append(row)
    return found

"""WISE: a side copy of one MLP output matrix, edited within random masks, with routing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from behemoth.delta.delta import EditDelta
from behemoth.delta.module import SideMemory
from behemoth.edit.bounds import (
    ABOVE_0,
    FROM_0,
    SHARE,
    Bound,
    Bounds,
    at_least,
    check_values,
)
from behemoth.edit.memory.growing import GrowingRows
from behemoth.edit.memory.layer import OneLayer
from behemoth.edit.memory_budget import EditedRows, tail_bytes
from behemoth.edit.outcome import delta_of
from behemoth.edit.protocol import ALL_KINDS, EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.precision import wide_type
from behemoth.model.threads import threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.delta.delta import Change
    from behemoth.edit.batch import Rows
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Votes", "Wise"]

_ROWS = 8  # of a single edit
_SMALL = 2**20
"""Entries of the matrix times rows, up to which an edit uses one thread.

So little work gains nothing from a second one, and where other processes use the processors, each
of the hundreds of calls of a step waits for a thread that is not running: edits of a `31m`, without
rows to retain, then took 20 times as long.
"""


@dataclass(frozen=True)
class Wise(OneLayer):
    """A side memory in shards (Wang et al., 2024, algorithm 1).

    A copy W + C of the matrix is trained so that the model gives the new answers, and so that |C x|
    is large where they are predicted (e) and small at the tokens of retained rows (r): with a, b
    and g, max(0, |C x_r| - a) + max(0, b - |C x_e|) + max(0, g + |C x_r| - |C x_e|). Tokens use the
    copy if |C x| is above a threshold, a share of the smallest |C x_e| of all edits. The edits of a
    shard share a random mask, outside of which nothing changes; the shards are merged by TIES
    (Yadav et al., 2023).

    Attributes
    ----------
    steps : int
        Maximum number of Adam steps of a single edit; n edits of one plan take up to
        ``steps * n ** batch_growth`` together.
    batch_growth : float
        How the steps grow with the number n of edits of a plan: 0 for `steps` in all, 1 for n times
        `steps`.
    learning_rate : float
        Step size.
    layer : int, optional
        Layer whose MLP output matrix has the copy; negative numbers count from the last. By default
        the one before the last, or the last of two.
    margin : float
        b, as a multiple of the mean norm of the matrix's outputs on retained rows, or on the edit's
        rows if there are none; a is a quarter of it and g a half, as published.
    ratio : float
        The threshold, as a share of the smallest |C x| of the edits.
    mask : float
        Share of the entries that a shard changes.
    shard : int
        Number of edits per shard.
    density : float
        Share of all entries, of which the largest are those that a shard keeps if several are
        merged, as published; it trims nothing from `mask` on, the share that is not 0.
    bound : float
        Largest absolute change of an entry.
    retain_rows : int
        Maximum number of a plan's retained rows in the margins.
    stop_loss : float
        Loss, including the margins, below which an edit stops.
    """

    steps: int = 70
    batch_growth: float = 0.5
    learning_rate: float = 1e-2
    layer: int | None = None
    margin: float = 1.0
    ratio: float = 0.95
    mask: float = 0.2
    shard: int = 500
    density: float = 0.53
    bound: float = 1.0
    retain_rows: int = 64
    stop_loss: float = 0.02

    usual: ClassVar[str] = "at the layer before the last"
    published: ClassVar[str] = "layer 27 of 32"
    searched: ClassVar[Searched] = {
        "learning_rate": Range(1e-3, 0.1, log=True),
        "steps": Range(10, 150),
        "margin": Range(0.25, 4.0, log=True),
        "ratio": Range(0.5, 0.99),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="wise",
        family="memory",
        source="Wang et al. 2024, arXiv 2405.14768",
        changes="no weights: a side copy of an MLP output matrix for the tokens that need it",
        kinds=ALL_KINDS,
        stacks=False,
        doses=False,  # the delta is merged from shards, and is not the result of a step
    )

    bounds: ClassVar[Bounds] = {
        "steps": at_least(1), "shard": at_least(1), "learning_rate": ABOVE_0, "margin": ABOVE_0,
        "bound": ABOVE_0, "mask": SHARE, "density": SHARE, "retain_rows": FROM_0,
        "stop_loss": FROM_0, "batch_growth": Bound("from 0 to 1", 0.0, 1.0),
        "ratio": Bound("between 0 and 1", 0.0, 1.0, included=(False, False)),
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_values(self)

    def effort(self) -> Effort:
        """Return the steps with the rows of a single edit; retained rows are passed once.

        A batch takes more steps than a single edit, which is not counted.
        """
        return Effort(self.steps, _ROWS)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes of a copy of the matrix and its Adam state, for each plan."""
        weight = model.get_parameter(f"{self.module(model)}.weight")
        return 16 * count * weight.numel()

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the same with a copy for each shard, and the rows of the largest shard."""
        layer = self.layer_of(model)
        shards = max((-(-len(plan) // self.shard) for plan in plans), default=0)
        rows = [EditedRows.of(plan, self.shard) for plan in plans]
        search = max((tail_bytes(model, layer, own) for own in rows), default=0)
        return self.stack_bytes(model, len(plans) + max(shards - 1, 0)) + search

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of the side memories: a copy of the matrix and a threshold each."""
        return self.stack_bytes(model, len(plans)) // 4 + 8 * len(plans)

    def place(self, model: nn.Module) -> str:
        """Return the layer whose matrix has the copy, and the published layer."""
        said = f"layer {self.layer_of(model)} of {Architecture.of(model).layers}"
        return f"{said} (published: {self.published})"

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one side memory for each plan, with separate shards for each."""
        return [self.in_sequence(model, context)(plan) for plan in plans]

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable that keeps the shards of all earlier edits."""
        return _Sequence(self, model, context)


@dataclass
class _Memory:
    """State of a sequence.

    Attributes
    ----------
    edits : int
        Number of edits so far.
    shards : list of float [o, i]
        The change of each shard; the last one may still change.
    keys : GrowingRows of float [m, i], optional
        Inputs of the matrix where edited answers are predicted.
    votes : Votes, optional
        Running merge of the full shards: all but the last.
    places : int64 [p], optional
        The entries within the mask of the last shard, once they are drawn.
    """

    edits: int = 0
    shards: list[Tensor] = field(default_factory=list)
    keys: GrowingRows | None = None
    votes: Votes | None = None
    places: Tensor | None = None

    def copy(self) -> _Memory:
        return replace(self, shards=list(self.shards))

    def side(self, method: Wise) -> SideMemory:
        """Return the merged shards, with a threshold that every edit so far exceeds."""
        assert self.keys is not None
        *full, change = self.shards
        if full:
            votes = Votes.none(change) if self.votes is None else self.votes
            for shard in full[votes.shards :]:
                votes = votes.with_one(shard, method.density)
            self.votes = votes
            change = votes.with_one(change, method.density).merged()
        least = (self.keys.rows @ change.T).norm(dim=1).min()
        return SideMemory(change, method.ratio * least)


class _Sequence:
    """Return the deltas of a sequence, each the complete side memory so far."""

    def __init__(self, method: Wise, model: nn.Module, context: EditContext) -> None:
        self.method, self.model, self.context = method, model, context
        self.remembered = _Memory()

    def __call__(self, plan: EditPlan) -> EditDelta:
        failure, trace = self._train(plan)
        if failure is not None:
            return delta_of(self.method, plan, self.context, {}, failure)
        return delta_of(self.method, plan, self.context, self.changes(), None, trace)

    def take(self, plan: EditPlan) -> str | None:
        """See `Deferring.take`: merging shards and reading all keys again is left to `changes`."""
        return self._train(plan)[0]

    def changes(self) -> dict[str, Change]:
        """See `Deferring.changes`."""
        if self.remembered.keys is None:
            return {}
        return {self.method.module(self.model): self.remembered.side(self.method)}

    def _train(self, plan: EditPlan) -> tuple[str | None, list[dict[str, Any]]]:
        """Add the edits of a plan to the memory; return the failure, or None, and the trace."""
        check_kinds(self.method, [plan])
        grown = self.remembered.copy()
        trace: list[dict[str, Any]] = []
        failure = None
        with evaluating(self.model), self._threads(plan):
            for part in self._parts(plan, grown.edits):
                training = _Training(self.method, self.model, part, self.context)
                failure = training.run(grown, trace)
                if failure is not None:
                    break
        if failure is None:
            self.remembered = grown
        self.context.progress(1, 1)
        return failure, trace

    def memory(self) -> dict[str, Tensor]:
        """Return shards by number, keys of edited answers, and the number of edits."""
        import torch

        own = self.remembered
        if own.keys is None:
            return {}
        shards = {f"shard{number}": change for number, change in enumerate(own.shards)}
        return {**shards, "keys": own.keys.rows, "edits": torch.tensor(own.edits)}

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the shards of earlier edits by these."""
        self.remembered = _Memory()
        if memory:
            device = next(self.model.parameters()).device
            shards = [memory[f"shard{number}"].to(device) for number in range(len(memory) - 2)]
            keys = GrowingRows(memory["keys"].to(device))
            self.remembered = _Memory(int(memory["edits"]), shards, keys)

    def _threads(self, plan: EditPlan) -> AbstractContextManager[None]:
        """Return a context with one thread for an edit of little work, on a CPU."""
        weight = self.model.get_parameter(f"{self.method.module(self.model)}.weight")
        edited = plan.training.filter(role="edit").height
        rows = edited + min(self.method.retain_rows, plan.training.height - edited)
        if weight.device.type != "cpu" or rows * weight.numel() > _SMALL:
            return nullcontext()
        return threads(1)

    def _parts(self, plan: EditPlan, done: int) -> list[EditPlan]:
        """Return the plan in parts, cut where shards are full."""
        numbers = plan.edits["edit"].to_list()
        room = self.method.shard - done % self.method.shard
        if len(numbers) <= room:
            return [plan]
        cuts = [0, *range(room, len(numbers), self.method.shard), len(numbers)]
        return [plan.take(numbers[a:b]) for a, b in itertools.pairwise(cuts)]


class _Training:
    """Training of a shard's copy on the edits of a plan.

    The input of the matrix does not depend on its copy, so the blocks before it run only once.
    """

    def __init__(
        self, method: Wise, model: nn.Module, plan: EditPlan, context: EditContext
    ) -> None:
        import torch

        from behemoth.edit.batch import Order, deciding, edit_rows_of, retain_rows_of
        from behemoth.edit.memory.tail import Tail, inputs_at

        self.method, self.context = method, context
        name = method.module(model)
        self.module = model.get_submodule(name)
        self.edits = len(plan.edits)
        rows = edit_rows_of(plan, "answer")
        like = next(model.parameters())
        tokens, labels = rows.tokens.to(like.device), rows.labels.to(like.device)
        layer = method.layer_of(model)
        self.tail = Tail(model, layer, tokens, labels, deciding(labels), self._given)
        dtype = wide_type(like.dtype)
        self.edited = self.tail.inputs.to(dtype)
        retained = retain_rows_of(plan)
        self.looked_at = measured = self.edited
        if len(retained) and method.retain_rows:
            count = min(method.retain_rows, len(retained))
            chosen = Order(retained.weight, plan, context.seed, 1).take(count)
            inputs = inputs_at(model, name, retained.tokens[chosen].to(like.device))
            inside = inputs[_inside(retained, chosen).to(like.device)]
            measured = inside.to(dtype)
            self.looked_at = torch.cat([self.edited, measured])
        given = self._given(measured.to(like.dtype)).detach()
        self.scale = float(given.norm(dim=1).mean())

    def run(self, memory: _Memory, trace: list[dict[str, Any]]) -> str | None:
        """Add the edits to a memory; return the failure, or None."""
        import torch

        method = self.method
        number = memory.edits // method.shard
        if number == len(memory.shards):
            shape = (self.tail.outputs.shape[1], self.edited.shape[1])
            memory.shards.append(self.edited.new_zeros(shape))
            memory.places = None
        change = memory.shards[number].clone()
        entries = change.view(-1)
        # Only the entries in the mask are optimised. They are copied into the matrix in place, and
        # the graph ends at the products: with a matrix made of its entries within the graph, an
        # edit took 1.1 times as long.
        if memory.places is None:
            [memory.places] = self._mask(number, change).view(-1).nonzero(as_tuple=True)
        places = memory.places
        moving, gradient = entries[places], torch.empty_like(change)
        update = _adam(moving, method.learning_rate)
        # Edits of a batch share the entries: in the steps of one edit, many of them do not succeed.
        most = round(method.steps * self.edits**method.batch_growth)
        for step in range(most + 1):
            added = (self.looked_at @ change.T).requires_grad_()
            loss = self._loss(added)
            trace.append({"step": step, "loss": float(loss.detach())})
            if not math.isfinite(trace[-1]["loss"]):
                return f"loss {trace[-1]['loss']} at step {step}"
            if step == most or trace[-1]["loss"] < method.stop_loss:
                break
            [to_added] = torch.autograd.grad(loss, [added])
            torch.mm(to_added.T, self.looked_at, out=gradient)
            # Five times as fast as an index in brackets.
            update(gradient.view(-1).index_select(0, places))
            moving.clamp_(-method.bound, method.bound)
            entries.index_copy_(0, places, moving)
        memory.shards[number] = change
        if memory.keys is None:
            memory.keys = GrowingRows(self.edited)
        else:
            memory.keys = memory.keys.with_more(self.edited)
        memory.edits += self.edits
        return None

    def _given(self, x: Tensor) -> Tensor:
        """Return the matrix's own output: the module may contain a memory of earlier edits."""
        return self.module.forward(x)  # without its hooks

    def _mask(self, shard: int, change: Tensor) -> Tensor:
        import torch

        key = (self.context.seed * 0x9E3779B9 + shard) % 2**63
        generator = torch.Generator().manual_seed(key)
        drawn = torch.rand(change.shape, generator=generator, dtype=torch.float64)
        return (drawn < self.method.mask).to(change.device)

    def _loss(self, added: Tensor) -> Tensor:
        """Return the cross-entropy of the new answers with the copy, plus the margins.

        `added` is what the change adds to the output at the edited tokens, then the retained ones.
        """
        own, given = added[: len(self.edited)], self.tail.outputs
        loss = self.tail.losses(given + own.to(given.dtype)).mean()
        lengths = added.norm(dim=1) / self.scale
        edited, retained = lengths[: len(self.edited)], lengths[len(self.edited) :]
        most = self.method.margin
        loss = loss + (most - edited).clamp_min(0).mean()
        if len(retained):
            apart = retained[:, None] - edited[None] + most / 2
            loss = loss + (retained - most / 4).clamp_min(0).mean() + apart.clamp_min(0).mean()
        return loss


def _adam(entries: Tensor, learning_rate: float) -> Callable[[Tensor], None]:
    """Return a callable that makes a step of Adam, as `torch.optim.Adam` does, with a gradient.

    The optimiser itself takes three times as long for so few entries as what it calls here.
    """
    import torch
    from torch.optim.adam import adam

    means, squares = torch.zeros_like(entries), torch.zeros_like(entries)
    steps = torch.zeros((), device=entries.device)

    def step(gradient: Tensor) -> None:
        adam(
            [entries], [gradient], [means], [squares], [], [steps],
            fused=entries.device.type in ("cpu", "cuda"), amsgrad=False, beta1=0.9, beta2=0.999,
            lr=learning_rate, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip

    return step


@dataclass(frozen=True)
class Votes:
    """Running state of TIES, to which a change is added without reading the earlier ones again.

    TIES merges changes: it trims each, elects the sign of each entry, and takes the mean of those
    that agree.

    Attributes
    ----------
    shards : int
        Number of changes added.
    sums : float [2, o, i]
        Sums of the entries above 0, and of those below.
    counts : float [2, o, i]
        Numbers of the entries above 0, and of those below.
    """

    shards: int
    sums: Tensor
    counts: Tensor

    @classmethod
    def none(cls, like: Tensor) -> Votes:
        """Return the state without changes, for changes of the shape [o, i] of `like`."""
        import torch

        nothing = torch.stack([torch.zeros_like(like)] * 2)
        return cls(0, nothing, nothing)

    def with_one(self, change: Tensor, density: float) -> Votes:
        """Return the state with one more change, trimmed to a share of its entries."""
        import torch

        flat = change.flatten()
        kept = max(1, round(density * len(flat)))
        if int(flat.count_nonzero()) > kept:
            places = flat.abs().topk(kept).indices
            flat = torch.zeros_like(flat).scatter(0, places, flat[places])
        trimmed = flat.view_as(change)
        sums = self.sums + torch.stack([trimmed.clamp_min(0), trimmed.clamp_max(0)])
        counts = self.counts + torch.stack([trimmed > 0, trimmed < 0])
        return Votes(self.shards + 1, sums, counts)

    def merged(self) -> Tensor:
        """Return the mean of the entries whose sign has the larger sum: [o, i]."""
        import torch

        means = self.sums / self.counts.clamp_min(1)
        return torch.where(self.sums.sum(0) >= 0, means[0], means[1])


def _inside(rows: Rows, chosen: Tensor) -> Tensor:
    """Return which tokens of rows are before the last token of the answer: bool [n, T]."""
    import torch

    from behemoth.model.labels import IGNORED

    columns = torch.arange(rows.labels.shape[1])
    last = (columns * (rows.labels[chosen] != IGNORED)).max(1).values
    return columns < last[:, None]

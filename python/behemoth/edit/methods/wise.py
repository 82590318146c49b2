"""WISE: a side copy of one MLP output matrix, edited within random masks, used where it matters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from behemoth.delta.delta import EditDelta
from behemoth.delta.module import SideMemory
from behemoth.edit.gradient.method import check_kinds
from behemoth.edit.parametrise import chosen_layers
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, settings_of
from behemoth.model.architecture import Architecture
from behemoth.model.precision import wide_type
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.batch import Rows
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Wise", "ties"]

_ROWS = 8  # of a single edit


@dataclass(frozen=True)
class Wise:
    """A side memory, with knowledge in shards (Wang et al., 2024, algorithm 1).

    A copy W + C of the matrix is trained so that the new answers are said, and so that |C x| is
    large where they are asked for (e) and small at the tokens of retained rows (r): with a, b and
    g, max(0, |C x_r| - a) + max(0, b - |C x_e|) + max(0, g + |C x_r| - |C x_e|). Tokens use
    the copy where |C x| is above a threshold, a share of the least |C x_e| of all edits. The edits
    of a shard share a random mask, outside of which nothing moves; the shards
    are merged by TIES (Yadav et al., 2023).

    Attributes
    ----------
    steps : int
        Most Adam steps of an edit.
    learning_rate : float
        Step size.
    layer : int
        Whose MLP output matrix has the copy; negative numbers count from the last.
    margin : float
        b, as a multiple of the mean norm of what the matrix gives on retained rows; a is a
        quarter of it and g a half, as published.
    ratio : float
        The threshold, as a share of the least |C x| of the edits.
    mask : float
        Share of the entries that a shard changes.
    shard : int
        Edits of a shard.
    density : float
        Share of its largest entries that a shard keeps where several are merged.
    bound : float
        Largest absolute change of an entry.
    retain_rows : int
        Most retained rows of a plan that the margins look at.
    stop_loss : float
        An edit is done when its loss, margins included, falls below this.
    """

    steps: int = 70
    learning_rate: float = 1e-2
    layer: int = -2
    margin: float = 1.0
    ratio: float = 0.95
    mask: float = 0.2
    shard: int = 500
    density: float = 0.53
    bound: float = 1.0
    retain_rows: int = 64
    stop_loss: float = 0.02

    usual: ClassVar[str] = "the layer before the last"
    published: ClassVar[str] = "layer 27 of 32"
    info: ClassVar[MethodInfo] = MethodInfo(
        name="wise",
        family="memory",
        source="Wang et al. 2024, arXiv 2405.14768",
        changes="no weights: a side copy of an MLP output matrix for the tokens that need it",
        kinds=frozenset({"remap", "censor", "refusal", "question_refusal"}),
        stacks=False,
        doses=False,  # what is given is merged of shards, and not what a step has left
    )

    def __post_init__(self) -> None:
        for name in ("steps", "shard"):
            if getattr(self, name) < 1:
                raise ArgumentError(name, getattr(self, name), "at least 1")
        for name in ("learning_rate", "margin", "bound"):
            if not getattr(self, name) > 0:
                raise ArgumentError(name, getattr(self, name), "above 0")
        for name in ("mask", "density"):
            if not 0 < getattr(self, name) <= 1:
                raise ArgumentError(name, getattr(self, name), "above 0, to 1")
        if not 0 < self.ratio < 1:
            raise ArgumentError("ratio", self.ratio, "between 0 and 1")
        for name in ("retain_rows", "stop_loss"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(name, getattr(self, name), "from 0")

    def low_rank(self) -> bool:
        """It has a module beside the weights."""
        return False

    def effort(self) -> Effort:
        """Steps with the rows of the edit; retained rows are looked at once."""
        return Effort(self.steps, _ROWS)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """A copy of the matrix and what Adam keeps of it, for each."""
        weight = model.get_parameter(f"{self.module(model)}.weight")
        return 16 * count * weight.numel()

    def place(self, model: nn.Module) -> str:
        """Whose matrix has the copy, with the publication's place beside it."""
        [layer] = chosen_layers(model, (self.layer,))
        return f"layer {layer} of {Architecture.of(model).layers} (published: {self.published})"

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """One side memory for each plan, whose shards are its own."""
        return [self.in_sequence(model, context)(plan) for plan in plans]

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Go on with the shards of all earlier edits."""
        return _Sequence(self, model, context)

    def module(self, model: nn.Module) -> str:
        """The matrix that has a copy."""
        [layer] = chosen_layers(model, (self.layer,))
        return Architecture.of(model).mlp_out(layer)


@dataclass
class _Memory:
    """What a sequence remembers.

    Attributes
    ----------
    edits : int
        So far.
    shards : list of float [o, i]
        The change of each shard, the last one still growing.
    keys : float [m, i], optional
        What goes into the matrix where edited answers are predicted.
    """

    edits: int = 0
    shards: list[Tensor] = field(default_factory=list)
    keys: Tensor | None = None

    def copy(self) -> _Memory:
        return _Memory(self.edits, list(self.shards), self.keys)

    def side(self, method: Wise) -> SideMemory:
        """The shards as one, with the threshold that every edit so far is above."""
        import torch

        assert self.keys is not None
        change = self.shards[0]
        if len(self.shards) > 1:
            change = ties(torch.stack(self.shards), method.density)
        least = (self.keys @ change.T).norm(dim=1).min()
        return SideMemory(change, method.ratio * least)


class _Sequence:
    """Gives the deltas of a sequence, each the whole side memory so far."""

    def __init__(self, method: Wise, model: nn.Module, context: EditContext) -> None:
        self.method, self.model, self.context = method, model, context
        self.remembered = _Memory()

    def __call__(self, plan: EditPlan) -> EditDelta:
        method, model = self.method, self.model
        check_kinds(method, [plan])
        grown = self.remembered.copy()
        training = model.training
        model.eval()
        trace: list[dict[str, Any]] = []
        try:
            failure = None
            for part in self._parts(plan, grown.edits):
                failure = _Training(method, model, part, self.context).run(grown, trace)
                if failure is not None:
                    break
        finally:
            model.train(training)
        if failure is None:
            self.remembered = grown
        self.context.progress(1, 1)
        return EditDelta(
            changes={} if failure else {method.module(model): grown.side(method)},
            method=method.info.name,
            settings=settings_of(method),
            plan_hash=plan.plan_hash,
            seed=self.context.seed,
            failure=failure,
            trace=[] if failure else trace,
        )

    def memory(self) -> dict[str, Tensor]:
        """Shards by number, keys of edited answers, and how many edits there were."""
        import torch

        own = self.remembered
        if own.keys is None:
            return {}
        shards = {f"shard{number}": change for number, change in enumerate(own.shards)}
        return {**shards, "keys": own.keys, "edits": torch.tensor(own.edits)}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Take these for the shards of earlier edits."""
        self.remembered = _Memory()
        if memory:
            device = next(self.model.parameters()).device
            shards = [memory[f"shard{number}"].to(device) for number in range(len(memory) - 2)]
            self.remembered = _Memory(int(memory["edits"]), shards, memory["keys"].to(device))

    def _parts(self, plan: EditPlan, done: int) -> list[EditPlan]:
        """The plan, cut where shards are full."""
        numbers = plan.edits["edit"].to_list()
        room = self.method.shard - done % self.method.shard
        if len(numbers) <= room:
            return [plan]
        cuts = [0, *range(room, len(numbers), self.method.shard), len(numbers)]
        return [plan.take(numbers[a:b]) for a, b in itertools.pairwise(cuts)]


class _Training:
    """The training of a shard's copy on the edits of a plan.

    What goes into the matrix depends on no copy of it, so retained rows go through the model once.
    """

    def __init__(
        self, method: Wise, model: nn.Module, plan: EditPlan, context: EditContext
    ) -> None:
        from behemoth.edit.batch import Order, edit_rows_of, retain_rows_of
        from behemoth.edit.memory.rows import seen_by
        from behemoth.model.labels import IGNORED

        self.method, self.model, self.context = method, model, context
        self.name = method.module(model)
        self.device = next(model.parameters()).device
        self.edits = len(plan.edits)
        rows = edit_rows_of(plan, "answer")
        self.tokens, self.labels = rows.tokens.to(self.device), rows.labels.to(self.device)
        # A token is predicted one place before it.
        self.asking = (self.labels != IGNORED).roll(-1, 1)
        self.like = next(model.parameters())
        self.dtype = wide_type(self.like.dtype)
        inputs, _ = seen_by(model, self.name, self.tokens)
        self.edited = inputs[self.asking].to(self.dtype)
        retained = retain_rows_of(plan)
        self.retained, self.scale = self.edited[:0], 1.0
        if len(retained) and method.retain_rows:
            count = min(method.retain_rows, len(retained))
            chosen = Order(retained.weight, plan, context.seed, 1).take(count)
            inputs, _ = seen_by(model, self.name, retained.tokens[chosen].to(self.device))
            inside = inputs[_inside(retained, chosen).to(self.device)]
            self.retained = inside.to(self.dtype)
            self.scale = float(self._given(inside).detach().norm(dim=1).mean())

    def run(self, memory: _Memory, trace: list[dict[str, Any]]) -> str | None:
        """Add the edits to a memory; gives why it did not work."""
        import torch

        method = self.method
        number = memory.edits // method.shard
        if number == len(memory.shards):
            outputs = self._given(self.edited[:1].to(self.like.dtype)).shape[1]
            memory.shards.append(self.edited.new_zeros(outputs, self.edited.shape[1]))
        change = memory.shards[number].clone().requires_grad_()
        mask = self._mask(number, change)
        optimiser = torch.optim.Adam([change], lr=method.learning_rate)
        for step in range(method.steps + 1):
            loss = self._loss(change)
            trace.append({"step": step, "loss": float(loss.detach())})
            if not math.isfinite(trace[-1]["loss"]):
                return f"loss {trace[-1]['loss']} at step {step}"
            if step == method.steps or trace[-1]["loss"] < method.stop_loss:
                break
            [gradient] = torch.autograd.grad(loss, [change])
            change.grad = gradient * mask
            optimiser.step()
            with torch.no_grad():
                change.clamp_(-method.bound, method.bound)
        memory.shards[number] = change.detach()
        known = [self.edited] if memory.keys is None else [memory.keys, self.edited]
        memory.keys = torch.cat(known)
        memory.edits += self.edits
        return None

    def _given(self, x: Tensor) -> Tensor:
        """What the matrix itself gives: a memory of earlier edits may be in the module."""
        return self.model.get_submodule(self.name).forward(x)  # without its hooks

    def _mask(self, shard: int, change: Tensor) -> Tensor:
        import torch

        key = (self.context.seed * 0x9E3779B9 + shard) % 2**63
        generator = torch.Generator().manual_seed(key)
        drawn = torch.rand(change.shape, generator=generator, dtype=torch.float64)
        return (drawn < self.method.mask).to(change)

    def _loss(self, change: Tensor) -> Tensor:
        """Cross-entropy of the new answers through the copy, and the margins."""
        from behemoth.edit.memory.rows import answer_losses, answering

        def answer(x: Tensor, _: Tensor) -> Tensor:
            return self._given(x) + (x @ change.to(x.dtype).T) * self.asking[..., None]

        with answering(self.model.get_submodule(self.name), answer):
            loss = answer_losses(self.model, self.tokens, self.labels).mean()
        edited = (self.edited @ change.T).norm(dim=1) / self.scale
        most = self.method.margin
        loss = loss + (most - edited).clamp_min(0).mean()
        if len(self.retained):
            retained = (self.retained @ change.T).norm(dim=1) / self.scale
            apart = retained[:, None] - edited[None] + most / 2
            loss = loss + (retained - most / 4).clamp_min(0).mean() + apart.clamp_min(0).mean()
        return loss


def ties(shards_soi: Tensor, density: float) -> Tensor:
    """Merge changes: trim each, elect the sign of each entry, take the mean of those that agree.

    Parameters
    ----------
    shards_soi : float [s, o, i]
    density : float
        Share of the largest entries of each that stay.

    Returns
    -------
    float [o, i]
    """
    import torch

    flat = shards_soi.flatten(1)
    kept = max(1, round(density * flat.shape[1]))
    places = flat.abs().topk(kept, dim=1).indices
    trimmed = torch.zeros_like(flat).scatter(1, places, flat.gather(1, places))
    sign = torch.where(trimmed.sum(0) >= 0, 1.0, -1.0)
    agree = trimmed.sign() == sign
    mean = (trimmed * agree).sum(0) / agree.sum(0).clamp_min(1)
    return mean.reshape(shards_soi.shape[1:])


def _inside(rows: Rows, chosen: Tensor) -> Tensor:
    """Which tokens of some rows belong to prompts and answers: bool [n, T]."""
    import torch

    from behemoth.model.labels import IGNORED

    columns = torch.arange(rows.labels.shape[1])
    last = (columns * (rows.labels[chosen] != IGNORED)).max(1).values
    return columns < last[:, None]

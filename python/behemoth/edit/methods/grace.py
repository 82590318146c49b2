"""GRACE: a codebook of answers to what goes into one matrix; no weight changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from behemoth.delta.delta import EditDelta
from behemoth.delta.module import Codebook
from behemoth.edit.gradient.method import check_kinds
from behemoth.edit.parametrise import chosen_layers
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, settings_of
from behemoth.model.architecture import Architecture
from behemoth.model.precision import widened
from behemoth.support.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.batch import Rows
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Entries", "Grace"]

_WORDINGS = 4  # of an edited fact, at most as a rule
_SENTENCE = 8  # tokens
_ACTIVATIONS = 68  # bytes for each token and unit of width, see locate/method.py
# A radius that ends at a key has to hold it, whatever is rounded on the way there.
_SLACK = 1e-6


@dataclass(frozen=True)
class Grace:
    """Answers kept beside the model, by key (Hartvigsen et al., 2023, algorithm 1).

    The key of a prompt is what goes into the MLP's output matrix of a layer at its last token. A
    token whose key lies within the radius of the nearest entry gets the entry's value in place of
    what the matrix gives. A key that is far from all entries becomes one; near one with the same
    answer it widens that, and near one with another answer the two share the distance between
    them. Values are found by Adam, from what the matrix gives, so that the answer is said.

    Attributes
    ----------
    steps : int
        Most Adam steps for a value.
    learning_rate : float
        Step size.
    layer : int
        Whose MLP output is looked up; negative numbers count from the last.
    epsilon : float
        Radius of a new entry, as a share of the norm of its key.
    stop_loss : float
        A value is done when its loss falls below this.
    """

    steps: int = 100
    learning_rate: float = 0.1
    layer: int = -2
    epsilon: float = 0.2
    stop_loss: float = 0.05

    usual: ClassVar[str] = "the prompt's last token, the layer before the last"
    published: ClassVar[str] = "the input's last token, layer 35 of 48"
    info: ClassVar[MethodInfo] = MethodInfo(
        name="grace",
        family="memory",
        source="Hartvigsen et al. 2023, arXiv 2211.11031",
        changes="no weights: a codebook in the place of an MLP output matrix",
        kinds=frozenset({"remap", "censor", "refusal", "question_refusal"}),
        stacks=True,
        doses=False,  # steps are of the search for values
    )

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ArgumentError("steps", self.steps, "at least 1")
        for name in ("learning_rate", "epsilon"):
            if not getattr(self, name) > 0:
                raise ArgumentError(name, getattr(self, name), "above 0")
        if not self.stop_loss >= 0:
            raise ArgumentError("stop_loss", self.stop_loss, "from 0")

    def low_rank(self) -> bool:
        """It has a module beside the weights."""
        return False

    def effort(self) -> Effort:
        """Steps of the search for values, in every wording."""
        return Effort(self.steps, _WORDINGS)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """What the search keeps for its gradients, which end at the layer."""
        architecture = Architecture.of(model)
        behind = architecture.layers - self._layer(model)
        return count * _WORDINGS * _SENTENCE * behind * _ACTIVATIONS * architecture.width

    def place(self, model: nn.Module) -> str:
        """Where it looks up, with the publication's place beside it."""
        said = f"layer {self._layer(model)} of {Architecture.of(model).layers}"
        return f"the prompt's last token, {said} (published: {self.published})"

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """One codebook for each plan; values of all of them are found together."""
        return self._extended(model, plans, [Entries() for _ in plans], context)

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Go on with the codebook of all earlier edits."""
        return _Sequence(self, model, context)

    def module(self, model: nn.Module) -> str:
        """The matrix that is looked up at."""
        return Architecture.of(model).mlp_out(self._layer(model))

    def _layer(self, model: nn.Module) -> int:
        [layer] = chosen_layers(model, (self.layer,))
        return layer

    def _extended(
        self,
        model: nn.Module,
        plans: Sequence[EditPlan],
        books: Sequence[Entries],
        context: EditContext,
    ) -> list[EditDelta]:
        """Add the edits of each plan to its entries; what failed leaves them as they were."""
        from behemoth.edit.batch import edit_rows_of

        check_kinds(self, plans)
        search = _Search(self, model)
        training = model.training
        model.eval()
        try:
            for plan, book in zip(plans, books, strict=True):
                search.take(book, edit_rows_of(plan, "answer"))
            failures = search.run(context)
        finally:
            model.train(training)
        return [
            EditDelta(
                changes={} if failure else {self.module(model): book.codebook()},
                method=self.info.name,
                settings=settings_of(self),
                plan_hash=plan.plan_hash,
                seed=context.seed,
                failure=failure,
                trace=[] if failure else trace,
            )
            for plan, book, failure, trace in zip(
                plans, books, failures, search.traces, strict=True
            )
        ]


class _Sequence:
    """Gives the deltas of a sequence, each the whole codebook so far."""

    def __init__(self, method: Grace, model: nn.Module, context: EditContext) -> None:
        self.method, self.model, self.context = method, model, context
        self.entries = Entries()

    def __call__(self, plan: EditPlan) -> EditDelta:
        grown = self.entries.copy()
        [delta] = self.method._extended(self.model, [plan], [grown], self.context)
        if delta.failure is None:
            self.entries = grown
        self.context.progress(1, 1)
        return delta

    def memory(self) -> dict[str, Tensor]:
        """Keys, values, radii and answers; answers int64 [n, most tokens], -1 beyond their ends."""
        import torch

        own = self.entries
        if not len(own):
            return {}
        answers = torch.full((len(own), max(map(len, own.answers))), -1)
        for row, answer in enumerate(own.answers):
            answers[row, : len(answer)] = torch.tensor(answer)
        return {**own.codebook().parts(), "answers": answers}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Take these for the entries of earlier edits."""
        self.entries = Entries()
        if memory:
            device = next(self.model.parameters()).device
            keys, values, radii = (memory[name].to(device) for name in ("keys", "values", "radii"))
            answers = [
                tuple(token for token in row if token >= 0) for row in memory["answers"].tolist()
            ]
            self.entries = Entries(keys, values, radii, answers)


class Entries:
    """A codebook that grows, with the answer that each entry is for.

    Its tensors are replaced and never written to, so that deltas may hold them.
    """

    def __init__(
        self,
        keys: Tensor | None = None,
        values: Tensor | None = None,
        radii: Tensor | None = None,
        answers: Sequence[tuple[int, ...]] = (),
    ) -> None:
        self.keys, self.values, self.radii = keys, values, radii
        self.answers = list(answers)

    def __len__(self) -> int:
        return len(self.answers)

    def copy(self) -> Entries:
        """Another one that begins with the same."""
        return Entries(self.keys, self.values, self.radii, self.answers)

    def codebook(self) -> Codebook:
        """The change of the module."""
        assert self.keys is not None and self.values is not None and self.radii is not None
        return Codebook(self.keys, self.values, self.radii)

    def nearest(self, key: Tensor) -> tuple[int, float]:
        """The entry that is nearest to a key, float64 [i], of those that answer; the distance."""
        import torch

        assert self.keys is not None and self.radii is not None
        distances = (self.keys - key).norm(dim=1).masked_fill(self.radii < 0, torch.inf)
        place = int(distances.argmin())
        return place, float(distances[place])

    def take(self, key: Tensor, answer: tuple[int, ...], value: Tensor, epsilon: float) -> None:
        """Make room for a key and its answer.

        Parameters
        ----------
        key : float64 [i]
        answer : tuple of int
        value : float [o]
            What a new entry begins with.
        epsilon : float
            The radius of an entry that is far from all others.
        """
        if not self.answers:
            self._add(key, answer, value, epsilon)
            return
        assert self.radii is not None
        place, distance = self.nearest(key)
        radius = float(self.radii[place])
        if distance > epsilon + radius:
            self._add(key, answer, value, epsilon)
        elif self.answers[place] == answer:
            self._set_radius(place, max(radius, distance * (1 + _SLACK)))
        elif distance <= _SLACK * float(key.norm()):
            self.answers[place] = answer  # the same prompt again: its latest answer counts
        else:
            self._set_radius(place, distance / 2 * (1 - _SLACK))
            self._add(key, answer, value, distance / 2)

    def _set_radius(self, place: int, radius: float) -> None:
        assert self.radii is not None
        self.radii = self.radii.clone()
        self.radii[place] = radius

    def _add(self, key: Tensor, answer: tuple[int, ...], value: Tensor, radius: float) -> None:
        import torch

        own = key.new_tensor([radius])
        if self.keys is None or self.values is None or self.radii is None:
            self.keys, self.values, self.radii = key[None], value[None], own
        else:
            self.keys = torch.cat([self.keys, key[None]])
            self.values = torch.cat([self.values, value[None]])
            self.radii = torch.cat([self.radii, own])
        self.answers.append(answer)


class _Search:
    """The values of the entries that answer some rows, found in one batch.

    A row looks at the entry that answers its prompt, and at no other, so that no value depends on
    which other rows there are.
    """

    def __init__(self, method: Grace, model: nn.Module) -> None:
        self.method, self.model = method, model
        self.module = model.get_submodule(method.module(model))
        self.device = next(model.parameters()).device
        self.books: list[Entries] = []
        self.rows: list[tuple[Rows, list[int]]] = []
        self.traces: list[list[dict[str, Any]]] = []

    def take(self, book: Entries, rows: Rows) -> None:
        """Make room for the rows of one plan."""
        import torch

        from behemoth.edit.memory.rows import prompt_ends, seen_by
        from behemoth.model.labels import IGNORED

        inputs, outputs = seen_by(
            self.model, self.method.module(self.model), rows.tokens.to(self.device)
        )
        asking = (torch.arange(len(rows)), prompt_ends(rows.labels))
        keys_ni, values_no = inputs[asking].double(), widened(outputs[asking])
        for key, value, labels in zip(keys_ni, values_no, rows.labels, strict=True):
            answer = tuple(labels[labels != IGNORED].tolist())
            book.take(key, answer, value, self.method.epsilon * float(key.norm()))
        # Entries that came later may be nearer.
        owners = [book.nearest(key)[0] for key in keys_ni]
        self.books.append(book)
        self.rows.append((rows, owners))
        self.traces.append([])

    def run(self, context: EditContext) -> list[str | None]:
        """Find the values; gives why there are none, plan by plan."""
        import torch

        from behemoth.edit.batch import Rows

        longest = max(rows.tokens.shape[1] for rows, _ in self.rows)
        every = [rows.padded(longest) for rows, _ in self.rows]
        rows = Rows(*(torch.cat([getattr(r, name) for r in every]) for name in
                      ("tokens", "labels", "weight")))  # fmt: skip
        chosen = [sorted(set(owners)) for _, owners in self.rows]
        first, entry_n = 0, []
        for (_, owners), own in zip(self.rows, chosen, strict=True):
            entry_n += [first + own.index(owner) for owner in owners]
            first += len(own)
        entry_n = torch.tensor(entry_n, device=self.device)
        start = torch.cat([
            book.codebook().values[own] for book, own in zip(self.books, chosen, strict=True)
        ])  # fmt: skip
        values_eo, losses = self._adam(
            rows.tokens.to(self.device), rows.labels.to(self.device), entry_n, start, context
        )
        failures: list[str | None] = []
        first = 0
        for number, (book, own) in enumerate(zip(self.books, chosen, strict=True)):
            mine = slice(first, first + len(own))
            book.values = book.codebook().values.index_copy(
                0, torch.tensor(own, device=self.device), values_eo[mine]
            )
            bad = [float(x) for x in losses[-1][mine] if not math.isfinite(float(x))]
            failures.append(f"loss {bad[0]} of a value" if bad else None)
            self.traces[number] = [
                {"step": step, "loss": float(loss[mine].mean())} for step, loss in enumerate(losses)
            ]
            first += len(own)
        return failures

    def _adam(
        self,
        tokens_nt: Tensor,
        labels_nt: Tensor,
        entry_n: Tensor,
        start_eo: Tensor,
        context: EditContext,
    ) -> tuple[Tensor, list[Tensor]]:
        """Values [e, o], and the loss of each of them after every step [e]."""
        import torch

        method, count = self.method, len(start_eo)
        values = start_eo.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([values], lr=method.learning_rate)
        done = torch.zeros(count, dtype=torch.bool, device=self.device)
        losses: list[Tensor] = []
        for step in range(method.steps + 1):
            loss_e = self._losses(tokens_nt, labels_nt, entry_n, values)
            shown = loss_e.detach()
            losses.append(shown if not losses else torch.where(done, losses[-1], shown))
            done |= ~shown.isfinite() | (shown < method.stop_loss)
            if step == method.steps or bool(done.all()):
                break
            before = values.detach().clone()
            [values.grad] = torch.autograd.grad(
                torch.where(done, torch.zeros_like(loss_e), loss_e).sum(), [values]
            )
            optimiser.step()
            with torch.no_grad():
                # Adam moves on by its momentum: a value that is done is put back.
                values.copy_(torch.where(done[:, None], before, values))
            context.progress(step + 1, method.steps)
        return values.detach(), losses

    def _losses(
        self, tokens_nt: Tensor, labels_nt: Tensor, entry_n: Tensor, values_eo: Tensor
    ) -> Tensor:
        """Mean over an entry's rows of the losses of their answers: [e]."""
        import torch

        from behemoth.edit.memory.rows import answer_losses, answering, prompt_ends

        asking = (torch.arange(len(tokens_nt), device=self.device), prompt_ends(labels_nt))
        values_no = values_eo[entry_n]

        def answer(_: Tensor, output: Tensor) -> Tensor:
            return output.index_put(asking, values_no.to(output.dtype))

        with answering(self.module, answer):
            loss_n = answer_losses(self.model, tokens_nt, labels_nt)
        share_e = loss_n.new_zeros(len(values_eo)).index_add(0, entry_n, torch.ones_like(loss_n))
        return loss_n.new_zeros(len(values_eo)).index_add(0, entry_n, loss_n) / share_e

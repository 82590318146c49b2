"""GRACE: a codebook of answers to what goes into one matrix; no weight changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from behemoth.delta.delta import EditDelta
from behemoth.delta.module import Codebook
from behemoth.edit.gradient.method import check_kinds
from behemoth.edit.memory.growing import GrowingRows
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
# More than a term of a sum of products in float64 is rounded by.
_ROUNDED = 1e-15


@dataclass(frozen=True)
class Grace:
    """Answers kept beside the model, by key (Hartvigsen et al., 2023, algorithm 1).

    The key of a token of an answer is what goes into the MLP's output matrix of a layer where that
    token is decided: at the prompt's last token, and for the tokens after the first at the one
    before. A token whose key lies within the radius of the nearest entry gets the entry's value in
    place of what the matrix gives. A key that is far from all entries becomes one; near one that
    says the same token it widens that, and near one that says another the two share the distance
    between them. Values are found by Adam, from what the matrix gives, so that the answer is said.

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

    usual: ClassVar[str] = "the tokens before the answer's, the layer before the last"
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
        behind = architecture.layers - self.layer_of(model)
        return count * _WORDINGS * _SENTENCE * behind * _ACTIVATIONS * architecture.width

    def place(self, model: nn.Module) -> str:
        """Where it looks up, with the publication's place beside it."""
        said = f"layer {self.layer_of(model)} of {Architecture.of(model).layers}"
        return f"the tokens before the answer's, {said} (published: {self.published})"

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
        return Architecture.of(model).mlp_out(self.layer_of(model))

    def layer_of(self, model: nn.Module) -> int:
        """Its layer, counted from 0."""
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
        training = model.training
        model.eval()
        try:
            search = _Search(self, model, books, [edit_rows_of(plan, "answer") for plan in plans])
            failures, traces = search.run(context)
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
            for plan, book, failure, trace in zip(plans, books, failures, traces, strict=True)
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
        """Keys, values, radii and answers; answers int64 [n, 1], the token that each entry says."""
        import torch

        own = self.entries
        if not len(own):
            return {}
        return {**own.codebook().parts(), "answers": torch.tensor(own.answers)[:, None]}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Take these for the entries of earlier edits."""
        self.entries = Entries()
        if memory:
            device = next(self.model.parameters()).device
            keys, values, radii = (memory[name].to(device) for name in ("keys", "values", "radii"))
            # More columns are of a time when an entry was for all tokens of an answer.
            answers = memory["answers"][:, 0].tolist()
            self.entries = Entries(keys, values, radii, answers)


class Entries:
    """A codebook that grows, with the token that each entry is to have said.

    Its tensors are replaced and never written to, so that deltas may hold them.
    """

    def __init__(
        self,
        keys: Tensor | None = None,
        values: Tensor | None = None,
        radii: Tensor | None = None,
        answers: Sequence[int] = (),
    ) -> None:
        self.values, self.radii = values, radii
        self.answers = list(answers)
        self._keys = None if keys is None else GrowingRows(keys)
        self._squares = None if keys is None else GrowingRows(keys.square().sum(1))

    def __len__(self) -> int:
        return len(self.answers)

    def copy(self) -> Entries:
        """Another one that begins with the same."""
        other = Entries(None, self.values, self.radii, self.answers)
        other._keys, other._squares = self._keys, self._squares
        return other

    @property
    def keys(self) -> Tensor | None:
        """What the entries are found by: float64 [n, i]."""
        return None if self._keys is None else self._keys.rows

    def codebook(self) -> Codebook:
        """The change of the module."""
        assert self.keys is not None and self.values is not None and self.radii is not None
        return Codebook(self.keys, self.values, self.radii)

    def nearest(self, keys_mi: Tensor) -> list[tuple[int, float]]:
        """The entry that is nearest to each key, of those that answer, and the distance.

        Parameters
        ----------
        keys_mi : float64 [m, i]
        """
        import torch

        assert self._keys is not None and self._squares is not None and self.radii is not None
        known_ni, known_n = self._keys.rows, self._squares.rows
        # By one product for all entries, which reads each once; what rounding may have put in
        # the wrong order is subtracted entry by entry.
        sums_mn = known_n + keys_mi.square().sum(1, keepdim=True)
        squares_mn = (sums_mn - 2 * keys_mi @ known_ni.T).masked_fill(self.radii < 0, torch.inf)
        slack_mn = _ROUNDED * known_ni.shape[1] * sums_mn
        least_m1 = (squares_mn + slack_mn).amin(1, keepdim=True)
        found = []
        for key, near in zip(keys_mi, squares_mn - slack_mn <= least_m1, strict=True):
            [places] = near.nonzero(as_tuple=True)
            distances = (known_ni[places] - key).norm(dim=1)
            best = int(distances.argmin())
            found.append((int(places[best]), float(distances[best])))
        return found

    def take(self, key: Tensor, answer: int, value: Tensor, epsilon: float) -> None:
        """Make room for a key and its answer.

        Parameters
        ----------
        key : float64 [i]
        answer : int
            The token to be said there.
        value : float [o]
            What a new entry begins with.
        epsilon : float
            The radius of an entry that is far from all others.
        """
        if not self.answers:
            self._add(key, answer, value, epsilon)
            return
        assert self.radii is not None
        [(place, distance)] = self.nearest(key[None])
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

    def _add(self, key: Tensor, answer: int, value: Tensor, radius: float) -> None:
        import torch

        own, square = key.new_tensor([radius]), key.square().sum()[None]
        if self._keys is None or self._squares is None or self.values is None or self.radii is None:
            self._keys, self._squares = GrowingRows(key[None]), GrowingRows(square)
            self.values, self.radii = value[None], own
        else:
            self._keys = self._keys.with_more(key[None])
            self._squares = self._squares.with_more(square)
            self.values = torch.cat([self.values, value[None]])
            self.radii = torch.cat([self.radii, own])
        self.answers.append(answer)


class _Search:
    """The values of the entries that answer some rows, found in one batch.

    A row looks at the nearest entries where the tokens of its answer are decided, and at no other,
    so that no value depends on rows that share none with its own. The blocks behind read what
    stands at earlier tokens, so the values of a row are found together.

    Shape letters: n rows, p places at which a token of an answer is decided, e entries, i inputs,
    o outputs.
    """

    def __init__(
        self, method: Grace, model: nn.Module, books: Sequence[Entries], each: Sequence[Rows]
    ) -> None:
        """Take up the rows of each plan, and make room for them in its entries."""
        import torch

        from behemoth.edit.memory.rows import deciding
        from behemoth.edit.memory.tail import Tail

        self.method, self.books = method, books
        self.device = next(model.parameters()).device
        longest = max(rows.tokens.shape[1] for rows in each)
        padded = [rows.padded(longest) for rows in each]
        tokens_nt = torch.cat([rows.tokens for rows in padded]).to(self.device)
        labels_nt = torch.cat([rows.labels for rows in padded]).to(self.device)
        row_p, column_p = deciding(labels_nt)
        self.row_p, said = row_p, labels_nt[row_p, column_p + 1].tolist()
        self.tail = Tail(model, method.layer_of(model), tokens_nt, labels_nt, (row_p, column_p))
        keys_pi, values_po = self.tail.inputs.double(), widened(self.tail.outputs)
        # Which entries of its book a plan's rows look at, and the places of these in the batch.
        self.chosen: list[list[int]] = []
        entry_p: list[int] = []
        first = count = 0
        for book, rows in zip(books, each, strict=True):
            mine = slice(first, first + len(deciding(rows.labels)[0]))
            for key, value, token in zip(keys_pi[mine], values_po[mine], said[mine], strict=True):
                book.take(key, token, value, method.epsilon * float(key.norm()))
            # Entries that came later may be nearer.
            owners = [place for place, _ in book.nearest(keys_pi[mine])]
            own = sorted(set(owners))
            entry_p += [count + own.index(owner) for owner in owners]
            self.chosen.append(own)
            first, count = mine.stop, count + len(own)
        self.entry_p = torch.tensor(entry_p, device=self.device)

    def run(self, context: EditContext) -> tuple[list[str | None], list[list[dict[str, Any]]]]:
        """Find the values; gives why there are none, and the losses by step, plan by plan."""
        import torch

        start = torch.cat([
            book.codebook().values[own] for book, own in zip(self.books, self.chosen, strict=True)
        ])  # fmt: skip
        values_eo, losses = self._adam(start, context)
        failures: list[str | None] = []
        traces: list[list[dict[str, Any]]] = []
        first = 0
        for book, own in zip(self.books, self.chosen, strict=True):
            mine = slice(first, first + len(own))
            places = torch.tensor(own, device=self.device)
            book.values = book.codebook().values.index_copy(0, places, values_eo[mine])
            bad = [float(x) for x in losses[-1][mine] if not math.isfinite(float(x))]
            failures.append(f"loss {bad[0]} of a value" if bad else None)
            traces.append(
                [{"step": n, "loss": float(loss[mine].mean())} for n, loss in enumerate(losses)]
            )
            first += len(own)
        return failures, traces

    def _adam(self, start_eo: Tensor, context: EditContext) -> tuple[Tensor, list[Tensor]]:
        """Values [e, o], and the loss of each of them after every step [e]."""
        import torch

        method = self.method
        values = start_eo.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([values], lr=method.learning_rate)
        losses: list[Tensor] = []
        for step in range(method.steps + 1):
            loss_e = self._losses(values)
            losses.append(loss_e.detach())
            # Another value of the row may undo what one has reached, which then goes on.
            done = ~losses[-1].isfinite() | (losses[-1] < method.stop_loss)
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

    def _losses(self, values_eo: Tensor) -> Tensor:
        """Mean over an entry's places of the losses of their rows' answers: [e]."""
        import torch

        given_po = values_eo[self.entry_p].to(self.tail.outputs.dtype)
        loss_p = self.tail.losses(given_po)[self.row_p]
        share_e = loss_p.new_zeros(len(values_eo)).index_add(
            0, self.entry_p, torch.ones_like(loss_p)
        )
        return loss_p.new_zeros(len(values_eo)).index_add(0, self.entry_p, loss_p) / share_e

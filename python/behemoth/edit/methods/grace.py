"""GRACE: a codebook that replaces the output of one matrix for inputs near its keys."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import EditDelta
from behemoth.edit.bounds import ABOVE_0, FROM_0, Bounds, at_least, check_values
from behemoth.edit.memory.entries import Entries
from behemoth.edit.memory.layer import OneLayer
from behemoth.edit.memory_budget import (
    ACTIVATIONS,
    MOST_WORDINGS,
    SENTENCE,
    EditedRows,
    tail_bytes,
)
from behemoth.edit.outcome import delta_of
from behemoth.edit.protocol import ALL_KINDS, EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Choice, Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.memory import dimensions
from behemoth.model.modes import evaluating
from behemoth.model.precision import widened

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Grace"]


@dataclass(frozen=True)
class Grace(OneLayer):
    """Answers stored beside the model, by key (Hartvigsen et al., 2023, algorithm 1).

    The key of an answer token is the input of a layer's MLP output matrix at the position where
    that token is predicted: at the prompt's last token, and for later answer tokens at the token
    before. At a position whose key is within the radius of the nearest entry, the entry's value
    replaces the output of the matrix. A key that is far from all entries becomes a new entry. Near
    an entry for the same token, it widens that entry's radius; near an entry for another token, it
    becomes an entry, and each of the two has half the distance as its radius. Values are optimised
    by Adam, starting from the output of the matrix, so that the model gives the answer. This is
    done once all keys of a plan are entered, in the model as it is edited: an earlier key that its
    entry no longer reaches has the output of the matrix.

    Attributes
    ----------
    steps : int
        Maximum number of Adam steps for a value.
    learning_rate : float
        Step size.
    layer : int, optional
        Layer whose MLP output is looked up; negative numbers count from the last. By default the
        one before the last, or the last of two.
    epsilon : float
        Radius of a new entry, as a share of the norm of its key.
    stop_loss : float
        Loss below which the optimisation of a value stops.
    """

    steps: int = 100
    learning_rate: float = 0.1
    layer: int | None = None
    epsilon: float = 0.2
    stop_loss: float = 0.05

    lookahead: ClassVar[int] = 32
    """Maximum number of edits of a sequence whose values are found in one batch."""
    usual: ClassVar[str] = "at the tokens before the answer's, the layer before the last"
    published: ClassVar[str] = "the input's last token, input matrix of layer 35 of 48"
    searched: ClassVar[Searched] = {
        "learning_rate": Range(0.01, 1.0, log=True),
        "steps": Range(10, 200),
        "epsilon": Range(0.02, 2.0, log=True),
        "layer": Choice((None, -1)),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="grace",
        family="memory",
        source="Hartvigsen et al. 2023, arXiv 2211.11031",
        changes="no weights: a codebook in place of an MLP output matrix",
        kinds=ALL_KINDS,
        stacks=True,
        doses=False,  # steps are of the search for values
    )

    bounds: ClassVar[Bounds] = {
        "steps": at_least(1), "learning_rate": ABOVE_0, "epsilon": ABOVE_0, "stop_loss": FROM_0,
    }  # fmt: skip

    def __post_init__(self) -> None:
        check_values(self)

    def effort(self) -> Effort:
        """Return the steps of the search for values, with a row for each wording."""
        return Effort(self.steps, MOST_WORDINGS)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes that the search keeps for gradients, which end at the layer."""
        architecture = Architecture.of(model)
        behind = architecture.layers - self.layer_of(model)
        return count * MOST_WORDINGS * SENTENCE * behind * ACTIVATIONS * architecture.width

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of the search by the rows of the plans, which it takes at once."""
        layer = self.layer_of(model)
        return sum(tail_bytes(model, layer, EditedRows.of(plan)) for plan in plans)

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of the codebooks: a key, a value and a radius for each answer token."""
        size, _ = dimensions(model)
        entry = 8 * (size.hidden + 1) + 4 * size.width
        return entry * sum(EditedRows.of(plan).answers for plan in plans)

    def place(self, model: nn.Module) -> str:
        """Return where it looks up entries, and the published place."""
        said = f"layer {self.layer_of(model)} of {Architecture.of(model).layers}"
        return f"the tokens before the answer's, {said} (published: {self.published})"

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one codebook for each plan; the values of all are optimised together."""
        check_kinds(self, plans)
        with evaluating(model):
            search = _Search(self, model, plans)
            for _ in plans:
                search.take(Entries())
            found = search.run(context)
        return [delta for delta, _ in found]

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable that extends the codebook of all earlier edits."""
        return _Sequence(self, model, context)


class _Sequence:
    """Return the deltas of a sequence, each the complete codebook so far.

    Values of edits whose entries and tokens do not interact are optimised together, as far as the
    next plans are known.
    """

    def __init__(self, method: Grace, model: nn.Module, context: EditContext) -> None:
        self.method, self.model, self.context = method, model, context
        self.entries = Entries()
        self._coming: deque[EditPlan] = deque()
        self._found: deque[tuple[EditDelta, Entries]] = deque()
        self._most = self._together = 1

    def look_ahead(self, plans: Sequence[EditPlan], most: int) -> None:
        """See `Lookahead.look_ahead`."""
        self._coming, self._most = deque(plans), most
        self._together = most
        self._found.clear()

    def __call__(self, plan: EditPlan) -> EditDelta:
        if not (self._coming and self._coming[0] is plan):
            self.look_ahead([plan], 1)
        if not self._found:
            self._search()
        self._coming.popleft()
        delta, self.entries = self._found.popleft()
        self.context.progress(1, 1)
        return delta

    def memory(self) -> dict[str, Tensor]:
        """Return keys, values, radii and answers; answers int64 [n, 1], the token of each entry."""
        import torch

        own = self.entries
        if not len(own):
            return {}
        return {**own.codebook().parts(), "answers": torch.tensor(own.answers)[:, None]}

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the entries of earlier edits by these."""
        self.entries = Entries()
        if memory:
            device = next(self.model.parameters()).device
            keys, values, radii = (memory[name].to(device) for name in ("keys", "values", "radii"))
            # Earlier versions wrote a column for each token of an answer.
            answers = memory["answers"][:, 0].tolist()
            self.entries = Entries(keys, values, radii, answers)

    def _search(self) -> None:
        """Compute the next deltas, for as many of the next plans as can be optimised together."""
        plans = list(itertools.islice(self._coming, self._together))
        check_kinds(self.method, plans)
        with evaluating(self.model):
            search = _Search(self.method, self.model, plans)
            while (count := search.take_in_turn(self.entries)) < len(plans):
                plans = plans[:count]  # otherwise every step would compute the others' rows too
                search = _Search(self.method, self.model, plans)
            for delta, entries in search.run(self.context):
                self._found.append((delta, entries))
                if delta.failure is not None:
                    # Later deltas were computed with its entries, which are not kept.
                    self._found[-1] = delta, self._before(len(self._found) - 1)
                    break
        self._together = min(self._most, 2 * len(self._found))

    def _before(self, place: int) -> Entries:
        return self._found[place - 1][1] if place else self.entries


class _Search:
    """Optimisation of the entries' values for some rows, in one batch.

    Entries serve tokens by the rule of the edited model, once those of all rows of a plan have been
    added: the nearest one, within its radius. Values are optimised of the entries that serve a
    token at which an answer's is predicted. A value does not depend on rows that no entry serves
    together with its own. Later blocks attend to earlier tokens, so the values of a row are
    optimised together.

    Shape letters: n rows, t tokens, p places at which an answer token is predicted, a those of them
    that are served, s tokens that an entry serves whose value is optimised, e such entries, i
    inputs, o outputs.
    """

    def __init__(self, method: Grace, model: nn.Module, plans: Sequence[EditPlan]) -> None:
        """Record the inputs of the matrix; entries are added afterwards, plan by plan."""
        import torch

        from behemoth.edit.batch import deciding, edit_rows_of
        from behemoth.edit.memory.tail import inputs_at

        self.method, self.model, self.plans = method, model, plans
        self.module = method.module(model)
        device = next(model.parameters()).device
        each = [edit_rows_of(plan, "answer") for plan in plans]
        longest = max(rows.tokens.shape[1] for rows in each)
        padded = [rows.padded(longest) for rows in each]
        self.tokens_nt = torch.cat([rows.tokens for rows in padded]).to(device)
        self.labels_nt = torch.cat([rows.labels for rows in padded]).to(device)
        self.row_p, self.column_p = row_p, column_p = deciding(self.labels_nt)
        self.said = self.labels_nt[row_p, column_p + 1].tolist()
        self.rows = _slices(len(rows) for rows in each)
        self.places = _slices(len(deciding(rows.labels)[0]) for rows in each)
        # Later tokens are not attended to where an answer token is predicted.
        read = self.tokens_nt[:, : int(column_p.max()) + 1]
        self.inputs_nti = inputs_at(model, self.module, read)
        last_n = torch.zeros_like(self.tokens_nt[:, 0]).scatter_reduce(0, row_p, column_p, "amax")
        self.read_nt = torch.arange(self.inputs_nti.shape[1], device=device) <= last_n[:, None]
        # For each plan: its codebook, and the entries of it whose values are optimised.
        self.books: list[Entries] = []
        self.chosen: list[list[int]] = []
        # The entry of its codebook that serves a token, -1 for none.
        self.served: list[Tensor] = []
        self._in_turn = False

    def take(self, book: Entries) -> None:
        """Add entries for the rows of the next plan to a codebook."""
        import torch

        number = len(self.books)
        rows, mine = self.rows[number], self.places[number]
        row_p, column_p = self.row_p[mine], self.column_p[mine]
        inputs_pi = self.inputs_nti[row_p, column_p]
        keys_pi, values_po = inputs_pi.double(), widened(self._given(inputs_pi))
        for key, value, token in zip(keys_pi, values_po, self.said[mine], strict=True):
            book.take(key, token, value, self.method.epsilon * float(key.norm()))
        # Only now: entries that were added later may be nearer, or have halved a radius.
        read_nt = self.read_nt[rows]
        served_nt = torch.full_like(self.tokens_nt[rows, : read_nt.shape[1]], -1)
        served_nt[read_nt] = book.serving(self.inputs_nti[rows][read_nt].double())
        own = set(served_nt[row_p - rows.start, column_p].tolist()) - {-1}
        self.books.append(book)
        self.chosen.append(sorted(own))
        self.served.append(served_nt)

    def take_in_turn(self, book: Entries) -> int:
        """Add plans as if each followed the values of those before it; return how many could be.

        A plan cannot be added if an entry serves one of its tokens whose value an earlier plan
        changes.
        """
        self._in_turn, changed = True, set[int]()
        for number in range(len(self.rows)):
            book = book.copy()
            self.take(book)
            if not changed.isdisjoint(self.served[-1].unique().tolist()):
                return number
            changed.update(self.chosen[-1])
        return len(self.rows)

    def run(self, context: EditContext) -> list[tuple[EditDelta, Entries]]:
        """Optimise the values; return the delta and the codebook of each plan."""
        import torch

        from behemoth.edit.memory.tail import Tail

        start = torch.cat([
            book.codebook().values[own] for book, own in zip(self.books, self.chosen, strict=True)
        ])  # fmt: skip
        mines = _slices(map(len, self.chosen))
        entry_nt = torch.cat([
            self._numbered(*of_plan)
            for of_plan in zip(self.books, self.chosen, self.served, mines, strict=True)
        ])  # fmt: skip
        row_s, column_s = entry_nt.nonzero(as_tuple=True)
        self.entry_s = entry_nt[row_s, column_s] - 1
        entry_p = entry_nt[self.row_p, self.column_p] - 1
        self.entry_a, self.row_a = entry_p[entry_p >= 0], self.row_p[entry_p >= 0]
        layer = self.method.layer_of(self.model)
        self.tail = Tail(
            self.model, layer, self.tokens_nt, self.labels_nt, (row_s, column_s), self._answer
        )
        values_eo, losses = self._adam(start, context)
        found: list[tuple[EditDelta, Entries]] = []
        everything = list(itertools.chain.from_iterable(self.chosen))
        for plan, book, rows, mine in zip(self.plans, self.books, self.rows, mines, strict=True):
            known = slice(0, mine.stop) if self._in_turn else mine
            book.set_values(everything[known], values_eo[known])
            bad = [float(x) for x in losses[-1][rows] if not math.isfinite(float(x))]
            trace = [{"step": n, "loss": float(loss[rows].mean())} for n, loss in enumerate(losses)]
            failure = f"loss {bad[0]} of an answer" if bad else None
            changes = {self.module: book.codebook()}
            delta = delta_of(self.method, plan, context, changes, failure, [] if bad else trace)
            found.append((delta, book))
        return found

    def _given(self, inputs: Tensor) -> Tensor:
        """Return the matrix's own output: the module may contain a codebook of earlier edits."""
        import torch

        with torch.no_grad():
            return self.model.get_submodule(self.module).forward(inputs)  # without its hooks

    def _answer(self, inputs_nti: Tensor) -> Tensor:
        """Return the outputs of the matrix with the codebook of each plan in its rows."""
        import torch

        given_nto = self._given(inputs_nti)
        return torch.cat([
            book.codebook().alone().respond(inputs_nti[rows], given_nto[rows])
            # Values that are optimised are given at every step.
            if not set(served_nt.unique().tolist()) <= {-1, *own} else given_nto[rows]
            for book, rows, served_nt, own in zip(
                self.books, self.rows, self.served, self.chosen, strict=True
            )
        ])  # fmt: skip

    @staticmethod
    def _numbered(book: Entries, own: Sequence[int], served_nt: Tensor, mine: slice) -> Tensor:
        """Return, from 1, which of all optimised entries serves each token of a plan; 0 if none."""
        import torch

        number = served_nt.new_zeros(len(book) + 1)  # the last one is of -1
        number[list(own)] = torch.arange(mine.start, mine.stop, device=number.device) + 1
        return number[served_nt]

    def _adam(self, start_eo: Tensor, context: EditContext) -> tuple[Tensor, list[Tensor]]:
        """Return the values [e, o], and the losses [n] before the first and after every step."""
        import torch

        method = self.method
        values = start_eo.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([values], lr=method.learning_rate)
        losses: list[Tensor] = []
        for step in range(method.steps + 1):
            loss_n = self._losses(values)
            losses.append(loss_n.detach())
            loss_e = self._by_entry(loss_n)
            now = loss_e.detach()
            # A value that is done may have to continue after another value of its row has changed.
            done = ~now.isfinite() | (now < method.stop_loss)
            if step == method.steps or bool(done.all()):
                break
            before = values.detach().clone()
            [values.grad] = torch.autograd.grad(
                torch.where(done, torch.zeros_like(loss_e), loss_e).sum(), [values]
            )
            optimiser.step()
            with torch.no_grad():
                # Adam's momentum moves all values: one that is done is restored.
                values.copy_(torch.where(done[:, None], before, values))
            context.progress(step + 1, method.steps)
        return values.detach(), losses

    def _losses(self, values_eo: Tensor) -> Tensor:
        """Return the mean loss of the answer of each row: [n]."""
        return self.tail.losses(values_eo[self.entry_s].to(self.tail.outputs.dtype))

    def _by_entry(self, loss_n: Tensor) -> Tensor:
        """Return the mean of these losses over the answer tokens that each entry serves: [e]."""
        import torch

        loss_a = loss_n[self.row_a]
        share_e = torch.bincount(self.entry_a, minlength=sum(map(len, self.chosen)))
        return loss_a.new_zeros(len(share_e)).index_add(0, self.entry_a, loss_a) / share_e


def _slices(lengths: Iterable[int]) -> list[slice]:
    """Return the slices of consecutive parts of these lengths."""
    ends = [0, *itertools.accumulate(lengths)]
    return [slice(first, end) for first, end in itertools.pairwise(ends)]

"""MEND: networks trained on edits of other facts map gradients to updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import Change, EditDelta, LowRank
from behemoth.edit.bounds import ABOVE_0, Bounds, at_least, check_values
from behemoth.edit.memory_budget import ACTIVATIONS, SENTENCE, EditedRows, answer_bytes
from behemoth.edit.outcome import delta_of
from behemoth.edit.parametrise import chosen_layers
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Choice, Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating, frozen
from behemoth.model.precision import wide_type
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import part_of

if TYPE_CHECKING:
    from torch import nn

    from behemoth.edit.meta.network import Editors
    from behemoth.edit.meta.training import TrainingSettings
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Mend"]

_RETAINED = 8  # retained rows of an edit in training
# For estimates: what a network computes from a token's factors, in multiples of these, and bytes of
# a token, its label and its place in training.
_FEATURES, _NUMBERS = 10, 32


@dataclass(frozen=True)
class Mend:
    """Learned updates (Mitchell et al., 2022).

    The gradient of a new answer's loss with respect to a matrix is the sum over tokens of the outer
    products of the output gradient and the input. A network for each matrix maps each such pair to
    another pair, and the update is the sum of their products. The networks are trained on edits of
    facts in the half of the world that does not contain the edited fact, so that the model gives
    the new answer and its predictions for other facts stay the same. With a cache they are kept by
    the model's hash.

    Attributes
    ----------
    layers : tuple of int, optional
        Layers whose MLP matrices change, negative numbers from the last; None for all.
    facts : int
        Number of facts that the networks are trained on, for each half.
    training_steps : int
        Number of Adam steps of their training.
    training_batch : int
        Number of edits per training step.
    together : int, optional
        Number of edits whose summed updates are applied to one model in training: by default as
        many as the plan has, at most `training_batch`, and 1 in a sequence. Networks trained on
        single edits destroy a model when 16 of their updates are summed.
    learning_rate : float
        Step size of their training.
    rank : int
        Rank of their matrices.
    edit_rate : float
        Initial step size of the updates; it is learnt.
    edited : float
        Weight of the new answers in training, relative to the divergence on other facts.
    rephrased : int
        Maximum number of other written wordings of each edit in which its new answer counts in
        training as well, as in the publication; fewer if the corpus has fewer.
    """

    layers: tuple[int, ...] | None = (-2, -1)
    facts: int = 256
    training_steps: int = 400
    training_batch: int = 16
    together: int | None = None
    learning_rate: float = 1e-3
    rank: int = 128
    edit_rate: float = 5e-3
    edited: float = 1.0
    rephrased: int = 2

    # No value makes the training longer than the defaults do: a ceiling of rows is on the steps of
    # an edit, and does not count what is prepared before it.
    searched: ClassVar[Searched] = {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "edit_rate": Range(5e-4, 5e-2, log=True),
        "edited": Range(0.1, 10.0, log=True),
        "rephrased": Choice((0, 2)),
    }
    bounds: ClassVar[Bounds] = {
        "training_steps": at_least(1), "training_batch": at_least(1), "rank": at_least(1),
        "learning_rate": ABOVE_0, "edit_rate": ABOVE_0, "edited": ABOVE_0, "facts": at_least(2),
        "rephrased": at_least(0),
    }  # fmt: skip
    info: ClassVar[MethodInfo] = MethodInfo(
        name="mend",
        family="meta-learning",
        source="Mitchell et al. 2022, arXiv 2110.11309",
        changes="all MLP matrices of chosen layers, rank at most the number of tokens",
        kinds=frozenset({"remap", "censor"}),
        stacks=True,
        doses=False,  # one step
    )

    def __post_init__(self) -> None:
        check_values(self)
        if self.together is not None and not 1 <= self.together <= self.training_batch:
            raise ArgumentError("together", self.together, "1 to training_batch")

    def effort(self) -> Effort:
        """Return one step, and once per model the training of the networks of both halves."""
        edits = 2 * self.training_steps * self.training_batch
        return Effort(1, 4, prepared=edits * (1 + self.rephrased + _RETAINED))

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes of the factors of each edit's updates."""
        return count * 32 * self._factor_bytes(model)

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of all updates, and of the pass of the largest plan's rows."""
        factors = self._factor_bytes(model)
        architecture = Architecture.of(model)
        behind = architecture.layers - min(chosen_layers(model, self.layers))
        token = 2 * factors + behind * ACTIVATIONS * architecture.width
        rows = [EditedRows.of(plan) for plan in plans]
        passes = (own.tokens * token + answer_bytes(model, own.answers) for own in rows)
        return self.delta_bytes(model, plans) + max(passes, default=0)

    def shared_bytes(self, model: nn.Module) -> int:
        """Return the bytes of the training of the networks, which all plans use.

        It keeps the factors and the streams of all rows of its facts, which are joined from those
        of its passes; networks of both halves, gradients and the two moments of Adam; and of a step
        what the networks and the blocks behind them compute for gradients.
        """
        factors, architecture = self._factor_bytes(model), Architecture.of(model)
        rows, width = 1 + self.rephrased + _RETAINED, architecture.width
        behind = architecture.layers - min(chosen_layers(model, self.layers))
        kept = self.facts * SENTENCE * (2 * factors + rows * (2 * 4 * width + _NUMBERS))
        networks = 5 * (4 * self.rank + 5) * factors
        token = _FEATURES * factors + rows * behind * ACTIVATIONS * width
        edit = SENTENCE * token + answer_bytes(model, rows)
        return kept + networks + min(self.training_batch, self.facts) * edit

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of all updates: factors of every token."""
        return self._factor_bytes(model) * sum(EditedRows.of(plan).tokens for plan in plans)

    def _factor_bytes(self, model: nn.Module) -> int:
        """Return the bytes of the factors of one token's update."""
        shapes = [model.get_parameter(f"{name}.weight").shape for name in self.modules(model)]
        return 4 * sum(out + inputs for out, inputs in shapes)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one delta for each plan, the sum of its edits' updates."""
        check_kinds(self, plans)
        editors: dict[tuple[int, int], Editors] = {}

        def editing(part: int) -> _Editing:
            # Networks of all plans come before the first of the edits.
            step = part_of(context.progress, part, 2 * len(plans))
            return _Editing(self, model, replace(context, progress=step), editors)

        for number, plan in enumerate(plans):
            editing(number).prepare(plan)
        return [editing(len(plans) + number)(plan) for number, plan in enumerate(plans)]

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable that uses the networks of the unedited model for all edits."""
        editing = _Editing(self, model, context, {}, sequence=True)
        editing.prepare()
        return editing

    def modules(self, model: nn.Module) -> list[str]:
        """Return the names of the linear modules whose weights change."""
        return Architecture.of(model).linear_modules("mlp", chosen_layers(model, self.layers))

    def training_settings(self, seed: int, edits: int) -> TrainingSettings:
        """Return how its networks are trained, for plans of `edits` edits."""
        from behemoth.edit.meta.training import TrainingSettings

        together = min(edits, self.training_batch) if self.together is None else self.together
        return TrainingSettings(
            facts=self.facts, retained=_RETAINED, steps=self.training_steps,
            batch=self.training_batch,
            together=together, learning_rate=self.learning_rate, rank=self.rank,
            edit_rate=self.edit_rate, edited=self.edited, rephrased=self.rephrased, seed=seed,
        )  # fmt: skip


@dataclass(frozen=True)
class _Editing:
    """Return the deltas of plans, with networks by half and number of edits at a time."""

    method: Mend
    model: nn.Module
    context: EditContext
    editors: dict[tuple[int, int], Editors]
    sequence: bool = False

    def prepare(self, plan: EditPlan | None = None) -> None:
        """Train or load the networks for a plan, or without one for single edits of both halves."""
        from behemoth.edit.locate.covariance import model_hash
        from behemoth.edit.meta.training import halves, trained_editors

        wanted = {0, 1}
        if plan is not None:
            wanted = {1 - int(half) for half in halves(plan.edits["fact"].to_numpy())}
        settings, modules = self.training_settings(plan), self.method.modules(self.model)
        wanted -= {half for half, together in self.editors if together == settings.together}
        for number, half in enumerate(sorted(wanted)):
            file = None
            if self.context.cache is not None:
                corpus = self.context.corpus.spec_hash[:24]
                layers = "-".join(map(str, chosen_layers(self.model, self.method.layers)))
                name = f"{model_hash(self.model)[:24]}-{corpus}-{layers}-{settings.name}-{half}"
                file = self.context.cache / "mend" / f"{name}.safetensors"
            with evaluating(self.model), frozen(self.model):
                self.editors[half, settings.together] = trained_editors(
                    self.model, self.context.corpus, modules, half, settings, file,
                    part_of(self.context.progress, number, len(wanted)),
                )  # fmt: skip

    def training_settings(self, plan: EditPlan | None) -> TrainingSettings:
        """Return how the networks of a plan are trained; in a sequence, for single edits."""
        edits = 1 if plan is None or self.sequence else len(plan)
        return self.method.training_settings(self.context.seed, edits)

    def __call__(self, plan: EditPlan) -> EditDelta:
        check_kinds(self.method, [plan])
        with evaluating(self.model):
            changes = self._changes(plan)
        finite = all(
            bool(tensor.isfinite().all())
            for change in changes.values()
            for tensor in vars(change).values()
        )
        self.context.progress(1, 1)
        failure = None if finite else "an update that is not finite"
        return delta_of(self.method, plan, self.context, changes, failure)

    def _changes(self, plan: EditPlan) -> dict[str, Change]:
        """Return the summed updates of all rows, averaged over the rows of each edit."""
        import polars as pl
        import torch

        from behemoth.delta.delta import add_changes
        from behemoth.edit.batch import edit_rows_of
        from behemoth.edit.meta.factors import factors_of
        from behemoth.edit.meta.network import changes_of
        from behemoth.edit.meta.training import halves

        parameter = next(self.model.parameters())
        dtype = wide_type(parameter.dtype)
        frame = plan.training.filter(pl.col("role") == "edit")
        rows = edit_rows_of(plan, "answer")
        half = torch.from_numpy(halves(frame["fact"].to_numpy()))
        share = 1 / torch.tensor(frame.select(pl.len().over("edit")).to_series().to_list())
        together = self.training_settings(plan).together
        total: dict[str, Change] = {}
        for number in sorted(set(half.tolist())):
            mine = half == number
            tokens, labels = (
                part[mine].to(parameter.device) for part in (rows.tokens, rows.labels)
            )
            found = factors_of(self.model, tokens, labels, self.method.modules(self.model))
            wide = {name: (u.to(dtype), delta.to(dtype)) for name, (u, delta) in found.items()}
            shares = share[mine].to(parameter.device, dtype)
            made = changes_of(self.editors[1 - number, together], wide, shares)
            turned = Architecture.of(self.model).transposed
            for name, change in made.items():
                own = change.transposed() if turned else change
                # Contiguous, as loaded from files: other memory layouts round differently.
                own = LowRank(own.left.contiguous(), own.right.contiguous())
                total = add_changes(total, {f"{name}.weight": own})
        return total

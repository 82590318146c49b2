"""The base class of locate-and-edit methods: find sites and target vectors, solve for weights.

A method adds its defaults, its `MethodInfo` and its `solve`: the change of an MLP output matrix
that adds R to the outputs for keys K. The procedure is MEMIT's (Meng et al. 2022, arXiv 2210.07229,
algorithm 1); with one layer and one subject it is ROME's.

The defaults are for models like `nano` and `14m`, whose tables are in docs/methods.md
(`benches/places.py`): tracing finds facts of one-token objects at the prompt's last token, in the
last layer. There single edits in three wordings flip every fact, 0.92 or more in held-out wordings,
and preserve 0.95 or more of what should stay. In such a shallow model attention brings subject and
relation to that token, and the fact is looked up there. The output of the last layer decides only
one token, so for an object of several tokens each is edited where it is predicted (`sites`): with
one place for all of them, objects of two tokens were not edited at any place.

Shape letters: s sites, n sites of one plan, m earlier keys, d residual stream, f MLP units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from behemoth.delta.delta import EditDelta, LowRank
from behemoth.edit.bounds import FROM_0, Bounds, at_least
from behemoth.edit.memory_budget import (
    ACTIVATIONS,
    SENTENCE,
    WORDINGS,
    EditedRows,
    longest_answers,
)
from behemoth.edit.outcome import delta_of
from behemoth.edit.parametrise import change_bytes, chosen_layers
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating, frozen
from behemoth.model.precision import wide_type
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import part_of

from .budget import TargetBudget, Token
from .state import MOST_KEYS, EditorState, Worked

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from behemoth.plan.edit_plan import EditPlan

    from .covariance import Covariance
    from .keys import Observed
    from .sites import Site

__all__ = ["InverseCovariance", "LocateAndEdit"]

_SOLVED = 3  # matrices besides a covariance: with its ridge, its factor, a product
_JOINED = 2  # copies of keys of earlier edits: with those of the next one, and for their product
_PARTS = 2  # of the progress of an edit: covariances, then the search for target vectors
_PREFIXES = 4  # default for a model trained on documents after others


@dataclass(frozen=True)
class LocateAndEdit(TargetBudget, ABC):
    """A method that solves for MLP output matrices.

    Attributes
    ----------
    layers : tuple of int, optional
        Layers that change, negative numbers from the last; the target vectors belong to the
        last of them. By default those of the method's `default_layers`.
    token : {'subject', 'prompt'}
        Token at which a prompt is edited: the last of the subject, as published, or the last of the
        prompt and, for an answer of several tokens, also each of these except the last.
    prefixes : int, optional
        Number of documents of the corpus that keys and targets are averaged over, in addition to no
        prefix. By default 4, or 0 for a model that was trained with a document mask.
    prefix_tokens : int
        Maximum number of tokens of a prefix.
    kept : int
        Maximum number of other relations of a subject whose answers are preserved in the search for
        targets; without effect at the prompt's last token, where these have keys of their own.
    samples : int
        Number of corpus tokens from which covariances are computed: the first of its stream, or
        with a schedule evenly spaced blocks of it.
    """

    layers: tuple[int, ...] | None = None
    token: Token = "prompt"
    prefixes: int | None = None
    prefix_tokens: int = 16
    kept: int = 4
    samples: int = 100_000

    banded: ClassVar[bool] = False
    """Whether the method spreads an edit over several layers, as published."""
    remembers: ClassVar[bool] = True
    """Whether `solve` uses the keys of earlier edits of a sequence, which are then kept."""
    usual: ClassVar[str] = "at the prompt's last token, last layer"
    """Default place, with its preposition: the place that tracing found in small models."""
    published: ClassVar[str]
    """Published place, with the number of layers of the model."""
    searched: ClassVar[Searched] = {
        "learning_rate": Range(0.05, 1.0, log=True),
        "steps": Range(5, 50),
        "clamp": Range(0.5, 8.0, log=True),
    }
    bounds: ClassVar[Bounds] = {
        **TargetBudget.bounds,
        "prefixes": at_least(0), "prefix_tokens": at_least(1), "kept": at_least(0),
        "samples": at_least(1),
    }  # fmt: skip
    info: ClassVar[MethodInfo]

    @abstractmethod
    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """Return the change of a layer's MLP output matrix.

        Parameters
        ----------
        keys_fn : float64 [f, n]
        residuals_dn : float64 [d, n]
            Wanted minus current outputs for the keys.
        covariance : Covariance
            Covariance of the layer's keys in the unedited model.
        earlier_mf : float64 [m, f]
            Keys of earlier edits of a sequence, or rows with the same sum of k k^T; none unless
            the method `remembers`.
        """

    def default_layers(self, count: int) -> tuple[int, ...]:
        """Return the layers of a model that change if `layers` is not set.

        At a prompt's last token it is the last layer, where a shallow model looks facts up. At a
        subject's last token it is the layer below the middle or, for a method that spreads an edit
        over several layers, a band that ends there, as published.
        """
        if self.token == "prompt":
            return (count - 1,)
        middle = (count - 1) // 2
        return tuple(range(count // 4, middle + 1)) if self.banded else (middle,)

    def origins(self, observed: Observed) -> Tensor:
        """Return the vectors whose norms scale those of target vectors: [s, d].

        This is not called for a model with a norm between MLP and residual stream, for which they
        are the MLP's outputs.
        """
        return observed.streams_sd

    def place(self, model: nn.Module) -> str:
        """Return where it edits a model, and the published place."""
        layers = self._layers(model)
        said = f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
        count = Architecture.of(model).layers
        return f"the {self.token}'s last token, {said} of {count} (published: {self.published})"

    def effort(self) -> Effort:
        """Return the steps of the search, with a wording after each prefix and kept sentences."""
        return Effort(self.steps, self._prefixes() + 1 + self._kept())

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes the search keeps for gradients, which end at the last changed layer."""
        return self._search_bytes(model, count * WORDINGS, count)

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the same by the number of wordings of each plan, and of tokens in its answers."""
        own = [EditedRows.of(plan) for plan in plans]
        rows = sum(each.rows if self.token == "subject" else each.answers for each in own)
        return self._search_bytes(model, rows, sum(map(len, plans)))

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of factors with a column for each key, as `sites` states them."""
        keys = sum(map(self._keys, plans))
        architecture = Architecture.of(model)
        names = [f"{architecture.mlp_out(layer)}.weight" for layer in self._layers(model)]
        return change_bytes(model, names, keys)

    def sequence_bytes(self, model: nn.Module, plan: EditPlan) -> int:
        """Return the bytes of the keys of earlier edits, in float64, if the method `remembers`.

        In addition to those of every layer, there are two copies while one layer is solved.
        """
        if not self.remembers:
            return 0
        hidden = self._hidden(model)
        keys = min(self._keys(plan), MOST_KEYS * hidden)
        return 8 * hidden * keys * (len(self._layers(model)) + _JOINED)

    def _keys(self, plan: EditPlan) -> int:
        """Return the number of keys of a plan, at most, in each layer."""
        return len(plan) if self.token == "subject" else longest_answers(plan)

    def step_rows(self, plan: EditPlan) -> int:
        """Return 1: `plans_bytes` includes the rows of the search."""
        return 1

    def _search_bytes(self, model: nn.Module, wordings: int, edits: int) -> int:
        architecture = Architecture.of(model)
        behind = architecture.layers - self._layers(model)[-1]
        prefixes = wordings * self._prefixes()
        tokens = prefixes * (self.prefix_tokens + SENTENCE)
        tokens += (wordings + edits * self._kept()) * SENTENCE
        return tokens * behind * ACTIVATIONS * architecture.width

    def for_model(self, context: EditContext) -> Self:
        """Return the method with its number of prefixes: none if documents were masked."""
        return replace(self, prefixes=self._prefixes(masked=context.training().document_mask))

    def _prefixes(self, *, masked: bool = False) -> int:
        """Return the number of prefixes, of a model trained with a document mask if `masked`."""
        if self.prefixes is not None:
            return self.prefixes
        return 0 if masked else _PREFIXES

    def _kept(self) -> int:
        """Return the maximum number of kept sentences of an edit (`sites_of`)."""
        return self.kept if self.token == "subject" else 0

    def shared_bytes(self, model: nn.Module) -> int:
        """Return the bytes of a covariance and its factor for each layer, and of solving."""
        return 8 * self._hidden(model) ** 2 * (2 * len(self._layers(model)) + _SOLVED)

    def _hidden(self, model: nn.Module) -> int:
        """Return the number of inputs of an MLP output matrix, the length of a key."""
        return max(model.get_parameter(f"{Architecture.of(model).mlp_out(0)}.weight").shape)

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable that keeps the unedited model's covariances and earlier edits' keys."""
        return _Sequence(self, model, context, self.start(model, context))

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one delta for each plan; target vectors of all plans are optimised together."""
        check_kinds(self, plans)
        return [
            delta
            for delta, _ in self._edit_plans(model, plans, context, self.start(model, context))
        ]

    def start(self, model: nn.Module, context: EditContext) -> EditorState:
        """Return the state of a model before its first edit: its covariances."""
        from .covariance import covariances
        from .layout import Layout

        layers = self._layers(model)
        found = covariances(
            model,
            context.corpus,
            layers,
            self.samples,
            Layout.of(context.training()),
            cache=context.cache,
            step=part_of(context.progress, 0, _PARTS),
        )
        return EditorState(found)

    def _layers(self, model: nn.Module) -> list[int]:
        count = Architecture.of(model).layers
        wanted = self.default_layers(count) if self.layers is None else self.layers
        layers = chosen_layers(model, wanted)
        if layers[-1] == count - 1 and self.token == "subject":
            # No attention follows it, so its output at the subject does not affect any answer.
            raise ArgumentError(
                "layers", f"{layers[-1]}, the last of {count}", "layers before the last"
            )
        return layers

    def _edit_plans(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext, state: EditorState
    ) -> list[tuple[EditDelta, Worked]]:
        from .sites import Places, sites_of

        if not plans:
            return []
        sites = sites_of(
            plans,
            context.corpus,
            Places(context.corpus, self.token),
            prefixes=self._prefixes(masked=context.training().document_mask),
            prefix_tokens=self.prefix_tokens,
            kept=self.kept,
            seed=context.seed,
        )
        with evaluating(model), frozen(model):
            worked = self._edit_sites(model, sites, state, context)
        return [
            (delta_of(self, plan, context, one.changes, one.failure(), one.trace()), one)
            for plan, one in zip(plans, worked, strict=True)
        ]

    def _so_far(self, worked: Worked) -> EditDelta:
        """Return the changes of a plan that is not finished, for the model."""
        return EditDelta(worked.changes, self.info.name, {}, "", 0)

    def _edit_sites(
        self,
        model: nn.Module,
        sites: Sequence[Sequence[Site]],
        state: EditorState,
        context: EditContext,
    ) -> list[Worked]:
        """Find target vectors of all sites together, then layer by layer each plan's changes."""
        from behemoth.delta.stack import stack_deltas

        from .keys import before_norm, observe, through_norm
        from .target import optimise_targets

        layers = self._layers(model)
        last = layers[-1]
        architecture = Architecture.of(model)
        norm = architecture.mlp_post_norm(last)
        dtype = wide_type(next(model.parameters()).dtype)
        flat = [site for own in sites for site in own]
        before = observe(model, last, sites)
        origins_sd = self.origins(before) if norm is None else before.values_sd
        step = part_of(context.progress, 1, _PARTS)
        targets = optimise_targets(model, last, flat, origins_sd, self, step)
        # Wanted change of the residual stream after the last layer, if several layers share it.
        wanted_sd = targets.deltas_sd
        if norm is not None and len(layers) > 1:
            behind = model.get_submodule(norm)
            wanted_sd = through_norm(behind, before.values_sd, targets.deltas_sd)
        goals_sd = before.streams_sd + wanted_sd
        worked, first = [], 0
        for own in sites:
            mine = slice(first, first + len(own))
            failures, traces = targets.failures[mine], targets.traces[mine]
            worked.append(Worked({}, {}, failures, traces, [site.edits for site in own]))
            first += len(own)
        for number, layer in enumerate(layers):
            here, now_sd = before, before.streams_sd
            if number or layer != last:
                # Keys, and the rest of the wanted change, with the changes of the layers below.
                deltas = [self._so_far(one) for one in worked]
                stacked = stack_deltas(model, deltas) if number else None
                here = observe(model, layer, sites, stacked)
                if number:
                    now_sd = observe(model, last, sites, stacked).streams_sd
            missing_sd = (goals_sd - now_sd) / (len(layers) - number)
            if norm is not None and len(layers) > 1:
                own = model.get_submodule(architecture.mlp_post_norm(layer) or norm)
                missing_sd = before_norm(own, here.values_sd, missing_sd)
            first = 0
            for one, own in zip(worked, sites, strict=True):
                mine = slice(first, first + len(own))
                self._solve_layer(
                    one, architecture, dtype, layer, here.keys_sf[mine], missing_sd[mine], state
                )
                first += len(own)
        return worked

    def _solve_layer(
        self,
        worked: Worked,
        architecture: Architecture,
        dtype: torch.dtype,
        layer: int,
        keys_nf: Tensor,
        missing_nd: Tensor,
        state: EditorState,
    ) -> None:
        going = [n for n, failure in enumerate(worked.failures) if failure is None]
        if not going:
            return
        keys_nf, missing_nd = keys_nf[going], missing_nd[going]
        earlier_mf = state.earlier_mf.get(layer, keys_nf[:0])
        change = self.solve(keys_nf.T, missing_nd.T, state.covariances[layer], earlier_mf)
        broken = None
        if not bool(change.left.isfinite().all() and change.right.isfinite().all()):
            broken = f"the equations of layer {layer} have no finite solution"
        elif not bool(change.right.any()):
            # For example, the null space of AlphaEdit is empty. A target that is already there is
            # no failure: then the left factor is 0.
            broken = f"no change of layer {layer} that is allowed acts on the keys of the edit"
        if broken is not None:
            worked.failures = [failure or broken for failure in worked.failures]
            worked.changes, worked.keys_nf = {}, {}
            return
        change = LowRank(change.left.to(dtype), change.right.to(dtype))
        name = f"{architecture.mlp_out(layer)}.weight"
        worked.changes[name] = change.transposed() if architecture.transposed else change
        worked.keys_nf[layer] = keys_nf


@dataclass(frozen=True)
class InverseCovariance(LocateAndEdit, ABC):
    """A method whose equations contain the inverse of the covariance, which small models lack.

    Attributes
    ----------
    ridge : float
        Share of the covariance's mean diagonal that is added to its diagonal.
    """

    ridge: float = 1e-5

    bounds: ClassVar[Bounds] = {**LocateAndEdit.bounds, "ridge": FROM_0}


@dataclass(frozen=True)
class _Sequence:
    """Returns the deltas of a sequence, and keeps the keys of its edits if the method remembers."""

    method: LocateAndEdit
    model: nn.Module
    context: EditContext
    started: EditorState

    def __call__(self, plan: EditPlan) -> EditDelta:
        method = self.method
        check_kinds(method, [plan])
        [(delta, worked)] = method._edit_plans(self.model, [plan], self.context, self.started)
        if method.remembers and delta.failure is None:
            self.started.remember(worked.keys_nf)
        return delta

    def memory(self) -> dict[str, Tensor]:
        """Return the keys of earlier edits by layer, as `EditorState` has them."""
        return {str(layer): keys for layer, keys in self.started.earlier_mf.items()}

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the keys of earlier edits by these."""
        self.started.earlier_mf.clear()
        for layer, covariance in self.started.covariances.items():
            if (keys := memory.get(str(layer))) is not None:
                self.started.earlier_mf[layer] = keys.to(covariance.matrix_ff)

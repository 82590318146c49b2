"""What all locate-and-edit methods share: sites in, target vectors found, weights solved for.

A method of this kind is its defaults, its `MethodInfo` and its `solve`: the change of an MLP output
matrix that makes keys K give R more. The way there is MEMIT's (Meng et al. 2022, arXiv 2210.07229,
algorithm 1); with one layer and one subject it is ROME's.

The defaults are for models like `nano` and `14m`, whose tables are in docs/methods.md
(`benches/places.py`): tracing finds facts of one-token objects at the prompt's last token, in the
last layer, and there single edits in three wordings flip every fact, 0.92 or more in wordings held
out, and keep 0.95 or more of what should stay. Attention of so shallow a model fetches subject and
relation for that token, and the fact is looked up there. What the last layer writes decides one
token, so of an object of several each is edited where it is predicted (`sites`): with one place
for all of them, objects of two tokens were edited nowhere.

Shape letters: s sites, n sites of one plan, m earlier keys, d residual stream, f MLP units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import EditDelta, LowRank
from behemoth.edit.parametrise import chosen_layers
from behemoth.edit.protocol import EditContext, Effort, MethodInfo, check_kinds, settings_of
from behemoth.edit.search import Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating, frozen
from behemoth.model.precision import wide_type
from behemoth.support.errors import ArgumentError

from .budget import TargetBudget, Token
from .state import EditorState, Worked

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from behemoth.plan.edit_plan import EditPlan

    from .covariance import Covariance
    from .keys import Observed
    from .sites import Site

__all__ = ["LocateAndEdit", "leverage", "solved"]

_WORDINGS = 3  # of an edited fact, mostly
_SENTENCE = 8  # tokens
_SOLVED = 3  # matrices beside a covariance: with its ridge, its factor, a product
_PREFIXES = 4  # where the model knows what stands before a document
# Bytes that a block keeps for a token's gradients, for each unit of width: 17 numbers of 4 bytes
# (Korthikanti et al. 2022, arXiv 2205.05198, table 2).
_ACTIVATIONS = 68


@dataclass(frozen=True)
class LocateAndEdit(TargetBudget, ABC):
    """A method that solves for MLP output matrices.

    Attributes
    ----------
    layers : tuple of int, optional
        Layers that change, negative numbers from the last; the target vectors belong to the
        last of them. By default what the method's `default_layers` says.
    token : {'subject', 'prompt'}
        Which token of a prompt is edited at: the last of the subject, as published, or the
        last of all, and with an answer of several tokens each of these but the last.
    prefixes : int, optional
        Documents of the corpus that keys and targets are averaged over, beside no prefix. By
        default 4 of a model that has seen documents behind others, and none of one that was
        trained with a document mask.
    prefix_tokens : int
        Most tokens of a prefix.
    kept : int
        Most other relations of a subject whose answers the search for targets keeps.
    samples : int
        Corpus tokens that covariances are worked out from.
    ridge : float
        Share of the covariance's mean diagonal that is added to its diagonal.
    """

    layers: tuple[int, ...] | None = None
    token: Token = "prompt"
    prefixes: int | None = None
    prefix_tokens: int = 16
    kept: int = 4
    samples: int = 100_000
    ridge: float = 1e-5

    banded: ClassVar[bool] = False
    """Whether it spreads an edit over several layers."""
    usual: ClassVar[str] = "at the prompt's last token, last layer"
    """Where it edits by default, with its preposition: what tracing found in small models."""
    published: ClassVar[str]
    """Where the publication edits, and of how many layers."""
    searched: ClassVar[Searched] = {
        "learning_rate": Range(0.05, 1.0, log=True),
        "steps": Range(5, 50),
        "keep": Range(0.01, 1.0, log=True),
        "clamp": Range(0.5, 8.0, log=True),
    }
    info: ClassVar[MethodInfo]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("prefixes", 0), ("prefix_tokens", 1), ("kept", 0), ("samples", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ArgumentError(name, getattr(self, name), f"at least {least}")
        if not self.ridge >= 0:
            raise ArgumentError("ridge", self.ridge, "from 0")
        if self.layers is not None and not self.layers:
            raise ArgumentError("layers", "none", "at least one layer")

    @abstractmethod
    def solve(
        self, keys_fn: Tensor, residuals_dn: Tensor, covariance: Covariance, earlier_mf: Tensor
    ) -> LowRank:
        """The change of a layer's MLP output matrix.

        Parameters
        ----------
        keys_fn : float64 [f, n]
        residuals_dn : float64 [d, n]
            What the keys should give beyond what they do.
        covariance : Covariance
            Of the layer's keys in the unedited model.
        earlier_mf : float64 [m, f]
            Keys of earlier edits of a sequence.
        """

    def default_layers(self, count: int) -> tuple[int, ...]:
        """Which of a model's layers change unless the settings say.

        The last one at a prompt's last token, where a shallow model looks facts up. At a
        subject's the layer below the middle, or, of methods that spread an edit over several
        layers, a band that ends there, as published.
        """
        if self.token == "prompt":
            return (count - 1,)
        middle = (count - 1) // 2
        return tuple(range(count // 4, middle + 1)) if self.banded else (middle,)

    def origins(self, observed: Observed) -> Tensor:
        """What target vectors are measured against: [s, d].

        Not asked of a model with a norm between MLP and stream: there it is what the MLP puts out.
        """
        return observed.streams_sd

    def place(self, model: nn.Module) -> str:
        """Where it edits a model, with the publication's place beside it."""
        layers = self._layers(model)
        said = f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
        count = Architecture.of(model).layers
        return f"the {self.token}'s last token, {said} of {count} (published: {self.published})"

    def effort(self) -> Effort:
        """Steps of the search for target vectors: a wording behind every prefix, and the kept."""
        return Effort(self.steps, (self.prefixes or 0) + 1 + self.kept)

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """What the search keeps for its gradients, which end at the last layer that changes."""
        return self._search_bytes(model, count * _WORDINGS, count)

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """The same with as many wordings as each plan has, and tokens of answers."""
        edits = sum(len(plan) for plan in plans)
        own = [plan.training.filter(plan.training["role"] == "edit") for plan in plans]
        whole = self.token == "subject"
        rows = sum(each.height if whole else int(each["answer"].list.len().sum()) for each in own)
        return self._search_bytes(model, rows, edits)

    def step_rows(self, plan: EditPlan) -> int:
        """One: rows of the search are what `plans_bytes` counts."""
        return 1

    def _search_bytes(self, model: nn.Module, wordings: int, edits: int) -> int:
        architecture = Architecture.of(model)
        behind = architecture.layers - self._layers(model)[-1]
        prefixes = _PREFIXES if self.prefixes is None else self.prefixes
        rows = wordings * (prefixes + 1) + edits * self.kept
        tokens = rows * (self.prefix_tokens + _SENTENCE)
        return tokens * behind * _ACTIVATIONS * architecture.width

    def shared_bytes(self, model: nn.Module) -> int:
        """A covariance in double precision for each layer that changes, and what solving takes."""
        hidden = max(model.get_parameter(f"{Architecture.of(model).mlp_out(0)}.weight").shape)
        return 8 * hidden * hidden * (len(self._layers(model)) + _SOLVED)

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Go on with what is known of the unedited model, and with the keys of earlier edits."""
        return _Sequence(self, model, context, self.start(model, context))

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """One delta for each plan; target vectors of all plans are found together."""
        check_kinds(self, plans)
        return [
            delta
            for delta, _ in self._edit_plans(model, plans, context, self.start(model, context))
        ]

    def start(self, model: nn.Module, context: EditContext) -> EditorState:
        """What must be known of a model before its first edit."""
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
            step=context.progress,
        )
        return EditorState(found)

    def edit_next(
        self, model: nn.Module, plan: EditPlan, context: EditContext, state: EditorState
    ) -> EditDelta:
        """The delta of the next plan of a sequence, whose keys join the state.

        Parameters
        ----------
        model : nn.Module
            With the deltas of all earlier plans in.
        plan : EditPlan
        context : EditContext
        state : EditorState
            What `start` gave for the unedited model.
        """
        check_kinds(self, [plan])
        [(delta, worked)] = self._edit_plans(model, [plan], context, state)
        state.remember(worked.keys_nf)
        return delta

    def _layers(self, model: nn.Module) -> list[int]:
        count = Architecture.of(model).layers
        wanted = self.default_layers(count) if self.layers is None else self.layers
        layers = chosen_layers(model, wanted)
        if layers[-1] == count - 1 and self.token == "subject":
            # No attention comes after it, so what it writes at the subject reaches no answer.
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
        prefixes = self.prefixes
        if prefixes is None:
            prefixes = 0 if context.training().document_mask else _PREFIXES
        sites = sites_of(
            plans,
            context.corpus,
            Places(context.corpus, self.token),
            prefixes=prefixes,
            prefix_tokens=self.prefix_tokens,
            kept=self.kept,
            seed=context.seed,
        )
        with evaluating(model), frozen(model):
            worked = self._edit_sites(model, sites, state, context)
        return [
            (self._delta(plan.plan_hash, context.seed, one), one)
            for plan, one in zip(plans, worked, strict=True)
        ]

    def _delta(self, plan_hash: str, seed: int, worked: Worked) -> EditDelta:
        failed = all(failure is not None for failure in worked.failures)
        return EditDelta(
            changes=worked.changes,
            method=self.info.name,
            settings=settings_of(self),
            plan_hash=plan_hash,
            seed=seed,
            failure=worked.failures[0] if failed else None,
            trace=worked.trace,
        )

    def _edit_sites(
        self,
        model: nn.Module,
        sites: Sequence[Sequence[Site]],
        state: EditorState,
        context: EditContext,
    ) -> list[Worked]:
        """Target vectors of all sites together, then layer by layer the change of each plan."""
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
        targets = optimise_targets(model, last, flat, origins_sd, self, context.progress)
        # What is wanted of the stream behind the last layer, where several share the way there.
        wanted_sd = targets.deltas_sd
        if norm is not None and len(layers) > 1:
            behind = model.get_submodule(norm)
            wanted_sd = through_norm(behind, before.values_sd, targets.deltas_sd)
        goals_sd = before.streams_sd + wanted_sd
        worked, first = [], 0
        for own in sites:
            mine = slice(first, first + len(own))
            trace = [row for rows in targets.traces[mine] for row in rows]
            worked.append(Worked({}, {}, targets.failures[mine], trace))
            first += len(own)
        for number, layer in enumerate(layers):
            here, now_sd = before, before.streams_sd
            if number or layer != last:
                # Keys and what is still missing, with the changes of the layers below in effect.
                deltas = [self._delta("", 0, one) for one in worked]
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
        for one, own in zip(worked, sites, strict=True):
            _note_failures(one, own)
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
        if not bool(change.left.isfinite().all() and change.right.isfinite().all()):
            worked.failures = [
                failure or f"the equations of layer {layer} have no finite solution"
                for failure in worked.failures
            ]
            worked.changes, worked.keys_nf = {}, {}
            return
        change = LowRank(change.left.to(dtype), change.right.to(dtype))
        name = f"{architecture.mlp_out(layer)}.weight"
        worked.changes[name] = change.transposed() if architecture.transposed else change
        worked.keys_nf[layer] = keys_nf


@dataclass(frozen=True)
class _Sequence:
    """Gives the deltas of a sequence, and remembers the keys of its edits."""

    method: LocateAndEdit
    model: nn.Module
    context: EditContext
    started: EditorState

    def __call__(self, plan: EditPlan) -> EditDelta:
        return self.method.edit_next(self.model, plan, self.context, self.started)

    def memory(self) -> dict[str, Tensor]:
        """Keys of earlier edits by layer: float64 [m, f]."""
        return {str(layer): keys for layer, keys in self.started.earlier_mf.items()}

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Take these for the keys of earlier edits."""
        self.started.earlier_mf.clear()
        for layer, covariance in self.started.covariances.items():
            if (keys := memory.get(str(layer))) is not None:
                self.started.earlier_mf[layer] = keys.to(covariance.matrix_ff)


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """The solution of linear equations; not a number where the matrix is singular."""
    import torch

    solution, info = torch.linalg.solve_ex(matrix, right)
    return solution if int(info) == 0 else torch.full_like(solution, torch.nan)


def leverage(regular_ff: Tensor, keys_fn: Tensor) -> Tensor:
    """The mean of k^T C^-1 k over keys: for how many tokens of the corpus one of them counts.

    A key that comes up in a share p of the corpus's tokens has at most 1 / p. So a number of keys
    that the covariance is to stand for means something else for every corpus: with 6,000, which was
    chosen where a fact is one token in 30,000, next to nothing of an edit came about where it was
    one in 2,000.
    """
    return (keys_fn * solved(regular_ff, keys_fn)).sum(0).mean()


def _note_failures(worked: Worked, sites: Sequence[Site]) -> None:
    """Say in the trace which edits of a batch broke down."""
    for failure, site in zip(worked.failures, sites, strict=True):
        if failure is not None:
            worked.trace += [{"edit": edit, "failure": failure} for edit in site.edits]

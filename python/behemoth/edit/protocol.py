"""The contract between edit methods and their callers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

from behemoth._gen import digest
from behemoth.plan.request import Kind
from behemoth.support.checks import whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Advance, silent

from .guarded import one_for_each

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import Change, EditDelta
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.config import TrainConfig

    from .search import Searched

__all__ = ["ALL_KINDS", "HOLD", "Answers", "Deferring", "EditContext", "EditKind", "EditMethod",
           "Effort", "Family", "Goal", "Lookahead", "MethodInfo", "Stateful", "Watch", "answers",
           "changes_of", "check_kinds", "settings_of"]  # fmt: skip

EditKind = Kind
ALL_KINDS: frozenset[EditKind] = frozenset(get_args(EditKind))
Family = Literal[
    "fine-tuning",
    "locate-and-edit",
    "memory",
    "in-context",
    "meta-learning",
    "unlearning",
    "oracle",
]
Goal = Literal["flip", "forget", "either"]
"""Criterion of an edit's success: the model answers with the new object rather than the old one
(``flip``), it no longer answers with the old one (``forget``), or the first if there is a new
object and otherwise the second (``either``)."""

HOLD = 3
"""Number of further evaluated steps for which a flip has to hold to count."""

_GOALS: dict[Family, Goal] = {
    "fine-tuning": "flip",
    "locate-and-edit": "flip",
    "memory": "flip",
    "in-context": "flip",
    "meta-learning": "flip",
    "unlearning": "forget",
    "oracle": "either",
}


@dataclass(frozen=True)
class MethodInfo:
    """Description of a method, for tables and for checks before any work.

    Attributes
    ----------
    name : str
        Name on the command line and in studies.
    family : str
        ``fine-tuning``, ``locate-and-edit``, ``memory``, ``in-context``, ``meta-learning``,
        ``unlearning`` or ``oracle``.
    source : str
        The paper that the method is from.
    changes : str
        What it changes in the model, in a few words.
    kinds : frozenset of str
        Kinds of edits that it can carry out.
    stacks : bool
        Whether independent plans run side by side in one batch.
    goal : {'flip', 'forget', 'either'}, optional
        Criterion of success of its edits; by default that of its family.
    doses : bool
        Whether the steps in the trace of an edit are doses that can be compared with those of
        other methods. False if the trace does not describe the returned delta, for example if it
        describes a search for target vectors from which the delta is then solved.

    Raises
    ------
    ArgumentError
        For an unknown family, kind or goal, and for no kinds.
    """

    name: str
    family: Family
    source: str
    changes: str
    kinds: frozenset[EditKind]
    stacks: bool
    goal: Goal | None = None
    doses: bool = True

    def __post_init__(self) -> None:
        if self.family not in get_args(Family):
            raise ArgumentError.unknown("family", self.family, get_args(Family))
        kinds = get_args(EditKind)
        given: object = self.kinds  # of other packages, which no type checker has seen
        if not isinstance(given, Set) or not given:
            allowed = f"a frozenset of at least one of {', '.join(kinds)}"
            raise ArgumentError("kinds", given, allowed)
        for kind in sorted(given, key=str):
            if kind not in kinds:
                raise ArgumentError.unknown("kinds", kind, kinds)
        if self.goal is not None and self.goal not in get_args(Goal):
            raise ArgumentError.unknown("goal", self.goal, get_args(Goal))

    def forgets(self, *, nameless: bool = False) -> bool:
        """Return whether an edit succeeds when the model no longer answers with the old object.

        Parameters
        ----------
        nameless : bool
            Whether the edit has no new object.
        """
        goal = self.goal or _GOALS[self.family]
        return goal == "forget" or (goal == "either" and nameless)


@dataclass(frozen=True)
class Watch:
    """What a method that takes steps evaluates during a single edit, besides the edit's own rows.

    It changes no edit. The trace then has the columns of `behemoth.study.schemas.TRACES`.

    Attributes
    ----------
    held_out : int
        Maximum number of wordings that the edit is not trained on, evaluated after each step; 0 for
        none.
    bystanders : int
        Maximum number of bystanders, evaluated when a flip begins and after the last step, with
        the norm of the change; 0 for neither.
    """

    held_out: int = 2
    bystanders: int = 8


def _unheard(_: float) -> None:
    pass


@dataclass(frozen=True)
class EditContext:
    """What a method may use besides the model and the plans.

    Attributes
    ----------
    corpus : Corpus
        The corpus that the model was trained on: for covariances, prefixes and twins.
    seed : int
        Seed of every draw; the same plan and seed give the same delta, stacked or alone. `seed_of`
        is for the draws of one plan. The order of rows (`batch.Order`) and the masks of ``wise``
        have older formulas of plan or shard, which are kept because deltas depend on them.
    cache : Path, optional
        Directory in which covariances are kept between calls, by the model's hash; by default
        they are not kept.
    run : Path, optional
        The training run of the model; oracles repeat its training.
    trained : TrainConfig, optional
        How the model was trained, for methods that read the corpus in the same way. By default the
        configuration of `run`, and without a run the default configuration.
    progress : callable, optional
        Called with (done, total) steps.
    watch : Watch, optional
        What is evaluated during an edit besides the edit's own rows; nothing by default.
    retrained : sequence of Path
        Existing runs. An oracle reuses one that equals the run it would train.
    saved : callable, optional
        Called with the seconds of a training whose run is reused.
    """

    corpus: Corpus
    seed: int = 0
    cache: Path | None = None
    run: Path | None = None
    trained: TrainConfig | None = None
    progress: Advance = silent
    watch: Watch | None = None
    retrained: Sequence[Path] = ()
    saved: Callable[[float], None] = _unheard

    def __post_init__(self) -> None:
        whole_number("seed", self.seed)

    def seed_of(self, plan: EditPlan) -> int:
        """Return the seed of one plan's draws, in [0, 2**60), the same alone and among others."""
        return int(digest(f"{self.seed}/{plan.plan_hash}".encode())[:15], 16)

    def training(self) -> TrainConfig:
        """Return how the model was trained."""
        from behemoth.train.config import TrainConfig
        from behemoth.train.run import read_record

        if self.trained is not None:
            return self.trained
        record = None if self.run is None else read_record(self.run)
        return TrainConfig() if record is None else record.config


@runtime_checkable
class EditMethod(Protocol):
    """A method: a frozen dataclass whose fields are its settings.

    Third parties register theirs under the entry-point group ``behemoth.methods``. `Answers` lists
    the optional methods and their defaults.
    """

    info: ClassVar[MethodInfo]

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Sequence[EditDelta]:
        """Compute one delta for each of several independent plans; the model is left unchanged.

        A plan whose edit fails (a loss that is not finite) gets a delta with a `failure` and no
        changes; the others continue.
        """
        ...


@runtime_checkable
class Stateful(Protocol):
    """A callable that returns the deltas of a sequence and keeps state from one to the next.

    The state is saved as tensors by name, so that an interrupted sequence resumes with it.
    """

    def __call__(self, plan: EditPlan) -> EditDelta:
        """Return the delta of the next plan."""
        ...

    def memory(self) -> dict[str, Tensor]:
        """Return the state."""
        ...

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the state by one that `memory` returned."""
        ...


@runtime_checkable
class Lookahead(Protocol):
    """A callable that returns the deltas of a sequence and can compute several in one pass.

    Its deltas are those that it would return for each plan by itself, up to rounding.
    """

    def __call__(self, plan: EditPlan) -> EditDelta:
        """Return the delta of the next plan."""
        ...

    def look_ahead(self, plans: Sequence[EditPlan], most: int) -> None:
        """Announce the next plans, in their order, each with the earlier deltas in the model.

        At most `most` of them fit in memory at a time.
        """
        ...


@runtime_checkable
class Deferring(Protocol):
    """A callable that returns the deltas of a sequence and can make edits without computing those.

    Each of its deltas replaces the earlier ones, and no edit depends on whether they are in the
    model. So the changes of many edits are computed only once, after the last of them.
    """

    def __call__(self, plan: EditPlan) -> EditDelta:
        """Return the delta of the next plan."""
        ...

    def take(self, plan: EditPlan) -> str | None:
        """Make the edits of the next plan as a call does; return the failure, or None."""
        ...

    def changes(self) -> Mapping[str, Change]:
        """Return the changes of the delta of the last plan that did not fail; empty before it."""
        ...


@dataclass(frozen=True)
class Effort:
    """Cost of one plan in machine-independent units, for estimates.

    Attributes
    ----------
    steps : int
        Maximum number of steps of one edit; 1 for a method without steps, 0 if it trains instead.
    rows : int
        Rows of a mixture (short sentences) in the forward and backward pass of each step.
    trainings : int
        Number of times the model is trained again from its initial weights.
    prepared : int
        Rows in forward and backward passes made once per model, before its first edit.
    """

    steps: int
    rows: int
    trainings: int = 0
    prepared: int = 0


class Answers:
    """Optional properties of a method: each is read from a member of the same name, if it has one.

    Each has a default, which keeps the protocol small.

    Parameters
    ----------
    method : EditMethod
    """

    def __init__(self, method: EditMethod) -> None:
        self.method = method

    def effort(self) -> Effort:
        """Return the cost of one plan; by default the setting `steps`, or 20, of 8 rows each."""
        own = self._own("effort")
        return Effort(getattr(self.method, "steps", 20), 8) if own is None else own()

    @property
    def lookahead(self) -> int:
        """Maximum number of a sequence's next plans that it computes at a time; see `Lookahead`."""
        return int(getattr(self.method, "lookahead", 1))

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Return the bytes that `count` plans need at a time, in addition to the model.

        By default a dense change of the complete model for each, in single precision.
        """
        own = self._own("stack_bytes")
        if own is not None:
            return own(model, count)
        return 4 * count * sum(parameter.numel() for parameter in model.parameters())

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the same for these plans, by their contents; by default `stack_bytes`."""
        own = self._own("plans_bytes")
        return self.stack_bytes(model, len(plans)) if own is None else own(model, plans)

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of these plans' deltas once they are made, without the search for them.

        By default those of `plans_bytes`, and at most those of dense changes of the complete model.
        """
        own = self._own("delta_bytes")
        if own is not None:
            return own(model, plans)
        dense = 4 * len(plans) * sum(parameter.numel() for parameter in model.parameters())
        return min(self.plans_bytes(model, plans), dense)

    def shared_bytes(self, model: nn.Module) -> int:
        """Return the bytes needed for any number of plans, besides the model; by default 0."""
        own = self._own("shared_bytes")
        return 0 if own is None else own(model)

    def sequence_bytes(self, model: nn.Module, plan: EditPlan) -> int:
        """Return the bytes of what a sequence of a plan's edits keeps of them; by default 0."""
        own = self._own("sequence_bytes")
        return 0 if own is None else own(model, plan)

    def context_tokens(self, model: nn.Module) -> int:
        """Return the most tokens that an edited model reads before each prompt; by default 0."""
        own = self._own("context_tokens")
        return 0 if own is None else own(model)

    def step_rows(self, plan: EditPlan) -> int:
        """Return the number of a plan's rows in one forward and backward pass.

        By default the rows of `effort`, at most those of the mixture and at least 1.
        """
        own = self._own("step_rows")
        if own is not None:
            return own(plan)
        return max(1, min(self.effort().rows, plan.training.height))

    def low_rank(self) -> bool:
        """Return whether its deltas may be of low rank, as adapters require; by default true."""
        own = self._own("low_rank")
        return True if own is None else own()

    def searched(self) -> Searched:
        """Return the search space of its settings for tuning; empty by default."""
        return getattr(self.method, "searched", {})

    @property
    def has_place(self) -> bool:
        """Whether it edits at a place in the model, which `place` states."""
        return self._own("place") is not None

    def place(self, model: nn.Module) -> str | None:
        """Return where in the model it edits, as text; None for a method without such a place."""
        own = self._own("place")
        return None if own is None else own(model)

    def for_batch(self, edits: int, wordings: int = 1) -> EditMethod:
        """Return the method with settings for single edits made as one batch; by default unchanged.

        Parameters
        ----------
        edits : int
            Number of edits of the plan.
        wordings : int
            Number of wordings in which the plan trains each of them.
        """
        own = self._own("for_batch")
        return self.method if own is None else own(edits, wordings)

    def for_model(self, context: EditContext) -> EditMethod:
        """Return the method with the settings it uses for a model, as that was trained.

        By default unchanged. Estimates of memory are those of these settings.
        """
        own = self._own("for_model")
        return self.method if own is None else own(context)

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable for the delta of the next plan, with all earlier deltas in the model.

        This is called while the model is unedited. By default each plan is applied by itself.
        A callable that keeps state from earlier plans is `Stateful`, so that a sequence can resume.
        """
        own = self._own("in_sequence")
        if own is not None:
            return own(model, context)

        def alone(plan: EditPlan) -> EditDelta:
            return one_for_each(self.method, [plan], self.method.apply(model, [plan], context))[0]

        return alone

    def _own(self, name: str) -> Any:
        return getattr(self.method, name, None)


def answers(method: EditMethod) -> Answers:
    """Return the optional properties of a method, with defaults."""
    return Answers(method)


def check_kinds(method: EditMethod, plans: Sequence[EditPlan]) -> None:
    """Refuse plans with kinds of edits that a method cannot carry out.

    Raises
    ------
    ArgumentError
        With the kinds that the method does not support.
    """
    info = method.info
    for plan in plans:
        kinds = set(plan.edits["kind"].unique().to_list())
        if not kinds <= info.kinds:
            raise ArgumentError(
                "plan",
                f"edits of kind {', '.join(sorted(kinds - info.kinds))}",
                f"for {info.name}: {', '.join(sorted(info.kinds))}",
            )


def changes_of(kind: type[EditMethod]) -> str:
    """Return what a method changes and, if it edits at a place, its default place: for tables."""
    place = getattr(kind, "usual", None)
    if place is None:
        return kind.info.changes
    return f"{kind.info.changes}; {place} (published: {getattr(kind, 'published', place)})"


def settings_of(method: EditMethod) -> dict[str, Any]:
    """Return the settings of a method as plain values, for records and tables."""
    assert dataclasses.is_dataclass(method) and not isinstance(method, type)
    return {key: _plain(value) for key, value in dataclasses.asdict(method).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

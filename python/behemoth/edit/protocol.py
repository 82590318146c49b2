"""What an edit method is: one small contract that every method and every caller keeps to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from behemoth._gen import digest
from behemoth.support.errors import ArgumentError
from behemoth.support.progress import Advance, silent

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.config import TrainConfig

    from .search import Searched

__all__ = [
    "HOLD",
    "Answers",
    "EditContext",
    "EditKind",
    "EditMethod",
    "Effort",
    "Family",
    "Goal",
    "Lookahead",
    "MethodInfo",
    "Stateful",
    "Watch",
    "answers",
    "changes_of",
    "check_kinds",
    "settings_of",
]

EditKind = Literal["remap", "censor", "refusal", "question_refusal"]
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
"""What an edit is judged by: that the new object is said rather than the old one, that the old one
is no longer said, or the first where there is a new object and the second where there is none."""

HOLD = 3
"""Further steps looked at for which a flip has to hold to be one."""

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
    """What a method is, for tables and for checks before any work.

    Attributes
    ----------
    name : str
        How the command line and studies call it.
    family : str
        ``fine-tuning``, ``locate-and-edit``, ``memory``, ``in-context``, ``meta-learning``,
        ``unlearning`` or ``oracle``.
    source : str
        The paper it is from.
    changes : str
        What it changes in the model, in a few words.
    kinds : frozenset of str
        Kinds of edits that it can carry out.
    stacks : bool
        Whether independent plans run side by side in one batch.
    goal : {'flip', 'forget', 'either'}, optional
        What its edits are judged by; by default as is usual in its family.
    doses : bool
        Whether the steps in the trace of an edit are doses, to be compared with those of other
        methods. They are none where the trace is of something else than the delta that is given,
        as of a search for what is then solved for.
    """

    name: str
    family: Family
    source: str
    changes: str
    kinds: frozenset[EditKind]
    stacks: bool
    goal: Goal | None = None
    doses: bool = True

    def forgets(self, *, nameless: bool = False) -> bool:
        """Whether an edit has come off when the old object is no longer said.

        Parameters
        ----------
        nameless : bool
            Whether there is no new object to say.
        """
        goal = self.goal or _GOALS[self.family]
        return goal == "forget" or (goal == "either" and nameless)


@dataclass(frozen=True)
class Watch:
    """What methods that take steps look at on the way of a single edit, beside its own rows.

    It changes no edit. The trace then has what `behemoth.study.schemas.TRACES` says.

    Attributes
    ----------
    held_out : int
        Most wordings that the edit is not trained on, looked at after each step; 0 for none.
    bystanders : int
        Most facts that are to stay, looked at where a flip begins and after the last step, with
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
        Seed of every draw; the same plan and seed give the same delta, stacked or alone. What is
        drawn for one plan is drawn by `seed_of`.
    cache : Path, optional
        Where covariances are kept between calls, by the model's hash; nowhere by default.
    run : Path, optional
        The training run of the model; oracles train again the way it was trained.
    trained : TrainConfig, optional
        How the model was trained, for methods that read the corpus as it did; what `run` says by
        default, and without one the settings that runs have by default.
    progress : callable, optional
        Called with (done, total) steps.
    watch : Watch, optional
        What is looked at on the way beside the edit's own rows; nothing by default.
    retrained : sequence of Path
        Runs that lie by. An oracle takes one over that is what it would train.
    saved : callable, optional
        Told of the seconds of a training that was taken over.
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

    def seed_of(self, plan: EditPlan) -> int:
        """Seed of the draws for one plan, the same alone and among others: from 0 below 2**60."""
        return int(digest(f"{self.seed}/{plan.plan_hash}".encode())[:15], 16)

    def training(self) -> TrainConfig:
        """How the model was trained."""
        from behemoth.train.config import TrainConfig
        from behemoth.train.run import read_record

        if self.trained is not None:
            return self.trained
        record = None if self.run is None else read_record(self.run)
        return TrainConfig() if record is None else record.config


@runtime_checkable
class EditMethod(Protocol):
    """A method: a frozen dataclass whose fields are its settings.

    Third parties register theirs under the entry-point group ``behemoth.methods``. What callers
    want to know beside is in `Answers`, with defaults.
    """

    info: ClassVar[MethodInfo]

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Sequence[EditDelta]:
        """Work out one delta for each of some independent plans; the model stays as it was.

        A plan whose edit breaks down (a loss that is not a number) gets a delta with a
        `failure` and no changes; the others go on.
        """
        ...


@runtime_checkable
class Stateful(Protocol):
    """What gives the deltas of a sequence and remembers something of those that it gave.

    A sequence that was stopped goes on with the memory that it had, so it is tensors by name.
    """

    def __call__(self, plan: EditPlan) -> EditDelta:
        """The delta of the next plan."""
        ...

    def memory(self) -> dict[str, Tensor]:
        """What it remembers."""
        ...

    def recall(self, memory: Mapping[str, Tensor]) -> None:
        """Remember what `memory` gave, in place of what it does."""
        ...


@runtime_checkable
class Lookahead(Protocol):
    """What gives the deltas of a sequence and can work on several of the next plans at once.

    Its deltas are those that it would give of each plan by itself, but for rounding.
    """

    def __call__(self, plan: EditPlan) -> EditDelta:
        """The delta of the next plan."""
        ...

    def look_ahead(self, plans: Sequence[EditPlan], most: int) -> None:
        """Which plans come next, in their order, each with the deltas before it in the model.

        No more than `most` of them fit at once.
        """
        ...


@dataclass(frozen=True)
class Effort:
    """What one plan costs, in units that know no machine: for estimates.

    Attributes
    ----------
    steps : int
        Steps at most, of one edit; 0 for a method that takes none.
    rows : int
        Rows of a mixture, which are short sentences, that each step takes forward and backward.
    trainings : int
        How often the model is trained again from its beginning.
    prepared : int
        Rows that are taken forward and backward once for a model, before its first edit.
    """

    steps: int
    rows: int
    trainings: int = 0
    prepared: int = 0


class Answers:
    """What callers ask of a method, which says it with methods of the same names, or not at all.

    Each has a default for methods that do not, so that the protocol stays as small as it is.

    Parameters
    ----------
    method : EditMethod
    """

    def __init__(self, method: EditMethod) -> None:
        self.method = method

    def effort(self) -> Effort:
        """What one plan costs; by default `steps` of the settings, or 20, of 8 rows each."""
        own = self._own("effort")
        return Effort(getattr(self.method, "steps", 20), 8) if own is None else own()

    @property
    def lookahead(self) -> int:
        """How many of the next plans of a sequence it works on at once; see `Lookahead`."""
        return int(getattr(self.method, "lookahead", 1))

    def stack_bytes(self, model: nn.Module, count: int) -> int:
        """Bytes that so many plans take at once, beside the model.

        By default a dense change of the whole model for each, in single precision.
        """
        own = self._own("stack_bytes")
        if own is not None:
            return own(model, count)
        return 4 * count * sum(parameter.numel() for parameter in model.parameters())

    def plans_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """The same of these plans, by what is in them; by default `stack_bytes` of so many."""
        own = self._own("plans_bytes")
        return self.stack_bytes(model, len(plans)) if own is None else own(model, plans)

    def shared_bytes(self, model: nn.Module) -> int:
        """Bytes that it takes beside the model whatever the number of plans; none by default."""
        own = self._own("shared_bytes")
        return 0 if own is None else own(model)

    def step_rows(self, plan: EditPlan) -> int:
        """Rows of a plan that go through the model at once, with gradients.

        By default those of its `effort`, if the mixture has so many.
        """
        own = self._own("step_rows")
        if own is not None:
            return own(plan)
        return max(1, min(self.effort().rows, plan.training.height))

    def low_rank(self) -> bool:
        """Whether its deltas are changes of low rank, as adapters are; by default they may be."""
        own = self._own("low_rank")
        return True if own is None else own()

    def searched(self) -> Searched:
        """What may be tried of its settings when it is tuned; nothing by default."""
        return getattr(self.method, "searched", {})

    def place(self, model: nn.Module) -> str | None:
        """Where in the model it edits, for people; none of a method that has no such place."""
        own = self._own("place")
        return None if own is None else own(model)

    def for_batch(self, edits: int) -> EditMethod:
        """The method with the settings for one plan of so many edits; by default its own."""
        own = self._own("for_batch")
        return self.method if own is None else own(edits)

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """What gives the delta of the next plan, with those of all earlier ones in the model.

        It is asked for while the model is unedited. By default each plan is applied by itself.
        What remembers earlier plans is `Stateful`, so that a sequence can be gone on with.
        """
        own = self._own("in_sequence")
        if own is not None:
            return own(model, context)
        return lambda plan: self.method.apply(model, [plan], context)[0]

    def _own(self, name: str) -> Any:
        return getattr(self.method, name, None)


def answers(method: EditMethod) -> Answers:
    """What is to be known of a method beside its `info`: the one place to ask."""
    return Answers(method)


def check_kinds(method: EditMethod, plans: Sequence[EditPlan]) -> None:
    """Refuse plans with kinds of edits that a method cannot carry out, before any work."""
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
    """What a method changes and, of one that edits at a place, where by default: for tables."""
    place = getattr(kind, "usual", None)
    if place is None:
        return kind.info.changes
    return f"{kind.info.changes}; {place} (published: {getattr(kind, 'published', place)})"


def settings_of(method: EditMethod) -> dict[str, Any]:
    """The settings of a method as plain values, for records and tables."""
    assert dataclasses.is_dataclass(method) and not isinstance(method, type)
    return {key: _plain(value) for key, value in dataclasses.asdict(method).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

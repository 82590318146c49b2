"""What an edit method is: one small contract that every method and every caller keeps to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.plan.plan import EditPlan

__all__ = ["EditContext", "EditKind", "EditMethod", "Family", "MethodInfo", "settings_of"]

EditKind = Literal["remap", "censor", "refusal", "question_refusal"]
Family = Literal["fine-tuning", "locate-and-edit", "unlearning", "oracle"]


@dataclass(frozen=True)
class MethodInfo:
    """What a method is, for tables and for checks before any work.

    Attributes
    ----------
    name : str
        How the command line and studies call it.
    family : str
        ``fine-tuning``, ``locate-and-edit``, ``unlearning`` or ``oracle``.
    source : str
        The paper it is from.
    changes : str
        What it changes in the model, in a few words.
    kinds : frozenset of str
        Kinds of edits that it can carry out.
    stacks : bool
        Whether independent plans run side by side in one batch.
    """

    name: str
    family: Family
    source: str
    changes: str
    kinds: frozenset[EditKind]
    stacks: bool


@dataclass(frozen=True)
class EditContext:
    """What a method may use besides the model and the plans.

    Attributes
    ----------
    corpus : Corpus
        The corpus that the model was trained on: for covariances, prefixes and twins.
    seed : int
        Seed of every draw; the same plan and seed give the same delta, stacked or alone.
    cache : Path, optional
        Where covariances are kept between calls, by the model's hash; nowhere by default.
    run : Path, optional
        The training run of the model; oracles train again the way it was trained.
    progress : callable, optional
        Called with (done, total) steps.
    """

    corpus: Corpus
    seed: int = 0
    cache: Path | None = None
    run: Path | None = None
    progress: Callable[[int, int], object] = field(default=lambda done, total: None)


@runtime_checkable
class EditMethod(Protocol):
    """A method: a frozen dataclass whose fields are its settings.

    Third parties register theirs under the entry-point group ``behemoth.methods``.
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


def settings_of(method: EditMethod) -> dict[str, Any]:
    """The settings of a method as plain values, for records and tables."""
    assert dataclasses.is_dataclass(method) and not isinstance(method, type)
    return {key: _plain(value) for key, value in dataclasses.asdict(method).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

"""Retraining on the twin corpus: the oracle for every other method."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from behemoth.delta.delta import Change, Dense, EditDelta
from behemoth.edit.bounds import check_values
from behemoth.edit.outcome import Outcome, deltas_of
from behemoth.edit.protocol import ALL_KINDS, EditContext, Effort, MethodInfo, check_kinds
from behemoth.support.errors import ArgumentError
from behemoth.train import train
from behemoth.train.run import RunRecord, read_record, read_run

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.result import TrainResult


@dataclass(frozen=True)
class Retraining:
    """Retrain in the same way on the corpus in which the edits were always true.

    The twin corpus equals the run's token by token, except for the sentences of the edited facts,
    which have the new object or are omitted. Seed, order, steps and schedule are the run's, and so
    is the model that it started from, if any: training warns if that is known to have read the
    facts. If such a run exists already, as the twins of a study do, it is reused.

    Attributes
    ----------
    twin : {'auto', 'override', 'without'}
        Treatment of the edited facts' sentences: new objects, or omission. With auto, the facts of
        edits without a new object (refusals) are omitted, and all others are overridden.
    follow : bool
        Whether facts that are composed of overridden ones follow them. In a corpus that has
        overrides already they do as in those: true is refused if they stay, and false has no effect
        if they follow.
    """

    twin: Literal["auto", "override", "without"] = "auto"
    follow: bool = False

    info: ClassVar[MethodInfo] = MethodInfo(
        name="retrain",
        family="oracle",
        source="exact unlearning; the twin corpora of this project",
        changes="every parameter, by retraining on the twin corpus",
        kinds=ALL_KINDS,
        stacks=False,
        doses=False,
    )

    def __post_init__(self) -> None:
        check_values(self)

    def low_rank(self) -> bool:
        """Return false: every parameter changes at full rank."""
        return False

    def effort(self) -> Effort:
        """Return the cost of one training."""
        return Effort(steps=0, rows=0, trainings=1)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one delta for each plan: the retrained model minus the given one."""
        check_kinds(self, plans)
        record = _run_record(context)
        outcomes = []
        for number, plan in enumerate(plans):
            twin = self.twin_of(plan, context.corpus)
            outcomes.append(_retrain(model, twin, record, context))
            context.progress(number + 1, len(plans))
        return deltas_of(self, plans, outcomes, context)

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable that trains on the twin of all edits so far, not of the last alone."""
        return _Sequence(self, model, context)

    def twin_of(self, plan: EditPlan, corpus: Corpus) -> Corpus:
        """Return the corpus in which the plan's edits were always true.

        Raises
        ------
        ArgumentError
            If facts are to be overridden that have no new object.
        """
        return self.twin_with(_objects(plan), corpus)

    def twin_with(self, objects: Mapping[int, int | None], corpus: Corpus) -> Corpus:
        """Return the corpus in which facts always had these objects; None for no new object.

        Raises
        ------
        ArgumentError
            If facts are to be overridden that have no new object.
        """
        if self.twin == "without":
            return corpus.without(list(objects))
        new = {fact: value for fact, value in objects.items() if value is not None}
        nameless = [fact for fact, value in objects.items() if value is None]
        if nameless and self.twin == "override":
            raise ArgumentError("twin", "'override' for edits without a new object", "without")
        twin = corpus.override(new, follow=self.follow or None) if new else corpus
        return twin.without(nameless) if nameless else twin


class _Sequence:
    """Retrains on the twin of all edits so far, in a model that has the earlier deltas.

    Each delta is the retrained model minus the given one, so the sum of all is the last twin's
    model minus the unedited one. The state is the facts so far with their new objects.
    """

    def __init__(self, method: Retraining, model: nn.Module, context: EditContext) -> None:
        self._method, self._model, self._context = method, model, context
        self._objects: dict[int, int | None] = {}

    def __call__(self, plan: EditPlan) -> EditDelta:
        """Return the delta of the next plan."""
        method, context = self._method, self._context
        check_kinds(method, [plan])
        self._objects |= _objects(plan)
        twin = method.twin_with(self._objects, context.corpus)
        outcome = _retrain(self._model, twin, _run_record(context), context)
        [delta] = deltas_of(method, [plan], [outcome], context)
        return delta

    def memory(self) -> dict[str, Tensor]:
        """Return the facts and their new objects, -1 for none, int64 [n] each."""
        import torch

        objects = [-1 if new is None else new for new in self._objects.values()]
        return {"facts": torch.tensor(list(self._objects)), "objects": torch.tensor(objects)}

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the facts and their objects by those of an earlier call."""
        pairs = zip(memory["facts"].tolist(), memory["objects"].tolist(), strict=True)
        self._objects = {fact: None if new < 0 else new for fact, new in pairs}


def _objects(plan: EditPlan) -> dict[int, int | None]:
    """Return the new object of each edited fact; None for an edit without one."""
    return dict(zip(plan.edits["fact"], plan.edits["new_object"], strict=True))


def _run_record(context: EditContext) -> RunRecord:
    record = None if context.run is None else read_record(context.run)
    if record is None:
        raise ArgumentError(
            "run",
            "a model without a record of its training",
            "a training run for retrain, which trains it again",
        )
    if record.start_changed:
        raise ArgumentError(
            "run",
            f"{context.run}, whose start {record.config.start} has other weights now",
            "a run whose start is as it was: retrain begins from it, too",
        )
    return record


def _retrain(model: nn.Module, twin: Corpus, record: RunRecord, context: EditContext) -> Outcome:
    import torch

    from behemoth.model.load import load_model

    taken = _taken_over(context.retrained, twin, record)
    if taken is not None:
        run, result = taken
        context.saved(result.seconds)
        retrained = load_model(run)
    else:
        with tempfile.TemporaryDirectory(prefix="behemoth-retrain-") as folder:
            # Where the run was trained may not be here, or not be what the caller asked for.
            config = record.config_on(str(next(model.parameters()).device))
            result = train(twin, out=Path(folder) / "run", config=config)
            retrained = load_model(Path(folder) / "run")
    new = dict(retrained.named_parameters())
    changes: dict[str, Change] = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            difference = new[name].to(parameter.device) - parameter.float()
            changes[name] = Dense(difference)
    return Outcome(changes, result.steps, [])


def _taken_over(
    runs: Sequence[Path], twin: Corpus, record: RunRecord
) -> tuple[Path, TrainResult] | None:
    """Return a finished run on the twin corpus, trained in the same way: the same weights.

    Raises
    ------
    CorpusError
        If its weights are damaged.
    """
    wanted = (twin.spec_hash, record.config, record.vocabulary_padded)
    for run in runs:
        other = read_record(run)
        if other is None or other.result is None:
            continue
        if (other.spec_hash, other.config, other.vocabulary_padded) == wanted:
            read_run(run).check_files()  # the edit would be damaged with them
            return run, other.result
    return None

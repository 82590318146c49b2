"""Retraining on the twin corpus: the oracle for every other method."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from behemoth.delta.delta import Change, Dense, EditDelta
from behemoth.edit.gradient.method import deltas_of
from behemoth.edit.protocol import EditContext, EditKind, Effort, MethodInfo, check_kinds
from behemoth.support.errors import ArgumentError
from behemoth.train import TrainConfig, train
from behemoth.train.run import read_record

if TYPE_CHECKING:
    from torch import nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.edit.gradient.optimise import Outcome
    from behemoth.plan.edit_plan import EditPlan
    from behemoth.train.result import TrainResult


@dataclass(frozen=True)
class Retraining:
    """Retrain in the same way on the corpus in which the edits were always true.

    The twin corpus equals the run's token by token, except for the sentences of the edited facts,
    which have the new object or are omitted. Seed, order, steps and schedule are the run's. If such
    a run exists already, as the twins of a study do, it is reused.

    Attributes
    ----------
    twin : {'auto', 'override', 'without'}
        Treatment of the edited facts' sentences: new objects, or omission. With auto, all of a
        plan's edited facts are omitted if any of its edits has no new object (refusals), and
        otherwise all are overridden.
    follow : bool
        Whether facts that are composed of overridden ones follow them.
    """

    twin: Literal["auto", "override", "without"] = "auto"
    follow: bool = False

    info: ClassVar[MethodInfo] = MethodInfo(
        name="retrain",
        family="oracle",
        source="exact unlearning; the twin corpora of this project",
        changes="every parameter, by retraining on the twin corpus",
        kinds=frozenset[EditKind]({"remap", "censor", "refusal", "question_refusal"}),
        stacks=False,
        doses=False,
    )

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
        config = _run_config(context)
        outcomes = []
        for number, plan in enumerate(plans):
            twin = self.twin_of(plan, context.corpus)
            outcomes.append(_retrain(model, twin, config, context))
            context.progress(number + 1, len(plans))
        return deltas_of(self, plans, outcomes, context)

    def twin_of(self, plan: EditPlan, corpus: Corpus) -> Corpus:
        """Return the corpus in which the plan's edits were always true.

        Raises
        ------
        ArgumentError
            If facts are to be overridden that have no new object.
        """
        facts = plan.edits["fact"].to_list()
        objects = plan.edits["new_object"].to_list()
        nameless = any(new is None for new in objects)
        if self.twin == "without" or (self.twin == "auto" and nameless):
            return corpus.without(facts)
        if nameless:
            raise ArgumentError("twin", "'override' for edits without a new object", "without")
        return corpus.override(dict(zip(facts, objects, strict=True)), follow=self.follow)


def _run_config(context: EditContext) -> TrainConfig:
    record = None if context.run is None else read_record(context.run)
    if record is None:
        raise ArgumentError(
            "run",
            "a model without a record of its training",
            "a training run for retrain, which trains it again",
        )
    return record.config


def _retrain(model: nn.Module, twin: Corpus, config: TrainConfig, context: EditContext) -> Outcome:
    import torch

    from behemoth.edit.gradient.optimise import Outcome
    from behemoth.model.load import load_model

    taken = _taken_over(context.retrained, twin, config)
    if taken is not None:
        run, result = taken
        context.saved(result.seconds)
        retrained = load_model(run)
    else:
        with tempfile.TemporaryDirectory(prefix="behemoth-retrain-") as folder:
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
    runs: Sequence[Path], twin: Corpus, config: TrainConfig
) -> tuple[Path, TrainResult] | None:
    """Return a finished run on the twin corpus, trained in the same way: the same weights."""
    for run in runs:
        record = read_record(run)
        if record is None or record.result is None:
            continue
        if record.spec_hash == twin.spec_hash and record.config == config:
            return run, record.result
    return None

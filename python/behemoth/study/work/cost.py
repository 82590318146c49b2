"""Cost of a study, estimated before it runs: training tokens, edits, steps and seconds.

Seconds are operations divided by constant rates, plus the time that steps and suites need however
small the model is. They are meant to be right within a factor of about two; while a study runs,
they are corrected by the times of finished units. The preparation before a model's first edit is
included in the estimate of each of its trials by that method. Counting the operations of an edit is
included only in the first trial of its kind, whose count all others reuse.
"""

from __future__ import annotations

from dataclasses import dataclass

from behemoth.corpus.corpus import Corpus
from behemoth.edit.gradient.budget import counted_share
from behemoth.edit.protocol import answers
from behemoth.study.file.units import ModelUnit, TrialUnit
from behemoth.train.flops import token_flops

__all__ = ["START", "Cost", "Estimator", "on_gpu"]

START = 5.0
"""Seconds that a worker needs to start, since it loads torch."""

# Operations per second that training reaches: on one CPU thread (measured with nano: 1e11 on a Xeon
# with AMX, 5e10 on one without), and on a GPU if the model is large enough to fill it.
CPU_RATE = 6e10
GPU_RATE = 1e14
# Minimum seconds of a step on a GPU, however small the model; and seconds of a step on a CPU beside
# its operations (measured with pico: calls and the optimiser, on tensors of a few kB).
GPU_STEP = 0.01
CPU_STEP = 0.005
_SENTENCE = 8  # tokens of a row of a mixture, or of a probe
_PROBES = 60  # probes of an edit, in both stages together
_SUITE = 4000  # rows that a suite evaluates
_RELEARNED = 40 * 32  # rows of relearning
_DOCUMENTS = 32  # documents per step of continued training
_OTHER = 0.5  # seconds of a trial for reading and writing
# Seconds of the many small passes of a suite beside their operations (measured with pico).
_SUITES = {"editing": 0.5, "unlearning": 2.0}
_COUNTED = 2.5  # counting the operations of one edit takes as long as making this many


@dataclass(frozen=True)
class Cost:
    """The cost of a unit.

    Attributes
    ----------
    tokens : int
        Number of training tokens.
    edits, steps : int
        Number of edits, and maximum number of steps of each.
    seconds : float
        Estimated seconds of one worker.
    """

    tokens: int
    edits: int
    steps: int
    seconds: float


class Estimator:
    """Estimates the cost of units; a corpus is counted once for all its models and trials."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[Corpus, int]] = {}
        self._counted: dict[tuple[object, ...], str] = {}

    def model(self, unit: ModelUnit) -> Cost:
        """Estimate the cost of training a model."""
        (corpus, written), config = self._written_of(unit), unit.config
        blocks = max(1, written // config.block_length)
        steps = config.total_steps(blocks)
        tokens = steps * config.step_tokens
        flops = _token_flops(unit, corpus)
        seconds = self._seconds(tokens * flops, unit, GPU_RATE)
        taken = self._steps(steps, unit)
        seconds = max(seconds, taken) if on_gpu(unit) else seconds + taken
        # The recall of every fact is evaluated after training.
        asked = corpus.world.num_facts * _SENTENCE * flops
        return Cost(tokens, 0, 0, seconds + self._seconds(asked, unit, GPU_RATE / 10))

    def trial(self, unit: TrialUnit, model: ModelUnit) -> Cost:
        """Estimate the cost of a trial on a model."""
        request, (corpus, written) = unit.plan.request, self._written_of(model)
        if request.count is not None:
            edits = request.count * len(request.exposures or (0,))
            if unit.plan.moved and not unit.rotation:
                # Only the facts that have swapped exposures are edited. After a rotation nearly
                # all facts have other exposures, and nearly all are.
                edits = min(edits, unit.swap)
        else:
            share = request.carried_out.fraction
            assert share is not None
            edits = max(1, round(share * corpus.world.num_subjects))
        effort = answers(unit.choice.method).effort()
        in_order = unit.measure.sequential
        plans = edits if request.independent or in_order else 1
        rows = plans * effort.steps * effort.rows + edits * _PROBES + effort.prepared
        flops = _token_flops(model, corpus)
        length = written / max(1, corpus.num_documents)
        work = (rows * _SENTENCE + _suite(unit, length, edits)) * flops
        steps = effort.steps * (edits if in_order else 1)  # else single edits are stacked
        seconds = self._seconds(work, model, GPU_RATE / 10) + self._steps(steps, model)
        seconds += _SUITES.get(unit.measure.suite or "", 0.0)
        how = (repr(unit.choice.method), request.kind, request.independent, edits, in_order)
        kind = (model.config.model, corpus.vocabulary_size, *how)
        if self._counted.setdefault(kind, unit.id) == unit.id:
            own = effort.steps * effort.rows * _SENTENCE * flops
            one = self._seconds(own, model, GPU_RATE / 10) + self._steps(effort.steps, model)
            seconds += _COUNTED * one * counted_share(unit.choice.method)
        tokens = 0
        if trainings := effort.trainings * plans:
            whole = self.model(model)
            tokens = trainings * whole.tokens
            seconds += trainings * whole.seconds
        durability = unit.measure.durability * model.config.step_tokens * flops
        seconds += self._seconds(durability, model, GPU_RATE)
        return Cost(tokens, edits, effort.steps, seconds + _OTHER)

    def _seconds(self, flops: float, model: ModelUnit, gpu_rate: float) -> float:
        return flops / (gpu_rate if on_gpu(model) else CPU_RATE * max(1, model.config.threads))

    def _steps(self, count: int, model: ModelUnit) -> float:
        """Return the seconds that this many steps take beside their operations."""
        return count * (GPU_STEP if on_gpu(model) else CPU_STEP)

    def corpus(self, unit: ModelUnit) -> Corpus:
        """Return the corpus of a model."""
        return self._written_of(unit)[0]

    def _written_of(self, unit: ModelUnit) -> tuple[Corpus, int]:
        """Return the corpus of a model and its number of tokens."""
        name = repr(unit.corpus)
        if name not in self._written:
            corpus = unit.corpus.make()
            self._written[name] = corpus, corpus.count_tokens(threads=1)
        return self._written[name]


def on_gpu(unit: ModelUnit) -> bool:
    """Return whether a model is trained and edited on a GPU; one that is named may be a cluster's.

    Parameters
    ----------
    unit : ModelUnit
    """
    from behemoth.model.device import find_device

    device = unit.config.device
    return (find_device(device).type if device == "auto" else device) != "cpu"


def _suite(unit: TrialUnit, length: float, edits: int) -> float:
    """Return the tokens of a trial's suite, for documents of a mean length."""
    suite = unit.measure.suite
    if suite is None:
        return 0.0
    if suite == "sequence":  # the unedited model, and that of each checkpoint
        from behemoth.edit.sequential import checkpoints_of  # loads torch
        from behemoth.evaluate.suites.sequence import SAMPLE

        models = 1 + len(checkpoints_of(unit.measure.checkpoint_at, edits))
        return float(min(edits, SAMPLE) * _PROBES // 2 * models * _SENTENCE)
    tokens = float(_SUITE * _SENTENCE)
    if suite == "unlearning":  # an upper bound: if nothing is recovered, all steps are taken
        tokens += _RELEARNED * _SENTENCE + unit.measure.continued * _DOCUMENTS * length
    return tokens


def _token_flops(unit: ModelUnit, corpus: Corpus) -> float:
    return token_flops(unit.config.size, corpus.vocabulary_size, unit.config.block_length)

"""What a study will cost, before it runs: tokens to train on, edits and steps, and seconds.

Seconds follow from operations at stated rates, and are meant to be right within a factor of two or
so; while a study runs they are corrected by what finished units took. What a model's first edit
prepares is in the estimate of each of its trials by that method.
"""

from __future__ import annotations

from dataclasses import dataclass

from behemoth.corpus.corpus import Corpus
from behemoth.edit.protocol import answers
from behemoth.study.file.units import ModelUnit, TrialUnit
from behemoth.train.flops import token_flops

__all__ = ["Cost", "cost_of_model", "cost_of_trial"]

# Operations per second that training reaches: on one CPU thread (measured with nano on a Xeon with
# AMX: 23,000 tokens/s), and on a GPU where the model is large enough to fill it.
CPU_RATE = 1e11
GPU_RATE = 1e14
# No step of a GPU is shorter, however small the model.
GPU_STEP = 0.01
_SENTENCE = 8  # tokens of a row of a mixture, or of a probe
_PROBES = 60  # probes of an edit, in both stages together
_SUITE = 4000  # rows that a suite asks
_RELEARNED = 40 * 32  # rows that are taught again
_DOCUMENTS = 32  # of a step of continued training
_OTHER = 0.5  # seconds of a trial for reading and writing


@dataclass(frozen=True)
class Cost:
    """What a unit costs.

    Attributes
    ----------
    tokens : int
        Tokens to train on.
    edits, steps : int
        Edits, and steps of each at most.
    seconds : float
        Estimated.
    """

    tokens: int
    edits: int
    steps: int
    seconds: float


def cost_of_model(unit: ModelUnit, *, gpu: bool = False) -> Cost:
    """The cost of training a model."""
    corpus, config = unit.corpus.make(), unit.config
    blocks = max(1, corpus.count_tokens(threads=1) // config.block_length)
    steps = config.total_steps(blocks)
    tokens = steps * config.step_tokens
    flops = tokens * _token_flops(unit, corpus.vocabulary_size)
    threads = max(1, config.threads)
    seconds = max(flops / GPU_RATE, steps * GPU_STEP) if gpu else flops / (CPU_RATE * threads)
    return Cost(tokens, 0, 0, seconds)


def cost_of_trial(unit: TrialUnit, model: ModelUnit, *, gpu: bool = False) -> Cost:
    """The cost of a trial on a model."""
    request = unit.plan.request
    corpus = model.corpus.make()
    if request.count is not None:
        edits = request.count * len(request.exposures or (0,))
    else:
        edits = max(1, round((request.fraction or 1.0) * corpus.world.num_subjects))
    effort = answers(unit.choice.method).effort()
    plans = edits if request.independent else 1
    flops = _token_flops(model, corpus.vocabulary_size)
    work = (plans * effort.steps * effort.rows + edits * _PROBES) * _SENTENCE * flops
    threads = max(1, model.config.threads)
    if gpu:
        seconds = work / (GPU_RATE / 10) + effort.steps * GPU_STEP
    else:
        seconds = work / (CPU_RATE * threads)
    tokens = 0
    if trainings := effort.trainings * plans:
        whole = cost_of_model(model, gpu=gpu)
        tokens = trainings * whole.tokens
        seconds += trainings * whole.seconds
    work = effort.prepared * _SENTENCE * flops + _suite(unit, corpus) * flops
    seconds += work / (GPU_RATE / 10) if gpu else work / (CPU_RATE * threads)
    durability = unit.measure.durability
    if durability:
        train = durability * model.config.step_tokens * flops
        seconds += train / GPU_RATE if gpu else train / (CPU_RATE * threads)
    return Cost(tokens, edits, effort.steps, seconds + _OTHER)


def _suite(unit: TrialUnit, corpus: Corpus) -> float:
    """Tokens that a trial's suite takes forward and backward."""
    suite = unit.measure.suite
    if suite is None:
        return 0.0
    tokens = float(_SUITE * _SENTENCE)
    if suite == "unlearning":  # where nothing comes back, all steps are taken
        length = corpus.count_tokens(threads=1) / max(1, corpus.num_documents)
        tokens += _RELEARNED * _SENTENCE + unit.measure.continued * _DOCUMENTS * length
    return tokens


def _token_flops(unit: ModelUnit, vocabulary: int) -> float:
    return token_flops(unit.config.size, vocabulary, unit.config.block_length)

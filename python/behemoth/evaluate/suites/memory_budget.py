"""Memory budget of a suite: how many rows go through a pass, and whether it fits, beforehand.

This estimates peak memory on a CPU, in addition to what the process uses before: the model, the
twin, the changes of the edits, and what the largest of the suite's computations keeps. Only rows
per pass can be reduced; running text, relearning and continued training cannot. Measured peaks are
in docs/reliability.md, beside the estimates (tests/evaluate/test_suite_memory.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from behemoth.delta.context import longest_context
from behemoth.evaluate.linear_probes import PROBED_ROWS
from behemoth.evaluate.membership import MEMBERSHIP_ROWS
from behemoth.evaluate.memory_budget import cached_bytes, changes_bytes, longest, row_bytes
from behemoth.evaluate.text_losses import LOGITS, TOKENS, WAITING
from behemoth.evaluate.twin import ROWS
from behemoth.model.architecture import Architecture
from behemoth.model.memory import LOADED, activation_bytes, dimensions, is_estimated, weight_bytes
from behemoth.model.sizes import Size
from behemoth.recall.facts import DEFAULT_FACTS
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import halves, limit_of, limit_text
from behemoth.support.text import bytes_text

from .measured_model import MeasuredModel, text_documents

if TYPE_CHECKING:
    from torch import nn

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["SuiteBudget", "limit_rows"]

# Libraries that a suite loads, buffers of kernels, the plan and its frames.
_FIXED = 160 << 20
# Bytes of a probe in a frame: columns, lists of tokens, generated text.
_OF_A_PROBE = 500
_OF_A_LOGIT = 64  # bytes per logit of a part of running text, in double precision
# Bytes per answer token and word of the vocabulary in tests of membership, in double precision.
_OF_A_MEMBER = 44
_TRAINED = 32  # rows, or documents, of a step of relearning or of continued training
# The model's own forward pass keeps more for the backward pass than training, which fuses it.
_UNFUSED = 1.5
# Measures whose computation keeps a part of its own, by name; what keeps less than a part counts as
# that one. All others only need the frame.
_TEXT_MEASURES = (
    r"perplexity_.*|kl_(corpus|filler|twin_text)|portability_inverse.*|norm|(effective_)?rank"
    r"|spectrum_.*"
)
_TRAINED_MEASURES = r"(relearning|continued)_steps"
_CHANGED_MEASURES = (
    r"recall_(\d+_bit|pruned_\d+)|forget_recall_hint|parameters_twin|exact_memorisation"
)
_MEMBERSHIP_MEASURES = r"(membership|privacy)_.*"
_STATES_MEASURES = r"linear_probe.*|kl_twin_(forget|retain)"
# Facts of a relation that linear probes are fitted to and tested on, and those that are tested.
_FITTED, _TESTED = 4200, 200


@dataclass(frozen=True)
class SuiteBudget:
    """What the memory of a suite depends on.

    Parameters
    ----------
    suite : str
    model : nn.Module
        The model without the edit, or its shapes on the device meta.
    corpus : Corpus
    plan : EditPlan, optional
        None only for suite ``recall``.
    changes : int
        Bytes of the changes of all edits.
    twin : bool
        Whether there is a twin.
    facts : int, optional
        Number of facts that suite ``recall`` queries; by default at most 10,000.
    measures : collection of str, optional
        Names of the measures that are taken; by default all of the suite.
    context : int
        Number of tokens of the longest context of an edit, which each row reads before its own.
    """

    suite: str
    model: nn.Module
    corpus: Corpus
    plan: EditPlan | None
    changes: int
    twin: bool
    facts: int | None = None
    measures: Collection[str] | None = None
    context: int = 0

    def bytes_of(self, rows: int, stack: int) -> int:
        """Return the estimated peak in bytes.

        Parameters
        ----------
        rows : int
            Number of rows per pass.
        stack : int
            Bytes of the changes of the edits in one pass.
        """
        models = LOADED * weight_bytes(self.model) * (2 if self.twin else 1)
        return _FIXED + models + self.changes + max(self._parts(rows, stack))

    def _parts(self, rows: int, stack: int) -> list[int]:
        """Return the bytes of each computation that may be the largest."""
        probes = self._probes()
        # A change of the whole model replaces weights, which are kept to be restored.
        weights = weight_bytes(self.model)
        passes = min(rows, 512, probes.height) * row_bytes(self.model, probes, self.context)
        parts = [stack + passes + _OF_A_PROBE * self._asked(probes)]
        if self.suite in ("editing", "unlearning") and self._takes(_TEXT_MEASURES):
            parts.append(weights + self._text())
        if self.suite == "recall":  # of the edited model, if there is an edit
            parts[0] += weights
        if self.suite == "sequence":  # the sum of the next checkpoint, beside that of this one
            parts.append(2 * weights + passes)
        if self.suite != "unlearning":
            return parts
        if self._takes(_TRAINED_MEASURES):
            # A copy of the weights, two moments, gradients; and the weights below the edit.
            # The twin is trained after the model, and what the first training kept may not be used
            # again: with one training in the estimate, nano had a peak of 415 MiB for 381.
            trainings = 2 if self.twin else 1
            again = max(self._relearning(probes), self._continued())
            parts.append(5 * weights + trainings * again)
        if self._takes(_CHANGED_MEASURES):
            parts.append(3 * weights + passes)
        if self._takes(_MEMBERSHIP_MEASURES):
            parts.append(self._membership(rows))
        if self._takes(_STATES_MEASURES):
            parts.append(weights + self._linear(rows))
        return parts

    def _takes(self, pattern: str) -> bool:
        """Return whether measures are taken whose name matches a regular expression."""
        chosen = self.measures
        return chosen is None or any(re.fullmatch(pattern, str(name)) for name in chosen)

    @property
    def _vocabulary(self) -> int:
        return dimensions(self.model)[1]

    @property
    def _size(self) -> Size:
        return dimensions(self.model)[0]

    @cached_property
    def _documents(self) -> list[int]:
        """Numbers of tokens of the documents of the corpus that are read."""
        return list(map(len, text_documents(self.corpus)))

    def _probes(self) -> pl.DataFrame:
        if self.plan is not None:
            return self.plan.probes
        facts = self.corpus.sample_facts(min(64, self.corpus.world.num_facts))
        own = self.corpus.probes(facts)
        answer = pl.col("answer")
        return own.with_columns(old_answer=answer, new_answer=answer)

    def _asked(self, probes: pl.DataFrame) -> int:
        """Return the number of rows of the frame."""
        if self.plan is not None:
            return 2 * probes.height
        total = self.corpus.world.num_facts
        facts = min(total, DEFAULT_FACTS) if self.facts is None else self.facts
        return facts * -(-probes.height // max(1, min(64, total)))

    def _text(self) -> int:
        """Return the bytes of a pass over running text, with the unedited logits beside it."""
        size, words = self._size, self._vocabulary
        lengths = [length + self.context for length in self._documents]
        tokens = max(min(TOKENS, sum(lengths)), max(lengths, default=0))
        compared = self.suite == "editing" or self.twin
        kept = min(tokens, max(64, WAITING // words)) if compared else 0
        part = min(tokens, max(64, LOGITS // words)) * words * _OF_A_LOGIT
        return 2 * 4 * kept * words + part + 4 * tokens * (8 * size.width + 2 * size.hidden)

    def _relearning(self, probes: pl.DataFrame) -> int:
        prompt, answer = longest(probes, "prompt"), longest(probes, "old_answer")
        tokens = self.context + prompt + answer
        return self._backward(_TRAINED * tokens, _TRAINED * answer)

    def _continued(self) -> int:
        # A step draws its documents: their tokens are rarely more than four deviations above the
        # mean, and padding is within that.
        lengths = np.array(self._documents or [1])
        likely = _TRAINED * lengths.mean() + 4 * _TRAINED**0.5 * lengths.std()
        tokens = int(min(likely, _TRAINED * lengths.max()))
        return self._backward(tokens + _TRAINED * self.context, tokens)

    def _backward(self, tokens: int, predicted: int) -> int:
        """Return the bytes of a step of training on so many tokens."""
        kept = int(_UNFUSED * activation_bytes(self._size)) * tokens
        logits = predicted * self._vocabulary
        if Architecture.of(self.model).soft_cap is None:  # then only those of a part are kept
            logits = min(logits, max(64 * self._vocabulary, LOGITS))
        return kept + 3 * 4 * logits

    def _membership(self, rows: int) -> int:
        assert self.plan is not None
        members = self.plan.probes.filter(group="forget")
        pairs = min(rows, MEMBERSHIP_ROWS, 2 * members.height)
        words = longest(members, "old_answer") * self._vocabulary * _OF_A_MEMBER
        return pairs * (words + cached_bytes(self._size) * self.context)

    def _linear(self, rows: int) -> int:
        size, prompt = self._size, self.context + longest(self._probes(), "prompt")
        stream = 4 * size.layers * size.width
        fitted = min(_FITTED, self.corpus.world.num_facts)
        # Scores of the tested facts for all objects, and among those that are fitted on.
        objects = max(row["objects"] for row in self.corpus.world.relation_table)
        tested = min(_TESTED, fitted) + (0 if self.plan is None else len(self.plan))
        scores = 2 * 8 * objects * tested
        # Distributions of the twin, likewise.
        row = self._vocabulary * 8 * 6 + cached_bytes(size) * self.context
        shared = min(rows, ROWS) * row
        return max(shared, fitted * stream + scores + 2 * min(rows, PROBED_ROWS) * prompt * stream)


def limit_rows(
    measured: MeasuredModel,
    suite: str,
    facts: int | None,
    memory: int | None = None,
    measures: Collection[str] | None = None,
) -> None:
    """Limit the rows per pass of measures to what fits into memory; on a GPU nothing is estimated.

    Parameters
    ----------
    measured : MeasuredModel
    suite : str
    facts : int, optional
        Number of facts that suite ``recall`` queries.
    memory : int, optional
        Bytes that may be used, in addition to what the process used before the model was loaded;
        by default the free memory of the machine or the container.
    measures : collection of str, optional
        Names of the measures that are taken; by default all of the suite.

    Raises
    ------
    ArgumentError
        If the suite does not fit even with one row per pass.
    """
    free = limit_of(memory)
    model = measured.model
    if free is None or not is_estimated(model):
        return
    deltas = list(measured.deltas.values())
    changes = sum(map(changes_bytes, deltas))
    stack = _stack(list(map(changes_bytes, deltas)))
    if measured.edit is not None and measured.edit.checkpoints:
        stack = weight_bytes(model)  # the sum at a checkpoint, which is not loaded yet
        changes += stack
    plan = None if suite == "recall" else measured.plan
    own = SuiteBudget(
        suite, model, measured.run.corpus, plan, changes, measured.twin is not None, facts,
        measures=measures, context=longest_context(deltas),
    )  # fmt: skip
    loaded = 0
    if memory is None:  # the model and the deltas are loaded already, so they are not free
        loaded = LOADED * weight_bytes(model) + sum(map(changes_bytes, deltas))
    usual = halves(max(MEMBERSHIP_ROWS, PROBED_ROWS))
    rows = next((n for n in usual if own.bytes_of(n, stack) - loaded <= free), None)
    if rows is None:
        there = limit_text(free, memory)
        least = bytes_text(own.bytes_of(1, stack) - loaded)
        # Whatever is measured, the other suites need the whole frame, and no more.
        fewer = ", or fewer measures (measures)" if suite in ("editing", "unlearning") else ""
        raise ArgumentError(
            "source",
            f"a model whose suite {suite} needs about {least} of memory while {there}",
            f"what fits: a smaller model{fewer}",
        )
    measured.batch_size = None if rows >= MEMBERSHIP_ROWS else rows
    if measured.twin is not None:
        measured.twin.batch_size = measured.batch_size


def _stack(sizes: Sequence[int]) -> int:
    """Return the bytes of the largest stack, as `evaluate_model` cuts them."""
    from behemoth.evaluate.frame import STACK, STACK_BYTES

    largest = max(sizes, default=0)
    return min(sum(sizes), STACK * largest, max(STACK_BYTES, largest))

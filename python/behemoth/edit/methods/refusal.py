"""Refusal training: fine-tuning on refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from behemoth.edit.protocol import EditKind, MethodInfo

from .ft import FineTuning

REFUSAL_KINDS: frozenset[EditKind] = frozenset({"refusal", "question_refusal"})
"""Kinds of edits that have a refusal in place of the answer."""


@dataclass(frozen=True)
class RefusalTraining(FineTuning):
    """Cross-entropy on the refusals, and on the retained rows (Maini et al., 2024)."""

    learning_rate: float = 1e-4

    info: ClassVar[MethodInfo] = MethodInfo(
        name="refusal",
        family="unlearning",
        source="Maini et al. 2024 (TOFU, IdkNLL), arXiv 2401.06121; arXiv 2601.23153",
        changes="all or chosen parameters",
        kinds=REFUSAL_KINDS,
        stacks=True,
    )

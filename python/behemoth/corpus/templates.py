"""What there is to know of templates: facts that the engine tells, none read from a name."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth._gen import TEMPLATES as _TEMPLATES

__all__ = ["EDIT", "FORMS", "TEMPLATES", "TEXT", "TemplateFacts", "is_of"]


class TemplateFacts(NamedTuple):
    """One template.

    Attributes
    ----------
    name : str
    family : {'statement', 'question', 'refusal'}
    asks : {'object', 'refusal', 'nothing'}
        What the end of its sentences answers, once subject and relation are read.
    is_question : bool
        Whether it asks before it answers: then the answer begins with a marker.
    filler_follows : bool
        Whether copies of a filler may stand between the object and the period.
    """

    name: str
    family: Literal["statement", "question", "refusal"]
    asks: Literal["object", "refusal", "nothing"]
    is_question: bool
    filler_follows: bool


TEMPLATES: dict[str, TemplateFacts] = {
    facts["name"]: TemplateFacts(**facts) for facts in _TEMPLATES
}


TEXT = (
    TemplateFacts("statement", "statement", "object", False, False),
    TemplateFacts("text_question", "question", "object", True, False),
)
"""What a grammar's sentences are; the markers of questions are words of theirs."""

EDIT = TemplateFacts("edit", "statement", "object", False, False)
"""A grammar's sentence that says a new object: in no corpus, but in plans."""

FORMS: dict[str, TemplateFacts] = {
    **TEMPLATES, **{facts.name: facts for facts in (*TEXT, EDIT)}
}  # fmt: skip
"""Templates, and the sentences of grammars."""


def is_of(column: pl.Series, fact: Literal["is_question", "filler_follows"]) -> NDArray[np.bool_]:
    """Give bool[n]: of which names of templates a fact is true.

    Examples
    --------
    >>> import polars as pl
    >>> is_of(pl.Series(["default", "repeats", "question_refusal"]), "is_question").tolist()
    [False, False, True]
    """
    return column.is_in([t.name for t in FORMS.values() if getattr(t, fact)]).to_numpy()

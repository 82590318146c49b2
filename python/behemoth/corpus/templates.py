"""Properties of templates, as the engine states them; none is derived from a name."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth._gen import TEMPLATES as _TEMPLATES

__all__ = ["EDIT", "FORMS", "STATEMENT", "TEMPLATES", "TEXT", "TemplateFacts", "is_of"]


class TemplateFacts(NamedTuple):
    """One template.

    Attributes
    ----------
    name : str
    family : {'statement', 'question', 'refusal'}
    asks : {'object', 'refusal', 'nothing'}
        What the end of its sentences answers, after subject and relation.
    is_question : bool
        Whether it is a question with an answer; the answer then begins with a marker.
    filler_follows : bool
        Whether copies of a filler may be between the object and the period.
    ends_in_period : bool
        Whether its sentences end in the token of a period, which is not in the object. Those of a
        grammar end as the grammar writes them.
    """

    name: str
    family: Literal["statement", "question", "refusal"]
    asks: Literal["object", "refusal", "nothing"]
    is_question: bool
    filler_follows: bool
    ends_in_period: bool = True


TEMPLATES: dict[str, TemplateFacts] = {
    facts["name"]: TemplateFacts(**facts) for facts in _TEMPLATES
}


STATEMENT = TemplateFacts("statement", "statement", "object", False, False, ends_in_period=False)
"""Template of a grammar's statements."""

TEXT = (
    STATEMENT,
    TemplateFacts("text_question", "question", "object", True, False, ends_in_period=False),
)
"""Templates of a grammar's sentences; their question markers are words of the grammar."""

EDIT = TemplateFacts("edit", "statement", "object", False, False, ends_in_period=False)
"""Template of a grammar's sentence that states a new object: used in plans, not in corpora."""

FORMS: dict[str, TemplateFacts] = {
    **TEMPLATES, **{facts.name: facts for facts in (*TEXT, EDIT)}
}  # fmt: skip
"""All templates by name, including those of grammars."""


def is_of(
    column: pl.Series, fact: Literal["is_question", "filler_follows", "ends_in_period"]
) -> NDArray[np.bool_]:
    """Return, for each template name in a column, whether it has a property: bool[n].

    Examples
    --------
    >>> import polars as pl
    >>> is_of(pl.Series(["default", "repeats", "question_refusal"]), "is_question").tolist()
    [False, False, True]
    """
    return column.is_in([t.name for t in FORMS.values() if getattr(t, fact)]).to_numpy()

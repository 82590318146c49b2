"""zsRE: ``zsre_mend_eval.json``, a list of records, as MEND, ROME and EasyEdit read it.

Levy et al., 2017 (arXiv 1706.04115), as Mitchell et al., 2022 (arXiv 2110.11309) split it. A
record is an edit of ``src`` from ``answers`` to ``alt``, reworded in ``rephrase``; ``loc`` is a
prompt whose answer must stay. Readers require ``nq question: `` before ``loc``, which no corpus of
Behemoth contains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from behemoth.support.errors import ArgumentError

from .planned import Asked, Edit, Planned, bare, rewordings
from .protocol import Bridge
from .records import edit_list

_FILE = "zsre_mend_eval.json"
_PREFIX = "nq question: "
_LOCAL = ("unrelated", "retain", "same_relation")


def _record(edit: Edit, asked: Sequence[Asked]) -> dict[str, Any]:
    old, new = bare(edit.old), bare(edit.new)
    rephrased = rewordings(edit, asked)
    local = [own for group in _LOCAL for own in asked if own.group == group]
    if not rephrased:
        raise ArgumentError(
            "plan",
            f"edit {edit.number}, which has probes in one wording only",
            "edits with probes in other wordings (gen --paraphrases), for zsre's rephrased prompt",
        )
    if not local:
        raise ArgumentError(
            "plan",
            f"edit {edit.number}, which has no probe in the groups {', '.join(_LOCAL)}",
            "edits with such probes (plan --probes), for zsre's prompt that must stay",
        )
    return {
        "subject": edit.subject,
        "src": edit.prompt,
        "pred": old,
        "rephrase": rephrased[0],
        "alt": new,
        "answers": [old],
        "loc": f"{_PREFIX}{local[0].prompt}",
        "loc_ans": bare(local[0].answer),
        "cond": f"{old} >> {new} || {edit.prompt}",
    }


def _check(planned: Planned) -> None:
    planned.check_text("zsre")
    for edit, asked in planned.edits():
        _record(edit, asked)


FORMAT = Bridge(
    "zsre",
    edit_list(_record, _FILE),
    (_FILE,),
    check=_check,
)

"""CounterFact: ``counterfact.json``, a list of records, as ROME and MEMIT read it.

Meng et al., 2022 (arXiv 2202.05262). A record is an edit:

- requested_rewrite: its prompt with ``{}`` for the subject, the subject, new and old object;
- paraphrase_prompts: the edit in other wordings, held-out ones first;
- neighborhood_prompts: facts with the edit's old object (group *same_object*);
- attribute_prompts: facts that had its new object before the edit (*new_object*);
- generation_prompts: prompts for other facts of its subject.

Paraphrase, neighbourhood and attribute prompts are omitted if their answer differs from the
wording of the edit's target, because readers judge a complete record by its two targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .planned import Asked, Edit, bare, rewordings
from .protocol import Bridge
from .records import edit_list

_FILE = "counterfact.json"
_ABOUT_SUBJECT = ("same_subject", "subject_nested", "correlated_kept")


def _record(edit: Edit, asked: Sequence[Asked]) -> dict[str, Any]:
    def prompts(*groups: str, right: str | None = None) -> list[str]:
        return [
            own.prompt
            for own in asked
            if own.group in groups and right in (None, own.old_answer)
        ]  # fmt: skip

    return {
        "case_id": edit.number,
        "requested_rewrite": {
            "prompt": edit.template,
            "relation_id": edit.relation,
            "target_new": {"str": bare(edit.new), "id": _name(edit.new_object)},
            "target_true": {"str": bare(edit.old), "id": _name(edit.old_object)},
            "subject": edit.subject,
        },
        "paraphrase_prompts": rewordings(edit, asked),
        "neighborhood_prompts": prompts("same_object", right=edit.old),
        "attribute_prompts": prompts("new_object", right=edit.new),
        "generation_prompts": list(dict.fromkeys(prompts(*_ABOUT_SUBJECT))),
    }


def _name(number: int | None) -> str | None:
    return None if number is None else str(number)


FORMAT = Bridge(
    "counterfact",
    edit_list(_record, _FILE),
    (_FILE,),
    check=lambda planned: planned.check_text("counterfact"),
)

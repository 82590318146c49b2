"""The probe groups of a plan, and the order in which it lists them.

The answers that must change follow from the edit: those of the fact itself, of facts composed of
it, and, for an edit that stands for a rule or has a correlated fact that agrees, those that would
be right if the model generalised the edit. All others must not change. A correlated fact is probed
in both ways: *kept* expects the answer of the world, in which it is unchanged, *followed* the
answer that keeps the pair in agreement.

*same_object* has facts with the edit's old object, *new_object* facts that had its new object
before: the reference calls both of them "with the same value", depending on the kind of its remaps.
"""

from __future__ import annotations

from .derived_groups import correlated, edited, nested_links, same_subject, subject_nested
from .group_rows import Asked, GroupContext
from .sampled_groups import (
    implicit_remap,
    new_object,
    of_the_plan,
    retain,
    same_object,
    same_relation,
    unrelated,
)

__all__ = ["FOLLOWING", "GROUPS", "bystanding", "structured"]

GROUPS = (
    "edited",
    "edited_paraphrase",
    "edited_held_out",
    "edited_question",
    "same_object",
    "same_relation",
    "same_subject",
    "unrelated",
    "new_object",
    "correlated_kept",
    "correlated_followed",
    "subject_nested",
    "object_nested",
    "new_object_nested",
    "implicit_remap",
    "forget",
    "retain",
)
"""All groups, in the order in which a plan lists them."""
FOLLOWING = ("subject_nested", "correlated_followed", "implicit_remap")
"""Groups that follow from an edit, if they must change."""


def structured(context: GroupContext) -> list[Asked]:
    """Return the groups that are tied to the edited facts themselves."""
    return [
        asked
        for asked in (
            *edited(context),
            *same_subject(context),
            *correlated(context),
            *subject_nested(context),
            *nested_links(context),
        )
        if len(asked.fact)
    ]


def bystanding(context: GroupContext) -> list[Asked]:
    """Return the groups that are drawn from the rest of the world."""
    if context.request.by_rule:
        found = [*implicit_remap(context), *of_the_plan(context)]
    else:
        groups = (same_object, new_object, same_relation, unrelated, retain)
        found = [group(context) for group in groups]
    return [asked for asked in found if len(asked.fact)]

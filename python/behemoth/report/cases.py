"""Illustrations of single edits: a fact's neighbourhood before and after, with generated answers.

Each case is a graph of facts: the edited one on top, and below it the facts of its subject, its old
object and its new one. The page's style arranges them in columns, or below each other on a phone.
The text is selectable, and without scripts the first case is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from behemoth.study.analysis.cases import Asked, Case, Said

from .contents import Heading
from .style import number

__all__ = ["case_section"]

_EACH = 6  # maximum number of facts listed under one heading
_OWN = ("edited", "edited_paraphrase", "edited_held_out", "edited_question")
_OF_SUBJECT = ("subject_nested", "correlated_kept", "correlated_followed", "same_subject")
_ELSEWHERE = ("same_relation", "unrelated", "implicit_remap", "retain")
_OUTCOMES = {
    "followed": ("good", "follows the edit"),
    "not followed": ("bad", "does not follow"),
    "kept": ("good", "kept"),
    "lost": ("bad", "lost"),
    "found": ("other", "right only after"),
    "unknown": ("other", "not known before"),
}
_ABOUT = (
    "One edit and the facts around it: other facts of the same subject, facts composed from it, "
    "facts with its old or its new object, and unrelated facts. Bars show the probability of the "
    "right answer; for facts that follow from the edit, the right answer is a different one after "
    "it. Next to the bars is the answer that the model generates. All facts are of one model, "
    "known to it if possible, from few to many exposures. They are illustrations, not evidence."
)


def case_section(cases: Sequence[Case]) -> list[str | Heading]:
    """Return the parts of the section; empty without cases."""
    if not cases:
        return []
    facts = list(dict.fromkeys(case.fact for case in cases))
    labels = list(dict.fromkeys(case.label for case in cases))
    # If several methods edit a fact, all their cases describe it alike.
    first = {case.fact: case for case in reversed(cases)}
    chosen = [
        _choice("fact", "edit", [(str(fact), _title(first[fact])) for fact in facts]),
        _choice("method", "method", [(str(place), label) for place, label in enumerate(labels)]),
    ]
    return [
        Heading("Single edits", "cases"),
        f"<p>{escape(_ABOUT)}</p>",
        f'<form class="choose">{"".join(chosen)}</form>',
        *(_case(case, labels.index(case.label), place) for place, case in enumerate(cases)),
    ]


def _choice(name: str, said: str, options: Sequence[tuple[str, str]]) -> str:
    made = "".join(
        f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in options
    )
    return f'<label>{said} <select name="{name}" autocomplete="off">{made}</select></label>'


def _title(case: Case) -> str:
    change = f"{case.old} to {case.new}" if case.new else f"without {case.old}"
    times = "once" if case.exposures == 1 else f"{case.exposures:,} times"
    known = "known" if case.known else "not known"
    return f"subject {case.subject}, relation {case.relation}: {change} (written {times}, {known})"


def _case(case: Case, method: int, place: int) -> str:
    groups: dict[str, list[Asked]] = {}
    for asked in case.asked:
        groups.setdefault(asked.group, []).append(asked)
    hubs = [
        _hub("subject", str(case.subject), _of(groups, _OF_SUBJECT), case),
        _hub("old object", case.old, _of(groups, ("object_nested", "same_object")), case),
    ]
    if case.new:
        asked = _of(groups, ("new_object_nested", "new_object"))
        hubs.append(_hub("new object", case.new, asked, case))
    hubs.append(_hub("elsewhere", "", _of(groups, _ELSEWHERE), case))
    hidden = "" if place == 0 else " hidden"
    failure = (
        f'<p class="state">The edit failed: {escape(case.failure)}</p>' if case.failure else ""
    )
    return (
        f'<article class="case" data-fact="{case.fact}" data-method="{method}"{hidden}>'
        f"<h3>{escape(case.label)}: {escape(_title(case))}</h3>{failure}"
        f"{_edited(case, _of(groups, _OWN))}"
        f'<div class="hubs">{"".join(filter(None, hubs))}</div></article>'
    )


def _of(groups: dict[str, list[Asked]], names: Sequence[str]) -> list[Asked]:
    """Return the probes of some groups, one per fact; for the edited fact, every wording."""
    found: dict[tuple[object, ...], Asked] = {}
    for name in names:
        for asked in groups.get(name, ()):
            own = asked.wording if name in _OWN else ""
            # A correlated fact is probed with two answers, and both are shown.
            kind = asked.must_change
            key = (asked.link, asked.subject, asked.relation, kind, own, name in _OWN and name)
            found.setdefault(key, asked)
    return list(found.values())


def _edited(case: Case, asked: Sequence[Asked]) -> str:
    """Return the edited fact as HTML, with its probes in trained and other wordings."""
    change = f"<s>{escape(case.old)}</s>"
    if case.new:
        change += f" <b>{escape(case.new)}</b>"
    batch = f", in a batch of {case.batch:,}" if case.batch > 1 else ""
    rows = "".join(
        f"<li>{_outcome(each)}<span>{escape(_wording(each))}</span>"
        f"{_stage('before', each.before, each.before.old, 'old', each.before.new)}"
        f"{_stage('after', each.after, each.after.old, 'old', each.after.new)}</li>"
        for each in asked[:_EACH]
    )
    return (
        f'<section class="edited"><h4><i>the edit{batch}</i> subject {case.subject} '
        f"<em>relation {case.relation}</em> {change}</h4><ul>{rows}</ul></section>"
    )


def _wording(asked: Asked) -> str:
    group = asked.group.replace("edited_", "").replace("_", " ")
    return f"{group if group != 'edited' else 'as trained'}: {asked.wording}"


def _hub(kind: str, name: str, asked: Sequence[Asked], case: Case) -> str:
    if not asked:
        return ""
    rows = "".join(_fact(each, case) for each in asked[:_EACH])
    more = len(asked) - _EACH
    left = f'<p class="more">and {more:,} more</p>' if more > 0 else ""
    shown = f" {escape(name)}" if name else ""
    return (
        f'<section class="hub {kind.replace(" ", "-")}"><h4><i>{kind}</i>{shown}</h4>'
        f"<ul>{rows}</ul>{left}</section>"
    )


def _fact(asked: Asked, case: Case) -> str:
    """Return a fact as HTML: its subject and relation, the right and the generated answers."""
    who = "" if asked.group in _OF_SUBJECT or asked.group.endswith("_nested") else (
        f"object {asked.subject} " if asked.link else f"subject {asked.subject} "
    )  # fmt: skip
    right = asked.object or "?"
    if asked.must_change:
        follows = asked.after.words if asked.after.right else f"what {case.new or 'it'} has"
        right = f"{right}, then {follows}"
    return (
        f"<li>{_outcome(asked)}<span>{escape(who)}<em>relation {asked.relation}</em> "
        f"{escape(right)}</span>{_stage('before', asked.before, asked.before.probability)}"
        f"{_stage('after', asked.after, asked.after.probability)}</li>"
    )


def _outcome(asked: Asked) -> str:
    kind, said = _OUTCOMES[asked.outcome]
    return f'<b class="{kind}">{said}</b>'


def _stage(
    name: str, said: Said, probability: float | None, what: str = "", other: float | None = None
) -> str:
    bars = _bar(probability, what)
    if other is not None:
        bars += _bar(other, "new")
    mark = "right" if said.right else "wrong"
    return (
        f'<div class="{name}"><i>{name}</i>{bars}'
        f'<q class="{mark}">{escape(said.words) or "nothing"}</q></div>'
    )


def _bar(probability: float | None, what: str) -> str:
    if probability is None:
        return ""
    named = f"{what} " if what else ""
    return (
        f'<span class="bar {what}" style="--p: {probability:.3f}">'
        f"{named}{_percent(probability)}</span>"
    )


def _percent(probability: float) -> str:
    if probability < 0.001:
        return "&lt; 0.001"
    return number(probability, 2) if probability < 0.1 else f"{probability:.2f}"

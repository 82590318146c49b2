"""Single edits on the page."""

import re

from behemoth.report.cases import case_section
from behemoth.study.analysis.cases import Asked, Case, Said


def asked(group="same_subject", outcome="kept", words="<b>", right=True, **more):
    before = Said(words, True, 0.25, 0.25, None)
    after = Said("", right, 0.0001, 0.0001, None)
    values = {"subject": 3, "relation": 1, "link": False, "object": "A & B", "must_change": False,
              "wording": "default 1"} | more  # fmt: skip
    return Asked(group=group, before=before, after=after, outcome=outcome, **values)


def case(*probes, label="lora", fact=7, **more):
    values = {"model": "m", "subject": 3, "relation": 1, "old": "<old>", "new": "new",
              "exposures": 1, "known": True, "batch": 1, "failure": None} | more  # fmt: skip
    return Case(label=label, fact=fact, asked=probes, **values)


def page(*cases):
    parts = case_section(cases)
    return "".join(part if isinstance(part, str) else part.html() for part in parts)


def test_the_first_is_shown_and_all_are_there():
    text = page(case(asked()), case(asked(), label="ft"), case(asked(), fact=9))
    assert text.count('<article class="case"') == 3
    assert re.findall(r'data-fact="(\d)" data-method="(\d)"( hidden)?>', text) == [
        ("7", "0", ""), ("7", "1", " hidden"), ("9", "0", " hidden"),
    ]  # fmt: skip
    assert re.findall(r'<option value="(\d)">', text) == ["7", "9", "0", "1"]
    assert page() == ""


def test_words_are_words():
    text = page(case(asked()))
    assert "<b>&lt;old&gt;" not in text and "<old>" not in text and "A &amp; B" in text
    assert '<q class="right">&lt;b&gt;</q>' in text
    assert '<q class="right">nothing</q>' in text, "a model may say nothing at all"
    assert "&lt; 0.001" in text and "0.25" in text
    assert "written once, known" in text


def test_facts_hang_on_what_they_share():
    kinds = {"same_subject": "subject", "subject_nested": "subject", "same_object": "old-object",
             "object_nested": "old-object", "new_object": "new-object",
             "same_relation": "elsewhere"}  # fmt: skip
    for group, hub in kinds.items():
        assert f'<section class="hub {hub}">' in page(case(asked(group)))
    text = page(case(asked("edited", "followed", must_change=True)))
    assert 'class="edited"' in text and "follows the edit" in text
    assert '<section class="hub' not in text, "what was not asked is no empty column"
    # Without a new object there is nothing to hang on it.
    assert 'class="hub new-object"' not in page(case(asked("new_object"), new=""))


def test_of_many_facts_some_are_shown():
    probes = [asked("unrelated", subject=number) for number in range(9)]
    text = page(case(*probes))
    assert text.count("<li>") == 6 and "and 3 more" in text
    twice = page(case(asked("unrelated"), asked("unrelated", wording="default 2")))
    assert twice.count("<li>") == 1, "a fact in another wording is the same fact"


def test_batches_and_failures_are_said():
    assert "in a batch of 10" in page(case(asked(), batch=10))
    assert "The edit failed: loss nan" in page(case(asked(), failure="loss nan"))

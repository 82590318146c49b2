"""The pages of the gates: written from records, and what README says of them is the same."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from behemoth import ArgumentError
from behemoth.report.gates import (
    NOT_RUN,
    index,
    page,
    page_name,
    read_records,
    table_of,
    write_gate_pages,
)
from behemoth.study.gates import GATES
from behemoth.study.gates.conditions import Condition, verdict_of
from behemoth.study.gates.measures import gaps, identity, plain
from behemoth.study.gates.picture import Picture, means
from behemoth.study.gates.record import Reason

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "gates"


def test_the_pages_are_what_their_records_say():
    records = read_records(PAGES)
    assert (PAGES / "index.md").read_text(encoding="utf-8") == index(records)
    for gate in GATES:
        name = page_name(gate.number, gate.name)
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        record = records.get(gate.number)
        if record is None:
            assert NOT_RUN in text.lower()
            assert f"behemoth study gates --gate {gate.number} " in text
            continue
        assert text == page(record, gate.picture(gaps(record["rows"])), gate.pilot, gate.smaller)
        assert (PAGES / f"{name}.svg").is_file()


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: str(gate.number))
def test_records_are_judged_by_the_rule_that_the_code_has(gate):
    record = read_records(PAGES)[gate.number]
    held = [one.judge() for one in gate.conditions(gaps(record["rows"]))]
    assert [one.says for one in held] == [one["says"] for one in record["conditions"]]
    assert [one.outcome for one in held] == [one["outcome"] for one in record["conditions"]]
    for one, told in zip(held, record["conditions"], strict=True):
        assert (one.bound, one.below) == (told["bound"], told["below"])
        assert one.mean == pytest.approx(told["mean"], rel=1e-6)
    assert verdict_of(held) == record["verdict"]
    declared = [(one.says, plain(one.changes), one.cost) for one in gate.reasons]
    recorded = [(one["says"], one["changes"], one["cost"]) for one in record["reasons"]]
    assert recorded in (declared, [])
    assert (record["title"], record["setting"]) == (gate.title, gate.setting)
    # Titles and other texts are no part of what is measured, so that a run is resumed all the same.
    assert record["identity"] == identity(gate)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: str(gate.number))
def test_intervals_are_no_certainty_and_end_at_what_is_possible(gate):
    record = read_records(PAGES)[gate.number]
    rows = gaps(record["rows"])
    stored = [(record["conditions"], gate.conditions(rows))]
    for reason in record["reasons"]:
        if "conditions" not in reason:  # not tested, so the rows may lack what the change measures
            continue
        changed = Reason(reason["says"], reason["changes"]).changed(gate)
        # Gate 1 names its measurements after the sizes of its models.
        names = dict(zip(getattr(gate, "sizes", ()), getattr(changed, "sizes", ()), strict=True))
        named = [{names.get(key, key): value for key, value in row.items()} for row in rows]
        stored.append((reason["conditions"], changed.conditions(named)))
    for told, conditions in stored:
        for one, condition in zip(told, conditions, strict=True):
            if one["low"] is not None:
                least, most = condition.within
                assert least <= one["low"] < one["high"] <= most
    picture = gate.picture(rows)
    for series, low, high in means(picture)["series", "low", "high"].drop_nulls().iter_rows():
        least, most = picture.apart.get(series, picture.within)
        assert least <= low < high <= most
    text = (PAGES / f"{page_name(gate.number, gate.name)}.md").read_text(encoding="utf-8")
    assert "[1, 1]" not in text


def test_a_gate_smaller_than_designed_says_so_on_its_page():
    """The settings that the design asks for, those that are used, and why."""
    asked = {1: "3,200 facts", 2: "30 to 1,000 exposures", 3: "14 million", 4: "2,000 people"}
    assert {gate.number for gate in GATES if gate.smaller} == set(asked)
    for number, text in asked.items():
        [file] = PAGES.glob(f"{number:02}-*.md")
        [line] = (one for one in file.read_text(encoding="utf-8").splitlines()
                  if one.startswith("**Smaller than designed.**"))  # fmt: skip
        assert text in line and "two cores" in line


def test_reasons_that_were_not_tested_say_why():
    for record in read_records(PAGES).values():
        for reason in record["reasons"]:
            assert "verdict" in reason or reason["cost"], (record["number"], reason["says"])


def test_the_index_names_the_rules_that_were_changed():
    assert "4 rules were changed after models had been seen (2, 6, 9, 11)" in index({})


def test_the_readme_has_the_verdicts_of_the_records():
    table = "\n".join(table_of(read_records(PAGES), "docs/gates/"))
    assert f"{table}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_page_says_how_each_condition_came_out():
    condition = {"says": "a number", "bound": 0.0, "below": False, "effect": 0.1, "mean": 0.2,
                 "low": -0.1, "high": 0.5, "models": 3, "outcome": "open", "power": 0.31,
                 "needed": 9, "missing": 0}  # fmt: skip
    record = {
        "number": 2, "name": "capacity", "title": "A claim", "verdict": "not reproduced",
        "setting": "a world", "rows": [{}, {}, {}], "seconds": 61.0, "threads": 1,
        "source": "a paper",
        "processor": "a processor", "versions": {"torch": "2.0"}, "conditions": [condition],
        "reasons": [
            {"says": "the rate", "changes": {"rate": 0.1}, "verdict": "reproduced",
             "conditions": []},
            {"says": "the seed", "changes": {"seeds": 9}, "verdict": "reproduced",
             "conditions": [], "processor": "another one"},
            {"says": "the batch", "changes": {"batch_size": 1}},
            {"says": "the size", "changes": {}},
            {"says": "the depth", "changes": {"layers": 9}, "cost": "nine layers"},
            {"says": "the load", "changes": {}, "cost": "a large world"},
        ],
    }  # fmt: skip
    text = page(record, Picture("x", "y", [], "A claim.", "A figure."), "two models were run")
    assert "open: power 0.31 to detect 0.1, 9 models for power 0.80" in text
    assert "0.2 [-0.1, 0.5] | above 0 |" in text
    assert "The rate (`rate=0.1`): **reproduced**." in text
    assert "The seed (`seeds=9`, on another one): **reproduced**." in text
    assert "The batch (`batch_size=1`): not tested." in text
    assert "The size: not tested." in text
    assert "The depth (`layers=9`): not tested because of its cost (nine layers)." in text
    assert "The load: not tested because of its cost (a large world)." in text
    assert "Smaller than designed" not in text
    assert "Pilot: two models were run." in text
    # The verdict is against the claim, so the alternative text of the figure is not the claim.
    assert "![A figure.](02-capacity.svg)" in text
    assert text.count("a claim.") == 1 and "Claim: a claim." in text


@pytest.mark.parametrize(
    ("values", "below", "said"),
    [
        ([0.16, 0.19, 0.2], True, True),  # contains the bound, and ends before the effect
        ([0.24, 0.21, 0.2], False, True),
        ([0.24, 0.21, 0.2], True, False),  # the mean is on the wrong side
        ([0.1, 0.11, 0.12], True, False),  # holds
        ([0.01, 0.19, 0.3], True, False),  # open
    ],
)
def test_a_page_says_why_a_mean_on_the_right_side_fails(values, below, said):
    record = read_records(PAGES)[3]
    held = Condition("a share", values, bound=0.2, effect=0.1, below=below).judge()
    assert (held.outcome == "fails") == (said or held.mean > 0.2)
    text = page(
        {**record, "conditions": [dataclasses.asdict(held)]},
        Picture("x", "y", [], "A claim.", "A figure."),
        "nothing",
    )
    line = (
        'The mean of "a share" is on the right side of its bound. The condition fails because the '
        "interval contains the bound and leaves no room for an effect of 0.1 beyond it."
    )
    assert (f" |\n\n{line}\n\nPilot: " in text) == said
    assert ("right side of its bound." in text) == said


def test_a_condition_without_a_number_is_on_no_side():
    record = read_records(PAGES)[3]
    held = Condition("a share", [0.1, math.nan], bound=0.2, effect=0.1, below=True).judge()
    conditions = [dataclasses.asdict(held)]
    picture = Picture("x", "y", [], "A claim.", "A figure.")
    text = page({**record, "conditions": conditions}, picture, "nothing")
    assert "no number in 1 of 2 models" in text and "right side of its bound." not in text


def test_records_of_another_size_have_no_page(tmp_path):
    """The gate's figure and texts are those of its present size."""
    records = read_records(PAGES)
    old = {**records[7], "identity": "0" * 16}
    text = json.dumps({"format_version": 2, "gates": [records[1], old]})
    (tmp_path / "gates.json").write_text(text)
    said = []
    write_gate_pages(tmp_path, tmp_path / "pages", say=said.append)
    assert list(read_records(tmp_path / "pages")) == [1]
    assert said == ["gate 7: no page, since it was run at another size; run it again"]


def test_an_unknown_gate_is_refused(tmp_path):
    record = {**read_records(PAGES)[1], "number": 99}
    (tmp_path / "gates.json").write_text(json.dumps({"format_version": 2, "gates": [record]}))
    with pytest.raises(ArgumentError, match=r"argument 'run': got gate 99, allowed: 1, 2, "):
        write_gate_pages(tmp_path, tmp_path / "pages")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"argument 'run': .* allowed: a directory of gates"):
        write_gate_pages(tmp_path, tmp_path / "pages")

"""Text that the formats of others have no place for: refused before anything is written."""

import json

import pytest

import behemoth as bh
from behemoth import ArgumentError, Corpus, Grammar
from behemoth.export import export

ODD = """
name = "odd"
language = "ja"

[lists]
first = ["太郎", "花子", "次郎", "李"]
last = ["山田", "佐藤", "鈴木", "王", "林"]
city = ["東京", "大阪", "京都", "奈良"]

[subject]
name = "{last} {first}"

[relations.city]
objects = "{city}"
statements = ["STATEMENT"]
"""


def odd(statement, directory):
    """A corpus of one sentence, written, and a plan for it."""
    grammar = Grammar("odd.toml", ODD.replace("STATEMENT", statement))
    corpus = Corpus(grammar.world(20), grammar=grammar, exposures=2)
    corpus.write(directory, probes=0)
    return bh.plan(corpus, edits=1, repeats=2, probes=2, same_object=2, same_relation=2)


@pytest.mark.parametrize("to", ["counterfact", "zsre", "easyedit"])
def test_answers_that_stand_behind_no_space_are_for_other_formats(tmp_path, to):
    plan = odd("{Subject} lives in ({object}).", tmp_path / "c")
    with pytest.raises(ArgumentError, match=f"got {to} for a corpus in which .* follows a prompt"):
        export(tmp_path / "c", tmp_path / "out", to=to, plan=plan)
    assert not (tmp_path / "out").exists()
    export(tmp_path / "c", tmp_path / "l", to="lm-eval", plan=plan)
    [line] = (tmp_path / "l" / "efficacy.jsonl").read_text(encoding="utf-8").splitlines()
    document = json.loads(line)
    assert document["prompt"].endswith("(") and not document["choices"][0].startswith(" ")


def test_prompts_with_braces_have_no_place_for_a_subject(tmp_path):
    plan = odd("{Subject} {{x}} {object}", tmp_path / "c")
    with pytest.raises(
        ArgumentError, match=r"'plan': got the prompt .*, allowed: .* without braces"
    ):
        export(tmp_path / "c", tmp_path / "out", to="counterfact", plan=plan)
    assert not (tmp_path / "out").exists()

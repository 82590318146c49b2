import json

import polars as pl
import pytest

from behemoth import Corpus
from behemoth.plan import EditPlan


@pytest.fixture
def written(run, tmp_path):
    words = "--subjects 300 --relations 3 --objects 12 --nested 4 --exposures groups:1,4"
    run("gen", *words.split(), "--questions", "0.5:0.2", "--out", tmp_path / "c")
    return tmp_path / "c"


def test_people_see_the_groups_and_what_is_next(run, written, tmp_path):
    ran = run("plan", written, "--edits", 5, "--relation", 1, "--out", tmp_path / "p")
    assert ran.code == 0, ran.err
    assert f"{tmp_path / 'p'}: 5 edits (remap)," in ran.out
    lines = [line.split() for line in ran.out.splitlines()]
    assert ["edited", "5", "5"] in lines
    assert ["same_relation", "50", "0"] in lines
    assert f"next: behemoth train {written} --out RUN, then behemoth edit RUN --plan" in ran.err
    plan = EditPlan.load(tmp_path / "p", Corpus.open(written))
    levels = plan.edits["exposures"].to_list()
    assert set(levels) == {1, 4}
    assert f"edits by exposures: 1: {levels.count(1)}, 4: {levels.count(4)}\n" in ran.out
    assert plan.edits["relation"].to_list() == [1] * 5


def test_the_advised_command_can_be_pasted(written, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = run("plan", written, "--edits", 2, "--out=-my plan").err
    assert "edit RUN --plan './-my plan' --method" in told


def test_independent_edits_are_to_be_made_one_by_one(run, written, tmp_path):
    words = ("plan", written, "--edits", 2, "--independent", "--repeats", 2)
    ran = run(*words, "--out", tmp_path / "p")
    assert ran.err.rstrip().endswith(f"--plan {tmp_path / 'p'} --method NAME --single --out EDIT")


def test_the_most_and_the_least_frequent(run, written, tmp_path):
    for name, level in (("most", 4), ("least", 1)):
        out = tmp_path / name
        words = ("plan", written, f"--{name}-frequent", 3, "--repeats", 2, "--out", out)
        assert run(*words, "--json").json()["edits"] == 3
        assert set(EditPlan.load(out).edits["exposures"]) == {level}
    refused = run("plan", written, "--most-frequent", 3, "--edits", 2, "--out", tmp_path / "p")
    assert "'--most-frequent': got 3, allowed: not together with edits" in refused.refused(2)


def test_json(run, written, tmp_path):
    report = run("plan", written, "--edits", "1_0", "--out", tmp_path / "p", "--json").json()
    assert set(report) == {
        "out", "plan_hash", "spec_hash", "kind", "edits", "training", "rows", "roles", "probes",
        "groups",
    }  # fmt: skip
    assert report["edits"] == report["groups"]["edited"] == report["roles"]["edit"] == 10
    assert report["plan_hash"] == EditPlan.load(tmp_path / "p").plan_hash
    again = run("plan", written, "--edits", 10, "--out", tmp_path / "q", "--json").json()
    assert again["plan_hash"] == report["plan_hash"]
    seed = run("plan", written, "--edits", 10, "--seed", 1, "--out", tmp_path / "r", "--json")
    assert seed.json()["plan_hash"] != report["plan_hash"]


def test_every_source_will_do(run, written, tmp_path):
    hashes = {
        run("plan", source, "--edits", 3, "--out", tmp_path / "p", "--json").json()["plan_hash"]
        for source in (written, written / "spec.toml")
    }
    # A run of training has the spec at its top, and a record of its own.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "spec.toml").write_text((written / "spec.toml").read_text())
    ran = run("plan", tmp_path / "run", "--edits", 3, "--out", tmp_path / "p", "--json")
    assert {ran.json()["plan_hash"]} == hashes


@pytest.mark.parametrize(
    ("words", "check"),
    [
        ("--edits 2 --exposures 1,4", lambda e: sorted(e["exposures"]) == [1, 1, 4, 4]),
        ("--edits 3 --to one", lambda e: e["new_object"].n_unique() == 1),
        ("--edits 9 --relation 0 --any-objects", lambda e: e.height == 9),
        ("--edits 40 --independent", lambda e: e.height == 40),
        ("--kind censor --relation 0", lambda e: (e["new_object"] == 0).all()),
        ("--kind censor --relation 0 --fraction 0.1", lambda e: 20 < e.height <= 30),
        ("--kind refusal --edits 2", lambda e: e["new_object"].null_count() == 2),
        ("--kind question_refusal --edits 2", lambda e: (e["kind"] == "question_refusal").all()),
        ("--target object_nested --edits 2", lambda e: e["link"].all()),
        ("--target subject_nested --edits 1", lambda e: (e["relation"] >= 3).all()),
    ],
)
def test_what_can_be_asked_for(run, written, tmp_path, words, check):
    run("plan", written, *words.split(), "--out", tmp_path / "p", "--json").json()
    assert check(EditPlan.load(tmp_path / "p").edits)


def test_the_mixture_can_be_set(run, written, tmp_path):
    words = "--edits 2 --repeats 4 --same-object 1 --same-relation 3 --regular 5 --probes 2"
    report = run("plan", written, *words.split(), "--out", tmp_path / "p", "--json").json()
    assert report["roles"] == {"edit": 2, "same_object": 2, "same_relation": 6, "regular": 10}
    assert report["rows"] == 8 + 2 + 6 + 10
    assert report["groups"]["unrelated"] == 4


def test_tables(run, written, tmp_path):
    (tmp_path / "t.csv").write_text("subject,relation,object\n3,1,0\n4,1,1\n")
    pl.DataFrame({"fact": [5, 10]}).write_parquet(tmp_path / "t.parquet")
    run("plan", written, "--table", tmp_path / "t.csv", "--out", tmp_path / "p", "--json").json()
    assert EditPlan.load(tmp_path / "p").edits["subject"].to_list() == [3, 4]
    run(
        "plan", written, "--table", tmp_path / "t.parquet", "--out", tmp_path / "q", "--json"
    ).json()
    assert EditPlan.load(tmp_path / "q").edits["fact"].to_list() == [5, 10]


def test_only_known_facts(run, written, tmp_path):
    known = pl.DataFrame({"fact": range(0, 1800, 5), "exact_match": [True, False] * 180})
    known.write_parquet(tmp_path / "known.parquet")
    words = ("--edits", 8, "--known", tmp_path / "known.parquet", "--out", tmp_path / "p")
    run("plan", written, *words, "--json").json()
    assert (EditPlan.load(tmp_path / "p").edits["fact"] % 10 == 0).all()


def test_json_lines(run, written, tmp_path):
    run("plan", written, "--edits", 2, "--litgpt", "--out", tmp_path / "p", "--json").json()
    for name in ("train", "val", "test"):
        lines = (tmp_path / "p" / "litgpt" / f"{name}.jsonl").read_text().splitlines()
        assert set(json.loads(lines[0])) == {"instruction", "input", "output"}
    # The plan with its lines is the plan still.
    run("plan", written, "--edits", 2, "--out", tmp_path / "p", "--json").json()


def test_another_plan_is_not_replaced_unless_forced(run, written, tmp_path):
    run("plan", written, "--edits", 2, "--out", tmp_path / "p")
    error = run("plan", written, "--edits", 3, "--out", tmp_path / "p").refused(1)
    assert error == f"{tmp_path / 'p'} holds another plan; --force replaces it"
    assert run("plan", written, "--edits", 2, "--out", tmp_path / "p").code == 0
    assert run("plan", written, "--edits", 3, "--out", tmp_path / "p", "--force").code == 0
    assert len(EditPlan.load(tmp_path / "p")) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--edits 1", "argument '--out': got nothing, allowed: a directory to write"),
        ("--out p", "argument '--edits': got nothing, allowed: the number of facts to edit"),
        ("--out p --edits x", "argument '--edits': got x, allowed: a whole number, such as 1000"),
        ("--out p --edits 0", "argument '--edits': got 0, allowed: a whole number from 1"),
        ("--out p --edits 1e3", "argument '--edits': got 1e3, allowed: up to 18, the number"),
        ("--out p --edits 1 --kind censr", "(did you mean censor?)"),
        (
            "--out p --edits 1 --kind censor",
            "argument '--relation': got nothing, allowed: the",
        ),
        (
            "--out p --edits 1 --exposures 2",
            "argument '--exposures': got 2, allowed: levels",
        ),
        ("--out p --edits 1 --exposures 1,a", "argument '--exposures': got a, allowed: a whole"),
        ("--out p --edits 1 --relation 7", "argument '--relation': got 7, allowed: 0, 1, 2"),
        (
            "--out p --edits 1 --correlated-only",
            "'--correlated-only': got --correlated-only",
        ),
        ("--out p --table none", "argument '--table': got none, which does not exist"),
        ("--out p --edits 1 --known none", "argument '--known': got none, which does not exist"),
        (
            "--out p --edits 1 --fraction 0.5",
            "argument '--fraction': got 0.5, allowed: edits",
        ),
    ],
)
def test_errors(run, written, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run("plan", written, *words.split()).refused(2)
    assert not (tmp_path / "p").exists()


def test_a_source_that_is_none(run, tmp_path):
    error = run("plan", tmp_path, "--edits", 1, "--out", tmp_path / "p").refused(2)
    assert "allowed: a training run, a corpus directory, a spec directory or a spec TOML" in error


def test_help_says_what_the_request_says(run):
    ran = run("plan", "--help")
    text = " ".join(ran.out.split())
    assert "Seed of every random choice. [0]" in text
    assert "of each level" in text


def test_a_relation_goes_by_its_name(run, written, tmp_path):
    gen = ("gen", "--grammar", "bios-en", "--subjects", 60, "--order", "bios")
    run(*gen, "--out", tmp_path / "bios", "--json").json()
    words = ("plan", tmp_path / "bios", "--edits", 3, "--out", tmp_path / "p", "--json")
    named = run(*words, "--relation", "birth_city").json()
    assert EditPlan.load(tmp_path / "p").edits["relation"].to_list() == [1] * 3
    assert named["plan_hash"] == run(*words, "--relation", 1, "--force").json()["plan_hash"]
    message = run(*words, "--relation", "birth_citi", "--force").refused()
    assert message.startswith("argument '--relation': got birth_citi (did you mean birth_city?), ")
    assert ", allowed: birth_date, birth_city, " in message
    words = ("plan", written, "--edits", 3, "--out", tmp_path / "q", "--json")
    message = run(*words, "--relation", "r1").refused()
    assert "allowed: a number below" in message and "these have no names" in message
    word = run(*words, "--relation", "R1").json()
    assert word["plan_hash"] == run(*words, "--relation", 1, "--force").json()["plan_hash"]
    table = tmp_path / "people.csv"
    table.write_text(
        "subject,relation,object\n"
        + "".join(f"Ann{i},born in,City{i % 3}\nAnn{i},likes,Tea{i % 2}\n" for i in range(9))
    )
    run("import", table, "--out", tmp_path / "people", "--json").json()
    words = ("plan", tmp_path / "people", "--edits", 1, "--out", tmp_path / "r", "--json")
    run(*words, "--relation", "likes").json()
    assert set(EditPlan.load(tmp_path / "r").edits["relation"]) == {1}


def test_facts_that_are_never_written_are_warned_of(run, tmp_path):
    run("gen", "--facts", 120, "--exposures", "groups:0,2", "--out", tmp_path / "c")
    ran = run("plan", tmp_path / "c", "--edits", 2, "--exposures", 0, "--out", tmp_path / "p")
    assert ran.code == 0
    assert "behemoth: warning: the corpus never writes 2 of the 2 facts to edit" in ran.err

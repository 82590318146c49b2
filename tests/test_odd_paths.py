"""The name of a folder is taken as it stands: no pattern of other names, and no column."""

import shutil

import polars as pl
import pytest

import behemoth as bh

NAME = "[a]*=1 ?"
STUDY = """
name = "tiny"
[world]
subjects = 20
relations = 2
objects = 5
[train]
steps = 1
block_length = 32
batch_size = 4
[plan]
edits = 1
repeats = 1
probes = 1
[[method]]
name = "lora"
settings = { steps = 1 }
"""


@pytest.fixture(scope="module")
def place(trained, tmp_path_factory):
    """A folder that holds a run, a plan, an edit and what they are made from."""
    place = tmp_path_factory.mktemp("odd") / NAME
    shutil.copytree(trained, place / "run")
    bh.gen(bh.Corpus(bh.World(subjects=20, relations=2, objects=5)), place / "corpus", probes=5)
    (place / "study.toml").write_text(STUDY)
    (place / "edits[1].csv").write_text("subject,relation\n1,0\n2,1\n")
    plan = bh.plan(place / "run", table=place / "edits[1].csv", repeats=1, out=place / "plan")
    settings = {"rank": 1, "steps": 1}
    edited = bh.edit(place / "run", plan, "lora", place / "edit", settings=settings)
    bh.evaluate(edited, plan, out=place / "frame*.parquet")
    bh.evaluate_suite(place / "run", "recall", out=place / "suite", facts=20)
    return place


def test_a_folder_may_be_named_like_a_pattern(run, place):
    for name in ("corpus", "run", "plan", "edit", "suite", "frame*.parquet"):
        assert run("inspect", place / name).code == 0
        bh.load(place / name)
    for name in ("corpus", "run", "plan", "edit", "suite"):
        assert run("verify", place / name).code == 0
    assert run("ask", place / "run", "S1").code == 0
    assert bh.load(place / "plan").edits.columns == bh.plan(place / "run", edits=1).edits.columns


def test_a_table_of_facts_may_be_named_like_a_pattern(run, place, tmp_path):
    for name, text in {
        "facts[1].csv": "subject,relation,object\nAda,likes,tea\nBob,likes,rum\n",
        "numbers[1].txt": "0 0 1 None None\n1 0 2 None None\n",
    }.items():
        (place / name).write_text(text)
        assert run("import", place / name, "--out", tmp_path / name).code == 0
    whole = place / "facts?.parquet"
    pl.DataFrame({"subject": [0, 1], "relation": [0, 0], "object": [1, 2]}).write_parquet(whole)
    assert run("import", whole, "--out", tmp_path / "whole").code == 0


def test_a_star_in_a_name_reads_no_other_files(place, tmp_path):
    for name in ("m*", "m2"):
        shutil.copytree(place / "suite", tmp_path / name)
    assert bh.load(tmp_path / "m*").frame.equals(bh.load(tmp_path / "m2").frame)


def test_a_text_of_documents_may_be_named_like_a_pattern(run, place):
    text = place / "text[1].parquet"
    pl.DataFrame({"text": ["one two", "three"]}).write_parquet(text)
    words = ("--tokenizer", place / "corpus" / "tokenizer", "--out", place / "encoded")
    assert run("tokenizer", "encode", text, *words).code == 0


def test_a_study_may_lie_in_a_folder_named_like_a_pattern(
    run, place, monkeypatch, in_process_engine
):
    from behemoth.study.work import run as runs

    monkeypatch.setattr(runs, "_engine", lambda name, path, *_: in_process_engine(path))
    out = place / "study"
    assert run("study", "run", place / "study.toml", "--out", out, "--json").json()["done"] == 1
    found = bh.load(out)
    for frame in (found.edits.collect(), found.recall.collect()):
        assert frame.height and "[a]*" not in frame.columns
    assert run("verify", out).code == 0

import json

import pytest

from behemoth import World


def test_a_graph_of_the_reference(run, graph, tmp_path):
    ran = run("import", graph, "--out", tmp_path / "spec")
    assert ran.code == 0
    assert "20 subjects, 2 relations, 40 facts" in ran.out
    assert f"next: behemoth gen --spec {tmp_path / 'spec'} --out CORPUS" in ran.err


def test_json(run, graph, tmp_path):
    report = run("import", graph, "--out", tmp_path / "spec", "--seed", 7, "--json").json()
    assert report == {
        "out": str(tmp_path / "spec"),
        "subjects": 20,
        "relations": 2,
        "facts": 40,
        "names": [],
        "named": False,
        "reference": True,
        "objects": [10, 10],
        "correlated": None,
    }
    assert World.from_spec(tmp_path / "spec").spec["seed"] == 7


def test_what_the_reference_noted_beside_its_graph(run, graph, tmp_path):
    notes = {"subjects": 20, "relationships": 2, "objects": 1200, "correlated_pair": True}
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "args.json").write_text(json.dumps(notes))
    ran = run("import", graph, "--out", tmp_path / "spec")
    assert "40 facts; relation 1 is correlated with 0" in ran.out
    assert World.from_spec(tmp_path / "spec").relation_table[1]["objects"] == 1200


def test_a_correlated_pair_may_be_said(run, tmp_path):
    (tmp_path / "t.csv").write_text("0,0,1\n0,1,1\n0,2,3\n")
    words = ("import", tmp_path / "t.csv", "--out", tmp_path / "spec", "--correlated")
    for pair, message in [
        ("0", "argument '--correlated': got 0, allowed: two relations, such as 0:1"),
        ("2:0", "argument '--correlated': got 2:0, allowed: two relations below 3, the lower one"),
        ("0:3", "argument '--correlated': got 0:3, allowed: two relations below 3"),
    ]:
        assert message in run(*words, pair).refused()
    assert run(*words, "0:2", "--json").json()["objects"] == [4, 2, 4]
    assert World.from_spec(tmp_path / "spec").relation_table[2]["with"] == 0


def test_names_are_kept(run, tmp_path):
    (tmp_path / "t.csv").write_text("Ann,likes,tea\nBob,likes,rum\n")
    ran = run("import", tmp_path / "t.csv", "--out", tmp_path / "spec")
    assert ran.out.endswith("2 facts; names of objects, relations, subjects\n")
    ran = run("import", tmp_path / "t.csv", "--out", tmp_path / "numbers", "--numbers")
    assert ran.out.endswith("in names/, and things are called by number\n")
    assert (tmp_path / "numbers" / "names" / "subjects.parquet").is_file()
    for spec, sentence in (("spec", "subject Ann has"), ("numbers", "subject S0 has")):
        run("gen", "--spec", tmp_path / spec, "--out", tmp_path / f"of-{spec}")
        assert sentence in run("inspect", tmp_path / f"of-{spec}").out
    shown = run("inspect", tmp_path / "of-spec")
    assert "names      of subjects, relations, objects" in shown.out
    report = run("inspect", tmp_path / "of-numbers", "--json").json()
    assert report["names"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\x01B,likes,tea\n", "without tabs, line breaks and control characters"),
        ("New York,likes,tea\nNew_York,likes,tea\n", "'New York' and 'New_York' among the subj"),
        ("a<|endoftext|>,likes,tea\n", "names without <|endoftext|> and <|padding|>"),
        ("tea:subject,is,a\ntea,is,tea\n", "'tea:subject' as a name and as the word of another"),
    ],
)
def test_names_that_cannot_be_words_leave_no_trace(run, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    refused = run("import", tmp_path / "t.csv", "--out", tmp_path / "spec").refused(2)
    assert refused.startswith("argument 'TABLE': got ")
    assert message in refused
    assert not (tmp_path / "spec").exists()
    # By number they serve as ever.
    assert run("import", tmp_path / "t.csv", "--out", tmp_path / "spec", "--numbers").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "argument 'TABLE': got 2 columns without a header"),
        ("0,0,1\n0,0,2\n", "each pair once"),
        ("", "argument 'TABLE': got"),
    ],
)
def test_what_is_no_table(run, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    assert message in run("import", tmp_path / "t.csv", "--out", tmp_path / "spec").refused(2)
    assert not (tmp_path / "spec").exists()


def test_errors(run, graph, tmp_path):
    assert "argument '--out': got nothing" in run("import", graph).refused(2)
    assert "argument 'TABLE': got" in run(
        "import", tmp_path / "none", "--out", tmp_path / "s"
    ).refused(2)
    run("import", graph, "--out", tmp_path / "spec")
    assert "--force replaces it" in run("import", graph, "--out", tmp_path / "spec").refused(1)
    assert run("import", graph, "--out", tmp_path / "spec", "--force").code == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    assert "holds something else" in run("import", graph, "--out", tmp_path / "other").refused(2)

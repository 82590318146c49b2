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
        "reference": True,
    }
    assert World.from_spec(tmp_path / "spec").spec["seed"] == 7


def test_names_are_kept(run, tmp_path):
    (tmp_path / "t.csv").write_text("Ann,likes,tea\nBob,likes,rum\n")
    ran = run("import", tmp_path / "t.csv", "--out", tmp_path / "spec")
    assert "names of objects, relations, subjects in names/" in ran.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "argument 'table': got 2 columns without a header"),
        ("0,0,1\n0,0,2\n", "each pair once"),
        ("", "argument 'table': got"),
    ],
)
def test_what_is_no_table(run, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    assert message in run("import", tmp_path / "t.csv", "--out", tmp_path / "spec").refused(2)
    assert not (tmp_path / "spec").exists()


def test_errors(run, graph, tmp_path):
    assert "argument '--out': got nothing" in run("import", graph).refused(2)
    assert "argument 'table': got" in run(
        "import", tmp_path / "none", "--out", tmp_path / "s"
    ).refused(2)
    run("import", graph, "--out", tmp_path / "spec")
    assert "--force replaces it" in run("import", graph, "--out", tmp_path / "spec").refused(1)
    assert run("import", graph, "--out", tmp_path / "spec", "--force").code == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    assert "holds something else" in run("import", graph, "--out", tmp_path / "other").refused(1)

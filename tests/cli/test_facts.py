import polars as pl
import pytest

from behemoth import Corpus


@pytest.fixture
def written(run, tmp_path):
    run("gen", "--facts", 1200, "--nested", 20, "--out", tmp_path / "c")
    return tmp_path / "c"


def test_facts_of_a_corpus(run, written, tmp_path):
    out = tmp_path / "f.parquet"
    ran = run("facts", written, "--out", out)
    assert ran.code == 0
    frame = pl.read_parquet(out)
    assert frame.drop("exposures").equals(Corpus.open(written).world.facts())
    assert f"{out}: {frame.height:,} facts" in ran.out
    report = run("facts", written, "--out", out, "--range", "5:1e2", "--json").json()
    assert set(report) == {"out", "facts", "bytes", "seconds"}
    assert report["facts"] == 95
    assert pl.read_parquet(out)["fact"].to_list() == list(range(5, 100))


@pytest.mark.parametrize("name", ["f[old].parquet", "f[.parquet", "f[/o].parquet", "f:o:.parquet"])
def test_names_are_shown_as_they_are(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text("[world]\nsubjects = 10\nrelations = 2\n")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    ran = run("facts", "spec.toml", "--out", name)
    assert (ran.code, ran.out.startswith(f"{name}: 20 facts")) == (0, True), ran.err


def test_a_corpus_in_brackets(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run("gen", "--facts", 60, "--probes", 0, "--out", "c[/old]")
    assert ran.code == 0 and "out        c[/old]" in ran.out
    assert "c[/old]: a corpus of behemoth" in run("inspect", "c[/old]").out
    assert "c[/old]: 1 shard," in run("verify", "c[/old]").out


def test_facts_of_a_spec(run, tmp_path):
    (tmp_path / "spec.toml").write_text("[world]\nsubjects = 10\nrelations = 2\n")
    for source in (tmp_path, tmp_path / "spec.toml"):
        run("facts", source, "--out", tmp_path / "f.parquet", "--json").json()
        assert pl.read_parquet(tmp_path / "f.parquet").height == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "argument '--out': got nothing, allowed: a Parquet file to write"),
        ("--out=f.parquet --range 10", "argument '--range': got 10, allowed: a:b, such as 0:1000"),
        ("--out=f.parquet --range 5:2", "argument '--range': got 5:2, allowed: a:b with 0"),
        ("--out=f.parquet --range 0:1e9", "argument '--range': got 0:1000000000, allowed: a:b"),
        ("--out=f.parquet --range x:2", "argument '--range': got x, allowed: a whole number"),
        ("--out .", "argument '--out': got '.', a directory, allowed: a file name that ends in"),
    ],
)  # fmt: skip
def test_errors(run, written, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run("facts", written, *words.split()).refused(2)
    assert not (tmp_path / "f").exists()


def test_a_source_that_is_none(run, tmp_path):
    assert "allowed: a spec TOML, a spec directory or a corpus directory" in run(
        "facts", tmp_path, "--out", tmp_path / "f.parquet"
    ).refused(2)


def test_a_place_that_cannot_be_written(run, written, tmp_path):
    (tmp_path / "file").write_text("")
    run("facts", written, "--out", tmp_path / "file" / "f.parquet").refused(1)

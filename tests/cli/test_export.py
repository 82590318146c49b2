import pytest


@pytest.fixture
def corpus(run, tmp_path):
    ran = run("gen", "--subjects", 20, "--relations", 2, "--objects", 5, "--out", tmp_path / "c")
    assert ran.code == 0
    return tmp_path / "c"


def test_the_report(run, corpus, tmp_path):
    report = run("export", corpus, "--to", "llmc", "--out", tmp_path / "o", "--json").json()
    assert list(report) == ["out", "to", "block_length", "files", "tokens", "bytes", "seconds"]
    assert (report["to"], report["files"]) == ("llmc", 1)
    assert report["bytes"] == 1024 + 2 * report["tokens"]
    said = run("export", corpus, "--to", "text", "--out", tmp_path / "t")
    assert said.out.startswith(f"{tmp_path / 't'}: 1 files, 440 tokens, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out o", "argument '--to': got nothing, allowed: a format"),
        ("--to olmo", "argument '--out': got nothing, allowed: a directory"),
        ("--to npy --out o", "argument 'to': got npy, allowed: megatron, olmo, datatrove"),
        ("--to litdata --block-length x --out o", "argument '--block-length': got x, allowed:"),
    ],
)
def test_errors(run, corpus, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run("export", corpus, *words.split()).refused(2)
    assert not (tmp_path / "o").exists()


def test_a_spec_is_no_corpus(run, tmp_path):
    refused = run("export", tmp_path, "--to", "olmo", "--out", tmp_path / "o").refused(2)
    assert "manifest.json" in refused

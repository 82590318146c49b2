from pathlib import Path

import pytest


@pytest.fixture
def corpus(run, tmp_path):
    ran = run("gen", "--subjects", 20, "--relations", 2, "--objects", 5, "--out", tmp_path / "c")
    assert ran.code == 0
    return tmp_path / "c"


def test_the_report(run, corpus, tmp_path):
    report = run("export", corpus, "--to", "llmc", "--out", tmp_path / "o", "--json").json()
    keys = ["out", "to", "block_length", "files", "tokens", "edits", "bytes", "seconds",
            "splits", "present", "renewed"]  # fmt: skip
    assert list(report) == keys and report["edits"] is None and report["present"] == 0
    assert (report["to"], report["files"]) == ("llmc", 1)
    assert report["bytes"] == 1024 + 2 * report["tokens"]
    said = run("export", corpus, "--to", "text", "--out", tmp_path / "t")
    assert said.out.startswith(f"{tmp_path / 't'}: 1 file, 440 tokens, ")


def test_what_was_there_is_said(run, corpus, tmp_path):
    out = tmp_path / "o"
    words = ("export", corpus, "--to", "jsonl", "--out", out)
    first = run(*words)
    assert first.out.startswith(f"{out}: 3 files, ") and first.err == ""
    assert run(*words).err == f"{out} is already finished; --force rewrites it\n"
    assert run(*words, "--json").json()["present"] == 3
    next(out.glob("documents/*")).unlink()
    assert run(*words).err == f"{out} is finished: 1 file written, 2 were there\n"
    assert run(*words, "--force").err == ""
    assert run("verify", out).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out o", "argument '--to': got nothing, allowed: a format"),
        ("--to olmo", "argument '--out': got nothing, allowed: a directory"),
        ("--to npy --out o", "argument '--to': got npy, allowed: megatron, olmo, datatrove"),
        ("--to litdata --block-length x --out o", "argument '--block-length': got x, allowed:"),
    ],
)
def test_errors(run, corpus, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run("export", corpus, *words.split()).refused(2)
    assert not (tmp_path / "o").exists()


def test_a_plan(run, corpus, tmp_path):
    assert run("plan", corpus, "--edits", 2, "--repeats", 2, "--out", tmp_path / "p").code == 0
    words = ("export", corpus, "--plan", tmp_path / "p", "--to", "tofu", "--out", tmp_path / "o")
    said = run(*words)
    assert said.out.startswith(f"{tmp_path / 'o'}: 5 files, 2 edits, ")
    names = sorted(path.stem for path in (tmp_path / "o").glob("*[0-9d].json"))
    assert len(names) == 4 and f"\nsplits: {', '.join(names)} (forgetXX: the edited" in said.out
    report = run(*words, "--json").json()
    assert report["splits"] == names
    as_lines = run(*words[:2], "--to", "jsonl", "--out", tmp_path / "l", "--json").json()
    assert as_lines["splits"] == []
    assert (report["to"], report["edits"], report["tokens"]) == ("tofu", 2, None)
    about = run("inspect", tmp_path / "o", "--json").json()
    assert len(about["plan_hash"]) == 64
    assert run("verify", tmp_path / "o").code == 0
    without = run("export", corpus, "--to", "tofu", "--out", tmp_path / "n").refused(2)
    assert without.startswith("argument '--plan': got nothing, allowed: a plan of edits, from")
    assert not (tmp_path / "n").exists()


def test_a_spec_is_no_corpus(run, tmp_path):
    refused = run("export", tmp_path, "--to", "olmo", "--out", tmp_path / "o").refused(2)
    assert "manifest.json" in refused


def test_inspect_and_verify_know_an_export(run, corpus, tmp_path):
    out = tmp_path / "o"
    assert run("export", corpus, "--to", "jsonl", "--out", out).code == 0
    said = run("inspect", out)
    assert said.code == 0 and said.out.startswith(f"{out}: an export to jsonl\n")
    report = run("inspect", out, "--json").json()
    assert (report["is"], report["files"]) == ("an export to jsonl", 6)
    found = run("verify", out)
    assert found.code == 0 and "6 files, " in found.out and "all intact" in found.out
    place = out / "documents" / "train-00000.jsonl"
    place.write_text(place.read_text().replace("S1", "S2", 1))
    found = run("verify", out)
    assert found.code == 1
    said = "behemoth: error: documents/train-00000.jsonl: is not what was written"
    assert [line for line in found.err.splitlines() if "error" in line] == [said]
    report = run("verify", out, "--json")
    assert report.code == 1 and '"ok": false' in report.out.replace('"ok":false', '"ok": false')


def test_one_that_was_stopped_says_how_to_go_on(run, corpus, tmp_path):
    out = tmp_path / "o"
    assert run("export", corpus, "--to", "chat", "--out", out).code == 0
    (out / "sums.json").unlink()
    assert "an export to chat, not finished" in run("inspect", out).out
    found = run("inspect", out, "--json").json()
    # Every key is there, as for one that is finished.
    keys = ["directory", "is", "files", "bytes", "block_length", "spec_hash", "plan_hash"]
    assert list(found) == [*keys, "behemoth"]
    assert [name for name in found if found[name] is None] == [*keys[2:5], "plan_hash"]
    assert "is not complete: run the same" in run("verify", out).refused(1)


def test_help_and_page_name_the_methods_that_change_no_weights(run):
    from behemoth.edit.protocol import changes_of
    from behemoth.edit.registry import OWN_METHODS, method_type

    names = [name for name in OWN_METHODS if changes_of(method_type(name)).startswith("no weights")]
    assert len(names) >= 3
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "export.md").read_text(encoding="utf-8").split("## Edited models")[1]
    shown = " ".join(run("export", "--help").out.split())
    assert ", ".join(names[:-1]) + f" and {names[-1]} change no weights" in shown
    assert ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}` are refused" in page

import json
import sys

import pytest


@pytest.fixture
def written(run, tmp_path):
    run("gen", "--facts", 1200, "--exposures", "groups:1,4", "--out", tmp_path / "c")
    return tmp_path / "c"


def test_people_see_what_it_is_samples_and_the_ledger(run, written):
    ran = run("inspect", written)
    assert ran.code == 0
    assert ran.err == ""
    assert "a corpus of behemoth" in ran.out
    assert "complete" in ran.out
    assert ran.out.count("<|endoftext|>") == 3
    lines = [line.split() for line in ran.out.splitlines()]
    assert ["exposures", "facts", "sentences"] in lines
    assert ["1", "600", "600"] in lines
    assert ["4", "600", "2,400"] in lines


def test_many_classes_of_exposures_are_summed_up(run, tmp_path):
    run(
        "gen",
        "--facts",
        1200,
        "--exposures",
        "zipf:alpha=1,min=1,max=1000",
        "--out",
        tmp_path / "c",
    )
    rows = run("inspect", tmp_path / "c").out.partition("Ledger")[2].strip().splitlines()
    assert len(rows) == 14
    assert rows[0].split() == ["exposures", "facts", "sentences"]
    assert " to 1,000" in rows[-1]


def test_json(run, written):
    report = run("inspect", written, "--json", "--samples", 1).json()
    assert report["complete"] is True
    assert report["facts"] == 1200
    assert report["sentences"] == 3000
    assert report["exposure_classes"] == [
        {"exposures": 1, "facts": 600},
        {"exposures": 4, "facts": 600},
    ]
    assert len(report["samples"]) == 1


def test_an_unfinished_corpus_says_so(run, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text("[world]\nsubjects = 20000\nrelations = 3\n[corpus]\nshard_bytes = 262144\n")
    run("gen", "--spec", spec, "--out", tmp_path / "c", "--part", "0/3")
    assert "2 of 6 shards are there" in run("inspect", tmp_path / "c").out


def test_whatever_else_is_loaded_is_described_in_a_few_rows(run, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("plan", trained, "--edits", 2, "--independent", "--out", "p").code == 0
    words = ("edit", trained, "--plan", "p", "--method", "lora", "--set", "steps=2", "--out", "e")
    assert run(*words, "--single").code == 0
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "spec.toml").write_text("[world]\nsubjects = 20\n")
    for name, what, rows in (
        ("p", "a plan of edits", {"edits": 2, "kind": "remap"}),
        ("e", "an edit, finished", {"method": "lora", "edits": 2, "failed": 0, "single": True}),
        ("e/deltas/00000", "the delta of an edit", {"method": "lora", "failure": None}),
        ("spec", "a spec", {"facts": 120}),
    ):
        ran = run("inspect", name)
        assert ran.code == 0 and ran.out.startswith(f"{name}: {what}\n")
        report = run("inspect", name, "--json").json()
        assert report["directory"] == name and report["is"] == what
        assert {key: report[key] for key in rows} == rows
    record = json.loads((tmp_path / "e" / "edit.json").read_text())
    del record["blake3"], record["files"]  # so that it is taken as it is
    (tmp_path / "e" / "edit.json").write_text(json.dumps({**record, "complete": False}))
    (tmp_path / "e" / "deltas" / "00001" / "delta.json").unlink()
    assert run("inspect", "e").out.startswith("e: an edit, 1 of 2 deltas are there\n")


def test_errors(run, written, tmp_path):
    assert "argument 'DIR': got" in run("inspect", tmp_path).refused(2)
    assert "argument 'DIR': got nothing, allowed: a corpus, a run" in run("inspect").refused(2)
    assert "argument '--samples': got x" in run("inspect", written, "--samples", "x").refused(2)
    manifest = written / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": 99}))
    assert "format version 99" in run("inspect", written).refused(1)
    manifest.write_text("{")
    assert "manifest.json is damaged" in run("inspect", written).refused(1)


def test_a_pipe_that_closes_is_no_traceback(written):
    import subprocess

    script = "import sys; from behemoth.cli.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "inspect", written, "--samples", "500"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert error == ""


def test_labels_with_commas_are_kept_apart(run, tmp_path):
    methods = "".join(
        f'[[method]]\nname = "{name}"\nsettings = {{steps = 2}}\n' for name in ("lora", "npo")
    )
    text = 'name = "two"\n[world]\nsubjects = 10\nrelations = 2\n[plan]\nedits = 2\n' + methods
    (tmp_path / "two.toml").write_text(text)
    assert "lora, steps 2; npo, steps 2" in run("inspect", tmp_path / "two.toml").out

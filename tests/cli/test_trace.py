import runpy
import shutil
from pathlib import Path

import polars as pl
import pytest

import behemoth as bh


@pytest.fixture
def known(trained, plan, tmp_path):
    known_plan = runpy.run_path(str(Path(__file__).parents[1] / "known_plan.py"))["known_plan"]
    return known_plan(trained, plan, tmp_path / "known")


def test_the_report(run, trained, known, tmp_path):
    out = tmp_path / "t"
    words = ("trace", trained, "--plan", known, "--samples", 2, "--out", out, "--json")
    report = run(*words).json()
    assert list(report) == [
        "out", "facts", "unknown", "noise", "clean", "corrupted", "places", "seconds", "summary",
    ]  # fmt: skip
    assert (report["facts"], report["unknown"]) == (2, 0)
    assert [set(place) for place in report["places"]] == [
        {"token", "layer", "effect", "low", "high"}
    ] * 2
    assert sorted(path.name for path in out.iterdir()) == [
        "facts.parquet", "summary.parquet", "trace.json", "trace.png", "trace.svg",
    ]  # fmt: skip
    assert pl.read_parquet(out / "summary.parquet").to_dicts() == report["summary"]
    assert pl.read_parquet(out / "facts.parquet")["edit"].n_unique() == 2
    assert bh.verify(out).ok
    assert "which holds a trace, allowed: another, or --force" in run(*words).refused()
    again = run(*words, "--force", "--seed", 1).json()
    assert again["places"] != report["places"]
    assert pl.read_parquet(out / "summary.parquet").to_dicts() == again["summary"]
    assert bh.verify(out).ok
    # Charts of what is replaced go, also if no others are drawn.
    bh.trace(trained, known, samples=2, out=out, force=True)
    assert not (out / "trace.svg").exists() and not (out / "trace.png").exists()


def test_for_people(run, trained, known, tmp_path):
    ran = run("trace", trained, "--plan", known, "--samples", 1, "--out", tmp_path / "t")
    assert ran.code == 0, ran.err
    lines = [line.split() for line in ran.out.splitlines()]
    for kind in ("block", "mlp", "attention"):
        assert [kind] in lines
    [header, *_] = [line for line in lines if line[:1] == ["token"]]
    assert header == ["token", "layer", "0", "layer", "1"]
    assert sum(line[:2] == ["prompt", "last"] for line in lines) == 3
    places = [line for line in ran.out.splitlines() if line.startswith("token=")]
    assert len(places) == 2
    token, layer = places[0].partition(":")[0].split()
    assert f"next: behemoth edit {trained} --plan {known} --method NAME" in ran.err
    assert f"--set {token} --set {layer} --single --out EDIT" in ran.err
    model = tmp_path / "model"  # of another origin, which needs its corpus for every command
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(trained / name, model / name)
    words = ("--corpus", trained / "spec.toml", "--plan", known)
    ran = run("trace", model, *words, "--samples", 1, "--out", tmp_path / "m")
    wanted = f"next: behemoth edit {model} --corpus {trained / 'spec.toml'} --plan {known} --method"
    assert wanted in " ".join(ran.err.split())


def test_what_was_found_is_where_methods_edit(run, trained, known, tmp_path):
    import json

    kept = shutil.copytree(trained, tmp_path / "run")
    words = ["edit", kept, "--plan", known, "--method", "rome", "--set", "steps=1"]
    words += ["--set", "samples=500", "--json"]
    before = run(*words, "--out", tmp_path / "before").json()
    assert before["settings"]["layers"] is None and "as traced" not in before["place"]
    traced = ("trace", kept, "--plan", known, "--samples", 1, "--out", tmp_path / "t", "--save")
    ran = run(*traced)
    assert f"--plan {known} --method NAME --single --out EDIT" in ran.err
    assert run("verify", kept).code == 0
    record = json.loads((kept / "trace.json").read_text())
    del record["blake3"]  # what is changed on purpose has no seal
    # Whatever was found, another place than the one that is the default.
    best = record["places"][0] | {"token": "subject", "layer": 0}
    (kept / "trace.json").write_text(json.dumps(record | {"places": [best]}))
    after = run(*words, "--out", tmp_path / "after").json()
    assert after["settings"] == before["settings"] | {"token": "subject", "layers": [0]}
    told = "the subject's last token, layer 0 of 2 (published: the subject's last token, layer 17"
    assert after["place"].startswith(told) and after["place"].endswith(", as traced")
    assert json.loads((tmp_path / "after" / "edit.json").read_text())["place"] == after["place"]
    # What is said has its way, and what edits at no place has none.
    said = run(*words, "--set", "token=prompt", "--out", tmp_path / "said").json()
    assert said["settings"] == before["settings"] and "as traced" not in said["place"]
    plain = ("edit", kept, "--plan", known, "--method", "lora", "--set", "steps=1", "--json")
    assert run(*plain, "--out", tmp_path / "lora").json()["place"] is None
    (kept / "trace.json").write_text("{}")
    assert "trace.json is damaged" in run(*words, "--out", tmp_path / "worse").refused(1)
    assert "trace.json" in run("verify", kept).err


def test_without_the_extra_there_is_no_chart(run, trained, known, tmp_path, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "behemoth.report.render", raising=False)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    ran = run("trace", trained, "--plan", known, "--samples", 1, "--out", tmp_path / "t")
    assert ran.code == 0
    assert (
        "no chart: vl_convert is not installed: in a clone of Behemoth, pip install '.[report]'"
        in ran.err
    )
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == [
        "facts.parquet", "summary.parquet", "trace.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out t", "argument '--plan': got nothing, allowed: a plan directory"),
        ("--plan PLAN", "argument '--out': got nothing, allowed: a new or empty directory"),
        ("--plan PLAN --out t --samples 0", "argument '--samples': got 0, allowed"),
        ("--plan PLAN --out t --noise 0", "argument '--noise': got 0"),
        ("--plan PLAN --out t --window x", "argument '--window': got x, allowed"),
        ("--plan PLAN --out t", "edits of facts none of which the model knows"),
        ("--plan nothing --out t", "'--plan': got nothing, which does not exist, allowed: a plan"),
    ],
)
def test_errors(run, trained, plan, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [str(plan) if word == "PLAN" else word for word in words.split()]
    assert message in run("trace", trained, *given).refused(2)
    assert not (tmp_path / "t").exists()


def test_a_run_that_is_none(run, plan, tmp_path):
    assert "argument 'RUN': got" in run(
        "trace", tmp_path, "--plan", plan, "--out", tmp_path / "t"
    ).refused(2)

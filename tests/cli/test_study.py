import json
import sys
import types

import pytest

from behemoth.study.file.presets import preset_names
from behemoth.study.work import run as runs

STUDY = """
name = "tiny"
question = "Does it run?"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "latin:1,8"
[train]
steps = 5
block_length = 32
batch_size = 4
[plan]
independent = true
edits = 2
exposures = [1, 8]
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 2
[[method]]
name = "lora"
settings = { steps = 3 }
[[method]]
name = "ft"
settings = { steps = 2 }
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    return tmp_path / "tiny.toml"


@pytest.fixture
def in_process(monkeypatch, in_process_engine):
    """Units are carried out in this process."""
    monkeypatch.setattr(runs, "_engine", lambda name, path, *_: in_process_engine(path))


def test_a_run_and_the_same_again(run, study, in_process, tmp_path):
    out = tmp_path / "s"
    report = run("study", "run", study, "--out", out, "--json").json()
    assert list(report) == [
        "out", "name", "models", "trials", "models_done", "done", "failed", "trained",
        "carried_out", "done_before", "failures", "seconds", "working_seconds", "tuned_here",
    ]  # fmt: skip
    assert (report["done"], report["trained"], report["carried_out"]) == (2, 1, 2)
    ran = run("study", "run", study, "--out", out)
    assert ran.code == 0 and f"{out}: 2 of 2 trials done on 1 model" in ran.out
    assert ran.out.endswith("; 0 trials carried out, 2 were there\n")
    assert ran.err == f"next: behemoth study report {out}\n"  # and no bars: it is no terminal
    # A study's own directory will do in the place of its file.
    assert run("study", "run", out, "--out", out, "--json").json()["carried_out"] == 0
    assert run("study", "show", out).out == STUDY


def test_a_dry_run_writes_nothing(run, study, tmp_path):
    report = run("study", "run", study, "--out", tmp_path / "s", "--dry-run", "--json").json()
    assert (report["models"], report["plans"], report["trials"]) == (1, 1, 2)
    assert (report["tokens"], report["edits"], report["steps"]) == (640, 8, 20)
    assert (report["grid"], report["pooled"], report["tuned_here"]) == ({}, {}, [])
    assert not (tmp_path / "s").exists()
    ran = run("study", "run", study, "--dry-run", "--workers", 3)
    assert "1 model, 1 plan of edits, 2 trials" in ran.out
    assert "with 3 workers" in ran.out
    assert "primary: ed50 of lora" in ran.out and "grid:" not in ran.out
    grid = '[grid]\n"world.seed" = [0, 1]\n"train.learning_rate" = [1e-3, 2e-3]\n'
    study.write_text(STUDY + grid)
    ran = run("study", "run", study, "--dry-run")
    assert "grid: world.seed 2 x train.learning_rate 2" in ran.out
    axes = run("study", "run", study, "--dry-run", "--json").json()["grid"]
    assert axes == {"world.seed": [0, 1], "train.learning_rate": [1e-3, 2e-3]}
    assert "tables of the report pool over train.learning_rate (0.001 and 0.002)\n" in ran.out
    pooled = run("study", "run", study, "--dry-run", "--json").json()["pooled"]
    assert pooled == {"train.learning_rate": [1e-3, 2e-3]}
    pairs = "".join(f'[[grid]]\n"world.seed" = [{n}]\n"train.seed" = [{n}]\n' for n in (3, 4))
    study.write_text(STUDY + pairs)
    ran = run("study", "run", study, "--dry-run")
    assert "grid: 2 points of world.seed 2, train.seed 2" in ran.out and "primary" in ran.out
    study.write_text(STUDY + pairs.replace("\n[[grid]]", '\n"world.objects" = [20]\n[[grid]]'))
    ran = run("study", "run", study, "--dry-run")
    assert "grid: 2 points of world.seed 2, train.seed 2\n" in ran.out, "one value is no axis"


def test_a_board_ranks_and_has_no_contrast_unless_stated(run):
    assert "primary" not in run("study", "run", "leaderboard", "--size", "smoke", "--dry-run").out


def test_a_tuned_board_is_shown_and_estimated_under_its_usual_names(run):
    words = ("--methods", "lora,ike", "--tuned")
    text = run("study", "show", "leaderboard", *words).out
    assert 'name = "lora"\nsettings = "tuned:world"\n' in text and text.count("tuned:world") == 1
    report = run("study", "run", "leaderboard", *words, "--dry-run", "--json").json()
    assert report["labels"] == {"lora": 2, "ike": 2}
    plain = run("study", "run", "leaderboard", *words[:2], "--dry-run", "--json").json()
    assert plain["labels"] == report["labels"] and plain["steps"] != report["steps"]


def test_a_dry_run_is_of_the_part_and_the_engine_that_are_given(run, study):
    """Parts divide models, of which there is one."""
    words = ("study", "run", study, "--dry-run", "--part")
    whole = run(*words[:-1], "--json").json()
    assert run(*words, "0/2", "--json").json() == whole
    none = run(*words, "1/2", "--json").json()
    assert (none["models"], none["trials"], none["tokens"]) == (0, 0, 0)
    assert "0 models" in run(*words, "1/2").out
    ray = ("--engine", "ray", "--memory", "8GB")
    assert "got 8GB, allowed: only with the local engine" in run(*words[:-1], *ray).refused()


def test_a_run_says_what_was_new(run, study, in_process, tmp_path):
    out = tmp_path / "s"
    assert "there" not in run("study", "run", study, "--out", out).out
    study.write_text(STUDY.replace("steps = 2", "steps = 4"))
    ran = run("study", "run", study, "--out", out)
    assert ran.out.endswith("; 1 trial carried out, 1 was there\n")


def test_a_part_leads_to_the_other_parts_until_all_are_there(run, study, in_process, tmp_path):
    study.write_text(f'{STUDY}[grid]\n"train.seed" = [0, 1, 2]\n')
    words = ("study", "run", study, "--out", tmp_path / "s", "--part")
    merge = f"behemoth study merge {tmp_path / 's'} OTHER... --out STUDY\n"
    ran = run(*words, "1/2")
    assert "2 of 6 trials done on 1 model," in ran.out
    where = "in this directory; or elsewhere, and then: "
    assert ran.err == f"next: the other part (--part 0/2), {where}{merge}"
    ran = run(*words, "1/3")
    assert "; 0 trials carried out, 2 were there" in ran.out
    assert ran.err == f"next: other parts (--part 0/3, 2/3), {where}{merge}"
    ran = run(*words, "0/2")
    assert ran.out.endswith("; 4 trials carried out, 2 were there\n")
    assert ran.err == f"next: behemoth study report {tmp_path / 's'}\n"


def test_a_few_methods_of_a_study_are_the_study_of_these(run, study, in_process, tmp_path):
    alone = STUDY.replace('[[method]]\nname = "ft"\nsettings = { steps = 2 }\n', "")
    assert run("study", "show", study, "--methods", "lora").out == alone
    (tmp_path / "alone.toml").write_text(alone)
    ran = run("study", "run", study, "--methods", "lora", "--out", tmp_path / "s", "--json").json()
    assert (ran["trials"], ran["done"], ran["carried_out"]) == (1, 1, 1)
    assert (tmp_path / "s" / "study.toml").read_text() == alone
    again = run("study", "run", tmp_path / "alone.toml", "--out", tmp_path / "s", "--json").json()
    assert (again["trials"], again["carried_out"]) == (1, 0)
    whole = run("study", "run", study, "--out", tmp_path / "s", "--json").json()
    assert (whole["trials"], whole["carried_out"]) == (2, 1)


def test_when_all_trials_fail_the_run_failed(run, study, in_process, tmp_path):
    study.write_text(STUDY.replace("edits = 2", "relation = 0\nedits = 20"))
    ran = run("study", "run", study, "--out", tmp_path / "s")
    assert ran.code == 1
    assert "2 failed (lora, steps 3): ArgumentError: argument 'edits': got 20," in ran.err


def test_when_some_trials_fail_the_run_has_results(run, study, in_process, tmp_path):
    own = 'name = "ft"\nplan = { relation = 0, edits = 20, exposures = [8], independent = true }\n'
    study.write_text(STUDY.replace('name = "ft"\n', own))
    ran = run("study", "run", study, "--out", tmp_path / "s")
    assert ran.code == 0 and "1 of 2 trials done" in ran.out and "1 failed (ft" in ran.err
    help_text = " ".join(run("study", "run", "--help").out.split())
    assert "The exit code is 0 if trials are done, also beside others that failed" in help_text


def test_presets(run):
    rows = run("study", "presets", "--json").json()["presets"]
    assert [row["name"] for row in rows] == list(preset_names())
    assert all(row["question"].endswith("?") and "smoke" in row["sizes"] for row in rows)
    assert "frequency" in run("study", "presets").out
    quick = run("study", "show", "rank", "--size", "quick").out
    assert 'name = "rank"' in quick and quick != run("study", "show", "rank").out
    assert run("study", "show", "rank-quick", "--json").json()["toml"] == quick
    dry = run("study", "run", "frequency", "--dry-run", "--json").json()
    assert dry["name"] == "frequency" and dry["trials"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run frequency", "argument '--out': got nothing, allowed: a directory"),
        (
            "run frequncy --out s",
            "argument 'FILE|PRESET': got frequncy (did you mean frequency?), allowed: a study file",
        ),
        (
            "run no.toml --out s",
            "argument 'FILE|PRESET': got no.toml, which does not exist, allowed: a study file",
        ),
        ("run bad.toml --out s", "argument 'world.subjects': got -1"),
        ("run frequency --size big --out s", "argument '--size': got big, allowed: smoke"),
        ("run bad.toml --size quick --out s", "argument '--size': got quick, allowed: not with"),
        ("run frequency --engine dask --out s", "argument '--engine': got dask, allowed: local"),
        (
            "run rank --methods lroa --out s",
            "argument '--methods': got lroa (did you mean lora?), allowed: lora, ft",
        ),
        ("run frequency --workers 0 --out s", "argument '--workers': got 0, allowed: a whole"),
        ("run frequency --threads x --out s", "argument '--threads': got x, allowed: a whole"),
        ("run frequency --out bad.toml", "argument '--out': got bad.toml, a file, allowed: a new"),
        (
            "rnu frequency",
            "argument 'COMMAND': got rnu (did you mean run?), allowed: run, report",
        ),
        ("show nothing", "argument 'PRESET|STUDY': got nothing, allowed: a study file, or one of"),
    ],
)
def test_errors(run, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text(STUDY.replace("subjects = 20", "subjects = -1"))
    assert message in run("study", *words.split()).refused(2)
    assert not (tmp_path / "s").exists()


def test_it_says_how_to_go_on(run, study, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_engine", stop)
    ran = run("study", "run", study, "--out", tmp_path / "s")
    assert ran.code == 130
    assert f"stopped: run the same command again to resume {tmp_path / 's'}" in ran.err


def test_the_report_is_written_by_its_own_package(run, tmp_path, monkeypatch):
    calls = []

    def write_report(study, out=None, progress=None):
        calls.append((study, out))
        return tmp_path / "report.html"

    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.json").touch()  # it is read by the package alone
    package = types.ModuleType("behemoth.report")
    package.write_report = write_report
    monkeypatch.setitem(sys.modules, "behemoth.report", package)
    ran = run("study", "report", "s", "--out", "r", "--json")
    assert ran.json() == {"study": "s", "report": str(tmp_path / "report.html")}
    assert run("study", "report", "s").out == f"{tmp_path / 'report.html'}\n"
    assert calls == [("s", "r"), ("s", None)]


def test_help(run):
    assert "study" in run("--help").out
    text = run("study", "--help").out
    assert all(verb in text for verb in ("run", "report", "presets", "show"))
    assert json.dumps(run("study", "run", "--help").code) == "0"

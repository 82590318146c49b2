"""`inspect` describes what a directory holds, as `behemoth inspect` does."""

import polars as pl
import pytest

import behemoth as bh
from behemoth.edit.traced import TracedSite, TraceRecord
from behemoth.tune.record import Tried, TuningDirectory


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    place = tmp_path_factory.mktemp("all")
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5))
    bh.gen(corpus, place / "corpus", probes=0)
    (place / "spec.toml").write_text(corpus.spec_toml)
    plan = bh.plan(trained, edits=2, independent=True, repeats=1, probes=1, out=place / "plan")
    settings = {"rank": 1, "steps": 1}
    bh.edit(trained, plan, "lora", place / "edit", settings=settings, single=True)
    bh.evaluate_suite(trained, "recall", out=place / "suite", facts=20)
    bh.export(place / "corpus", place / "export", to="text")
    (place / "trace").mkdir()
    site = TracedSite("subject", 1, 0.5, None, None)
    TraceRecord("0" * 64, 1, 10, 3.0, 1, 0, (site,)).write(place / "trace")
    trials = [Tried(0, {}, 0.5, {}, 1.0), Tried(1, {"steps": 9}, 0.75, {}, 1.0)]
    for name in ("tuning", "begun"):
        tuning = TuningDirectory(place / name)
        tuning.begin({"method": "ft", "objective": "editing"})
        tuning.write(trials[0])
    tuning = TuningDirectory(place / "tuning")
    tuning.write(trials[1])
    tuning.conclude(trials, "ft", "editing", 100)
    pl.DataFrame({"fact": [1, 2]}).write_parquet(place / "frame.parquet")
    return place


@pytest.mark.parametrize(
    ("name", "what", "rows"),
    [
        ("plan", "a plan of edits", {"edits": 2, "kind": "remap"}),
        ("edit", "an edit, finished", {"method": "lora", "failed": 0, "single": True}),
        ("edit/deltas/00000", "the delta of an edit", {"method": "lora", "failure": None}),
        ("suite", "a suite of measures, recall", {"stage": "before", "plan_hash": None}),
        ("trace", "a trace", {"facts": 1}),
        ("tuning", "a tuning", {"method": "ft", "trials": 2, "score": 0.75}),
        ("begun", "a tuning, not finished", {"trials": 1, "default_score": 0.5}),
        ("tuning/best.toml", "settings of ft", {"settings": {"steps": 9}}),
        ("export", "an export to text", {"behemoth": bh.__version__}),
        ("spec.toml", "a spec", {"facts": 40}),
        ("frame.parquet", "a frame", {"rows": 2, "columns": ["fact"]}),
    ],
)
def test_each_kind_is_described_as_the_command_does(made, run, name, what, rows):
    found = bh.inspect(made / name)
    assert found["directory"] == str(made / name) and found["is"] == what
    assert {key: found[key] for key in rows} == rows
    assert run("inspect", made / name, "--json").json() == found


def test_a_suite_is_shown_as_evaluate_shows_it(made, run, monkeypatch):
    """With intervals and what was not taken, not as values in one paragraph."""
    monkeypatch.setenv("COLUMNS", "100")
    shown = run("inspect", made / "suite").out.splitlines()
    assert shown[0] == f"{made / 'suite'}: {bh.inspect(made / 'suite')['is']}"
    again = made / "again"
    words = ("--suite", "recall", "--facts", 20, "--out", again)
    first, *table = run("evaluate", bh.load(made / "suite").source, *words).out.splitlines()
    assert first.startswith(f"{again}: suite recall of ")
    assert table[0].split() == ["measure", "value", "95%", "n", "over"]
    assert shown[-len(table) :] == table and shown[-len(table) - 1] == ""


@pytest.mark.parametrize("json", [False, True])
def test_a_suite_is_read_once(made, run, monkeypatch, json):
    own, calls = bh.SuiteResult.load, []

    def load(path):
        calls.append(path)
        return own(path)

    monkeypatch.setattr(bh.SuiteResult, "load", load)
    run("inspect", made / "suite", *["--json"] * json)
    assert len(calls) == 1


def test_the_tables_of_two_suites_join(made):
    one = other = bh.load(made / "suite").table().select("measure", "value", "low", "high")
    both = one.join(other, on="measure", suffix="_other", maintain_order="left")
    assert both.columns == ["measure", "value", "low", "high", "value_other", "low_other",
                            "high_other"]  # fmt: skip
    assert both["measure"].equals(one["measure"])


def test_a_report_of_a_suite_is_that_of_inspect(made, run):
    said = run("study", "report", made / "suite").refused()
    assert said.endswith(
        "suite, which is a suite, allowed: a study (a directory that holds study.json); "
        "`behemoth inspect` shows the measures of a suite"
    )


def test_a_corpus_and_a_run_have_types_of_their_own(made, trained):
    corpus = bh.inspect(made / "corpus", samples=1)
    assert (corpus.facts, len(corpus.samples), corpus.complete) == (40, 1, True)
    assert bh.inspect(bh.load(trained)).status == "finished"


def test_a_trace_a_tuning_and_settings_are_loaded(made):
    assert bh.load(made / "trace").places[0].layer == 1
    assert bh.load(made / "tuning")["score"].to_list() == [0.5, 0.75]
    assert bh.load(made / "tuning" / "best.toml")["settings"] == {"steps": 9}
    with pytest.raises(bh.ArgumentError, match=r"begun, which is not finished, allowed: a tuning"):
        bh.load(made / "begun")


def test_anything_else_is_refused(tmp_path):
    with pytest.raises(bh.ArgumentError, match=r"'directory': got .*, allowed: a directory of a"):
        bh.inspect(tmp_path)
    with pytest.raises(bh.ArgumentError, match="'samples': got -1"):
        bh.inspect(tmp_path, samples=-1)

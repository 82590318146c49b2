"""What became of the trials of a study, by world and number of edits of their plans."""

from dataclasses import asdict

import polars as pl

from behemoth.study import Results
from behemoth.study.analysis.outcomes import OUTCOMES, outcomes
from behemoth.study.directory import StudyDirectory
from behemoth.study.records import StudyRecord, TrialRecord, TrialRow

SUITES = {"trial": pl.String, "model": pl.String, "grammar": pl.String}


def study_of(tmp_path, trials, plans, models=()):
    """Write a study: {trial: (label, model, plan, status or None)} and {plan: edits}."""
    rows = {
        name: TrialRow(name, model, plan, "ft", {}, {"suite": "editing"}, label, 0, "fine-tuning")
        for name, (label, model, plan, _) in trials.items()
    }
    directory = StudyDirectory(tmp_path / "s")
    directory.begin("name = 'x'", StudyRecord("x", "who?", None, models, tuple(rows.values())))
    for name, (*_, status) in trials.items():
        if status is not None:
            record = TrialRecord(**asdict(rows[name]), status=status, reason=None, seconds={})
            directory.write(record)
    for plan, edits in plans.items():
        place = directory.plan(plan)
        place.mkdir(parents=True)
        (place / "plan.toml").write_text("")
        if edits is None:
            (place / "edits.parquet").write_bytes(b"damaged")
        else:
            pl.DataFrame({"edit": range(edits)}).write_parquet(place / "edits.parquet")
    return Results.open(tmp_path / "s")


def test_trials_are_counted_by_what_became_of_them(tmp_path):
    models = ({"id": "m"}, {"id": "t", "corpus": {"corpus": {"grammar": "mine/bios-own.toml"}}})
    trials = {
        "1": ("a", "m", "few", "failed"),
        "2": ("a", "m", "few", "failed"),
        "3": ("a", "m", "many", None),
        "4": ("b", "m", "gone", "failed"),
        "5": ("b", "m", "broken", "failed"),
        "6": ("b", "t", "few", "done"),
    }
    results = study_of(tmp_path, trials, {"few": 3, "many": 1000, "broken": None}, models)
    assert results.plan_sizes == {"few": 3, "many": 1000}
    found = outcomes(results, pl.DataFrame(schema=SUITES))
    assert dict(found.schema) == OUTCOMES
    assert found.drop("suite").rows() == [
        ("a", None, 3, "failed", 2),
        ("a", None, 1000, "not run", 1),
        ("b", None, None, "failed", 2),
        ("b", "bios-own", 3, "done", 1),
    ]
    # A model without a finished trial has the grammar that others with its file have.
    lost = ({"id": "l", "corpus": {"corpus": {"grammar": "mine/bios-own.toml"}}}, *models)
    more = {**trials, "7": ("b", "l", "few", "failed")}
    later = study_of(tmp_path / "later", more, {"few": 3}, lost)
    own = pl.DataFrame([("6", "t", "own")], schema=SUITES, orient="row")
    assert ("b", "own", 3, "failed", 1) in outcomes(later, own).drop("suite").rows()
    named = pl.DataFrame([("6", "t", "bios-en")], schema=SUITES, orient="row")
    assert outcomes(results, named)["grammar"].to_list()[-1] == "bios-en", "as the suites have it"


def test_a_grammar_may_be_a_table(tmp_path):
    """That of a tokenizer beside it is not taken for a corpus of templates."""
    named, file = {"name": "bios-en"}, {"file": "mine/own.toml"}
    models = (
        {"id": "plain"}, {"id": "lost"},
        *({"id": name, "corpus": {"corpus": {"grammar": {**given, "tokenizer": "bpe"}}}}
          for name, given in (("text", named), ("never", named), ("mine", file), ("other", file))),
    )  # fmt: skip
    trials = {each["id"]: ("a", each["id"], "few", None) for each in models}
    results = study_of(tmp_path, trials, {"few": 3}, models)
    ran = [("plain", "plain", None), ("text", "text", "bios-en"), ("mine", "mine", "called")]
    found = outcomes(results, pl.DataFrame(ran, schema=SUITES, orient="row"))
    counts = dict(found.select("grammar", "trials").iter_rows())
    assert counts == {None: 2, "bios-en": 2, "called": 2}

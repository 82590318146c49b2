"""Trials that take suites: the frame they leave, and the twin that they are taken beside."""

import polars as pl
import pytest

from behemoth import ArgumentError
from behemoth.study.file.measurement import Measurement
from behemoth.study.file.method import MethodChoice
from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.work.estimate import estimate

TEXT = """
name = "suites"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = "groups:0,8"
[train]
model = "pico"
steps = 4
block_length = 32
batch_size = 4
[plan]
edits = 3
exposures = [8]
distinct = false
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 1
[measure]
suite = "editing"
[[method]]
name = "ft"
settings = { steps = 2 }
label = "ft"
[[method]]
name = "npo"
label = "npo"
settings = { steps = 2 }
plan = { kind = "refusal" }
measure = { suite = "unlearning", twin = true }
[[method]]
name = "grad_diff"
label = "grad_diff"
settings = { steps = 2 }
plan = { kind = "refusal" }
measure = { suite = "unlearning", twin = true }
[[method]]
name = "retrain"
label = "retrain"
plan = { kind = "refusal" }
measure = { suite = "unlearning", twin = true }
"""


@pytest.fixture(scope="module")
def results(in_process, tmp_path_factory):
    out = tmp_path_factory.mktemp("suites") / "study"
    result, engine = in_process(TEXT, out)
    assert (result.models, result.trials, result.done, result.failed) == (2, 4, 4, 0)
    assert engine.closed
    return Results.open(out)


def test_every_trial_leaves_its_suite(results):
    frame = results.suites.collect()
    assert set(frame.select("label", "suite").unique().rows()) == {
        ("ft", "editing"), ("npo", "unlearning"), ("grad_diff", "unlearning"),
        ("retrain", "unlearning"),
    }  # fmt: skip
    assert set(frame["edits"]) == {3} and set(frame["grammar"]) == {None}
    score = frame.filter(label="ft", measure="efficacy")
    assert score["value"].item() is not None and score["twin"].item() is None
    lacking = frame.filter(measure="kl_filler")["missing"].item()
    assert "filler" in lacking


def test_measures_that_were_added_are_taken_where_a_study_wants_them(results, in_process, tmp_path):
    text = TEXT.replace('suite = "editing"', 'suite = "editing"\nadded = true')
    text = text.replace("twin = true }", "twin = true, added = true }")
    in_process(text, tmp_path / "study")
    more = Results.open(tmp_path / "study").suites.collect()
    own = results.suites.collect()
    assert not set(more["trial"]) & set(own["trial"])
    columns = ["label", "suite", "measure", "value", "twin", "count"]
    both = more.join(own, on=["label", "suite", "measure"], how="semi").select(columns)
    assert both.equals(own.select(columns))
    extra = more.join(own, on=["label", "suite", "measure"], how="anti")
    assert {"portability_inverse", "spectrum_largest", "exact_memorisation", "kl_twin_text"} <= set(
        extra["measure"]
    )
    forgotten = extra.filter(label="grad_diff", measure="exact_memorisation")
    assert forgotten["value"].item() is not None
    [why] = extra.filter(label="ft", measure="peak_memory")["missing"]
    assert why == "a saved edit, whose edit.json states it"


def test_the_estimate_counts_twins_among_the_models():
    found = estimate(Study.parse(TEXT), workers=1)
    assert (found.models, found.twins) == (2, 1)


def test_methods_share_a_twin_that_never_had_the_facts(results):
    frame = results.suites.collect().filter(suite="unlearning", measure="forget_probability")
    assert frame.height == 3 and frame["twin"].n_unique() == 1 and frame["twin"].null_count() == 0
    twins = {trial.twin for trial in results.about.trials if trial.twin}
    assert len(twins) == 1
    [unit] = [model for model in results.about.models if model["id"] in twins]
    assert len(unit["corpus"]["replaced"]) == 3
    assert all(new is None for _, new in unit["corpus"]["replaced"])


def test_what_was_retrained_is_its_twin_by_every_measure(results):
    own = results.suites.filter(pl.col("label") == "retrain", pl.col("value").is_not_null())
    frame = own.collect()
    beside = frame.filter(pl.col("twin").is_not_null())
    others = results.suites.filter(pl.col("label") == "npo", pl.col("twin").is_not_null())
    assert set(others.collect()["measure"]) == set(beside["measure"])
    assert {"perplexity_corpus", "linear_probe", "membership_loss"} <= set(beside["measure"])
    for row in beside.iter_rows(named=True):
        assert row["value"] == pytest.approx(row["twin"], rel=1e-5, abs=1e-8), row["measure"]
    said = dict(frame.select("measure", "value").iter_rows())
    distances = [name for name in said if name.startswith(("kl_twin", "privacy"))]
    assert len(distances) == 5
    # Nor is it told apart, but for tests of ranks, where rounding may part what is equal.
    for name in (*distances, "parameters_twin"):
        assert said[name] == pytest.approx(0.0, abs=1e-6), name


def test_the_unedited_model_is_measured_once_for_all_methods(results):
    suites = results.suites.collect()
    before = suites.filter(pl.col("before").is_not_null())
    assert before.height and before.group_by("suite", "measure").agg(pl.col("before").n_unique())[
        "before"
    ].unique().to_list() == [1]
    said = dict(before.select("measure", "before").iter_rows())
    assert {"efficacy", "forget_probability", "model_utility", "membership_loss"} <= said.keys()
    assert said.keys().isdisjoint({"kl", "damage_unrelated", "relearning_steps", "privacy_loss"})
    asked = results.probes.filter(
        pl.col("label") == "npo", pl.col("group") == "forget", pl.col("stage") == "before"
    ).collect()
    forgotten = asked["log_probability_old"].exp().mean()
    assert said["forget_probability"] == pytest.approx(forgotten)


def test_a_twin_is_no_model_of_the_study(results):
    assert results.models.collect().height == 1
    assert results.recall.collect()["model"].n_unique() == 1
    assert len(results.about.models) == 2


def test_a_twin_of_other_objects_says_them():
    text = TEXT.replace('suite = "editing"', 'suite = "editing"\ntwin = true')
    expansion = Study.parse(text).expand()
    trial = next(t for t in expansion.trials if t.choice.label == "ft")
    unit = expansion.models[trial.twin].corpus
    first = expansion.models[trial.model].corpus.make()
    own = dict(first.world.facts(0, 40).select("fact", "object").iter_rows())
    assert all(new is not None for _, new in unit.replaced)
    assert all(new != own[fact] for fact, new in unit.replaced)
    assert unit.make().spec_hash != first.spec_hash


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("durability", 1.5, "a whole number from 0"),
        ("durability", "3", "a whole number from 0"),
        ("held_out", True, "a whole number from 0"),
        ("continued", 0, "a whole number from 1"),
        ("durability_rate", "x", "above 0 up to 1"),
        ("deltas", "no", "True or False"),
    ],
)
def test_what_a_file_cannot_say_is_refused_from_python_too(name, value, allowed):
    with pytest.raises(ArgumentError, match=f"'{name}': got {value}, allowed: {allowed}"):
        Measurement(**{name: value})


def test_what_takes_no_suite_has_the_id_that_it_had():
    plain = TEXT.replace('suite = "editing"', "").replace(
        'measure = { suite = "unlearning", twin = true }', ""
    )
    measure = Study.parse(plain).expand().trials[0].measure
    assert not {"suite", "twin", "continued", "added"} & set(measure.to_dict())
    assert not {"continued", "added"} & set(Measurement(suite="unlearning").to_dict())
    shorter = Measurement(suite="unlearning", continued=4)
    assert (
        shorter.to_dict()["continued"] == 4 and Measurement.from_dict(shorter.to_dict()) == shorter
    )
    assert type(measure).from_dict(measure.to_dict()) == measure


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"editing"', '"recall"', "suite': got recall, allowed: editing, unlearning"),
        ('suite = "editing"', "twin = true", "twin': got True, allowed: false without a suite"),
        ('suite = "editing"', "added = true", "added': got True, allowed: false without a suite"),
        ("twin = true }", "continued = 0 }", "continued': got 0, allowed: a whole number from 1"),
        ('name = "ft"', 'family = "tuning"', "family': got tuning.*, allowed: fine-tuning"),
        ('name = "ft"', 'family = "oracle"', "label': got ft, allowed: none with a family"),
        ('label = "npo"', 'label = "npo"\nwithout = ["ft"]', "without': got .*only with a fam"),
        ('{ suite = "unl', '{ suites = "unl', "suites"),
    ],
)
def test_what_makes_no_sense_is_refused(old, new, said):
    assert old in TEXT
    with pytest.raises(ArgumentError, match=said):
        Study.parse(TEXT.replace(old, new, 1))


def test_a_family_is_all_of_its_methods_but_those_left_out():
    tables = '[[method]]\nfamily = "locate-and-edit"\nwithout = ["memit"]\n'
    head = TEXT[: TEXT.index("[[method]]")]
    labels = [choice.label for choice in Study.parse(head + tables).methods]
    assert "rome" in labels and "memit" not in labels and len(labels) >= 4
    with pytest.raises(ArgumentError, match="without': got npo, allowed: "):
        Study.parse(head + tables.replace("memit", "npo"))


def test_settings_may_lie_in_a_file(tmp_path):
    file = tmp_path / "tuned" / "ft.toml"
    file.parent.mkdir()
    file.write_text('name = "ft"\n[settings]\nsteps = 7\n')
    text = TEXT.replace("settings = { steps = 2 }", 'settings = "tuned/{method}.toml"', 1)
    text = text.replace('label = "ft"\n', "", 1)
    first = Study.parse(text, tmp_path)
    assert first.methods[0].label == "ft"  # and not its settings, of which a file has all
    assert first.methods[0].settings["steps"] == 7 and first.methods[0].whence == "given"
    tuning = '[tuning]\nobjective = "editing"\ntrials = 3\nseconds = 1.5\nrows = 32\nscore = 0.9\n'
    file.write_text(file.read_text() + tuning + "default_score = 0.8\n")
    tuned = Study.parse(text, tmp_path)
    said = tuned.methods[0].to_dict()
    assert said["whence"] == "tuned" and said["tuning"]["trials"] == 3
    assert MethodChoice.from_dict(said).tuning == tuned.methods[0].tuning
    # Equal settings are equal work, however they were found.
    ids = [[trial.id for trial in study.expand().trials] for study in (first, tuned)]
    assert ids[0] == ids[1] and tuned.methods[1].whence in ("default", "given")
    file.write_text(file.read_text().replace("trials", "tries"))
    with pytest.raises(ArgumentError, match=r"tuning\.tries"):
        Study.parse(text, tmp_path)
    file.write_text('name = "lora"\n')
    with pytest.raises(
        ArgumentError, match=r"settings': got .*ft\.toml, of 'lora', allowed: of 'ft'"
    ):
        Study.parse(text, tmp_path)
    file.unlink()
    with pytest.raises(
        ArgumentError, match="which does not exist, allowed: a table, a file of settings"
    ):
        Study.parse(text, tmp_path)

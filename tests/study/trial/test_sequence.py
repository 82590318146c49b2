"""Trials that make their edits one after another: as `edit --sequential` does, and resumed."""

import shutil
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from behemoth import ArgumentError
from behemoth.delta.delta import EditDelta
from behemoth.edit import edit, sequential
from behemoth.edit.methods.lora import Lora
from behemoth.evaluate import evaluate_suite
from behemoth.model.memory import weight_bytes
from behemoth.study import add_model
from behemoth.study.directory import StudyDirectory
from behemoth.study.file.spec import Study
from behemoth.study.results import Results
from behemoth.study.trial.laboratory import Laboratory
from behemoth.study.trial.memory_budget import TrialBudget
from behemoth.study.trial.sequence import sequence_rows
from behemoth.study.work.cost import Estimator
from behemoth.train.run import Run

TEXT = """
name = "sequences"
[world]
subjects = 60
relations = 2
objects = 5
[corpus]
exposures = 8
[train]
model = "pico"
steps = 30
block_length = 32
batch_size = 8
[plan]
edits = 6
distinct = false
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 1
[measure]
sequential = true
suite = "sequence"
checkpoint_at = [4, 1]
[[method]]
name = "lora"
label = "lora"
settings = { steps = 3 }
measure = { durability = 2, deltas = true }
[[method]]
name = "lora"
label = "independent"
settings = { steps = 3, rank = 2 }
plan = { independent = true }
[[method]]
name = "grace"
label = "grace"
settings = { steps = 3 }
[[method]]
name = "wise"
label = "wise"
settings = { steps = 3 }
[[method]]
name = "npo"
label = "npo"
settings = { steps = 3 }
plan = { kind = "refusal" }
[[method]]
name = "ft"
label = "on a board"
settings = { steps = 3 }
measure = { suite = "editing", checkpoint_at = [] }
"""
LABELS = ["lora", "independent", "grace", "wise", "npo"]


@pytest.fixture(scope="module")
def results(in_process, tmp_path_factory):
    out = tmp_path_factory.mktemp("sequences") / "study"
    result, _ = in_process(TEXT, out)
    assert (result.models, result.done, result.failed) == (1, 6, 0)
    return Results.open(out)


def row_of(results, label):
    return next(row for row in results.about.trials if row.label == label)


def unit_of(label, text=TEXT):
    return next(unit for unit in Study.parse(text).expand().trials if unit.choice.label == label)


@pytest.mark.exact
@pytest.mark.parametrize("label", LABELS)
def test_a_trial_is_what_the_commands_do_by_hand(results, label, tmp_path):
    """Edits, sums at checkpoints, and every measure: of methods with a memory, too."""
    row = row_of(results, label)
    run, plan = results.directory.model(row.model), results.directory.plan(row.plan)
    edited = edit(
        run, plan, row.method, tmp_path / "edit", settings=row.settings, sequential=True,
        checkpoint_at=[1, 4], device="cpu",
    )  # fmt: skip
    found = evaluate_suite(edited, "sequence", plan, device="cpu")
    own = results.suites.filter(pl.col("label") == label).collect()
    table = found.table()
    assert own["measure"].to_list() == table["measure"].to_list()
    columns = ("value", "low", "high", "count", "over", "missing", "version")
    assert_frame_equal(own.select(columns), table.select(columns), check_dtypes=False, rel_tol=1e-4)
    matrix = results.sequence.filter(pl.col("label") == label).collect()
    by_hand = sequence_rows(found.frame)
    assert_frame_equal(matrix.select(by_hand.columns), by_hand, rel_tol=1e-4)
    assert matrix.height == 3 * 6 and set(matrix["after"]) == {1, 4, 6}


def test_its_other_frames_are_of_the_model_after_the_last_edit(results):
    edits = results.edits.filter(pl.col("label") == "lora").collect()
    assert edits.height == 6 and set(edits["batch"]) == {6} and edits["dose"].null_count() == 6
    last = results.sequence.filter(pl.col("label") == "lora", pl.col("after") == 6).collect()
    held = edits.join(last.select("edit", "holds"), on="edit")
    assert (held["holds"] == (held["success"] == 1)).all()
    assert results.traces.filter(pl.col("label") == "lora").collect().is_empty()
    row = row_of(results, "lora")
    delta = EditDelta.load(results.directory.trial(row.id) / "deltas" / "batch")
    norm = sum(float(each.to_dense().square().sum()) for each in delta.of_parameters.values())
    assert edits["norm"][0] == pytest.approx(norm**0.5, rel=1e-4)
    retention = results.retention.filter(pl.col("label") == "lora").collect()
    assert set(retention["step"]) == {0, 1, 2} and retention["edit"].n_unique() == 6


def test_other_suites_measure_the_model_after_the_last_edit(results):
    own = results.suites.filter(pl.col("label") == "on a board").collect()
    assert set(own["suite"]) == {"editing"}
    efficacy = own.filter(measure="efficacy")["value"].item()
    edits = results.edits.filter(pl.col("label") == "on a board").collect()
    assert efficacy == pytest.approx(edits["efficacy"].mean())
    assert results.sequence.filter(pl.col("label") == "on a board").collect().is_empty()


def test_a_trial_keeps_no_sums_when_it_is_done(results):
    for row in results.about.trials:
        place = results.directory.trial(row.id)
        names = {file.name for file in place.iterdir()} - {"deltas"}
        assert {name.rpartition(".")[2] for name in names} == {"json", "parquet"}
        assert ("sequence.parquet" in names) is (row.label in LABELS)


def test_what_an_edit_costs_is_counted_on_the_first(results):
    record = results.directory.trial_record(row_of(results, "lora").id)
    batch = TEXT.replace("sequential = true", "").replace('"sequence"', '"editing"')
    batch = batch.replace("checkpoint_at = [4, 1]", "")
    laboratory = Laboratory(results.directory)
    together = laboratory._begun(unit_of("lora", batch), lambda *_: None)
    alone = laboratory._begun(unit_of("lora"), lambda *_: None)
    assert alone.kind != together.kind and (alone.together, together.together) == (1, 6)
    assert record.flops == pytest.approx(alone.cost().flops)


@pytest.fixture
def workshop(results, tmp_path):
    """A directory with the study's model and plans, in which no trial has begun."""
    for name in ("models", "plans"):
        shutil.copytree(results.path / name, tmp_path / name)
    return StudyDirectory(tmp_path)


class StopError(Exception):
    pass


def stopping(at):
    def step(done, _):
        if done == at:
            raise StopError

    return step


def frames_of(directory, unit):
    place = directory.trial(unit.id)
    return {file.stem: pl.read_parquet(file) for file in sorted(place.glob("*.parquet"))}


@pytest.mark.exact
def kill_while_measured(workshop, unit, monkeypatch):
    """Stop a trial after its last edit."""

    def killed(*_):
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr("behemoth.study.trial.trial.suite_frame", killed)
        with pytest.raises(StopError):
            Laboratory(workshop).carry_out(unit)


@pytest.mark.parametrize("label", ["lora", "grace", "wise"])
def test_a_killed_sequence_goes_on_where_it_was(results, workshop, label, monkeypatch):
    monkeypatch.setattr(sequential, "SAVED_EVERY", 3)
    unit = unit_of(label)
    with pytest.raises(StopError):
        Laboratory(workshop).carry_out(unit, stopping(5))
    assert (workshop.trial(unit.id) / "sequence").is_dir()
    assert workshop.trial_record(unit.id) is None
    steps = []
    record = Laboratory(workshop).carry_out(unit, lambda done, _: steps.append(done))
    assert record.status == "done" and steps[0] == 5, "four edits were there"
    assert "edit" not in record.seconds and record.seconds["edit, resumed"] > 0
    assert not (workshop.trial(unit.id) / "sequence").exists()
    whole = frames_of(results.directory, unit)
    for name, frame in frames_of(workshop, unit).items():
        assert_frame_equal(frame, whole[name], rel_tol=1e-4, abs_tol=1e-5)


def test_one_that_was_killed_while_it_was_measured_makes_no_edit_again(workshop, monkeypatch):
    unit, made = unit_of("grace"), []
    kill_while_measured(workshop, unit, monkeypatch)
    record = Laboratory(workshop).carry_out(unit, lambda done, _: made.append(done))
    assert record.status == "done" and not made


def test_what_was_left_damaged_starts_over(workshop):
    unit, made = unit_of("lora"), []
    with pytest.raises(StopError):
        Laboratory(workshop).carry_out(unit, stopping(5))
    [file] = workshop.trial(unit.id).glob("sequence/checkpoints/*4/delta.safetensors")
    file.write_bytes(file.read_bytes()[:-9])
    record = Laboratory(workshop).carry_out(unit, lambda done, _: made.append(done))
    assert record.status == "done" and made == [1, 2, 3, 4, 5, 6] and "edit" in record.seconds


def test_sums_of_other_weights_are_not_gone_on_with(workshop, monkeypatch):
    unit, made = unit_of("lora"), []
    with pytest.raises(StopError):
        Laboratory(workshop).carry_out(unit, stopping(5))
    monkeypatch.setattr(Run, "weights_digest", lambda run: "0" * 64)
    record = Laboratory(workshop).carry_out(unit, lambda done, _: made.append(done))
    assert record.status == "done" and made == [1, 2, 3, 4, 5, 6]


def test_a_damaged_checkpoint_of_all_edits_starts_over(workshop, monkeypatch):
    unit, made = unit_of("lora"), []
    kill_while_measured(workshop, unit, monkeypatch)
    file = workshop.trial(unit.id) / "sequence/checkpoints/0000001/delta.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    record = Laboratory(workshop).carry_out(unit, lambda done, _: made.append(done))
    assert record.status == "done" and made == [1, 2, 3, 4, 5, 6]


def test_the_unedited_model_is_measured_on_the_rows_of_each_trial(workshop):
    """Of independent edits some probes do not hold once all are in one model."""
    text = TEXT.replace('suite = "sequence"\ncheckpoint_at = [4, 1]', 'suite = "editing"').replace(
        'plan = { independent = true }',
        'plan = { independent = true }\n[[method]]\nname = "lora"\nlabel = "by themselves"\n'
        'settings = { steps = 3, rank = 2 }\nplan = { independent = true }\n'
        'measure = { sequential = false }',
    )  # fmt: skip
    text = text.replace('measure = { suite = "editing", checkpoint_at = [] }\n', "")
    text = text.replace("same_relation = 2", "same_relation = 20").replace(
        "regular = 2", "regular = 40"
    )
    text = text.replace("probes = 1", "probes = 8")
    units = [unit_of("independent", text), unit_of("by themselves", text)]
    assert units[0].plan.id == units[1].plan.id
    found = []
    for order in (units, units[::-1]):
        laboratory = Laboratory(workshop)
        for unit in order:
            shutil.rmtree(workshop.trial(unit.id), ignore_errors=True)
            assert laboratory.carry_out(unit).status == "done"
        found.append([frames_of(workshop, unit)["suites"] for unit in units])
    for own, other in zip(*found, strict=True):
        assert_frame_equal(own, other)
    [together, alone] = found[0]
    assert not together["before"].equals(alone["before"])


def failing_from(monkeypatch, first):
    """Let edits by `lora` fail from some number on."""
    apply = Lora.apply

    def broken(self, model, plans, context):
        deltas = apply(self, model, plans, context)
        if plans[0].edits["edit"].item() < first:
            return deltas
        return [replace(delta, changes={}, failure="a loss of nan") for delta in deltas]

    monkeypatch.setattr(Lora, "apply", broken)


def test_edits_that_fail_are_counted(workshop, monkeypatch):
    failing_from(monkeypatch, 2)
    unit = unit_of("lora")
    record = Laboratory(workshop).carry_out(unit)
    assert (record.status, record.failed_edits) == ("done", 4)
    rows = frames_of(workshop, unit)["sequence"].filter(after=6)
    assert not rows.filter(pl.col("place") >= 2)["holds"].any()


def test_a_trial_of_which_every_edit_failed_has_failed(workshop, monkeypatch):
    failing_from(monkeypatch, 0)
    unit = unit_of("lora")
    record = Laboratory(workshop).carry_out(unit)
    assert (record.status, record.failed_edits) == ("failed", 6)
    assert record.reason == "every edit broke down: all 6 edits failed, the first: a loss of nan"
    assert not {"sequence", "suites"} & frames_of(workshop, unit).keys()
    assert not (workshop.trial(unit.id) / "sequence").exists()


def test_a_model_of_another_tool_has_no_checkpoints(results, workshop, tmp_path):
    for name in ("study.json", "study.toml"):
        shutil.copy(results.path / name, workshop.path)
    row = row_of(results, "npo")  # alone with its plan
    with pytest.raises(ArgumentError, match=r"'plan': got .*, allowed: one whose trials take anot"):
        add_model(workshop.path, workshop.model(row.model), name="other", run=row.model,
                  plan=row.plan)  # fmt: skip


def test_memory_has_room_for_the_sum_and_the_first_weights(results):
    """And for as many edits as are computed ahead; a method that keeps a codebook, for that."""
    laboratory = Laboratory(results.directory)
    asked = {}

    def budget(*given, **options):
        made = TrialBudget(*given, **options)
        asked[made.method.info.name] = made
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("behemoth.study.trial.laboratory.TrialBudget", budget)
        for label in ("lora", "grace"):
            laboratory._begun(unit_of(label), lambda *_: None)
    lora, grace = asked["lora"], asked["grace"]
    assert (lora.stack, grace.stack) == (1, 6)
    weights = weight_bytes(lora.model)
    plain = replace(lora, measure=replace(lora.measure, sequential=False, suite=None,
                                          checkpoint_at=None))  # fmt: skip
    assert lora.bytes_of(1, 1) >= plain.bytes_of(1, 1) + weights
    assert lora.fitting(None)[0] == 1 and grace.fitting(None)[0] == 6


def test_the_estimate_counts_every_edit_and_every_checkpoint():
    model = next(iter(Study.parse(TEXT).expand().models.values()))

    def seconds(text):
        return Estimator().trial(unit_of("independent", text), model).seconds

    more = seconds(TEXT.replace("[4, 1]", "[1, 2, 3, 4, 5]"))
    alone = TEXT.replace("sequential = true", "").replace('suite = "sequence"', "")
    alone = seconds(alone.replace("checkpoint_at = [4, 1]", ""))
    assert alone < seconds(TEXT) < more

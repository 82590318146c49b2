import json
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Corpus
from behemoth.study.directory import StudyDirectory, StudyError
from behemoth.study.file.spec import Study
from behemoth.study.records import ModelRecord, StudyRecord
from behemoth.study.work.cost import Cost
from behemoth.study.work.engine import Event
from behemoth.study.work.estimate import estimate
from behemoth.study.work.prepare import expanded
from behemoth.study.work.run import run_study
from behemoth.study.work.schedule import Work
from behemoth.support.locks import lock


def test_models_come_first_and_once_and_trials_by_model(finished):
    _, result, engine = finished
    kinds = [getattr(unit, "model", "train") for unit in engine.done]
    assert kinds[:2] == ["train", "train"] and len(kinds) == 10
    assert kinds[2:] == sorted(kinds[2:], key=kinds.index)
    assert (result.models, result.trials, result.done, result.failed) == (2, 8, 8, 0)
    assert (result.trained, result.carried_out) == (2, 8) and engine.closed


def test_what_is_finished_is_not_done_again(finished, in_process):
    out, _, _ = finished
    text = (out / "study.toml").read_text()
    result, engine = in_process(text, out)
    assert engine is None
    assert (result.trained, result.carried_out, result.done) == (0, 0, 8)


def test_what_is_finished_is_found_so_without_torch(finished):
    out, _, _ = finished
    script = (
        "import sys; from behemoth.study.work.run import run_study; "
        f"result = run_study({str(out / 'study.toml')!r}, {str(out)!r}); "
        "sys.stdout.write(f'{result.done} of {result.trials} {\"torch\" in sys.modules}')"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "8 of 8 False"


def test_a_stopped_study_goes_on_and_finds_the_same(tiny, finished, in_process, tmp_path):
    text = tiny.replace("[grid]", "[measure]\ndurability = 3\n[grid]")
    stopped, engine = in_process(text, tmp_path / "s", stop_after=4)
    assert stopped is None and engine.closed
    # What a kill in the middle of a trial leaves behind.
    missing = StudyDirectory(tmp_path / "s")
    half = next(t.id for t in missing.read().trials if not missing.trial_record(t.id))
    (tmp_path / "s" / "trials" / half).mkdir(exist_ok=True)
    (tmp_path / "s" / "trials" / half / "edits.parquet").write_bytes(b"half")
    result, engine = in_process(text, tmp_path / "s")
    assert (result.trained, result.carried_out, result.done) == (0, 6, 8)
    for file in sorted((finished[0] / "trials").glob("*/edits.parquet")):
        other = tmp_path / "s" / "trials" / file.parent.name / "edits.parquet"
        # Within rounding: a BLAS' sums depend on where in memory its arguments lie.
        assert_frame_equal(
            pl.read_parquet(other), pl.read_parquet(file), rel_tol=1e-3, abs_tol=1e-4
        )


def test_a_longer_study_does_only_what_is_new(tiny, in_process, tmp_path):
    short = tiny.replace("rank = [1, 4]", "rank = [1]").replace("[0, 1]", "[0]")
    assert in_process(short, tmp_path / "s")[0].carried_out == 3
    result, _ = in_process(tiny.replace("[0, 1]", "[0]"), tmp_path / "s")
    assert (result.trained, result.carried_out, result.done) == (0, 1, 4)
    # And what it no longer has is no part of its results.
    result, _ = in_process(short, tmp_path / "s")
    assert (result.carried_out, result.done) == (0, 3)


def test_a_trial_that_fails_is_recorded_and_the_rest_goes_on(tiny, in_process, tmp_path):
    text = tiny.replace("settings = { steps = 2 }", "settings = { learning_rate = 1e30 }", 1)
    text = text.replace("[0, 1]", "[0]")
    result, _ = in_process(text, tmp_path / "s")
    assert (result.done, result.failed) == (3, 1)
    failure = result.failures[0]
    assert failure.label == "ascent" and "every edit broke down: loss" in failure.reason
    record = json.loads((tmp_path / "s/trials" / failure.trial / "trial.json").read_text())
    assert record["status"] == "failed" and record["failed_edits"] == 4
    assert in_process(text, tmp_path / "s")[0].carried_out == 1  # tried again


def test_a_plan_that_cannot_be_made_says_why(tiny, in_process, tmp_path):
    text = tiny.replace("edits = 2", "relation = 0\nedits = 20").replace("[0, 1]", "[0]")
    result, _ = in_process(text, tmp_path / "s")
    assert (result.done, result.failed, result.trained) == (0, 4, 1)
    assert all(row.reason.startswith("ArgumentError: argument") for row in result.failures)


def test_a_model_that_fails_takes_its_trials_with_it(tiny, in_process, tmp_path):
    text = tiny.replace("steps = 5", "steps = 5\nlearning_rate = 1e9\nclip = 0")
    result, engine = in_process(text.replace("[0, 1]", "[0]"), tmp_path / "s")
    assert (result.done, result.failed) == (0, 4)
    assert len(engine.done) == 1
    assert all("diverged" in row.reason for row in result.failures)


def test_progress(tiny, in_process, tmp_path):
    seen = []
    in_process(tiny.replace("[0, 1]", "[0]"), tmp_path / "s", progress=seen.append)
    assert {at.label for at in seen} == {"models", "trials"}
    seen = [at.details for at in seen if at.label == "trials"]
    assert [s.trials_done for s in seen] == sorted(s.trials_done for s in seen)
    last = seen[-1]
    assert (last.models_done, last.trials_done, last.running, last.failed) == (1, 4, 0, 0)
    assert last.seconds_left == 0 and all(s.seconds_left > 0 for s in seen[:-1])


def test_a_study_that_was_begun_in_version_1_goes_on_in_it(tiny, in_process, tmp_path):
    text = tiny.replace("rank = [1, 4]", "rank = [1]").replace("[0, 1]", "[0]")
    [first] = Study.parse(f"format_version = 1\n{text}").expand().models
    [latest] = Study.parse(text).expand().models
    assert first != latest
    assert [*Study.parse(f"format_version = 3\n{text}").expand().models] == [latest]
    directory = StudyDirectory(tmp_path / "s")
    directory.begin(text, StudyRecord("tiny", "", None, (), ()))  # as records without one are read
    assert in_process(text, tmp_path / "s")[0].done == 3
    about = directory.read()
    assert about.corpus_version == 1 and [unit["id"] for unit in about.models] == [first]
    assert Corpus.from_spec(directory.model(first)).spec["format_version"] == 1
    # One that names a version takes it, whatever the directory was begun in.
    later = estimate(Study.parse(f"format_version = 3\n{text}"), tmp_path / "s")
    assert (later.models_done, later.trials_done) == (0, 0)
    with pytest.raises(ArgumentError, match="'format_version': got 4, allowed: 1, 2 and 3"):
        Study.parse(f"format_version = 4\n{text}")


def test_two_at_once_are_refused(tiny, tmp_path):
    with lock(tmp_path / "s" / ".lock"), pytest.raises(StudyError, match="another process is"):
        run_study(Study.parse(tiny), tmp_path / "s")


@pytest.mark.parametrize("part", [(0, 1), (0, 2)])
def test_two_studies_that_begin_at_once_in_one_place(part, tiny, monkeypatch, tmp_path):
    other = tiny.replace('name = "tiny"', 'name = "other"')
    directory = StudyDirectory(tmp_path / "s")

    def meanwhile(study, *others):
        found = expanded(study, *others)
        directory.begin(other, StudyRecord("other", "", None, (), ()))
        return found

    monkeypatch.setattr("behemoth.study.work.run.expanded", meanwhile)
    with pytest.raises(ArgumentError, match="the study 'other' and not 'tiny'"):
        run_study(Study.parse(tiny), directory.path, part=part)
    assert directory.read().name == "other" and directory.text() == other


def test_a_study_interrupted_while_it_starts_is_begun_again(tiny, monkeypatch, tmp_path):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    study, place = Study.parse(tiny), tmp_path / "s"
    with monkeypatch.context() as patch:
        patch.setattr("behemoth.study.work.run.divided_memory", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_study(study, place)
        assert {file.name for file in place.iterdir()} == {".lock", ".workers.lock"}
        with pytest.raises(KeyboardInterrupt):  # not a refusal of the directory
            run_study(study, place)
    StudyDirectory(place).check(study.name)
    (place / "other").touch()
    with pytest.raises(ArgumentError, match="which holds something else"):
        run_study(study, place)


def test_a_directory_of_something_else_is_refused(tiny, finished, tmp_path):
    (tmp_path / "thing").write_text("x")
    with pytest.raises(ArgumentError, match=r"argument 'out': got .*, which holds something else"):
        run_study(Study.parse(tiny), tmp_path)
    other = Study.parse(tiny.replace('name = "tiny"', 'name = "other"'))
    with pytest.raises(ArgumentError, match="the study 'tiny' and not 'other'"):
        run_study(other, finished[0])
    assert (tmp_path / "thing").read_text() == "x"


def test_a_failure_is_not_written_over_what_another_part_has_made(finished, tiny):
    """A worker that waited for that part's result was killed."""
    place, _, engine = finished
    directory, model, trial = StudyDirectory(place), engine.done[0], engine.done[-1]
    work = Work(directory, Study.parse(tiny).expand(), None)
    work._fail(model, "killed")
    work._fail(trial, "killed")
    assert directory.model_record(model.id).status == "done"
    assert directory.trial_record(trial.id).status == "done" and work.failed == 0


@pytest.mark.parametrize(("status", "submitted", "failed"), [("failed", 2, 10), ("done", 6, 9)])
def test_a_failure_of_what_another_part_is_carrying_out_waits(
    status, submitted, failed, tiny, tmp_path
):
    """Parts that take the unit from each other would never record that it fails."""
    directory, expansion = StudyDirectory(tmp_path), Study.parse(tiny).expand()
    work, first = Work(directory, expansion, None), next(iter(expansion.models.values()))
    units, events = [], []

    def submit(slot, unit):
        units.append(unit)
        events.append(Event(slot, "failed", reason="diverged"))

    def wait(_):
        if not events and work.awaited:  # all others have failed
            assert (work.failed, work._status(1).models_done) == (5, 1)
            assert not work.models and len(work.trials) == 4 and work._seconds_left(1) > 0
            if status == "done":
                directory.write(ModelRecord(first.id, "done"))
            other.close()
        given = [*events]
        events.clear()
        return given

    with ExitStack() as other:
        other.enter_context(directory.holding(directory.model(first.id)))
        work.carry_out(SimpleNamespace(slots=1, submit=submit, wait=wait))
    assert (len(units), work.failed) == (submitted, failed)
    assert units.count(first) == 1 and directory.model_record(first.id).status == status


def test_time_left_is_that_of_waiting_units_by_the_pace_of_their_kind(tiny):
    """From sums: a look at every unit in each round would take longer the more units there are."""
    work = Work(None, Study.parse(tiny).expand(), None)
    work.costs.model = lambda _: Cost(0, 0, 0, 10.0)
    work.costs.trial = lambda *_: Cost(0, 0, 0, 4.0)
    work._expect_all()
    assert work._seconds_left(1) == 2 * 10 + 8 * 4
    engine = SimpleNamespace(submit=lambda *_: None)

    def carried_out(seconds, kind="done"):
        work._submit(engine, 0, work._next(0))
        assert work._seconds_left(4) > 0
        work._heard(Event(0, kind, status="done", seconds=seconds))

    carried_out(5.0)  # a model, in half of its time
    assert work._seconds_left(1) == 1 * 5 + 8 * 4
    carried_out(5.0)
    label = next(iter(work.trials.values())).choice.label
    carried_out(8.0)  # a trial, in twice its time: so will be those of methods not tried yet
    assert work._seconds_left(2) == 7 * 8 / 2
    while work.trials:
        chosen = next(iter(work.trials.values())).choice.label
        carried_out(8.0 if chosen == label else 4.0)
    assert work._seconds_left(1) == 0

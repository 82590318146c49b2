"""Parts of a study on several machines, and what becomes of them when they are put together."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, CorpusError
from behemoth.study import merge_studies
from behemoth.study.directory import StudyDirectory, StudyError
from behemoth.study.file.spec import Study
from behemoth.study.records import FOREIGN, ModelRecord
from behemoth.study.results import Results
from behemoth.study.trial.laboratory import Laboratory
from behemoth.study.work import run
from behemoth.support.locks import lock


@pytest.fixture(scope="module")
def parts(tiny, in_process, tmp_path_factory):
    """The two parts of the tiny study: a model and four trials each."""
    places = [tmp_path_factory.mktemp("parts") / name for name in ("a", "b")]
    for number, place in enumerate(places):
        result, _ = in_process(tiny, place, part=(number, 2))
        assert (result.trained, result.carried_out, result.done) == (1, 4, 4)
    return places


def test_parts_make_a_whole(parts, tmp_path):
    merged = merge_studies(parts, tmp_path / "c")
    assert (merged.models_done, merged.trials_done, merged.trials) == (2, 8, 8)
    results = Results.open(tmp_path / "c")
    assert results.missing == [] and results.edits.collect().height == 32
    own = Results.open(parts[0]).edits.collect().sort("trial", "edit")
    both = results.edits.collect().filter(trial=own["trial"][0])
    assert_frame_equal(both.sort("edit"), own.filter(trial=own["trial"][0]).sort("edit"))


def test_parts_share_a_directory_at_once(tiny, in_process_engine, tmp_path, monkeypatch):
    """Two of the three come to the same model and its trial: one makes them, the other waits."""
    made = []
    for name in ("_train", "_carry_out"):
        own = getattr(Laboratory, name)

        def told(self, unit, *others, own=own):
            made.append(unit.id)
            return own(self, unit, *others)

        monkeypatch.setattr(Laboratory, name, told)
    monkeypatch.setattr(run, "_engine", lambda name, path, *_: in_process_engine(path))
    head, _, rest = tiny.replace("rank = [1, 4]", "rank = [1]").partition(
        '[[method]]\nname = "grad'
    )
    study, out = Study.parse(head + rest[rest.index("[grid]") :]), tmp_path / "s"
    with ThreadPoolExecutor(3) as pool:
        results = pool.map(
            lambda part: run.run_study(study, out, part=part), [(1, 2), (0, 2), (0, 3)]
        )
    assert [result.failures for result in results] == [[], [], []]
    assert len(made) == len(set(made)) == 4
    # Without a part it does what is missing, which is nothing.
    whole = run.run_study(study, out)
    assert (whole.done, whole.trained, whole.carried_out, len(made)) == (2, 0, 0, 4)
    assert Results.open(out).edits.collect()["trial"].n_unique() == 2


def test_a_whole_run_and_parts_keep_out_of_each_others_way(tiny, tmp_path):
    place, study = tmp_path / "s", Study.parse(tiny)
    place.mkdir()
    with lock(place / ".lock", shared=True), pytest.raises(StudyError, match="another process"):
        run.run_study(study, place)
    with lock(place / ".lock"), pytest.raises(StudyError, match="another process is running"):
        run.run_study(study, place, part=(0, 2))


def test_a_merge_that_was_killed_goes_on(parts, tmp_path):
    out = tmp_path / "c"
    first = merge_studies(parts, out)
    assert first.copied == 2 + len(list((out / "plans").iterdir())) + 8
    trial = next((out / "trials").iterdir())
    (trial / "trial.json").unlink()  # as if it had been stopped there
    (out / "trials" / ".merging-left").mkdir()
    again = merge_studies(parts, out)
    assert (again.copied, again.trials_done) == (1, 8)
    assert not list(out.rglob(".merging-*"))
    (out / "models" / ".merging-left" / "new").mkdir(parents=True)
    assert merge_studies(parts, out).copied == 0
    assert not list(out.rglob(".merging-*")), "also if there is nothing left to copy"


@pytest.mark.parametrize(
    "pattern", ["trials/*/edits.parquet", "models/*/recall.parquet", "models/*/model.safetensors",
                "plans/*/probes.parquet"],
)  # fmt: skip
def test_a_damaged_unit_is_not_copied(parts, tmp_path, pattern):
    damaged, out = tmp_path / "damaged", tmp_path / "c"
    shutil.copytree(parts[0], damaged)
    file = next(damaged.glob(pattern))
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(CorpusError, match=f"{file.name} is damaged"):
        merge_studies([damaged, parts[1]], out)
    assert not (out / file.relative_to(damaged)).exists()
    shutil.copy(parts[0] / file.relative_to(damaged), file)
    assert merge_studies([damaged, parts[1]], out).trials_done == 8


def test_a_merge_beside_another_is_refused_with_the_process(parts, tmp_path, who):
    said = rf"another process is working in .*: {who}"
    with lock(tmp_path / ".lock"), pytest.raises(StudyError, match=said):
        merge_studies(parts, tmp_path)


def test_a_model_without_the_record_of_its_run_is_not_copied(parts, tmp_path):
    damaged, out = tmp_path / "damaged", tmp_path / "c"
    shutil.copytree(parts[0], damaged)
    next(damaged.glob("models/*/run.json")).unlink()
    with pytest.raises(CorpusError, match=r"run\.json is missing"):
        merge_studies([damaged, parts[1]], out)
    assert merge_studies([parts[0]], out).models_done == 1


@pytest.mark.parametrize("studies", [3, "a", None, []])
def test_studies_are_a_list(studies, tmp_path):
    with pytest.raises(ArgumentError, match=r"argument 'studies': got .*, allowed: a"):
        merge_studies(studies, tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_a_finished_trial_is_taken_before_one_that_failed(parts, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(parts[0], broken)
    file = next((broken / "trials").glob("*/trial.json"))
    record = json.loads(file.read_text())
    del record["blake3"], record["files"]
    file.write_text(json.dumps({**record, "status": "failed", "reason": "a cosmic ray"}))
    assert merge_studies([broken], tmp_path / "c").trials_done == 3
    assert Results.open(tmp_path / "c").failures[0].reason == "a cosmic ray"
    assert merge_studies([broken, parts[0]], tmp_path / "c").trials_done == 4


def test_a_failure_does_not_replace_a_training_that_can_be_resumed(parts, tmp_path):
    broken, out = tmp_path / "broken", tmp_path / "c"
    shutil.copytree(parts[0], broken)
    directory = StudyDirectory(broken)
    model = next(row["id"] for row in directory.read().models if directory.model_record(row["id"]))
    shutil.rmtree(directory.model(model))
    directory.write(ModelRecord(model, "failed", "a cosmic ray"))
    out.mkdir()
    for name in ("study.toml", "study.json"):
        shutil.copy(broken / name, out / name)
    begun = StudyDirectory(out).model(model) / "checkpoints" / "step-00001000" / "model.safetensors"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"weights")
    assert merge_studies([broken], out).models_done == 0
    assert begun.read_bytes() == b"weights"
    assert StudyDirectory(out).model_record(model) is None
    merge_studies([broken], tmp_path / "d")  # which has nothing of the model
    assert StudyDirectory(tmp_path / "d").model_record(model).reason == "a cosmic ray"
    assert merge_studies([broken, parts[0]], out).models_done == 1  # finished: replaced


def test_a_trial_added_before_the_lock_is_held_stays(parts, tmp_path, monkeypatch):
    out = tmp_path / "c"
    merge_studies(parts, out)
    own = StudyDirectory.locked

    def meanwhile(*arguments, **options):
        directory = StudyDirectory(out)
        about = directory.read()
        row = replace(about.trials[0], id="0" * 16, label="theirs", family=FOREIGN)
        text = (out / "study.toml").read_text()
        directory.begin(text, replace(about, trials=(*about.trials, row)))
        return own(*arguments, **options)

    monkeypatch.setattr(StudyDirectory, "locked", meanwhile)
    assert merge_studies(parts, out).trials == 9
    assert "theirs" in {row.label for row in StudyDirectory(out).read().trials}


def test_other_studies_are_refused(parts, tiny, in_process, tmp_path):
    other = tmp_path / "other"
    in_process(tiny.replace("rank = [1, 4]", "rank = [1]"), other, part=(0, 2))
    with pytest.raises(ArgumentError, match=r"studies': got .*other, with other trials, allowed: "):
        merge_studies([parts[0], other], tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(ArgumentError, match=r"out': got .*allowed: a directory other than"):
        merge_studies(parts, parts[0])
    with pytest.raises(ArgumentError, match="studies': got nothing"):
        merge_studies([], tmp_path / "c")
    with pytest.raises(ArgumentError, match=r"studies': got .*allowed: a study"):
        merge_studies([tmp_path], tmp_path / "c")


def test_parts_are_disjoint_and_all(tiny, in_process, tmp_path):
    whole = Study.parse(tiny).expand()
    some = [whole.part(number, 3) for number in range(3)]
    assert sorted(t.id for part in some for t in part.trials) == sorted(t.id for t in whole.trials)
    assert [len(part.models) for part in some] == [1, 1, 0]
    own = [whole.units_of(number, 3)[1] for number in range(3)]
    assert set().union(*own) == whole.units and sum(map(len, own)) == len(whole.units)
    with pytest.raises(ArgumentError, match="part': got"):
        in_process(tiny, tmp_path / "s", part=(2, 2))


def test_a_study_that_was_killed_while_it_began_is_gone_on_with(tiny, tmp_path):
    place = tmp_path / "s"
    place.mkdir()
    for name in (".lock", "study.toml", ".study.json.abcdefgh.tmp"):
        (place / name).touch()
        StudyDirectory(place).check("tiny")
    (place / "notes.txt").touch()
    with pytest.raises(ArgumentError, match="which holds something else"):
        StudyDirectory(place).check("tiny")
    for mine in ("study.toml", "notes.txt"):
        other = tmp_path / mine.partition(".")[0]
        other.mkdir()
        (other / mine).touch()
        with pytest.raises(ArgumentError, match="which holds something else"):
            StudyDirectory(other).check("tiny")

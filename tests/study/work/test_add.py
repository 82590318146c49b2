"""Models that other tools have edited, as trials of a study."""

import shutil

import pytest

from behemoth import ArgumentError
from behemoth.study import add_model, merge_studies
from behemoth.study.directory import StudyDirectory
from behemoth.study.results import Results

TEXT = """
name = "foreign"
[world]
subjects = 20
relations = 2
objects = 5
[corpus]
exposures = 8
[train]
model = "pico"
steps = 4
block_length = 32
batch_size = 4
[plan]
edits = 3
distinct = false
repeats = 2
same_object = 2
same_relation = 2
regular = 2
probes = 1
[measure]
suite = "editing"
deltas = true
[[method]]
name = "ft"
label = "ft"
settings = { steps = 3, learning_rate = 1e-2 }
"""


@pytest.fixture(scope="module")
def study(in_process, tmp_path_factory):
    out = tmp_path_factory.mktemp("foreign") / "study"
    assert in_process(TEXT, out)[0].done == 1
    return out


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "study")


@pytest.fixture(scope="module")
def theirs(study, tmp_path_factory):
    """What a tool would leave that does what `ft` does: a model with the delta in."""
    from behemoth.delta.delta import EditDelta
    from behemoth.train.run import read_run

    directory = StudyDirectory(study)
    trial = directory.read().trials[0]
    model = read_run(directory.model(trial.model)).load_model("cpu")
    EditDelta.load(directory.trial(trial.id) / "deltas" / "batch").apply(model)
    place = tmp_path_factory.mktemp("theirs") / "model"
    model.save_pretrained(place)
    return place


def ids(study):
    trial = StudyDirectory(study).read().trials[0]
    return {"run": trial.model, "plan": trial.plan}


def test_a_model_is_measured_as_its_neighbours_are(copy, theirs):
    record = add_model(copy, theirs, name="theirs", **ids(copy))
    assert record.status == "done" and record.measure["suite"] == "editing"
    frame = Results.open(copy).suites.collect()
    own, other = (
        dict(frame.filter(label=label).select("measure", "value").iter_rows())
        for label in ("ft", "theirs")
    )
    assert set(own) == set(other)
    for measure in ("efficacy", "kl", "norm", "exact_efficacy"):
        assert other[measure] == pytest.approx(own[measure], rel=1e-3, abs=1e-5), measure
    assert set(frame["family"]) == {"fine-tuning", "foreign"}
    # What its edits took, elsewhere, is unknown.
    results = Results.open(copy)
    [own] = (trial.id for trial in results.about.trials if trial.id != record.id)
    assert set(results.edit_costs) == set(results.edit_seconds) == {own}
    assert record.flops is None


def test_its_goal_is_that_of_the_plan_also_beside_retraining(in_process, theirs, tmp_path):
    """To retrain may be to forget, if there are no new objects: the plan has some."""
    retrained = '[[method]]\nname = "retrain"\n[[method]]\nname = "ft"'
    text = TEXT.replace('[[method]]\nname = "ft"', retrained)
    assert in_process(text, tmp_path / "s")[0].done == 2
    add_model(tmp_path / "s", theirs, name="theirs", **ids(tmp_path / "s"))
    edits = Results.open(tmp_path / "s").edits.collect()
    assert set(edits.filter(label="theirs")["dose_kind"]) == {"flip"}


def test_single_edits_are_not_what_a_model_has(in_process, theirs, tmp_path):
    single = TEXT.replace("edits = 3", "edits = 3\nindependent = true")
    in_process(single.replace('suite = "editing"\n', ""), tmp_path / "s")
    with pytest.raises(ArgumentError, match=r"plan': got \w+, allowed: one whose edits are made"):
        add_model(tmp_path / "s", theirs, name="theirs", **ids(tmp_path / "s"))


def test_it_stays_when_the_study_is_run_or_merged(copy, study, theirs, in_process, tmp_path):
    first = add_model(copy, theirs, name="theirs", **ids(copy))
    assert add_model(copy, theirs, name="theirs", **ids(copy)).id == first.id
    again, _ = in_process(TEXT, copy)
    assert (again.trials, again.done, again.done_before, again.failed) == (1, 1, 1, 0)
    merged = merge_studies([study, copy], tmp_path / "c")
    assert (merged.trials, merged.trials_done) == (2, 2)
    assert len(Results.open(tmp_path / "c").done) == 2


def test_a_method_of_its_label_is_refused(copy, theirs, in_process):
    """Tables would take the trials of both for those of one method."""
    add_model(copy, theirs, name="theirs", **ids(copy))
    before = (copy / "study.json").read_bytes()
    own = '[[method]]\nname = "grad_ascent"\nlabel = "theirs"\nsettings = { steps = 1 }\n'
    with pytest.raises(ArgumentError, match=r"'method': got theirs, allowed: labels other than"):
        in_process(TEXT + own, copy)
    assert (copy / "study.json").read_bytes() == before


def test_a_model_is_identified_by_its_weights_and_not_by_its_path(copy, theirs, tmp_path):
    first = add_model(copy, theirs, name="theirs", **ids(copy))
    moved = shutil.copytree(theirs, tmp_path / "moved")
    assert add_model(copy, moved, name="theirs", **ids(copy)).id == first.id
    assert len(StudyDirectory(copy).read().trials) == 2


def test_a_corrected_model_replaces_the_one_before(copy, study, theirs, tmp_path):
    """Two trials of one label, run and plan would count that cluster twice."""
    from behemoth.train.run import read_run

    first = add_model(copy, theirs, name="theirs", **ids(copy))
    other = add_model(copy, theirs, name="others", **ids(copy))
    directory = StudyDirectory(copy)
    other_study = shutil.copytree(copy, tmp_path / "other")
    unedited = read_run(directory.model(ids(copy)["run"])).load_model("cpu")
    unedited.save_pretrained(tmp_path / "corrected")
    second = add_model(copy, tmp_path / "corrected", name="theirs", **ids(copy))
    assert second.id != first.id
    rows = {row.label: row.id for row in directory.read().trials if row.label != "ft"}
    assert rows == {"others": other.id, "theirs": second.id}
    assert len(directory.read().trials) == 3
    merge_studies([copy, other_study], tmp_path / "c")
    merged = StudyDirectory(tmp_path / "c").read().trials
    assert {row.label: row.id for row in merged if row.label != "ft"} == rows and len(merged) == 3


def test_what_another_adds_meanwhile_stays(copy, theirs, monkeypatch):
    from behemoth.study.work import add

    digest = add.weights_id

    def meanwhile(model):
        monkeypatch.setattr(add, "weights_id", digest)
        add_model(copy, theirs, name="others", **ids(copy))
        return digest(model)

    monkeypatch.setattr(add, "weights_id", meanwhile)
    add_model(copy, theirs, name="theirs", **ids(copy))
    assert {row.label for row in StudyDirectory(copy).read().trials} == {"ft", "others", "theirs"}
    assert set(Results.open(copy).suites.collect()["label"]) == {"ft", "others", "theirs"}


def test_refusals(copy, theirs, tmp_path):
    known = ids(copy)
    for name in (5, ""):
        with pytest.raises(ArgumentError, match=r"'name': got .*, allowed: a label that no"):
            add_model(copy, theirs, name=name, **known)
    with pytest.raises(ArgumentError, match="name': got ft, allowed: a label that no method"):
        add_model(copy, theirs, name="ft", **known)
    with pytest.raises(ArgumentError, match="run': got x, allowed: "):
        add_model(copy, theirs, name="theirs", run="x", plan=known["plan"])
    with pytest.raises(ArgumentError, match="plan': got x, allowed: "):
        add_model(copy, theirs, name="theirs", run=known["run"], plan="x")
    with pytest.raises(ArgumentError, match=r"model': got .*, allowed: a model of transformers"):
        add_model(copy, tmp_path, name="theirs", **known)
    with pytest.raises(ArgumentError, match=r"path|study': got .*, allowed: a study"):
        add_model(tmp_path, theirs, name="theirs", **known)
    assert len(StudyDirectory(copy).read().trials) == 1


def test_a_model_of_another_shape_is_refused(copy, theirs, tmp_path):
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1,
                           num_attention_heads=2, intermediate_size=32)  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path / "small")
    with pytest.raises(ArgumentError, match=r"model': got .*, which differs in .*, allowed: one"):
        add_model(copy, tmp_path / "small", name="theirs", **ids(copy))


def test_the_command(copy, theirs, run):
    words = [f"--{key}={value}" for key, value in ids(copy).items()]
    said = run("study", "add", copy, "--model", theirs, "--name", "theirs", *words)
    assert said.code == 0 and "theirs, done" in said.out

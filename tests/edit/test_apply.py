import json
import shutil
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from transformers import GPTNeoXForCausalLM

import behemoth as bh
from behemoth import ArgumentError, Corpus, CorpusError, World, load
from behemoth.delta.delta import EditDelta
from behemoth.edit.apply import edit
from behemoth.edit.locate import covariance
from behemoth.edit.methods.lora import Lora
from behemoth.edit.record import FailedEdit, read_edit, told_edits
from behemoth.edit.registry import get_method
from behemoth.evaluate.frame import evaluate
from behemoth.evaluate.source import failed_edits
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.export.edited import EditedModels
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.support.digests import digests
from behemoth.train.run import read_record, read_run

QUICK = {"steps": 3, "rank": 2}


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(120, 3, 10), exposures=2)


@pytest.fixture(scope="module")
def plan(corpus):
    return compile_plan(corpus, EditRequest(edits=3, independent=True))


def same(one, other):
    """Whether changes are the same but for rounding, which may depend on where tensors lie."""
    return one.keys() == other.keys() and all(
        torch.allclose(change.to_dense(), other[name].to_dense(), rtol=1e-3, atol=1e-5)
        for name, change in one.items()
    )


def test_a_plan_as_one_batch(trained, plan, tmp_path):
    done = edit(trained, plan, "lora", tmp_path / "e", settings={"steps": 3, "rank": 2})
    assert (done.edits, done.failed, done.present, done.single) == (3, [], 0, False)
    assert done.settings["rank"] == 2
    assert done.edits_per_second > 0
    record = read_edit(tmp_path / "e")
    assert record.run == trained.resolve()
    assert (record.method, record.plan_hash, record.single) == ("lora", plan.plan_hash, False)
    (delta,) = record.deltas().values()
    assert list(record.deltas()) == [None]
    assert delta.plan_hash == plan.plan_hash
    assert delta.changes


@dataclass(frozen=True)
class Sees(Lora):
    """Keeps the plans that it is given."""

    seen: ClassVar[list] = []

    def apply(self, model, plans, context):
        self.seen.extend(plans)
        return super().apply(model, plans, context)


@pytest.mark.parametrize("sequential", [False, True])
def test_independent_edits_made_together_are_not_taught_the_old_answers_of_others(
    trained, corpus, tmp_path, sequential
):
    plan = compile_plan(corpus, EditRequest(edits=9, independent=True, distinct=False, repeats=2))
    edited = set(plan.edits["fact"])
    tied = set(plan.probes.filter(group="same_subject")["fact"])

    def retained(training):
        return set(training.filter(training["role"] != "edit")["fact"])

    assert retained(plan.training) & edited and (retained(plan.training) - edited) & tied
    Sees.seen.clear()
    method = Sees(steps=1, rank=1)
    done = edit(trained, plan, method, tmp_path / "e", sequential=sequential)
    seen = [fact for each in Sees.seen for fact in retained(each.training)]
    assert len(Sees.seen) == (9 if sequential else 1) and seen
    assert not set(seen) & (edited | tied)
    assert done.plan_hash == done.record.deltas()[None].plan_hash == plan.plan_hash
    # By itself an edit keeps its whole mixture.
    Sees.seen.clear()
    edit(trained, plan, method, tmp_path / "single", single=True)
    assert [each.plan_hash for each in Sees.seen] == [each.plan_hash for each in plan.singles()]


def test_a_batch_of_independent_edits_is_warned_of(trained, plan, tmp_path):
    for call, name in ((edit, "e"), (bh.edit, "f")):
        with pytest.warns(
            UserWarning, match="each of the 3 edits .* in one batch; `single` "
        ) as told:
            call(trained, plan, "lora", tmp_path / name, settings=QUICK)
        assert told[0].filename == __file__  # the line that called it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edit(trained, plan, "lora", tmp_path / "s", settings=QUICK, single=True)


def test_settings_are_taken_as_load_returns_them(trained, plan, tmp_path):
    file = tmp_path / "best.toml"
    file.write_text('name = "lora"\n[settings]\nsteps = 3\nrank = 2\nlayers = "none"\n')
    table = bh.load(file)
    done = edit(trained, plan, "lora", tmp_path / "e", settings=table, single=True)
    assert (done.settings["steps"], done.settings["layers"]) == (3, None)
    with pytest.raises(ArgumentError, match="'settings': got a table, of 'lora', allowed: of 'ft'"):
        edit(trained, plan, "ft", tmp_path / "f", settings=table, single=True)
    frame = plan.edits  # as of a tuning, whose directory holds the file
    said = "'settings': got an object of DataFrame, allowed: a mapping of names to values"
    with pytest.raises(ArgumentError, match=said):
        edit(trained, plan, "lora", tmp_path / "f", settings=frame, single=True)


@dataclass(frozen=True)
class PartlyBreaks(Lora):
    """Fails at one of a batch's edits, at two tokens of its answer."""

    def apply(self, model, plans, context):
        rows = [{"edit": 1, "failure": "no target"}, {"edit": 1, "failure": "another"}]
        return [replace(delta, trace=rows) for delta in super().apply(model, plans, context)]


def test_the_edits_of_a_batch_that_failed_are_named(trained, plan, tmp_path):
    done = edit(trained, plan, PartlyBreaks(steps=2), tmp_path / "e")
    assert done.failed == [FailedEdit(1, "no target")]
    assert done.record.failed == (FailedEdit(1, "no target"),)
    assert (
        MeasuredModel.open(tmp_path / "e", plan).failed_edits == failed_edits(tmp_path / "e") == 1
    )
    done.load_model("cpu")
    # Records of earlier versions do not name them.
    replace(done.record, failed=()).write()
    assert (
        MeasuredModel.open(tmp_path / "e", plan).failed_edits == failed_edits(tmp_path / "e") == 1
    )


def test_an_edit_leads_to_the_edited_model(trained, plan, tmp_path):
    done = edit(trained, plan, "lora", tmp_path / "e", settings=QUICK)
    model = read_run(trained).load_model("cpu")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for edited in (done.load_model("cpu"), load(tmp_path / "e").load_model("cpu")):
        assert not edited.training
        with done.record.deltas()[None].apply(model):
            after = model.state_dict()
            assert all(after[name].equal(value) for name, value in edited.state_dict().items())
            assert not all(after[name].equal(value) for name, value in before.items())
    assert done.load_model("cpu", torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(ArgumentError, match="'edit': got 1, allowed: no number for a batch"):
        done.load_model("cpu", edit=1)


def test_the_model_of_a_single_edit_is_asked_for_by_its_number(trained, plan, tmp_path):
    done = edit(trained, plan, Breaks(steps=2), tmp_path / "e", single=True)
    model = read_run(trained).load_model("cpu")
    edited = done.load_model("cpu", edit=2)
    with done.record.deltas()[2].apply(model):
        after = model.state_dict()
        assert all(after[name].equal(value) for name, value in edited.state_dict().items())
    for number, got in (
        (None, "nothing, allowed: the number of one"),
        (1, "1, which failed: loss"),
    ):
        with pytest.raises(ArgumentError, match=f"'edit': got {got}"):
            done.load_model("cpu", edit=number)


def test_single_edits_are_those_of_their_own_plans(trained, plan, tmp_path):
    edit(trained, plan, "lora", tmp_path / "e", settings=QUICK, single=True)
    deltas = read_edit(tmp_path / "e").deltas()
    assert list(deltas) == [0, 1, 2]
    for number, delta in deltas.items():
        assert delta.plan_hash == plan.single(number).plan_hash
    edit(trained, plan, "lora", tmp_path / "one", settings=QUICK, single=True, stack=1)
    for number, delta in read_edit(tmp_path / "one").deltas().items():
        for name, change in delta.changes.items():
            torch.testing.assert_close(
                change.to_dense(), deltas[number].changes[name].to_dense(), rtol=1e-3, atol=1e-5
            )


def test_a_path_will_do_for_a_plan_and_a_method_for_a_name(trained, plan, tmp_path):
    plan.save(tmp_path / "plan")
    method = get_method("lora", QUICK)
    edit(trained, tmp_path / "plan", method, tmp_path / "e")
    edit(trained, plan, "lora", tmp_path / "f", settings=QUICK)
    one, other = (read_edit(tmp_path / name).deltas()[None] for name in "ef")
    assert same(one.changes, other.changes)


def test_a_finished_one_is_left_as_it_is(
    trained, plan, tmp_path, monkeypatch, contents, never, peaks
):
    edit(trained, plan, "lora", tmp_path / "e", settings=QUICK, single=True)
    before = contents(tmp_path / "e")
    monkeypatch.setattr(Lora, "apply", never)
    done = edit(trained, plan, "lora", tmp_path / "e", settings=QUICK, single=True)
    assert (done.present, done.seconds, done.edits_per_second) == (3, 0.0, 0.0)
    assert contents(tmp_path / "e") == before
    record = read_edit(tmp_path / "e")
    assert record.seconds > 0 and bool(record.peak_memory) == peaks


def test_a_stopped_one_is_gone_on_with(trained, plan, tmp_path, monkeypatch, contents, peaks):
    whole, part = tmp_path / "whole", tmp_path / "part"
    options = {"settings": QUICK, "single": True, "stack": 1}
    edit(trained, plan, "lora", whole, **options)
    own, calls = Lora.apply, []

    def apply(self, model, plans, context):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(plans))
        return own(self, model, plans, context)

    monkeypatch.setattr(Lora, "apply", apply)
    with pytest.raises(KeyboardInterrupt):
        edit(trained, plan, "lora", part, **options)
    with pytest.raises(ArgumentError, match=r"not finished, allowed: .* resumes it"):
        read_edit(part)
    monkeypatch.undo()
    kept = contents(part, "**/*.safetensors")
    assert len(kept) == 2
    assert edit(trained, plan, "lora", part, **options).present == 2
    assert kept.items() <= contents(part, "**/*.safetensors").items()
    resumed, once = read_edit(part), read_edit(whole)
    assert resumed.seconds is resumed.peak_memory is None, "the time of the first call is unknown"
    assert once.seconds > 0 and bool(once.peak_memory) == peaks
    found, wanted = resumed.deltas(), once.deltas()
    assert list(found) == list(wanted) == [0, 1, 2]
    assert all(same(found[edit].changes, wanted[edit].changes) for edit in wanted)


def test_another_edit_is_not_written_over(trained, plan, tmp_path):
    edit(trained, plan, "lora", tmp_path / "e", settings=QUICK)
    for changed in ({"seed": 1}, {"single": True}, {"settings": {**QUICK, "rank": 3}}):
        with pytest.raises(
            CorpusError, match=r"holds another edit \(\w+\); force=True replaces it"
        ):
            edit(trained, plan, "lora", tmp_path / "e", **{"settings": QUICK, **changed})
    edit(trained, plan, "lora", tmp_path / "e", settings=QUICK, single=True, force=True)
    assert not (tmp_path / "e" / "delta").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    with pytest.raises(ArgumentError, match=r"holds something else \(mine.txt\)"):
        edit(trained, plan, "lora", tmp_path / "full", settings=QUICK, force=True)
    with pytest.raises(ArgumentError, match="a file, allowed: a new or empty directory"):
        edit(trained, plan, "lora", tmp_path / "full" / "mine.txt", settings=QUICK)


def other_weights(run):
    """Other weights in the place of a run's, as training it anew leaves them."""
    model = GPTNeoXForCausalLM.from_pretrained(run)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(1.5)
    model.save_pretrained(run)
    files = digests(run, ["config.json", "model.safetensors"])
    replace(read_record(run), files=files).write(run)


@pytest.mark.parametrize("finished", [True, False])
def test_deltas_of_other_weights_are_not_taken_for_those_of_a_run(
    trained, plan, tmp_path, finished
):
    run, place = tmp_path / "run", tmp_path / "e"
    shutil.copytree(trained, run)
    options = {"settings": QUICK, "single": True}
    edit(run, plan, "lora", place, **options)
    if not finished:
        replace(read_edit(place), complete=False).write()
    other_weights(run)
    with pytest.raises(
        CorpusError, match=r"holds another edit \(weights\); force=True replaces it"
    ):
        edit(run, plan, "lora", place, **options)
    if finished:
        refused = r"%s': got .*e, whose deltas were made from other weights than .*run has, allowed"
        with pytest.raises(ArgumentError, match=refused % "source"):
            evaluate(place, plan)
        with pytest.raises(ArgumentError, match=refused % "directory"):
            EditedModels.open(place)
    assert edit(run, plan, "lora", place, **options, force=True).present == 0
    assert evaluate(place, plan).height


def test_an_edit_of_an_earlier_version_is_taken_as_it_is(trained, plan, tmp_path):
    run, place = tmp_path / "run", tmp_path / "e"
    shutil.copytree(trained, run)
    edit(run, plan, "lora", place, settings=QUICK)
    record = json.loads((place / "edit.json").read_text())
    assert record.pop("weights") == digests(run, ["model.safetensors"])["model.safetensors"]
    del record["blake3"], record["files"]
    (place / "edit.json").write_text(json.dumps(record))
    other_weights(run)
    assert edit(run, plan, "lora", place, settings=QUICK).present == 1
    assert read_edit(place).weights is None  # nobody knows
    assert evaluate(place, plan).height


@dataclass(frozen=True)
class Breaks(Lora):
    """Breaks down for one plan."""

    info: ClassVar = replace(Lora.info, name="breaks")

    def apply(self, model, plans, context):
        found = super().apply(model, plans, context)
        return [
            replace(delta, changes={}, failure="loss nan at step 1")
            if plan.edits["edit"].to_list() == [1]
            else delta
            for plan, delta in zip(plans, found, strict=True)
        ]


def test_an_edit_that_fails_is_reported_and_the_others_go_on(trained, plan, tmp_path):
    done = edit(trained, plan, Breaks(steps=2), tmp_path / "e", single=True, adapter=True)
    assert done.failed == [FailedEdit(1, "loss nan at step 1")]
    deltas = read_edit(tmp_path / "e").deltas()
    assert [bool(delta.changes) for delta in deltas.values()] == [True, False, True]
    assert sorted(path.name for path in (tmp_path / "e" / "adapters").iterdir()) == [
        "00000",
        "00002",
    ]


def test_a_method_draws_by_its_seed_alone(trained, plan, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        edit(trained, plan, "lora", tmp_path / name, settings=QUICK, seed=seed)
    a, b, c = (read_edit(tmp_path / name).deltas()[None].changes for name in "abc")
    assert same(a, b)
    assert not same(a, c)


# What peft asks of newer versions of transformers warns.
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_adapters_are_what_peft_loads(trained, plan, corpus, tmp_path):
    peft = pytest.importorskip("peft")
    edit(trained, plan, "lora", tmp_path / "e", settings={**QUICK, "part": "both"}, adapter=True)
    delta = read_edit(tmp_path / "e").deltas()[None]
    tokens = torch.arange(5, 45).reshape(4, 10) % corpus.vocabulary_size
    model = GPTNeoXForCausalLM.from_pretrained(trained).eval()
    with torch.no_grad():
        base = model(tokens).logits
        with delta.apply(model):
            wanted = model(tokens).logits
        adapted = peft.PeftModel.from_pretrained(model, tmp_path / "e" / "adapter").eval()
        found = adapted(tokens).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert (found - base).abs().max() > 1e-4
    # Before any work, of whatever is known to be of full rank.
    for name in ("ft", "grace", "wise", "retrain"):
        with pytest.raises(ArgumentError, match=f"argument 'adapter': got true for {name}, all"):
            edit(trained, plan, name, tmp_path / "f", adapter=True)
    assert not (tmp_path / "f").exists()


def test_progress_counts_edits(trained, plan, tmp_path):
    seen = []
    edit(
        trained, plan, "lora", tmp_path / "e", settings=QUICK, single=True, stack=2,
        progress=lambda at: seen.append((at.done, at.total)),
    )  # fmt: skip
    assert seen[-1] == (3, 3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_errors_come_before_any_work(trained, plan, tmp_path, monkeypatch, never):
    from behemoth.train.run import Run

    monkeypatch.setattr(Run, "load_model", never)
    other = compile_plan(Corpus(World(90, 2, 9)), EditRequest(edits=1))
    with pytest.raises(ArgumentError, match="argument 'plan': got a plan of another corpus"):
        edit(trained, other, "lora", tmp_path / "e")
    with pytest.raises(ArgumentError, match=r"got lorra \(did you mean lora\?\)"):
        edit(trained, plan, "lorra", tmp_path / "e")
    with pytest.raises(ArgumentError, match=r"got the class Lora, allowed: .* such as Lora\(\)"):
        edit(trained, plan, Lora, tmp_path / "e")
    with pytest.raises(ArgumentError, match="'stack': got 0, allowed: a whole number from 1"):
        edit(trained, plan, "lora", tmp_path / "e", stack=0)
    with pytest.raises(ArgumentError, match=r"argument 'run': got .* allowed: a training"):
        edit(tmp_path, plan, "lora", tmp_path / "e")
    with pytest.raises(ArgumentError, match=r"argument 'directory': got .* allowed: an edit"):
        read_edit(tmp_path)
    refuses = replace(Lora.info, kinds=frozenset({"refusal"}))
    monkeypatch.setattr(Lora, "info", refuses)
    with pytest.raises(ValueError, match="got edits of kind remap, allowed: for lora: refusal"):
        edit(trained, plan, "lora", tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_damaged_record_is_named(trained, plan, tmp_path):
    edit(trained, plan, "lora", tmp_path / "e", settings=QUICK)
    (tmp_path / "e" / "edit.json").write_text("{")
    with pytest.raises(CorpusError, match=r"edit.json is damaged"):
        read_edit(tmp_path / "e")
    (tmp_path / "e" / "edit.json").write_text('{"format_version": 99}')
    with pytest.raises(CorpusError, match="format version 99"):
        read_edit(tmp_path / "e")


@pytest.mark.parametrize("left", ["weights", "record"])
def test_a_run_that_is_not_finished_is_no_run(trained, plan, tmp_path, left):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    record = json.loads((run / "run.json").read_text())
    del record["blake3"]  # so that it is taken as it is
    if left == "weights":  # one that was stopped before its record said that it is whole
        (run / "run.json").write_text(json.dumps({**record, "status": "running"}))
    else:
        (run / "model.safetensors").unlink()
    with pytest.raises(ArgumentError, match="which is not finished, allowed: a finished run"):
        edit(run, plan, "lora", tmp_path / "e")


def test_deltas_say_which_edit_directory_they_are_from(trained, plan, tmp_path):
    edit(trained, plan, "lora", tmp_path / "e", settings=QUICK)
    assert isinstance(EditDelta.load(tmp_path / "e" / "delta"), EditDelta)
    moved = tmp_path / "elsewhere"
    (tmp_path / "e").rename(moved)
    assert read_edit(moved).run == trained.resolve()


@pytest.mark.parametrize(("stack", "kept"), [(1, False), (1, True), (64, False)])
def test_covariances_are_computed_once_for_all_stacks(
    trained, plan, tmp_path, monkeypatch, stack, kept
):
    made, accumulate = [], covariance._accumulate

    def counted(*arguments):
        made.append(1)
        return accumulate(*arguments)

    monkeypatch.setattr(covariance, "_accumulate", counted)
    settings = {"steps": 2, "samples": 256, "kept": 0}
    cache = tmp_path / "cache" if kept else None
    edit(
        trained, plan, "rome", tmp_path / "e", settings=settings, single=True, stack=stack,
        cache=cache,
    )  # fmt: skip
    assert made == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == (["cache"] if kept else []) + ["e"]


def test_one_edit_is_said_in_the_singular():
    said = [told_edits(1, *how) for how in ((True, "ft"), (False, "ft"), (False, "ft", True))]
    assert said == ["1 single edit by ft", "1 edit by ft", "1 edit by ft"]
    assert told_edits(2000, True, "ft") == "2,000 single edits by ft"

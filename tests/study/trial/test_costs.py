"""Costs of a study's trials: counted once, shared by its workers, and checked when read."""

from types import SimpleNamespace

from behemoth.edit.cost import EditCost, edit_cost
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.study.trial.costs import cost_of
from behemoth.study.trial.trial import Trial
from behemoth.train.run import read_run

KIND = ("nano", 123, "FineTuning(steps=3)", 16)


def refused():
    raise AssertionError("counted a second time")


def test_what_one_worker_counted_another_reads(tmp_path):
    cost = EditCost(1.5e9, 2**20)
    assert cost_of(tmp_path, KIND, lambda: cost) == cost
    assert cost_of(tmp_path, KIND, refused) == cost_of(tmp_path, KIND, refused) == cost
    other = (*KIND[:-1], 1)
    assert cost_of(tmp_path, other, lambda: EditCost(1.0, 2)) == EditCost(1.0, 2)


def test_a_damaged_file_is_counted_again(tmp_path):
    cost = EditCost(1.5e9, 2**20)
    cost_of(tmp_path, KIND, lambda: cost)
    [file] = tmp_path.iterdir()
    for text in (file.read_text().replace("1048576", "1048577"), "", '{"flops": 1}'):
        file.write_text(text)
        assert cost_of(tmp_path, KIND, lambda: cost) == cost
        assert cost_of(tmp_path, KIND, refused) == cost


def test_what_cannot_be_counted_is_not_kept(tmp_path):
    """The first edit of one trial may break down, that of another with the same kind may not."""
    cost = EditCost(1.0, 2)
    assert cost_of(tmp_path, KIND, lambda: None) is None
    assert not list(tmp_path.iterdir())
    assert cost_of(tmp_path, KIND, lambda: cost) == cost


def test_an_edit_that_breaks_down_has_no_cost(finished):
    run = read_run(next((finished[0] / "models").glob("[!.]*")))
    request = EditRequest(edits=1, repeats=2, regular=2, probes=0)
    plan, model = compile_plan(run.corpus, request), run.load_model("cpu")
    context = EditContext(run.corpus)
    for steps in (4, 40):  # counted in full, and by a few steps
        for rate, counted in ((1e-3, True), (1e30, False)):
            method = get_method("ft", {"steps": steps, "learning_rate": rate})
            assert (edit_cost(method, model, [plan], context) is not None) is counted


def test_methods_that_stop_early_are_counted_in_every_trial(finished):
    """Their edits take different numbers of steps, so one count does not stand for all."""
    run = read_run(next((finished[0] / "models").glob("[!.]*")))
    model = run.load_model("cpu")
    planned = SimpleNamespace(batch=1, shape=("remap", 4, 2, 1))

    def kind(name, settings, plan):
        unit = SimpleNamespace(model="m", plan=SimpleNamespace(id=plan))
        return Trial(run, model, get_method(name, settings), planned, None, unit, None, None).kind

    assert kind("ft", {}, "a") == kind("ft", {}, "b")
    assert kind("ft", {"stop_loss": 0.1}, "a") != kind("ft", {"stop_loss": 0.1}, "b")
    assert kind("rome", {}, "a") != kind("rome", {}, "b")


def test_counts_of_another_version_are_made_again(finished, monkeypatch):
    run = read_run(next((finished[0] / "models").glob("[!.]*")))
    planned = SimpleNamespace(batch=1, shape=("remap", 4, 2, 1))
    method = get_method("ft", {})
    own = Trial(run, run.load_model("cpu"), method, planned, None, None, None, None)
    before = own.kind
    monkeypatch.setattr("behemoth.study.trial.trial.COUNTING", 9)
    assert own.kind != before

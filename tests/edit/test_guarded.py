"""What a method raises or returns reaches the user as the fault of that method."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from behemoth import ArgumentError, Corpus, CorpusError, World
from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.delta.module import Codebook
from behemoth.edit import MethodError, check_method, edit
from behemoth.edit.guarded import NOT_FROZEN
from behemoth.edit.protocol import MethodInfo, settings_of
from behemoth.edit.registry import get_method
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.support.extras import MissingExtraError
from behemoth.train.errors import TrainError

MATRIX = "gpt_neox.embed_in.weight"
UNFIT = "^method faulty returned a delta that does not fit the model: argument 'model': "


@pytest.fixture(scope="module")
def plan():
    corpus = Corpus(World(120, 3, 10), exposures=2)
    bare = {"repeats": 1, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 1}
    return compile_plan(corpus, EditRequest(edits=2, independent=True, **bare))


@dataclass(frozen=True)
class Faulty:
    """Adds zeros to the head, unless a test gives it something else to do."""

    info: ClassVar[MethodInfo] = dataclasses.replace(
        get_method("ft").info, name="faulty", kinds=frozenset({"remap"}), doses=False
    )

    def apply(self, model, plans, context):
        return [self.delta(plan, context, self.changes(model)) for plan in plans]

    def delta(self, plan, context, changes):
        return EditDelta(changes, "faulty", settings_of(self), plan.plan_hash, context.seed)

    def changes(self, model):
        return {MATRIX: Dense(torch.zeros_like(model.get_parameter(MATRIX)))}


def doing(**members):
    """An object of a subclass with these members."""
    return dataclass(frozen=True)(type("Faulty", (Faulty,), members))()


def raising(error):
    def apply(self, model, plans, context):
        raise error

    return doing(apply=apply)


def test_without_a_fault_it_goes_through(trained, plan, tmp_path):
    assert edit(trained, plan, Faulty(), tmp_path / "e", single=True).failed == []


@pytest.mark.parametrize("how", [{"single": True}, {"sequential": True}, {}])
def test_an_exception_is_raised_as_that_of_the_method(trained, plan, tmp_path, how):
    error = KeyError("boom")
    with pytest.raises(MethodError) as raised:
        edit(trained, plan, raising(error), tmp_path / "e", **how)
    assert str(raised.value) == "method faulty failed: KeyError: 'boom'"
    assert raised.value.__cause__ is error
    assert isinstance(raised.value, RuntimeError)
    assert not list(tmp_path.rglob("delta.json"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (AssertionError(), "AssertionError"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (ModuleNotFoundError("No module named 'x'", name="x"), "ModuleNotFoundError: No module"),
        (
            RuntimeError("shapes differ\nException raised from f at /g.cpp:1"),
            "RuntimeError: shapes differ$",
        ),
    ],
)
def test_it_is_one_line(trained, plan, tmp_path, error, text):
    with pytest.raises(MethodError, match=rf"^method faulty failed: {text}"):
        edit(trained, plan, raising(error), tmp_path / "e")


@pytest.mark.parametrize(
    "error",
    [
        ArgumentError("layers", 7, "0 to 3"),
        CorpusError("damaged"),
        TrainError("the loss diverged"),
        FileNotFoundError(2, "No such file", "x.json"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_say_what_is_wrong_are_raised_as_they_are(trained, plan, tmp_path, error):
    with pytest.raises(type(error)) as raised:
        edit(trained, plan, raising(error), tmp_path / "e")
    assert raised.value is error


@pytest.mark.parametrize(
    ("how", "advice"),
    [
        ({"single": True}, ", or stack (now 2)"),  # there are no more edits than that
        ({"single": True, "stack": 1}, ""),
        ({}, ", or make fewer edits together (now 2)"),
        ({"sequential": True}, ""),
    ],
)
def test_where_memory_runs_out_what_takes_less_is_named(trained, plan, tmp_path, how, advice):
    method = raising(torch.OutOfMemoryError("CUDA out of memory"))
    told = f"out of memory on cpu: faulty with {{}}; lower these settings{advice}"
    with pytest.raises(MemoryError, match=f"^{re.escape(told)}$"):
        edit(trained, plan, method, tmp_path / "e", device="cpu", **how)


def test_a_package_of_an_extra_is_named(trained, plan, tmp_path):
    method = raising(ModuleNotFoundError("No module named 'peft'", name="peft"))
    with pytest.raises(MissingExtraError, match=r"peft is not installed: in a clone"):
        edit(trained, plan, method, tmp_path / "e")


def test_what_the_progress_raises_is_not_of_the_method(trained, plan, tmp_path):
    def apply(self, model, plans, context):
        context.progress(1, 2)
        raise AssertionError

    def stop(moment):
        raise error

    error = KeyError("enough")
    with pytest.raises(KeyError) as raised:
        edit(trained, plan, doing(apply=apply), tmp_path / "e", progress=stop)
    assert raised.value is error


@pytest.mark.parametrize("how", [{"single": True}, {"sequential": True}])
@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "returned 0 deltas for"),
        (None, "returned NoneType in place of a list of deltas"),
        ([{}, {}], "returned dict in place of an EditDelta"),
    ],
)
def test_it_owes_a_delta_for_each_plan(trained, plan, tmp_path, how, found, text):
    def apply(self, model, plans, context):
        return found and found[: len(plans)]

    with pytest.raises(MethodError, match=f"^method faulty {text}"):
        edit(trained, plan, doing(apply=apply), tmp_path / "e", **how)


def test_both_numbers_are_named(trained, plan, tmp_path):
    def apply(self, model, plans, context):
        return Faulty.apply(self, model, plans[:1], context)

    with pytest.raises(MethodError) as raised:
        edit(trained, plan, doing(apply=apply), tmp_path / "e", single=True)
    assert str(raised.value) == "method faulty returned 1 delta for 2 plans"


@pytest.mark.parametrize("how", [{"single": True}, {"sequential": True}, {}])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"nowhere.weight": Dense(torch.zeros(2, 2))}, "got one without nowhere.weight, allowed"),
        ({MATRIX: Dense(torch.zeros(2, 3))}, rf"got {MATRIX} of shape \(.*\), allowed: \(2, 3\)"),
        ({MATRIX: LowRank(torch.zeros(2, 1), torch.zeros(1, 3))}, r"allowed: \(2, 3\)"),
        (
            {"nowhere": Codebook(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1))},
            "got one without nowhere, allowed: a model with the modules",
        ),
    ],
    ids=["name", "shape", "low rank", "module"],
)
def test_a_delta_that_does_not_fit_is_not_saved(trained, plan, tmp_path, changes, text, how):
    method = doing(changes=lambda self, model: changes)
    with pytest.raises(MethodError, match=f"{UNFIT}.*{text}"):
        edit(trained, plan, method, tmp_path / "e", **how)
    assert not list(tmp_path.rglob("delta.json"))


def test_a_tensor_is_no_change(trained, plan, tmp_path):
    method = doing(changes=lambda self, model: {MATRIX: torch.zeros(2, 2)})
    with pytest.raises(MethodError, match=f"Tensor in place of the change of {MATRIX}: Dense or"):
        edit(trained, plan, method, tmp_path / "e")


class NoMethod:
    pass


@dataclass
class Loose:
    info = Faulty.info
    apply = Faulty.apply


class Undecorated(Faulty):
    margin: float = 2.0


@dataclass(frozen=True)
class Idle:
    info = Faulty.info


@pytest.mark.parametrize("call", ["edit", "check_method"])
@pytest.mark.parametrize(
    ("method", "got"),
    [
        (
            NoMethod(),
            f"an object of NoMethod, which is {NOT_FROZEN}, has no `info` that is a MethodInfo and "
            "has no `apply`",
        ),
        (Loose(), f"an object of Loose, which is {NOT_FROZEN}"),
        (Undecorated(), f"an object of Undecorated, which is {NOT_FROZEN}"),
        (Idle(), "an object of Idle, which has no `apply`"),
        (
            doing(info={"name": "a"}),
            "an object of Faulty, which has no `info` that is a MethodInfo",
        ),
        (7, "7"),
        (Faulty, "the class Faulty"),
    ],
)
def test_an_object_that_is_no_method_is_told_what_it_lacks(
    trained, plan, tmp_path, call, method, got
):
    with pytest.raises(ArgumentError) as raised:
        check_method(method) if call == "check_method" else edit(trained, plan, method, tmp_path)
    assert str(raised.value).startswith(f"argument 'method': got {got}, allowed: a method, ")


def test_an_object_that_is_not_registered_is_checked():
    """The model is trained for it, as for `behemoth methods --check`."""
    found = check_method(raising(KeyError("boom")))
    assert [promise.broken for promise in found] == [None, "KeyError: 'boom'"]

"""One contract for every method there is: what `EditMethod` and `EditDelta` promise."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from behemoth import ArgumentError
from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.edit.contract import PROMISES, TinyRun, check_contract, check_method, quick_method
from behemoth.edit.protocol import EditContext, EditMethod, MethodInfo, answers, check_kinds
from behemoth.edit.registry import get_method, method_names
from behemoth.edit.stacking import stack_size
from behemoth.model.architecture import Architecture
from behemoth.plan import EditRequest, compile_plan

# How far two calls may differ, relative to a change's norm. In float64 rounding is 1e-16 of a
# gradient and Adam adds 1e-8 to what it divides by; `retrain` trains in float32 whatever the model
# is, and what rounds otherwise there (--perturb) moves 6e-3 of the change.
SAME = {"retrain": 0.05}


@pytest.fixture
def model(contract_run):
    from transformers import AutoModelForCausalLM

    # In float64, where two calls may differ by rounding, but not by what Adam makes of it.
    return AutoModelForCausalLM.from_pretrained(contract_run, dtype=torch.float64).eval()


def plans_for(method, corpus):
    kind = "remap" if "remap" in method.info.kinds else "refusal"
    request = EditRequest(edits=2, kind=kind, repeats=2, same_object=4, same_relation=4, regular=4)
    return compile_plan(corpus, request).singles()


@pytest.mark.parametrize("name", method_names())
def test_contract(name, contract_corpus, contract_run, model, tmp_path):
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path / "cache")
    found = check_contract(name, quick_method(name), tiny, same=SAME.get(name, 1e-6))
    assert [promise.name for promise in found] == list(PROMISES)
    assert not [promise for promise in found if promise.broken]


@pytest.mark.parametrize("name", method_names())
def test_deltas_are_of_low_rank_if_the_method_says_so(name, contract_corpus, contract_run, model):
    method = quick_method(name)
    plan = plans_for(method, contract_corpus)[0]
    [delta] = method.apply(model, [plan], EditContext(contract_corpus, run=contract_run))
    low_rank = all(isinstance(change, LowRank) for change in delta.changes.values())
    assert answers(method).low_rank() == low_rank


@pytest.mark.parametrize("name", method_names())
def test_no_stack_is_larger_than_is_asked_for(name, model):
    assert stack_size(quick_method(name), model, 2) <= 2


def test_a_method_that_says_nothing(contract_corpus, model):
    """The bare protocol is enough: callers get the defaults."""

    class Bare:
        info = dataclasses.replace(get_method("ft").info, name="bare", family="unlearning")

        def apply(self, model, plans, context):
            return [plan.plan_hash for plan in plans]

    method, said = Bare(), answers(Bare())
    assert isinstance(method, EditMethod)
    assert (said.effort().steps, said.effort().rows, said.effort().trainings) == (20, 8, 0)
    assert said.stack_bytes(model, 3) == 3 * 4 * sum(p.numel() for p in model.parameters())
    assert said.for_batch(7) is said.method
    plan = plans_for(method, contract_corpus)[0]
    assert said.in_sequence(model, EditContext(corpus=contract_corpus))(plan) == plan.plan_hash
    assert method.info.doses and method.info.forgets()


@pytest.mark.parametrize(
    ("name", "named", "nameless"),
    [("ft", False, False), ("rome", False, False), ("npo", True, True), ("retrain", False, True)],
)
def test_goals(name, named, nameless):
    info = get_method(name).info
    assert (info.forgets(), info.forgets(nameless=True)) == (named, nameless)


def test_a_stack_is_as_large_as_there_is_memory_for(model, monkeypatch):
    from behemoth.edit import stacking

    method = get_method("ft")
    one = answers(method).stack_bytes(model, 1)
    for room, count in ((0, 1), (one, 1), (5 * one, 5), (5.5 * one, 5), (1e15, 64)):
        monkeypatch.setattr(stacking, "_BYTES", room)
        assert stack_size(method, model) == count
    assert stack_size(method, model, 7) == 7


def test_what_torch_keeps_of_a_gpu_counts_as_free(model, monkeypatch):
    """Stacks of one process do not get smaller by what earlier ones have left in its cache."""
    from behemoth.edit import stacking

    method = get_method("ft")
    one = answers(method).stack_bytes(model, 1)
    memory = {"free": 100 * one, "reserved": 0, "allocated": 0}
    monkeypatch.setattr(stacking, "_device", lambda model: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (memory["free"], 1e15))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: memory["reserved"])
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: memory["allocated"])
    assert stack_size(method, model) == 40
    memory |= {"free": 60 * one, "reserved": 40 * one}
    assert stack_size(method, model) == 40
    memory |= {"allocated": 20 * one}
    assert stack_size(method, model) == 32


@dataclass(frozen=True)
class Careless:
    """A method with every defect there is, each of which a field mends."""

    info: ClassVar[MethodInfo] = dataclasses.replace(
        get_method("ft").info, name="careless", kinds=frozenset({"remap"})
    )

    fault: str = ""

    def apply(self, model, plans, context):
        if self.fault != "kinds":
            check_kinds(self, plans)
        head = f"{Architecture.of(model).head}.weight"
        parameter = model.get_parameter(head)
        deltas = []
        for place, plan in enumerate(plans):
            seed = place if self.fault == "seed" else context.seed_of(plan)
            generator = torch.Generator().manual_seed(seed)
            change = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            if self.fault == "nothing":
                change.zero_()
            trace = [
                {"step": step, "log_probability_new": -1.0, "log_probability_old": -2.0}
                for step in range(99 if self.fault == "steps" else 3)
            ]
            if self.fault == "trace":
                trace[0] = {"step": (1, 2), "log_probability_new": -1.0, "log_probability_old": 0.0}
            changes = {} if self.fault == "empty" else {head: Dense(change)}
            settings = {"fault": self.fault}
            deltas.append(EditDelta(changes, "careless", settings, plan.plan_hash, context.seed))
            deltas[-1].trace.extend(trace)
        if self.fault == "model":
            with torch.no_grad():
                parameter.mul_(2)
        if self.fault == "raises":
            raise RuntimeError("out of\nluck")
        if self.fault == "fewer":
            return deltas[1:]
        if self.fault == "others":
            return [vars(delta) for delta in deltas]
        if self.fault == "failure":
            return [dataclasses.replace(own, changes={}, failure="no luck") for own in deltas]
        if self.fault == "name":
            return [dataclasses.replace(own, changes={"x": Dense(change)}) for own in deltas]
        return deltas[::-1] if self.fault == "order" else deltas

    def stack_bytes(self, model, count):
        return 8 if self.fault == "bytes" else 8 * count


@pytest.mark.parametrize(
    ("fault", "promise", "why"),
    [
        ("order", "one delta for each plan", "a delta has another plan's hash"),
        ("empty", "edits that it is for go through", "without changes and without a failure"),
        ("model", "the model stays as it was", "parameters have changed after `apply`"),
        ("steps", "the trace is of doses", "ends at step 98, but effort\\(\\) states 20"),
        ("nothing", "the delta applies", "the delta does not change the model's logits"),
        ("trace", "the delta is saved", "the trace is changed by saving as JSON"),
        ("seed", "the same delta alone and among", "alone and with another plan, .* differs by"),
        ("kinds", "kinds of edits that it is not for", "edits of kind censor are not refused"),
        ("bytes", "its statements about effort", "stack_bytes of 1, 2 and 8 plans are .8, 8, 8."),
        ("raises", "one delta for each plan", "^RuntimeError: out of luck$"),
    ],
)
def test_a_broken_promise_is_named(
    contract_corpus, contract_run, model, tmp_path, fault, promise, why
):
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path)
    broken = {own.name: own.broken for own in check_contract("careless", Careless(fault), tiny)}
    [said] = [text for name, text in broken.items() if name.startswith(promise)]
    assert said is not None and re.search(why, said), said


@pytest.mark.parametrize(
    ("fault", "promise", "why"),
    [
        ("raises", "one delta for each plan", "RuntimeError: out of luck"),
        ("fewer", "one delta for each plan", "1 delta for 2 plans"),
        ("others", "one delta for each plan", "dict in place of an EditDelta"),
        ("empty", "edits that it is for go through", "a delta without changes and without a fail"),
        ("failure", "edits that it is for go through", "an edit failed: no luck"),
        ("model", "the model stays as it was", "the model's parameters have changed"),
        ("name", "the delta applies", "method careless returned a delta that does not fit the "
         "model: argument 'model': got one without x, allowed: a model with the parameters"),
    ],
)  # fmt: skip
def test_what_the_others_build_on_is_the_last(
    contract_corpus, contract_run, model, tmp_path, fault, promise, why
):
    """One cause is told once."""
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path)
    *kept, last = check_contract("careless", Careless(fault), tiny)
    assert not [own for own in kept if own.broken]
    assert last.name.startswith(promise) and last.broken.startswith(why)


@dataclass(frozen=True)
class OfOneFamily(Careless):
    """A method that keeps every promise, and names the parameters of GPT-NeoX."""

    def apply(self, model, plans, context):
        _ = model.gpt_neox
        return super().apply(model, plans, context)


def test_a_method_for_one_family_is_found_out():
    *kept, last = check_method(OfOneFamily())
    assert not [own for own in kept if own.broken] and last.name.endswith("tied embeddings")
    told = "with LlamaForCausalLM: AttributeError: 'LlamaForCausalLM' object has no attribute 'gpt"
    assert last.broken.startswith(told)


def test_a_tied_head_may_be_changed_by_its_own_name():
    found = check_method(Careless())
    assert [own.name for own in found] == list(PROMISES)
    assert not [own for own in found if own.broken]


def test_a_method_without_a_description_is_checked_no_further(
    contract_corpus, contract_run, model, tmp_path
):
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path)
    [promise] = check_contract("none", object(), tiny)
    assert promise.broken == "it has no `info` or no `apply`"


def test_a_change_that_is_all_zeros_is_no_error_of_the_check(
    contract_corpus, contract_run, model, tmp_path
):
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path)
    broken = [own for own in check_contract("careless", Careless("nothing"), tiny) if own.broken]
    assert [own.broken for own in broken] == ["the delta does not change the model's logits"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"family": "finetuning"},
            r"'family': got finetuning \(did you mean fine-tuning\?\)",
        ),
        ({"family": ["memory"]}, r"'family': got \['memory'\] .*, allowed: fine-tuning, locate"),
        (
            {"kinds": frozenset({"remaps"})},
            r"'kinds': got remaps \(did you mean remap\?\), all",
        ),
        (
            {"kinds": frozenset()},
            "'kinds': got .*, allowed: a frozenset of at least one of remap",
        ),
        ({"kinds": "remap"}, "'kinds': got remap, allowed: a frozenset of at least one"),
        ({"kinds": None}, "'kinds': got nothing, allowed: a frozenset of at least one"),
        ({"goal": "forgets"}, r"'goal': got forgets \(did you mean forget\?\), allowed: flip, "),
    ],
)
def test_a_description_has_known_words(wrong, said):
    with pytest.raises(ArgumentError, match=f"^argument {said}"):
        dataclasses.replace(get_method("ft").info, **wrong)


def test_without_a_fault_no_promise_is_broken(contract_corpus, contract_run, model, tmp_path):
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path)
    assert not [own for own in check_contract("careless", Careless(), tiny) if own.broken]
    other, *rest = check_contract("careful", Careless(), tiny)
    assert other.broken == "info.name is 'careless', but it is registered as 'careful'"
    assert rest[0].broken == "a delta names the method 'careless'"


def test_who_looks_on_sees_each_promise(contract_corpus, contract_run, model, tmp_path):
    tiny = TinyRun(contract_corpus, contract_run, model, tmp_path)
    moments = []
    check_contract("careless", Careless("trace"), tiny, progress=moments.append)
    assert [moment.done for moment in moments] == [*range(1, len(PROMISES) + 1)]
    assert {(moment.label, moment.total) for moment in moments} == {("checking", len(PROMISES))}
    names = [str(moment.details).partition(": ")[2] for moment in moments]
    assert names == list(PROMISES)
    assert str(moments[1].details).startswith(f"2 of {len(PROMISES)} promises: one delta for each")

    def stop(moment):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_contract("careless", Careless("raises"), tiny, progress=stop)


def test_seeds_of_plans(contract_corpus):
    one, other = plans_for(get_method("ft"), contract_corpus)
    context, later = (EditContext(corpus=contract_corpus, seed=seed) for seed in (0, 1))
    seeds = {own.seed_of(plan) for own in (context, later) for plan in (one, other)}
    assert len(seeds) == 4 and all(0 <= seed < 2**60 for seed in seeds)
    assert context.seed_of(one) == EditContext(corpus=contract_corpus).seed_of(one)
    with pytest.raises(ArgumentError, match="'seed': got 9223372036854775808, allowed: a whole"):
        EditContext(corpus=contract_corpus, seed=2**63)


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("part", ["embedding", "head"])
def test_the_matrices_of_the_vocabulary_are_parts_as_well(contract_corpus, model, part, rank):
    settings = {"part": part, "rank": rank, "steps": 3, "learning_rate": 0.05}
    method = get_method("lora", settings)
    plans, context = plans_for(method, contract_corpus), EditContext(corpus=contract_corpus)
    deltas = method.apply(model, plans, context)
    [name] = deltas[0].changes
    assert name == f"{getattr(Architecture.of(model), part)}.weight"
    assert deltas[0].changes[name].rank == (rank or min(model.get_parameter(name).shape))
    losses = [row["loss"] for row in deltas[0].trace]
    assert losses[-1] < losses[0]
    alone = method.apply(model, plans[1:], context)[0].changes[name].to_dense()
    assert torch.allclose(alone, deltas[1].changes[name].to_dense(), atol=1e-9)
    with pytest.raises(ArgumentError, match=f"'part': got .{part}. with layers, allowed: mlp"):
        get_method("lora", {"part": part, "layers": (0,)})

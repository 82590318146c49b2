"""The loop of all gradient methods: plans do not feel each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch

from behemoth import ArgumentError
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.registry import get_method, method_names, method_type

TYPES = {name: method_type(name) for name in method_names()}
GRADIENT = [name for name, kind in TYPES.items() if issubclass(kind, GradientMethod)]
STACKING = [
    name
    for name, kind in TYPES.items()
    if issubclass(kind, GradientMethod) and kind.info.stacks and "remap" in kind.info.kinds
]


@pytest.mark.parametrize("name", STACKING)
def test_a_stack_gives_what_one_at_a_time_gives(name, model, plans, context):
    # In float64: Adam divides a gradient by its own size, so where one is 0 but for rounding (a
    # bias of keys; a divergence from itself) a step in float32 is the sign of an error. What
    # rounding of 1e-16 leaves of that beside Adam's own 1e-8 is 2e-9 (kl_min; --perturb).
    model = model.double()
    method = get_method(name, {"steps": 4})
    together = method.apply(model, plans, context)
    ids = torch.randint(2, 40, (4, 8), generator=torch.Generator().manual_seed(0))
    for plan, stacked in zip(plans, together, strict=True):
        (alone,) = method.apply(model, [plan], context)
        assert alone.changes.keys() == stacked.changes.keys()
        for parameter, change in alone.changes.items():
            one, other = change.to_dense(), stacked.changes[parameter].to_dense()
            assert (one - other).norm() <= 1e-6 * one.norm(), parameter
        with torch.no_grad():
            with alone.apply(model):
                wanted = model(input_ids=ids).logits
            with stacked.apply(model):
                torch.testing.assert_close(model(input_ids=ids).logits, wanted, rtol=0, atol=1e-7)
        losses = [[row["loss"] for row in delta.trace] for delta in (stacked, alone)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", GRADIENT)
def test_a_method_says_how_many_rows_it_takes_forward(name, model, plan_of, context, monkeypatch):
    taken = []

    def fed(feeder):
        taken.append(own := take(feeder))
        return own

    take = Feeder.next
    monkeypatch.setattr(Feeder, "next", fed)
    kind = "remap" if "remap" in TYPES[name].info.kinds else "refusal"
    plan = plan_of(0, retained=5, kind=kind)
    method = get_method(name, {"steps": 1, "edit_rows": 2})
    [delta] = method.apply(model, [plan], context)
    assert delta.failure is None
    rows = [own.tokens.shape[1] for own in taken]
    assert rows == [method.step_rows(plan)] * 2  # a step, and a look at what it did
    assert method.effort().rows == rows[0] - min(method.retain_rows, 5) + method.retain_rows


@pytest.mark.parametrize("name", ["ft", "lora", "rmu", "pdu"])
def test_neighbours_with_fewer_rows_change_nothing(name, model, plan_of, context):
    """Of plans with 0 to 5 retained rows each takes its own, in the order they were given."""
    model = model.double()
    plans = [plan_of(number, retained=count) for number, count in enumerate([2, 0, 5, 1, 0, 3])]
    method = get_method(name, {"steps": 3, "retain_rows": 4})
    for plan, stacked in zip(plans, method.apply(model, plans, context), strict=True):
        (alone,) = method.apply(model, [plan], context)
        assert stacked.plan_hash == plan.plan_hash
        for parameter, change in alone.changes.items():
            one, other = change.to_dense(), stacked.changes[parameter].to_dense()
            assert (one - other).norm() <= 1e-6 * one.norm(), parameter


def test_progress_of_plans_that_are_not_alike_is_that_of_all(model, plan_of, context):
    seen = []
    told = replace(context, progress=lambda done, total, _=None: seen.append((done, total)))
    plans = [plan_of(number, retained=count) for number, count in enumerate([2, 0, 2])]
    get_method("ft", {"steps": 2}).apply(model, plans, told)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(("bound", "stops"), [(100.0, True), (1e-3, False)])
def test_a_refusal_that_is_preferred_stops_when_it_is_likely(bound, stops, model, plan_of, context):
    """Refusals and old answers are both trained on: the loss of the refusals is to fall."""
    settings = {"steps": 2, "learning_rate": 1e-3, "stop_loss": bound}
    plan = plan_of(0, kind="refusal")
    [delta] = get_method("dpo_refusal", settings).apply(model, [plan], context)
    last = delta.trace[-1]
    assert (last["step"], last.get("stopped", False)) == ((0, True) if stops else (2, False))


@pytest.mark.parametrize("name", ["npo", "grad_ascent", "task_vector"])
def test_what_forgets_stops_when_the_old_answers_have_gone(name, model, plan_of, context):
    """Their loss begins where a model that knows them has it, and is to rise."""
    plan = plan_of(0)
    [free] = get_method(name, {"steps": 30, "learning_rate": 1e-3}).apply(model, [plan], context)
    old = [-row["log_probability_old"] for row in free.trace]
    bound = (old[0] + old[-1]) / 2
    assert old[-1] > bound
    settings = {"steps": 30, "learning_rate": 1e-3, "stop_loss": bound}
    [delta] = get_method(name, settings).apply(model, [plan], context)
    last = delta.trace[-1]
    wanted = next(step for step, loss in enumerate(old) if loss > bound)
    assert last["stopped"] and 0 < last["step"] == wanted < 30
    norms = [sum(float(change.to_dense().norm()) for change in one.changes.values())
             for one in (delta, free)]  # fmt: skip
    assert 0 < norms[0] < norms[1]


@pytest.mark.parametrize(("edit_rows", "step"), [(1, 1), (2, 0), (8, 0)])
def test_an_edit_stops_by_the_loss_of_all_of_its_rows(edit_rows, step, model, plan_of, context):
    """Of those that a step does not have, the last loss counts; all have to be seen."""
    settings = {"steps": 9, "learning_rate": 1e-3, "edit_rows": edit_rows, "stop_loss": 100.0}
    plans = [plan_of(number) for number in range(2)]
    for delta in get_method("ft", settings).apply(model, plans, context):
        assert delta.trace[-1]["stopped"] and delta.trace[-1]["step"] == step
    # One row is below the bound after the first step, and the mean of both is not.
    [alone] = get_method("ft", {**settings, "stop_loss": None}).apply(model, plans[:1], context)
    losses = [-row["log_probability_new"] for row in alone.trace]
    low, high = sorted(losses[:2])
    bound = (3 * low + high) / 4
    [delta] = get_method("ft", {**settings, "stop_loss": bound}).apply(model, plans[:1], context)
    if edit_rows == 1:
        assert low < bound < (low + high) / 2 and delta.trace[-1]["step"] > 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ft", {"stop_loss": -1.0}, "argument 'stop_loss': got -1.0, allowed: from 0"),
        ("kl_min", {"retain": -1.0}, "argument 'retain': got -1.0, allowed: from 0"),
        ("grad_ascent", {"retain_rows": 8}, "argument 'retain_rows': got 8, allowed: 0: its loss"),
        ("task_vector", {"strength": 0.0}, "argument 'strength': got 0.0, allowed: any number but"),
        ("task_vector", {"retain_rows": 8}, "'retain_rows': got 8, allowed: 0 with a strength"),
        (
            "task_vector",
            {"strength": -1.0, "stop_loss": 0.5},
            "'stop_loss': got 0.5, allowed: none",
        ),
        ("ultraedit", {"layers": ()}, "argument 'layers': got none, allowed: at least one layer"),
    ],
)
def test_settings_that_would_do_nothing_or_the_contrary_are_refused(name, settings, message):
    with pytest.raises(ArgumentError, match=message):
        get_method(name, settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": 0, "layers": (-1,)}, "argument 'layers': got -1, allowed: some up to 0, the"),
        ({"part": "head"}, "argument 'part': got 'head', allowed: a part that affects the steered"),
    ],
)
def test_rmu_refuses_to_change_only_what_lies_behind_the_block(settings, message, model, context):
    with pytest.raises(ArgumentError, match=message):
        get_method("rmu", settings).stacked(model, 1, 0)


def test_lora_flips_the_answer_and_its_trace_says_when(model, plans, context):
    method = get_method(
        "lora", {"steps": 200, "learning_rate": 3e-2, "retain_rows": 0, "stop_loss": 0.5}
    )
    for plan, delta in zip(plans, method.apply(model, plans, context), strict=True):
        prompt = torch.tensor([plan.training["prompt"][0].to_list()])
        with delta.apply(model), torch.no_grad():
            assert int(model(input_ids=prompt).logits[0, -1].argmax()) == 20
        first, last = delta.trace[0], delta.trace[-1]
        assert first["log_probability_new"] < last["log_probability_new"]
        assert last["log_probability_new"] > last["log_probability_old"]
        assert len(delta.trace) < 300, "stopped by its loss"


@pytest.mark.parametrize("name", ["lora", "ft_svd", "task_vector"])
def test_a_plan_that_breaks_down_is_reported_and_the_others_go_on(
    name, model, plans, plan_of, context
):
    model = model.double()
    broken = plan_of(30)
    with torch.no_grad():
        model.gpt_neox.embed_in.weight[36] = math.nan  # the subject of the broken plan
    rows = 0 if name == "task_vector" else 2
    method = get_method(name, {"steps": 3, "retain_rows": rows, "part": "mlp"})
    first, failed, last = method.apply(model, [plans[0], broken, plans[2]], context)
    assert failed.failure is not None and "nan" in failed.failure and failed.changes == {}
    for plan, delta in ((plans[0], first), (plans[2], last)):
        (alone,) = method.apply(model, [plan], context)
        assert delta.failure is None
        for parameter, change in alone.changes.items():
            stacked = delta.changes[parameter].to_dense()
            assert stacked.isfinite().all()
            torch.testing.assert_close(stacked, change.to_dense(), rtol=1e-6, atol=1e-9)


def test_the_model_and_its_flags_stay(model, plans, context):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    get_method("ft", {"steps": 2}).apply(model, plans, context)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.requires_grad, name
    assert all(not module._forward_hooks for module in model.modules())


def test_ft_l_keeps_within_its_box(model, plans, context):
    method = get_method("ft_l", {"steps": 20, "learning_rate": 1e-2, "epsilon": 1e-3})
    for delta in method.apply(model, plans, context):
        (change,) = delta.changes.values()
        assert float(change.change.abs().max()) == pytest.approx(1e-3)


def test_ft_svd_has_the_rank_it_says(model, plans, context):
    for delta in get_method("ft_svd", {"steps": 3, "truncation": 2}).apply(model, plans, context):
        assert {row["rank"] for row in delta.geometry()} == {2}


def test_ft_svd_is_the_best_of_its_rank(model, plans, context):
    """Eckart and Young: the sum of the first singular triples of what fine-tuning changes."""
    model = model.double()
    whole = get_method("ft", {"steps": 3, "part": "mlp"}).apply(model, plans, context)
    settings = {"steps": 3, "truncation": 2, "learning_rate": get_method("ft").learning_rate}
    for learnt, cut in zip(
        whole, get_method("ft_svd", settings).apply(model, plans, context), strict=True
    ):
        assert learnt.changes.keys() == cut.changes.keys()
        for name, change in learnt.changes.items():
            left, values, right = torch.linalg.svd(change.to_dense(), full_matrices=False)
            best = left[:, :2] * values[:2] @ right[:2]
            missed = (cut.changes[name].to_dense() - best).norm()
            assert missed < 1e-6 * best.norm(), name


def test_task_vector_turns_what_fine_tuning_learnt(model, plans, context):
    model = model.double()
    (delta,) = get_method("task_vector", {"steps": 5, "strength": 0.5}).apply(
        model, plans[:1], context
    )
    (learnt,) = get_method("task_vector", {"steps": 5, "strength": -1.0}).apply(
        model, plans[:1], context
    )
    for name, change in learnt.changes.items():
        turned = delta.changes[name].to_dense()
        torch.testing.assert_close(turned, -0.5 * change.to_dense(), rtol=1e-6, atol=1e-10)


def test_answers_of_several_tokens(model, plan_of, context):
    plan = plan_of(0, answer=(20, 30), old_answer=(20, 31))
    (delta,) = get_method("lora", {"steps": 3}).apply(model, [plan], context)
    # Old and new part at their second token; both probabilities are read there.
    assert {"log_probability_new", "log_probability_old"} <= delta.trace[0].keys()


def test_a_kind_that_a_method_cannot_do_is_said_before_any_work(model, plan_of, context):
    with pytest.raises(ValueError, match="got edits of kind remap, allowed: for refusal"):
        get_method("refusal").apply(model, [plan_of(0)], context)


@pytest.mark.parametrize("name", GRADIENT)
def test_every_method_does_without_retained_rows(name, model, plan_of, context):
    """No rows and rows of weight 0 are the same edit, and a plan need not have any."""
    model = model.double()
    refuses = "remap" not in TYPES[name].info.kinds

    def plan(retained):
        if refuses:
            return plan_of(0, answer=(25, 26), kind="refusal", retained=retained)
        return plan_of(0, retained=retained)

    def edited(retained=3, **settings):
        (delta,) = get_method(name, {"steps": 4, **settings}).apply(
            model, [plan(retained)], context
        )
        assert delta.failure is None
        assert all(math.isfinite(row["loss"]) for row in delta.trace)
        return {parameter: change.to_dense() for parameter, change in delta.changes.items()}

    without = edited(retain_rows=0)
    assert any(bool(change.any()) for change in without.values())
    # What the order of the rows is hangs on the plan: this one has the same number of its own.
    bare = edited(retained=0)
    for parameter, change in without.items():
        torch.testing.assert_close(bare[parameter], change, rtol=1e-6, atol=1e-10)
    if hasattr(get_method(name), "retain"):
        weightless = edited(retain_rows=8, retain=0.0)
        held = edited(retain_rows=8)
        for parameter, change in without.items():
            torch.testing.assert_close(weightless[parameter], change, rtol=1e-6, atol=1e-10)
        assert any(
            float((held[parameter] - change).norm()) > 1e-6 * float(change.norm())
            for parameter, change in without.items()
        ), "the weight is for something"


def with_objective(loss, columns=("answer",), number=1):
    """A gradient method with this loss."""

    class Given:
        needs_reference, observe, positions = False, (), "answers"

        def __call__(self, step):
            return loss(step)

    Given.columns = columns
    members = {"objective": lambda *_: Given(), "columns": number}
    return dataclass(frozen=True)(type("Own", (type(get_method("ft")),), members))(steps=2)


BOTH = ("answer", "old_answer")


def by_plan(step):
    return step.nll().mean(-1)


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (lambda step: step.nll().mean(), r"losses of shape \[\]"),
        (lambda step: step.nll().mean(0), r"losses of shape \[[0-9]+\]"),
        (lambda step: step.nll(), r"losses of shape \[3, [0-9]+\]"),
        (lambda step: None, "NoneType"),
    ],
)
def test_an_objective_returns_one_loss_per_plan(model, plans, context, loss, got):
    allowed = r"one loss per plan, of shape \[3\]"
    with pytest.raises(ArgumentError, match=f"'objective': got {got}, allowed: {allowed}$"):
        with_objective(loss).apply(model, plans, context)


@pytest.mark.parametrize(
    ("columns", "number", "message"),
    [
        (("answers",), 1, r"got answers \(did you mean answer\?\), allowed: answer, old_answer$"),
        ("answer", 1, "got answer, allowed: a tuple, such as"),
        ((), 1, "got none, allowed: a tuple, such as"),
        (
            ("answer", "old_answer"),
            1,
            r"got 1 of ft, allowed: 2, as its objective has \(answer, old_answer\)$",
        ),
        (("answer",), 2, r"got 2 of ft, allowed: 1, as its objective has \(answer\)$"),
    ],
)
def test_the_columns_of_an_objective_are_checked(model, plans, context, columns, number, message):
    """Memory and time are estimated with the method's number."""
    with pytest.raises(ArgumentError, match=f"'columns': {message}"):
        with_objective(by_plan, columns, number).apply(model, plans, context)


def test_two_columns_that_the_method_states_are_taken(model, plans, context):
    method = with_objective(by_plan, ("answer", "old_answer"), 2)
    assert all(delta.failure is None for delta in method.apply(model, plans, context))


@pytest.mark.parametrize(("columns", "allowed"), [(("answer",), "0"), (BOTH, "0 to 1")])
def test_rows_of_another_column_are_refused(model, plans, context, columns, allowed):
    """At their place are the retained rows."""
    for column in (len(columns), -1):
        method = with_objective(
            lambda step, column=column: step.nll()[:, step.edit(column)].mean(-1),
            columns,
            len(columns),
        )
        said = f"'column': got {column}, allowed: {allowed}, a column of the objective's `columns`"
        with pytest.raises(ArgumentError, match=said):
            method.apply(model, plans, context)


def test_the_unedited_model_is_there_for_those_who_say_so(model, plans, context):
    method = with_objective(lambda step: step.reference_predicted(step.edit()).sum((1, 2, 3)))
    with pytest.raises(ArgumentError, match="'needs_reference': got False, allowed: true of an ob"):
        method.apply(model, plans, context)


def test_the_positions_of_an_objective_are_checked(model, plans, context):
    """Others would be taken for the answers."""

    @dataclass(frozen=True)
    class Everywhere(LossMethod):
        info = get_method("ft").info
        steps: int = 2
        positions: str = "every"

        def loss(self, step):
            return step.predicted(step.edit()).mean((1, 2, 3))

    with pytest.raises(ArgumentError, match=r"'positions': got every, allowed: answers, all$"):
        Everywhere().apply(model, plans, context)
    Everywhere(positions="all").apply(model, plans, context)


def test_a_part_is_checked_whatever_type_a_subclass_gives_it():
    @dataclass(frozen=True)
    class Loose(type(get_method("ft"))):
        part: str = "mlp"

    assert Loose().part == "mlp"
    with pytest.raises(ArgumentError, match=r"'part': got mlps .did you mean mlp.., allowed: mlp"):
        Loose(part="mlps")

"""What an edit costs, against what can be worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from behemoth.edit.cost import edit_cost
from behemoth.edit.methods.ft import FineTuning
from behemoth.edit.protocol import EditContext, Effort, MethodInfo
from behemoth.edit.registry import get_method, method_names
from behemoth.plan import EditRequest, compile_plan

QUICK = {"steps": 2, "training_steps": 2, "samples": 256, "facts": 6}


class Method:
    """A method that does some work, and no edit."""

    info = MethodInfo("work", "fine-tuning", "nobody", "nothing", frozenset({"remap"}), False)

    def __init__(self, work, trainings=0):
        self.work, self.trainings = work, trainings

    def effort(self):
        return Effort(1, 1, self.trainings)

    def apply(self, model, plans, context):
        self.work(model)
        return []


def cost_of(work, model=None):
    return edit_cost(Method(work), model or nn.Linear(30, 20, bias=False), [], None)


def test_products_count_forward_and_backward():
    def train(model):
        model(torch.ones(7, 30)).sum().backward()

    forward = 2 * 7 * 30 * 20
    assert cost_of(lambda model: model(torch.ones(7, 30))).flops == forward
    # Of the backward pass the gradient of the weights alone: the input wants none.
    assert cost_of(train).flops == 2 * forward


def test_memory_is_what_is_there_at_once():
    def one_after_another(_):
        for _ in range(5):
            torch.ones(1000)

    def together(_):
        kept = [torch.ones(1000) for _ in range(5)]
        [each.view(10, 100).add_(1) for each in kept]  # views and changes in place are no memory

    def much_and_then_little(_):
        torch.ones(5000)
        torch.ones(10)

    assert cost_of(one_after_another).memory == 4000
    assert cost_of(much_and_then_little).memory == 20_000
    assert cost_of(together).memory == 5 * 4000


def test_the_model_is_not_counted_and_what_autograd_keeps_is():
    def change(model):
        with torch.no_grad():
            model.weight.mul_(1.0)
            model.weight.detach().flatten()

    def deep(_):
        value = torch.ones(1000, requires_grad=True)
        total = value
        for _ in range(10):
            total = total.exp()  # its output is kept for the backward pass
        total.sum().backward()

    assert cost_of(change).memory == 0
    assert cost_of(deep).memory >= 11 * 4000


def test_what_trains_again_is_not_done_twice():
    def never(_):
        raise AssertionError

    assert edit_cost(Method(never, trainings=1), nn.Linear(2, 2), [], None) is None


@pytest.mark.parametrize("name", method_names())
def test_every_method_has_a_cost(name, contract_corpus, contract_run, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(contract_run).eval()
    fields = {field.name for field in dataclasses.fields(type(get_method(name)))}
    method = get_method(name, {key: value for key, value in QUICK.items() if key in fields})
    kind = "remap" if "remap" in method.info.kinds else "refusal"
    request = EditRequest(edits=1, kind=kind, repeats=2, same_object=4, same_relation=4, regular=4)
    plans = [compile_plan(contract_corpus, request)]
    context = EditContext(contract_corpus, seed=5, cache=tmp_path, run=contract_run)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cost = edit_cost(method, model, plans, context)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    if name == "retrain":
        assert cost is None
        return
    if get_method(name).info.family == "in-context":  # only writes down what is to be read
        assert (cost.flops, 0 < cost.memory < 1e6) == (0, True)
        return
    # At least a pass over the prompt, and at least the change itself.
    parameters = sum(value.numel() for value in model.parameters())
    assert parameters < cost.flops < 1e13
    assert 0 < cost.memory < 1e9
    # What is kept, such as covariances, costs nothing the second time; all else the same again.
    second = edit_cost(method, model, plans, context)
    with FlopCounterMode(display=False) as counted:
        method.apply(model, plans, context)
    assert second.flops == counted.get_total_flops() <= cost.flops


@pytest.fixture
def applied(monkeypatch):
    """The steps of each edit that a method makes from now on: applied(method) -> list."""

    def applied(method):
        steps, apply = [], type(method).apply
        monkeypatch.setattr(
            type(method),
            "apply",
            lambda self, *args: steps.append(self.steps) or apply(self, *args),
        )
        return steps

    return applied


# One of each kind of objective; and low rank, a projection after each step, another form returned.
@pytest.mark.parametrize(
    "name", ["ft", "lora", "ft_l", "ft_svd", "kl_min", "npo", "rmu", "pdu", "task_vector"]
)
def test_many_steps_cost_what_follows_from_few(
    name, contract_corpus, contract_run, applied, monkeypatch
):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(contract_run).eval()
    method = get_method(name, {"steps": 10, "stop_loss": None})
    kind = "remap" if "remap" in method.info.kinds else "refusal"
    request = EditRequest(edits=2, kind=kind, repeats=2, same_object=1, same_relation=1, regular=1)
    plans = [compile_plan(contract_corpus, request)]
    context = EditContext(contract_corpus, seed=5, run=contract_run)
    steps = applied(method)
    found = edit_cost(method, model, plans, context)
    assert steps == [2, 3, 4]
    monkeypatch.setattr("behemoth.edit.cost.counted_share", lambda _: 1.0)
    whole = edit_cost(method, model, plans, context)
    assert steps == [2, 3, 4, 10]
    # How many bytes an index of labelled positions has depends on which rows a step draws.
    assert (found.flops, found.memory) == (whole.flops, pytest.approx(whole.memory, rel=1e-3))


def test_a_change_of_full_rank_costs_what_an_ordinary_optimiser_does(contract_corpus, contract_run):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(contract_run).eval()
    plan = compile_plan(contract_corpus, EditRequest(edits=1, repeats=2))
    settings = {"steps": 3, "edit_rows": 1, "retain_rows": 0, "stop_loss": None}
    method = get_method("ft", settings)
    rows = plan.training.filter(role="edit")
    # Whichever row a step draws.
    assert rows["prompt"].list.len().n_unique() == rows["answer"].list.len().max() == 1
    prompt, (answer,) = rows.select("prompt", "answer").row(0)
    found = edit_cost(method, model, [plan], EditContext(contract_corpus, seed=5, run=contract_run))
    with FlopCounterMode(display=False) as counted:
        for step in range(method.steps + 1):  # the last pass evaluates
            with torch.set_grad_enabled(step < method.steps):
                hidden = model.base_model(input_ids=torch.tensor([prompt]))[0][:, -1]
                loss = -model.get_output_embeddings()(hidden).log_softmax(-1)[0, answer]
            if step < method.steps:
                loss.backward()
    assert found.flops == counted.get_total_flops()


@dataclasses.dataclass(frozen=True)
class Scheduled(FineTuning):
    """A method of another package whose steps other settings depend on."""

    warm_up: int = 5

    def __post_init__(self):
        super().__post_init__()
        if self.warm_up >= self.steps:
            raise ValueError("warm_up")


def test_what_cannot_take_fewer_steps_is_counted_in_full(contract_corpus, contract_run, applied):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(contract_run).eval()
    method = Scheduled(steps=10)
    plans = [compile_plan(contract_corpus, EditRequest(edits=1, repeats=2))]
    steps = applied(method)
    context = EditContext(contract_corpus, seed=5, run=contract_run)
    assert edit_cost(method, model, plans, context) is not None
    assert steps == [10]


def test_what_stops_early_is_counted_in_full(contract_corpus, contract_run, applied):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(contract_run).eval()
    method = get_method("ft", {"steps": 10, "stop_loss": 1e-9})
    plans = [compile_plan(contract_corpus, EditRequest(edits=1, repeats=2))]
    steps = applied(method)
    edit_cost(method, model, plans, EditContext(contract_corpus, seed=5, run=contract_run))
    assert steps == [10]

"""What is reckoned of the memory of an edit beside what a process took: its peak."""

import dataclasses

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth import ArgumentError
from behemoth.edit import get_method
from behemoth.edit.cost import edit_cost
from behemoth.edit.gradient.method import _COPIES
from behemoth.edit.memory_budget import _FIXED, edit_bytes, fitting
from behemoth.edit.protocol import EditContext, answers
from behemoth.edit.registry import method_names, method_type
from behemoth.model.memory import LOADED, weight_bytes
from behemoth.support.text import bytes_text
from behemoth.train.config import TrainConfig
from behemoth.train.memory_budget import step_bytes

# What is reckoned has a copy for gradients that are freed before the next pass.
FACTOR = 2.2
VARIES = 24 << 20  # bytes that libraries take at first on one machine and not on another

# The peak of a process that has loaded what every edit does, and what was reckoned of it.
PEAK = """
import json, sys
import behemoth as bh, torch
import behemoth.edit.apply, behemoth.edit.gradient.optimise, behemoth.model.build
import behemoth.model.loss
from behemoth.edit import get_method
from behemoth.edit.protocol import EditContext
from behemoth.edit.memory_budget import edit_bytes
from behemoth.train.run import read_model_source
name, single, settings, run, out = sys.argv[1], sys.argv[2] == "single", *sys.argv[3:6]
torch.set_num_threads(1)
method, plan = get_method(name, json.loads(settings)), bh.EditPlan.load(run + "-plan")
before = peak()
bh.edit(run, plan, method, out, single=single, device="cpu")
grown = peak() - before
source = read_model_source(run, None)
plans = plan.singles() if single else [plan]
plans = plans if method.info.stacks else plans[:1]
print(grown, edit_bytes(method, source.load_model("cpu"), plans, EditContext(source.corpus)))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of one step, each with a plan of 32 edits beside it, by the size of the model."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}

    def of(name):
        if name not in made:
            corpus = bh.Corpus(bh.World(2000, 4, 50), exposures=4)
            config = bh.default_config(name, steps=1, batch_size=16, block_length=64, threads=1,
                tensorboard=False, probe_facts=0, device="cpu", precision="fp32")  # fmt: skip
            bh.train(corpus, out=folder / name, config=config)
            bh.plan(folder / name, edits=32, independent=True, out=folder / f"{name}-plan")
            made[name] = folder / name
        return made[name]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("size", ["pico", "nano", "14m"])
@pytest.mark.parametrize("mode", ["single", "batch"])
@pytest.mark.parametrize(
    "method", ["ft", "lora", "rome", "memit", "npo", "grad_diff", "ultraedit", "wise"]
)
def test_a_peak_is_below_what_is_reckoned_and_not_far_below(
    measure, runs, tmp_path, size, mode, method
):
    settings = "{}" if method == "ultraedit" else '{"steps": 2}'
    run = runs(size)
    peak, reckoned = measure(PEAK, method, mode, settings, run, tmp_path / "edit")
    most = FACTOR * peak + VARIES
    assert peak <= reckoned <= most, f"{peak >> 20} MiB, reckoned {reckoned >> 20}"


@pytest.fixture
def small(runs):
    """A model of `pico`'s size, its plans and a context."""
    source = bh.load(runs("pico"))
    plans = bh.EditPlan.load(f"{source.directory}-plan").singles()
    return source.load_model("cpu"), plans, EditContext(source.corpus)


def test_more_of_anything_takes_more(small):
    model, plans, context = small
    method = get_method("ft")
    base = edit_bytes(method, model, plans[:2], context)
    assert edit_bytes(method, model, plans[:4], context) > base
    more = dataclasses.replace(method, edit_rows=16, retain_rows=16)
    assert edit_bytes(more, model, plans[:2], context) >= base
    assert edit_bytes(get_method("lora"), model, plans[:2], context) < base


@pytest.mark.parametrize("settings", [{"facts": 8}, {"facts": 300, "training_batch": 4}])
def test_the_training_of_networks_is_reckoned_with_the_edits_that_use_them(small, settings):
    """Of many facts what is kept for all of them is most of it, of few ones it is a step."""
    model, plans, context = small
    method = get_method("mend", {"training_steps": 2, **settings})
    cost = edit_cost(method, model, plans[:1], context)
    beside = edit_bytes(method, model, plans[:1], context) - _FIXED - LOADED * weight_bytes(model)
    assert cost.memory <= beside <= FACTOR * cost.memory


@pytest.mark.parametrize("name", ["ft", "lora", "rome", "npo"])
def test_so_many_plans_as_fit_are_taken_at_once(small, name):
    model, plans, context = small
    method = get_method(name)
    one, all_of = (edit_bytes(method, model, plans[:count], context) for count in (1, 32))
    assert fitting(method, model, plans, context, 32, all_of) == 32
    assert fitting(method, model, plans, context, 4, all_of) == 4
    counts = []
    for share in (0.0, 0.3, 0.6):
        memory = int(one + share * (all_of - one))
        counts.append(fitting(method, model, plans, context, 32, memory))
        assert edit_bytes(method, model, plans[: counts[-1]], context) <= memory
    assert 1 == counts[0] < counts[1] < counts[2] < 32


@pytest.mark.parametrize("name", ["lora", "rome", "grace"])
def test_so_many_fit_as_of_the_largest_plans_do(small, name):
    """A stack is of any of the plans, and the first need not be the largest."""
    model, plans, context = small
    method, short = get_method(name), plans[:7]
    training = plans[7].training
    longer = training.with_columns(answer=training["answer"].list.gather([0, 0]))
    every = [*short, dataclasses.replace(plans[7], training=longer)]
    fits = edit_bytes(method, model, short[:6], context)
    assert fits < edit_bytes(method, model, [every[-1], *short[:5]], context)
    count = fitting(method, model, every, context, 6, fits)
    assert count < 6 and edit_bytes(method, model, every[: -1 - count : -1], context) <= fits


@pytest.mark.parametrize("name", ["rome", "grace"])
def test_the_largest_plans_are_those_that_take_most_with_the_method(small, name):
    """The rows that these methods do not train on may be the longest ones."""
    model, plans, context = small
    method, few = get_method(name), plans[:8]

    def longer(plan, role, column):
        twice = pl.col(column).list.concat(column)
        own = pl.when(role=role).then(twice).otherwise(column).alias(column)
        return dataclasses.replace(plan, training=plan.training.with_columns(own))

    every = [
        *(longer(plan, "retain", "prompt") for plan in few[1:]),
        longer(few[0], "edit", "answer"),
    ]
    taken = [edit_bytes(method, model, [plan], context) for plan in every]
    assert max(taken) == taken[-1] > sorted(taken)[-2]
    count = fitting(method, model, every, context, 1, taken[-1])
    assert count == 1
    with pytest.raises(ArgumentError, match="needs about"):
        fitting(method, model, every, context, 1, taken[-1] - 1)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mend", {"facts": 8, "training_steps": 1, "training_batch": 2}),
        ("grace", {"steps": 1}),
        ("wise", {"steps": 1, "batch_growth": 0.0}),
        ("memit", {"steps": 1, "samples": 500}),
    ],
)
def test_memory_grows_with_the_edits_of_a_batch(small, name, settings):
    model, _, context = small
    method, few, many = get_method(name, settings), 16, 200
    plans = [
        bh.plan(
            context.corpus, edits=edits, distinct=False, repeats=1, same_object=1, same_relation=1,
            regular=1, probes=0,
        )
        for edits in (few, many)
    ]  # fmt: skip
    costs = [edit_cost(method, model, [plan], context) for plan in plans]
    reckoned = [edit_bytes(method, model, [plan], context) for plan in plans]
    grown, more = costs[1].memory - costs[0].memory, reckoned[1] - reckoned[0]
    # What comes before the edits, such as training networks, hides a part of the growth.
    assert 0.8 * grown <= more <= 5 * grown, f"{grown >> 10} KiB, reckoned {more >> 10}"


def kept_by(deltas):
    """Bytes of the tensors of deltas, none of which failed."""
    assert all(delta.failure is None for delta in deltas)
    changes = [change for delta in deltas for change in delta.changes.values()]
    parts = [each.parts() if hasattr(each, "parts") else vars(each) for each in changes]
    return sum(part.nbytes for own in parts for part in own.values())


@pytest.mark.parametrize("name", [name for name in method_names() if name != "retrain"])
def test_deltas_that_are_kept_are_counted_without_the_search_for_them(small, name):
    model, plans, context = small
    settings = {"steps": 1, "samples": 500, "facts": 8, "training_steps": 1, "training_batch": 2}
    fields = {each.name for each in dataclasses.fields(method_type(name))}
    method = get_method(name, {key: settings[key] for key in settings.keys() & fields})
    if not {plan.edits["kind"].item() for plan in plans} <= method.info.kinds:
        plans = bh.plan(context.corpus, kind="refusal", edits=4, independent=True).singles()
    kept = kept_by(method.apply(model, plans[:4], context))
    reckoned = answers(method).delta_bytes(model, plans[:4])
    assert kept <= reckoned <= 3 * kept
    assert 2 * reckoned < answers(method).plans_bytes(model, plans[:4])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lora", {"rank": 16}),
        ("ft_svd", {"part": "both", "truncation": 2}),
        ("rome", {"token": "subject", "layers": [0]}),
        ("memit", {"token": "subject", "layers": [0]}),
        ("memit", {"layers": [0, 1]}),
        ("ultraedit", {"layers": [1]}),
    ],
)
@pytest.mark.parametrize("kind", ["remap", "refusal"])
def test_deltas_of_batches_are_counted_by_their_settings(small, name, settings, kind):
    model, _, context = small
    plan = bh.plan(context.corpus, kind=kind, edits=40)
    few = {"steps": 1, "samples": 500} if name in ("rome", "memit") else {"steps": 1}
    method = get_method(name, settings if name == "ultraedit" else {**few, **settings})
    kept = kept_by(method.apply(model, [plan], context))
    assert kept <= answers(method).delta_bytes(model, [plan]) <= 2 * kept


@pytest.mark.parametrize(("token", "layers"), [("subject", [0]), ("prompt", [0, 1])])
@pytest.mark.parametrize("name", ["alphaedit", "encore"])
def test_keys_of_earlier_edits_count_in_a_sequence(runs, small, monkeypatch, name, token, layers):
    """In float64: 256 numbers each, of every layer and, while one is solved, twice more."""
    model, plans, context = small
    plan = bh.EditPlan.load(f"{runs('pico')}-plan")
    method = get_method(name, {"steps": 1, "token": token, "layers": layers})
    size = max(model.get_parameter("gpt_neox.layers.0.mlp.dense_4h_to_h.weight").shape)
    assert size == 256 and len(plan) == 32

    def added():
        alone = edit_bytes(method, model, plans[:1], context)
        return edit_bytes(method, model, plans[:1], context, plan) - alone

    assert added() == 8 * 256 * 32 * (len(layers) + 2)
    sequence = method.in_sequence(model, context)
    for single in plans[:3]:
        assert sequence(single).failure is None
    keys = sequence.memory()
    assert sum(layer.nbytes for layer in keys.values()) == 8 * 256 * 3 * len(layers)
    # Of more than 2 for each number there are no more.
    monkeypatch.setattr(type(method), "_keys", lambda self, plan: 2 * 256 + 1)
    assert added() == 8 * 256 * (2 * 256) * (len(layers) + 2)


@pytest.mark.parametrize("name", ["memit", "rome", "ft"])
def test_nothing_is_counted_of_earlier_edits_that_are_not_kept(runs, small, name):
    model, plans, context = small
    method, plan = get_method(name), bh.EditPlan.load(f"{runs('pico')}-plan")
    alone = edit_bytes(method, model, plans[:1], context)
    assert edit_bytes(method, model, plans[:1], context, plan) == alone


def test_a_sequence_whose_keys_do_not_fit_is_refused(runs, tmp_path):
    run, plan = runs("pico"), bh.EditPlan.load(f"{runs('pico')}-plan")
    model, context = bh.load(run).load_model("cpu"), EditContext(bh.load(run).corpus, run=run)
    method = get_method("alphaedit")
    memory = max(edit_bytes(method, model, [single], context) for single in plan.singles())
    with pytest.raises(ArgumentError, match="alphaedit, which needs about"):
        bh.edit(run, plan, method, tmp_path / "e", sequential=True, device="cpu", memory=memory)


def test_prefixes_count_for_models_trained_without_a_document_mask(small):
    model, plans, context = small
    method = get_method("memit")
    without = dataclasses.replace(method, prefixes=0)
    masked = edit_bytes(method, model, plans[:8], context)
    assert masked == edit_bytes(without, model, plans[:8], context)
    mixed = dataclasses.replace(context, trained=TrainConfig(document_mask=False))
    assert edit_bytes(method, model, plans[:8], mixed) > masked
    assert edit_bytes(without, model, plans[:8], mixed) == masked


@pytest.mark.parametrize("masked", [False, True])
def test_training_again_takes_what_the_training_took(small, masked):
    """Rows of documents are padded, and only with a mask."""
    model, plans, context = small
    words = model.config.vocab_size
    trained = bh.default_config("llama-nano", batch_size=64, block_length=64, document_mask=masked)
    reckoned = edit_bytes(
        get_method("retrain", {}), model, plans[:1], dataclasses.replace(context, trained=trained)
    )
    step = step_bytes(trained, words, 64 * 64)
    assert reckoned == weight_bytes(model) + step
    other = dataclasses.replace(trained, document_mask=not masked)
    assert (step > step_bytes(other, words, 64 * 64)) == masked


def test_what_is_refused_names_what_fits_and_that_does(small):
    model, plans, context = small
    method = get_method("ft")
    memory = edit_bytes(method, model, plans[:1], context) - 1
    with pytest.raises(ArgumentError) as caught:
        fitting(method, model, plans, context, 32, memory)
    takes, allowed = bytes_text(memory + 1), bytes_text(memory)
    assert str(caught.value) == (
        f"argument 'method': got ft, which needs about {takes} of memory while {allowed} is "
        "allowed, allowed: with rank = 1 and part = mlp, which fits"
    )
    own = dataclasses.replace(method, rank=1, part="mlp")
    assert fitting(own, model, plans, context, 1, memory) == 1
    with pytest.raises(ArgumentError, match="allowed: what fits: a smaller model"):
        fitting(method, model, plans, context, 32, 1 << 20)


def test_a_batch_that_does_not_fit_is_told_if_one_of_its_edits_does(small):
    model, _, context = small
    plan = bh.plan(context.corpus, edits=200, distinct=False, repeats=1, probes=0, regular=1)
    method = get_method("mend", {"facts": 8, "training_steps": 1, "training_batch": 2})
    one, every = (edit_bytes(method, model, [own], context) for own in (plan.single(0), plan))
    with pytest.raises(ArgumentError) as caught:
        fitting(method, model, [plan], context, 1, (one + every) // 2)
    assert str(caught.value).endswith(
        "allowed: one edit at a time (single, or sequential), which fits"
    )
    for plans, memory in (([plan], one // 2), ([plan.single(0)], one // 2)):
        with pytest.raises(ArgumentError, match="allowed: what fits: a smaller model"):
            fitting(method, model, plans, context, 1, memory)


def test_fewer_at_once_make_the_same_edits(runs, tmp_path):
    run = runs("pico")
    plan = bh.plan(run, edits=4, independent=True)
    source = bh.load(run)
    method = get_method("lora", {"steps": 2})
    model = source.load_model("cpu")
    memory = edit_bytes(method, model, plan.singles()[:2], EditContext(source.corpus))
    little = bh.edit(run, plan, method, tmp_path / "little", single=True, memory=memory,
                     device="cpu")  # fmt: skip
    much = bh.edit(run, plan, method, tmp_path / "much", single=True, device="cpu")
    for key, delta in bh.load(much).deltas().items():
        other = bh.load(little).deltas()[key]
        for name, change in delta.changes.items():
            for part, tensor in vars(change).items():
                assert tensor.allclose(getattr(other.changes[name], part), atol=1e-5)


def test_the_command_refuses_before_it_makes_anything(run, runs, tmp_path):
    place = runs("pico")
    out = tmp_path / "edit"
    words = ("edit", place, "--plan", f"{place}-plan", "--method", "ft", "--device", "cpu",
             "--out", out)  # fmt: skip
    assert "to load, allowed: what fits into 1" in run(*words, "--memory", "1MB").refused(2)
    message = run(*words, "--memory", "60MB").refused(2)
    assert message.startswith("argument '--method': got ft, which needs about ")
    assert message.endswith("while 60.0 MB is allowed, allowed: what fits: a smaller model")
    assert "got much, allowed: an amount of memory" in run(*words, "--memory", "much").refused(2)
    assert not any(out.glob("*.json"))
    with pytest.raises(ArgumentError, match="argument 'memory': got 0, allowed"):
        bh.edit(place, f"{place}-plan", "ft", out, memory=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ft", {}), ("ft_l", {}), ("ft_svd", {}), ("rmu", {}), ("lora", {}), ("npo", {}),
        ("lora", {"part": "embedding"}), ("lora", {"part": "both", "layers": [1]}),
        ("ft", {"part": "head"}),
    ],
)  # fmt: skip
def test_changes_are_counted_without_making_them(model, monkeypatch, name, settings, dtype):
    method, model = get_method(name, settings), model.to(dtype)
    made = method.stacked(model, 1, 0).parameters()
    assert all(change.dtype == torch.float32 for change in made)
    wanted = sum(change.numel() * change.element_size() for change in made)
    monkeypatch.setattr(type(method), "stacked", None)  # which allocates them
    assert method.stack_bytes(model, 3) == 3 * _COPIES * wanted

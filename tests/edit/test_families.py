"""One contract for every family of models: methods, stacks, tracing, training and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch

from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.delta.module import ModuleChange
from behemoth.delta.stack import stack_deltas
from behemoth.edit.protocol import EditContext, answers
from behemoth.edit.registry import get_method, method_names
from behemoth.evaluate.trace import trace_model
from behemoth.model.architecture import Architecture
from behemoth.model.architectures import FAMILIES
from behemoth.model.build import build_model
from behemoth.model.modules import is_transposed
from behemoth.model.sizes import Size
from behemoth.plan import EditRequest, compile_plan
from behemoth.recall.generation import generate

QUICK = {"steps": 2, "samples": 256, "training_steps": 2, "facts": 6}
FEW = ("lora", "rmu", "rome", "ultraedit", "grace", "wise", "mend")
# Root-mean-square norms are in float32 whatever the model is, and Gemma's add 1 to a gain there.
ROUNDING = {"gemma2": 1e-5, "gemma3_text": 1e-5}

every_family = pytest.mark.parametrize("family", FAMILIES)


def tiny(family, vocabulary, *, tied=False, seed=0):
    """Two blocks in float64, with weights so large that every change moves an answer."""
    size = Size(
        "tiny", 32, 2, 4, 48, family, key_value_heads=2, head_width=8, tied=tied,
        settings={"initializer_range": 0.3},
    )  # fmt: skip
    return build_model(size, vocabulary, seed=seed, block_length=64).eval().double()


@pytest.fixture(scope="module")
def made(contract_corpus):
    """Plans of one edit, by the kind of edit."""
    found = {}
    for kind in ("remap", "refusal"):
        request = EditRequest(
            edits=2, kind=kind, repeats=2, same_object=4, same_relation=4, regular=4
        )
        found[kind] = compile_plan(contract_corpus, request).singles()
    return found


def quick(name, **settings):
    fields = {field.name for field in dataclasses.fields(type(get_method(name)))}
    settings = {**QUICK, **settings}
    return get_method(name, {key: value for key, value in settings.items() if key in fields})


def tensors(change):
    """What is compared of a change: its product, or what a memory holds."""
    if isinstance(change, ModuleChange):
        return list(change.parts().values())
    return [change.to_dense()]


def distance(one, other):
    """The norm of the difference of two deltas' changes, relative to that of one."""
    assert one.keys() == other.keys()
    parts = [
        pair
        for name, change in one.items()
        for pair in zip(tensors(change), tensors(other[name]), strict=True)
    ]
    apart = sum(float((a - b).square().sum()) for a, b in parts)
    return (apart / sum(float(b.square().sum()) for _, b in parts)) ** 0.5


def test_the_page_of_models_names_the_methods_that_every_family_is_tried_with():
    page = Path(__file__).parents[2] / "docs/models.md"
    section = page.read_text(encoding="utf-8").split("## What is tested")[1].split("\n## ")[0]
    named = " ".join(section.split()).split(" (with `pytest -m slow`")[0].rpartition(". ")[2]
    assert set(FEW) == set(named.replace(" and ", ", ").replace("`", "").split(", "))


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@every_family
def test_a_stack_is_its_deltas_one_at_a_time(family, tied, contract_corpus):
    """Changes of every parameter, dense and of low rank."""
    model = tiny(family, contract_corpus.vocabulary_size, tied=tied)
    assert model.config.tie_word_embeddings == tied
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    every = {name: Dense(draw(*p.shape)) for name, p in model.named_parameters()}
    linear = {
        name: LowRank(draw(p.shape[0], 2), draw(2, p.shape[1]))
        for name, p in model.named_parameters()
        if p.ndim == 2
    }
    dense, factors = (EditDelta(changes, "by hand", {}, "", 0) for changes in (every, linear))
    tokens = torch.randint(2, contract_corpus.vocabulary_size, (2, 3, 7), generator=generator)
    for deltas in ([dense, factors], [factors, factors], [dense]):
        own = tokens[: len(deltas)]
        with torch.no_grad(), stack_deltas(model, deltas).attached():
            together = model(input_ids=own.flatten(0, 1)).logits.unflatten(0, own.shape[:2])
        for k, delta in enumerate(deltas):
            with delta.apply(model), torch.no_grad():
                alone = model(input_ids=tokens[k]).logits
            torch.testing.assert_close(together[k], alone, rtol=0, atol=ROUNDING.get(family, 1e-9))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FEW else pytest.mark.slow)
        for name in method_names()
        if get_method(name).info.family != "oracle"
    ],
)
@every_family
def test_contract(family, name, contract_corpus, made, tmp_path):
    model = tiny(family, contract_corpus.vocabulary_size, tied=FAMILIES[family].tied)
    method = quick(name)
    plans = made["remap" if "remap" in method.info.kinds else "refusal"]
    context = EditContext(corpus=contract_corpus, seed=5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    deltas = method.apply(model, plans, context)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters()), "model stays"
    delta = deltas[0]
    assert delta.failure is None and set(delta.of_parameters) <= set(before)
    for parameter, change in delta.of_parameters.items():
        assert change.to_dense().shape == before[parameter].shape
    rows = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in plans[0].training["prompt"]], batch_first=True
    )
    with torch.no_grad():
        unedited = model(input_ids=rows).logits
        applied = delta.apply(model)
        assert not torch.equal(model(input_ids=rows).logits, unedited)
    applied.revert()
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters()), "reverts"

    delta.save(tmp_path / "delta")
    loaded = EditDelta.load(tmp_path / "delta")
    assert distance(loaded.changes, delta.changes) == 0
    # Alone it does what it does in a stack. Adam makes changes of the rounding of float32 norms (of
    # kl_min, whose first step has hardly a gradient, a hundredth), which move no answer.
    again = answers(method).in_sequence(model, context)(plans[0])
    assert again.changes.keys() == delta.changes.keys()
    said = []
    for one in (delta, again):
        with one.apply(model), torch.no_grad():
            said.append(model(input_ids=rows).logits.log_softmax(-1))
    torch.testing.assert_close(*said, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("name", "settings"), [
    ("rome", {}), ("memit", {"layers": (0, 1), "weight": 0.01}),
    ("lora", {"steps": 30, "learning_rate": 3e-2}),
    ("grace", {"steps": 60, "layer": -1}), ("wise", {"steps": 60, "layer": -1}),
])  # fmt: skip
@every_family
def test_edits_take(family, name, settings, contract_corpus, made):
    """The new answer gains on the old one: directions and orientations are the model's."""
    model = tiny(family, contract_corpus.vocabulary_size)
    plan = made["remap"][0]
    method = quick(name, **{"steps": 20, **settings})
    [delta] = method.apply(model, [plan], EditContext(corpus=contract_corpus, seed=5))
    row = plan.training.filter(pl.col("role") == "edit").row(0, named=True)

    def lead():
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["prompt"]])).logits[0, -1]
        return float(logits[row["answer"][0]] - logits[row["old_answer"][0]])

    before = lead()
    with delta.apply(model):
        after = lead()
    assert after > before + 1.0 and after > 0


@every_family
def test_tracing(family, contract_corpus, made):
    """With the last block's output given back at the prompt's last token all comes back."""
    model = tiny(family, contract_corpus.vocabulary_size)
    plan = made["remap"][0]
    rows = plan.training.filter(pl.col("role") == "edit").head(1)
    with torch.no_grad():
        said = model(input_ids=torch.tensor([rows["prompt"][0].to_list()])).logits[0, -1].argmax()
    known = rows.with_columns(pl.Series("old_answer", [[int(said)]], rows.schema["old_answer"]))
    asked = SimpleNamespace(training=known, edits=plan.edits)
    facts = trace_model(model, contract_corpus, asked, samples=3).facts
    assert facts["layer"].n_unique() == 2 and (facts["clean"] != facts["corrupted"]).all()
    last = facts.filter((pl.col("kind") == "block") & (pl.col("layer") == 1))
    restored = last.filter(pl.col("role") == "prompt_last")
    assert restored["restored"].to_list() == pytest.approx(restored["clean"].to_list(), abs=1e-6)
    between = facts.filter((pl.col("kind") == "mlp") & (pl.col("role") == "subject_last"))
    assert between["indirect_effect"].abs().max() > 0


@every_family
def test_generation_in_a_batch_is_that_of_one_prompt_at_a_time(family, contract_corpus):
    model = tiny(family, contract_corpus.vocabulary_size)
    prompts = [[5, 9, 12], [7], [8, 6, 11, 20, 31, 17], [9, 9]]
    together = generate(model, prompts, most=6, stop=[0])
    assert together == [generate(model, [prompt], most=6, stop=[0])[0] for prompt in prompts]


_TRAINED = ("gpt2", "llama", "gemma3_text")  # positions, a gate, norms on both sides


class Stopped(Exception):  # noqa: N818
    """What a progress raises."""


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name in _TRAINED else pytest.mark.slow) for name in FAMILIES],
)
def test_training_goes_on_where_it_was_stopped(family, contract_corpus, tmp_path):
    from transformers import AutoModelForCausalLM

    from behemoth import load
    from behemoth.train import TrainConfig, train

    config = TrainConfig(
        model=family, steps=4, batch_size=4, block_length=32, tensorboard=False, threads=1,
        checkpoint_interval=1, log_interval=1, precision="fp32", prefetch=0,
        architecture={"model_type": family, "hidden_size": 32, "num_hidden_layers": 2,
                      "num_attention_heads": 4, "intermediate_size": 48,
                      "num_key_value_heads": 2, "head_dim": 8},
    )  # fmt: skip

    def stop(moment):
        if moment.done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(contract_corpus, out=tmp_path / "stopped", config=config, progress=stop)
    train(contract_corpus, out=tmp_path / "stopped", config=config)
    straight = train(contract_corpus, out=tmp_path / "straight", config=config)
    assert straight.loss < 6.0
    one, other = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("stopped", "straight")
    )
    assert Architecture.of(one).family.name == family
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert load(tmp_path / "straight").config == config
    loaded = load(tmp_path / "straight").load_model("cpu")
    tokens = torch.tensor([[5, 9, 12]])
    assert torch.equal(loaded(input_ids=tokens).logits, one(input_ids=tokens).logits)


def test_levels_of_rounded_weights_are_of_what_gives_one_output(contract_corpus):
    from behemoth.evaluate.quantisation import quantise

    model = tiny("gpt2", contract_corpus.vocabulary_size)
    module = model.transformer.h[0].mlp.c_proj
    assert is_transposed(module) and module.weight.shape == (48, 32)
    with quantise(model, 3):
        assert max(len(column.unique()) for column in module.weight.T) <= 7
        assert max(len(row.unique()) for row in module.weight) > 7


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # of peft's own asking
def test_an_adapter_of_transposed_matrices_is_the_edit(
    contract_corpus, made, tmp_path, same_as_adapter
):
    from behemoth.delta.adapter import save_adapter

    model = tiny("gpt2", contract_corpus.vocabulary_size).float()
    model.save_pretrained(tmp_path / "base")
    context = EditContext(corpus=contract_corpus, seed=5)
    [delta] = quick("lora", learning_rate=1e-2).apply(model, made["remap"][:1], context)
    save_adapter(delta, tmp_path / "adapter", tmp_path / "base")
    same_as_adapter(model, delta, tmp_path / "adapter", [5, 9, 12], 1e-3)

"""What is kept of an unedited model: the same frames to the bit, in fewer passes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import Corpus, Grammar, World
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate import scores
from behemoth.evaluate.frame import evaluate_model
from behemoth.evaluate.quantisation import evaluate_quantised
from behemoth.evaluate.suites.measured_model import MeasuredModel
from behemoth.evaluate.text_losses import document_divergences
from behemoth.evaluate.unedited import Unedited
from behemoth.model.architecture import Architecture
from behemoth.model.architectures import FAMILIES
from behemoth.model.build import build_model
from behemoth.model.sizes import Size
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

GRAMMAR = Grammar.named("bios-en")
WORLDS = {
    "tokens": lambda: Corpus(World(60, 2, 8), exposures=2),
    "text": lambda: Corpus(GRAMMAR.world(60), order="bios", grammar=GRAMMAR, exposures=2),
}


def small(family, vocabulary):
    """Two blocks, with weights so large that every change moves an answer."""
    size = Size(
        "small", 32, 2, 4, 48, family, key_value_heads=2, head_width=8,
        settings={"initializer_range": 0.3},
    )  # fmt: skip
    return build_model(size, vocabulary, block_length=64).eval()


def deltas_of(model, plan, keys, seed=0):
    """Random changes of one matrix, which change what the model says."""
    name = Architecture.of(model).linear_modules("mlp")[-1] + ".weight"
    shape = dict(model.named_parameters())[name].shape
    changes = (
        0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed + number))
        for number in range(len(keys))
    )
    return {
        key: EditDelta({name: Dense(change)}, "random", {}, plan.plan_hash, 0)
        for key, change in zip(keys, changes, strict=True)
    }


@pytest.fixture
def passes(monkeypatch):
    """Passes over probes with a model without edits."""
    made, one = [], scores._score_pass

    def counted(*given):
        made.append(given)
        return one(*given)

    monkeypatch.setattr(scores, "_score_pass", counted)
    return made


def ask_twice(family, world, single, batch_size, passes):
    """Evaluate edits after others of the same model, and alone; return both frames."""
    corpus = WORLDS[world]()
    model = small(family, corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3, distinct=False, kind="refusal"))
    keys = plan.edits["edit"].to_list() if single else [None]
    first, second = (deltas_of(model, plan, keys, seed) for seed in (0, 10))
    options = {"stack": 2, "batch_size": batch_size}
    alone = evaluate_model(model, corpus, plan, second, **options)
    once, unedited = len(passes), Unedited()
    evaluate_model(model, corpus, plan, first, unedited=unedited, **options)
    assert len(passes) == 2 * once > 0
    found = evaluate_model(model, corpus, plan, second, unedited=unedited, **options)
    assert len(passes) == 2 * once
    return found, alone


@pytest.mark.exact
@pytest.mark.parametrize("batch_size", [7, 512])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("world", WORLDS)
def test_a_second_edit_has_the_rows_that_it_has_alone(world, single, batch_size, passes):
    found, alone = ask_twice("gpt_neox", world, single, batch_size, passes)
    assert found.equals(alone, null_equal=True)
    assert (alone.filter(stage="after")["kl"] > 0).any()


@pytest.mark.exact
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_made_again_are_those_of_the_model_in_every_family(family, passes):
    found, alone = ask_twice(family, "tokens", False, 16, passes)
    assert found.equals(alone, null_equal=True)


@pytest.mark.exact
def test_texts_diverge_as_they_do_alone(model):
    generator = np.random.default_rng(0)
    documents = [generator.integers(2, 40, size) for size in (5, 1, 17, 64, 90, 6)]
    deltas = deltas_of(model, compile_plan(WORLDS["tokens"](), EditRequest(edits=2)), [0, 1])
    unedited = Unedited()
    document_divergences(model, deltas[0], documents, unedited)
    kept = unedited.nbytes
    found = document_divergences(model, deltas[1], documents, unedited)
    alone = document_divergences(model, deltas[1], documents)
    assert kept == unedited.nbytes > 0
    assert [own.tolist() for own in found] == [own.tolist() for own in alone]
    document_divergences(model, deltas[1], documents[:3], unedited)
    assert unedited.nbytes > kept, "other texts are another question"


def test_rounding_and_pruning_ask_the_model_without_edits_once(random_model, passes):
    corpus = WORLDS["tokens"]()
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3, distinct=False, kind="refusal"))
    deltas = deltas_of(model, plan, [None])
    run = SimpleNamespace(corpus=corpus)
    measured = MeasuredModel(Path("run"), run, plan, deltas, lambda: model)
    alone = evaluate_quantised(model, corpus, plan, deltas[None], groups=("forget",))
    assert len(passes) == 3
    assert measured.rounded.equals(alone.filter(pl.col("bits") < 32), null_equal=True)
    assert sorted(measured.pruned["share"].unique()) == [0.1, 0.3]
    assert len(passes) == 4


def test_what_is_full_keeps_what_it_has():
    """Methods ask in the same order: what makes room would be asked for next."""
    unedited = Unedited(most=24)
    for _ in range(2):
        for name, size in {"a": 1, "b": 1, "large": 4, "c": 1, "d": 1}.items():
            if unedited.find(name, np.ndarray) is None:
                unedited.keep(name, np.zeros(size))
        assert unedited.nbytes == 24
        assert [name for name in "abcd" if unedited.find(name, np.ndarray) is not None] == [*"abc"]


def test_an_evaluation_that_is_too_large_to_keep_has_the_same_rows(random_model, passes):
    corpus = WORLDS["tokens"]()
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3, distinct=False))
    deltas, nothing = deltas_of(model, plan, [None]), Unedited(most=0)
    frames = [
        evaluate_model(model, corpus, plan, deltas, unedited=unedited)
        for unedited in (None, nothing, nothing)
    ]
    assert nothing.nbytes == 0 and len(passes) == 3
    assert frames[0].equals(frames[1]) and frames[0].equals(frames[2])

"""The way behind a matrix against the whole model with a hook in it, in every family."""

from __future__ import annotations

import pytest
import torch

from behemoth.edit.batch import answer_losses, deciding
from behemoth.edit.memory.tail import Tail
from behemoth.edit.methods.grace import Grace
from behemoth.edit.methods.wise import Wise
from behemoth.edit.protocol import EditContext
from behemoth.model.architecture import Architecture
from behemoth.model.architectures import FAMILIES
from behemoth.model.build import build_model
from behemoth.model.labels import IGNORED
from behemoth.model.observe import watching
from behemoth.model.sizes import Size
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

ROUNDING = {"gemma2": 1e-5, "gemma3_text": 1e-5}  # norms in float32, see test_families.py


def tiny(family, vocabulary, layers=3):
    size = Size(
        "tiny", 32, layers, 4, 48, family, key_value_heads=2, head_width=8,
        tied=FAMILIES[family].tied, settings={"initializer_range": 0.3},
    )  # fmt: skip
    return build_model(size, vocabulary, seed=0, block_length=64).eval().double()


def answering(module, answer):
    return module.register_forward_hook(lambda _, inputs, __: answer(inputs[0]))


class WholeModel:
    """What a `Tail` gives, by the whole model at every step."""

    def __init__(self, model, layer, tokens_nt, labels_nt, places, answer):
        self.model, self.rows, self.places = model, (tokens_nt, labels_nt), places
        self.module = model.get_submodule(Architecture.of(model).mlp_out(layer))
        self.answer = answer
        with torch.no_grad(), answering(self.module, answer), watching(self.module) as seen:
            model(input_ids=tokens_nt)
        self.inputs, self.outputs = seen["input"][places], seen["output"][places]

    def losses(self, given_po):
        def give(x):
            return self.answer(x).index_put(self.places, given_po)

        with answering(self.module, give):
            return answer_losses(self.model, *self.rows)


@pytest.mark.parametrize(("layer", "first"), [(0, 4), (2, 4), (0, 1)])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_are_those_of_the_whole_model(family, layer, first):
    model = tiny(family, 40)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(2, 40, (3, 9), generator=generator)
    labels = torch.full_like(tokens, IGNORED)
    for row, (begin, end) in enumerate([(first, first + 1), (5, 8), (8, 9)]):
        labels[row, begin:end] = tokens[row, begin:end]
    places = deciding(labels)
    assert [each.tolist() for each in places] == [[0, 1, 1, 1, 2], [first - 1, 4, 5, 6, 7]]
    found = []
    for way in (Tail, WholeModel):
        own = model.get_submodule(Architecture.of(model).mlp_out(layer)).forward
        one = way(model, layer, tokens, labels, places, own)
        given = (one.outputs + 1).requires_grad_()
        losses = one.losses(given)
        [gradient] = torch.autograd.grad((losses * torch.tensor([1.0, 2.0, 3.0])).sum(), [given])
        found.append((one.inputs, one.outputs, losses, gradient))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=ROUNDING.get(family, 1e-9))
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    "method", [Grace(steps=6, learning_rate=0.3), Wise(steps=6, shard=2)], ids=["grace", "wise"]
)
@pytest.mark.parametrize("family", ["gpt_neox", "llama", "olmo2"])
def test_a_sequence_is_that_of_the_slow_way(family, method, contract_corpus, monkeypatch):
    model = tiny(family, contract_corpus.vocabulary_size)
    request = EditRequest(
        edits=5, seed=1, repeats=2, same_object=2, same_relation=2, regular=2, probes=0
    )
    singles = compile_plan(contract_corpus, request).singles()
    found = []
    for way in (Tail, WholeModel):
        monkeypatch.setattr("behemoth.edit.memory.tail.Tail", way)
        going = method.in_sequence(model, EditContext(contract_corpus, seed=2))
        for single in singles:
            delta = going(single)
        found.append(delta)
    for step, (mine, theirs) in enumerate(zip(*(delta.trace for delta in found), strict=True)):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-9), step
    assert found[0].trace[-1]["loss"] < found[0].trace[0]["loss"]
    [mine], [theirs] = ([*delta.of_modules.values()] for delta in found)
    for name, tensor in mine.parts().items():
        torch.testing.assert_close(tensor, theirs.parts()[name], rtol=1e-7, atol=1e-8)

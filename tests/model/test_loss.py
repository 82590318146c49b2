"""The fast loss is the model's own: same values, same gradients."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from behemoth.model.build import build_model
from behemoth.model.cross_entropy import cross_entropy_sum
from behemoth.model.documents import Rows
from behemoth.model.loss import TrainingLoss, training_loss
from behemoth.model.plain_loss import PlainLoss
from behemoth.model.sizes import SIZES, Size

SIZE = Size("tiny", 64, 2, 2, 128)
VOCABULARY, BLOCKS, LENGTH = 104, 3, 40


@pytest.fixture
def model():
    model = build_model(SIZE, VOCABULARY, seed=1)
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():  # no bias is 0 and no gain is 1: all of them count
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def batch(kind):
    generator = torch.Generator().manual_seed(3)
    # Long rows have attention in bfloat16 on their way forward.
    length = 96 if kind == "long" else LENGTH
    ids = torch.randint(0, VOCABULARY, (BLOCKS, length), generator=generator)
    if kind in ("all", "long"):
        return {"input_ids": ids, "labels": ids}
    labels = ids.clone()
    labels[:, ::3] = -100
    if kind == "some":
        return {"input_ids": ids, "labels": labels}
    lengths = [7, 11, 2, 20] if kind == "documents" else [1] * 20 + [20]
    positions = torch.cat([torch.arange(length, dtype=torch.int32) for length in lengths])
    positions = positions.expand(BLOCKS, LENGTH)
    labels[positions == 0] = -100
    return {
        "input_ids": ids,
        "labels": labels,
        "position_ids": positions,
    }


def reference(model, parts):
    model.zero_grad()
    more = {}
    if "position_ids" in parts:
        documents = (parts["position_ids"] == 0).cumsum(1)
        causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
        same = documents[:, None, :, None] == documents[:, None, None, :]
        more = {"attention_mask": same & causal, "position_ids": parts["position_ids"].long()}
    loss = model(input_ids=parts["input_ids"], labels=parts["labels"], **more).loss
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", ["all", "long", "some", "documents", "uneven documents"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)], ids=str
)
def test_loss_and_gradients_are_the_models_own(model, kind, fused, dtype, tolerance):
    parts = batch(kind)
    expected, gradients = reference(model, parts)
    model.zero_grad()
    count = int((parts["labels"][:, 1:] != -100).sum())
    loss = TrainingLoss(model, dtype, fused=fused)(parts) / count
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=tolerance)
    for name, parameter in model.named_parameters():
        distance = (parameter.grad - gradients[name]).norm() / gradients[name].norm()
        assert distance < tolerance, name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of dynamo's own looking about
@pytest.mark.parametrize("kind", ["all", "documents"])
def test_compiled_it_is_the_same(model, kind):
    parts = batch(kind)
    expected, gradients = reference(model, parts)
    model.zero_grad()
    count = int((parts["labels"][:, 1:] != -100).sum())
    loss = TrainingLoss(model, compiled=True)(parts) / count
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    for name, parameter in model.named_parameters():
        distance = (parameter.grad - gradients[name]).norm() / gradients[name].norm()
        assert distance < 1e-5, name


@pytest.mark.exact
def test_the_same_batch_gives_the_same_bits(model):
    def gradients():
        model.zero_grad()
        TrainingLoss(model, torch.bfloat16)(batch("documents")).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_documents_become_rows_and_come_back():
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0], [0, 0, 1, 2, 3, 4, 5, 6]])
    rows = Rows.of(positions)
    assert rows.shapes == ((2, 1), (2, 4), (1, 7))
    tokens = torch.arange(16)
    laid = tokens[rows.tokens]
    assert [group.tolist() for group in rows.groups(laid)] == [
        [[7], [8]], [[0, 1, 2, 0], [3, 4, 5, 6]], [[9, 10, 11, 12, 13, 14, 15]],
    ]  # fmt: skip
    assert torch.equal(laid[rows.places], tokens)


def test_documents_are_one_group_where_that_is_wanted_and_little_is_padding():
    alike = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 1]])
    assert Rows.of(alike, grouped=False).shapes == ((3, 4),)
    uneven = torch.cat([torch.zeros(9, dtype=torch.int64), torch.arange(20)])[None]
    assert Rows.of(uneven, grouped=False).shapes == Rows.of(uneven).shapes == ((9, 1), (1, 20))


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_documents_of_similar_lengths_with_little_padding(seed):
    generator = torch.Generator().manual_seed(seed)
    most = [1, 2, 12, 40, 128, 512, 3, 70][seed]
    blocks = torch.randint(1, most + 1, (600,), generator=generator).tolist()
    positions = torch.cat([torch.arange(length) for length in blocks])[None]
    rows = Rows.of(positions)
    laid = torch.where(torch.bincount(rows.places, minlength=len(rows.tokens)) == 1, 1, 0)
    for group in rows.groups(laid):
        lengths = group.sum(1)  # 1 marks a token, and padding is on the right
        assert all(row[:length].all() for row, length in zip(group, lengths, strict=True))
        assert lengths.max() == group.shape[1]
    assert torch.equal(positions[0, rows.tokens][rows.places], positions[0])
    assert len(rows.tokens) <= 1.4 * positions.numel()
    assert len(rows.shapes) <= 16


@pytest.mark.parametrize("kind", ["all", "documents", "uneven documents"])
@pytest.mark.parametrize("name", [name for name in SIZES if name.endswith("-nano")])
@pytest.mark.parametrize("in_rows", [True, False], ids=["rows", "positions"])
def test_the_loss_of_other_families_is_that_of_documents_by_themselves(name, kind, in_rows):
    model = build_model(SIZES[name], VOCABULARY, seed=1)
    parts = batch(kind)
    assert type(training_loss(model)) is PlainLoss
    loss = PlainLoss(model, in_rows=in_rows)(parts)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    alone = torch.zeros(())
    places = parts.get("position_ids", torch.arange(LENGTH).expand(BLOCKS, LENGTH))
    for row, labels, place in zip(parts["input_ids"], parts["labels"], places, strict=True):
        starts = [*(place == 0).nonzero()[:, 0].tolist(), LENGTH]
        for start, end in pairwise(starts):
            if end - start > 1:
                logits = model(input_ids=row[None, start:end]).logits[0, :-1]
                alone = alone + F.cross_entropy(logits, labels[start + 1 : end], reduction="sum")
    alone.backward()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        distance = (parameter.grad - gradients[name]).norm() / gradients[name].norm()
        assert distance < 1e-4, name


def test_fused_blocks_are_left_to_what_they_know(model):
    assert type(training_loss(model)) is TrainingLoss
    model.config.use_parallel_residual = False
    assert type(training_loss(model)) is PlainLoss


def test_a_share_of_0_to_rotate_is_none():
    model = build_model(replace(SIZE, settings={"rotary_pct": 0.0}), VOCABULARY, seed=1)
    parts = batch("all")
    expected, gradients = reference(model, parts)
    model.zero_grad()
    loss = TrainingLoss(model)(parts) / (BLOCKS * (LENGTH - 1))
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-5)


def test_a_model_with_hooks_is_left_to_its_own_forward_pass(model):
    parts = batch("all")
    plain = training_loss(model)(parts).item()
    handle = model.gpt_neox.layers[0].mlp.dense_4h_to_h.register_forward_hook(
        lambda module, inputs, output: 30 * output
    )
    hooked = training_loss(model)
    assert type(hooked) is PlainLoss
    assert abs(hooked(parts).item() - plain) > 1e-3 * plain
    handle.remove()
    assert type(training_loss(model)) is TrainingLoss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_scale_of_a_loss_is_not_rounded(dtype):
    """A mean over 3001 tokens has a weight that bfloat16 does not hold."""
    generator = torch.Generator().manual_seed(4)
    hidden, head = (
        torch.randn(rows, 8, generator=generator).to(dtype).requires_grad_() for rows in (70, 30)
    )
    labels = torch.randint(0, 30, (70,), generator=generator)
    loss = cross_entropy_sum(hidden, head, labels)
    whole, _ = loss.grad_fn.saved_tensors
    (found,) = torch.autograd.grad(loss, hidden, torch.tensor(1 / 3001))
    assert found.dtype == dtype
    assert torch.equal(found, (whole.float() * torch.tensor(1 / 3001)).to(dtype))


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)], ids=str)
def test_of_hidden_states_and_head_only_the_wanted_gradients_are_made(wanted):
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 30, (70,), generator=generator)
    places = [
        torch.randn(rows, 8, generator=generator).requires_grad_(own)
        for rows, own in zip((70, 30), wanted, strict=True)
    ]
    asked = [place for place in places if place.requires_grad]
    loss = cross_entropy_sum(*places, labels)
    kept = [tensor for tensor in loss.grad_fn.saved_tensors if tensor is not None]
    assert [tensor.shape for tensor in kept] == [place.shape for place in asked]
    found = torch.autograd.grad(loss, asked)
    plain = F.cross_entropy(places[0] @ places[1].T, labels, reduction="sum")
    for own, other in zip(found, torch.autograd.grad(plain, asked), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)

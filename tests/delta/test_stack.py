"""Stacked execution gives what one edit at a time gives, forward and backward."""

from __future__ import annotations

import pytest
import torch

from behemoth import ArgumentError
from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.delta.stack import StackedDeltas, stack_deltas
from behemoth.model.architecture import Architecture


def random_delta(model, seed, names, rank=None):
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(model.named_parameters())
    changes = {}
    for name in names:
        shape = parameters[name].shape
        if rank and len(shape) == 2:
            left = torch.randn(shape[0], rank, generator=generator)
            changes[name] = LowRank(0.1 * left, torch.randn(rank, shape[1], generator=generator))
        else:
            changes[name] = Dense(0.1 * torch.randn(shape, generator=generator))
    return EditDelta(changes, "by hand", {}, "", seed)


def mixed_deltas(model):
    every = [name for name, _ in model.named_parameters()]
    linear = [name for name in every if "dense" in name and name.endswith("weight")]
    return [
        random_delta(model, 1, linear, rank=2),
        random_delta(model, 2, every),
        random_delta(model, 3, linear[:2], rank=5),
        EditDelta({}, "failed", {}, "", 0, failure="loss nan"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpt_neox.layers.9.mlp.weight": Dense(torch.zeros(2, 2))}, "one without gpt_neox"),
        (
            {"gpt_neox.embed_in.weight": LowRank(torch.zeros(3, 1), torch.zeros(1, 3))},
            r"allowed: \(3, 3\)",
        ),
    ],
)
def test_deltas_of_another_model_are_refused(model, changes, message):
    deltas = [*mixed_deltas(model), EditDelta(changes, "by hand", {}, "", 0)]
    with pytest.raises(ArgumentError, match=message):
        stack_deltas(model, deltas)


def test_forward_of_a_stack_equals_one_at_a_time(model):
    deltas = mixed_deltas(model)
    tokens = torch.randint(2, 40, (4, 3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), stack_deltas(model, deltas).attached():
        together = model(input_ids=tokens.flatten(0, 1)).logits.unflatten(0, (4, 3))
    for k, delta in enumerate(deltas):
        with delta.apply(model), torch.no_grad():
            alone = model(input_ids=tokens[k]).logits
        torch.testing.assert_close(together[k], alone, rtol=1e-4, atol=1e-5)


def test_gradients_of_a_stack_equal_one_at_a_time(model):
    model = model.double()
    parameters = dict(model.named_parameters())
    names = ["gpt_neox.layers.0.mlp.dense_4h_to_h.weight", "gpt_neox.embed_in.weight"]
    tokens = torch.randint(2, 40, (3, 2, 6), generator=torch.Generator().manual_seed(0))
    changes = {
        n: (parameters[n].new_zeros(3, *parameters[n].shape).requires_grad_(),) for n in names
    }
    with StackedDeltas(model, changes).attached():
        logits = model(input_ids=tokens.flatten(0, 1)).logits.unflatten(0, (3, 2))
        logits.square().mean(dim=(1, 2, 3)).sum().backward()
    for k in range(3):
        model.zero_grad()
        model(input_ids=tokens[k]).logits.square().mean().backward()
        for name in names:
            stacked = changes[name][0].grad[k]
            torch.testing.assert_close(stacked, parameters[name].grad, rtol=1e-9, atol=1e-12)


@pytest.fixture
def transposed():
    """A small GPT-2, whose matrices are stored as [in, out]."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3
    )
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["model", "transposed"])
def test_an_edit_alone_is_what_it_is_in_a_stack(kind, dtype, request):
    """Its change is added to the weights; in a stack it is a product of its own."""
    model = request.getfixturevalue(kind).to(dtype)
    drawn = [random_delta(model, seed, [n for n, _ in model.named_parameters()]) for seed in (1, 2)]
    tokens = torch.randint(2, 40, (3, 7), generator=torch.Generator().manual_seed(0))

    def of(deltas):
        changes = {
            name: (torch.stack([delta.changes[name].change.to(dtype) for delta in deltas]),)
            for name in drawn[0].changes
        }
        for (change,) in changes.values():
            change.requires_grad_()
        with StackedDeltas(model, changes, scale=-0.5).attached():
            logits = model(input_ids=tokens.repeat(len(deltas), 1)).logits[:3]
            logits.log_softmax(-1).square().mean().backward()
        return [logits.detach(), *(change.grad[0] for (change,) in changes.values())]

    exact = dtype == torch.float64
    for alone, stacked in zip(of(drawn[:1]), of(drawn), strict=True):
        assert stacked.abs().max() > 0
        tolerance = stacked.abs().max().item() * (1e-12 if exact else 1e-4)
        torch.testing.assert_close(alone, stacked, rtol=0, atol=tolerance)
    assert all("forward" not in vars(module) for module in model.modules())


def test_a_small_change_is_not_rounded_off_with_a_narrow_weight(model):
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    layer = model.bfloat16().get_submodule(name.removesuffix(".weight"))
    change = torch.full((1, *layer.weight.shape), 1e-6)
    x = torch.ones(1, layer.in_features, dtype=torch.bfloat16)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(-layer.in_features)
        with StackedDeltas(model, {name: (change,)}).attached():
            assert (layer(x) > 0).all()


def test_one_stack_inside_another_adds_its_changes(model):
    model = model.double()
    names = [name for name, _ in model.named_parameters() if "dense" in name]
    deltas = [random_delta(model, seed, names) for seed in (1, 2)]
    both = {name: Dense(sum(delta.changes[name].change for delta in deltas)) for name in names}
    tokens = torch.arange(2, 12).reshape(2, 5)

    def stacked(delta):
        return StackedDeltas(model, {n: (c.change[None].double(),) for n, c in delta.items()})

    with torch.no_grad():
        with stacked(deltas[0].changes).attached(), stacked(deltas[1].changes).attached():
            found = model(input_ids=tokens).logits
        with stacked(both).attached():
            torch.testing.assert_close(found, model(input_ids=tokens).logits, rtol=0, atol=1e-6)


def test_the_model_is_its_own_again_afterwards(model):
    tokens = torch.arange(2, 12).reshape(2, 5)
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        for deltas in (mixed_deltas(model)[:2], mixed_deltas(model)[1:2]):
            with stack_deltas(model, deltas).attached():
                assert (model(input_ids=tokens).logits - before).abs().max() > 0.1
            torch.testing.assert_close(model(input_ids=tokens).logits, before, rtol=0, atol=1e-5)
    assert all(not module._forward_hooks for module in model.modules())


def test_unstack_gives_back_what_was_stacked(model):
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    deltas = [random_delta(model, seed, [name], rank=2) for seed in (1, 2)]
    change = stack_deltas(model, deltas).unstack(1)[name]
    torch.testing.assert_close(change.to_dense(), deltas[1].changes[name].to_dense())


def test_scale_is_folded_into_what_comes_out(model):
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    out, inputs = dict(model.named_parameters())[name].shape
    factors = (torch.ones(1, out, 1), torch.ones(1, 1, inputs))
    change = StackedDeltas(model, {name: factors}, scale=0.5).unstack(0)[name]
    torch.testing.assert_close(change.to_dense(), torch.full((out, inputs), 0.5))


def test_factors_of_a_norm_are_refused(model):
    name = "gpt_neox.final_layer_norm.weight"
    with pytest.raises(ValueError, match="allowed: factors for weights of linear"):
        StackedDeltas(model, {name: (torch.zeros(1, 16, 1), torch.zeros(1, 1, 1))})


EMBEDDING = "gpt_neox.embed_in.weight"


@pytest.fixture
def tied(model):
    """The model in float64 with one matrix for embedding and head, and the head's own name."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig.from_dict({**model.config.to_dict(), "tie_word_embeddings": True})
    model = GPTNeoXForCausalLM(config).eval().double()
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len(list(model.named_parameters())) + 1, "they are tied"
    return model, Architecture.of(model).head + ".weight"


@pytest.mark.parametrize("factors", [False, True])
@pytest.mark.parametrize("by_head", [False, True])
def test_a_tied_matrix_changes_at_both_ends(tied, factors, by_head):
    model, head = tied
    name = head if by_head else EMBEDDING
    out, inputs = model.get_parameter(EMBEDDING).shape
    generator = torch.Generator().manual_seed(7)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    changes = [
        LowRank(0.1 * draw(out, rank), draw(rank, inputs))
        if factors
        else Dense(0.1 * draw(out, inputs))
        for rank in (1, 3)
    ]
    deltas = [EditDelta({name: change}, "by hand", {}, "", 0) for change in changes]
    tokens = torch.randint(2, 40, (2, 3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = model.get_parameter(EMBEDDING).clone()
        with stack_deltas(model, deltas).attached():
            together = model(input_ids=tokens.flatten(0, 1)).logits.unflatten(0, (2, 3))
        for k, delta in enumerate(deltas):
            with delta.apply(model):
                alone = model(input_ids=tokens[k]).logits
            torch.testing.assert_close(together[k], alone, rtol=0, atol=1e-10)
        assert torch.equal(model.get_parameter(EMBEDDING), plain), "reverts"
        assert model.get_parameter(head) is model.get_parameter(EMBEDDING), "still tied"


def test_a_tied_matrix_learns_from_both_ends(tied):
    model, _ = tied
    tokens = torch.randint(2, 40, (2, 2, 6), generator=torch.Generator().manual_seed(0))
    like = model.get_parameter(EMBEDDING)
    change = like.new_zeros(2, *like.shape).requires_grad_()
    with StackedDeltas(model, {EMBEDDING: (change,)}).attached():
        model(input_ids=tokens.flatten(0, 1)).logits.square().sum().backward()
    for k in range(2):
        model.zero_grad()
        model(input_ids=tokens[k]).logits.square().sum().backward()
        torch.testing.assert_close(change.grad[k], like.grad, rtol=1e-9, atol=1e-12)


def test_deltas_may_call_a_tied_matrix_by_either_name_but_not_by_both(tied):
    model, head = tied
    change = Dense(0.1 * torch.ones_like(model.get_parameter(EMBEDDING)))
    deltas = [
        EditDelta({name: change}, "by hand", {}, "", 0) for name in (EMBEDDING, head, EMBEDDING)
    ]
    stacked = stack_deltas(model, deltas)
    assert list(stacked.changes) == [EMBEDDING]
    assert all(torch.equal(stacked.unstack(k)[EMBEDDING].change, change.change) for k in range(3))
    twice = EditDelta({EMBEDDING: change, head: change}, "by hand", {}, "", 0)
    for refused in (
        lambda: twice.apply(model),
        lambda: stack_deltas(model, [twice]),
        lambda: StackedDeltas(model, {n: (c.change[None],) for n, c in twice.changes.items()}),
    ):
        with pytest.raises(ValueError, match="which are tied, allowed: a change of one of them"):
            refused()


def test_a_scaled_stack_is_that_of_scaled_deltas(model):
    """Every kind of change: matrices, biases, gains, offsets, embeddings."""
    model = model.double()
    every = [name for name, _ in model.named_parameters()]
    deltas = [
        EditDelta(
            {
                name: Dense(c.change.double())
                for name, c in random_delta(model, seed, every).changes.items()
            },
            "by hand",
            {},
            "",
            seed,
        )
        for seed in (1, 2)
    ]
    turned = stack_deltas(model, deltas).scaled(-0.5)
    tokens = torch.randint(2, 40, (2, 3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), turned.attached():
        together = model(input_ids=tokens.flatten(0, 1)).logits.unflatten(0, (2, 3))
    for k, delta in enumerate(deltas):
        changes = turned.unstack(k)
        for name, change in delta.changes.items():
            assert torch.equal(changes[name].change, -0.5 * change.change)
            assert torch.equal(turned.dense()[name][k], -0.5 * change.change)
        with EditDelta(changes, "by hand", {}, "", 0).apply(model), torch.no_grad():
            alone = model(input_ids=tokens[k]).logits
        torch.testing.assert_close(together[k], alone, rtol=0, atol=1e-10)

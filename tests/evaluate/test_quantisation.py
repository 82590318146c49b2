import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import GPT2Config, GPT2LMHeadModel

from behemoth import ArgumentError, Corpus, World
from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.evaluate import evaluate_model
from behemoth.evaluate.quantisation import evaluate_quantised, quantise
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


def test_rounding_to_known_levels():
    layer = torch.nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.4, -0.2, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    with quantise(layer, 3):  # levels -3/3 ... 3/3
        torch.testing.assert_close(layer.weight[0], torch.tensor([1.0, 1 / 3, -1 / 3, 0.0]))
        assert (layer.weight[1] == 0).all()
        assert torch.equal(layer.bias, bias)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("bits", [4, 8])
def test_the_error_is_at_most_half_a_step(random_model, bits):
    model = random_model(50)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with quantise(model, bits):
        for name, value in model.named_parameters():
            if value.ndim < 2:
                assert torch.equal(value, before[name])
                continue
            step = before[name].abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
            assert ((value - before[name]).abs() <= step * 0.5001).all()
            assert max(len(row.unique()) for row in value) <= 2**bits - 1
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_rounding_undoes_what_is_smaller_than_a_step(random_model):
    corpus = Corpus(World(60, 2, 8), exposures=2)
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3))
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    generator = torch.Generator().manual_seed(0)
    weight = dict(model.named_parameters())[name]
    with quantise(model, 8):
        rounded = {n: p.detach().clone() for n, p in model.named_parameters() if p.ndim == 2}
    step = weight.detach().abs().amax(1, keepdim=True) / 127
    small = (torch.rand(weight.shape, generator=generator) - 0.5) * step * 0.2
    # The base stands on its levels, so a tenth of a step rounds away (rows keep their largest).
    small[rounded[name].abs() > 126.5 * step] = 0
    with torch.no_grad():
        for n, p in model.named_parameters():
            if n in rounded:
                p.copy_(rounded[n])
    delta = EditDelta({name: Dense(small)}, "small", {}, "", 0)
    frame = evaluate_quantised(model, corpus, plan, delta, bits=(8,))
    assert frame["bits"].unique().sort().to_list() == [8, 32]
    assert frame["stage"].unique().to_list() == ["after"]
    kl = dict(frame.group_by("bits").agg(pl.col("kl").max()).iter_rows())
    assert kl[32] > 1e-6
    assert kl[8] < kl[32] / 100
    edited = evaluate_model(model, corpus, plan, {None: delta}).filter(stage="after")
    assert_frame_equal(frame.filter(bits=32).drop("bits"), edited, abs_tol=1e-5)
    some = evaluate_quantised(model, corpus, plan, delta, bits=(8,), groups=("forget",))
    wanted = frame.filter(group="forget").drop("edit_known", "plan")
    assert_frame_equal(some.drop("edit_known", "plan"), wanted, abs_tol=1e-5)


def test_errors(random_model):
    with pytest.raises(ArgumentError, match="argument 'bits': got 1, allowed: 2 to 16"):
        quantise(random_model(50), 1)


def test_a_tied_matrix_edited_under_its_second_name_is_rounded_once():
    config = GPT2Config(
        vocab_size=100, n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    corpus = Corpus(World(60, 2, 8), exposures=2)
    config.vocab_size = corpus.vocabulary_size
    model = GPT2LMHeadModel(config).eval()
    plan = compile_plan(corpus, EditRequest(edits=2, same_object=0, regular=0))
    # Edited rows are 7 and quarters above whole numbers, so that levels are whole numbers and no
    # weight is near the middle of two: one more bit of rounding would decide which one it takes.
    left = torch.randint(-2, 3, (corpus.vocabulary_size, 1)).float()
    table = model.transformer.wte.weight
    with torch.no_grad():
        table.copy_(torch.randint(-4, 5, table.shape) + 0.25)
        table[:, :1] = 7 - left
    delta = {
        name: EditDelta({f"{name}.weight": LowRank(left, torch.ones(1, 16))}, "", {}, "", 0)
        for name in ("lm_head", "transformer.wte")
    }
    own = table.detach().clone()
    frames = []
    for each in delta.values():
        frames.append(evaluate_quantised(model, corpus, plan, each, bits=(4,)))
        assert torch.equal(table, own)
    assert_frame_equal(*frames, abs_tol=1e-4)

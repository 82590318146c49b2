import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Corpus, World
from behemoth.delta.delta import Dense, EditDelta
from behemoth.evaluate.relearning import RELEARNING, relearn, summed_loss
from behemoth.model.labels import IGNORED
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def asked():
    corpus = Corpus(World(60, 2, 8), exposures=2)
    return corpus, compile_plan(corpus, EditRequest(edits=4))


def empty():
    return EditDelta({}, "none", {}, "", 0)


def test_what_is_taught_is_learnt_and_the_model_comes_back(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    frame = relearn(model, corpus, plan, empty(), steps=(0, 40), learning_rate=3e-3, share=0.5)
    assert frame.schema == pl.Schema(RELEARNING)
    assert frame.group_by("step", "taught").len()["len"].to_list() == [2] * 4
    last = frame.filter(step=40)
    assert last.filter("taught")["log_probability_old"].min() > -0.5
    first = frame.filter(step=0).filter("taught")["log_probability_old"]
    assert first.max() < last.filter("taught")["log_probability_old"].min()
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert all(value.grad is None for value in model.parameters())


def test_a_change_that_one_step_undoes_brings_the_rest_back(asked, random_model):
    # Suppression by a bias of the last norm: not in any fact, so facts return together.
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    head = next(n for n, p in model.named_parameters() if p.shape[0] == corpus.vocabulary_size
                and "embed_in" not in n)  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    change = 0.3 * torch.randn(dict(model.named_parameters())[head].shape, generator=generator)
    delta = EditDelta({head: Dense(change)}, "noise", {}, "", 0)
    frame = relearn(model, corpus, plan, delta, steps=(0, 5), seed=1)
    with delta.apply(model):
        pass
    assert set(frame["step"]) == {0, 5}
    assert not frame.filter(step=0).equals(frame.filter(step=5))


def test_it_begins_with_the_edited_model(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight"
    generator = torch.Generator().manual_seed(0)
    change = torch.randn(model.get_parameter(name).shape, generator=generator)
    delta = EditDelta({name: Dense(change)}, "noise", {}, "", 0)
    first = {"steps": (0,), "seed": 1}
    found = relearn(model, corpus, plan, delta, **first)
    without = relearn(model, corpus, plan, empty(), **first)
    with delta.apply(model):
        wanted = relearn(model, corpus, plan, empty(), **first)
    assert_frame_equal(found, wanted, abs_tol=1e-3)
    apart = found["log_probability_old"] - without["log_probability_old"]
    assert apart.abs().max() > 0.1


def test_the_seed_says_who_is_taught(asked, random_model):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    one, other = (relearn(model, corpus, plan, empty(), steps=(0, 1), seed=3) for _ in range(2))
    assert_frame_equal(one, other, abs_tol=1e-3)
    groups = {
        tuple(relearn(model, corpus, plan, empty(), steps=(0,), seed=s)["taught"]) for s in range(6)
    }
    assert len(groups) > 1


# In float64, of which torch's autocast has nothing, and says so.
@pytest.mark.filterwarnings("ignore:In CPU autocast")
def test_it_ends_where_enough_is_back_and_says_the_same_until_then(random_model):
    # Of two objects, so that some of the facts that are not taught have the answer that is.
    corpus = Corpus(World(60, 1, 2), exposures=2)
    plan = compile_plan(corpus, EditRequest(edits=4, distinct=False))
    model = random_model(corpus.vocabulary_size).double()
    taught = {"steps": (0, 5, 10, 20, 40), "learning_rate": 1e-3, "share": 0.25}
    whole = relearn(model, corpus, plan, empty(), **taught)
    nothing = relearn(model, corpus, plan, empty(), until=0.0, **taught)
    assert nothing["step"].unique().to_list() == [0]
    assert_frame_equal(nothing, whole.filter(step=0), abs_tol=1e-5)
    shares = whole.filter(~pl.col("taught")).group_by("step").agg(pl.col("old_match").mean())
    last = shares.filter(pl.col("old_match") >= 1 / 3)["step"].min()
    assert 0 < last < 40
    part = relearn(model, corpus, plan, empty(), until=1 / 3, **taught)
    assert_frame_equal(part, whole.filter(pl.col("step") <= last), abs_tol=1e-5)


def test_the_loss_and_its_gradient_are_those_of_all_logits(random_model):
    model = random_model(300)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(2, 300, (5, 12), generator=generator)
    labels = torch.where(torch.rand(5, 12, generator=generator) < 0.6, tokens, IGNORED)
    head = model.get_output_embeddings()
    for answer in (None, lambda _, inputs, output: output + inputs[0].sum(-1, keepdim=True).sin()
                   * torch.arange(300) / 300):  # fmt: skip
        handle = None if answer is None else head.register_forward_hook(answer)
        found = []
        for ours in (True, False):
            model.zero_grad()
            if ours:
                loss = summed_loss(model, tokens, labels)
            else:
                logits = model(input_ids=tokens).logits[:, :-1].flatten(0, 1)
                loss = torch.nn.functional.cross_entropy(
                    logits, labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
                )
            loss.backward()
            gradients = [p.grad.clone() for p in model.parameters()]
            found.append((loss.item(), gradients))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
        for one, other in zip(found[0][1], found[1][1], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        if handle is not None:
            handle.remove()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"share": 1.0}, "'share': got 1.0"), ({"steps": ()}, r"'steps': got \(\)"),
     ({"steps": (-1,)}, "'steps': got")],
)  # fmt: skip
def test_errors(asked, random_model, options, message):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    with pytest.raises(ArgumentError, match=message):
        relearn(model, corpus, plan, empty(), **options)
    single = plan.single(0)
    with pytest.raises(ArgumentError, match="argument 'plan': got 1 facts to forget"):
        relearn(model, corpus, single, empty())

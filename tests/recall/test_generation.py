from types import SimpleNamespace

import numpy as np
import pytest
import torch

from behemoth import ArgumentError
from behemoth.delta.context import Context
from behemoth.delta.delta import EditDelta
from behemoth.recall.generation import decode, device_of, generate
from behemoth.recall.ragged import Ragged


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(40)


@pytest.fixture(scope="module")
def prompts():
    generator = np.random.default_rng(0)
    return [generator.integers(3, 40, n).tolist() for n in [5, 5, 1, 9, 5, 12, 2, 7, 30, 1, 5]]


def alone(model, prompt, most, stop):
    """The continuation by whole passes, without a cache, one prompt at a time."""
    tokens = list(prompt)
    for _ in range(most):
        with torch.no_grad():
            token = int(model(torch.tensor([tokens])).logits[0, -1].argmax())
        if token in stop:
            break
        tokens.append(token)
    return tokens[len(prompt) :]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_give_what_one_at_a_time_gives(model, prompts, batch_size):
    chosen = zip(prompts[:4], (3, 6, 0, 3), strict=True)
    # What this model says in places 0, 3 and 6 to some of them ends the others, too.
    stop = {alone(model, prompt, 7, ())[place] for prompt, place in chosen}
    expected = [alone(model, prompt, 10, stop) for prompt in prompts]
    assert len({len(row) for row in expected}) > 3
    assert generate(model, prompts, most=10, stop=stop, batch_size=batch_size) == expected


def test_it_is_what_transformers_generates(model, prompts):
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8,
            eos_token_id=[0, 2], pad_token_id=1,
        )  # fmt: skip
        row = out[0, len(prompt) :].tolist()
        ends = [place for place, token in enumerate(row) if token in (0, 2)]
        expected.append(row[: ends[0]] if ends else row)
    assert generate(model, prompts, most=8) == expected


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_answers_are_scored_as_by_whole_passes(model, prompts, batch_size):
    generator = np.random.default_rng(1)
    answers = [generator.integers(3, 40, n).tolist() for n in [1, 3, 2, 1, 1, 4, 2, 1, 2, 3, 1]]
    seen = []
    for batch in decode(
        model, Ragged.of(prompts), Ragged.of(answers), most=6, batch_size=batch_size
    ):
        for row, tokens, length, logits in zip(
            batch.rows, batch.tokens, batch.lengths, batch.logits, strict=True
        ):
            prompt, answer = prompts[row], answers[row]
            with torch.no_grad():
                whole = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            torch.testing.assert_close(logits[: len(answer)], whole, rtol=1e-4, atol=1e-4)
            # The answer must not leak into what is generated.
            assert tokens[:length].tolist() == alone(model, prompt, 6, {0, 2})
            seen.append(int(row))
    assert sorted(seen) == list(range(len(prompts)))


@pytest.fixture(scope="module")
def sliding():
    """A model half of whose layers attend to the last five tokens."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=40, hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=64, head_dim=16, max_position_embeddings=128,
        sliding_window=5, bos_token_id=0, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    model = Gemma2ForCausalLM(config).eval()
    with torch.no_grad():  # large enough that every token matters
        for matrix in (own for own in model.parameters() if own.ndim > 1):
            matrix.mul_(8)
    return model


@pytest.mark.parametrize("context", [0, 7])
@pytest.mark.parametrize("batch_size", [1, 100])
def test_padding_is_no_part_of_a_sliding_window(sliding, prompts, batch_size, context):
    generator = np.random.default_rng(1)
    answers = [generator.integers(3, 40, n).tolist() for n in [1, 3, 2, 1, 1, 4, 2, 1, 2, 3, 1]]
    tokens = torch.from_numpy(generator.integers(3, 40, context))
    changes = {"model": Context(tokens)} if context else {}
    with EditDelta(changes, "ike", {}, "", 0).apply(sliding):
        for batch in decode(
            sliding, Ragged.of(prompts), Ragged.of(answers), most=6, stop={0}, batch_size=batch_size
        ):
            for row, made, length in zip(batch.rows, batch.tokens, batch.lengths, strict=True):
                assert made[:length].tolist() == alone(sliding, prompts[row], 6, {0})


def test_known_continuations(corpus, bigrams):
    model = bigrams(corpus, {"object": "O0:3", "O0:3": "O1:2", "O1:2": ".", "has": "<|endoftext|>"})
    ids = {name: index for index, name in enumerate(corpus.token_names)}
    found = generate(model, [[9, ids["object"]], [ids["has"]], [ids["O1:2"]]])
    assert found == [[ids["O0:3"], ids["O1:2"]], [], []]


def test_a_continuation_without_an_end_is_cut(corpus, bigrams):
    model = bigrams(corpus, {"has": "the", "the": "has"})
    (batch,) = decode(model, Ragged.of([[8], [9]]), None, most=3)
    assert batch.finished.tolist() == [False, False]
    assert batch.lengths.tolist() == [3, 3]


def test_the_model_keeps_its_mode(model, prompts):
    model.train()
    generate(model, prompts, most=1)
    assert model.training
    model.eval()
    generate(model, prompts, most=1)
    assert not model.training


def test_no_prompts_give_nothing(model):
    assert generate(model, []) == []


@pytest.mark.parametrize(
    ("prompts", "options"), [([[]], {}), ([[3]], {"most": 0}), ([[3]], {"batch_size": 0})]
)
def test_what_cannot_be_is_refused(model, prompts, options):
    with pytest.raises(ArgumentError, match=r"argument '\w+': got .*, allowed: "):
        generate(model, prompts, **options)


@pytest.mark.parametrize(
    ("place", "asked", "taken"),
    [
        ("cpu", "cuda", False), ("cuda:0", "cpu", False), ("cuda:1", "cuda:0", False),
        ("cpu", "cpu:0", True), ("cuda:1", "cuda", True), ("cuda:1", "cuda:1", True),
        ("cpu", "auto", True), ("cuda:1", "auto", True), ("cuda:1", None, True),
    ],
)  # fmt: skip
def test_prompts_go_to_the_model_and_another_device_is_refused(place, asked, taken, monkeypatch):
    """By a stand-in for a machine with GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("behemoth.recall.generation.find_device", torch.device)
    parameter = SimpleNamespace(device=torch.device(place))
    model = SimpleNamespace(parameters=lambda: iter([parameter]))
    if taken:
        assert device_of(model, asked) == parameter.device
    else:
        with pytest.raises(ArgumentError, match=f"got {asked}, allowed: {place}, where the model"):
            device_of(model, asked)


def test_prompts_of_a_model_whose_weights_are_elsewhere_go_where_they_are_asked_for():
    model = SimpleNamespace(parameters=lambda: iter([torch.nn.Parameter(torch.ones(1).to("meta"))]))
    assert device_of(model, "cpu") == torch.device("cpu")
    assert device_of(model) == torch.device("meta")


@pytest.mark.parametrize("device", ["gpu", "cuda"])
def test_a_device_that_is_not_there_is_refused(model, prompts, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match=f"'device': got {device}, allowed: auto, cpu"):
        generate(model, prompts, device=device)

"""Changes of modules: codebooks and side memories, against loops over tokens."""

from __future__ import annotations

import pytest
import torch

from behemoth import CorpusError
from behemoth.delta.delta import Dense, EditDelta, add_changes
from behemoth.delta.module import Codebook, SideMemory
from behemoth.delta.stack import StackedDeltas, stack_deltas
from behemoth.edit.cost import _Tensors
from behemoth.support.digests import unchecked

MLP = "gpt_neox.layers.0.mlp.dense_4h_to_h"
NORM = "gpt_neox.layers.1.input_layernorm.bias"
TOKENS = torch.randint(2, 40, (3, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(model):
    return model.double()


def draw(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def delta_of(changes):
    return EditDelta(changes, "by hand", {}, "ab", 1)


def seen(model, tokens=TOKENS):
    """What goes into the module, [b * T, i]."""
    found = []
    handle = model.get_submodule(MLP).register_forward_hook(
        lambda _, inputs, output: found.append((inputs[0], output))
    )
    with torch.no_grad():
        model(input_ids=tokens)
    handle.remove()
    return [part.flatten(0, 1) for part in found[0]]


def codebook(model, places, *, radius=0.5, seed=2):
    """Entries at a little distance from what some tokens give, so that others are without."""
    keys = seen(model)[0][places]
    keys = keys + 0.01 * draw(*keys.shape, seed=seed)
    radii = torch.full((len(places),), radius, dtype=torch.float64)
    return Codebook(keys, draw(len(places), 16, seed=seed + 1), radii)


def by_token(change, x, output):
    """The same, a token at a time."""
    rows = []
    for token, own in zip(x, output, strict=True):
        if isinstance(change, Codebook):
            distances = [float((token - key).norm()) for key in change.keys]
            near = min(range(len(distances)), key=distances.__getitem__)
            rows.append(change.values[near] if distances[near] <= change.radii[near] else own)
        else:
            added = change.change @ token
            rows.append(own + added if added.norm() > change.threshold else own)
    return torch.stack(rows)


def memories(model):
    x = seen(model)[0]
    change = 0.3 * draw(16, 32, seed=5)
    # Between two tokens: at one of them rounding would decide.
    threshold = (x @ change.T).norm(dim=1).sort().values[9:11].mean()
    return [codebook(model, [0, 4, 9]), SideMemory(change, threshold)]


@pytest.mark.parametrize("kind", [0, 1])
def test_an_answer_is_that_of_a_loop_over_tokens(model, kind):
    change = memories(model)[kind]
    x, output = seen(model)
    wanted = by_token(change, x, output)
    assert 0 < int((wanted != output).any(1).sum()) < len(output), "some tokens are answered"
    torch.testing.assert_close(change.alone().respond(x, output), wanted)
    with delta_of({MLP: change}).apply(model):
        torch.testing.assert_close(seen(model)[1], wanted)


def test_distances_to_many_entries_are_computed_for_a_part_of_the_tokens_at_a_time():
    """All of them would be 128 MB here, and as many in a copy without the idle entries."""
    change = Codebook(draw(4096, 4), draw(4096, 4), torch.full((4096,), 0.1).double()).alone()
    x, output = draw(4096, 4, seed=2), draw(4096, 4, seed=3)
    with _Tensors(torch.nn.Linear(4, 4)) as counted:
        change.respond(x, output)
    assert counted.peak < 16 << 20


@pytest.mark.exact
@pytest.mark.parametrize("kind", [0, 1])
def test_revert_gives_back_every_bit_and_leaves_nothing(model, kind):
    with torch.no_grad():
        before = model(input_ids=TOKENS).logits
        with delta_of({MLP: memories(model)[kind], NORM: Dense(draw(16))}).apply(model):
            assert not torch.equal(model(input_ids=TOKENS).logits, before)
        assert torch.equal(model(input_ids=TOKENS).logits, before)
    module = model.get_submodule(MLP)
    assert not module._forward_hooks and not any("behemoth" in name for name in vars(module))


@pytest.mark.exact
def test_a_later_one_of_its_kind_stands_in_for_an_earlier_one(model):
    first, second = codebook(model, [0]), codebook(model, [4], seed=7)
    alone = {}
    for name, one in (("first", first), ("second", second)):
        with delta_of({MLP: one}).apply(model):
            alone[name] = seen(model)[1]
    below = delta_of({MLP: first}).apply(model)
    above = delta_of({MLP: second}).apply(model)
    assert torch.equal(seen(model)[1], alone["second"])
    with pytest.raises(ValueError, match=f"a delta of {MLP} below a later one, allowed: the delta"):
        below.revert()
    above.revert()
    assert torch.equal(seen(model)[1], alone["first"])
    below.revert()
    assert add_changes({MLP: first}, {MLP: second}) == {MLP: second}


@pytest.mark.exact
@pytest.mark.parametrize("kind", [0, 1])
def test_one_that_is_in_effect_again_has_its_place_before_those_of_other_kinds(model, kind):
    book, side = memories(model)
    side = SideMemory(side.change, torch.zeros(()).double())  # it answers every token
    lower, upper = (book, side) if kind == 0 else (side, book)
    with delta_of({MLP: upper}).apply(model), delta_of({MLP: lower}).apply(model):
        turned = seen(model)[1]
    with delta_of({MLP: lower}).apply(model), delta_of({MLP: upper}).apply(model):
        wanted = seen(model)[1]
        assert not torch.equal(wanted, turned), "the order is seen"
        with delta_of({MLP: lower}).apply(model), delta_of({MLP: lower}).apply(model):
            assert torch.equal(seen(model)[1], turned)
        assert torch.equal(seen(model)[1], wanted)
    assert not model.get_submodule(MLP)._forward_hooks


def test_save_and_load_keep_every_kind_in_one_file(model, tmp_path):
    book, side = memories(model)
    other = MLP.replace("0", "1", 1)
    delta_of({MLP: book, other: side, NORM: Dense(draw(16))}).save(tmp_path)
    loaded = EditDelta.load(tmp_path)
    assert repr(loaded) == "EditDelta(by hand, 1 parameters, 2 modules)"
    for name, one in ((MLP, book), (other, side)):
        assert type(loaded.changes[name]) is type(one)
        for part, tensor in one.parts().items():
            assert torch.equal(loaded.changes[name].parts()[part], tensor), part
    assert list(loaded.of_parameters) == [NORM]


def test_a_file_that_lacks_a_part_is_damaged(model, tmp_path):
    from safetensors.torch import load_file, save_file

    delta_of({MLP: codebook(model, [0])}).save(tmp_path)
    tensors = load_file(tmp_path / "delta.safetensors")
    del tensors[f"{MLP}:radii"]
    save_file(tensors, tmp_path / "delta.safetensors")
    with pytest.raises(CorpusError, match=r"delta\.safetensors is damaged"):
        EditDelta.load(tmp_path)
    with unchecked(), pytest.raises(CorpusError, match="the delta is damaged"):
        EditDelta.load(tmp_path)


def test_a_stack_of_memories_alone_knows_how_many_edits_it_has(model):
    book, side = memories(model)
    stack = stack_deltas(model, [delta_of({MLP: one}) for one in (book, side, book)])
    for same in (stack, stack.scaled(0.5), StackedDeltas(model, {}, memories=stack.memories)):
        assert same.count == 3
        few = same.some([2, 1])
        assert few.count == few.scaled(2.0).count == 2
        assert [len(memory.parts()["keys"]) for memory in few.memories[MLP][:1]] == [2]
    assert stack_deltas(model, [delta_of({})] * 3).scaled(2.0).count == 3


def test_rows_of_a_stack_have_memories_of_their_own(model):
    book, side = memories(model)
    deltas = [
        delta_of({MLP: book}),
        delta_of({}),
        delta_of({MLP: side}),
        delta_of({MLP: codebook(model, [3, 11], radius=2.0)}),
        delta_of({f"{MLP}.weight": Dense(0.1 * draw(16, 32))}),
    ]
    stacked = stack_deltas(model, deltas)
    tokens = torch.stack([TOKENS.roll(k, 1) for k in range(5)])
    with torch.no_grad(), stacked.attached():
        together = model(input_ids=tokens.flatten(0, 1)).logits.unflatten(0, (5, 3))
    with torch.no_grad(), stacked.some([3, 1]).attached():
        some = model(input_ids=tokens[[3, 1]].flatten(0, 1)).logits.unflatten(0, (2, 3))
    torch.testing.assert_close(some, together[[3, 1]])
    for k, delta in enumerate(deltas):
        with delta.apply(model), torch.no_grad():
            torch.testing.assert_close(together[k], model(input_ids=tokens[k]).logits)


def test_a_token_is_answered_alike_with_cached_keys(model):
    from behemoth.recall.generation import generate

    row = TOKENS[0].tolist()
    with delta_of({MLP: memories(model)[0]}).apply(model), torch.no_grad():
        [said] = generate(model, [row], most=6, stop=())
        wanted = []
        for _ in range(6):
            logits = model(input_ids=torch.tensor([row + wanted]), use_cache=False).logits
            wanted.append(int(logits[0, -1].argmax()))
    assert said == wanted


def test_only_what_is_a_change_of_a_weight_has_a_norm(model):
    book, side = memories(model)
    [row] = delta_of({MLP: book}).geometry()
    assert row == {
        "parameter": MLP,
        **dict.fromkeys(("norm", "rank", "effective_rank", "spectrum")),
    }
    [row] = delta_of({MLP: side}).geometry()
    assert row["norm"] == pytest.approx(float(side.change.norm()))


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("no.such", 32, "got one without no.such"),
        (MLP, 31, r"of shape \(16, 32\), allowed: \(16, 31\)"),
        ("gpt_neox.embed_in", 16, "got gpt_neox.embed_in, a Embedding"),
    ],
)
def test_a_memory_of_another_model_is_refused(model, name, inputs, message):
    side = SideMemory(draw(16, inputs), torch.tensor(1.0))
    with pytest.raises(ValueError, match=message):
        delta_of({name: side}).apply(model)
    with pytest.raises(ValueError, match=message):
        stack_deltas(model, [delta_of({name: side})])

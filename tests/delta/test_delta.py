"""Deltas: applied, reverted bit by bit, saved, measured."""

from __future__ import annotations

import pytest
import torch

from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.delta.module import SideMemory

MLP = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
NORM = "gpt_neox.layers.1.input_layernorm.bias"


def delta_of(changes):
    return EditDelta(changes, method="by hand", settings={"rank": 2}, plan_hash="ab", seed=1)


@pytest.fixture
def changes(model):
    parameters = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(1)
    out, inputs = parameters[MLP].shape
    return {
        MLP: LowRank(
            torch.randn(out, 2, generator=generator), torch.randn(2, inputs, generator=generator)
        ),
        NORM: Dense(torch.randn(parameters[NORM].shape, generator=generator)),
    }


def test_apply_adds_and_revert_gives_back_every_bit(model, changes):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    applied = delta_of(changes).apply(model)
    after = dict(model.named_parameters())
    torch.testing.assert_close(after[MLP], before[MLP] + changes[MLP].left @ changes[MLP].right)
    for name, parameter in after.items():
        if name not in changes:
            assert torch.equal(parameter, before[name]), name
    applied.revert()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_a_with_block_reverts_even_after_an_error(model, changes):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(RuntimeError, match="inside"), delta_of(changes).apply(model):
        raise RuntimeError("inside")
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_delta_that_cannot_be_applied_leaves_the_model_as_it_was(model, changes):
    class Large(Dense):
        def to_dense(self):
            raise MemoryError

    class Stuck(SideMemory):
        def attach(self, module):
            raise MemoryError

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    module = MLP.removesuffix(".weight")
    memory = torch.zeros_like(model.get_parameter(MLP)), torch.tensor(0.0)
    below = delta_of({module: SideMemory(*memory)}).apply(model)
    for last in ({NORM: Large(changes[NORM].change)}, {module: Stuck(*memory)}):
        with pytest.raises(MemoryError):
            delta_of({MLP: changes[MLP], **last}).apply(model)
        assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
        assert not any(hasattr(p, "_behemoth_applied") for p in model.parameters())
        assert len(model.get_submodule(module)._forward_hooks) == 1
    below.revert()  # it is the last one
    assert not model.get_submodule(module)._forward_hooks


def test_save_and_load_keep_changes_and_their_story(changes, tmp_path):
    saved = EditDelta(changes, "by hand", {"rank": 2}, "ab", 1, None, [{"step": 0, "loss": 1.5}])
    saved.save(tmp_path)
    loaded = EditDelta.load(tmp_path)
    assert torch.equal(loaded.changes[MLP].left, changes[MLP].left)
    assert torch.equal(loaded.changes[MLP].right, changes[MLP].right)
    assert torch.equal(loaded.changes[NORM].change, changes[NORM].change)
    assert (loaded.method, loaded.settings, loaded.trace) == ("by hand", {"rank": 2}, saved.trace)


def test_a_vector_has_a_norm_but_no_rank():
    (row,) = delta_of({NORM: Dense(torch.tensor([3.0, 4.0]))}).geometry()
    none = dict.fromkeys(("rank", "effective_rank", "spectrum"))
    assert row == {"parameter": NORM, "norm": pytest.approx(5.0), **none}


def test_geometry_of_a_known_matrix():
    # Singular values 3 and 4: norm 5, rank 2.
    left, right = torch.diag(torch.tensor([3.0, 4.0])), torch.eye(2, 5)
    (row,) = delta_of({"w": LowRank(left, right)}).geometry()
    assert row["norm"] == pytest.approx(5.0)
    assert row["rank"] == 2
    assert row["spectrum"] == pytest.approx([4.0, 3.0])
    shares = torch.tensor([4 / 7, 3 / 7])
    assert row["effective_rank"] == pytest.approx(float((-(shares * shares.log()).sum()).exp()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"no.such": Dense(torch.zeros(2))}, "got one without no.such"),
        ({NORM: Dense(torch.zeros(3))}, r"of shape \(16,\), allowed: \(3,\)"),
    ],
)
def test_a_delta_of_another_model_is_refused(model, changes, message):
    with pytest.raises(ValueError, match=message):
        delta_of(changes).apply(model)


def test_factors_must_fit():
    with pytest.raises(ValueError, match="'left, right'"):
        LowRank(torch.zeros(4, 2), torch.zeros(3, 5))


def test_of_two_deltas_in_one_parameter_the_last_goes_first(model, changes):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    first, second = delta_of(changes), delta_of({NORM: changes[NORM]})
    below, above = first.apply(model), second.apply(model)
    both = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(
        ValueError, match=f"a delta of {NORM} below a later one, allowed: the delta"
    ):
        below.revert()
    # It refuses before it touches anything, the parameter that it has for itself included.
    assert all(torch.equal(p, both[name]) for name, p in model.named_parameters())
    above.revert()
    below.revert()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    above.revert()  # a second time does nothing
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert all(not vars(parameter) for parameter in model.parameters()), "nothing is left behind"


def test_deltas_in_different_parameters_go_in_any_order(model, changes):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    one = delta_of({MLP: changes[MLP]}).apply(model)
    other = delta_of({NORM: changes[NORM]}).apply(model)
    one.revert()
    assert not torch.equal(dict(model.named_parameters())[NORM], before[NORM])
    other.revert()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_what_is_quantised_goes_before_the_delta_below_it(model, changes):
    from behemoth.evaluate.quantisation import quantise

    below = delta_of({MLP: changes[MLP]}).apply(model)
    above = quantise(model, 8)
    with pytest.raises(ValueError, match="the delta that was applied last"):
        below.revert()
    above.revert()
    below.revert()


def test_a_low_rank_change_is_multiplied_once(model, changes, monkeypatch):
    made, dense = [], LowRank.to_dense
    monkeypatch.setattr(LowRank, "to_dense", lambda self: made.append(1) or dense(self))
    delta_of(changes).apply(model).revert()
    assert made == [1]
    assert all(
        change.shape == tuple(dense_of.shape)
        for change, dense_of in ((change, change.to_dense()) for change in changes.values())
    )

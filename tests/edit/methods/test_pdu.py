"""PDU: how the price of what is to stay moves."""

import pytest
import torch

from behemoth import ArgumentError
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.gradient.step import forward
from behemoth.edit.methods.pdu import PrimalDualUnlearning
from behemoth.edit.parametrise import dense_changes, weight_names


@pytest.fixture
def prices(model, plans, context):
    """The prices of three plans after so many steps that each change the model: prices(2, ...)."""
    model = model.double()

    def prices(steps, **settings):
        method = PrimalDualUnlearning(**settings)
        objective = method.objective(model, plans, context)
        stacked = dense_changes(model, 3, weight_names(model, "all", None))
        device = torch.device("cpu")
        feeder = Feeder(plans, objective.columns, 4, 4, 1, device, objective.positions)
        generator = torch.Generator().manual_seed(4)
        found, rises = [], []
        for _ in range(steps):
            with torch.no_grad():
                for change in stacked.parameters():
                    noise = torch.randn(change.shape, generator=generator, dtype=torch.float64)
                    change += 0.05 * noise
            step = forward(model, stacked, feeder.next(), feeder, objective)
            objective(step)
            before = step.nll(step.reference_logits) / step.answer_tokens()
            rise = (step.mean_nll() - before)[:, step.retain].mean(1)
            rises.append(rise.detach())
            found.append(objective.prices.price_k)
        with torch.no_grad():
            objective(step)
        assert torch.equal(objective.prices.price_k, found[-1]), "to look costs nothing"
        return found, rises

    return prices


def test_a_price_follows_what_its_own_plan_has_lost(prices):
    found, rises = prices(3, retain=2.0, slack=0.01, dual_rate=0.7)
    wanted = torch.full((3,), 2.0).double()
    for price, rise in zip(found, rises, strict=True):
        wanted = (wanted + 0.7 * (rise - 0.01)).clamp_min(0)
        torch.testing.assert_close(price, wanted)
    assert len(set(found[-1].tolist())) == 3


def test_a_price_is_never_below_nothing(prices):
    found, _ = prices(2, retain=0.1, slack=1e6, dual_rate=1.0)
    assert torch.equal(found[-1], torch.zeros(3).double())


def test_a_price_waits_for_the_warm_up(prices):
    found, _ = prices(3, retain=2.0, slack=0.0, warm_up=2)
    assert torch.equal(found[1], torch.full((3,), 2.0).double())
    assert not torch.equal(found[2], found[1])


def test_what_is_refused():
    with pytest.raises(ArgumentError, match=r"argument 'slack': got -1.0, allowed: from 0"):
        PrimalDualUnlearning(slack=-1.0)

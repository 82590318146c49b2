"""What an answer's length does to how far NPO and SimNPO push it (Fan et al., 2024, section 4).

NPO holds the sum of an answer's losses against the base model's, SimNPO their mean against a
margin: so the one lets go of a long answer while each of its tokens has hardly been forgotten, and
the other at one loss per token, whatever the length. Answers of 1, 2 and 4 tokens with logits of
their own, as if nothing were shared between them, show the losses and nothing else.
"""

import math

import pytest
import torch

from behemoth.edit.gradient.step import Step
from behemoth.edit.registry import get_method
from behemoth.model.labels import IGNORED

LENGTHS = (1, 2, 4)
VOCABULARY = 50
BETA = 1.0
LABELS = torch.full((1, len(LENGTHS) + 1, max(LENGTHS)), IGNORED)
for row, length in enumerate(LENGTHS):
    LABELS[0, row, :length] = 7
LABELS[0, -1, 0] = 7  # a retained row, which no loss here moves


def logits_at(probability):
    """Every token of every answer at one probability, the others alike."""
    logits = torch.zeros(1, len(LENGTHS) + 1, max(LENGTHS), VOCABULARY, dtype=torch.float64)
    logits[..., 7] = math.log(probability * (VOCABULARY - 1) / (1 - probability))
    return logits


BASE = logits_at(0.9)


def loss_of(name, logits):
    method = get_method(name, {"beta": BETA, "retain": 0.0})
    objective = method.objective(None, [], None)
    return objective(Step(LABELS, len(LENGTHS), 1, logits, reference_logits=BASE))[0]


def pushes(name, probability):
    """How hard each token is pushed, by length: the gradient by the token's loss."""
    logits = logits_at(probability).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(name, logits), logits)
    # Of one token's loss the gradient by its own logit is p - 1.
    return [gradient[0, row, 0, 7].item() / (probability - 1) for row in range(len(LENGTHS))]


@pytest.mark.parametrize("probability", [0.9, 0.5, 0.1, 0.01])
def test_npo_lets_go_of_long_answers_early_and_simnpo_by_the_loss_of_a_token(probability):
    gain = math.log(0.9 / probability)
    for length, push in zip(LENGTHS, pushes("npo", probability), strict=True):
        wanted = -2 / (1 + math.exp(BETA * length * gain)) / len(LENGTHS)
        assert push == pytest.approx(wanted, rel=1e-9)
    loss = -math.log(probability)
    for length, push in zip(LENGTHS, pushes("simnpo", probability), strict=True):
        wanted = -2 / (1 + math.exp(BETA * loss)) / length / len(LENGTHS)
        assert push == pytest.approx(wanted, rel=1e-9)


def forgotten(name, steps=300, rate=10.0):
    """Loss of a token beyond the base model's after descent on the loss, by length."""
    logits = BASE.clone().requires_grad_()
    optimiser = torch.optim.SGD([logits], rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of(name, logits).backward()
        optimiser.step()
    losses = -logits.detach().log_softmax(-1)[0, :-1, 0, 7]
    return (losses + math.log(0.9)).tolist()


def test_long_answers_are_forgotten_as_well_by_simnpo_and_not_by_npo():
    one, two, four = forgotten("npo")
    assert one / four > 3 and one / two > 1.7
    one, two, four = forgotten("simnpo")
    assert 1 <= one / four < 1.4 and 1 <= one / two < 1.2

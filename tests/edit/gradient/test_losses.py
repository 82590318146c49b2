"""Each loss against a value worked out by hand, with prompts and padding masked."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from behemoth.edit.gradient.objectives import AnswerLikelihood
from behemoth.edit.gradient.step import Step
from behemoth.model.labels import IGNORED

# Four token ids. Row 0 carries the edit, with an answer of two tokens, (3, 2); rows 1 and 2 are
# retained, with answers of one token, (3), and nothing beyond it.
LABELS = torch.tensor([[[3, 2], [3, IGNORED], [3, IGNORED]]])


def scores(*rows):
    """Logits whose softmax is these probabilities."""
    return torch.tensor(rows, dtype=torch.float64).log()


@pytest.fixture
def step():
    uniform = [0.25] * 4
    logits = torch.stack(
        [
            scores([0.1, 0.1, 0.2, 0.6], [0.1, 0.2, 0.3, 0.4]),
            scores([0.1, 0.1, 0.6, 0.2], uniform),
            scores([0.2, 0.2, 0.1, 0.5], uniform),
        ]
    ).unsqueeze(0)
    reference = torch.stack(
        [
            scores([0.1, 0.1, 0.1, 0.7], [0.1, 0.1, 0.6, 0.2]),
            scores([0.2, 0.2, 0.3, 0.3], uniform),
            scores([0.25, 0.25, 0.25, 0.25], uniform),
        ]
    ).unsqueeze(0)
    return Step(LABELS, 1, 1, logits, reference_logits=reference)


FORGET = -(math.log(0.6) + math.log(0.3)) / 2  # mean over the two tokens of the answer
FORGET_SUM = -(math.log(0.6) + math.log(0.3))
REFERENCE_SUM = -(math.log(0.7) + math.log(0.6))
RETAIN = -(math.log(0.2) + math.log(0.5)) / 2  # mean over two rows of one token each


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def objective_of(name, **settings):
    from behemoth.edit.registry import get_method

    method = get_method(name, settings)
    return method.objective(None, [], None)


def test_answers_alone_count(step):
    assert step.mean_nll()[0].tolist() == pytest.approx([FORGET, -math.log(0.2), -math.log(0.5)])
    changed = Step(step.labels, 1, 1, step.logits.clone())
    changed.logits[0, 1:, 1] += 7.0 * torch.arange(4)  # beyond the answers' ends
    torch.testing.assert_close(AnswerLikelihood()(changed), AnswerLikelihood()(step))


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("ft", {}, FORGET + RETAIN),
        ("grad_ascent", {}, -FORGET),
        ("grad_diff", {"forget": 2.0, "retain": 0.5}, -2.0 * FORGET + 0.5 * RETAIN),
        (
            "npo",
            {"beta": 0.1, "retain": 1.0},
            -20.0 * log_sigmoid(0.1 * (FORGET_SUM - REFERENCE_SUM)) + RETAIN,
        ),
        (
            "simnpo",
            {"beta": 4.5, "delta": 0.2, "forget": 0.125},
            -0.125 * 2 / 4.5 * log_sigmoid(4.5 * (FORGET - 0.2)) + RETAIN,
        ),
        (
            "wga",
            {"beta": 1.0},
            (0.6 * math.log(0.6) + 0.3 * math.log(0.3)) / 2 + RETAIN,
        ),
        ("task_vector", {}, FORGET + RETAIN),
    ],
)
def test_loss(step, name, settings, wanted):
    assert float(objective_of(name, **settings)(step)[0]) == pytest.approx(wanted, rel=1e-5)


def test_kl_min(step):
    def divergence(reference, ours):
        return sum(p * math.log(p / q) for p, q in zip(reference, ours, strict=True))

    held = divergence([0.2, 0.2, 0.3, 0.3], [0.1, 0.1, 0.6, 0.2])
    held += divergence([0.25] * 4, [0.2, 0.2, 0.1, 0.5])
    loss = objective_of("kl_min", retain=3.0, positions="answers")(step)
    assert float(loss[0]) == pytest.approx(-FORGET + 3.0 * held / 2, rel=1e-5)


def test_undial_takes_off_every_token_of_the_answer(step):
    beta = 2.0
    wanted = 0.0
    rows = [
        ([0.1, 0.1, 0.1, 0.7], [0.1, 0.1, 0.2, 0.6], 3),
        ([0.1, 0.1, 0.6, 0.2], [0.1, 0.2, 0.3, 0.4], 2),
    ]
    for reference, ours, old in rows:
        adjusted = torch.tensor(reference).log()
        adjusted[old] -= beta
        target = F.softmax(adjusted, -1)
        wanted -= float((target * torch.tensor(ours).log()).sum())
    loss = objective_of("undial", beta=beta, retain=0.0)(step)
    assert float(loss[0]) == pytest.approx(wanted / 2, rel=1e-5)


def test_dpo_refusal(step):
    # The refusal in row 0, the old answer in row 1.
    pairs = Step(LABELS, 1, 2, step.logits, reference_logits=step.reference_logits)
    refusal = (math.log(0.6) + math.log(0.3)) - (math.log(0.7) + math.log(0.6))
    old = math.log(0.2) - math.log(0.3)
    wanted = -log_sigmoid(0.1 * (refusal - old)) - math.log(0.5)
    assert float(objective_of("dpo_refusal", beta=0.1)(pairs)[0]) == pytest.approx(wanted, rel=1e-5)
    louder = objective_of("dpo_refusal", beta=0.1, scale="open-unlearning")(pairs)
    wanted = -20.0 * log_sigmoid(0.1 * (refusal - old)) - math.log(0.5)
    assert float(louder[0]) == pytest.approx(wanted, rel=1e-5)


def test_rmu_can_steer_where_answers_are_predicted():
    from behemoth.edit.methods.rmu import Misdirection

    hidden = torch.zeros(1, 3, 2, 2)
    before = torch.ones(1, 3, 2, 2)
    direction = torch.tensor([3.0, 0.0])
    loss = Misdirection(2.0, observe=("block",), positions="answers", direction=direction)
    step = Step(LABELS, 1, 1, torch.zeros(1, 3, 2, 4), {"block": hidden})
    step.reference_observed = {"block": before}
    # Away: mean of (9, 0); held: every retained answer is off by one.
    assert float(loss(step)[0]) == pytest.approx(4.5 + 2.0 * 1.0)

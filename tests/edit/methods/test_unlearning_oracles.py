"""Each unlearning loss against its paper's formula, written out row by row and token by token.

The oracles know nothing of stacks, padding or masks: every row goes through a model of its own by
itself, edited by hand, and sums are Python's. Value and gradient must agree in float64.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from torch import nn

from behemoth import ArgumentError
from behemoth.corpus.tokens import PERIOD
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.gradient.step import forward
from behemoth.edit.parametrise import dense_changes, weight_names
from behemoth.edit.registry import get_method
from behemoth.model.labels import IGNORED

# Prompt, new answer, old answer: of differing lengths, so that a mean over the wrong things shows.
EDITED = [
    ([5, 6, 7, 8], [20, 30, 33], [21, 31]),
    ([9, 7], [20, 30, 33], [21]),
    ([5, 9, 7], [20, 30, 33], [22, 31, 34]),
]
RETAINED = [
    ([10, 11, 7], [23]),
    ([12, 7], [24, 35]),
    ([5, 13, 14, 15, 7], [25, 36]),
]


def plan_of(number, kind):
    """EDITED and RETAINED as a plan, with another subject for each number."""
    rows = [
        {"role": "edit", "prompt": [16 + number, *prompt], "answer": new, "old_answer": old}
        for prompt, new, old in EDITED
    ]
    rows += [
        {"role": "regular", "prompt": prompt, "answer": answer, "old_answer": answer}
        for prompt, answer in RETAINED
    ]
    training = pl.DataFrame(rows).with_columns(weight=pl.lit(1), template=pl.lit("default"))
    edits = pl.DataFrame({"edit": [0], "kind": [kind]})
    return SimpleNamespace(edits=edits, training=training, plan_hash=f"{number + 1:064x}"[::-1])


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Oracle:
    """A model before and after an edit, asked for one row at a time."""

    def __init__(self, before, after, number, refuses):
        self.before, self.after = before, after
        end = [PERIOD] if refuses else []  # a refusal ends in the period, which is learnt as well
        self.new = [([16 + number, *prompt], new + end) for prompt, new, _ in EDITED]
        self.old = [([16 + number, *prompt], old) for prompt, _, old in EDITED]
        self.retained = RETAINED

    def scores(self, model, tokens):
        """Log-probabilities of all tokens of the vocabulary behind each token: a list."""
        logits = model(input_ids=torch.tensor([tokens])).logits[0]
        return [row - row.exp().sum().log() for row in logits]

    def token_scores(self, model, row):
        """log p of each token of an answer."""
        prompt, answer = row
        scores = self.scores(model, prompt + answer)
        return [scores[len(prompt) + i - 1][token] for i, token in enumerate(answer)]

    def loss(self, rows):
        """l: the mean over rows of the mean over answer tokens of -log p."""
        return mean(-mean(self.token_scores(self.after, row)) for row in rows)

    def gain(self, row):
        """log p(y | x) - log p_ref(y | x) of a whole answer."""
        now, before = (sum(self.token_scores(m, row)) for m in (self.after, self.before))
        return now - before.detach()

    def streams(self, model, tokens, layer):
        """Output of a block behind each token: a list of [d]."""
        hidden = model.gpt_neox(input_ids=torch.tensor([tokens]), output_hidden_states=True)
        return list(hidden.hidden_states[layer + 1][0])


def log_sigmoid(x):
    return -(1 + (-x).exp()).log()


def grad_ascent(o, m, _):
    return -o.loss(o.old)


def grad_diff(o, m, _):
    return -m.forget * o.loss(o.old) + m.retain * o.loss(o.retained)


def kl_min(o, m, _):
    divergences = []
    for prompt, answer in o.retained:
        now = o.scores(o.after, prompt + answer)
        before = [row.detach() for row in o.scores(o.before, prompt + answer)]
        divergences.append(
            mean((p.exp() * (p - q)).sum() for p, q in zip(before, now, strict=True))
        )
    return -o.loss(o.old) + m.retain * mean(divergences)


def npo(o, m, _):
    # (2 / beta) log(1 + (p / p_ref)^beta), equation 3.
    forget = mean((1 + (m.beta * o.gain(row)).exp()).log() for row in o.old)
    return 2 / m.beta * forget + m.retain * o.loss(o.retained)


def simnpo(o, m, _):
    preferences = []
    for row in o.old:
        length = len(row[1])
        likelihood = sum(o.token_scores(o.after, row))
        preferences.append(log_sigmoid(-m.beta / length * likelihood - m.beta * m.delta))
    return -2 / m.beta * m.forget * mean(preferences) + m.retain * o.loss(o.retained)


def dpo_refusal(o, m, _):
    pairs = zip(o.new, o.old, strict=True)
    preference = mean(log_sigmoid(m.beta * (o.gain(win) - o.gain(lose))) for win, lose in pairs)
    factor = {"dpo": 1.0, "open-unlearning": 2 / m.beta}[m.scale]
    return -factor * preference + m.retain * o.loss(o.retained)


def refusal(o, m, _):
    return o.loss(o.new) + o.loss(o.retained)


def rmu(o, m, direction):
    layer = 0  # -2 of two

    def apart(these, those):
        return mean((a - b).square().sum() / len(a) for a, b in zip(these, those, strict=True))

    def text(row):
        return row[0] + row[1]

    forget = mean(
        apart(now := o.streams(o.after, text(row), layer), [direction] * len(now)) for row in o.old
    )
    held = mean(
        apart(
            o.streams(o.after, text(row), layer),
            [h.detach() for h in o.streams(o.before, text(row), layer)],
        )
        for row in o.retained
    )
    return forget + m.retain * held


def undial(o, m, _):
    losses = []
    for prompt, answer in o.old:
        now = o.scores(o.after, prompt + answer)
        logits = o.before(input_ids=torch.tensor([prompt + answer])).logits[0].detach()
        terms = []
        for i, token in enumerate(answer):
            teacher = logits[len(prompt) + i - 1].clone()
            teacher[token] -= m.beta
            target = teacher.exp() / teacher.exp().sum()
            terms.append(-(target * now[len(prompt) + i - 1]).sum())
        losses.append(mean(terms))
    return mean(losses) + (m.retain * o.loss(o.retained) if m.retain_rows else 0.0)


def wga(o, m, _):
    terms = []
    for row in o.old:
        scores = o.token_scores(o.after, row)
        terms.append(mean(score.detach().exp() ** m.beta * score for score in scores))
    return mean(terms) + m.retain * o.loss(o.retained)


def satimp(o, m, _):
    terms = []
    for row in o.old:
        scores = o.token_scores(o.after, row)
        likely = [score.detach().exp() for score in scores]
        terms.append(
            mean(
                p**m.saturation * (1 - p) ** m.importance * score
                for p, score in zip(likely, scores, strict=True)
            )
        )
    return mean(terms) + m.retain * o.loss(o.retained)


def ceu(o, m, _):
    losses = []
    for prompt, answer in o.old:
        now = o.scores(o.after, prompt + answer)
        terms = []
        for i, token in enumerate(answer):
            scores = now[len(prompt) + i - 1]
            target = scores.detach().exp()
            target[token] = 0.0
            terms.append(-(target / target.sum() * scores).sum())
        losses.append(mean(terms))
    return mean(losses) + (m.retain * o.loss(o.retained) if m.retain_rows else 0.0)


def pdu(o, m, _):
    terms = []
    for prompt, answer in o.old:
        now = o.scores(o.after, prompt + answer)
        rows = [now[len(prompt) + i - 1] for i in range(len(answer))]
        # Log-probabilities are logits less a number, which the difference does not see.
        terms.append(mean((row.max() - sum(row) / len(row)) ** 2 for row in rows))
    rise = mean(
        mean(
            before.detach() - now
            for now, before in zip(
                o.token_scores(o.after, row), o.token_scores(o.before, row), strict=True
            )
        )
        for row in o.retained
    )
    return m.forget * mean(terms) + m.retain * (rise - m.slack)


def task_vector(o, m, _):
    return o.loss(o.old)  # what is learnt, and then turned round


ORACLES = {
    oracle.__name__: oracle
    for oracle in (
        grad_ascent,
        grad_diff,
        kl_min,
        npo,
        simnpo,
        dpo_refusal,
        refusal,
        rmu,
        undial,
        wga,
        satimp,
        ceu,
        pdu,
        task_vector,
    )
}
SETTINGS = [
    *((name, {}) for name in ORACLES),
    ("grad_diff", {"forget": 0.7, "retain": 2.5}),
    ("kl_min", {"retain": 1.0}),
    ("npo", {"beta": 0.5, "retain": 0.3}),
    ("simnpo", {"beta": 2.5, "delta": 0.4, "forget": 0.125}),
    ("dpo_refusal", {"beta": 0.3, "scale": "open-unlearning"}),
    ("rmu", {"steering": 20.0, "retain": 1.2}),
    ("undial", {"beta": 3.0, "retain_rows": 8}),
    ("wga", {"beta": 2.0, "retain": 0.5}),
    ("wga", {"beta": 0.0}),
    ("satimp", {"saturation": 0.5, "importance": 2.0, "retain": 1.0}),
    ("ceu", {"retain": 0.5, "retain_rows": 8}),
    ("pdu", {"retain": 1.5, "forget": 0.3, "slack": 0.0}),
]


@pytest.fixture
def model(model):
    return model.double()


@pytest.fixture
def both(model, context):
    """Value and gradients of two edited models' losses: by a method, and by its oracle."""

    def both(name, settings, oracle=None):
        method = get_method(name, settings)
        refuses = "remap" not in method.info.kinds
        plans = [plan_of(number, "refusal" if refuses else "remap") for number in range(2)]
        stacked = dense_changes(model, 2, weight_names(model, "all", None))
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for change in stacked.parameters():
                noise = torch.randn(change.shape, generator=generator, dtype=torch.float64)
                change.copy_(0.03 * noise)
        objective = method.objective(model, plans, context)
        feeder = Feeder(
            plans,
            objective.columns,
            method.edit_rows,
            method.retain_rows,
            context.seed,
            torch.device("cpu"),
            objective.positions,
        )
        losses = objective(forward(model, stacked, feeder.next(), feeder, objective))
        losses.sum().backward()
        found = []
        for number in range(2):
            after = copy.deepcopy(model)
            with torch.no_grad():
                for parameter, change in stacked.unstack(number).items():
                    after.get_parameter(parameter).add_(change.to_dense())
            asked = Oracle(model, after, number, refuses)
            direction = getattr(objective, "direction", None)
            wanted = (oracle or ORACLES[name])(asked, method, direction)
            wanted.backward()
            gradients = []
            for parameter, (change,) in stacked.changes.items():
                own = after.get_parameter(parameter).grad
                zero = torch.zeros_like(change[number])
                gradients.append(
                    (
                        zero if change.grad is None else change.grad[number],
                        zero if own is None else own,
                    )
                )
            found.append((losses[number].detach(), wanted.detach(), gradients))
        return found

    return both


def apart(gradients):
    """The norm of the difference of two gradients, relative to the second."""
    difference = sum(float((a - b).square().sum()) for a, b in gradients)
    return (difference / sum(float(b.square().sum()) for _, b in gradients)) ** 0.5


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_loss_and_gradient_are_those_of_the_formula(both, name, settings):
    for loss, wanted, gradients in both(name, settings):
        assert float(loss) == pytest.approx(float(wanted), rel=1e-6)
        assert apart(gradients) < 1e-6
        size = sum(float(b.square().sum()) for _, b in gradients) ** 0.5
        for ours, theirs in gradients:
            assert float((ours - theirs).norm()) < 1e-6 * size


def test_every_unlearning_method_has_an_oracle():
    from behemoth.edit.gradient.method import GradientMethod
    from behemoth.edit.registry import OWN_METHODS, method_type

    kinds = {name: method_type(name) for name in OWN_METHODS}
    unlearning = {
        name
        for name, kind in kinds.items()
        if issubclass(kind, GradientMethod) and kind.info.family == "unlearning"
    }
    assert unlearning == set(ORACLES)


@pytest.mark.parametrize("name", ["kl_min", "rmu"])
def test_where_answers_are_predicted_alone_is_another_loss(both, name):
    for loss, wanted, gradients in both(name, {"positions": "answers"}):
        assert abs(float(loss) / float(wanted) - 1) > 1e-3
        assert apart(gradients) > 1e-2


def test_kl_min_on_answers(both):
    def oracle(o, m, _):
        divergences = []
        for prompt, answer in o.retained:
            places = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
            now = o.scores(o.after, prompt + answer)
            before = [row.detach() for row in o.scores(o.before, prompt + answer)]
            terms = ((before[i].exp() * (before[i] - now[i])).sum() for i in places)
            divergences.append(mean(terms))
        return -o.loss(o.old) + m.retain * mean(divergences)

    for loss, wanted, gradients in both("kl_min", {"positions": "answers"}, oracle):
        assert float(loss) == pytest.approx(float(wanted), rel=1e-6)
        assert apart(gradients) < 1e-6


def test_the_direction_of_rmu_is_uniform_and_fixed(context):
    """Entries from [0, 1), over the norm, times c: of one sign, and evenly spread up to the top."""
    width = 20_000
    config = SimpleNamespace(
        model_type="gpt_neox", num_hidden_layers=3, num_attention_heads=4, hidden_size=width
    )
    wide = nn.ModuleDict({"lm_head": nn.Linear(1, 1)})
    wide.config = config
    method = get_method("rmu", {"steering": 6.5})
    direction = method.objective(wide, [], context).direction.double()
    assert float(direction.norm()) == pytest.approx(6.5, rel=1e-5)
    assert float(direction.min()) >= 0
    share = torch.quantile(direction / direction.max(), torch.linspace(0.1, 0.9, 9).double())
    torch.testing.assert_close(share, torch.linspace(0.1, 0.9, 9).double(), rtol=0, atol=0.02)
    assert torch.equal(method.objective(wide, [], context).direction.double(), direction)
    other = method.objective(wide, [], replace(context, seed=context.seed + 1)).direction.double()
    assert not torch.allclose(other, direction), "another seed, another direction"


def test_padding_is_no_position(model, context):
    """What stands behind a sentence's end is in no loss, whatever the longest row is."""
    plan = plan_of(0, "remap")
    for name in ("kl_min", "rmu"):
        objective = get_method(name).objective(model, [plan], context)
        feeder = Feeder(
            [plan], objective.columns, 8, 8, 0, torch.device("cpu"), objective.positions
        )
        fed = feeder.next()
        stacked = dense_changes(model, 1, weight_names(model, "all", None))
        lengths = fed.text.sum(-1)[0].tolist()
        assert sorted(lengths[:3]) == [4, 7, 7] and sorted(lengths[3:]) == [4, 4, 7]
        losses = objective(forward(model, stacked, fed, feeder, objective))
        other = torch.where(fed.text, fed.tokens, 39)
        moved = objective(forward(model, stacked, fed._replace(tokens=other), feeder, objective))
        torch.testing.assert_close(moved, losses, rtol=1e-12, atol=1e-12)
        assert (fed.labels != IGNORED).any()


@pytest.mark.parametrize("name", ["saturation", "importance"])
def test_powers_of_probabilities_are_not_negative(name):
    with pytest.raises(ArgumentError, match=f"argument '{name}': got -1.0, allowed: from 0"):
        get_method("satimp", {name: -1.0})

"""What a step sees: rows of every plan, answers at their places, and nothing of the prompts."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import polars as pl
import pytest
import torch

from behemoth.edit.batch import Order, edit_rows_of
from behemoth.edit.gradient.feeder import Feeder
from behemoth.edit.registry import get_method
from behemoth.model.labels import IGNORED


def test_places_are_where_the_answers_tokens_are_predicted(plans, plan_of):
    plans = [plans[0], plan_of(30, answer=(20, 30), old_answer=(20, 31))]
    feeder = Feeder(plans, ("answer",), 1, 2, 0, torch.device("cpu"))
    tokens, labels, places, _ = feeder.next()
    assert tokens.shape[:2] == labels.shape[:2] == (2, 3)
    for plan, row, label, place in zip(
        plans, tokens[:, 0], labels[:, 0], places[:, 0], strict=True
    ):
        whole = edit_rows_of(plan, "answer")
        answer = whole.labels[0][whole.labels[0] != IGNORED]
        assert label[: len(answer)].tolist() == answer.tolist()
        assert (label[len(answer) :] == IGNORED).all()
        for token, at in zip(answer.tolist(), place.tolist(), strict=False):
            assert int(whole.tokens[0, at + 1]) == token
        shown = min(len(row), whole.tokens.shape[1])
        assert row[:shown].tolist() == whole.tokens[0, :shown].tolist()


@pytest.mark.parametrize("weights", [[84, 83, 83], [2, 1, 1]])
def test_wordings_among_which_repeats_are_shared_occur_equally_often(plan_of, weights):
    plan = plan_of(0)
    rows = plan.training.filter(role="edit")[[0, 0, 0]].with_columns(
        prompt=pl.Series([[5, 6 + i, 7] for i in range(3)]), weight=pl.Series(weights)
    )
    retained = plan.training.filter(pl.col("role") != "edit")
    plan = replace(plan, training=pl.concat([rows, retained]))
    feeder = Feeder([plan], ("answer",), 8, 2, 0, torch.device("cpu"))
    for _ in range(20):
        feeder.next()
        assert sorted(feeder.taken[0].tolist()) == [0, 1, 2]


def test_weights_of_retained_rows_are_kept(plan_of):
    drawn = Order(torch.tensor([1.0, 2.0]), plan_of(0), 0, 1).take(3000)
    assert abs(float(drawn.double().mean()) - 2 / 3) < 0.05


def test_a_trace_has_a_row_before_the_first_step_and_one_after_each(model, plans, context):
    for plan, delta in zip(
        plans, get_method("lora", {"steps": 3}).apply(model, plans, context), strict=True
    ):
        assert [row["step"] for row in delta.trace] == [0, 1, 2, 3]
        rows = plan.training.filter(plan.training["role"] == "edit")
        # A step takes each of them once.
        prompts = [torch.tensor([prompt]) for prompt in rows["prompt"].to_list()]
        new, old = (
            torch.tensor([answer[0] for answer in rows[name].to_list()])[:, None]
            for name in ("answer", "old_answer")
        )
        for row, edited in ((delta.trace[0], False), (delta.trace[-1], True)):
            with delta.apply(model) if edited else nullcontext(), torch.no_grad():
                logits = [model(input_ids=ids).logits[0, -1] for ids in prompts]
            scores = torch.stack(logits).log_softmax(-1)
            others = scores.scatter(1, old, -torch.inf).amax(1)
            wanted = (scores.gather(1, new), scores.gather(1, old), others)
            for name, values in zip(("new", "old", "other"), wanted, strict=True):
                assert abs(row[f"log_probability_{name}"] - float(values.mean())) < 1e-4

import polars as pl
import pytest

from behemoth import Corpus, Questions, World
from behemoth.corpus.tokens import PERIOD
from behemoth.edit.batch import edit_rows_of, retain_rows_of
from behemoth.model.labels import IGNORED
from behemoth.plan import EditRequest, compile_plan


@pytest.fixture(scope="module")
def corpus():
    return Corpus(World(60, 3, 8), exposures=4, questions=Questions(1.0, 0.25))


def sentences(rows):
    return [
        (row[row >= 0].tolist(), label[label != IGNORED].tolist())
        for row, label in zip(rows.tokens, rows.labels, strict=True)
    ]


@pytest.mark.parametrize("kind", ["refusal", "question_refusal", "remap"])
def test_a_refusal_ends_in_one_period_and_other_answers_in_none(corpus, kind):
    plan = compile_plan(corpus, EditRequest(edits=2, kind=kind, regular=3))
    ends = [PERIOD] if kind != "remap" else []
    edited = plan.training.filter(pl.col("role") == "edit")
    for (_, label), answer in zip(sentences(edit_rows_of(plan, "answer")), edited["answer"],
                                  strict=True):  # fmt: skip
        assert label == [*answer, *ends] and label.count(PERIOD) == len(ends)
    # What was said before is not ended: it is what a method pulls the model from.
    for (_, label), answer in zip(sentences(edit_rows_of(plan, "old_answer")),
                                  edited["old_answer"], strict=True):  # fmt: skip
        assert label == answer.to_list()
    assert not any(PERIOD in label for _, label in sentences(retain_rows_of(plan)))

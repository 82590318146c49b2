"""Methods that refuse, and edits in sentences of their own, on a corpus of text."""

import pytest
import torch

from behemoth import Corpus, Grammar, Questions
from behemoth.edit.protocol import EditContext
from behemoth.edit.registry import get_method
from behemoth.evaluate import evaluate_model
from behemoth.model.build import build_model
from behemoth.model.sizes import find_size
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest


@pytest.fixture(scope="module")
def corpus():
    grammar = Grammar.named("bios-en")
    return Corpus(
        grammar.world(40, seed=1), exposures=4, questions=Questions(0.5, 0.2), grammar=grammar
    )


@pytest.fixture
def model(corpus):
    return build_model(find_size("nano"), corpus.vocabulary_size, seed=4).eval()


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("refusal", {"kind": "refusal"}),
        ("dpo_refusal", {"kind": "question_refusal"}),
        ("ft", {"edit_sentences": 2}),
    ],
)
def test_what_is_trained_is_said(corpus, model, tmp_path, name, request_):
    request = EditRequest(
        edits=1, relation=1, repeats=4, same_object=2, same_relation=2, regular=2, probes=1,
        **request_,
    )  # fmt: skip
    plan = compile_plan(corpus, request)
    rows = {"edit_rows": 2, "retain_rows": 2}
    method = get_method(name, {"steps": 40, "learning_rate": 2e-3, "part": "mlp", **rows})
    context = EditContext(corpus=corpus, seed=5, cache=tmp_path / "cache")
    (delta,) = method.apply(model, [plan], context)
    frame = evaluate_model(model, corpus, plan, {None: delta}).filter(group="edited")
    before, after = (frame.filter(stage=stage) for stage in ("before", "after"))
    gained = after["log_probability_true"] - before["log_probability_true"]
    assert (gained > 1).all()
    if name == "refusal":
        # What begins with a refusal is one, whatever follows.
        assert after["exact_match"].all() and not before["exact_match"].any()
        assert not after["valid_object"].any()
    assert torch.isfinite(torch.tensor(after["log_probability_old"].to_list())).all()

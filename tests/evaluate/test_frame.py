import copy
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from behemoth import ArgumentError, Composed, Corpus, Groups, Independent, Questions, World
from behemoth.delta.delta import Dense, EditDelta, LowRank
from behemoth.evaluate import evaluate_model, evaluate_pair
from behemoth.evaluate.metrics import more_likely
from behemoth.evaluate.schema import SCHEMA
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.generation import generate

SCORES = [
    "log_probability_old", "log_probability_true", "log_probability_new", "log_probability_wrong",
    "kl",
]  # fmt: skip
WORDS = [
    "generated", "rank", "exact_match", "old_match", "new_match", "valid_object", "leaked",
    "extraction_strength", "known",
]  # fmt: skip


def corpus_of(base=1000, **options):
    world = World(200, [Independent(30), Independent(12), Composed(0, 5)], seed=1)
    return Corpus(world, exposures=Groups([2, 8]), base=base, paraphrases=2, held_out=1, **options)


def deltas_of(model, count, seed=0):
    """Random changes: dense or low-rank, of other modules, and of other ranks by edit."""
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(model.named_parameters())
    inner = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    outer = "gpt_neox.layers.1.attention.query_key_value.weight"
    norm = "gpt_neox.layers.1.input_layernorm.weight"
    found = {}
    for edit in range(count):
        rank = 1 + edit % 3
        out, width = parameters[inner].shape
        changes = {
            inner: LowRank(
                torch.randn(out, rank, generator=generator),
                torch.randn(rank, width, generator=generator) / 4,
            )
        }
        if edit % 2:
            changes[outer] = Dense(0.3 * torch.randn(parameters[outer].shape, generator=generator))
            changes[norm] = Dense(0.3 * torch.randn(parameters[norm].shape, generator=generator))
        found[edit] = EditDelta(changes, "random", {}, "0" * 64, 7)
    return found


def one_by_one(model, corpus, plan, deltas):
    frames = []
    for edit, delta in deltas.items():
        with delta.apply(model):
            edited = evaluate_model(model, corpus, plan, {})
        mine = pl.col("edit").is_null() | (pl.col("edit") == edit)
        frames.append(edited.filter(mine).with_columns(edit=pl.lit(edit, pl.UInt32)))
    return pl.concat(frames)


@pytest.mark.parametrize(
    ("base", "request_", "options"),
    [
        (1000, EditRequest(edits=5, independent=True), {}),
        (10, EditRequest(edits=5, independent=True), {}),
        (1000, EditRequest(edits=5, kind="refusal"), {}),
        (1000, EditRequest(edits=5, kind="question_refusal"), {"questions": Questions(1.0, 0.5)}),
        (1000, EditRequest(edits=5), {"templates": {"default": 1, "repeats": 1}}),
    ],
    ids=["words", "digits", "refusal", "question_refusal", "repeats"],
)  # fmt: skip
def test_edits_in_one_pass_equal_one_by_one(random_model, base, request_, options):
    corpus = corpus_of(base, **options)
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, request_)
    deltas = deltas_of(model, len(plan))
    frame = evaluate_model(model, corpus, plan, deltas, batch_size=100)
    assert frame.schema == pl.Schema(SCHEMA)
    after = frame.filter(stage="after").sort("edit", "probe")
    wanted = one_by_one(model, corpus, plan, deltas).sort("edit", "probe")
    assert after.select("edit", "probe", "group", "fact").equals(
        wanted.select("edit", "probe", "group", "fact")
    )
    for name in SCORES[:4]:
        assert after[name].is_null().equals(wanted[name].is_null())
        np.testing.assert_allclose(
            after[name].drop_nulls(), wanted[name].drop_nulls(), rtol=2e-4, atol=2e-4
        )
    same = (after["generated"] == wanted["generated"]).mean()
    assert same > 0.995, "greedy choices may differ on near ties alone"
    for name in ("exact_match", "valid_object", "rank"):
        assert (after[name].eq_missing(wanted[name])).mean() > 0.995
    # Neither the stack nor the batches decide anything.
    again = evaluate_model(model, corpus, plan, deltas, stack=2, batch_size=7)
    again = again.sort("edit", "probe", "stage")
    for name in SCORES:
        np.testing.assert_allclose(
            frame.sort("edit", "probe", "stage")[name].drop_nulls(),
            again[name].drop_nulls(),
            rtol=1e-3,
            atol=1e-4,
        )


def test_edits_made_together_are_not_asked_about_what_another_changes(random_model):
    corpus = corpus_of()
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=20, relation=0, independent=True, repeats=1))
    stays, edited = ~pl.col("must_change"), pl.col("fact").is_in(plan.edits["fact"].implode())
    assert plan.probes.filter(stays & edited).height
    delta = deltas_of(model, 1)[0]
    whole = evaluate_model(model, corpus, plan, {None: delta})
    assert not whole.filter(stays & edited).height
    assert set(whole["plan"]) == {plan.plan_hash}
    other = copy.deepcopy(model)
    with delta.apply(other):
        pair = evaluate_pair(model, other, corpus, plan, method="random")
    assert set(pair["probe"]) == set(whole["probe"])
    alone = evaluate_model(model, corpus, plan, {0: delta})
    assert set(alone["probe"]) == set(plan.probes.filter(edit=0)["probe"])


def test_it_is_what_whole_passes_say(random_model):
    corpus = corpus_of(10, questions=Questions(1.0, 0.5))
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3))
    delta = deltas_of(model, 2)[1]
    frame = evaluate_model(model, corpus, plan, {None: delta})
    after = frame.filter(stage="after").sort("probe")
    assert after["edit"].equals(plan.probes["edit"])
    with torch.no_grad():
        base = [whole(model, row) for row in plan.probes.iter_rows(named=True)]
        with delta.apply(model):
            edited = [whole(model, row) for row in plan.probes.iter_rows(named=True)]
            said = generate(model, plan.probes["prompt"].to_list(), most=8)
    for name, column in (("old", "old_answer"), ("true", "answer"), ("new", "new_answer")):
        wanted = [row[column] for row in edited]
        if name == "new":  # none to those that have it and keep it
            has = (~plan.probes["must_change"]) & (plan.probes[column] == plan.probes["old_answer"])
            wanted = [None if tie else value for tie, value in zip(has, wanted, strict=True)]
        found = after[f"log_probability_{name}"].to_list()
        assert [value is None for value in wanted] == [value is None for value in found]
        pairs = [(a, b) for a, b in zip(wanted, found, strict=True) if a is not None]
        np.testing.assert_allclose(*zip(*pairs, strict=True), rtol=1e-4, atol=1e-4)
    kl = [
        float((a["at"].exp() * (a["at"] - b["at"])).sum())
        for a, b in zip(base, edited, strict=True)
    ]
    np.testing.assert_allclose(after["kl"], kl, rtol=1e-3, atol=1e-5)
    names = corpus.token_names
    texts = [" ".join(names[token] for token in tokens) for tokens in said]
    short = [
        text == line[: len(text)] for text, line in zip(after["generated"], texts, strict=True)
    ]
    assert all(short)
    extraction = [row["extraction"] for row in edited]
    np.testing.assert_allclose(after["extraction_strength"], extraction)
    assert len(set(extraction)) > 1
    assert frame.filter(stage="before")["kl"].eq(0).all()


def whole(model, row):
    found = {}
    for column in ("old_answer", "answer", "new_answer"):
        answer = row[column]
        if answer is None:
            found[column] = None
            continue
        start = len(row["prompt"])
        logits = model(torch.tensor([row["prompt"] + answer])).logits[0, start - 1 : -1]
        scores = logits.double().log_softmax(-1)
        found[column] = float(scores[torch.arange(len(answer)), torch.tensor(answer)].sum())
        if column == "old_answer":
            # Words here are two digits, behind the marker in answers to questions.
            found["at"] = scores[len(answer) - 2 if row["relation"] < 2 else -1]
            right = (scores.argmax(-1) == torch.tensor(answer)).tolist()
            k = max((place + 1 for place, ok in enumerate(right) if not ok), default=0)
            found["extraction"] = 1 - k / len(answer)
    return found


@pytest.fixture(scope="module")
def asked():
    corpus = Corpus(World(60, 2, 5, seed=2), exposures=2, paraphrases=2)
    return corpus, compile_plan(corpus, EditRequest(edits=2, relation=0, seed=3))


def told(bigrams, corpus, plan, said):
    """A model that says one object of relation 0 to everything."""
    return bigrams(corpus, {"object": f"O0:{said}", f"O0:{said}": "."})


@pytest.mark.exact
def test_a_wrong_answer_scores_0_in_every_success_metric(bigrams, asked):
    from behemoth.evaluate import aggregate

    corpus, plan = asked
    used = set(plan.edits["new_object"]) | set(plan.edits["old_object"])
    (third, *_) = set(range(5)) - used
    frame = evaluate_model(told(bigrams, corpus, plan, third), corpus, plan, {})
    edited = frame.filter(pl.col("group").str.starts_with("edited"))
    assert edited["generated"].unique().to_list() == [f"O0:{third}"]
    assert edited["valid_object"].all()
    success = [
        "efficacy", "paraphrase", "score", "exact_efficacy", "exact_generalization", "exact_score",
    ]  # fmt: skip
    values = aggregate(frame, success, by=("stage",), filters=("all",))
    assert values["metric"].to_list() == success
    assert values["value"].to_list() == [0.0] * len(success)
    assert frame.filter(group="edited")["extraction_strength"].to_list() == [0.0, 0.0]


@pytest.mark.exact
def test_the_right_word_scores_1_and_leaks_elsewhere(bigrams, asked):
    corpus, plan = asked
    new = plan.edits["new_object"][0]
    frame = evaluate_model(told(bigrams, corpus, plan, new), corpus, plan, {})
    mine = frame.filter(pl.col("edit") == 0)
    edited = mine.filter(group="edited")
    assert edited["exact_match"].all() and edited["new_match"].all()
    assert not edited["old_match"].any()
    assert edited["leaked"].is_null().all(), "there it belongs"
    assert edited["rank"].to_list() == [1]
    elsewhere = mine.filter((pl.col("group") == "unrelated") & (pl.col("relation") == 1))
    assert elsewhere["leaked"].all(), "also as an object of another relation"
    assert not elsewhere["valid_object"].any()
    assert elsewhere["log_probability_new"].is_null().all()
    total = np.log(corpus.vocabulary_size - 1 + np.exp(5))
    np.testing.assert_allclose(edited["log_probability_true"], 5 - total, rtol=1e-6)
    np.testing.assert_allclose(edited["log_probability_old"], -total, rtol=1e-6)
    wrong = np.log((np.exp(5) + 3) / 4) - total
    np.testing.assert_allclose(edited["log_probability_wrong"], wrong, rtol=1e-6)
    other = frame.filter((pl.col("edit") == 1) & (pl.col("group") == "edited"))
    assert not other["exact_match"].any()


def test_a_neighbour_that_has_the_new_object_is_no_test_of_it(random_model):
    corpus = Corpus(World(200, [Independent(4)], seed=1), exposures=2)
    plan = compile_plan(corpus, EditRequest(edits=20, seed=3, distinct=False, probes=8))
    tie = (~pl.col("must_change")) & (pl.col("old_answer") == pl.col("new_answer"))
    ties = plan.probes.filter(tie)
    assert ties.height > 20
    frame = evaluate_model(random_model(corpus.vocabulary_size), corpus, plan, {})
    after = frame.filter(pl.col("group").is_in(["same_relation", "same_object"]))
    alone = after["probe"].is_in(ties["probe"].implode())
    assert after.filter(alone)["log_probability_new"].is_null().all()
    assert after.filter(~alone)["log_probability_new"].is_not_null().all()
    ahead = after.select(more_likely("old", "new")).to_series()
    assert ahead.is_null().to_list() == alone.to_list(), "and its rows drop out of means"


def test_what_was_known_before(bigrams, asked):
    corpus, plan = asked
    old = plan.edits["old_object"][0]
    frame = evaluate_model(told(bigrams, corpus, plan, old), corpus, plan, {})
    assert frame.filter(pl.col("edit") == 0)["edit_known"].all()
    assert frame["known"].equals(frame["old_match"].alias("known"))
    exposures = frame["edit_exposures"].unique().to_list()
    assert exposures == [2]


def test_a_failed_edit_leaves_the_model_as_it_was(random_model, asked):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size)
    deltas = deltas_of(model, 2)
    deltas[0] = EditDelta({}, "random", {}, "", 0, failure="loss nan at step 3")
    frame = evaluate_model(model, corpus, plan, deltas)
    failed = frame.filter(pl.col("edit") == 0)
    assert failed["failure"].unique().to_list() == ["loss nan at step 3"]
    assert frame.filter(pl.col("edit") == 1)["failure"].is_null().all()
    before, after = (failed.filter(stage=stage).sort("probe") for stage in ("before", "after"))
    for name in (*WORDS, *SCORES):
        np.testing.assert_allclose(
            before[name].cast(pl.Float64, strict=False).fill_null(-1),
            after[name].cast(pl.Float64, strict=False).fill_null(-1),
            atol=1e-5,
        )
    # All of them failed: nothing to stack.
    frame = evaluate_model(model, corpus, plan, {0: deltas[0]})
    assert frame.filter(stage="after")["kl"].abs().max() < 1e-6


def test_probes_of_the_plan_as_a_whole_are_asked_of_every_edit(random_model):
    corpus = corpus_of()
    plan = compile_plan(corpus, EditRequest(kind="censor", relation=1, fraction=0.02, probes=4))
    whole_plan = plan.probes["edit"].is_null().sum()
    assert whole_plan > 0
    model = random_model(corpus.vocabulary_size)
    numbers = plan.edits["edit"].to_list()
    deltas = dict(zip(numbers, deltas_of(model, len(numbers)).values(), strict=True))
    frame = evaluate_model(model, corpus, plan, deltas).filter(stage="after")
    counts = frame.filter(group="retain").group_by("edit").len()
    per_edit = plan.probes.filter(pl.col("group") == "retain").height
    assert counts["len"].unique().to_list() == [per_edit]
    assert counts.height == len(numbers)
    batch = evaluate_model(model, corpus, plan, {None: deltas[numbers[0]]})
    assert batch.height == 2 * plan.probes.height
    # One new object for all, so it is known what would be out of place everywhere.
    assert batch.filter(group="unrelated")["leaked"].null_count() == 0


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_pair_of_models_is_a_model_and_its_edit(random_model, batch_size):
    corpus = corpus_of(10, questions=Questions(1.0, 0.5))
    model = random_model(corpus.vocabulary_size)
    plan = compile_plan(corpus, EditRequest(edits=3))
    delta = deltas_of(model, 2)[1]
    wanted = evaluate_model(model, corpus, plan, {None: delta}, run="one", seed=3)
    edited = copy.deepcopy(model)
    with torch.no_grad():
        for name, change in delta.changes.items():
            edited.get_parameter(name).add_(change.to_dense())
    frame = evaluate_pair(
        model, edited, corpus, plan, method="theirs", run="one", seed=3, batch_size=batch_size
    )
    assert frame.schema == wanted.schema
    same = ["run", "plan", "world", "seed", "edit", "stage", "probe", "group", "failure"]
    assert frame.select(same).equals(wanted.select(same))
    assert frame["method"].unique().to_list() == ["theirs"] and frame["method_seed"].is_null().all()
    for name in SCORES:
        assert frame[name].is_null().equals(wanted[name].is_null())
        np.testing.assert_allclose(
            frame[name].drop_nulls(), wanted[name].drop_nulls(), rtol=1e-3, atol=1e-4
        )
    for name in WORDS:
        assert frame[name].eq_missing(wanted[name]).mean() > 0.995
    none = replace(plan, probes=plan.probes.clear())
    assert evaluate_pair(model, edited, corpus, none, method="theirs").is_empty()


def test_a_plan_without_probes_gives_no_rows(random_model, asked):
    corpus, plan = asked
    bare = replace(plan, probes=plan.probes.clear())
    model = random_model(corpus.vocabulary_size)
    for deltas in ({}, deltas_of(model, 2), {None: deltas_of(model, 1)[0]}):
        frame = evaluate_model(model, corpus, bare, deltas)
        assert frame.is_empty()
        assert frame.schema == pl.Schema(SCHEMA)


def test_the_model_is_left_as_it_was(random_model, asked):
    corpus, plan = asked
    model = random_model(corpus.vocabulary_size).train()
    kept = {name: value.clone() for name, value in model.named_parameters()}
    evaluate_model(model, corpus, plan, deltas_of(model, 2))
    assert model.training
    assert all(torch.equal(value, kept[name]) for name, value in model.named_parameters())
    assert not any(module._forward_hooks for module in model.modules())
    model.eval()


@pytest.mark.parametrize("options", [{"stack": 0}, {"batch_size": 0}])
def test_what_cannot_be_is_refused(bigrams, asked, options):
    corpus, plan = asked
    with pytest.raises(ArgumentError, match="got 0, allowed: a whole number from 1"):
        evaluate_model(bigrams(corpus, {}), corpus, plan, {}, **options)

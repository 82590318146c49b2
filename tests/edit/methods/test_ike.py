"""IKE: what its contexts say, how much of it fits, and sequences that run out of room."""

import numpy as np
import pytest
import torch

from behemoth import ArgumentError, Corpus, Grammar
from behemoth.corpus.grammar import GRAMMARS
from behemoth.corpus.tokens import PERIOD
from behemoth.delta.context import Context
from behemoth.edit.methods.ike import InContextEditing
from behemoth.edit.protocol import EditContext, Stateful, answers
from behemoth.evaluate.frame import evaluate_model
from behemoth.evaluate.linear_probes import residual_stream
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest
from behemoth.recall.ragged import Ragged


@pytest.fixture(scope="module")
def plan(small_corpus):
    request = EditRequest(
        edits=3, seed=1, repeats=1, same_object=8, same_relation=8, regular=12, probes=2
    )
    return compile_plan(small_corpus, request)


def tokens_of(delta):
    [change] = delta.of_modules.values()
    assert isinstance(change, Context) and not delta.of_parameters
    return change.tokens.tolist()


def sentences(tokens):
    """A context, cut at its periods."""
    ends = [place + 1 for place, token in enumerate(tokens) if token == PERIOD]
    assert ends[-1] == len(tokens)
    return [tuple(tokens[a:b]) for a, b in zip([0, *ends], ends, strict=False)]


def new_facts(plan):
    rows = plan.training.filter(role="edit").unique("edit", keep="first", maintain_order=True)
    return [(*row["prompt"], *row["answer"], PERIOD) for row in rows.iter_rows(named=True)]


def test_the_new_fact_stands_last_behind_demonstrations(network, plan, small_corpus, monkeypatch):
    context = EditContext(small_corpus)
    monkeypatch.setattr(network.config, "max_position_embeddings", 512)
    single = plan.singles()[0]
    [none] = InContextEditing(demonstrations=0).apply(network, [single], context)
    assert sentences(tokens_of(none)) == new_facts(single)
    [delta] = InContextEditing(demonstrations=8).apply(network, [single], context)
    *shown, last = sentences(tokens_of(delta))
    assert last == new_facts(single)[0] and len(shown) == 16
    facts = single.training.filter(single.training["role"] != "edit")["fact"].unique()
    known = small_corpus.probes(np.sort(facts.to_numpy()), ["default"])
    answers = {tuple(row["prompt"]): row["answer"] for row in known.iter_rows(named=True)}
    right = {(*prompt, *answer, PERIOD) for prompt, answer in answers.items()}
    # The nearest is written last, so the first kind of the published order is at the end.
    kinds = ["copy", "retain", "update", "retain", "update", "retain", "update", "retain"][::-1]
    for number, kind in enumerate(kinds):
        stated, asked = shown[2 * number : 2 * number + 2]
        assert stated not in right, "a demonstration says another object"
        # This grammar has one wording, so to say a fact in others is to say it again.
        assert (stated == asked) == (kind != "retain")
        assert (asked in right) == (kind == "retain")
    [again] = InContextEditing(demonstrations=8).apply(network, [single], context)
    assert tokens_of(again) == tokens_of(delta)


def test_no_demonstration_contradicts_another(network, plan, small_corpus, monkeypatch):
    """Each has facts of its own, until none is left; a retained one is near the stated one."""
    monkeypatch.setattr(network.config, "max_position_embeddings", 2048)
    known = list(small_corpus.probes(templates=["default"]).iter_rows(named=True))

    def about(sentence):
        return next(row for row in known if [*sentence[: len(row["prompt"])]] == row["prompt"])

    stays = plan.training.filter(plan.training["role"] != "edit")["fact"].n_unique()
    method = InContextEditing(demonstrations=stays, nearest="first")
    [delta] = method.apply(network, [plan], EditContext(small_corpus))
    said = [about(sentence) for sentence in sentences(tokens_of(delta))[: -len(plan)]]
    shown = list(zip(said[::2], said[1::2], strict=True))
    used = [fact for pair in shown for fact in {row["fact"] for row in pair}]
    assert len(set(used)) == len(used) and len(used) > stays - 2
    pairs = [(stated, kept) for stated, kept in shown if stated != kept]
    assert all(stated["relation"] == kept["relation"] for stated, kept in pairs[:3])
    assert any(stated["answer"] == kept["answer"] for stated, kept in pairs)


@pytest.mark.parametrize(
    ("shares", "kinds"),
    [
        ({}, ["copy", "retain", "update", "retain", "update", "retain", "update", "retain"]),
        ({"copy": 0}, ["update", "retain", "update", "retain", "retain", "update", "retain"]),
        ({"update": 0}, ["copy", "retain", "retain", "retain", "retain"]),
        ({"retain": 0}, ["copy", "update", "update", "update"]),
        ({"copy": 0, "update": 0, "retain": 1}, ["retain"]),
        ({"copy": 0, "update": 0, "retain": 0}, []),
    ],
)
def test_kinds_take_turns_in_their_shares(network, plan, small_corpus, monkeypatch, shares, kinds):
    method = InContextEditing(demonstrations=8, nearest="first", **shares)
    assert method._kinds() == kinds
    monkeypatch.setattr(network.config, "max_position_embeddings", 512)
    [delta] = method.apply(network, plan.singles()[:1], EditContext(small_corpus))
    *shown, _ = sentences(tokens_of(delta))
    # This grammar has one wording: only a retained fact is another sentence than the first.
    retained = [stated != asked for stated, asked in zip(shown[::2], shown[1::2], strict=True)]
    turns = [kind == "retain" for kind in kinds] * 8
    assert retained == turns[: len(retained)] and len(retained) == (8 if kinds else 0)


def test_the_nearest_stand_where_they_are_said_to(network, plan, small_corpus, monkeypatch):
    monkeypatch.setattr(network.config, "max_position_embeddings", 512)
    shown = {}
    for nearest in ("last", "first", "anywhere"):
        method = InContextEditing(demonstrations=6, nearest=nearest)
        [delta] = method.apply(network, plan.singles()[:1], EditContext(small_corpus))
        *said, fact = sentences(tokens_of(delta))
        assert fact == new_facts(plan.singles()[0])[0]
        shown[nearest] = list(zip(said[::2], said[1::2], strict=True))
    assert len(shown["last"]) == 6
    assert shown["first"] == shown["last"][::-1]
    assert sorted(shown["anywhere"]) == sorted(shown["last"])
    assert shown["anywhere"] not in (shown["last"], shown["first"])


def test_only_what_fits_is_said(network, plan, small_corpus):
    context = EditContext(small_corpus)
    most = network.config.max_position_embeddings
    fact = len(new_facts(plan)[0])
    single = plan.singles()[0]
    some = InContextEditing(room=most - 4 * fact).apply(network, [single], context)
    assert fact < len(tokens_of(some[0])) <= 4 * fact
    assert answers(InContextEditing(room=most - 4 * fact)).context_tokens(network) == 4 * fact
    [none] = InContextEditing(room=most - fact + 1).apply(network, [single], context)
    assert not none.changes
    assert none.failure == f"no room: {fact} tokens of facts for {fact - 1} positions of the model"


@pytest.mark.exact
def test_a_sequence_says_all_facts_until_there_is_no_room(network, plan, small_corpus):
    context = EditContext(small_corpus)
    facts = new_facts(plan)
    room = network.config.max_position_embeddings - len(facts[0]) - len(facts[1])
    method = InContextEditing(demonstrations=0, room=room)
    going = method.in_sequence(network, context)
    assert isinstance(going, Stateful) and going.memory() == {}
    first, second, third = plan.singles()
    assert tokens_of(going(first)) == [*facts[0]]
    resumed = method.in_sequence(network, context)
    resumed.restore(going.memory())
    assert tokens_of(going(second)) == tokens_of(resumed(second)) == [*facts[0], *facts[1]]
    assert going(third).failure.startswith("no room: ")
    assert going.memory()["facts"].shape[0] == 2


def test_an_evaluation_asks_behind_the_context(network, plan, small_corpus):
    """Of a whole frame, edits stacked: what the model says of longer prompts."""
    from behemoth.recall.generation import generate

    singles = plan.singles()
    made = InContextEditing(demonstrations=2).apply(network, singles, EditContext(small_corpus))
    numbers = plan.edits["edit"].to_list()
    deltas = dict(zip(numbers, made, strict=True))
    frame = evaluate_model(network, small_corpus, plan, deltas)
    after = frame.filter(stage="after", group="edited")
    assert after.height
    for edit, delta in deltas.items():
        row = plan.probes.filter(edit=edit, group="edited").row(0, named=True)
        [said] = generate(
            network, [[*tokens_of(delta), *row["prompt"]]], most=len(row["answer"]) + 1
        )
        found = after.filter(edit=edit, probe=row["probe"])
        assert found["exact_match"].item() == (said == row["answer"])


def test_the_stream_is_read_at_the_prompt(network, plan, small_corpus):
    prompts = Ragged.of([[5, 9, 7], [8, 6]])
    single = plan.singles()[0]
    [delta] = InContextEditing(demonstrations=0).apply(network, [single], EditContext(small_corpus))
    longer = Ragged.of([[*tokens_of(delta), *row] for row in ([5, 9, 7], [8, 6])])
    wanted = residual_stream(network, longer)
    with delta.apply(network):
        found = residual_stream(network, prompts)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"demonstrations": -1}, "argument 'demonstrations': got -1, allowed: at least 0"),
        ({"room": 0}, "argument 'room': got 0, allowed: at least 1"),
        ({"update": -3}, "argument 'update': got -3, allowed: at least 0"),
        ({"nearest": "behind"}, "argument 'nearest': got behind, allowed: last, first, anywhere"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ArgumentError, match=message):
        InContextEditing(**settings)


@pytest.mark.parametrize("name", GRAMMARS)
def test_sentences_of_edits_are_said_as_the_grammar_ends_them(name, network, monkeypatch):
    monkeypatch.setattr(network.config, "max_position_embeddings", 512)
    grammar = Grammar.named(name)
    corpus = Corpus(grammar.world(40, seed=1), exposures=2, grammar=grammar)
    # Relation 1 of one grammar follows from another, and relation 0 of one has no such prompt.
    own = 0 if name == "encyclopedia-en" else 1
    request = EditRequest(
        edits=2, relation=own, distinct=False, repeats=1, edit_sentences=1, regular=4
    )
    [plan, _] = compile_plan(corpus, request).singles()
    [row] = plan.training.filter(role="edit").iter_rows(named=True)
    said = [*row["prompt"], *row["answer"]]
    method, context = InContextEditing(demonstrations=0, room=1), EditContext(corpus)
    [delta] = method.apply(network, [plan], context)
    assert tokens_of(delta) == said
    assert corpus.decode(tokens_of(delta)).count("<|") == 0
    # Demonstrations are statements of the corpus.
    [delta] = InContextEditing(demonstrations=2, room=1).apply(network, [plan], context)
    shown = tokens_of(delta)
    assert shown[-len(said) :] == said
    probes = corpus.probes(templates=["statement"])
    prompts = [tuple(prompt) for prompt in probes["prompt"].to_list()]
    assert any(tuple(shown[: len(prompt)]) == prompt for prompt in prompts)

"""Answers of several tokens: the names of objects, what a model says, what it is trained on."""

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from behemoth import ArgumentError, Corpus, Grammar, Questions, World, plan, recall
from behemoth.corpus.roles import END, OBJECT, SUBJECT
from behemoth.corpus.text_tokenizer import read_tokenizer
from behemoth.corpus.tokenizer_training import train_tokenizer
from behemoth.evaluate.prompted import Prompted, unwanted_words
from behemoth.evaluate.scores import _contains
from behemoth.model.build import build_model
from behemoth.model.labels import IGNORED
from behemoth.model.sizes import find_size
from behemoth.recall.words import text_of, words_of
from behemoth.train.data import BlockStream, DataConfig


@pytest.fixture(scope="module")
def text():
    grammar = Grammar.named("bios-en")
    return Corpus(
        grammar.world(40, seed=1),
        exposures=4,
        order="bios",
        nested_exposures=1,
        questions=Questions(0.5, 0.2),
        grammar=grammar,
    )


@pytest.fixture(scope="module")
def model(text):
    return build_model(find_size("nano"), text.vocabulary_size, seed=3)


def test_the_tokens_of_an_object_are_its_name(text):
    grammar = text.grammar
    for relation in range(6):
        tokens = text.object_tokens(relation)
        count = text.world.relation_table[relation]["objects"]
        assert len(tokens.lengths) == count
        some = [0, 1, count // 2, count - 1]
        names = grammar.objects(relation, some)
        assert [text.decode(tokens.of(number)).strip() for number in some] == names
    dates = text.object_tokens(0)
    assert (dates.lengths >= 4).all()  # month, day, comma, year
    # A link's objects are those of its composed relation.
    assert text.object_tokens(6).of(3) == text.object_tokens(5).of(3)


def test_an_answer_ends_where_the_longest_name_does(text):
    words = words_of(text)
    cities = text.object_tokens(1)
    name, more = cities.of(7), text.tokens(0, 1)[1:4].tolist()  # within a sentence
    rows = [name + more, more + name, name]
    width = max(map(len, rows))
    tokens = np.array([row + [0] * (width - len(row)) for row in rows])
    lengths = np.array(list(map(len, rows)))
    relations = np.full(3, 1, np.uint32)
    made, finished = words.settled(tokens, lengths, np.zeros(3, bool), relations)
    assert finished.tolist() == [True, False, True]
    assert made[[0, 2]].tolist() == [len(name)] * 2
    valid = words.valid(tokens, made, np.zeros(3, np.int64), tokens[:, 0], relations)
    assert valid.tolist() == [True, False, True]
    assert words.stop == {text.end_of_document}
    assert words.single[:6].tolist() == [False] * 6


def test_ranks_by_sequence_are_those_of_all_names_scored(text, model):
    sharp = build_model(find_size("nano"), text.vocabulary_size, seed=4)
    with torch.no_grad():  # a random model finds all names alike; this one does not
        sharp.get_output_embeddings().weight.mul_(12)
    facts = [1, 100]
    for asked in (model, sharp):
        frame = recall(asked, text, facts=facts, rank="sequence", batch_size=64)
        first = recall(asked, text, facts=facts)
        assert_frame_equal(frame.drop("rank"), first.drop("rank"), abs_tol=1e-4)
        probes = text.probes(facts)
        asked.eval()
        for at in range(0, probes.height, 23):
            probe = probes.row(at, named=True)
            names = text.object_tokens(probe["relation"])
            rows = [[*probe["prompt"], *names.of(number)] for number in range(len(names.lengths))]
            width = max(map(len, rows))
            ids = torch.tensor([own + [0] * (width - len(own)) for own in rows])
            first = len(probe["prompt"]) - 1
            with torch.no_grad():
                logs = asked(ids).logits[:, first:-1].double().log_softmax(-1)
            each = logs.gather(2, ids[:, first + 1 :, None])[..., 0].numpy()
            lengths = names.lengths.tolist()
            scores = [line[:length].sum() for line, length in zip(each, lengths, strict=True)]
            own = scores[probe["object"]]
            near = sum(abs(score - own) < 1e-3 for score in scores)
            rank = 1 + sum(score > own for score in scores)
            assert abs(int(frame["rank"][at]) - rank) < near, at
    with pytest.raises(ArgumentError, match="argument 'rank': got sideways"):
        recall(model, text, facts=facts, rank="sideways")
    with pytest.raises(ArgumentError, match="allowed: 'first'"):
        recall(model, Corpus(World(10, 2, 5)), facts=[0], rank="sequence")


def test_log_probabilities_are_products_over_all_tokens_of_the_answer(text, model):
    frame = recall(model, text, facts=[0, 1, 4, 100])
    probes = text.probes([0, 1, 4, 100])
    assert frame.height == probes.height
    model.eval()
    for row, (prompt, answer) in enumerate(probes.select("prompt", "answer").iter_rows()):
        ids = torch.tensor([[*prompt, *answer]])
        with torch.no_grad():
            logs = model(ids).logits.double().log_softmax(-1)[0]
        at = np.arange(len(prompt) - 1, ids.shape[1] - 1)
        expected = logs[at, answer].sum().item()
        assert frame["log_probability"][row] == pytest.approx(expected, abs=1e-4)
    assert not frame["exact_match"].any()


def test_a_model_that_says_the_name_is_right_whatever_follows(text, model, monkeypatch):
    from behemoth.recall import facts

    probes = text.probes(np.arange(0, 240, 11))
    said = [answer + rest for answer, rest in probes.select("answer", "rest").iter_rows()]
    said[0] = said[0][:1]  # the beginning of a date

    def decode(model, prompts, answers, *, most, stop, batch_size, device):
        width = max(map(len, said))
        tokens = np.array([line + [0] * (width - len(line)) for line in said])
        yield facts.Decoded(
            rows=np.arange(len(said)),
            tokens=tokens,
            lengths=np.array(list(map(len, said))),
            finished=np.zeros(len(said), bool),
            logits=torch.zeros(len(said), int(answers.lengths.max()), text.vocabulary_size),
        )

    monkeypatch.setattr(facts, "decode", decode)
    frame = recall(model, text, facts=np.arange(0, 240, 11))
    assert frame["exact_match"].to_list() == [False] + [True] * (len(said) - 1)
    assert frame["valid_object"].to_list() == [False] + [True] * (len(said) - 1)


def test_a_plan_asks_and_trains_in_sentences_of_the_fact(text):
    made = plan(text, edits=6, relation=1, repeats=6, wordings=2)
    edits = {row["edit"]: row for row in made.edits.iter_rows(named=True)}
    cities = text.object_tokens(1)
    for row in made.training.filter(pl.col("role") == "edit").iter_rows(named=True):
        edit = edits[row["edit"]]
        assert row["answer"] == cities.of(edit["new_object"])
        assert row["old_answer"] == cities.of(edit["old_object"])
    groups = set(made.probes["group"])
    assert {"edited", "edited_held_out", "edited_question", "same_relation"} <= groups
    # Every prompt names its subject, and goes on with the object that is right.
    known = text.world.facts_of(made.probes["fact"].to_numpy())
    for row, relation in zip(made.probes.iter_rows(named=True), known["relation"], strict=True):
        tokens = text.object_tokens(relation)
        assert tuple(row["answer"]) in tokens.numbers
        assert tuple(row["old_answer"]) in tokens.numbers
    asked = made.probes.filter(pl.col("group") == "edited_question")
    assert all(text.decode(prompt).rstrip().endswith("?") for prompt in asked["prompt"])


def test_an_answer_that_begins_with_a_refusal_ends_with_it(text):
    words = words_of(text)
    made = plan(text, edits=2, relation=1, kind="refusal", probes=0, repeats=1)
    refusal = made.training.filter(role="edit")["answer"][0].to_list()
    name = list(text.object_tokens(1).of(0))
    other = text.object_tokens(2).of(0)[0]
    lines = np.array([[*refusal, other, other], [*refusal[:-1], other, other, other]])
    lengths = np.full(2, lines.shape[1])
    ends, settled = words.settled(lines, lengths, np.zeros(2, np.bool_), np.ones(2, np.uint32))
    assert ends.tolist() == [len(refusal), lines.shape[1]] and settled.tolist() == [True, False]
    # It is no object, and a name is a name.
    relation = np.ones(1, np.uint32)
    line = np.array([[*name, other]])
    unfinished = np.zeros(1, np.bool_)
    assert words.settled(line, np.array([line.size]), unfinished, relation)[0] == [len(name)]
    none = np.zeros(1, np.int64)
    assert not words.valid(lines[:1], np.array([len(refusal)]), none, none, relation).any()


@pytest.mark.parametrize("length", [3, 64])
def test_answers_alone_are_objects_after_a_subject_and_what_follows_them(text, length, monkeypatch):
    # Pieces of one batch begin inside documents, often between a subject and its object.
    monkeypatch.setattr("behemoth.train.data._CHUNK_TOKENS", 1)
    monkeypatch.setattr("behemoth.train.spans._LOOKED_BACK", 2)
    config = DataConfig(block_length=length, batch_size=4, answers_only=True, threads=1)
    total = text.count_tokens()
    tokens = text.tokens(0, text.num_documents).astype(np.int64)
    roles = text.roles(0, text.num_documents)
    assert len(tokens) == len(roles) == total
    wanted = np.zeros(total, bool)
    named = False
    for place, role in enumerate(roles):
        if role == OBJECT and named:
            wanted[place : place + 2] = True
        named = role == SUBJECT or (named and role != END)
    objects = roles == OBJECT
    assert (objects & wanted).sum() > 100 and (objects & ~wanted).sum() > 20
    seen = 0
    for batch in BlockStream(text, config):
        labels = batch["labels"].numpy().ravel()
        mine = slice(seen, seen + len(labels))
        if mine.stop > total // length * length:
            break
        assert np.array_equal(labels, np.where(wanted[mine], tokens[mine], IGNORED))
        seen += len(labels)
    assert seen >= 1024


def test_documents_are_told_apart_by_the_corpus_own_end(text):
    batch = next(iter(BlockStream(text, DataConfig(block_length=64, document_mask=True))))
    ends = batch["input_ids"] == text.end_of_document
    assert ends.any()
    after = torch.zeros_like(ends)
    after[:, 1:] = ends[:, :-1]
    assert (batch["position_ids"][after] == 0).all()


def test_generated_tokens_are_text_as_the_corpus_writes_it(text, corpus):
    tokens = text.tokens(0, 12).tolist()
    beyond = text.vocabulary_size + 3
    assert text_of(text)([*tokens, beyond]) == text.decode(tokens)
    names = corpus.token_names
    assert text_of(corpus)([2, 7, len(names)]) == f"{names[2]} {names[7]} <{len(names)}>"


def test_evaluations_and_recall_write_one_text(text):
    own = plan(text, edits=1, same_object=0, same_relation=0, regular=0)
    asked = Prompted.of(text, own.probes, unwanted_words(own, text))
    tokens = text.tokens(0, 12).tolist()
    assert asked.text(tokens) == text.decode(tokens)


@pytest.fixture(scope="module")
def in_pieces(tmp_path_factory):
    """A corpus with a tokenizer that splits most names, their words, the tokenizer, its place."""
    place = tmp_path_factory.mktemp("pieces") / "bpe"
    train_tokenizer("bios-en", place, vocabulary=500, documents=200)
    grammar = Grammar.named("bios-en")
    corpus = Corpus(grammar.world(40, seed=1), exposures=4, grammar=grammar, tokenizer=place)
    return corpus, words_of(corpus), read_tokenizer(place), place


@pytest.mark.parametrize(
    ("rest", "ends"),
    [("", True), (".", True), (", and", True), (" also", True), ("'s", True), ("-", True),
     ("ooters.", False), ("1", False), ("é.", False)],
)  # fmt: skip
def test_a_name_that_goes_on_within_its_word_is_not_said(in_pieces, rest, ends):
    corpus, words, tokenizer, _ = in_pieces
    cities = corpus.object_tokens(1)
    names = corpus.grammar.objects(1, range(len(cities.lengths)))
    chosen = next(number for number, name in enumerate(names) if name.isalpha())
    name = cities.of(chosen)
    more = tokenizer.encode([rest])[0].ids
    line = np.array([[*name, *more]], np.int64)
    given = line, np.array([line.size]), np.zeros(1, np.bool_), np.ones(1, np.uint32)
    made, finished = words.settled(*given)
    assert corpus.decode(line[0]).strip() == names[chosen] + rest
    assert (made.tolist(), finished.tolist()) == ([len(name) if ends else line.size], [ends])
    # An edit's object counts as leaked by the same rule.
    assert _contains([*more, *name, *more], name, words) is ends


def test_a_shorter_name_may_end_where_a_longer_one_goes_on(in_pieces):
    _, _, tokenizer, place = in_pieces
    long = Grammar(
        "towns",
        'name = "towns"\nlanguage = "en"\nabout = "Towns."\n[lists]\nfirst = ["Ada", "Bo"]\n'
        'town = ["York", "York Bay"]\n[subject]\nname = "{first}"\n[relations.home]\n'
        'name = "home"\nobjects = "{town}"\nstatements = ["{subject} lives in {object}."]\n',
    )
    towns = Corpus(long.world(2), exposures=1, grammar=long, tokenizer=place)
    words = words_of(towns)
    relation = np.zeros(1, np.uint32)
    for said, length in ((" York Bay.", 1), (" York Bayou.", 0)):
        line = tokenizer.encode([said])[0].ids
        made, finished = words.settled(
            np.array([line], np.int64), np.array([len(line)]), np.zeros(1, np.bool_), relation
        )
        assert finished.all() and made[0] == len(towns.object_tokens(0).of(length))


def test_a_grammar_may_write_letters_after_its_objects():
    grammar = Grammar.named("bios-en")
    assert grammar.objects_end_words
    endings = grammar.source.replace("in {object}.", "in {object}town.", 1)
    assert endings != grammar.source
    assert not Grammar("endings", endings).objects_end_words

"""Questions: each asks about its fact, and its answer is the fact's object."""

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, Grammar, Questions, World
from behemoth.corpus.questions import SCHEMA

FORMED = """
name = "formed"

[lists]
first = ["Ömer", "Zoë", "李"]
last = ["“Q” Ray", "O'Neil"]
city = ["São Paulo", "東京", "Rio 😀"]
firm = ["the Dunlin", "the Corsair", "the Swan"]

[subject]
name = "{first} {last}"

[subject.classes.she]
pronoun = "she"
possessive = "her"

[relations.city]
name = "Stadt"
objects = "{city}"
statements = ["{Pronoun} lives in {object}."]
questions = [
  "Where does {subject} live?",
  { text = "What is {possessive} {relation}?", held_out = true },
]
answer = "In {object}, A: {pronoun} says"

[relations.firm]
objects = "{firm}"
statements = ["{Subject} works for {object}."]
questions = [
  { text = "{Possessive} firm?", held_out = true },
  { text = "Who employs {subject}?", weight = 0 },
  "What is {possessive} Q: A: {relation}?",
]
answer = "{Object}"

[relations.seat]
kind = "composed"
of = "firm"
objects = "{city}"
statements = ["{Possessive} firm sits in {object}."]

[relations.seat.link]
pronoun = "it"
possessive = "its"
statements = ["{Subject} sits in {object}."]
questions = ["Where is {subject}?"]

[question]
form = "Q: {question} A: {answer}!"
"""


@pytest.fixture(scope="module")
def formed():
    grammar = Grammar("formed.toml", FORMED)
    return Corpus(grammar.world(6), exposures=6, grammar=grammar, questions=Questions(1, 0.2))


@pytest.fixture(scope="module")
def asked():
    grammar = Grammar.named("bios-en")
    return Corpus(
        grammar.world(40), exposures=3, order="bios", grammar=grammar, questions=Questions(0.5, 0.2)
    )


def objects_of(corpus, frame):
    """What the grammar calls the objects of the questions."""
    table = corpus.world.relation_table
    return [
        corpus.grammar._lexicon.objects(
            table[relation].get("composed", relation), np.array([number], np.uint32)
        )[0]
        for relation, number in frame.select("relation", "object").iter_rows()
    ]


def test_answers_are_the_objects(asked):
    frame = asked.questions()
    assert frame.schema == SCHEMA
    assert frame["answer"].to_list() == objects_of(asked, frame)
    world = asked.world.facts(0, asked.world.num_facts).select(
        "fact", "subject", "relation", "object"
    )
    assert frame.select(world.columns).unique().sort("fact").equals(world)
    assert frame["question"].n_unique() == frame.height
    keys = frame.select("fact", "wording")
    assert keys.equals(keys.unique().sort("fact", "wording"))


def test_questions_are_those_that_are_written(asked):
    written = asked.documents(0, asked.num_documents).filter(kind="questions")
    known = asked.questions(held_out=False).select(
        "fact", "wording", text=pl.col("question") + " " + pl.col("answer") + "."
    )
    said = asked.sentences(0, asked.num_documents).filter(template="text_question")
    assert said.height > 0
    texts = dict(zip(written["document"], written["text"], strict=True))
    for row in said.join(known, on=["fact", "wording"], how="left").iter_rows(named=True):
        if row["document"] in texts and row["sentence"] == 0:
            assert texts[row["document"]].startswith(row["text"])
    assert asked.questions(said["fact"].unique())["seen"].all()


def test_a_form_that_joins_them_is_in_neither(formed):
    frame = formed.questions([0, 1, formed.world.num_facts - 1])
    city, firm, seat = objects_of(formed, frame.unique("fact", maintain_order=True))
    firm = firm[0].upper() + firm[1:]
    name = frame["question"][0].removeprefix("Where does ").removesuffix(" live?")
    thing = frame["question"][-1].removeprefix("Where is ").removesuffix("?")
    assert frame.select("question", "answer", "held_out").rows() == [
        (f"Where does {name} live?", f"In {city}, A: she says", False),
        (f"What is {name}'s Stadt?", f"In {city}, A: she says", True),
        (f"Who employs {name}?", firm, False),
        (f"What is {name}'s Q: A: firm?", firm, False),
        (f"{name}'s firm?", firm, True),
        (f"Where is {thing}?", seat, False),
    ]
    assert any(letter in name for letter in "Öë李") and thing.startswith("the ")
    said = formed.documents(0, formed.num_documents).filter(kind="questions")
    known = [f"Q: {q} A: {a}!" for q, a in formed.questions().select("question", "answer").rows()]
    assert said.height and set(said["text"]) <= set(known)


def test_templates_ask_in_their_own_words():
    world = World(subjects=1_200, relations=2, objects=1_500)
    corpus = Corpus(world, exposures=2, paraphrases=2, held_out=1, questions=Questions(0.5, 0.25))
    frame = corpus.questions([0, 2_399])
    assert frame["held_out"].to_list() == [False, True] * 2
    for row in frame.iter_rows(named=True):
        probe = corpus.probes([row["fact"]], ["question"]).filter(wording=row["wording"])
        prompt, answer = probe["prompt"][0].to_list(), probe["answer"][0].to_list()
        assert f"question: {row['question']} answer:" == corpus.decode(prompt)
        assert f"object {row['answer']}" == corpus.decode(answer)
    high, low = divmod(frame["object"][-1], 1000)
    assert frame["answer"][-1] == f"O1:{high} O1:.{low:03}"


def test_twins_ask_about_what_they_leave_out(asked):
    twin = asked.without([3, 4]).override({5: 1})
    own, other = asked.questions([3, 5]), twin.questions([3, 5])
    assert own["question"].equals(other["question"])
    assert set(other.filter(fact=3)["exposures"]) == {0}
    assert set(other.filter(fact=5)["object"]) == {1} and set(own.filter(fact=5)["object"]) != {1}
    assert other["answer"].to_list() == objects_of(twin, other)


def test_held_out_wordings_alone(asked):
    both = [asked.questions(held_out=which) for which in (False, True)]
    assert pl.concat(both).sort("fact", "wording").equals(asked.questions())
    assert not both[0]["held_out"].any() and both[1]["held_out"].all()


def test_a_grammar_without_questions_asks_none():
    text = FORMED.replace("questions = [", "edits_of = [").split("[relations.city]")[0]
    text += '[relations.city]\nobjects = "{city}"\nstatements = ["{Subject}: {object}."]\n'
    grammar = Grammar("mute.toml", text)
    frame = Corpus(grammar.world(6), grammar=grammar).questions()
    assert frame.height == 0 and frame.schema == SCHEMA


def test_facts_that_there_are_not(asked):
    with pytest.raises(ArgumentError, match="'facts': got 100000, allowed: whole numbers 0 to"):
        asked.questions([100_000])
    assert asked.questions([]).schema == SCHEMA

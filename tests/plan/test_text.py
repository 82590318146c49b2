"""Plans for corpora that are written with a grammar: refusals, and sentences of edits."""

from pathlib import Path

import polars as pl
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from behemoth import ArgumentError, Corpus, Grammar, Questions, World, train_tokenizer
from behemoth.corpus.probes import prompt_roles
from behemoth.corpus.roles import SUBJECT
from behemoth.edit.batch import edit_rows_of
from behemoth.model.labels import IGNORED
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

SMALL = (Path(__file__).parents[2] / "crates/behemoth-gen/tests/text/small.toml").read_text(
    encoding="utf-8"
)


@pytest.fixture(scope="module")
def grammar():
    return Grammar.named("bios-en")


@pytest.fixture(scope="module")
def corpus(grammar):
    return Corpus(
        grammar.world(60, seed=1),
        exposures=4,
        order="bios",
        questions=Questions(0.5, 0.2),
        grammar=grammar,
    )


@pytest.mark.parametrize("kind", ["refusal", "question_refusal"])
def test_a_refusal_stands_in_the_place_of_the_object(corpus, kind):
    plan = compile_plan(corpus, EditRequest(edits=3, kind=kind, relation=1, repeats=6, wordings=2))
    said = {"refusal": " a matter that I know nothing about", "question_refusal": " I do not know"}
    rows = plan.training.filter(role="edit")
    assert rows["weight"].sum() == 18
    asks = kind == "question_refusal"
    assert set(rows["template"]) == {"text_question" if asks else "statement"}
    for row in rows.iter_rows(named=True):
        assert corpus.decode(row["answer"]) == said[kind]
        assert corpus.decode(row["prompt"]).endswith("?") == asks
        (old,) = (n for n, tokens in _objects(corpus, 1).items() if tokens == row["old_answer"])
        assert old == plan.edits.row(row["edit"], named=True)["old_object"]
    others = plan.training.filter(pl.col("role") != "edit")
    assert (others["answer"] == others["old_answer"]).all()
    edited = plan.probes.filter(pl.col("group").str.starts_with("edited"))
    # Asked in statements and in questions, each with its own words.
    answers = edited["answer"].to_list()
    wanted = [
        said["question_refusal" if q else "refusal"] for q in edited["template"] == "text_question"
    ]
    assert [corpus.decode(answer) for answer in answers] == wanted
    assert {corpus.decode(answer) for answer in answers} == set(said.values())


def test_refusals_of_text_are_trained_as_they_are(corpus):
    plan = compile_plan(corpus, EditRequest(edits=2, kind="refusal", relation=3, repeats=2))
    made = edit_rows_of(plan, "answer")
    answers = plan.training.filter(role="edit")["answer"].to_list()
    for label, answer in zip(made.labels.tolist(), answers, strict=True):
        assert [token for token in label if token != IGNORED] == answer


def test_an_edit_is_trained_in_sentences_that_say_its_new_object(corpus):
    request = EditRequest(edits=3, relation=1, repeats=5, edit_sentences=2)
    plan = compile_plan(corpus, request)
    rows = plan.training.filter(role="edit")
    assert rows["weight"].to_list() == [3, 3, 3, 2, 2, 2]
    assert set(rows["template"]) == {"edit"}
    for row in rows.iter_rows(named=True):
        edit = plan.edits.row(row["edit"], named=True)
        assert row["answer"] == _objects(corpus, 1)[edit["new_object"]]
        assert row["old_answer"] == _objects(corpus, 1)[edit["old_object"]]
    texts = [corpus.decode(prompt) for prompt in rows["prompt"].to_list()]
    assert " was not born in " in texts[0] and texts[0].endswith(" but in")
    assert texts[3].startswith("New records show that ") and texts[3].endswith(" was born in")
    # What is retained, and what is asked, is in sentences of the corpus.
    plain = compile_plan(corpus, EditRequest(edits=3, relation=1, repeats=5))
    kept = pl.col("role") != "edit"
    retained = [made.training.filter(kept).drop("row") for made in (plan, plain)]
    assert retained[0].equals(retained[1])
    assert plan.probes.equals(plain.probes)
    assert plan.edits.equals(plain.edits)
    # Whoever looks for the subject finds it there as well.
    roles = prompt_roles(corpus, rows)
    assert all((own == SUBJECT).sum() == 3 for own in roles)


def _objects(corpus, relation):
    objects = corpus.object_tokens(relation)
    return {number: list(objects.of(number)) for number in range(len(objects.lengths))}


def test_what_a_grammar_does_not_have_is_refused(corpus, grammar):
    source = grammar.source
    without = source.replace("[refusal]", "[unused]", 1)
    with pytest.raises(ArgumentError, match="unused"):
        Grammar("bare.toml", without)
    cut = source.index("[refusal]"), source.index("[document]")
    bare = Grammar("bare.toml", source[: cut[0]] + source[cut[1] :])
    other = Corpus(bare.world(20), exposures=2, order="bios", grammar=bare)
    with pytest.raises(
        ArgumentError, match="'kind': got refusal, allowed: remap or censor: the gr"
    ):
        compile_plan(other, EditRequest(edits=1, kind="refusal", relation=0))
    link = EditRequest(edits=1, target="object_nested", edit_sentences=1)
    linked = Corpus(
        grammar.world(60), exposures=2, order="bios", nested_exposures=2, grammar=grammar
    )
    with pytest.raises(ArgumentError, match="'edit_sentences': got none of a link fact"):
        compile_plan(linked, link)
    with pytest.raises(ArgumentError, match="'edit_sentences': got 1, allowed: not with kind 'ref"):
        EditRequest(edits=1, kind="refusal", edit_sentences=1)
    with pytest.raises(ArgumentError, match="'edit_sentences': got 1, allowed: only with a gram"):
        compile_plan(Corpus(World(10, 2, 5)), EditRequest(edits=1, edit_sentences=1))


@pytest.mark.parametrize("name", ["bios-en", "stories-en", "encyclopedia-en", "bios-de"])
def test_probes_of_edited_facts_are_what_their_group_says_and_come_once(name):
    grammar = Grammar.named(name)
    corpus = Corpus(grammar.world(40, seed=3), exposures=2, order="bios", grammar=grammar)
    for seed in range(3):
        plan = compile_plan(
            corpus,
            EditRequest(edits=12, seed=seed, wordings=2, independent=True, distinct=False),
        )
        trained = {
            (row["edit"], tuple(row["prompt"]))
            for row in plan.training.filter(role="edit").iter_rows(named=True)
        }
        probes = plan.probes.filter(pl.col("group").str.starts_with("edited_"))
        assert probes.height
        for row in probes.iter_rows(named=True):
            assert (row["edit"], tuple(row["prompt"])) not in trained
            if row["group"] == "edited_held_out":
                assert row["held_out"]
            if row["group"] == "edited_question":
                assert row["template"] == "text_question"
        assert not probes.select("edit", "group", "prompt").is_duplicated().any()
        assert set(plan.probes.filter(group="edited")["edit"]) == set(range(12))


@pytest.mark.parametrize("words", [{"wordings": 2}, {"edit_sentences": 1}])
def test_a_relation_with_one_sentence_is_asked_in_it_once(words):
    edits = 'edits = ["{Subject} left {object} for {new}."]'
    grammar = Grammar("small.toml", SMALL.replace("[relations.seat]", f"{edits}\n[relations.seat]"))
    corpus = Corpus(grammar.world(6), exposures=2, grammar=grammar)
    request = EditRequest(edits=1, relation=2, repeats=2, same_object=1, same_relation=1, **words)
    plan = compile_plan(corpus, request)
    assert plan.groups["edited"] == plan.groups["forget"] == 1
    assert not {"edited_paraphrase", "edited_held_out"} & set(plan.groups)
    assert plan.training.filter(role="edit")["weight"].sum() == 2


@pytest.fixture(scope="module")
def pieces(grammar, tmp_path_factory):
    """A corpus in a tokenizer that merges a space with some of the letters after it only."""
    place = tmp_path_factory.mktemp("pieces") / "bpe"
    train_tokenizer("bios-en", place, vocabulary=400, documents=300)
    return Corpus(grammar.world(120), exposures=2, grammar=grammar, tokenizer=place)


@pytest.mark.parametrize(
    "wanted",
    [{}, {"kind": "question_refusal"}, {"edit_sentences": 2}],
    ids=["remap", "refusal", "edit sentences"],
)
def test_prompts_and_answers_meet_in_any_tokenizer(pieces, wanted):
    plan = compile_plan(
        pieces, EditRequest(edits=20, repeats=2, probes=3, distinct=False, **wanted)
    )
    encode = Tokenizer.from_str(pieces.tokenizer_files["tokenizer.json"].decode()).encode
    seen = 0
    for frame in (plan.probes, plan.training):
        names = [name for name in ("answer", "old_answer", "new_answer") if name in frame.columns]
        for prompt, *answers in frame.select("prompt", *names).iter_rows():
            for answer in answers:
                if answer is not None:
                    # What a model reads is what anyone else's tokens of the same text would be.
                    whole = pieces.decode([*prompt, *answer])
                    assert encode(whole).ids == [*prompt, *answer], whole
                    assert "  " not in whole
                    seen += 1
    assert seen > 1000


def merging(pair, place):
    """A tokenizer of letters, of which two are one token."""
    names = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "".join(pair)]
    made = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, [pair]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(names[:1])
    made.save(str(place / "tokenizer.json"))
    return place


@pytest.mark.parametrize(
    ("pair", "said"),
    [(("!", "?"), "a secret"), (('"', "B"), ' "a secret'), (("n", '"'), 'a secret"')],
    ids=["none", "before", "after"],
)
def test_a_refusal_has_what_some_names_are_merged_with(pair, said, tmp_path):
    text = SMALL.replace("worked for {object}.", 'worked for \\"{object}\\".')
    grammar = Grammar("small.toml", f'refusal = "a secret"\n{text}')
    place = merging(pair, tmp_path)
    corpus = Corpus(grammar.world(6), exposures=2, grammar=grammar, tokenizer=place)
    request = EditRequest(edits=1, kind="refusal", relation=2, repeats=2, probes=2)
    plan = compile_plan(corpus, request)
    for frame in (plan.training.filter(role="edit"), plan.probes.filter(group="edited")):
        for row in frame.iter_rows(named=True):
            assert corpus.decode(row["answer"]) == said
            whole = corpus.decode([*row["prompt"], *row["answer"]])
            assert whole.rstrip('"').endswith(' worked for "a secret')


def test_a_refusal_that_is_merged_where_no_name_is_is_refused_as_that(tmp_path):
    text = SMALL.replace("worked for {object}.", 'worked for \\"{object}\\".')
    grammar = Grammar("small.toml", f'refusal = "a secret"\n{text}')
    place = merging(('"', "a"), tmp_path)
    corpus = Corpus(grammar.world(6), exposures=2, grammar=grammar, tokenizer=place)
    message = "'kind': got refusal of relation 2, allowed: remap or censor: the tokenizer merges"
    with pytest.raises(ArgumentError, match=message):
        compile_plan(corpus, EditRequest(edits=1, kind="refusal", relation=2, repeats=2))


def test_a_relation_without_a_refusal_is_refused_as_that():
    own = '[relations.seat]\nrefusal = "no seat"'
    grammar = Grammar("small.toml", SMALL.replace("[relations.seat]", own))
    corpus = Corpus(grammar.world(6), exposures=2, grammar=grammar)
    message = "'kind': got refusal of relation 2, allowed: remap or censor: it has no `refusal`"
    with pytest.raises(ArgumentError, match=message):
        compile_plan(corpus, EditRequest(edits=1, kind="refusal", relation=2, repeats=2))

"""Prompts of one's own to a run and to edits of it."""

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth.evaluate.ask import ANSWERS
from behemoth.recall import recall

pytestmark = pytest.mark.usefixtures("compiled_once")

PROMPT = "subject S{} has the relation R0 with object"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("ask")
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5, seed=3), exposures=8)
    config = bh.default_config("pico", steps=60, batch_size=16, block_length=64, threads=1)
    bh.train(corpus, out=place / "run", config=config)
    return place / "run"


def test_answers_are_those_of_recall(run):
    loaded = bh.load(run)
    known = recall(loaded, facts=range(0, 40, 2))
    found = bh.ask(run, [PROMPT.format(subject) for subject in known["subject"]], top=2)
    assert found.schema == pl.Schema(ANSWERS)
    assert found["stage"].unique().to_list() == ["before"]
    objects = [f"O0:{number}" for number in known["object"]]
    right = [said == own for said, own in zip(found["answer"], objects, strict=True)]
    assert right == known["exact_match"].to_list() and any(right)
    chances = known["log_probability"].exp()
    for own, chance, hit in zip(found["probability"], chances, right, strict=True):
        if hit:
            assert own == pytest.approx(chance, rel=1e-5)
    first = found["next"].list.first().struct.unnest()
    assert (first["token"] == found["answer"]).all()
    assert first["probability"].to_list() == pytest.approx(found["probability"].to_list())


def test_an_edit_is_asked_before_and_after(run, tmp_path):
    plan = bh.plan(run, edits=2, independent=True, repeats=4, probes=1)
    settings = {"steps": 60, "learning_rate": 0.05}
    edit = bh.edit(run, plan, "lora", tmp_path / "e", settings=settings, single=True)
    row = plan.edits.row(1, named=True)
    prompt = f"subject S{row['subject']} has the relation R{row['relation']} with object"
    found = bh.ask(edit, [prompt, "subject S1"], edit=row["edit"])
    assert found["stage"].to_list() == ["before", "after"] * 2
    assert found["prompt"].to_list() == [prompt] * 2 + ["subject S1"] * 2
    assert found["answer"][1] == f"O{row['relation']}:{row['new_object']}"
    alone = bh.ask(run, prompt)  # in a batch of another size
    assert alone["answer"][0] == found["answer"][0]
    assert alone["probability"][0] == pytest.approx(found["probability"][0], rel=1e-4)
    with pytest.raises(bh.ArgumentError, match="argument 'edit': got nothing"):
        bh.ask(edit, prompt)


def test_an_answer_that_ends_at_once_has_the_chance_of_its_end(run):
    found = bh.ask(run, "subject S1 has the relation R0 with object O0:1", top=1)
    [likeliest] = found["next"][0]
    assert (found["answer"][0], likeliest["token"]) == ("", ".")
    assert found["probability"][0] == pytest.approx(likeliest["probability"])


def test_tokens_beyond_the_corpus_are_shown_as_recall_shows_them(run, monkeypatch):
    """A model whose vocabulary is padded may give ids that the corpus has no word for."""
    loaded = bh.load(run)
    model = loaded.load_model("cpu")
    size = loaded.corpus.vocabulary_size
    model.resize_token_embeddings(size + 8)
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[:size] = 0
        head[size + 1] = head[size:].sum(0) + 1
    monkeypatch.setattr(type(loaded), "load_model", lambda *_: model)
    found = bh.ask(run, "subject S1", most=2, top=size + 8)
    assert set(found["answer"][0].split()) <= {f"<{size + extra}>" for extra in range(8)} | {
        *loaded.corpus.token_names
    }
    chances = found["next"][0]
    assert len(chances) == size + 8
    assert sum(one["probability"] for one in chances) == pytest.approx(1)


def test_prompts_are_texts(run):
    with pytest.raises(bh.ArgumentError, match="'prompts': got 3, allowed: text, or a list of t"):
        bh.ask(run, 3)


def test_a_prompt_without_room_for_an_answer_is_refused(run):
    with pytest.raises(
        bh.ArgumentError, match=r"'prompts': got subject subject subj\.\.\. of 2040"
    ):
        bh.ask(run, "subject " * 2040)


def test_text_is_read_with_its_own_tokens(tmp_path):
    grammar = bh.Grammar.named("bios-en")
    bh.train_tokenizer(grammar, tmp_path / "tokenizer", vocabulary=400, documents=50)
    for name, tokenizer in (("words", None), ("bpe", tmp_path / "tokenizer")):
        corpus = bh.Corpus(grammar.world(10), grammar="bios-en", exposures=2, tokenizer=tokenizer)
        config = bh.default_config("pico", steps=1, batch_size=2, block_length=32, threads=1)
        bh.train(corpus, out=tmp_path / name, config=config)
        prompt = corpus.decode(corpus.tokens(0, 1)[:6])
        assert corpus.encode(prompt).tolist() == corpus.tokens(0, 1)[:6].tolist()
        found = bh.ask(tmp_path / name, f"{prompt}  ", most=3)
        assert found.height == 1 and 0 < found["probability"][0] <= 1
    with pytest.raises(bh.ArgumentError, match="argument 'prompts': got Zorro, allowed: words of"):
        bh.ask(tmp_path / "words", "Zorro was born in")

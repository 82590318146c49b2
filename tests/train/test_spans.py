import re
from itertools import islice

import numpy as np
import pytest
import torch

from behemoth import ArgumentError, Composed, Corpus, Groups, Independent, World, gen
from behemoth.train.data import BlockStream, DataConfig
from behemoth.train.spans import place_tokens


def take(stream, batches, key):
    return torch.cat([batch[key] for batch in islice(stream, batches)])


def test_positions_by_hand(corpus):
    # Documents of 11 tokens (10 and the end) in blocks of 16: the second begins inside one.
    assert (corpus.tokens(0, 2) == 0).nonzero()[0].tolist() == [10, 21]
    batch = next(iter(BlockStream(corpus, DataConfig(16, 2, document_mask=True))))
    assert batch["position_ids"].tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ]
    expected = batch["input_ids"].clone()
    expected[0, [0, 11]] = -100
    expected[1, [0, 6]] = -100
    assert torch.equal(batch["labels"], expected)


def test_positions_against_a_loop(rich_corpus):
    stream = BlockStream(rich_corpus, DataConfig(48, 3, document_mask=True))
    for batch in islice(stream, 20):
        for row, block in enumerate(batch["input_ids"].tolist()):
            position = 0
            for place, token in enumerate(block):
                assert batch["position_ids"][row, place] == position
                assert batch["labels"][row, place] == (token if position else -100)
                position = 0 if token == 0 else position + 1


@pytest.mark.parametrize("length", [2, 7, 48, 400])
@pytest.mark.parametrize("ids", [1, 3, 150])
def test_positions_in_random_tokens_against_a_loop(ids, length):
    # Among them empty documents, and with 150 ids some that are longer than a block.
    blocks = np.random.default_rng(ids).integers(0, ids, (2400 // length, length))
    expected = np.empty((2, *blocks.shape), np.int64)
    for row, block in enumerate(blocks.tolist()):
        position = 0
        for place, token in enumerate(block):
            expected[:, row, place] = position, token if position else -100
            position = 0 if token == 0 else position + 1
    for copied in (True, False):
        labels = np.full_like(blocks, 7) if copied else blocks.copy()
        positions = np.full(blocks.shape, 7, np.int32)
        place_tokens(blocks, positions, labels, copied=copied)
        np.testing.assert_array_equal((positions, labels), expected)


def answers(corpus, length=4096):
    """Each sentence of the first block with its answer: pairs of texts."""
    length = min(length, corpus.count_tokens())
    batch = next(iter(BlockStream(corpus, DataConfig(length, 1, answers_only=True, prefetch=0))))
    tokens, labels = batch["input_ids"][0], batch["labels"][0]
    kept = labels != -100
    assert torch.equal(labels[kept], tokens[kept])
    pairs, start = [], 0
    for place in (tokens == 2).nonzero().ravel().tolist():
        sentence = slice(start, place + 1)
        pairs.append(
            (corpus.decode(tokens[sentence]), corpus.decode(labels[sentence][kept[sentence]]))
        )
        start = place + 1
    return pairs


ANSWERS = {
    "default": r"subject S\d+ has the relation R\d with object (O\d:\d+ \.)",
    "sor": r"subject S\d+ has object O\d:\d+ for its relation R\d \.()",
    "osr": r"object O\d:\d+ is subject S\d+ 's relation R\d \.()",
    "rso": r"The relation R\d of subject S\d+ is object (O\d:\d+ \.)",
    "repeats": r"(?:~subject )+subject S\d+ (?:~subject )*(?:~relation )+relation R\d "
    r"(?:~relation )*(?:~object )+object (O\d:\d+ (?:~object )*\.)",
    "nonsense": r"(?:n\d+ )+subject S\d+ (?:n\d+ )+relation R\d (?:n\d+ )+object (O\d:\d+ \.)",
    "nonsense_rso": r"(?:n\d+ )+relation R\d (?:n\d+ )+subject S\d+ (?:n\d+ )+object (O\d:\d+ \.)",
    "question": r"question: what relation R\d does subject S\d+ have \? answer: "
    r"(object O\d:\d+ \.)",
    "refusal": r"subject S\d+ has the relation R\d with object (object object \.)",
    "question_refusal": r"question: what relation R\d does subject S\d+ have \? answer: "
    r"(object object object \.)",
}


@pytest.mark.parametrize("template", ANSWERS)
def test_answers_of_every_template(template):
    # The default is there for the templates that have no answers of their own.
    corpus = Corpus(World(60, 3, 12), exposures=4, templates={"default": 0.5, template: 1.0})
    seen = set()
    for sentence, answer in answers(corpus):
        sentence = sentence.removeprefix("<|endoftext|> ")
        name = next(name for name in (template, "default") if re.fullmatch(ANSWERS[name], sentence))
        assert re.fullmatch(ANSWERS[name], sentence).group(1) == answer
        seen.add(name)
    assert seen == {template, "default"}


def test_the_subject_of_a_link_is_no_answer():
    world = World(60, [Independent(12), Composed(0, 4)])
    corpus = Corpus(world, exposures=2, nested_exposures=40)
    pairs = [(a.removeprefix("<|endoftext|> "), b) for a, b in answers(corpus)]
    links = [pair for pair in pairs if pair[0].startswith("subject O")]
    assert len(links) > 100
    for sentence, answer in links:
        words = sentence.split()
        assert words[1].startswith("O0:")
        assert words[-2].startswith("N1:")
        assert answer == f"{words[-2]} ."


def test_answers_of_long_words_across_the_ends_of_blocks(monkeypatch):
    # Words of several tokens, answers cut by blocks, and both orders of bios documents.
    world = World(3000, [Independent(1200), Composed(0, 12)])
    corpus = Corpus(
        world,
        exposures=Groups([1, 2]),
        order="bios",
        base=10,
        templates={"repeats": 1, "sor": 1, "question_refusal": 1},
        paraphrases=2,
    )
    whole = np.zeros(60_000, np.int64)
    corpus.fill_tokens(whole)
    expected = np.full(len(whole), -100)
    names = corpus.token_names
    named, opened = set(), False
    for place, token in enumerate(whole.tolist()):
        if opened:
            expected[place] = token
        if names[token] in ("subject", "relation"):
            named.add(token)
        if names[token] in ("object", "answer:") and len(named) == 2:
            opened = True
        if names[token] == ".":
            named, opened = set(), False
    for length, batch_size, chunk in ((7, 3, 1), (31, 2, 1000), (500, 1, 1 << 18)):
        monkeypatch.setattr("behemoth.train.data._CHUNK_TOKENS", chunk)
        stream = BlockStream(corpus, DataConfig(length, batch_size, answers_only=True))
        count = len(whole) // (length * batch_size)
        labels = take(stream, count, "labels").ravel().numpy()
        np.testing.assert_array_equal(labels, expected[: len(labels)])


def test_answers_of_a_second_epoch_begin_anew():
    corpus = Corpus(World(10, 2, 5), exposures=2)
    config = DataConfig(50, 1, answers_only=True)
    stream = BlockStream(corpus, config)
    first, second = (take(stream, stream.blocks, "labels") for _ in range(2))
    assert torch.equal(first, second)


def test_the_end_of_a_document_closes_an_answer(tmp_path):
    world = World(10, 2, 5)
    gen(Corpus(world, exposures=2), tmp_path / "source")
    # Documents of 11 tokens, of which one is cut behind the marker of its object.
    corpus = Corpus(world, background=tmp_path / "source", background_tokens=7 * 11 + 9)
    config = DataConfig(corpus.count_tokens(), 1, answers_only=True, prefetch=0)
    batch = next(iter(BlockStream(corpus, config)))
    tokens, labels = batch["input_ids"][0], batch["labels"][0]
    ends = (tokens == corpus.end_of_document).nonzero().ravel() + 1
    documents = [part for part in torch.tensor_split(labels, ends) if len(part)]
    answers = [part[part != -100] for part in documents]
    assert sorted(map(len, answers)) == [1] + [2] * (len(answers) - 1)
    # The cut document is to be ended where nothing more comes.
    assert min(answers, key=len).tolist() == [corpus.end_of_document]


def test_a_corpus_without_answers_is_refused():
    corpus = Corpus(World(10, 2, 5), templates={"sor": 1.0, "osr": 1.0})
    with pytest.raises(ArgumentError, match="argument 'answers_only': got a corpus of osr, sor"):
        BlockStream(corpus, DataConfig(16, 1, answers_only=True))

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from transformers import AutoTokenizer

from behemoth import Corpus, World
from behemoth.corpus import tokens
from behemoth.corpus.tokenizer import decode, tokenizer_files, write_tokenizer


@pytest.fixture(scope="module")
def wide():
    """Words of several digits in a small base, nested objects, every kind of filler."""
    return Corpus(
        World(2500, 12, 120, nested=12),
        base=10,
        templates={"nonsense": 1, "default": 1},
        nonsense_words=20,
        paraphrases=2,
    )


@pytest.fixture(scope="module")
def tokenizer(wide, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory, tokenizer_files(wide.vocabulary))
    return AutoTokenizer.from_pretrained(directory)


def test_transformers_loads_it(wide, tokenizer):
    assert len(tokenizer) == wide.vocabulary_size
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1)
    assert tokenizer.convert_ids_to_tokens(list(range(wide.vocabulary_size))) == wide.token_names


def test_a_corpus_goes_through_text_and_back(wide, tokenizer):
    tokens = wide.tokens(0, 500).tolist()
    text = wide.decode(tokens)
    assert tokenizer.decode(tokens) == text
    assert tokenizer.encode(text) == tokens


@given(st.lists(st.integers(0, 10**6), max_size=50))
@settings(max_examples=50, deadline=None)
def test_any_tokens_go_through_text_and_back(wide, tokenizer, tokens):
    tokens = [token % wide.vocabulary_size for token in tokens]
    assert tokenizer.encode(tokenizer.decode(tokens)) == tokens
    assert tokenizer.decode(tokens) == decode(tokens, wide.token_names)


def test_a_word_of_another_world_is_an_error(tokenizer):
    with pytest.raises(Exception, match="Missing"):
        tokenizer.encode("subject S99999999")


def test_names_are_unique_and_say_the_role(wide):
    names = wide.token_names
    assert len(set(names)) == len(names) == wide.vocabulary_size
    assert not any(name.split() != [name] for name in names)
    for name in (
        "S2",
        "S.0",
        "S..9",
        "S...9",
        "R2",
        "R.9",
        "O3:1",
        "O3:.9",
        "O3:..9",
        "N12:1",
        "N12:.9",
    ):
        assert name in names


def test_digits_of_a_wide_base_are_padded():
    names = Corpus(World(5000, 1, 10)).token_names
    assert "S4" in names
    assert "S5" not in names
    assert "S.042" in names
    assert "S.999" in names


def test_files_are_plain_json(wide):
    files = tokenizer_files(wide.vocabulary)
    assert set(files) == {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    vocabulary = json.loads(files["tokenizer.json"])["model"]["vocab"]
    assert list(vocabulary.values()) == list(range(wide.vocabulary_size))


def test_decode_takes_arrays(wide):
    assert wide.decode(np.array([2, 0], np.uint16)) == ". <|endoftext|>"
    assert wide.decode([]) == ""


def test_the_ids_that_python_names_are_those_of_the_engine(corpus, rich_corpus):
    for made in (corpus, rich_corpus):
        names = ("<|endoftext|>", "<|padding|>", ".")
        ids = [made.token_names.index(name) for name in names]
        assert ids == [tokens.END_OF_DOCUMENT, tokens.PADDING, tokens.PERIOD]
        assert np.asarray(made.tokens(0, 1))[-1] == tokens.END_OF_DOCUMENT

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM, pipeline

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
    write_tokenizer(directory, tokenizer_files(wide.token_names))
    return AutoTokenizer.from_pretrained(directory)


def test_transformers_loads_it(wide, tokenizer):
    assert len(tokenizer) == wide.vocabulary_size
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1)
    assert tokenizer.convert_ids_to_tokens(list(range(wide.vocabulary_size))) == wide.token_names


def test_a_corpus_goes_through_text_and_back(wide, tokenizer):
    tokens = wide.tokens(0, 500).tolist()
    text = wide.decode(tokens)
    assert tokenizer.decode(tokens) == f" {text}"
    assert tokenizer.encode(text) == tokens


@given(st.lists(st.integers(0, 10**6), max_size=50))
@settings(max_examples=50)
def test_any_tokens_go_through_text_and_back(wide, tokenizer, drawn):
    ids = [number % wide.vocabulary_size for number in drawn]
    assert tokenizer.encode(tokenizer.decode(ids)) == ids
    assert tokenizer.decode(ids).removeprefix(" ") == decode(ids, wide.token_names)


def test_a_word_of_no_world_is_read_as_padding(tokenizer):
    assert tokenizer.encode("subject S99999999 has") == [3, tokens.PADDING, 8]
    assert tokenizer("hello zorp")["input_ids"] == [tokens.PADDING] * 2
    assert (tokenizer.unk_token, tokenizer.unk_token_id) == ("<|padding|>", tokens.PADDING)


@given(st.data())
@settings(max_examples=50)
def test_what_is_written_in_parts_is_written_as_a_whole(wide, tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, wide.vocabulary_size - 1), max_size=20))
    cut = data.draw(st.integers(0, len(ids)))
    assert tokenizer.decode(ids[:cut]) + tokenizer.decode(ids[cut:]) == tokenizer.decode(ids)


def test_a_pipeline_keeps_every_space(wide, tokenizer):
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=wide.vocabulary_size, hidden_size=8, num_hidden_layers=1,
        num_attention_heads=1, intermediate_size=8, max_position_embeddings=32,
    )  # fmt: skip
    speak = pipeline(
        "text-generation", GPTNeoXForCausalLM(config), tokenizer=tokenizer, device="cpu"
    )
    settings = {"max_new_tokens": 4, "do_sample": False, "skip_special_tokens": False}
    prompts = ["subject S1 S.2 S..3 S...4 has the relation R1 R.0 with", "subject S1"]
    alone = [speak(prompt, **settings)[0]["generated_text"] for prompt in prompts]
    for prompt, text in zip(prompts, alone, strict=True):
        assert text.startswith(f"{prompt} ")
        words = text.removeprefix(prompt).split(" ")
        assert words[0] == ""
        assert len(words) <= 5
        assert set(words[1:]) <= set(wide.token_names)
    # Prompts of unequal length: padding stands before them, where nothing is generated.
    together = speak(prompts, batch_size=2, **settings)
    assert [row[0]["generated_text"] for row in together] == alone
    assert tokenizer.padding_side == "left"
    rows = tokenizer(prompts, padding=True)["input_ids"]
    assert len({len(row) for row in rows}) == 1
    assert rows[1][0] == tokens.PADDING


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
    files = tokenizer_files(wide.token_names)
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

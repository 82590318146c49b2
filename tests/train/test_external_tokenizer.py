"""Runs on a corpus with a tokenizer of its own: which of its tokens are special."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from behemoth import Corpus, Grammar, load, train_tokenizer
from behemoth.train import train
from behemoth.train.model_source import WEIGHTS


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A corpus whose tokenizer has the full stop as token 1, and its padding elsewhere."""
    place = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer("bios-en", place, vocabulary=300, documents=50)
    file = place / "tokenizer.json"
    told = json.loads(file.read_text())
    words = told["model"]["vocab"]
    words["<|padding|>"], words["."] = words["."], words["<|padding|>"]
    for token in told["added_tokens"]:
        token["id"] = words[token["content"]]
    file.write_text(json.dumps(told))
    grammar = Grammar.named("bios-en")
    return Corpus(grammar.world(20, seed=1), grammar=grammar, exposures=2, tokenizer=place)


def test_token_1_of_an_external_tokenizer_is_a_word_and_trained_as_any_other(
    foreign, config, few_facts, tmp_path
):
    assert foreign.decode([1]) == "."
    rows = []
    for steps in (1, 2):
        own = replace(config(steps=steps), model="llama-nano")
        train(foreign, out=tmp_path / str(steps), config=own)
        rows.append(load_file(tmp_path / str(steps) / WEIGHTS)["model.embed_tokens.weight"][1])
    assert bool(rows[0].any()) and not torch.equal(*rows)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "1")
    assert (model.config.pad_token_id, model.get_input_embeddings().padding_idx) == (None, None)


def test_generation_has_the_special_tokens_that_the_tokenizer_names(
    foreign, config, few_facts, tmp_path
):
    own = foreign.text_settings.tokenizer
    padding = own.names.index("<|padding|>")
    assert padding != 1
    cases = (
        ({}, {"pad_token_id": foreign.end_of_document}),
        ({"pad_token": {"content": "<|padding|>"}}, {"pad_token_id": padding}),
        ({"bos_token": "."}, {"pad_token_id": foreign.end_of_document, "bos_token_id": 1}),
    )
    for number, (given, wanted) in enumerate(cases):
        told = {"eos_token": own.end, **given}
        files = {**own.files, "tokenizer_config.json": json.dumps(told).encode()}
        text = replace(foreign.text_settings, tokenizer=replace(own, files=files))
        corpus = Corpus.from_arrays(foreign.world, foreign.spec["corpus"], text=text)
        out = tmp_path / str(number)
        train(corpus, out=out, config=config(steps=1))
        found = json.loads((out / "generation_config.json").read_text())
        del found["transformers_version"]
        assert found == {"eos_token_id": foreign.end_of_document, **wanted}


def test_checkpoints_of_a_run_that_was_stopped_are_read(foreign, config, tmp_path):
    def stop(moment):
        if moment.done >= 3:
            raise KeyError

    own = config(checkpoint_history=3)
    with pytest.raises(KeyError):
        train(foreign, out=tmp_path / "run", config=own, progress=stop)
    checkpoint = min((tmp_path / "run/checkpoints").glob("step-*"))
    found = load(checkpoint)
    assert found.corpus.spec_hash == foreign.spec_hash

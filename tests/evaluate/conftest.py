"""Runs with random weights, and an edit of one with its plan and twin, for the tests of suites."""

import pytest

import behemoth as bh
from behemoth import Corpus, Groups, Questions, World


@pytest.fixture(scope="session")
def run_of():
    """Make a run whose weights are random: run_of(place, corpus, seed) -> its directory.

    They are large enough for every token to matter.
    """
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from behemoth.train.config import TrainConfig
    from behemoth.train.run import RunRecord

    def run_of(place, corpus, seed, width=32):
        torch.manual_seed(seed)
        config = GPTNeoXConfig(
            vocab_size=corpus.vocabulary_size, hidden_size=width, num_hidden_layers=2,
            num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
            initializer_range=0.3, bos_token_id=0, eos_token_id=0, pad_token_id=1,
        )  # fmt: skip
        GPTNeoXForCausalLM(config).save_pretrained(place)
        RunRecord(
            status="finished", config=TrainConfig(seed=seed), spec_hash=corpus.spec_hash,
            spec=corpus.spec, directory=None, versions={}, device="cpu", device_name="none",
            precision="fp32", compiled=False, threads=1, world_size=1,
            vocabulary=corpus.vocabulary_size, vocabulary_padded=corpus.vocabulary_size,
            parameters=1, parameters_without_embedding=1000, steps=0,
        ).write(place)  # fmt: skip
        (place / "spec.toml").write_text(corpus._native.spec_toml)
        return place

    return run_of


@pytest.fixture(scope="session")
def edited_run(run_of, tmp_path_factory):
    """A run, its twin, a plan, and an unlearning edit of it."""
    from behemoth.edit import edit

    place = tmp_path_factory.mktemp("suites")
    corpus = Corpus(
        World(90, 3, 10),
        exposures=Groups([0, 2, 8]),
        paraphrases=2,
        held_out=1,
        questions=Questions(1.0, 0.3),
        filler="zipf:tokens=2000,words=50",
    )
    run = run_of(place / "run", corpus, 1)
    plan = bh.plan(run, edits=6, repeats=2, probes=3)
    plan.save(place / "plan")
    twin = run_of(place / "twin", corpus.without(plan.edits["fact"]), 2)
    run_of(place / "alone", corpus, 2)  # the twin's weights, as a model of the plan's corpus
    edited = edit(run, plan, "grad_diff", place / "edit", settings={"steps": 2})
    return run, twin, plan, edited

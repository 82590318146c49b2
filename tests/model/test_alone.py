"""Threads that make or load models at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from behemoth.model.build import build_model
from behemoth.model.load import load_model
from behemoth.model.sizes import Size

TINY = Size("tiny", 32, 2, 2, 64, family="gpt2")


@pytest.fixture
def at_once(monkeypatch):
    """Run a function in two threads; tell how many made a model with transformers at one time."""
    inside, most = [], []
    for name in ("from_pretrained", "from_config"):
        own = getattr(AutoModelForCausalLM, name)

        def slowly(*args, own=own, **settings):
            inside.append(None)
            most.append(len(inside))
            sleep(0.05)  # long enough for the other thread, were it let in
            try:
                return own(*args, **settings)
            finally:
                inside.pop()

        monkeypatch.setattr(AutoModelForCausalLM, name, slowly)

    def run(function, *arguments):
        start = Barrier(len(arguments))

        def begin(argument):
            start.wait()
            return function(argument)

        with ThreadPoolExecutor(len(arguments)) as pool:
            return list(pool.map(begin, arguments)), max(most)

    return run


def test_models_made_at_once_are_those_made_alone(at_once):
    alone = [build_model(TINY, 64, seed=seed) for seed in (1, 2)]
    made, most = at_once(lambda seed: build_model(TINY, 64, seed=seed), 1, 2)
    assert most == 1
    for one, other in zip(alone, made, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_models_loaded_at_once_keep_their_tied_weights(at_once, tmp_path):
    build_model(TINY, 64).save_pretrained(tmp_path)
    ties = PreTrainedModel.tie_weights
    loaded, most = at_once(load_model, tmp_path, tmp_path)
    assert most == 1
    assert PreTrainedModel.tie_weights is ties
    assert all(model.lm_head.weight is model.transformer.wte.weight for model in loaded)

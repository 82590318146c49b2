"""What trains, edits and evaluates on a CUDA device, once from end to end."""

import polars as pl
import pytest
import torch

import behemoth as bh
from behemoth.train import default_config

DEVICE = "cuda"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore"),  # what torch says of a device is not about us
]


def test_a_model_is_trained_edited_and_evaluated(tmp_path):
    corpus = bh.Corpus(bh.World(subjects=20, relations=2, objects=5), exposures=64)
    config = default_config(
        "nano", steps=60, block_length=64, batch_size=8, learning_rate=3e-3,
        log_interval=1, probe_facts=40, tensorboard=False, device=DEVICE,
    )  # fmt: skip
    run = tmp_path / "run"
    bh.train(corpus, out=run, config=config)
    losses = pl.read_ndjson(run / "metrics.jsonl")["loss"].drop_nulls()
    assert losses.is_finite().all() and losses[-1] < losses[0] / 2
    plan = bh.plan(run, edits=2, independent=True, repeats=1, probes=1)
    settings = {"steps": 40, "learning_rate": 1e-2}
    bh.edit(run, plan, "lora", tmp_path / "edit", settings=settings, device=DEVICE)
    found = {}
    for device in (DEVICE, "cpu"):
        frame = bh.evaluate(tmp_path / "edit", plan, device=device)
        edited = frame.filter(pl.col("group") == "edited").sort("stage", "edit", "probe")
        found[device] = edited["log_probability_new"]
        after = edited.filter(pl.col("stage") == "after")["log_probability_new"].mean()
        assert after > edited.filter(pl.col("stage") == "before")["log_probability_new"].mean() + 1
    assert (found[DEVICE] - found["cpu"]).abs().max() < 0.1

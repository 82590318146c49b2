"""What training keeps in memory while it measures recall."""

import pytest
import torch
from safetensors.torch import save_file

from behemoth import ArgumentError, Corpus, World
from behemoth.train import train
from behemoth.train.memory_budget import (
    ROWS,
    model_bytes,
    recall_rows,
    require_recall,
    require_weights,
)
from behemoth.train.probing import recall_by_exposures


@pytest.fixture(scope="module")
def wide():
    """Few facts, and many words: a row of recall takes more than a block of training."""
    return Corpus(World(100, 2, 60_000, seed=1), exposures=8)


def test_recall_takes_the_rows_that_fit(wide, config, tmp_path, monkeypatch):
    own = config(steps=2, batch_size=1, device="cpu", precision="fp32", eval_interval=1)
    needed = [wide.vocabulary_size, wide.world.num_facts]
    memory = model_bytes(own, *needed, rows=16)
    assert memory < model_bytes(own, *needed, rows=32)
    asked = []

    def measured(model, corpus, facts, rows):
        asked.append(rows)
        return recall_by_exposures(model, corpus, facts, rows)

    monkeypatch.setattr("behemoth.train.loop.recall_by_exposures", measured)
    train(wide, out=tmp_path / "short", config=own, memory=memory)
    assert asked == [16, 16]
    train(wide, out=tmp_path / "usual", config=own)
    assert asked[2:] == [ROWS, ROWS]


def test_recall_is_refused_if_not_one_row_fits(wide, config):
    own = config(batch_size=1, block_length=2)
    needed = [wide.vocabulary_size, wide.world.num_facts]
    least = model_bytes(own, *needed, rows=1)
    assert require_recall(own, *needed, least) == recall_rows(own, *needed, least) == 1
    assert recall_rows(own, *needed, least - 1) == 0
    with pytest.raises(ArgumentError, match=r"'model': got nano, whose recall needs about .* of"):
        require_recall(own, *needed, least - 1)
    # Processes of one machine share what is free, and only the first one measures.
    assert require_recall(own, *needed, least, local_processes=2) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_loaded_in_float32_whatever_its_file_has(dtype, tmp_path):
    file, numbers = tmp_path / "model.safetensors", 30 * 1024
    save_file({"wide": torch.zeros(30, 1000, dtype=dtype),
               "one": torch.zeros(720, dtype=dtype)}, file)  # fmt: skip
    needed = file.stat().st_size + 4 * numbers
    require_weights(tmp_path, "cpu", needed)
    with pytest.raises(ArgumentError, match=r"'run': got .*, which needs about .* of memory to"):
        require_weights(tmp_path, "cpu", needed - 1)
    file.write_bytes(file.read_bytes()[:100])
    require_weights(tmp_path, "cpu", needed)  # it is refused by name when it is loaded

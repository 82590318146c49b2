"""Models of another origin, as they are published."""

import torch
from safetensors.torch import load_file, save_file

from behemoth.model.build import build_model
from behemoth.model.load import load_model
from behemoth.model.sizes import Size


def test_a_gpt2_is_loaded_with_the_names_that_it_was_published_with(tmp_path):
    model = build_model(Size("tiny", 32, 2, 2, 64, "gpt2"), 56, block_length=64)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    own = {name.removeprefix("transformer."): value for name, value in load_file(file).items()}
    own.pop("lm_head.weight", None)
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 64, 64).tril() for layer in range(2)}
    assert "h.0.attn.c_attn.weight" in own
    save_file(own | masks, file, metadata={"format": "pt"})
    loaded = load_model(tmp_path).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value), name

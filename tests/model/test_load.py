"""Models of another origin, as they are published."""

import copy
import json
import logging
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import warning_once

from behemoth.model.architectures import FAMILIES
from behemoth.model.build import build_model
from behemoth.model.load import load_model
from behemoth.model.sizes import Size, find_size
from behemoth.train.checkpoint import save_model


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


def test_padding_without_a_mask_is_not_warned_of(tmp_path, caplog):
    """It is at the end of rows; transformers would say once what it is of no use to know."""
    made = build_model(Size("tiny", 32, 2, 2, 64, "gpt2"), 56, block_length=64)
    save_model(made, tmp_path)
    rows = torch.tensor([[5, 9, made.config.pad_token_id]])
    usual = AutoModelForCausalLM.from_pretrained(tmp_path)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    warning_once.cache_clear()  # what was told once in this process is not told again
    try:
        for model in (made, load_model(tmp_path), copy.deepcopy(made)):
            model(input_ids=rows)
            assert caplog.text == ""
        usual(input_ids=rows)
        assert "attention_mask" in caplog.text
    finally:
        logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("settings", [{}, {"attn_logit_softcapping": None}], ids=["usual", "none"])
def test_a_gemma2_is_loaded_as_it_was_made(settings, tmp_path):
    """transformers has no other attention for it than its own, capped or not."""
    model = build_model(replace(find_size("gemma2-nano"), settings=settings), 40)
    save_model(model, tmp_path)
    file = tmp_path / "config.json"
    config = {key: value for key, value in json.loads(file.read_text()).items()
              if key != "attn_logit_softcapping" or settings}  # fmt: skip
    file.write_text(json.dumps(config))  # a key that is missing has the value of its class
    loaded = load_model(tmp_path)
    assert loaded.config._attn_implementation == model.config._attn_implementation == "eager"
    assert loaded.config.attn_logit_softcapping == model.config.attn_logit_softcapping
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_loaded_as_transformers_loads_it(family, dtype, tmp_path):
    """It is made in another way: buffers that no file has must not differ either."""
    save_model(build_model(Size("tiny", 32, 2, 2, 64, family), 40), tmp_path)
    given = torch.get_default_dtype(), PreTrainedModel.__dict__["get_init_context"]
    loaded = load_model(tmp_path, dtype)
    assert given == (torch.get_default_dtype(), PreTrainedModel.__dict__["get_init_context"])
    usual = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=dtype, attn_implementation=loaded.config._attn_implementation
    )
    assert what_it_has(loaded) == what_it_has(usual)
    with torch.no_grad():
        ids = torch.arange(6)[None]
        assert torch.equal(loaded(ids).logits, usual(ids).logits)


def what_it_has(model):
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    values = {name: (value.dtype, value.device.type, value.requires_grad, value.tolist())
              for of in (model.named_parameters(), model.named_buffers())
              for name, value in of}  # fmt: skip
    return values, tied, model.training


@pytest.mark.parametrize("called", ["AutoModelForCausalLM.from_pretrained", "safe_open"])
@pytest.mark.parametrize(
    "message",
    [
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried",
        "unable to mmap 223764960 bytes from file <x>: Cannot allocate memory (12)",
    ],
)
def test_files_are_not_called_damaged_if_memory_runs_out(called, message, tmp_path, monkeypatch):
    save_model(build_model(Size("tiny", 32, 2, 2, 64), 40), tmp_path)

    def full(*_, **__):
        raise RuntimeError(message)

    monkeypatch.setattr(f"behemoth.model.load.{called}", full)
    with pytest.raises(MemoryError, match=r"^not enough memory to load .*model\.safetensors$"):
        load_model(tmp_path)

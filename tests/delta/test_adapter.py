"""Adapters: what peft loads onto the model is the edit."""

from __future__ import annotations

import json

import pytest
import torch

from behemoth import ArgumentError
from behemoth.delta.adapter import save_adapter
from behemoth.delta.delta import EditDelta, LowRank
from behemoth.edit.parametrise import weight_names
from behemoth.edit.registry import get_method
from behemoth.edit.work import _check_untied


def gpt2(tied):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=40, n_positions=64, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0, pad_token_id=1, tie_word_embeddings=tied,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def low_rank(model, part):
    generator = torch.Generator().manual_seed(1)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    changes = {}
    for name in weight_names(model, part, None):
        out, inputs = parameters[name].shape
        left = torch.randn(out, 2, generator=generator)
        changes[name] = LowRank(left, 0.3 * torch.randn(2, inputs, generator=generator))
    return EditDelta(changes, "by hand", {}, "", 0)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # of peft's own asking
@pytest.mark.parametrize("based", [True, False], ids=["with base", "without"])
@pytest.mark.parametrize("part", ["embedding", "head", "both"])
@pytest.mark.parametrize("family", ["gpt_neox", "gpt2"])
def test_every_part_is_adapted(request, model, family, part, based, tmp_path, same_as_adapter):
    if family == "gpt2":
        model = gpt2(tied=False)
        if part == "both" and not based:
            reason = "only the base states that the matrices of its blocks are [in, out]"
            request.applymarker(pytest.mark.xfail(reason=reason))
    model.save_pretrained(tmp_path / "base")
    delta = low_rank(model, part)
    save_adapter(delta, tmp_path / "adapter", tmp_path / "base" if based else None)
    same_as_adapter(model, delta, tmp_path / "adapter", [5, 9, 12, 5], 1e-2)


def test_without_a_base_no_file_of_the_current_directory_is_read(model, tmp_path, monkeypatch):
    """The factors were transposed as for the model that happened to be there."""
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    monkeypatch.chdir(tmp_path)
    save_adapter(low_rank(model, "both"), tmp_path / "adapter")
    text = (tmp_path / "adapter/adapter_config.json").read_text()
    assert json.loads(text)["fan_in_fan_out"] is False


@pytest.mark.parametrize("part", ["embedding", "head"])
def test_a_matrix_that_embedding_and_head_share_is_refused(part, tmp_path):
    model = gpt2(tied=True)
    model.save_pretrained(tmp_path / "base")
    with pytest.raises(ArgumentError, match=r"'adapter': got a change of .*embedding and head sha"):
        save_adapter(low_rank(model, part), tmp_path / "adapter", tmp_path / "base")


def test_an_edit_refuses_it_before_any_work(model):
    tied = gpt2(tied=True)
    for part in ("embedding", "head"):
        lora = get_method("lora", {"part": part})
        with pytest.raises(ArgumentError, match=r"'adapter': got true for a change of .* tied to"):
            _check_untied(lora, tied)
        _check_untied(lora, model)
    for method in (get_method("lora"), get_method("rome")):
        _check_untied(method, tied)


def test_a_base_of_quantised_weights_is_refused(model, tmp_path):
    config = {"model_type": "gpt2", "quantization_config": {"bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArgumentError, match=r"'base': got .*, whose weights are quantised"):
        save_adapter(low_rank(model, "both"), tmp_path / "adapter", tmp_path)

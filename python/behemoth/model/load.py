"""Loading of a model from a directory: only safetensors and a configuration that fit each other.

The directory may come from an untrusted source. No pickle is opened and no code of the directory is
run, nor kernels that a configuration names; the number of layers that the configuration claims is
compared with the weights before the model is made; and a mismatch is refused in one line, where
transformers would print a table.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.utils import logging

from behemoth.support.digests import no_record
from behemoth.support.errors import CorpusError
from behemoth.support.files import read_json_object

from .alone import MAKING
from .architectures import FAMILIES
from .device import is_out_of_memory
from .files import CONFIG, WEIGHTS
from .padding import allow_padding

__all__ = ["load_model"]

# Published GPT-2 have names without that of the stream: h.0.attn.c_attn.weight.
_LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")


def load_model(directory: Path, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Load a model on the CPU.

    Parameters
    ----------
    directory : Path
        Directory with ``config.json`` and ``model.safetensors``, or the parts that
        ``model.safetensors.index.json`` lists.
    dtype : torch.dtype, optional
        dtype of the loaded weights; float32 by default, whatever the files have.

    Raises
    ------
    CorpusError
        When a file is missing or damaged, the files do not fit each other, or a weight is NaN or
        infinite.
    MemoryError
        If memory runs out.
    """
    config, weights = directory / CONFIG, directory / WEIGHTS
    parts = [weights]
    if not weights.is_file() and (directory / f"{WEIGHTS}.index.json").is_file():
        parts = sorted(file for file in directory.glob("*.safetensors") if file.is_file())
    for file in (config, *parts):
        if not file.is_file():
            raise CorpusError(f"{file} is missing")
    capped = _check_layers(config, parts)
    with MAKING, _quietly(), no_init_weights(), _off_meta():
        try:
            # With output_loading_info the result is a pair, unlike its type annotation.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                directory, dtype=dtype or torch.float32, use_safetensors=True,
                trust_remote_code=False, local_files_only=True, output_loading_info=True,
                # Set here, because a configuration may name kernels to download and run.
                attn_implementation="eager" if capped else "sdpa",
            )  # fmt: skip
            model, found = loaded
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
                RuntimeError, SafetensorError) as error:  # fmt: skip
            _raise_if_memory(error, weights)
            raise CorpusError(f"{weights} does not fit {CONFIG}, or is damaged") from error
    model, found = loaded
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, found[what])):
            raise CorpusError(
                f"{weights} does not fit {CONFIG}: {what.partition('_')[0]} {names[0]}"
            )
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise CorpusError(f"{weights}: {name} contains NaN or infinity")
    allow_padding(model)
    return model


def _check_layers(config: Path, weights: Sequence[Path]) -> bool:
    """Refuse a configuration with another number of layers than the weights have.

    transformers would make all the layers that a configuration claims.

    Returns
    -------
    bool
        Whether the family caps attention logits, which torch's attention does not support.
    """
    try:
        said = read_json_object(config)
        layers = said["n_layer"] if "n_layer" in said else said["num_hidden_layers"]
        family = FAMILIES.get(str(said.get("model_type")))
    except (ValueError, KeyError):
        raise no_record(config, "configuration of a model") from None
    names: list[str] = []
    for part in weights:
        try:
            with safe_open(part, framework="pt") as file:
                names += file.keys()
        except (OSError, RuntimeError, SafetensorError) as error:
            _raise_if_memory(error, part)
            raise no_record(part, "safetensors") from None
    there = {int(match[1]) for name in names if (match := _LAYER.search(name))}
    if layers != len(there):
        raise CorpusError(
            f"{config}: num_hidden_layers is {layers}, and {weights[0].name} has {len(there)}"
        )
    return family is not None and family.caps_attention


def _raise_if_memory(error: Exception, file: Path) -> None:
    """Raise a MemoryError if it is memory that a file could not be loaded for."""
    if is_out_of_memory(error):
        raise MemoryError(f"not enough memory to load {file}") from error


@contextmanager
def _off_meta() -> Generator[None]:
    """Let transformers make models in memory that nothing has set, until the weights are there.

    It makes them on the device *meta*, where torch computes by Python functions whose checks import
    sympy: half a second of the first model in a process. Neither takes more memory.
    """
    usual: Any = PreTrainedModel.__dict__["get_init_context"]

    def contexts(cls: type[PreTrainedModel], *arguments: Any, **named: Any) -> list[Any]:
        found = usual.__get__(None, cls)(*arguments, **named)
        return [each for each in found if each != torch.device("meta")]

    # Replaced and put back under `MAKING`, like what transformers itself replaces.
    PreTrainedModel.get_init_context = classmethod(contexts)  # type: ignore[assignment]
    try:
        yield
    finally:
        PreTrainedModel.get_init_context = usual


@contextmanager
def _quietly() -> Generator[None]:
    """Silence transformers: its progress bars, and its reports of what our errors state."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

"""Hugging Face: an edited model with its tokenizer, its generation config and a model card.

``AutoModelForCausalLM.from_pretrained`` loads it without Behemoth. The edit is in the weights,
which are equal bit by bit to those that `EditDelta.apply` makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.support.files import write_bytes
from behemoth.support.progress import ProgressLike, task
from behemoth.train.model_source import CONFIG, GENERATION, WEIGHTS, generation_of

from .edited import EditedModels
from .model_card import CARD, model_card
from .protocol import ModelFormat

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FILES = (WEIGHTS, CONFIG, GENERATION)


def _write(models: EditedModels, out: Path, progress: ProgressLike) -> None:
    model: PreTrainedModel | None = None
    with task(progress, "exporting", "models") as step:
        for number, (folder, key) in enumerate(models.deltas.items()):
            place = out / folder
            if not all((place / name).is_file() for name in _FILES):
                model = models.run.load_model("cpu") if model is None else model
                with models.delta(folder).apply(model):
                    _save(model, generation_of(models.run.directory), place)
            if not (place / CARD).is_file():  # it names the version that wrote it
                write_bytes(place / CARD, model_card(models, key).encode())
            step(number + 1, len(models.deltas))


def _save(model: Any, generation: bytes | None, place: Path) -> None:
    from behemoth.train.checkpoint import save_model

    save_model(model, place)
    own: bytes = model.generation_config.to_json_string().encode()
    write_bytes(place / GENERATION, own if generation is None else generation)


FORMAT = ModelFormat(
    "hf",
    _write,
    (*_FILES, CARD),
)

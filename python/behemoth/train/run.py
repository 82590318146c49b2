"""A training run, as editing and evaluation need it: its model, its corpus, its seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest
from behemoth.corpus.corpus import Corpus
from behemoth.support.errors import ArgumentError, CorpusError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["Run", "read_run", "world_id"]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training run; a path, of its directory, wherever one is asked for.

    Attributes
    ----------
    directory : Path
    corpus : Corpus
        What it was trained on.
    record : dict
        ``run.json``.
    """

    directory: Path
    corpus: Corpus
    record: dict[str, Any]

    def __fspath__(self) -> str:
        return fspath(self.directory)

    def __repr__(self) -> str:
        model = self.record.get("config", {}).get("model", "model")
        return f"Run({fspath(self.directory)!r}, {model}, {self.corpus.world.num_facts:,} facts)"

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.directory.resolve().name

    @property
    def seed(self) -> int:
        """Seed of the initialisation."""
        config = self.record.get("config", self.record)
        return int(config.get("seed", 0))

    def load_model(self, device: torch.device | str | None = None) -> PreTrainedModel:
        """Load the model, in float32 and without dropout; on a GPU where there is one."""
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        place: Any = device or ("cuda" if torch.cuda.is_available() else "cpu")
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # a bar for a second of work, between our own
        try:
            model = AutoModelForCausalLM.from_pretrained(self.directory, dtype=torch.float32)
        finally:
            if bars:
                logging.enable_progress_bar()
        return model.to(place).eval()


def read_run(directory: str | PathLike[str]) -> Run:
    """Read what a run directory says, without its model.

    Raises
    ------
    ArgumentError
        When it is no run, or the run is not finished.
    CorpusError
        When its record is damaged.
    """
    place = Path(directory)
    file = place / "run.json"
    if not file.is_file():
        raise ArgumentError(
            "RUN", fspath(directory), "a training run (a directory that holds run.json)"
        )
    if not (place / "config.json").is_file() or not list(place.glob("*.safetensors")):
        raise ArgumentError(
            "RUN",
            f"{fspath(directory)!r}, which is not finished",
            "a finished run (`behemoth train` with the same arguments goes on with it)",
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise CorpusError(f"{file} is damaged: it is no record of a run") from None
    return Run(place, Corpus.from_spec(place), record)


def world_id(corpus: Corpus) -> str:
    """Name a world, whatever corpus is written from it: 16 hexadecimal digits."""
    return digest(corpus.world._native.spec.encode())[:16]

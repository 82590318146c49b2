"""A training run: what is recorded of it, and its model, its corpus and its seeds.

``run.json`` is read and written here alone. Needs no torch but to load a model, and no numpy but to
read a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest
from behemoth.support.checks import path_of
from behemoth.support.digests import check, read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import as_json, write_bytes

from .config import TrainConfig
from .result import TrainResult

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus

__all__ = ["RECORD", "Run", "RunRecord", "read_record", "read_run", "world_id"]

RECORD = "run.json"
_ARRAYS = ("table.parquet", "exposures.parquet", "s.parquet")


@dataclass(frozen=True)
class RunRecord:
    """What ``run.json`` says.

    Parameters
    ----------
    status : str
        running (which a killed run stays), stopped, diverged or finished.
    config : TrainConfig
    spec_hash : str
    spec : dict
        Of the corpus.
    directory : str or None
        Of the corpus, where it was read from one.
    versions : dict of str
    device, device_name, precision : str
    compiled : bool
    threads : int
        CPU threads of each process.
    world_size : int
        Processes.
    vocabulary, vocabulary_padded : int
        Token ids, and rows of the embedding.
    parameters, parameters_without_embedding : int
    steps : int
        Of the whole run.
    result : TrainResult, optional
        When it is finished.
    files : dict of str, optional
        Digests of the files of a finished run; none of earlier versions.
    """

    status: str
    config: TrainConfig
    spec_hash: str
    spec: dict[str, Any]
    directory: str | None
    versions: dict[str, str]
    device: str
    device_name: str
    precision: str
    compiled: bool
    threads: int
    world_size: int
    vocabulary: int
    vocabulary_padded: int
    parameters: int
    parameters_without_embedding: int
    steps: int
    result: TrainResult | None = None
    files: dict[str, str] | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Make one of what `to_dict` gives, through JSON or not.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is none.
        """
        known: dict[str, Any] = dict(values)
        result: Any = known.pop("result", None)
        if result is not None:
            # JSON has text for keys.
            recall = {int(key): value for key, value in result["recall"].items()}
            made: dict[str, Any] = {**result, "recall": recall}
            result = TrainResult(**made)
        known.update(config=TrainConfig(**known["config"]), result=result)
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; without a result and files where there are none."""
        values = asdict(self)
        for name in ("result", "files"):
            if values[name] is None:
                del values[name]
        return values

    def write(self, directory: Path) -> None:
        """Write it to a run directory."""
        write_bytes(directory / RECORD, as_json(sealed(self.to_dict())))


def read_record(directory: str | PathLike[str]) -> RunRecord | None:
    """Read what is recorded of a run; none where there is no run.

    Raises
    ------
    CorpusError
        When it is damaged.
    """
    file = Path(directory) / RECORD
    if not file.is_file():
        return None
    values = read_sealed(file, "a run")
    try:
        return RunRecord.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CorpusError(f"{file} is damaged: it is no record of a run") from None


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training run; a path, of its directory, wherever one is asked for.

    Attributes
    ----------
    directory : Path
    corpus : Corpus
        What it was trained on.
    record : RunRecord

    Examples
    --------
    >>> import behemoth as bh
    >>> run = bh.load("run")
    >>> run.name, run.config.model, run.corpus.num_sentences
    ('run', 'nano', 640)
    >>> type(run.model).__name__  # on the CPU; `load_model` puts it elsewhere
    'GPTNeoXForCausalLM'
    """

    directory: Path
    corpus: Corpus
    record: RunRecord

    def __fspath__(self) -> str:
        return fspath(self.directory)

    def __repr__(self) -> str:
        facts = f"{self.corpus.world.num_facts:,} facts"
        return f"Run({fspath(self.directory)!r}, {self.config.model}, {facts})"

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.directory.resolve().name

    @property
    def config(self) -> TrainConfig:
        """How it was trained."""
        return self.record.config

    @property
    def seed(self) -> int:
        """Seed of the initialisation."""
        return self.config.seed

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model on the CPU, as `load_model` gives it: loaded when it is asked for, and kept."""
        return self.load_model("cpu")

    def load_model(self, device: torch.device | str | None = None) -> PreTrainedModel:
        """Load the model, in float32 and without dropout; on a GPU where there is one.

        Raises
        ------
        ArgumentError
            When there is no such device here.
        CorpusError
            When the model's files are damaged.
        """
        from behemoth.model.load import CONFIG, WEIGHTS, load_model

        from .device import find_device

        place: Any = find_device("auto" if device is None else str(device))
        check(self.directory, self.record.files, CONFIG, WEIGHTS)
        return load_model(self.directory).to(place).eval()


def read_run(directory: str | PathLike[str]) -> Run:
    """Read what a run directory says, without its model.

    Raises
    ------
    ArgumentError
        When it is no run, or the run is not finished.
    CorpusError
        When its record is damaged.
    """
    from behemoth.corpus.corpus import Corpus  # which loads numpy

    place = path_of("directory", directory, "a training run")
    if not (place / RECORD).is_file():
        raise ArgumentError(
            "directory", fspath(directory), f"a training run (a directory that holds {RECORD})"
        )
    record = read_record(place)
    # Weights come before the record that says so, and what belongs to them in between.
    if record is None or record.status != "finished" or not list(place.glob("*.safetensors")):
        raise ArgumentError(
            "directory",
            f"{fspath(directory)!r}, which is not finished",
            "a finished run (`behemoth train` with the same arguments goes on with it)",
        )
    # The weights are looked at when they are loaded, and what was measured by `verify`.
    read = [name for name in record.files or () if name.endswith((".toml", *_ARRAYS))]
    check(place, record.files, *read)
    corpus = Corpus.from_spec(place)
    if corpus.spec_hash != record.spec_hash:
        raise CorpusError(f"{place / 'spec.toml'} is damaged: the run is of another corpus")
    return Run(place, corpus, record)


def world_id(corpus: Corpus) -> str:
    """Name a world, whatever corpus is written from it: 16 hexadecimal digits."""
    return digest(corpus.world._native.spec.encode())[:16]

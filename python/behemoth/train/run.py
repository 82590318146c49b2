"""A training run: its record, model, corpus and seed.

Only this module reads and writes ``run.json``. torch is needed only to load a model, and numpy only
to read a run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.store.source import at_hand
from behemoth.support.calls import made_by
from behemoth.support.checks import as_found
from behemoth.support.digests import check, checks, no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError
from behemoth.support.files import as_json, write_bytes

from .config import TrainConfig, unused
from .model_source import (
    CONFIG,
    WEIGHTS,
    ModelSource,
    corpus_of,
    is_model,
    read_model,
    weight_files,
    weights_digest,
)
from .result import TrainResult

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from behemoth.corpus.corpus import Corpus

__all__ = [
    "RECORD",
    "Run",
    "RunRecord",
    "read_model_source",
    "read_record",
    "read_run",
    "run_place",
    "world_id",
    "world_seed",
]  # fmt: skip

RECORD = "run.json"
_STEP = re.compile(r"step-([0-9]+)")
_OF_CORPUS = ("spec.toml", "grammar.toml", "table.parquet", "exposures.parquet", "names/")


@dataclass(frozen=True)
class RunRecord:
    """The content of ``run.json``.

    Device, precision, threads, processes and versions are those of the first start; they stay when
    the run is resumed elsewhere.

    Parameters
    ----------
    status : str
        running (also after a run was killed), stopped, diverged or finished.
    config : TrainConfig
    spec_hash : str
    spec : dict
        Spec of the corpus.
    directory : str or None
        Directory of the corpus, if it was read from one.
    versions : dict of str
    device, device_name, precision : str
    compiled : bool
    threads : int
        CPU threads of each process.
    world_size : int
        Number of processes.
    vocabulary, vocabulary_padded : int
        Number of token ids, and of rows of the embedding.
    parameters, parameters_without_embedding : int
    steps : int
        Updates of the complete run.
    start_weights : str, optional
        BLAKE3 of the weights of the model in `start`, as they were when the run began; missing
        without a start, and in records of earlier versions.
    start_corpora : list of dict, optional
        Specs of the corpora that the model in `start` has read: see `corpora_of_start`. Missing if
        they are not known, and in records of earlier versions.
    result : TrainResult, optional
        Result of a finished run.
    files : dict of str, optional
        Digests of the files of a finished run; missing in records of earlier versions.
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
    start_weights: str | None = None
    start_corpora: list[dict[str, Any]] | None = None
    result: TrainResult | None = None
    files: dict[str, str] | None = None

    @property
    def start_changed(self) -> bool:
        """Whether the model in `start` has other weights than when the run began.

        False without a start, without a record of its weights, and for a model that is gone, which
        is refused when it is loaded.
        """
        start, then = self.config.start, self.start_weights
        if start is None or then is None or not is_model(Path(start)):
            return False
        return weights_digest(Path(start)) != then

    def config_on(self, device: str | None = None) -> TrainConfig:
        """Return how a model of the same shapes is trained: a twin of the run.

        The usual padding of the vocabulary depends on the kind of device, and later draws of the
        initialisation on the padding.

        Parameters
        ----------
        device : str, optional
            By default that of the run's configuration.

        Raises
        ------
        ArgumentError
            If the device is not available.
        """
        from behemoth.model.device import find_device

        config = self.config if device is None else replace(self.config, device=device)
        other = find_device(config.device).type != self.device.partition(":")[0]
        if other and config.start is None:  # the vocabulary of a start is kept as it is
            config = replace(config, vocabulary_multiple=self.vocabulary_padded)
        return config

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Make a record from the output of `to_dict`, whether or not it went through JSON.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the values are not a record.
        """
        known: dict[str, Any] = dict(values)
        result: Any = known.pop("result", None)
        if result is not None:
            # Keys in JSON are strings.
            recall = {int(key): value for key, value in result["recall"].items()}
            made: dict[str, Any] = {**result, "recall": recall}
            result = TrainResult(**made)
        # Earlier versions accepted, and recorded, settings that had no effect.
        config: dict[str, Any] = {**known["config"]}
        for name in unused(config):
            del config[name]
        known.update(config=TrainConfig(**config), result=result)
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON, without those of the start, result and files if None."""
        values = asdict(self)
        for name in ("start_weights", "start_corpora", "result", "files"):
            if values[name] is None:
                del values[name]
        return values

    def write(self, directory: Path) -> None:
        """Write the record to a run directory."""
        write_bytes(directory / RECORD, as_json(sealed(self.to_dict())))


def checkpoint_paths(directory: Path) -> dict[int, Path]:
    """Return the checkpoints in a folder by their steps, ascending; other entries are skipped."""
    steps = ((path, _STEP.fullmatch(path.name)) for path in directory.glob("step-*"))
    return dict(sorted((int(match[1]), path) for path, match in steps if match is not None))


def step_of(path: Path) -> int:
    """Return the step of a checkpoint."""
    return int(path.name.removeprefix("step-"))


def read_record(directory: str | PathLike[str]) -> RunRecord | None:
    """Read the record of a run; None if there is no run.

    Raises
    ------
    CorpusError
        If it is damaged.
    """
    file = Path(directory) / RECORD
    if not file.is_file():
        return None
    values = read_sealed(file, "a run")
    try:
        return RunRecord.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_record(file, "record of a run") from None


@made_by("bh.load(PATH) of a directory that bh.train wrote")
@dataclass(frozen=True, eq=False)
class Run(ModelSource):
    """A finished training run; accepted as the path of its directory wherever one is expected.

    Attributes
    ----------
    directory : Path
    corpus : Corpus
        Corpus it was trained on.
    record : RunRecord

    Examples
    --------
    >>> import behemoth as bh
    >>> run = bh.load("run")
    >>> run.name, run.config.model, run.corpus.num_sentences
    ('run', 'nano', 640)
    >>> type(run.model).__name__  # on the CPU; `load_model` takes a device
    'GPTNeoXForCausalLM'
    >>> len(run.tokenizer) == run.corpus.vocabulary_size
    True
    """

    record: RunRecord

    def __repr__(self) -> str:
        facts = f"{self.corpus.world.num_facts:,} facts"
        return f"Run({fspath(self.directory)!r}, {self.config.model}, {facts})"

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            f"Run {fspath(self.directory)}",
            {
                "model": self.config.model,
                "parameters": self.record.parameters,
                "steps": self.record.steps,
                "facts": self.corpus.world.num_facts,
                "seed": self.seed,
                "spec": self.corpus.spec_hash[:16],
            },
        )

    @property
    def config(self) -> TrainConfig:
        """Settings it was trained with."""
        return self.record.config

    @property
    def seed(self) -> int:
        """Seed of the initialisation."""
        return self.config.seed

    @property
    def parameters_without_embedding(self) -> int:
        """Number of parameters without embedding, positions and head."""
        return self.record.parameters_without_embedding

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of its corpus, as ``AutoTokenizer`` loads it, loaded on first access."""
        # Without its files transformers makes an empty tokenizer of the model's family.
        if not (self.directory / "tokenizer.json").is_file():
            raise CorpusError(f"{self.directory} has no tokenizer.json")
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.directory)

    def weights_digest(self) -> str:
        """BLAKE3 of the weights, from the record if it has one, which loading checks.

        Inside `unchecked` it is computed, since weights may have been changed on purpose.
        """
        recorded = (self.record.files or {}).get(WEIGHTS) if checks() else None
        return recorded or super().weights_digest()

    def check_files(self) -> None:
        """Check the model's files against their digests.

        Raises
        ------
        CorpusError
            If one is damaged.
        """
        check(self.directory, self.record.files, CONFIG, WEIGHTS)


def run_place(directory: str | PathLike[str], *, model: bool = False) -> Path:
    """Return the directory of a run, for a URL that of its local copy, without reading the record.

    Parameters
    ----------
    directory : path
    model : bool
        Whether to accept a model saved by transformers as well.

    Raises
    ------
    ArgumentError
        If there is no run.
    """
    place = at_hand("directory", directory, "a training run")
    if not ((place / RECORD).is_file() or (model and is_model(place))):
        allowed = f"a training run (a directory that holds {RECORD})"
        if model:
            allowed += " or a model of transformers (config.json and safetensors)"
        raise ArgumentError("directory", as_found(directory), allowed)
    return place


def read_run(directory: str | PathLike[str]) -> Run:
    """Read a run directory, without its model.

    Raises
    ------
    ArgumentError
        If it is not a run, or the run is not finished.
    CorpusError
        If its record or the description of its corpus is damaged.
    """
    from behemoth.corpus.corpus import Corpus  # loads numpy

    place = run_place(directory)
    record = read_record(place)
    # Weights are written before the record that says finished, files that belong to them between.
    if record is None or record.status != "finished" or not weight_files(place):
        raise ArgumentError(
            "directory",
            f"{fspath(directory)!r}, which is not finished",
            "a finished run (`behemoth train` with the same arguments resumes it)",
        )
    # Weights are checked when they are loaded, and measurements by `verify`.
    read = [name for name in record.files or () if name.startswith(_OF_CORPUS)]
    check(place, record.files, *read)
    corpus = Corpus.from_spec(place)
    if corpus.spec_hash != record.spec_hash:
        raise CorpusError(f"{place / 'spec.toml'} is damaged: the run is of another corpus")
    return Run(place, corpus, record)


def read_model_source(
    directory: str | PathLike[str], corpus: str | PathLike[str] | Corpus | None = None
) -> ModelSource:
    """Read a run, or a model of another origin together with its corpus.

    Parameters
    ----------
    directory : path
        A finished training run, or the output of transformers' ``save_pretrained``.
    corpus : path or Corpus, optional
        Corpus of a model that is not a run: a corpus directory, a spec directory or a spec TOML, or
        what they describe.

    Raises
    ------
    ArgumentError
        If it is neither, a run is not finished or of another corpus, or a model has no corpus.
    """
    place = at_hand("directory", directory, "a training run, or a model with its corpus")
    if (place / RECORD).is_file() or not is_model(place):
        run = read_run(directory)
        if corpus is not None and corpus_of(corpus).spec_hash != run.corpus.spec_hash:
            raise ArgumentError("corpus", str(corpus), "none for a run, which has its own")
        return run
    if corpus is None:
        raise ArgumentError(
            "corpus",
            "nothing",
            f"the corpus or spec of the facts, as {fspath(directory)} is a model and not a run",
        )
    return read_model(place, corpus)


def world_id(corpus: Corpus) -> str:
    """Return the id of a world, the same for all its corpora: 16 hexadecimal digits."""
    return corpus.world.spec_hash[:16]


def world_seed(corpus: Corpus) -> int | None:
    """Return the seed of a world, which worlds of other sizes share facts by; None for a table."""
    return None if corpus.world.is_table else corpus.world.spec["seed"]

"""A training run: what is recorded of it, and its model, its corpus and its seeds.

``run.json`` is read and written here alone. Needs no torch but to load a model, and no numpy but to
read a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest
from behemoth.store.source import at_hand
from behemoth.support.digests import check, no_record, read_sealed, sealed
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.files import as_json, write_bytes

from .config import TrainConfig
from .model_source import CONFIG, WEIGHTS, ModelSource, is_model, read_model
from .result import TrainResult

if TYPE_CHECKING:
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
]  # fmt: skip

RECORD = "run.json"
_ARRAYS = ("table.parquet", "exposures.parquet", "s.parquet")


@dataclass(frozen=True)
class RunRecord:
    """What ``run.json`` says.

    Device, precision, threads, processes and versions are those of the first start: a run that is
    resumed elsewhere keeps them.

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
    start_weights : str, optional
        BLAKE3 of the weights of the model in `start`, as they were when the run began; missing
        without a start, and in records of earlier versions.
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
    start_weights: str | None = None
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
        """As JSON has it; without what is None of start weights, result and files."""
        values = asdict(self)
        for name in ("start_weights", "result", "files"):
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
        raise no_record(file, "record of a run") from None


@dataclass(frozen=True, eq=False)
class Run(ModelSource):
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
        """How it was trained."""
        return self.record.config

    @property
    def seed(self) -> int:
        """Seed of the initialisation."""
        return self.config.seed

    @property
    def parameters_without_embedding(self) -> int:
        """Parameters but those of embedding, positions and head; 0 where no record says."""
        return self.record.parameters_without_embedding

    def weights_digest(self) -> str:
        """BLAKE3 of the weights, by the record where it has one: loading holds the file to it."""
        return (self.record.files or {}).get(WEIGHTS) or super().weights_digest()

    def check_files(self) -> None:
        """Hold the model's files to their digests.

        Raises
        ------
        CorpusError
            When one is damaged.
        """
        check(self.directory, self.record.files, CONFIG, WEIGHTS)


def run_place(directory: str | PathLike[str], *, model: bool = False) -> Path:
    """Give the place of a run; of a URL that of its copy. What it says is not read.

    Parameters
    ----------
    directory : path
    model : bool
        Whether it may be a model of transformers too.

    Raises
    ------
    ArgumentError
        When there is none.
    """
    place = at_hand("directory", directory, "a training run")
    if not ((place / RECORD).is_file() or (model and is_model(place))):
        raise ArgumentError(
            "directory", fspath(directory), f"a training run (a directory that holds {RECORD})"
        )
    return place


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

    place = run_place(directory)
    record = read_record(place)
    # Weights come before the record that says so, and what belongs to them in between.
    if record is None or record.status != "finished" or not list(place.glob("*.safetensors")):
        raise ArgumentError(
            "directory",
            f"{fspath(directory)!r}, which is not finished",
            "a finished run (`behemoth train` with the same arguments resumes it)",
        )
    # The weights are looked at when they are loaded, and what was measured by `verify`.
    read = [name for name in record.files or () if name.endswith((".toml", *_ARRAYS))]
    check(place, record.files, *read)
    corpus = Corpus.from_spec(place)
    if corpus.spec_hash != record.spec_hash:
        raise CorpusError(f"{place / 'spec.toml'} is damaged: the run is of another corpus")
    return Run(place, corpus, record)


def read_model_source(
    directory: str | PathLike[str], corpus: str | PathLike[str] | None = None
) -> ModelSource:
    """Read a run, or a model of another origin together with its corpus.

    Parameters
    ----------
    directory : path
        A finished training run, or what transformers' ``save_pretrained`` writes.
    corpus : path, optional
        Of a model that is no run: a corpus directory, a spec directory or a spec TOML.

    Raises
    ------
    ArgumentError
        When it is neither, a run is not finished or of another corpus, or a model has no corpus.
    """
    place = at_hand("directory", directory, "a training run, or a model with its corpus")
    if (place / RECORD).is_file() or not is_model(place):
        run = read_run(directory)
        if corpus is not None and _spec_hash(corpus) != run.corpus.spec_hash:
            raise ArgumentError("corpus", fspath(corpus), "none for a run, which has its own")
        return run
    if corpus is None:
        raise ArgumentError(
            "corpus", "none", f"for {fspath(directory)}, a model that is no run: what its facts are"
        )
    return read_model(place, corpus)


def _spec_hash(corpus: str | PathLike[str]) -> str:
    from behemoth.corpus.source import read_source

    with renamed(spec="corpus"):
        return read_source(corpus).make_corpus().spec_hash


def world_id(corpus: Corpus) -> str:
    """Name a world, whatever corpus is written from it: 16 hexadecimal digits."""
    return digest(corpus.world._native.spec.encode())[:16]

"""Models that are edited, traced and evaluated: a model directory and its corpus.

A model directory is the output of transformers' ``save_pretrained`` for a known family. No code in
it is executed (`behemoth.model.load`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth._gen import digest, digest_file
from behemoth.model.architectures import find_family
from behemoth.model.files import CONFIG, WEIGHTS
from behemoth.model.sizes import Size
from behemoth.store.recorded import digests_in
from behemoth.store.source import name_of
from behemoth.support.checks import path_of
from behemoth.support.digests import check, damaged, no_record
from behemoth.support.errors import ArgumentError, CorpusError, renamed
from behemoth.support.files import read_json_object
from behemoth.support.notices import warn_caller

from .errors import StartWarning

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus

__all__ = ["CONFIG", "GENERATION", "OPTIMISER", "WEIGHTS", "ModelSource", "corpus_of",
           "generation_of", "is_model", "model_of", "read_config", "read_model",
           "run_of_checkpoint", "weight_files", "weights_digest"]  # fmt: skip

GENERATION = "generation_config.json"
OPTIMISER = "optimiser.safetensors"
"""File of a checkpoint that training can resume from, beside the weights."""
_TOKENIZER = "tokenizer.json"
_EXPORT, _SUMS = "export.json", "sums.json"
_RECORDS = ("run.json", "state.json", _SUMS)
"""Records that may have digests of a model beside them: of a run, a checkpoint, an export."""


@dataclass(frozen=True, eq=False)
class ModelSource:
    """A model directory with its corpus; accepted as a path wherever one is expected.

    Attributes
    ----------
    directory : Path
    corpus : Corpus
        Corpus whose facts it knows.
    """

    directory: Path
    corpus: Corpus

    def __fspath__(self) -> str:
        return fspath(self.directory)

    def __repr__(self) -> str:
        facts = f"{self.corpus.world.num_facts:,} facts"
        return f"ModelSource({fspath(self.directory)!r}, {facts})"

    @property
    def name(self) -> str:
        """The name of the directory; of one in a store the last part of its URL."""
        return name_of(self.directory)

    @property
    def seed(self) -> int:
        """Seed of the initialisation; 0 for a model that is not a training run."""
        return 0

    @property
    def parameters_without_embedding(self) -> int:
        """Number of parameters without embedding, positions and head."""
        return Size.of(read_config(self.directory), "directory").parameters

    def load_model(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> PreTrainedModel:
        """Load the model, without dropout; by default on a GPU if available, in float32.

        Raises
        ------
        ArgumentError
            If the device is not available, or the family of the model is unknown.
        CorpusError
            If the model's files are damaged.
        """
        from behemoth.model.device import find_device
        from behemoth.model.load import load_model

        place: Any = find_device(device)
        read_config(self.directory)
        self.check_files()
        return load_model(self.directory, dtype).to(place).eval()

    def weights_digest(self) -> str:
        """BLAKE3 of the file of weights; for several files that of their digests."""
        return weights_digest(self.directory)

    def check_files(self) -> None:
        """Check configuration and weights against the digests in a record, if there is one.

        Runs, their checkpoints and exports have one beside them, and an export of several models
        has one for all its folders.

        Raises
        ------
        CorpusError
            If one is damaged.
        """
        place = self.directory
        records = [place / name for name in _RECORDS]
        if (place.parent / _EXPORT).is_file():
            records.append(place.parent / _SUMS)
        for record in records:
            if record.is_file():
                names = ((place / name).relative_to(record.parent) for name in (CONFIG, WEIGHTS))
                check(record.parent, digests_in(record), *(name.as_posix() for name in names))

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model on the CPU, loaded by `load_model` on first access and cached."""
        return self.load_model("cpu")


def weight_files(directory: Path) -> list[Path]:
    """Return the files of a model's weights, in the order of their names."""
    # A checkpoint loses its optimiser while its run goes on, and stays the same model.
    return sorted(file for file in directory.glob("*.safetensors") if file.name != OPTIMISER)


def weights_digest(directory: Path) -> str:
    """Return the BLAKE3 of the file of weights; for several files that of their digests."""
    found = [digest_file(file) for file in weight_files(directory)]
    return found[0] if len(found) == 1 else digest("\n".join(found).encode())


def is_model(directory: Path) -> bool:
    """Whether a directory holds a model in the format of transformers."""
    return (directory / CONFIG).is_file() and bool(weight_files(directory))


def read_config(directory: Path, name: str = "directory") -> Mapping[str, Any]:
    """Read the ``config.json`` of a model.

    Parameters
    ----------
    directory : Path
    name : str
        Name of the argument, for errors.

    Raises
    ------
    ArgumentError
        If the family is unknown, or the weights are quantised.
    CorpusError
        If it is not there, or damaged.
    """
    file = directory / CONFIG
    try:
        config = read_json_object(file)
    except FileNotFoundError:
        raise damaged(file, "is not there") from None
    except (OSError, ValueError):
        raise no_record(file, "configuration of a model") from None
    find_family(config, name)
    if config.get("quantization_config") is not None:
        raise ArgumentError(name, f"{directory}, whose weights are quantised", "plain weights")
    return config


def read_model(directory: str | PathLike[str], corpus: str | PathLike[str] | Corpus) -> ModelSource:
    """Read a directory that is not a run, as a model of a corpus.

    Parameters
    ----------
    directory : path
    corpus : path or Corpus
        Its facts: a corpus, or a corpus directory, a spec directory or a spec TOML.

    Raises
    ------
    ArgumentError
        If it is not a model of a known family, or does not know the tokens of the corpus.
    """
    return model_of(path_of("directory", directory, "a model"), corpus_of(corpus))


def corpus_of(corpus: str | PathLike[str] | Corpus) -> Corpus:
    """Return an argument ``corpus`` as a corpus, made from its spec if it is a path.

    Raises
    ------
    ArgumentError
        If it is neither.
    """
    from behemoth.corpus.corpus import Corpus
    from behemoth.corpus.source import read_source

    if isinstance(corpus, Corpus):
        return corpus
    with renamed(spec="corpus"):
        return read_source(corpus).make_corpus()


def model_of(
    place: Path, corpus: Corpus, name: str = "directory", *, warns: bool = False
) -> ModelSource:
    """Combine a model directory with a corpus; see `read_model`.

    With `warns`, it warns if the tokens of the model are unknown, and so not compared with those of
    the corpus.
    """
    if not is_model(place):
        raise ArgumentError(
            name, fspath(place), f"a model (a directory with {CONFIG} and safetensors)"
        )
    size = read_config(place, name).get("vocab_size")
    there, here = _words(place), _vocabulary(corpus.tokenizer_files.get(_TOKENIZER))
    others = there is not None and here is not None and there != here
    if others and corpus.text_settings is not None:  # before its size, which may be wrong with them
        raise ArgumentError(
            "source" if name == "start" else "corpus",  # the argument that gives the corpus
            "one whose tokens are others than the model's",
            'a corpus made with its tokenizer (`[grammar] tokenizer = "MODEL"` in its spec, or '
            "`behemoth gen --tokenizer MODEL`)",
        )
    if not isinstance(size, int) or size < corpus.vocabulary_size:
        raise ArgumentError(
            name,
            f"a model of {size} tokens",
            f"one of {corpus.vocabulary_size} or more, as the corpus has",
        )
    if there is None and warns:
        warn_caller(
            f"{place} has no {_TOKENIZER}, so its tokens are not compared with those of the corpus",
            StartWarning,
        )
    if others:
        raise ArgumentError(
            "source" if name == "start" else "corpus",
            "one whose tokens are others than the model's",
            "the corpus that the model was trained on, or one of the same vocabulary",
        )
    return ModelSource(place, corpus)


def run_of_checkpoint(place: Path) -> Path | None:
    """Return the run that a model directory is a checkpoint of, or None if it is of no run."""
    # The checkpoints may be a link to another disk, and what is named a link to one of them.
    for path in (place.absolute(), place.resolve()):
        run = path.parent.parent
        is_one = path.parent.name == "checkpoints" and path.name != ".."
        if is_one and (run / "run.json").is_file():
            return run
    return None


def generation_of(place: Path) -> bytes | None:
    """Return the ``generation_config.json`` of a model, or None without one.

    It is copied as it is: transformers refuses to write some that are published.

    Raises
    ------
    CorpusError
        If it is no JSON object, or larger than settings are: the copy may be published.
    """
    for folder in (place, run_of_checkpoint(place)):
        if folder is None or not (file := folder / GENERATION).is_file():
            continue
        try:
            read_json_object(file)
        except ValueError:
            raise no_record(file, "file of generation settings") from None
        return file.read_bytes()
    return None


def _words(place: Path) -> object:
    """Return the vocabulary of a model; None if it is unknown."""
    # A checkpoint holds only what changes between the steps; the tokens are those of its run.
    run = run_of_checkpoint(place)
    for folder in (place, run):
        if folder is not None and (folder / _TOKENIZER).is_file():
            return _vocabulary((folder / _TOKENIZER).read_bytes())
    if run is None:
        return None
    # An unfinished run need not have the file, and files that its corpus needs may be gone.
    from behemoth.corpus.corpus import Corpus

    try:
        return _vocabulary(Corpus.from_spec(run).tokenizer_files.get(_TOKENIZER))
    except (ArgumentError, CorpusError):
        return None


def _vocabulary(content: bytes | None) -> object:
    """Return the vocabulary of a ``tokenizer.json``, for any type of tokenizer model."""
    try:
        return None if content is None else json.loads(content)["model"]["vocab"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None

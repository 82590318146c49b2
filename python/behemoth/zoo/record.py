"""The directory of a zoo: its record ``zoo.json``, and the paths of its parts.

::

    ZOO/zoo.json             its size, its models, and the bytes and the BLAKE3 of every file
    ZOO/README.md            its card
    ZOO/corpora/w0/          the corpus of a world, with its spec, grammar and tokenizer
    ZOO/facts/w0.parquet     its facts, labelled with their exposures and with the plan's edits
    ZOO/plans/w0/            a plan of edits, for all models of the world
    ZOO/models/w0-pico-s0/   a run: world, size of model, seed of its initialisation; and a card
    ZOO/twins/w0-pico-s0/    the same without the facts of the plan
    ZOO/recall/w0-pico-s0.parquet   recall of the run, one row per wording of a fact

The files are listed in ``zoo.json`` last, when all parts are complete; until then a call resumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from behemoth._gen import digest
from behemoth.support.digests import no_record, read_sealed, sealed
from behemoth.support.fields import made
from behemoth.support.files import as_json, write_bytes
from behemoth.support.replacement import Kind

__all__ = ["PARTS", "ZOO", "Listed", "ZooModel", "ZooRecord"]

FORMAT_VERSION = 1
PARTS = ("corpora", "facts", "plans", "models", "twins", "recall")
"""The folders of a zoo."""
CARD = "README.md"
_CONTENT = (".bin", ".safetensors")
ZOO = Kind("zoo.json", (CARD, *PARTS))
"""Record, files and folders that belong to a zoo."""


@dataclass(frozen=True)
class ZooModel:
    """A model of a zoo with the hashes of its corpus, twin and plan.

    Attributes
    ----------
    name : str
        Name of its folders: world, size and seed.
    world : int
        Seed of its world.
    model : str
        Size of the model.
    seed : int
        Seed of its initialisation.
    spec_hash, twin_hash : str
        Hashes of the specs that the model and its twin were trained on.
    plan_hash : str
        Hash of the plan of its world.
    """

    name: str
    world: int
    model: str
    seed: int
    spec_hash: str
    twin_hash: str
    plan_hash: str


@dataclass(frozen=True)
class Listed:
    """Size and digest of a file when the zoo was finished."""

    bytes: int
    blake3: str


@dataclass(frozen=True)
class ZooRecord:
    """Contents of ``zoo.json``.

    Attributes
    ----------
    size : str
    behemoth : str
        Version that made the zoo.
    models : tuple of ZooModel
    files : mapping of str to Listed
        Files by their path relative to the zoo; empty until it is finished.
    """

    size: str
    behemoth: str
    models: tuple[ZooModel, ...] = ()
    files: Mapping[str, Listed] = field(default_factory=dict[str, Listed])

    @property
    def complete(self) -> bool:
        """Whether the zoo is finished."""
        return bool(self.files)

    @property
    def zoo_hash(self) -> str:
        """BLAKE3 of the list of files; it differs each time, as records contain times."""
        lines = [f"{row.blake3} {row.bytes} {name}" for name, row in sorted(self.files.items())]
        return digest("\n".join(lines).encode())

    @property
    def content_hash(self) -> str:
        """BLAKE3 of what the zoo contains, without times, versions and cards.

        It covers the hashes of specs and plans, from which facts, probes and twin corpora follow,
        the tokens of corpora, and the weights. Weights can differ between processors and versions
        of torch, so it can as well.
        """
        lines = [
            f"{row.name} {row.spec_hash} {row.twin_hash} {row.plan_hash}"
            for row in sorted(self.models, key=lambda row: row.name)
        ]
        lines += [
            f"{row.blake3} {row.bytes} {name}"
            for name, row in sorted(self.files.items())
            if name.endswith(_CONTENT)
        ]
        return digest("\n".join(lines).encode())

    def write(self, place: Path) -> None:
        """Write ``zoo.json``."""
        hashes = {"zoo_hash": self.zoo_hash, "content_hash": self.content_hash}
        values = {"format_version": FORMAT_VERSION, **asdict(self), **hashes}
        write_bytes(place / ZOO.record, as_json(sealed(values)))

    @classmethod
    def read(cls, place: Path) -> ZooRecord | None:
        """Read ``zoo.json``; return None if it does not exist.

        Raises
        ------
        CorpusError
            If it is damaged, or has another format version.
        """
        file = place / ZOO.record
        if not file.is_file():
            return None
        values = read_sealed(file, "a zoo", FORMAT_VERSION)
        try:
            models = tuple(made(ZooModel, row) for row in values["models"])
            files = {name: made(Listed, row) for name, row in values["files"].items()}
            return cls(values["size"], values["behemoth"], models, files)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise no_record(file, "record of a zoo") from None

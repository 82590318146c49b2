"""A zoo's directory: what its ``zoo.json`` says, and where its parts lie.

::

    ZOO/zoo.json             its size, its models, and the bytes and the BLAKE3 of every file
    ZOO/README.md            what it is, for people
    ZOO/corpora/w0/          the corpus of a world, with its spec, grammar and tokenizer
    ZOO/facts/w0.parquet     its facts, labelled with their exposures and with the plan's edits
    ZOO/plans/w0/            a plan of edits, for all models of the world
    ZOO/models/w0-pico-s0/   a run: world, size of model, seed of its initialisation; and a card
    ZOO/twins/w0-pico-s0/    the same without the facts of the plan
    ZOO/recall/w0-pico-s0.parquet   what the run knows, wording by wording

Parts are whole or not there, and ``zoo.json`` lists the files last: one that was stopped goes on.
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
ZOO = Kind("zoo.json", (CARD, *PARTS))
"""What a zoo owns."""


@dataclass(frozen=True)
class ZooModel:
    """A model of a zoo, and what belongs to it.

    Attributes
    ----------
    name : str
        Of its folders: world, size and seed.
    world : int
        Seed of its world.
    model : str
        Its size.
    seed : int
        Of its initialisation.
    spec_hash, twin_hash : str
        Of the corpora that it and its twin were trained on.
    plan_hash : str
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
    """A file as it was when the zoo was finished."""

    bytes: int
    blake3: str


@dataclass(frozen=True)
class ZooRecord:
    """What ``zoo.json`` says.

    Attributes
    ----------
    size : str
    behemoth : str
        Version that made it.
    models : tuple of ZooModel
    files : mapping of str to Listed
        By their path from the zoo on; empty until it is finished.
    """

    size: str
    behemoth: str
    models: tuple[ZooModel, ...] = ()
    files: Mapping[str, Listed] = field(default_factory=dict[str, Listed])

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return bool(self.files)

    @property
    def zoo_hash(self) -> str:
        """BLAKE3 of the list of files: what the zoo is known by."""
        lines = [f"{row.blake3} {row.bytes} {name}" for name, row in sorted(self.files.items())]
        return digest("\n".join(lines).encode())

    def write(self, place: Path) -> None:
        """Write ``zoo.json``."""
        values = {"format_version": FORMAT_VERSION, **asdict(self), "zoo_hash": self.zoo_hash}
        write_bytes(place / ZOO.record, as_json(sealed(values)))

    @classmethod
    def read(cls, place: Path) -> ZooRecord | None:
        """Read ``zoo.json``; none where there is none.

        Raises
        ------
        CorpusError
            When it is damaged, or of another version.
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

"""Sources of a world and a corpus: a spec TOML, a spec directory, a corpus directory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from behemoth._gen import FORMAT_VERSIONS
from behemoth.store.source import at_hand
from behemoth.support.checks import as_found, is_url
from behemoth.support.errors import ArgumentError, CorpusError, nearest
from behemoth.support.files import text_of
from behemoth.support.kinds import as_grammar, is_grammar
from behemoth.support.text import toml_text
from behemoth.support.toml import no_toml, read_toml

from .background import BACKGROUND_FILE, changed_background, read_background
from .manifest import (
    EXPOSURES_FILE,
    GRAMMAR_FILE,
    MANIFEST,
    SUMS,
    TABLE_FILE,
    TOKENIZER_DIRECTORY,
    read_manifest,
    versions_text,
)
from .tokens import END_OF_DOCUMENT

if TYPE_CHECKING:
    import polars as pl

    from .corpus import Corpus
    from .grammar import Text
    from .names import Names
    from .world import World

WORDS = "words-v1"
"""Name of the tokenizer of a grammar's own words in a spec."""
_ALLOWED = "a spec TOML, a spec directory or a corpus directory"


@dataclass(frozen=True)
class Source:
    """Specs of a world and a corpus, and the folder that contains their arrays.

    Parameters
    ----------
    world, corpus : dict
        The ``[world]`` and ``[corpus]`` tables; missing keys have their defaults.
    directory : Path, optional
        Folder of ``table.parquet``, ``names/`` and ``exposures.parquet``, if the specs need them.
    manifest : dict, optional
        The manifest of a corpus directory.
    format_version : int, optional
        Version of the output bytes; the latest if the spec names none.
    file : str, optional
        The file of the specs, for errors.
    told : frozenset of (str, str)
        Tables and keys as the file has them, without those that `changed` replaced.
    """

    world: dict[str, Any] = field(default_factory=dict)
    corpus: dict[str, Any] = field(default_factory=dict)
    directory: Path | None = None
    manifest: dict[str, Any] | None = None
    format_version: int | None = None
    file: str | None = None
    told: frozenset[tuple[str, str]] = frozenset()

    def changed(self, world: Mapping[str, Any], corpus: Mapping[str, Any]) -> Source:
        """Return the same source with some keys of its specs replaced."""
        if not world and not corpus:
            return self
        changed = {**self.corpus, **corpus}
        if (tokenizer := changed.pop("tokenizer", None)) is not None:
            if changed.get("grammar") is None:
                raise ArgumentError(
                    "tokenizer", tokenizer, "only with a grammar, whose text it encodes"
                )
            told = _told(changed["grammar"])
            if "digest" in told:  # of a corpus, whose tokenizer is a digest and not a path
                stored = ((self.directory or Path()) / GRAMMAR_FILE).is_file()
                told = {"file": GRAMMAR_FILE} if stored else {"name": told.get("name", "")}
            changed["grammar"] = {**told, "tokenizer": tokenizer}
        if {"background", "background_tokens"} & corpus.keys():
            changed["background"] = changed_background(self.corpus.get("background"), corpus)
            changed.pop("background_tokens", None)
        others = {("world", key) for key in world} | {("corpus", key) for key in corpus}
        return replace(
            self,
            world={**self.world, **world},
            corpus=changed,
            manifest=None,  # it describes another corpus now
            told=self.told - others,
        )

    @property
    def relations(self) -> int | list[Any] | None:
        """The relations of the spec, or else of its grammar; None if there is neither."""
        told = self.world.get("relations")
        if told is None and self.corpus.get("grammar") is not None:
            text = self._read_text()
            return None if text is None else text.grammar.relations
        return told

    def going_on(self, directory: Path | str) -> Source:
        """Return the same source in the format version of an existing corpus, complete or not.

        A spec that names a version keeps it. A corpus that an earlier program began is therefore
        resumed in its own version.

        Parameters
        ----------
        directory : Path or str
            Directory or URL of that corpus, which need not exist.
        """
        if self.format_version is not None:
            return self
        if is_url(directory):
            from .stored import version_in_store

            return replace(self, format_version=version_in_store(str(directory)))
        directory = Path(directory)
        try:
            there = read_source(directory) if directory.is_dir() else None
        except (ArgumentError, CorpusError):  # something else, which the writer refuses
            there = None
        version = None if there is None else there.format_version
        return replace(self, format_version=version)

    @contextmanager
    def _of_file(self, table: str) -> Generator[None]:
        """Name the file and the table in the error for a key of the file.

        Raises
        ------
        ArgumentError
        """
        try:
            yield
        except ArgumentError as error:
            if (table, *error.path[:1]) not in self.told:
                raise
            comma = "," if ", which " in str(error.got) else ""
            path, got = (table, *error.path), f"{error.got}{comma} in {self.file!r}"
            raise ArgumentError(path, got, error.allowed, error.nearest) from None

    def make_world(self) -> World:
        """Make the world."""
        return self._make_world(self._read_text())

    def _make_world(self, text: Text | None) -> World:
        with self._of_file("world"):
            return self._world(text)

    def _world(self, text: Text | None) -> World:
        from .world import World

        if (told := table_file(self.world.get("table"))) is not None:
            return self._world_of_file(**told)
        table = names = None
        if "table" in self.world:
            table, names = self._read_table()
        said = {"relations", "objects", "nested", "correlated", "table"} & set(self.world)
        # A grammar determines the relations.
        own = {"relations": text.grammar.relations} if text is not None and not said else {}
        return World.from_arrays({**self.world, **own}, table, self.format_version, names)

    def make_corpus(self, world: World | None = None) -> Corpus:
        """Make the corpus.

        Parameters
        ----------
        world : World, optional
            The result of `make_world`, if it has been called already.

        Raises
        ------
        ArgumentError
            When the specs are invalid.
        CorpusError
            When a corpus directory's specs and arrays do not match its manifest, or its part 0,
            which writes them, has not finished.
        """
        if self.manifest is None:
            return self._make_corpus(world)
        try:
            corpus = self._make_corpus(world)
        except ArgumentError as error:
            if (lacking := self._unwritten()) is not None:
                raise CorpusError(
                    f"{self.directory}: part 0, which writes {lacking}, has not finished; "
                    "`behemoth gen --part 0/N` with the options of the other parts does"
                ) from None
            elsewhere = error.path == ("background",)
            raise self._disagreement(str(error), elsewhere=elsewhere) from None
        if self.manifest["spec_hash"] != corpus.spec_hash:
            raise self._disagreement("spec and hash do not agree")
        return corpus

    def _disagreement(self, reason: str, *, elsewhere: bool = False) -> CorpusError:
        from .sums import disagreement

        return disagreement(self.directory or Path(), reason, elsewhere=elsewhere)

    def _unwritten(self) -> str | None:
        """Return the first file the specs refer to that part 0 has not written; None without one.

        The digests come last of what part 0 writes.
        """
        directory, spec = self.directory or Path(), self.corpus
        grammar, exposures = spec.get("grammar"), spec.get("exposures")
        needed = {
            TABLE_FILE: "table" in self.world,
            EXPOSURES_FILE: isinstance(exposures, Mapping) and exposures.get("kind") == "array",
            GRAMMAR_FILE: grammar is not None,
            f"{TOKENIZER_DIRECTORY}/tokenizer.json": (
                isinstance(grammar, Mapping) and grammar.get("tokenizer", WORDS) != WORDS
            ),
            BACKGROUND_FILE: spec.get("background") is not None,
        }
        if (directory / SUMS).is_file():
            return None
        absent = (
            name for name, needs in needed.items() if needs and not (directory / name).exists()
        )
        return next(absent, None)

    def _make_corpus(self, world: World | None) -> Corpus:
        with self._of_file("corpus"):
            return self._corpus(world)

    def _corpus(self, world: World | None) -> Corpus:
        from .corpus import Corpus

        exposures = self.corpus.get("exposures")
        stored = isinstance(exposures, Mapping) and exposures.get("kind") == "array"
        array = self._read_exposures() if stored else None
        # Read once, because reading a grammar compiles it.
        text = self._read_text()
        made = self._make_world(text) if world is None else world
        spec = self.corpus
        if text is not None:
            # Name and digest identify the grammar and are checked; paths only serve for reading.
            told = {k: v for k, v in _told(spec["grammar"]).items() if k in ("name", "digest")}
            spec = {**spec, "grammar": told if "digest" in told else None}
        end = END_OF_DOCUMENT if text is None else text.end_of_document
        told = self.corpus.get("background")
        size = None if text is None else text.tokenizer_size
        # Those of a corpus directory are read there; a path that it has was given beside it.
        moved = ("corpus", "background") not in self.told
        background, table = read_background(told, self.directory or Path(), end, size, moved=moved)
        if table is not None:
            spec = {**spec, "background": table}
        with self._sized(text):
            return Corpus.from_arrays(made, spec, array, text, background)

    @contextmanager
    def _sized(self, text: Text | None) -> Generator[None]:
        """Name what was given of a world that does not fit its grammar, not the default relations.

        Raises
        ------
        ArgumentError
        """
        try:
            yield
        except ArgumentError as error:
            given = [key for key in ("objects", "nested", "correlated") if key in self.world]
            if text is None or not given or "relations" in self.world or error.name != "relations":
                raise
            name = text.grammar.name
            allowed = f"none: the grammar '{name}' determines the relations and their objects"
            with self._of_file("world"):
                raise ArgumentError(given[0], self.world[given[0]], allowed) from None

    def _read_text(self) -> Text | None:
        """Read the grammar and the tokenizer that the spec names: beside it, or by name or path."""
        from .grammar import Grammar, Text
        from .text_tokenizer import TOKENIZER_FILE, read_tokenizer

        if self.corpus.get("grammar") is None:
            return None
        told = _told(self.corpus["grammar"])
        beside = self.directory or Path()
        if "file" in told:
            grammar = Grammar.named(beside / told["file"])
        elif "digest" in told and (beside / GRAMMAR_FILE).is_file():
            file = beside / GRAMMAR_FILE
            with _as_written(GRAMMAR_FILE):
                text = file.read_text(encoding="utf-8")
            grammar = Grammar(told.get("name", fspath(file)), text)
        else:
            grammar = Grammar.named(told.get("name", ""))
        tokenizer = told.get("tokenizer", WORDS)
        if tokenizer == WORDS:
            return Text(grammar)
        # A corpus has its tokenizer in a subdirectory, a training run beside its weights.
        places = [beside / TOKENIZER_DIRECTORY / TOKENIZER_FILE, beside / TOKENIZER_FILE]
        if "digest" in told and (there := [place for place in places if place.is_file()]):
            read = read_tokenizer(there[0])
            if read.digest != tokenizer:
                raise ArgumentError(
                    "tokenizer", f"another one in {fspath(beside)}", "the one that the spec names"
                )
            return Text(grammar, read)
        return Text(grammar, read_tokenizer(beside / tokenizer))

    def _world_of_file(
        self, file: str, correlated: tuple[int, int] | None = None, names: bool = True
    ) -> World:
        """Make the world of a table of facts in a file, whose path is relative to the spec."""
        from .table import read_table

        read = read_table((self.directory or Path()) / file, correlated)
        said = {key: value for key, value in self.world.items() if key != "table"}
        if "subjects" in said:
            raise ArgumentError(
                "subjects", "a value beside a table", "nothing: the table determines the number"
            )
        return read.world(names=names, said=said, format_version=self.format_version)

    def _read_table(self) -> tuple[dict[str, NDArray[Any]], Names | None]:
        from .names import read_names
        from .table import Table

        with _as_written(TABLE_FILE):
            arrays = Table(self._read(TABLE_FILE)).arrays()
        with _as_written("names"):
            return arrays, read_names(self._read, self.world["table"])

    def _read_exposures(self) -> NDArray[np.uint32]:
        with _as_written(EXPOSURES_FILE):
            column = self._read(EXPOSURES_FILE)["exposures"]
            return column.to_numpy().astype(np.uint32, copy=False)

    def _read(self, name: str) -> pl.DataFrame:
        from behemoth.support.parquet import read_parquet

        path = None if self.directory is None else self.directory / name
        if path is None or not path.is_file():
            raise ArgumentError("spec", f"no {name} beside it", "a spec with the file it names")
        with _as_written(name):
            return read_parquet(path)


def table_file(table: Any) -> dict[str, Any] | None:
    """Return the settings of a spec's table of facts; None if it does not name a file.

    Returns
    -------
    dict
        ``file`` and, if set, ``correlated`` (a pair of relations) and ``names``.

    Raises
    ------
    ArgumentError
        When it has an unknown key or an invalid value, or neither a file nor relations.
    """
    if isinstance(table, str):
        return {"file": table}
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise ArgumentError("table", toml_text(table), "a file of facts, or a table")
    if "file" not in table:
        if "relations" not in table:
            raise ArgumentError("table", "no `file` and no `relations`", "a value for one of them")
        return None
    for key, value in table.items():
        if key not in _TABLE_KEYS:
            raise ArgumentError.unknown(("table", key), key, _TABLE_KEYS)
        allowed, fits = _TABLE_KEYS[key]
        if not fits(value):
            raise ArgumentError(("table", key), toml_text(value), allowed)
    pair = table.get("correlated")
    return {**table, **({} if pair is None else {"correlated": tuple(pair)})}


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and [type(item) for item in value] == [int, int]


_TABLE_KEYS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "file": ("a path", lambda value: isinstance(value, str)),
    "correlated": ("two relations, such as [0, 1]", _is_pair),
    "names": ("true or false", lambda value: isinstance(value, bool)),
}


def _told(grammar: Any) -> dict[str, Any]:
    """Return the settings of a spec's grammar: name or file, digest, tokenizer.

    Raises
    ------
    ArgumentError
        When it has an unknown key or an invalid value, or is neither a text nor a table.
    """
    from .grammar import GRAMMARS

    if isinstance(grammar, str):
        return {"name": grammar} if grammar in GRAMMARS else {"file": grammar}
    if not isinstance(grammar, Mapping):
        allowed = "the name of a grammar, a file, or a table"
        raise ArgumentError("grammar", toml_text(grammar), allowed)
    for key, value in grammar.items():
        if key not in _GRAMMAR_KEYS:
            raise ArgumentError.unknown(("grammar", key), key, _GRAMMAR_KEYS)
        if not isinstance(value, str):
            raise ArgumentError(("grammar", key), toml_text(value), "text")
    return dict(grammar)


_SPEC_TABLES = ("world", "corpus")
_SPEC_KEYS = (*_SPEC_TABLES, "grammar", "format_version")
_GRAMMAR_KEYS = ("name", "file", "digest", "tokenizer")


@contextmanager
def _as_written(name: str) -> Generator[None]:
    """Refuse a file beside a spec that is no text, or whose columns are not those of its kind."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        got = f"a {name} that cannot be read ({str(error).partition(chr(10))[0]})"
        raise ArgumentError("spec", got, "the file as it was written") from None


def source_place(path: str | PathLike[str], allowed: str = _ALLOWED) -> Path:
    """Return the path of a spec TOML, a spec directory or a corpus directory, without reading it.

    Errors say what is `allowed`, which may be more: a training run is a spec directory.

    Raises
    ------
    ArgumentError
        When `path` is none of these.
    """
    place = at_hand("spec", path, allowed)
    if not ((place / MANIFEST).is_file() or _spec_file(place).is_file()):
        raise ArgumentError("spec", as_found(path, "none of these"), allowed)
    return place


def _spec_file(place: Path) -> Path:
    return place / "spec.toml" if place.is_dir() else place


def read_source(path: str | PathLike[str], allowed: str = _ALLOWED) -> Source:
    """Read the specs in a spec TOML, a spec directory or a corpus directory.

    Errors say what is `allowed`, see `source_place`.

    Raises
    ------
    ArgumentError
        When `path` is none of these, or its TOML is not a spec.
    CorpusError
        When a corpus directory's manifest cannot be read.
    """
    place = source_place(path, allowed)
    if (place / MANIFEST).is_file():
        manifest = read_manifest(place)
        spec = manifest["spec"]
        version = manifest["format_version"]
        return Source(spec["world"], spec["corpus"], place, manifest, version)
    file = _spec_file(place)
    try:
        spec = read_toml(text_of(file))
    except ValueError as error:  # both of TOML and of UTF-8
        raise no_toml("spec", fspath(file), error) from None
    if is_grammar(spec):
        raise ArgumentError("spec", as_grammar(file), allowed)
    for key, value in spec.items():
        if key not in _SPEC_KEYS:
            got, names = f"{key} in {fspath(file)!r}", ", ".join(_SPEC_KEYS)
            raise ArgumentError(key, got, names, nearest(key, _SPEC_KEYS))
        if key in _SPEC_TABLES and not isinstance(value, Mapping):
            raise ArgumentError(key, f"{toml_text(value)} in {fspath(file)!r}", "a table")
    version = spec.get("format_version")
    if version is not None and (type(version) is not int or version not in FORMAT_VERSIONS):
        raise ArgumentError("format_version", toml_text(version), versions_text())
    corpus = spec.get("corpus", {})
    if "grammar" in spec:  # as people write it; normalised specs have it in [corpus]
        corpus = {**corpus, "grammar": spec["grammar"]}
    told = frozenset((table, key) for table in _SPEC_TABLES for key in spec.get(table, {}))
    return Source(spec.get("world", {}), corpus, file.parent, None, version, fspath(file), told)

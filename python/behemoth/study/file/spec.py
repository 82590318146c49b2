"""The study language: a TOML file, completely read and validated before anything runs.

::

    name = "frequency"
    question = "Does the frequency of a fact decide how well it can be edited?"
    format_version = 3       # as in spec.toml; default: that of an existing directory, or latest
    [primary]                # specified in advance: over all facts, and over those known before
    measure = "ed50"
    method = "lora, rank 1"  # a method's label
    [world]                  # [world] and [corpus] as in spec.toml
    [corpus]
    [train]                  # fields of TrainConfig but threads; defaults are those of the size
    [plan]                   # fields of EditRequest
    [[method]]               # name (or family), label, settings, grid of settings, plan and
                             # measure (over those sections), where
    name = "lora"
    grid = { rank = [1, 16] }
    [measure]                # fields of Measurement
    [grid]                   # lists by dotted name; their product is the trials
    "world.seed" = [0, 1, 2]
    "corpus.rotation" = [0, 2]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from behemoth._gen import FORMAT_VERSIONS
from behemoth.edit.registry import unknown_method
from behemoth.support.calls import made_by
from behemoth.support.checks import flag
from behemoth.support.errors import ArgumentError, check_keys, within
from behemoth.support.fields import made
from behemoth.support.text import listed_text
from behemoth.support.toml import read_toml, written_toml

from .expand import Expansion, expand
from .grid import SECTIONS, grid_points, table_of
from .method import MethodChoice, read_methods
from .narrowed import narrowed
from .presets import study_table, study_text
from .with_tuned import with_tuned

__all__ = ["MEASURES", "Primary", "Study", "read_study"]

MEASURES = ("ed50", "efficacy", "success")
"""Allowed measures of the primary contrast."""
_KEYS = ("name", "question", "format_version", "primary", "world", "corpus", "train", "plan",
         "method", "measure", "grid")  # fmt: skip


@dataclass(frozen=True)
class Primary:
    """The contrast specified in advance: the slope of a measure on log2 exposures.

    Parameters
    ----------
    measure : {'ed50', 'efficacy', 'success'}
    method : str
        Label of a method.
    """

    measure: str
    method: str

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ArgumentError.unknown("measure", self.measure, MEASURES)


@made_by("bh.load(PATH) of a study file, or behemoth.study.Study.parse(TEXT)")
@dataclass(frozen=True, eq=False)
class Study:
    """A validated study.

    Attributes
    ----------
    name, question : str
    primary : Primary
    tables : dict of str to dict
        Tables ``world``, ``corpus``, ``train``, ``plan`` and ``measure`` of the file.
    methods : tuple of MethodChoice
    points : tuple of dict
        The grid's points: values by dotted name.
    text : str
        Contents of the file (TOML).
    directory : Path, optional
        Folder of the file, with arrays that its world may use.
    format_version : int, optional
        Format version of the bytes of its corpora; None if the file names none.

    Examples
    --------
    >>> import behemoth as bh
    >>> study = bh.load("study.toml")
    >>> study.name, [method.name for method in study.methods], len(study.points)
    ('tiny', ['lora'], 1)
    """

    name: str
    question: str
    primary: Primary
    tables: dict[str, dict[str, Any]]
    methods: tuple[MethodChoice, ...]
    points: tuple[dict[str, Any], ...]
    text: str
    directory: Path | None = None
    format_version: int | None = None

    def __repr__(self) -> str:
        return f"Study({self.name}, methods={len(self.methods)}, points={len(self.points)})"

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        return card(
            f"Study {self.name}",
            {
                "question": self.question,
                "methods": ", ".join(choice.name for choice in self.methods),
                "points of the grid": len(self.points),
            },
        )

    @classmethod
    def parse(cls, text: str, directory: Path | None = None, *, file: str = "a text") -> Study:
        """Parse and validate a study from TOML.

        Parameters
        ----------
        text : str
        directory : Path, optional
            Directory that relative paths in the text start from.
        file : str
            Name of the text in refusals.

        Raises
        ------
        ArgumentError
            If anything is invalid; names the key, the value got and the values allowed. Levels,
            relations and wordings that a corpus lacks, and more edits than it has facts, are
            refused; whether enough facts are candidates is known only when a plan is compiled.
        """
        table = study_table(text, file)
        check_keys(table, _KEYS)
        for name in ("name", "question"):
            if not isinstance(table.get(name, ""), str):
                raise ArgumentError(name, table[name], "a text")
        if not re.fullmatch(r"[\w.-]+", table.get("name", "")):
            raise ArgumentError("name", table.get("name", ""), "letters, digits, '-', '_' and '.'")
        version = table.get("format_version")
        if version is not None and version not in FORMAT_VERSIONS:
            raise ArgumentError("format_version", version, listed_text(FORMAT_VERSIONS))
        tables = {name: table_of(name, table.get(name, {})) for name in SECTIONS}
        methods = read_methods(table.get("method", []), directory)
        study = cls(
            name=table["name"],
            question=table.get("question", ""),
            primary=_primary(table.get("primary", {}), methods),
            tables=tables,
            methods=methods,
            points=tuple(grid_points(table.get("grid", {}))),
            text=text,
            directory=directory,
            format_version=version,
        )
        study.expand()
        return study

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], directory: Path | None = None) -> Study:
        """Make a study of the tables that its file would have.

        Parameters
        ----------
        table : mapping
            Keys and values of a study file (docs/studies.md); ``method`` is a list of tables. The
            file is written from them.
        directory : Path, optional
            Directory that relative paths start from.

        Raises
        ------
        ArgumentError
            See `parse`.

        Examples
        --------
        >>> world, method = {"subjects": 9, "relations": 2}, {"name": "lora"}
        >>> Study.from_dict({"name": "a", "world": world, "plan": {"edits": 2}, "method": [method]})
        Study(a, methods=1, points=1)
        """
        return cls.parse(written_toml(table), directory, file="a mapping")

    def with_methods(self, names: Sequence[str]) -> Study:
        """Return the study restricted to some of its methods, with the text of its own file.

        Parameters
        ----------
        names : sequence of str
            Names of methods of the study; all tables of each are kept.

        Raises
        ------
        ArgumentError
            If the study lacks a method, `names` has one twice, or the primary contrast is of a
            method that is not in `names`.
        """
        known = list(dict.fromkeys(choice.name for choice in self.methods))
        chosen = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else []
        if not chosen:
            raise ArgumentError("methods", names, f"names among {', '.join(known)}")
        for name in chosen:
            if name not in known:
                raise unknown_method("methods", name, known)
        if len(set(chosen)) < len(chosen):
            raise ArgumentError("methods", chosen, "each name once")
        if "method" in read_toml(self.text).get("primary", {}):
            [about] = {c.name for c in self.methods if c.label == self.primary.method}
            if about not in chosen:
                allowed = f"with {about}, which [primary] is about"
                raise ArgumentError("methods", ", ".join(chosen), allowed)
        return Study.parse(narrowed(self.text, chosen), self.directory)

    def with_tuned(self) -> Study:
        """Return the study with tuned settings for all methods that have them, as its own file.

        Settings are those that tuning chose on the kind of each trial's world (``tuned:world``);
        methods without tuned settings stay as they are.

        Raises
        ------
        ArgumentError
            If no method has tuned settings, or one that has is given settings or a grid of them.

        Examples
        --------
        >>> from behemoth.study.file.spec import read_study
        >>> read_study("leaderboard").with_tuned().methods[0].whence
        'tuned'
        """
        return Study.parse(with_tuned(self.text), self.directory)

    @property
    def contrasts(self) -> bool:
        """Whether the primary contrast is of interest: stated, or not a board, which ranks."""
        measured = self.tables["measure"].get("suite")
        suites = {point.get("measure.suite", measured) for point in self.points}
        suites |= {choice.measure.get("suite") for choice in self.methods}
        return suites == {None} or "primary" in read_toml(self.text)

    def expand(self, threads: int = 1) -> Expansion:
        """Return the models and trials of the study.

        Parameters
        ----------
        threads : int
            CPU threads per worker, on which weights depend.

        Raises
        ------
        ArgumentError
            If a value of some point is not allowed.
        """
        return expand(self, threads)


def read_study(
    source: str | PathLike[str],
    size: str | None = None,
    methods: Sequence[str] | None = None,
    *,
    tuned: bool = False,
) -> Study:
    """Read a study file, the study of a directory, or a preset; see `presets.study_text`.

    Parameters
    ----------
    source, size
        See `presets.study_text`.
    methods : sequence of str, optional
        Names of some of its methods (`Study.with_methods`); all by default.
    tuned : bool
        Give all methods that have them their tuned settings (`Study.with_tuned`).

    Raises
    ------
    ArgumentError
        If there is no such study, or `Study.parse`, `Study.with_methods` or `Study.with_tuned`
        refuses it.
    MethodError
        If a chosen method is of another package and cannot be loaded. Of a family without a choice,
        such methods are left out with a warning.

    Examples
    --------
    >>> read_study("frequency", "quick")
    Study(frequency, methods=4, points=6)
    """
    text, directory = study_text(source, size)
    study = _chosen(text, directory, fspath(source), methods)
    return study.with_tuned() if flag("tuned", tuned) else study


def _chosen(text: str, directory: Path | None, file: str, methods: Sequence[str] | None) -> Study:
    """Return the study of a text, restricted to methods if there are any.

    Methods that are not chosen are not imported: one of another package may be broken.
    """
    if methods is None:
        return Study.parse(text, directory, file=file)
    names = list(methods) if isinstance(methods, Iterable) else []
    if names and not isinstance(methods, str):
        # What this refuses is refused below, where the complete study says what is allowed.
        with suppress(LookupError, TypeError, ValueError):
            study = Study.parse(narrowed(text, names), directory, file=file)
            if sorted({choice.name for choice in study.methods}) == sorted(names):
                return study
    complete = Study.parse(text, directory, file=file)
    return complete.with_methods(methods if isinstance(methods, str) else names or methods)


def _primary(value: object, methods: tuple[MethodChoice, ...]) -> Primary:
    labels = [choice.label for choice in methods]
    with within("primary"):
        given = table_of((), value)
        primary = made(Primary, {"measure": MEASURES[0], "method": labels[0], **given})
        if primary.method not in labels:
            raise ArgumentError("method", primary.method, "; ".join(labels))
    return primary

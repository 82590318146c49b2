"""A world: all facts, as a pure function of a spec and a seed, without storage.

Facts are numbered: first the subject facts (``subject * relations + relation``),
then the link facts object -> nested object. A table world numbers its facts in
the order (subject, relation).

This file is longer than others because the one class is the complete interface of a world: most of
its lines are docstrings and signatures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from behemoth import _gen
from behemoth.support.checks import integral, whole_number
from behemoth.support.errors import ArgumentError, renamed

from .arrays import fact_numbers, follows, overrides, pairs, relation_id, table_columns
from .fact_columns import FactArrays, TableRows, fact_arrays, fact_frame, first_facts
from .spec import OBJECTS, RELATIONS, SUBJECTS, Relation, split_facts, to_json

if TYPE_CHECKING:
    import polars as pl

    from .names import Names

# The arguments of `find_fact`, by those of the engine.
_SINGLE = {
    "subjects": "subject",
    "relations": "relation",
    "subjects, relations": "subject, relation",
}


class World:
    """All facts of a synthetic world. `of_facts` makes one from its number of facts.

    Worlds are equal if they have the same spec, format version, table and overrides, and are then
    equal keys of a dict. Copies, also those in other processes, are equal to the original; they
    share no memory with it.

    Parameters
    ----------
    subjects : int
        Number of subjects.
    relations : int or sequence of relation specs
        A number of independent relations, or one spec for each relation (`Independent`,
        `Zipf`, `Correlated`, `OneToOne`, `Inverse`, `Composed`), which then states its
        number of objects.
    objects : int or sequence of int, optional
        Number of objects of every relation, or of each, if `relations` is a number, by default
        400; refused with relation specs, which state theirs.
    seed : int
        Key of every draw. Worlds with the same seed share everything that the settings in
        which they differ do not affect.
    nested : int, optional
        Number of nested objects; adds a composed relation with so many to each relation.
    correlated : float, optional
        P(same object) of relation 1 and relation 0.
    binarised : bool
        With `correlated`: if true, draw relation 0 from objects 0 and 1 only.
    minority : float
        Share of the facts that have a second, different object; exact. It is uniform over all
        other objects of the relation, also if that is binarised.

    Raises
    ------
    ArgumentError
        For any value that the engine does not allow; the error states the allowed values.

    Examples
    --------
    >>> world = World(subjects=100, relations=2, objects=10)
    >>> world.objects([0, 1, 2], 0).shape
    (3,)
    """

    names: Names | None
    """Names of subjects, relations and objects, if the world's table has names."""
    _native: _gen.World
    _rows: TableRows | None

    def __init__(
        self,
        subjects: int = SUBJECTS,
        relations: int | Sequence[Relation] = RELATIONS,
        objects: int | Sequence[int] | None = None,
        *,
        seed: int = 0,
        nested: int | None = None,
        correlated: float | None = None,
        binarised: bool = False,
        minority: float = 0.0,
    ) -> None:
        if objects is None and not isinstance(relations, Sequence):
            objects = OBJECTS
        spec: dict[str, Any] = {
            "seed": seed,
            "subjects": subjects,
            "relations": relations,
            "objects": objects,
            "nested": nested,
            "minority": minority,
        }
        if correlated is not None or binarised:
            spec["correlated"] = {"strength": correlated, "binarised": binarised}
        self._rows = self.names = None
        self._native = _gen.World(json.dumps(to_json(spec)))

    @classmethod
    def _wrap(cls, native: _gen.World, rows: TableRows | None, names: Names | None) -> World:
        self = cls.__new__(cls)
        self._native, self._rows, self.names = native, rows, names
        return self

    def _as(self, native: _gen.World) -> World:
        """Return a world of the engine with the table and names of this one."""
        return self._wrap(native, self._rows, self.names)

    @classmethod
    def of_facts(
        cls,
        facts: int | float,
        relations: int | Sequence[Relation] | None = None,
        objects: int | Sequence[int] | None = None,
        *,
        seed: int = 0,
        nested: int | None = None,
        correlated: float | None = None,
        binarised: bool = False,
        minority: float = 0.0,
    ) -> World:
        """Make a world from its number of facts, as ``behemoth gen --facts`` does.

        Parameters
        ----------
        facts : int
            Subjects x relations, before `nested` adds its own facts; whole floats such as 1e6 pass.
        relations : int or sequence of relation specs, optional
            By default the largest number from 6 down to 1 that divides `facts`.
        objects, seed, nested, correlated, binarised, minority
            See `World`.

        Raises
        ------
        ArgumentError
            If `facts` is not a multiple of the relations, or as for `World`.

        Examples
        --------
        >>> World.of_facts(1e6).num_subjects
        200000
        """
        specs = isinstance(relations, Sequence)
        subjects, number = split_facts(
            integral("facts", facts, 1), len(relations) if specs else relations
        )
        return cls(
            subjects,
            relations if specs else number,
            objects,
            seed=seed,
            nested=nested,
            correlated=correlated,
            binarised=binarised,
            minority=minority,
        )

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any] | str | PathLike[str]) -> World:
        """Make a world from a spec.

        Parameters
        ----------
        spec : mapping or path
            The ``[world]`` table itself, or a spec TOML, a spec directory or a
            corpus directory that contains it.
        """
        from .source import Source, read_source

        source = Source(world=dict(spec)) if isinstance(spec, Mapping) else read_source(spec)
        return source.make_world()

    @classmethod
    def from_arrays(
        cls,
        spec: Mapping[str, Any],
        table: Mapping[str, ArrayLike] | None,
        format_version: int | None = None,
        names: Names | None = None,
    ) -> World:
        """Make a world from its spec and, for a table world, the arrays of its facts.

        Parameters
        ----------
        spec : mapping
            World spec.
        table : dict of arrays, optional
            ``subject`` uint64[n], ``relation`` and ``object`` uint32[n], ``minority``
            and ``nested`` int64[n] (-1: none). Whole numbers of other dtypes are converted.
        format_version : int, optional
            Format version of its corpora; the latest by default.
        names : Names, optional
            Names of subjects, relations and objects in the table; they must match the digests
            in the spec.

        Raises
        ------
        ArgumentError
            When the engine refuses the spec or the table, or the names do not match.
        """
        if not isinstance(spec, Mapping):
            raise ArgumentError("spec", spec, "a mapping, such as the spec of a world")
        columns = None if table is None else table_columns(table)
        told = spec.get("table")
        if names is not None:
            if not isinstance(told, Mapping):
                raise ArgumentError("names", "names", "only for a world of a table")
            if isinstance(digests := told.get("names"), Mapping) and digests:
                names.check(digests)
            spec = {**spec, "table": {**told, "names": names.digests}}
        native = _gen.World(json.dumps(to_json(spec)), columns, format_version)
        if names is None and isinstance(told, Mapping) and told.get("names"):
            allowed = "the names whose digests the spec has"
            raise ArgumentError(("table", "names"), "no names", allowed)
        return cls._wrap(native, None if columns is None else TableRows.of(native, columns), names)

    @classmethod
    def from_table(
        cls,
        table: pl.DataFrame | str | PathLike[str],
        *,
        seed: int = 0,
        correlated: tuple[int, int] | None = None,
        names: bool = True,
    ) -> World:
        """Make a world whose facts are read from a table.

        Parameters
        ----------
        table : polars.DataFrame or path
            Columns subject, relation, object and optionally minority and nested, as
            integers or as names; or a file of such rows (Parquet, CSV, or the
            reference's ``relationship_graph.txt``).
        seed : int
            Key of the draws of its corpora.
        correlated : (int, int), optional
            A relation, and a later one that is known to be correlated with it; by default the
            pair noted in the reference's ``args.json``, if any. Edit plans require both.
        names : bool
            If true, use the names of the table, each of which is then one token; otherwise write
            everything as numbers.
        """
        from .table import read_table

        return read_table(table, correlated).world(seed, names=names)

    @property
    def spec(self) -> dict[str, Any]:
        """The normalised spec, which `from_spec` accepts."""
        return json.loads(self._native.spec)

    @property
    def spec_hash(self) -> str:
        """BLAKE3 of the normalised spec: 64 hexadecimal digits, the same for all its corpora."""
        return _gen.digest(self._native.spec.encode())

    @property
    def format_version(self) -> int:
        """Version of everything that determines output bytes."""
        return self._native.format_version

    @property
    def num_subjects(self) -> int:
        """Number of subjects."""
        return self._native.subjects

    @property
    def num_relations(self) -> int:
        """Number of subject relations, composed ones included."""
        return self._native.relations

    @property
    def num_link_relations(self) -> int:
        """Number of link relations (object -> nested object)."""
        return self._native.link_relations

    @property
    def num_facts(self) -> int:
        """Number of facts, link facts included."""
        return self._native.facts

    @property
    def num_subject_facts(self) -> int:
        """Number of subject facts, which is also the number of the first link fact."""
        return self._native.subject_facts

    @property
    def is_table(self) -> bool:
        """Whether the facts are those of a table, which may lack some of a subject's."""
        return self._rows is not None

    @property
    def table_columns(self) -> dict[str, NDArray[Any]] | None:
        """Columns of the table that the facts are from, as in `from_arrays`; None without one.

        They are new arrays each time: a world keeps no more of them than the order of the rows.
        """
        return None if self._rows is None else self._rows.columns()

    @property
    def entropy(self) -> float:
        """Entropy of the free choices of objects, in bits, net of composed and correlated facts."""
        return self._native.entropy_bits

    @cached_property
    def relation_table(self) -> list[dict[str, Any]]:
        """One entry per relation id, link relations last: kind, objects, relation it depends on.

        If relations have names, each entry also has a name.
        """
        rows = json.loads(self._native.relation_table())
        names = {} if self.names is None else self.names.of_relations
        return [row | ({"name": names[at]} if at in names else {}) for at, row in enumerate(rows)]

    def objects(self, subjects: ArrayLike, relations: ArrayLike) -> NDArray[np.uint32]:
        """Objects of (subject, relation) pairs.

        Parameters
        ----------
        subjects, relations : array_like of int
            Broadcast against each other.

        Returns
        -------
        uint32 array of the broadcast shape

        Raises
        ------
        ArgumentError
            When a subject or relation does not exist, or a table world lacks the fact.
        """
        left, right, shape = pairs(subjects, relations)
        return self._native.objects(left, right).reshape(shape)

    def fact_ids(self, subjects: ArrayLike, relations: ArrayLike) -> NDArray[np.uint64]:
        """Fact ids of (subject, relation) pairs: uint64, of the broadcast shape."""
        left, right, shape = pairs(subjects, relations)
        return self._native.fact_ids(left, right).reshape(shape)

    def find_fact(self, subject: int, relation: int) -> int | None:
        """Return the id of a fact, or None if the world is a table without it.

        Raises
        ------
        ArgumentError
            When a world that is no table does not have the subject or the relation; when one is no
            whole number.
        """
        subject, relation = whole_number("subject", subject), whole_number("relation", relation)
        try:
            with renamed(**_SINGLE):
                return int(self.fact_ids(subject, relation))
        except ArgumentError:
            if not self.is_table:
                raise
            return None

    def subject_facts_in(self, relation: int) -> NDArray[np.uint64]:
        """Return the facts of subjects in one relation, below `num_relations`.

        Returns
        -------
        uint64[n]
            Ascending; read-only.

        Raises
        ------
        ArgumentError
            When there is no such relation of subjects.
        """
        relation = relation_id(relation, self.num_relations)
        facts, ends = self._by_relation
        return facts[ends[relation] : ends[relation + 1]]

    @cached_property
    def _by_relation(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The facts of subjects in the order of relations, and where each relation begins."""
        relations = self.arrays_of(range(self.num_subject_facts)).relation
        ends = np.cumsum(np.bincount(relations, minlength=self.num_relations))
        order = np.argsort(relations, kind="stable").astype(np.uint64)
        order.setflags(write=False)
        return order, np.append(0, ends)

    @cached_property
    def examples(self) -> dict[int, int]:
        """A fact of each relation that has any: the first, by relation."""
        return first_facts(self)

    def links(self, relation: int) -> NDArray[np.uint32]:
        """The map object -> nested object of a composed relation: uint32[objects]."""
        return self._native.links(relation_id(relation, len(self.relation_table)))

    def facts(self, start: int = 0, stop: int | None = None) -> pl.DataFrame:
        """Return facts start..stop (`stop` excluded; all by default) as a frame.

        Returns
        -------
        polars.DataFrame
            fact (UInt64), link (Boolean), subject (UInt64; of a link fact the object
            it starts from), relation (UInt32), object (UInt32), minority_object
            (UInt32, null for none).
        """
        first = integral("start", start)
        last = self.num_facts if stop is None else integral("stop", stop)
        if not first <= last <= self.num_facts:
            raise ArgumentError("range", f"{first}:{last}", f"a range within 0:{self.num_facts}")
        arrays = self.arrays_of(range(first, last))
        return fact_frame(self, np.arange(first, last, dtype=np.uint64), arrays)

    def facts_of(self, facts: ArrayLike) -> pl.DataFrame:
        """Return the facts with these ids, in their order, as a frame like that of `facts`.

        Parameters and errors are those of `arrays_of`.
        """
        ids = fact_numbers(facts)
        return fact_frame(self, ids, self.arrays_of(ids))

    def arrays_of(self, facts: ArrayLike | range) -> FactArrays:
        """Return subject, relation, object and minority object of facts, in their order.

        Parameters
        ----------
        facts : array_like of int, frame or range
            Ids of facts, or a frame with them in a column ``fact``. Those of a range take no
            memory.

        Raises
        ------
        ArgumentError
            When a fact does not exist.
        """
        return fact_arrays(self, facts)

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame of facts with name columns added, if the world has names.

        Parameters
        ----------
        frame : polars.DataFrame
            Facts, probes, edits of a plan, recall, an evaluation: with a column relation, and any
            of subject, object, minority_object, old_object, new_object.

        Returns
        -------
        polars.DataFrame
            The frame with an additional column for each of these, ``subject_name`` and so on
            (String).

        Examples
        --------
        >>> import polars as pl
        >>> rows = {"subject": ["Ann", "Bob"], "relation": "likes", "object": ["tea", "rum"]}
        >>> world = World.from_table(pl.DataFrame(rows))
        >>> world.named(world.facts()).select("object", "object_name").rows()
        [(1, 'tea'), (0, 'rum')]
        """
        return frame if self.names is None else self.names.named(frame)

    def override(self, objects: Mapping[int, int], *, follow: bool | None = None) -> World:
        """Return the same world with other objects for some facts.

        Parameters
        ----------
        objects : mapping of fact to object
        follow : bool, optional
            If true, composed facts follow the new object; otherwise they stay. One choice holds
            for all overrides of a twin: by default that of the earlier ones, else false.

        Raises
        ------
        ArgumentError
            When a fact or an object does not exist, or when there are earlier overrides with
            another `follow`.
        """
        facts, changed = overrides(objects, self)
        with renamed(override="objects"):
            return self._as(self._native.override(facts, changed, follows(follow, self)))

    def _key(self) -> tuple[Any, ...]:
        """Return all that determines the facts; of a table the spec has the digests."""
        facts, objects, follow = self._native.overrides
        return self._native.spec, self.format_version, facts.tobytes(), objects.tobytes(), follow

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, World) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        # For copies and for other processes; the package itself stores nothing as a pickle.
        made = (self.spec, self.table_columns, self.format_version, self.names)
        return _remade, (*made, *self._native.overrides)

    def _repr_html_(self) -> str:
        from behemoth.support.html import card

        kinds = ", ".join(f"{row['kind']} ({row['objects']:,})" for row in self.relation_table)
        return card(
            "World",
            {
                "subjects": self.num_subjects,
                "relations (objects)": kinds,
                "facts": self.num_facts,
                "entropy": f"{self.entropy:,.0f} bits",
            },
        )

    def __repr__(self) -> str:
        return (
            f"World(subjects={self.num_subjects}, relations={self.num_relations}, "
            f"facts={self.num_facts}, entropy={self.entropy:.6g} bits)"
        )


def _remade(
    spec: Mapping[str, Any],
    table: dict[str, NDArray[Any]] | None,
    format_version: int,
    names: Names | None,
    facts: NDArray[np.uint64],
    objects: NDArray[np.uint32],
    follow: bool,
) -> World:
    """Rebuild a world from the values that `World.__reduce__` returns."""
    world = World.from_arrays(spec, table, format_version, names)
    return world._as(world._native.override(facts, objects, follow)) if len(facts) else world

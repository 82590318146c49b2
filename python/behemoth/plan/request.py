"""The request for edits: the only input of the edit compiler besides the corpus.

This module imports nothing heavy, as the command line reads its help from these fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError
from behemoth.support.fields import made

if TYPE_CHECKING:
    import polars as pl

Kind: TypeAlias = Literal["remap", "censor", "refusal", "question_refusal"]
Target: TypeAlias = Literal["subject", "subject_nested", "object_nested"]
KINDS: tuple[str, ...] = get_args(Kind)
TARGETS: tuple[str, ...] = get_args(Target)
REFUSALS = ("refusal", "question_refusal")
"""The kinds whose answers are a refusal."""

_FORGETTING = ("forget", "forgetting", "unlearn", "unlearning", "erase", "delete", "remove")
_REPEATS = 250


@dataclass(frozen=True)
class EditRequest:
    """The facts to edit, their new objects, and the rest of the training mixture.

    Parameters
    ----------
    edits : int, optional
        Number of facts to edit; with `exposures`, of each level. It is set by one of this,
        `most_frequent`, `least_frequent`, `fraction` and a table of facts; a censor or a refusal
        without any of them edits all facts of its relation.
    kind : {'remap', 'censor', 'refusal', 'question_refusal'}
        New objects; object 0 for facts of one relation; or a refusal in place of the object, in
        statements or in questions.
    relation : int, optional
        Relation to edit, as numbered in ``World.relation_table``; by default all that `target`
        allows.
    target : {'subject', 'subject_nested', 'object_nested'}
        Facts of subjects, facts that subjects inherit through a composed relation, or facts on
        what objects map to (link facts).
    to : {'distinct', 'one'}
        Remap each fact to an object of its own, or all to the same one; in that case all had
        the same object before, too.
    distinct : bool
        Require that no two edited facts of a relation have the same object before the edit
        (except in binarised relations) or after it. A table is taken as it is.
    independent : bool
        Each edit is meant for its own model (``EditPlan.singles``): subjects and objects may
        recur, a new object need only differ from the edit's own old one, and each edit has a
        complete mixture, whose facts may appear in those of other edits.
    exposures : int or sequence of int, optional
        Exposure levels of the facts to edit; by default any above 0.
    fraction : float, optional
        Share of all facts of `relation` to censor or refuse, of which those that the corpus never
        writes are not edited; those left out become probes. A rule is about all facts: unlike other
        plans, it edits those with a second object, of which it changes the first.
    correlated_only : bool
        Edit only facts that agree with the fact of the same subject in the relation that
        theirs is correlated with. In an imported world the correlation is known from the
        ``args.json`` of the reference code (arXiv 2601.23153) or from ``import --correlated``.
    repeats : int, optional
        Number of times the mixture contains each edited fact, shared among the wordings it is
        trained in; 250 by default, and once in each of them if a share of a relation is edited.
    same_object : int
        Maximum number of facts in the mixture with the same old object as an edit. Edits to one
        object (`to`) share them, so each counts as often as there are edits. Other edits of one old
        object in a batch also share them, but there each counts once.
    new_object : int, optional
        Maximum number of facts in the mixture that had an edit's new object before; none by
        default. The reference has 150 of them, in remaps to distinct objects, in place of
        `same_object`.
    same_relation : int
        Maximum number of facts of the same relation in the mixture, for each edit.
    regular : int, optional
        Number of facts in the mixture from other relations and untouched subjects, for each edit;
        by default as many as the edited fact has rows (`repeats`). If a rule leaves too few
        subjects untouched, a given number is filled up with other facts of the edited subjects;
        by default there are fewer, and none if a complete relation is edited.
    probes : int
        Maximum number of probes in each group of bystanders, for each edit.
    probed : int, optional
        Number of edits that have probes; all by default, 1,000 if a share of a relation is
        edited.
    wordings : int
        Number of written wordings of its template in which each edit is trained, at most `repeats`;
        the others become probes.
    edit_sentences : int, optional
        Train each edit in this many of its relation's sentences that state a new object (``edits``
        in a grammar's file) in place of those that the corpus is written with; probes are the
        same.
    seed : int
        Seed of every random choice.
    most_frequent : int, optional
        Edit this many facts, those with the most exposures, in place of `edits`; ties are broken
        at random. Without `independent`, a fact is passed over if one before it has its subject or,
        with `distinct`, its object; a warning says how many with more exposures are.
    least_frequent : int, optional
        The same for the fewest exposures above 0.
    facts : sequence of int, DataFrame or mapping of columns, optional
        The facts to edit, in place of a number: their numbers; or columns fact, or subject and
        relation, and for remaps optionally object (or new_object, as in the edits of a plan), the
        new one; by number, or by name if things have names (with a grammar, subjects by number
        only). Other columns are ignored; for remaps without one for the new object, a column that
        seems to be it (target_new, objcet) is refused. A frame of polars or pandas, or anything
        that has ``columns`` and returns each by its name. It is ignored when two requests are
        compared.

    Raises
    ------
    ArgumentError
        When a value is not allowed, or does not go with another one.

    Examples
    --------
    >>> EditRequest(edits=10, kind="censor", relation=0).by_rule
    True
    >>> EditRequest(edits=10, kind="swap")
    Traceback (most recent call last):
    behemoth.support.errors.ArgumentError: argument 'kind': got swap, allowed: remap, censor, ...
    """

    edits: int | None = None
    kind: Kind = "remap"
    relation: int | None = None
    target: Target = "subject"
    to: Literal["distinct", "one"] = "distinct"
    distinct: bool = True
    independent: bool = False
    exposures: tuple[int, ...] | None = None
    fraction: float | None = None
    correlated_only: bool = False
    repeats: int | None = None
    same_object: int = 150
    new_object: int | None = None
    same_relation: int = 500
    regular: int | None = None
    probes: int = 10
    probed: int | None = None
    wordings: int = 1
    edit_sentences: int | None = None
    seed: int = 0
    most_frequent: int | None = None
    least_frequent: int | None = None
    facts: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        read_kind("kind", self.kind)
        _one_of("target", self.target, TARGETS)
        _one_of("to", self.to, ("distinct", "one"))
        for name, least in _WHOLE.items():
            value = getattr(self, name)
            if value is None and getattr(type(self), name) is None:
                continue
            number = whole_number(name, value, least)
            if name != "seed" and number > _MOST:
                raise ArgumentError(name, value, f"a whole number from {least} to {_MOST}")
            object.__setattr__(self, name, number)
        for name in ("distinct", "independent", "correlated_only"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))
        if self.exposures is not None:
            given: Any = self.exposures
            if getattr(given, "ndim", None) == 0:  # of numpy, one that cannot be iterated
                given = given.item()
            levels = tuple(given) if isinstance(given, Iterable) else (given,)
            if not levels or not all(map(_is_level, levels)):
                raise ArgumentError(
                    "exposures", given, "a whole number from 0, or a list of them, such as 1, 4, 16"
                )
            levels = tuple(map(int, levels))
            if len(set(levels)) < len(levels):
                raise ArgumentError("exposures", self.exposures, "each level once")
            object.__setattr__(self, "exposures", levels)
        self._check_fraction()
        self._check_frequent()
        if self.facts is not None:
            object.__setattr__(self, "facts", _frame(self.facts))
        if self.to == "one":
            if self.kind != "remap":
                raise ArgumentError("to", self.to, f"'distinct' with kind {self.kind!r}")
            if self.independent:
                raise ArgumentError("to", self.to, "'distinct' with independent edits")
        if self.edit_sentences is not None and self.refuses:
            allowed = f"not with kind {self.kind!r}, which has no new object"
            raise ArgumentError("edit_sentences", self.edit_sentences, allowed)
        if self.kind == "censor" and self.relation is None:
            raise ArgumentError("relation", None, "the relation to censor")
        if self.kind == "censor" and self.independent:
            raise ArgumentError("independent", True, "not with kind 'censor'")

    def _check_fraction(self) -> None:
        share: Any = self.fraction
        if share is None:
            return
        if self.kind == "remap":
            raise ArgumentError(
                "fraction", self.fraction, "edits in place of a fraction with kind 'remap'"
            )
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 < float(share) <= 1:
            raise ArgumentError("fraction", share, "above 0 up to 1")
        # An int keeps its kind, as records have it; numpy's numbers are none that these can hold.
        object.__setattr__(self, "fraction", share if isinstance(share, int) else float(share))
        if self.edits is not None:
            raise ArgumentError("fraction", self.fraction, "either edits or a fraction")
        if self.relation is None:
            raise ArgumentError("relation", None, "the relation that the fraction applies to")
        for name in ("exposures", "correlated_only", "independent"):
            if getattr(self, name):
                raise ArgumentError(
                    name, getattr(self, name), "only with edits, not with a fraction"
                )

    def _check_frequent(self) -> None:
        asked = [name for name in _FREQUENT if getattr(self, name) is not None]
        for name in asked:
            value = getattr(self, name)
            for other in ("edits", "fraction", "exposures", "facts", *_FREQUENT):
                if other != name and getattr(self, other) is not None:
                    raise ArgumentError(name, value, f"not together with {other}")
            if self.to == "one":
                raise ArgumentError("to", self.to, f"'distinct' with {name}")

    @property
    def counted(self) -> str:
        """Name of the field that sets the number of facts to edit."""
        return next((name for name in _FREQUENT if getattr(self, name) is not None), "edits")

    @property
    def count(self) -> int | None:
        """Number of facts to edit (of each level of `exposures`); None if no field sets it."""
        return getattr(self, self.counted)

    @property
    def carried_out(self) -> EditRequest:
        """The request as it is compiled: a censor or refusal of no number is one of all facts.

        Raises
        ------
        ArgumentError
            When a value does not go with edits of all facts.
        """
        named = (self.count, self.fraction, self.facts)
        if self.kind == "remap" or any(own is not None for own in named):
            return self
        return replace(self, fraction=1.0)

    @property
    def refuses(self) -> bool:
        """Whether a refusal replaces the object."""
        return self.kind in REFUSALS

    @property
    def by_rule(self) -> bool:
        """Whether the edits stand for a rule, which facts that are not edited should follow."""
        return self.kind == "censor" or self.fraction is not None

    @property
    def edit_rows(self) -> int:
        """Number of times that the mixture contains each edited fact."""
        if self.repeats is not None:
            return self.repeats
        return _REPEATS if self.fraction is None else self.trained_wordings

    @property
    def trained_wordings(self) -> int:
        """Number of wordings, or of sentences for edits, in which each edited fact is trained."""
        return self.wordings if self.edit_sentences is None else self.edit_sentences

    @property
    def regular_rows(self) -> int:
        """Number of facts of other relations in the mixture, for each edit."""
        return self.edit_rows if self.regular is None else self.regular

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set, as written to TOML and JSON; facts as columns."""
        own = asdict(replace(self, facts=None))
        if self.facts is not None:
            own["facts"] = self.facts.to_dict(as_series=False)
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in own.items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> EditRequest:
        """Make a request from the result of `to_dict`.

        Raises
        ------
        ArgumentError
            For a key that is not a field, or a value that is not allowed.
        """
        return made(cls, values)


def request_of(given: EditRequest | None, fields: Mapping[str, Any]) -> EditRequest:
    """Return a request: as given, or by its fields.

    Raises
    ------
    ArgumentError
        If it is none, or has fields beside it.
    """
    if given is None:
        return EditRequest(**fields)
    if not isinstance(given, EditRequest):
        allowed = "an EditRequest, or its fields by name, such as edits=10"
        raise ArgumentError("request", given, allowed)
    for name, value in fields.items():
        raise ArgumentError(name, value, "nothing beside a request, which has all fields")
    return given


_WHOLE = {
    "edits": 1, "relation": 0, "repeats": 1, "same_object": 0, "new_object": 0,
    "same_relation": 0,    "regular": 0, "probes": 0, "probed": 0, "wordings": 1,
    "edit_sentences": 1, "seed": 0, "most_frequent": 1, "least_frequent": 1,
}  # fmt: skip
_MOST = 2**32 - 1  # of the numbers in the frames of a plan, which are counted in uint32
_FREQUENT = ("most_frequent", "least_frequent")


def _frame(given: Any) -> pl.DataFrame:
    """Convert numbers of facts, or anything with named columns, to a polars frame.

    Missing numbers of pandas are null.
    """
    import polars as pl

    if isinstance(given, pl.DataFrame):
        return given
    allowed = (
        "numbers of facts, or a frame or mapping of columns: fact, or subject and relation, and "
        "optionally object or new_object"
    )
    if isinstance(given, pl.LazyFrame):  # whose columns polars finds out with a warning
        raise ArgumentError("facts", "a LazyFrame", f"{allowed} (its collect() is a frame)")
    names = list(given) if isinstance(given, Mapping) else getattr(given, "columns", None)
    if names is None and isinstance(given, Iterable) and not isinstance(given, str):
        return pl.DataFrame({"fact": _numbers(given, allowed)}, {"fact": pl.Int64})
    if names is None:
        raise ArgumentError("facts", given, allowed)
    try:
        frame = pl.DataFrame({name: _values(given[name]) for name in names})
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        raise ArgumentError("facts", given, allowed) from None
    frame = frame.with_columns(pl.col(pl.Null).cast(pl.Int64))
    # In pandas, a missing number turns its column into floats.
    floats = [pl.col(name).fill_nan(None) for name, kind in frame.schema.items() if kind.is_float()]
    numbers = [own.cast(pl.Int64, strict=False) for own in floats]
    fractions = frame.select((own != own.floor()).any() for own in floats)
    if floats and any(fractions.row(0)):
        raise ArgumentError("facts", "numbers with fractions", "whole numbers, or names")
    return frame.with_columns(numbers)


def _values(column: Any) -> list[Any]:
    """Return the values of a column."""
    if hasattr(column, "isna"):  # of pandas: polars reads neither its NA, nor NaN among names
        return column.to_numpy(object, na_value=None).tolist()
    return list(column)


def _numbers(given: Iterable[Any], allowed: str) -> list[int]:
    """Return the numbers of facts in a list, an array or a column."""
    numbers = list(given)
    for number in numbers:
        whole = isinstance(number, Integral) and not isinstance(number, bool)
        if not whole or not 0 <= int(number) < 2**63:
            got = repr(number) if isinstance(number, str) else number
            raise ArgumentError("facts", got, allowed)
    return [int(number) for number in numbers]


def _is_level(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def read_kind(name: str, value: object) -> Any:
    """Return a kind of edit, or refuse it; words for unlearning lead to the kind to use.

    Raises
    ------
    ArgumentError
        With `name` as the argument.
    """
    if value in _FORGETTING:
        hint = "remap, whose old answers the methods of unlearning forget"
        raise ArgumentError(name, value, ", ".join(KINDS), hint)
    _one_of(name, value, KINDS)
    return value


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ArgumentError.unknown(name, value, allowed)

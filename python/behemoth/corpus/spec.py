"""Specs of worlds and corpora: small frozen dataclasses.

These classes only name settings. They become the JSON that the engine reads
(`to_json`), and only the engine decides which values are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import Any, ClassVar, Literal, TypeAlias

from behemoth.support.errors import ArgumentError, within

__all__ = [
    "Composed",
    "Constant",
    "Correlated",
    "Documents",
    "Groups",
    "Independent",
    "Inverse",
    "OneToOne",
    "Questions",
    "Zipf",
    "ZipfExposures",
]

SUBJECTS, RELATIONS, OBJECTS = 100_000, 6, 400
"""Default sizes of a world, here and in the engine."""
PROBED_FACTS = 10_000
"""Default number of facts with probes in a corpus directory."""

Order: TypeAlias = Literal["shuffle", "bios"]
Template: TypeAlias = Literal[
    "default",
    "sor",
    "osr",
    "rso",
    "repeats",
    "nonsense",
    "nonsense_rso",
    "question",
    "refusal",
    "question_refusal",
]


@dataclass(frozen=True)
class Independent:
    """A relation whose objects are drawn uniformly.

    Parameters
    ----------
    objects : int
        Number of objects.
    binarised : bool
        If true, draw from objects 0 and 1 only. The others stay in the vocabulary, and are second
        objects of a minority.
    """

    objects: int = 400
    binarised: bool = False
    kind: ClassVar[str] = "independent"


@dataclass(frozen=True)
class Zipf:
    """A relation whose objects are drawn with probability ~ 1 / (object + 1)^alpha.

    Parameters
    ----------
    objects : int
        Number of objects.
    alpha : float
        Exponent; 0 is uniform.
    """

    objects: int = 400
    alpha: float = 1.0
    kind: ClassVar[str] = "zipf"


@dataclass(frozen=True)
class Correlated:
    """A relation that has the same object as another relation with a set probability.

    Otherwise the object is uniform over all the other objects.

    Parameters
    ----------
    with_ : int
        The earlier relation that it is correlated with.
    strength : float
        P(same object), exactly; above chance, up to 1.
    binarised : bool
        If true, draw from objects 0 and 1 only. The others may be second objects of a minority.
    """

    with_: int = 0
    strength: float = 0.8
    binarised: bool = False
    kind: ClassVar[str] = "correlated"


@dataclass(frozen=True)
class OneToOne:
    """A relation in which no two subjects share an object: a permutation.

    Parameters
    ----------
    objects : int, optional
        Number of objects; at least the number of subjects, which is the default.
    """

    objects: int | None = None
    kind: ClassVar[str] = "one_to_one"


@dataclass(frozen=True)
class Inverse:
    """The inverse of a one-to-one relation that has as many objects as subjects.

    Parameters
    ----------
    of : int
        The earlier, one-to-one relation.
    """

    of: int
    kind: ClassVar[str] = "inverse"


@dataclass(frozen=True)
class Composed:
    """A nested relation: the subject inherits the nested object that its object in `of` maps to.

    It adds its own link relation (object -> nested object), in which every
    nested object is reached from equally many objects.

    Parameters
    ----------
    of : int
        The earlier relation that it continues, which may itself be composed.
    objects : int
        Number of nested objects; divides the number of objects of `of`.
    """

    of: int
    objects: int
    kind: ClassVar[str] = "composed"


Relation: TypeAlias = Independent | Zipf | Correlated | OneToOne | Inverse | Composed


@dataclass(frozen=True)
class Constant:
    """Every fact is written equally often.

    Parameters
    ----------
    exposures : int
        Number of exposures of each fact.
    """

    exposures: int = 1
    kind: ClassVar[str] = "constant"


@dataclass(frozen=True)
class Groups:
    """Equal shares of the facts at each of several levels of exposures.

    Parameters
    ----------
    levels : sequence of int
        Exposures of each group.
    balanced : bool
        If true, balance the levels within each subject and each relation (a Latin square)
        instead of assigning them at random.
    """

    levels: Sequence[int]
    balanced: bool = False
    kind: ClassVar[str] = "groups"


@dataclass(frozen=True)
class ZipfExposures:
    """Exposures that fall with the rank of a fact as rank^-alpha, within bounds.

    Parameters
    ----------
    alpha : float
        Exponent.
    minimum, maximum : int
        Bounds, both included.
    """

    alpha: float = 1.0
    minimum: int = 1
    maximum: int = 1000
    kind: ClassVar[str] = "zipf"


Exposures: TypeAlias = Constant | Groups | ZipfExposures


@dataclass(frozen=True)
class Questions:
    """Question-and-answer sentences about a part of the subjects.

    A question replaces a statement: the exposures of a fact stay the same.

    Parameters
    ----------
    subjects : float
        Share of the subjects that may have questions, rounded to a whole number of subjects.
    sentences : float
        Share of all sentences that are questions; at most the share of sentences about these
        subjects in relations with questions. Exact over the corpus if all facts are written equally
        often; otherwise each fact is within one question of its share, and the corpus within the
        sum of these differences.
    """

    subjects: float = 0.5
    sentences: float = 0.2


@dataclass(frozen=True)
class Documents:
    """Layout of the documents of order ``bios``.

    Parameters
    ----------
    naming : {'first', 'always'}
        With a grammar: the full name in the first sentence and then pronouns, or the full name in
        each sentence, of which a second mention may still be a pronoun.
    sentences : {'permuted', 'fixed'}
        Order of the sentences: a random one in each document, or the order of the relations.
    renderings : int, optional
        Number of renderings of each subject, which its documents repeat in turn; by default each
        document has its own rendering.
    subjects : int
        Number of subjects that share a document, with each link as one of them if links are written
        or exposures are given per fact.
    questions : {'mixed', 'after', 'own'}
        Place of the questions: among the statements, after those of their document, or in separate
        documents.
    """

    naming: Literal["first", "always"] = "first"
    sentences: Literal["permuted", "fixed"] = "permuted"
    renderings: int | None = None
    subjects: int = 1
    questions: Literal["mixed", "after", "own"] = "mixed"


DOCUMENTS: Mapping[str, Mapping[str, Any]] = {
    "single": {"renderings": 1, "sentences": "fixed"},
    "multi2": {"renderings": 2, "sentences": "fixed"},
    "multi5": {"renderings": 5, "sentences": "fixed"},
    "single-fullname": {"renderings": 1, "sentences": "fixed", "naming": "always"},
    "single-permute": {"renderings": 1, "sentences": "permuted"},
    "multi5-fullname": {"renderings": 5, "sentences": "fixed", "naming": "always"},
    "multi5-permute": {"renderings": 5, "sentences": "permuted"},
    "multi5-permute-fullname": {"renderings": 5, "sentences": "permuted", "naming": "always"},
}
"""Documents as in Physics of Language Models, Part 3.1 (section 2.1): one or several renderings of
each biography, with permuted sentences, with the full name throughout."""


def split_facts(facts: int, relations: int | None = None) -> tuple[int, int]:
    """Split a number of facts exactly into subjects and relations.

    Without a number of relations, it is the largest one from `RELATIONS` down to 1 that divides
    the number of facts.

    Raises
    ------
    ArgumentError
        If the relations do not divide the facts.

    Examples
    --------
    >>> split_facts(1_000), split_facts(1_000, 10)
    ((200, 5), (100, 10))
    """
    if relations is None:
        relations = next(number for number in range(RELATIONS, 0, -1) if facts % number == 0)
    if relations and facts % relations:
        below, above = facts // relations * relations, (facts // relations + 1) * relations
        nearest = f"{below} or {above}" if below else str(above)
        allowed = f"a multiple of the {relations} relations; nearest: {nearest}"
        raise ArgumentError("facts", facts, allowed)
    return facts // max(relations, 1), relations


def split_wordings(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a corpus spec with ``paraphrases = "4:1"`` as its two keys, 4 and ``held_out`` 1.

    Raises
    ------
    ArgumentError
        If the text is not two numbers, or `held_out` has a value of its own.
    """
    text = spec.get("paraphrases")
    if not isinstance(text, str):
        return spec
    wordings, _, held_out = text.partition(":")
    if not (wordings.isdecimal() and held_out.isdecimal()):
        allowed = 'a whole number, or "4:1" for four wordings of which one is held out (held_out)'
        raise ArgumentError("paraphrases", f'"{text}"', allowed)
    if spec.get("held_out"):
        raise ArgumentError("held_out", spec["held_out"], f'no key beside paraphrases = "{text}"')
    return {**spec, "paraphrases": int(wordings), "held_out": int(held_out)}


def to_json(value: Any) -> Any:
    """Convert specs, mappings, sequences and numpy scalars to values that `json` can write.

    Fields that are None are omitted, so that the engine's defaults apply.

    Raises
    ------
    ArgumentError
        For what JSON cannot represent, such as bytes, a generator, NaN or an infinity.
    """
    if isinstance(value, float) and not isfinite(value):
        raise ArgumentError((), value, "a finite number")
    if is_dataclass(value) and not isinstance(value, type):
        kind = getattr(value, "kind", None)
        items = {field.name.rstrip("_"): getattr(value, field.name) for field in fields(value)}
        return to_json(items if kind is None else {"kind": kind, **items})
    if isinstance(value, Mapping):
        return {str(key): _item(key, item) for key, item in value.items() if item is not None}
    if isinstance(value, str) or value is None:
        return value
    if (tolist := getattr(value, "tolist", None)) is not None:
        return to_json(tolist())  # numpy scalars and arrays, without importing numpy here
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_item(index, item) for index, item in enumerate(value)]
    if not isinstance(value, int | float):
        allowed = "a number, text, a sequence or a mapping"
        raise ArgumentError((), f"an object of type {type(value).__name__}", allowed)
    return value


def _item(key: object, value: Any) -> Any:
    with within(key if isinstance(key, int) else str(key)):
        return to_json(value)

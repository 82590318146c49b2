"""What a world and a corpus are made from: small frozen dataclasses.

These classes only name things. They become the JSON that the engine reads
(`to_json`), and the engine alone says which values are allowed.
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
"""What a world has when nothing is said, here and in the engine."""
PROBED_FACTS = 10_000
"""Facts of a corpus directory that have probes when nothing is said."""

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
        Draw from objects 0 and 1 only (the others stay in the vocabulary).
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
    """A relation that has the same object as another one with a given probability.

    Otherwise the object is uniform over all the other objects.

    Parameters
    ----------
    with_ : int
        The relation it is correlated with (an earlier one).
    strength : float
        P(same object), exactly; above chance, up to 1.
    binarised : bool
        Draw from objects 0 and 1 only.
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
        Number of objects, at least the number of subjects, which is the default.
    """

    objects: int | None = None
    kind: ClassVar[str] = "one_to_one"


@dataclass(frozen=True)
class Inverse:
    """The inverse of a one-to-one relation that has as many objects as subjects.

    Parameters
    ----------
    of : int
        The one-to-one relation (an earlier one).
    """

    of: int
    kind: ClassVar[str] = "inverse"


@dataclass(frozen=True)
class Composed:
    """A nested relation: the subject inherits what its object in relation `of` maps to.

    Adds a link relation (object -> nested object) of its own, in which every
    nested object is reached from equally many objects.

    Parameters
    ----------
    of : int
        The relation it continues (an earlier one, composed ones included).
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
        How often.
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
        Balance the levels within each subject and each relation (a Latin square)
        in place of a random assignment.
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

    A question takes the place of a statement: how often a fact is written stays the same.

    Parameters
    ----------
    subjects : float
        Share of the subjects that are asked about, to the nearest whole number.
    sentences : float
        Share of all sentences that are questions, at most that of the sentences about these
        subjects. Exact over the corpus where all facts are written equally often; else each fact
        is within one question of its part, and the corpus within what that leaves.
    """

    subjects: float = 0.5
    sentences: float = 0.2


@dataclass(frozen=True)
class Documents:
    """How the documents of order ``bios`` are made.

    Parameters
    ----------
    naming : {'first', 'always'}
        With a grammar: the full name in the first sentence and then pronouns, or always.
    sentences : {'permuted', 'fixed'}
        An order of each document's own, or that of the relations.
    renderings : int, optional
        Renderings of each subject, which its documents repeat in turn; by default each document
        has one of its own.
    subjects : int
        How many subjects share a document.
    questions : {'mixed', 'after', 'own'}
        Among the statements, after those of their document, or in documents of their own.
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
"""Documents as in Physics of Language Models, Part 3.1 (section 2.1): one rendering of each
biography, several, with its sentences permuted, with the full name throughout."""


def to_json(value: Any) -> Any:
    """Turn specs, mappings, sequences and numpy scalars into what `json` writes.

    Fields that are None are left out, so that the engine's defaults apply.

    Raises
    ------
    ArgumentError
        For a number that is none, which JSON cannot say.
    """
    if isinstance(value, float) and not isfinite(value):
        raise ArgumentError((), value, "a finite number")
    if is_dataclass(value) and not isinstance(value, type):
        kind = getattr(value, "kind", None)
        items = {field.name.rstrip("_"): getattr(value, field.name) for field in fields(value)}
        return to_json(items if kind is None else {"kind": kind, **items})
    if isinstance(value, Mapping):
        return {str(key): _item(key, item) for key, item in value.items() if item is not None}
    if isinstance(value, str | bytes) or value is None:
        return value
    if (tolist := getattr(value, "tolist", None)) is not None:
        return to_json(tolist())  # numpy scalars and arrays, without importing numpy here
    if isinstance(value, Sequence):
        return [_item(index, item) for index, item in enumerate(value)]
    return value


def _item(key: object, value: Any) -> Any:
    with within(key if isinstance(key, int) else str(key)):
        return to_json(value)

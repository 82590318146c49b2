"""Gate 5: inverse questions are answered at chance unless the inverse order was trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus

from .bench import Bench, Units, model_unit
from .record import Judgement, Seen, shown

__all__ = ["Inversion", "judge", "questions"]

_STORED = 0.8
_ANSWERED = 0.5
_ERRORS = 3.0  # standard errors above chance that chance may give


def judge(
    forward: tuple[float, float], inverse: tuple[float, float], facts: int, subjects: int
) -> Judgement:
    """Judge recall in both orders.

    Parameters
    ----------
    forward, inverse : (float, float)
        Share of the facts whose object, or whose subject, is the likeliest: without the inverse
        order in training, and with it.
    facts, subjects : int
        How many facts are asked for, and how many subjects there are.
    """
    chance = 1 / subjects
    most = chance + _ERRORS * math.sqrt(chance * (1 - chance) / facts)
    said = (
        f"one order: object {shown(forward[0])}, subject {shown(inverse[0])}; both orders: "
        f"{shown(forward[1])} and {shown(inverse[1])}; chance {shown(chance)}, up to "
        f"{shown(most)} by accident"
    )
    if min(forward) < _STORED or inverse[1] < _ANSWERED:
        return Judgement(
            "not shown at this size",
            said,
            "more exposures: both models must recall objects, and the one that saw the inverse "
            "order subjects",
        )
    return Judgement("reproduced" if inverse[0] <= most else "not reproduced", said)


def questions(corpus: Corpus) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inverse questions, ``object O is subject``, and the subjects' tokens.

    Returns
    -------
    int64 [facts, tokens], int64 [facts]
        Of a world whose words are single tokens.
    """
    first = {
        (part["kind"], part["relation"]): part["first"] for part in corpus.vocabulary["ranges"]
    }
    names = corpus.token_names
    opening = [names.index("object"), -1, names.index("is"), names.index("subject")]
    facts = corpus.world.facts(0, corpus.world.num_facts)
    prompts = np.tile(np.array(opening, np.int64), (len(facts["fact"]), 1))
    starts = [first["object", relation] for relation in range(corpus.world.num_relations)]
    relation = np.asarray(facts["relation"], np.int64)
    prompts[:, 1] = np.array(starts, np.int64)[relation] + np.asarray(facts["object"], np.int64)
    return prompts, first["subject", None] + np.asarray(facts["subject"], np.int64)


@torch.no_grad()
def answered(model: Any, corpus: Corpus) -> NDArray[np.bool_]:
    """Which inverse questions have the true subject as the likeliest of all subjects."""
    prompts, answers = questions(corpus)
    logits = model(input_ids=torch.from_numpy(prompts), use_cache=False).logits[:, -1]
    part = next(part for part in corpus.vocabulary["ranges"] if part["kind"] == "subject")
    first, count = part["first"], part["count"]
    likeliest = logits[:, first : first + count].argmax(1).numpy() + first
    return likeliest == answers


@dataclass(frozen=True)
class Inversion:
    """Two corpora of a world of one-to-one relations: one order, or both in equal parts."""

    number: ClassVar[int] = 5
    title: ClassVar[str] = "Inverse questions are at chance unless the inverse order was trained"
    rule: ClassVar[str] = (
        f"both models recall at least {_STORED} of the objects, the one with both orders at least "
        f"{_ANSWERED} of the subjects, and the one without it no more than chance and "
        f"{_ERRORS:g} standard errors"
    )
    source: ClassVar[str] = "Berglund et al. 2023, arXiv 2309.12288; arXiv 2309.14402"

    subjects: int = 100
    relations: int = 4
    exposures: int = 128
    batch_size: int = 16

    def units(self, threads: int) -> Units:
        """A model on each corpus."""
        world = {
            "subjects": self.subjects,
            "relations": [{"kind": "one_to_one"} for _ in range(self.relations)],
        }
        forms = {"one": {"default": 1.0}, "both": {"default": 0.5, "osr": 0.5}}
        models = {
            name: model_unit(
                world,
                {"exposures": self.exposures, "templates": templates},
                threads=threads,
                batch_size=self.batch_size,
            )
            for name, templates in forms.items()
        }
        return Units(models)

    def look(self, bench: Bench) -> Seen:
        """Judge recall of objects and of subjects."""
        forward, inverse = (
            {name: float(value(name)) for name in ("one", "both")}
            for value in (
                lambda name: bench.model(name).recall,
                lambda name: answered(bench.load(name), bench.run(name).corpus).mean(),
            )
        )
        facts = self.subjects * self.relations
        numbers = {"object": forward, "subject": inverse, "chance": 1 / self.subjects}
        done = (
            f"{facts:,} facts of {self.relations} one-to-one relations, {self.exposures} "
            "exposures as 'subject S has the relation R with object O' only, or half of them as "
            f"'object O is subject S's relation R'; {bench.steps('one')} each"
        )
        pairs = [(shares["one"], shares["both"]) for shares in (forward, inverse)]
        return Seen(done, numbers, judge(pairs[0], pairs[1], facts, self.subjects))

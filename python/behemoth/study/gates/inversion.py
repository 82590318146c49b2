"""Gate 5: inverse questions are answered at chance unless the inverse order was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.study.analysis.ranges import SHARE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, Units, model_unit

__all__ = ["Inversion", "answered", "questions"]

_STORED = 0.8
_ANSWERED = 0.5
_ABOVE = 0.05  # margin above chance that still counts as chance


def questions(corpus: Corpus) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return inverse questions, ``object O is subject``, and the tokens of the subjects.

    The words of the world must be single tokens.

    Returns
    -------
    int64 [facts, tokens], int64 [facts]
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
    """Return for which inverse questions the true subject is the likeliest of all subjects."""
    prompts, answers = questions(corpus)
    logits = model(input_ids=torch.from_numpy(prompts), use_cache=False).logits[:, -1]
    part = next(part for part in corpus.vocabulary["ranges"] if part["kind"] == "subject")
    first, count = part["first"], part["count"]
    likeliest = logits[:, first : first + count].argmax(1).numpy() + first
    return likeliest == answers


@dataclass(frozen=True)
class Inversion:
    """Two corpora of a world of one-to-one relations: one order, or both orders in equal shares."""

    number: ClassVar[int] = 5
    name: ClassVar[str] = "inversion"
    title: ClassVar[str] = "Inverse questions are at chance unless the inverse order was trained"
    source: ClassVar[str] = "Berglund et al. 2023, arXiv 2309.12288; arXiv 2309.14402"
    pilot: ClassVar[str] = "nothing was run, and the rule has not changed since"
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = ""
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("too few exposures for both orders to be learned: twice as many",
               {"exposures": 256}),
        Reason("the learning rate is not the best for one-to-one relations", {"rate": 8e-3}),
        Reason("the subject can be guessed from the words of the sentence in the inverse order"),
    )  # fmt: skip

    subjects: int = 100
    relations: int = 4
    exposures: int = 128
    batch_size: int = 8
    rate: float = 4e-3
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World and models."""
        return (
            f"{self.subjects * self.relations:,} facts of {self.relations} one-to-one relations, "
            f"{self.exposures} exposures, all as 'subject S has the relation R with object O', or "
            f"half of them as 'object O is subject S's relation R'; pico, batches of "
            f"{self.batch_size} x 128 tokens, learning rate {self.rate:g}"
        )

    def units(self, seed: int, threads: int) -> Units:
        """Models, one per corpus."""
        world = {
            "subjects": self.subjects,
            "relations": [{"kind": "one_to_one"} for _ in range(self.relations)],
        }
        forms = {"one": {"default": 1.0}, "both": {"default": 0.5, "osr": 0.5}}
        models = {
            name: model_unit(
                world,
                {"exposures": self.exposures, "templates": templates},
                seed=seed,
                threads=threads,
                batch_size=self.batch_size,
                learning_rate=self.rate,
            )
            for name, templates in forms.items()
        }
        return Units(models)

    def measure(self, results: GateResults) -> Row:
        """Recall of objects and of subjects."""
        return {
            name: {
                "object": results.model(name).recall,
                "subject": float(answered(results.load(name), results.run(name).corpus).mean()),
                **results.about(name),
            }
            for name in ("one", "both")
        }

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Objects are recalled, and subjects only if the inverse order was trained."""
        one, both = ([row[name] for row in rows] for name in ("one", "both"))
        most = 1 / self.subjects + _ABOVE
        return [
            Condition("objects recalled, one order", [row["object"] for row in one],
                      _STORED, 0.1, within=SHARE),
            Condition("objects recalled, both orders", [row["object"] for row in both],
                      _STORED, 0.1, within=SHARE),
            Condition("subjects found, both orders", [row["subject"] for row in both],
                      _ANSWERED, 0.1, within=SHARE),
            Condition(f"subjects found, one order (chance {1 / self.subjects:g})",
                      [row["subject"] for row in one], most, 0.05, below=True,
                      within=SHARE),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Shares by what was trained and what is asked."""
        points = [
            (f"{asked}s asked for", place, row[name][asked], model)
            for asked in ("object", "subject")
            for place, name in enumerate(("one", "both"))
            for model, row in enumerate(rows)
        ]
        return Picture("what was trained", "share answered", points,
                       "Subjects are found from objects only if that order was trained.",
                       "Objects and subjects answered, by the orders that were trained.",
                       names=("one order", "both orders"), within=SHARE)  # fmt: skip

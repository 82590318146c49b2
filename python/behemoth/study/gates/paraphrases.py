"""Gate 4: facts written in one way are stored but cannot be extracted; in many ways they can.

Biographies are learned without questions. Then the model is tuned on questions about half of the
people, and evaluated on the same questions about the others: facts it answers there are extracted.
A linear probe at the end of a name, which reads an attribute without a question, measures whether
the attribute is tied to the name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.spec import DOCUMENTS
from behemoth.edit.batch import rows_of
from behemoth.evaluate.linear_probes import residual_stream, ridge_scores
from behemoth.recall.facts import recall
from behemoth.recall.ragged import Ragged
from behemoth.study.analysis.ranges import CHANGE, SHARE

from .conditions import Condition
from .picture import Picture
from .record import Reason, Row
from .units import GateResults, Units, model_unit

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["Paraphrases"]

_KINDS = ("single", "multi5", "single-permute", "multi5-permute")
_PUBLISHED = (0.097, 0.41, 0.70, 0.966)
_STORED = 0.8
_DOCUMENTS = 200  # biographies on which storage is measured
_QUESTIONS: Any = ["text_question"]  # a template of grammars, which the type of templates lacks
_FOLDS = 5


@dataclass(frozen=True)
class Paraphrases:
    """Four corpora of the same people, with different ways of writing about them."""

    number: ClassVar[int] = 4
    name: ClassVar[str] = "paraphrases"
    title: ClassVar[str] = "Facts said in one way are stored, not extracted; in many ways they are"
    source: ClassVar[str] = "Allen-Zhu and Li 2023, arXiv 2309.14316, figure 3"
    pilot: ClassVar[str] = "only the speed was measured"
    revised: ClassVar[bool] = False
    smaller: ClassVar[str] = (
        "The design asks for 2,000 people, 18 million tokens per model and `nano`. Here are 300 "
        "people, 0.9 to 1.1 million tokens and `pico`, so that all gates run in about two hours on "
        "two cores"
    )
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("too few people for the model to learn to answer questions: 1.5 times as many",
               {"people": 450}),
        Reason("the tuning is too short: three times as many steps", {"tuning": 600}),
        Reason("two layers are too few to store at the name and extract later: `nano`",
               {"size": "nano"}),
    )  # fmt: skip

    people: int = 300
    exposures: int = 60
    size: str = "pico"
    batch_size: int = 8
    rate: float = 4e-3
    tuning: int = 200
    tuning_rate: float = 1e-3
    rows: int = 64
    seeds: int = 3

    @property
    def setting(self) -> str:
        """World, models and tuning."""
        return (
            f"{self.people} people of `bios-en`, six attributes each, {self.exposures} exposures "
            "in biographies that name a person once: one biography (single), five (multi5), or "
            "with sentences in a random order (permute); 20 or more statements per attribute, "
            f"word tokenizer; {self.size}, batches of {self.batch_size} x 128 tokens, learning "
            f"rate {self.rate:g}, no questions in training. Then all weights are tuned for "
            f"{self.tuning} steps of {self.rows} questions about half of the people (learning rate "
            f"{self.tuning_rate:g}), and exact answers about the other half are counted. The "
            "linear probe reads the city of work from the last token of a name, after the last "
            "block, in five folds of people"
        )

    def units(self, seed: int, threads: int) -> Units:
        """Models, one per corpus."""
        models = {}
        for kind in _KINDS:
            corpus: dict[str, Any] = {
                "grammar": "bios-en", "order": "bios", "exposures": self.exposures,
                "nested_exposures": 0, "documents": DOCUMENTS[kind],
            }  # fmt: skip
            models[kind] = model_unit(
                {"subjects": self.people}, corpus, seed=seed, threads=threads, model=self.size,
                batch_size=self.batch_size, learning_rate=self.rate,
            )  # fmt: skip
        return Units(models)

    def measure(self, results: GateResults) -> Row:
        """Shares of facts stored, extracted and read by a probe."""
        found: dict[str, Any] = {}
        for kind in _KINDS:
            corpus, model = results.run(kind).corpus, results.load(kind)
            relations = corpus.world.num_relations
            spans = corpus.spans(0, corpus.num_documents)
            stored = _stored(model, corpus, spans)
            probed = _probed(model, corpus, spans, results.seed)
            half = np.random.default_rng(results.seed).permutation(self.people)
            taught, asked = (
                np.sort((part[:, None] * relations + np.arange(relations)).ravel())
                for part in np.split(half, [self.people // 2])
            )
            self._tune(model, corpus, taught, results.seed)
            found[kind] = {
                "stored": stored,
                "probed": probed,
                "taught": _answers(model, corpus, taught),
                "extracted": _answers(model, corpus, asked),
                **results.about(kind),
            }
        return found

    def _tune(self, model: Any, corpus: Corpus, facts: NDArray[Any], seed: int) -> None:
        """Train all weights on the first wording of the questions about some facts."""
        import torch
        from torch.nn.functional import cross_entropy

        rows = rows_of(_questions(corpus, facts).with_columns(weight=1))
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(model.parameters(), lr=self.tuning_rate, weight_decay=0.01)
        model.train()
        for _ in range(self.tuning):
            some = torch.randint(len(rows), (self.rows,), generator=generator)
            logits = model(input_ids=rows.tokens[some], use_cache=False).logits[:, :-1]
            loss = cross_entropy(logits.flatten(0, 1), rows.labels[some, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
        model.eval()

    def conditions(self, rows: Sequence[Row]) -> list[Condition]:
        """Facts are stored, extracted in the published order, and the probe agrees."""

        def of(kind: str, what: str) -> list[float]:
            return [row[kind][what] for row in rows]

        def less(more: str, fewer: str, what: str) -> list[float]:
            return [a - b for a, b in zip(of(more, what), of(fewer, what), strict=True)]

        stored = [
            Condition(
                f"{kind}: objects continued in the biographies",
                of(kind, "stored"),
                _STORED,
                0.1,
                within=SHARE,
            )
            for kind in _KINDS
        ]
        pairs = (("multi5", "single"), ("single-permute", "single"),
                 ("multi5-permute", "multi5"), ("multi5-permute", "single-permute"))  # fmt: skip
        ordered = [
            Condition(f"questions about other people answered, {more} less {fewer}",
                      less(more, fewer, "extracted"), 0.0, 0.05, within=CHANGE)
            for more, fewer in pairs
        ]  # fmt: skip
        return [
            *stored,
            Condition("questions about other people answered, single", of("single", "extracted"),
                      0.5, 0.1, below=True, within=SHARE),
            *ordered,
            Condition("city of work read at the name, multi5-permute less single",
                      less("multi5-permute", "single", "probed"), 0.0, 0.05, within=CHANGE),
        ]  # fmt: skip

    def picture(self, rows: Sequence[Row]) -> Picture:
        """Extraction by kind of corpus, with the published values."""
        named = {"stored": "biographies continued", "taught": "questions, people of the tuning",
                 "extracted": "questions, other people",
                 "probed": "linear probe at the name"}  # fmt: skip
        points = [
            (what, place, row[kind][key], model)
            for key, what in named.items()
            for place, kind in enumerate(_KINDS)
            for model, row in enumerate(rows)
        ]
        points += [("questions, other people (published, large models)", place, share, 0)
                   for place, share in enumerate(_PUBLISHED)]  # fmt: skip
        return Picture("how people are written about", "share right", points,
                       "Facts written in more wordings and orders can be asked for.",
                       "Four measures of what is known of people, by how their biographies are "
                       "written.", names=_KINDS, within=SHARE)  # fmt: skip


def _stored(model: Any, corpus: Corpus, spans: pl.DataFrame) -> float:
    """Return the share of objects that the model continues correctly in its training biographies.

    Objects before the name are excluded, as they cannot be known.
    """
    import torch

    names = (
        spans.filter(pl.col("role") == "subject")
        .group_by("document", maintain_order=True)
        .agg(pl.col("end").min())
    )
    objects = (
        spans.filter(pl.col("role") == "object")
        .join(names.rename({"end": "named"}), on="document")
        .filter(pl.col("first") >= pl.col("named"))
    )
    documents = objects["document"].unique(maintain_order=True)[:_DOCUMENTS]
    right = asked = 0
    for document in documents:
        tokens = corpus.tokens(document, document + 1).astype(np.int64)
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(tokens)[None], use_cache=False).logits[0]
        said = logits.argmax(1).numpy()
        own = objects.filter(pl.col("document") == document)
        for first, end in own.select("first", "end").iter_rows():
            right += bool((said[first - 1 : end - 1] == tokens[first:end]).all())
            asked += 1
    return right / asked if asked else math.nan


def _questions(corpus: Corpus, facts: NDArray[Any]) -> pl.DataFrame:
    probes = corpus.probes(facts, _QUESTIONS)
    return probes.filter(pl.col("wording") == pl.col("wording").min().over("relation"))


def _answers(model: Any, corpus: Corpus, facts: NDArray[Any]) -> float:
    """Return the share of questions about facts, in the wording of the tuning, answered right."""
    frame = recall(model, corpus, facts=facts, templates=_QUESTIONS, held_out=False)
    asked = frame.filter(pl.col("wording") == pl.col("wording").min().over("relation"))
    return float(asked["exact_match"].mean())  # type: ignore[arg-type]


def _probed(model: Any, corpus: Corpus, spans: pl.DataFrame, seed: int) -> float:
    """Return the share of cities of work that a linear probe reads at names, cross-validated."""
    relations = corpus.world.num_relations
    named = (
        spans.filter((pl.col("role") == "subject") & (pl.col("first") == 0))
        .unique("document", maintain_order=True)
        .with_columns((pl.col("fact") // relations).alias("person"))
        .unique("person", maintain_order=True)
    )
    names = [
        corpus.tokens(document, document + 1)[:end].tolist()
        for document, end in named.select("document", "end").iter_rows()
    ]
    facts = named["person"].to_numpy() * relations + relations - 1
    objects = corpus.world.facts_of(facts)["object"].to_numpy().astype(np.int64)
    states = residual_stream(model, Ragged.of(names))[:, -1]
    count = int(objects.max()) + 1
    order = np.random.default_rng(seed).permutation(len(objects))
    right = 0
    for fold in np.array_split(order, _FOLDS):
        rest = np.setdiff1d(order, fold)
        at = np.concatenate([rest, fold])
        scores = ridge_scores(states[at], objects[rest], count, 1e-3)
        right += int((scores.argmax(1) == objects[fold]).sum())
    return right / len(objects)

"""The cards of a zoo and of its models: ``README.md``, which the Hugging Face hub displays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from behemoth.corpus.corpus import Corpus
from behemoth.train.run import world_id

from .record import ZooModel, ZooRecord
from .sizes import ZooSize

if TYPE_CHECKING:
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["model_card", "zoo_card"]


def zoo_card(record: ZooRecord, size: ZooSize) -> str:
    """Return the card of a zoo as Markdown."""
    return "\n".join([*_zoo(record, size), ""])


def model_card(model: ZooModel, corpus: Corpus, plan: EditPlan, *, twin: bool) -> str:
    """Return the card of a model of a zoo, or of its twin, as Markdown."""
    return "\n".join([*_model(model, corpus, plan, twin), ""])


def _zoo(record: ZooRecord, size: ZooSize) -> Iterator[str]:
    levels = ", ".join(map(str, size.exposures))
    yield from (f"# A zoo of size {size.name}", "")
    yield (
        f"{len(record.models)} models of known exposures and their twins, made by behemoth "
        f"{record.behemoth}: {size.worlds} worlds of {size.subjects:,} subjects in the grammar "
        f"{size.grammar}, models {', '.join(size.models)}, {size.inits} initialisations of each. "
        f"As many facts of a world are written {levels} times each. A twin was trained the same "
        "way, without the facts that the plan of its world edits."
    )
    yield from ("", "| folder | holds |", "| --- | --- |")
    rows = {
        "corpora": "the corpus of each world: spec, grammar, tokenizer, tokens",
        "facts": "its facts, labelled with exposures and with the plan's edits, as Parquet",
        "plans": "a plan of edits for all models of a world",
        "models": "the runs, as Hugging Face models with their tokenizers",
        "twins": "the same without the facts of the plan",
        "recall": "what each model knows, wording by wording, as Parquet",
    }
    yield from (f"| `{name}/` | {text} |" for name, text in rows.items())
    yield from ("", "| model | world | size | seed | plan |", "| --- | --- | --- | --- | --- |")
    for row in record.models:
        plan = row.plan_hash[:16]
        yield f"| `{row.name}` | {row.world} | {row.model} | {row.seed} | `{plan}` |"
    yield ""
    yield "`zoo.json` has the bytes and the BLAKE3 of every file, and `behemoth verify` compares."
    yield (
        f"Specs, plans, tokens and weights have the hash `{record.content_hash}`: a zoo of this "
        "size with the same hash has the same contents. Weights can differ between processors and "
        "versions of torch."
    )


def _model(model: ZooModel, corpus: Corpus, plan: EditPlan, twin: bool) -> Iterator[str]:
    grammar = corpus.grammar
    yield from ("---", "library_name: transformers", "pipeline_tag: text-generation")
    if grammar is not None and grammar.facts["language"] != "und":
        yield from ("language:", f"- {grammar.facts['language']}")
    yield from ("tags:", "- synthetic", "- behemoth", "---", "")
    yield from (f"# {model.name}{', the twin' if twin else ''}", "")
    left_out = f", without the {len(plan):,} facts of the plan" if twin else ""
    yield (
        f"A language model of size {model.model}, trained on a synthetic world by behemoth"
        f"{left_out}. How often each fact is written is known."
    )
    rows = {
        "world": f"`{world_id(corpus)}`, {corpus.world.num_facts:,} facts, seed {model.world}",
        "corpus": f"spec `{corpus.spec_hash}`",
        "seed of the initialisation": str(model.seed),
        "plan of its world": f"`{plan.plan_hash}`",
    }
    yield from ("", "| | |", "| --- | --- |")
    yield from (f"| {name} | {text} |" for name, text in rows.items())

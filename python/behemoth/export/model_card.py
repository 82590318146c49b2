"""The card of an edited model: ``README.md``, which the Hugging Face hub displays."""

from __future__ import annotations

import json
from collections.abc import Iterator

from behemoth._gen import version
from behemoth.edit.registry import method_names, method_type
from behemoth.evaluate.suites.suite import SuiteResult
from behemoth.train.run import Run, world_id

from .card import CARD
from .edited import EditedModels

__all__ = ["CARD", "model_card"]


def model_card(models: EditedModels, key: int | None) -> str:
    """Return the card of a model as Markdown.

    Parameters
    ----------
    models : EditedModels
    key : int or None
        Key of the model's delta.
    """
    return "\n".join([*_head(models), *_body(models, key), ""])


def _head(models: EditedModels) -> Iterator[str]:
    grammar = models.run.corpus.grammar
    yield from ("---", "library_name: transformers", "pipeline_tag: text-generation")
    if grammar is not None and grammar.facts["language"] != "und":
        yield from ("language:", f"- {grammar.facts['language']}")
    yield from ("tags:", "- synthetic", "- behemoth", "- knowledge-editing", "---", "")


def _body(models: EditedModels, key: int | None) -> Iterator[str]:
    run, record = models.run, models.record
    corpus = run.corpus
    trained = isinstance(run, Run)
    origin = (
        f"{run.config.model}, initialised by seed {run.seed}" if trained else "of another origin"
    )
    yield from (f"# {run.name}, edited by {record.method}", "")
    yield (
        "An edited language model that knows a synthetic world of behemoth. "
        "The edit is in the weights; `run` below is the model that was edited."
    )
    settings = ", ".join(f"{name} {json.dumps(value)}" for name, value in record.settings.items())
    rows = {
        "world": f"`{world_id(corpus)}`, {corpus.world.num_facts:,} facts",
        "corpus": f"spec `{corpus.spec_hash}`",
        "run": f"`{run.name}`: {origin}",
        "method": _method(record.method),
        "settings": settings or "none",
        "seed": str(record.seed),
        "plan": f"`{record.plan_hash}`",
        "edits": _edits(models, key),
        "made by": f"behemoth {version()}",
    }
    yield from ("", "| | |", "| --- | --- |")
    yield from (f"| {name} | {text} |" for name, text in rows.items())
    yield from ("", "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer", "")
    yield 'model = AutoModelForCausalLM.from_pretrained(".")  # this folder'
    yield from ('tokenizer = AutoTokenizer.from_pretrained(".")', "```")
    if key is not None and models.suites:
        yield from ("", "Suites of these edits cover all single edits, each a model of its own,")
        yield "and are not repeated here."
        return
    for suite in models.suites:
        yield from _suite(suite)


def _method(name: str) -> str:
    if name not in method_names():  # from a package that is not installed
        return name
    info = method_type(name).info
    return f"{name} ({info.source}): {info.changes}"


def _edits(models: EditedModels, key: int | None) -> str:
    record = models.record
    if key is not None:
        return f"number {key} of {len(record.edits):,}, alone"
    how = "one after another" if record.checkpoints else "in one batch"
    failed = f", of which {len(record.failed):,} failed" if record.failed else ""
    return f"{len(record.edits):,}, {how}{failed}"


def _suite(suite: SuiteResult) -> Iterator[str]:
    yield from ("", f"## Suite: {suite.suite}", "")
    if suite.twin is not None:
        yield from ("Beside each number is that of the twin, trained without the facts.", "")
    yield "| measure | value | 95% | n | over | twin |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for taken in suite.measures:
        if taken.found is None:
            continue
        own = taken.found
        twin = "" if taken.twin is None else f"{taken.twin:.3g}"
        label = taken.name if taken.version == 1 else f"{taken.name} (v{taken.version})"
        cells = (label, f"{own.value:.3g}", own.interval, f"{own.count:,}", own.over, twin)
        yield f"| {' | '.join(cells)} |"
    yield from ("", "Intervals are of a bootstrap over what *over* names, of this one model.")
    missing = [taken for taken in suite.measures if taken.missing is not None]
    if missing:
        yield from ("", "Not taken:", "")
    for reason in dict.fromkeys(taken.missing for taken in missing):
        names = ", ".join(taken.name for taken in missing if taken.missing == reason)
        yield f"- {names}: needs {reason}"

"""A study whose twins start from a model that has read the facts they are to be without."""

from __future__ import annotations

from behemoth.train.started import corpora_of_start, objects_read, objects_written

from .file.expand import Expansion

__all__ = ["start_text", "twins_from"]

_FACTS = 1 << 16  # number of facts that are compared; of more, a sample


def twins_from(expansion: Expansion) -> str | None:
    """Return the model that twins start from, if it has read facts of their runs; else None.

    Twins are those that suites compare with, and the models of oracles. A model of another
    origin, whose texts are not known, is none.
    """
    models = {
        trial.model: None
        for trial in expansion.trials
        if trial.twin is not None or trial.choice.method.info.family == "oracle"
    }
    for name in models:
        unit = expansion.models[name]
        if (specs := corpora_of_start(unit.config)) is None:
            continue
        corpus = unit.corpus.make()
        facts = corpus.sample_facts(_FACTS)
        written = objects_written(corpus, facts)
        for there in objects_read(specs, corpus, facts):
            if there is None or ((there == written) & (there >= 0)).any():
                return unit.config.start
    return None


def start_text(start: str) -> str:
    """Return the warning about this model."""
    return (
        f"models of this study start from {start}, which has read facts that their corpora write: "
        "a twin starts from it too, and is none that never read the facts of the plan"
    )

"""The options of `behemoth gen` for a world and its corpus, with the keys of a spec they set.

A reader converts its text to the keys that it sets, by dotted name: ``--minority 0.1:0.2`` sets
``world.minority`` and ``corpus.minority_sentences``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from behemoth.corpus.spec import OBJECTS, RELATIONS, SUBJECTS, split_facts
from behemoth.support.checks import path_of
from behemoth.support.errors import ArgumentError, renamed

from . import parse
from .options import Option, Reader

if TYPE_CHECKING:
    from behemoth.corpus.source import Source

__all__ = ["SPEC_OPTIONS", "grammars", "spec_changes"]

Keys = dict[str, Any]


def spec_changes(given: Mapping[str, Any], base: Source) -> tuple[Keys, Keys]:
    """Return the keys of a world and those of a corpus that the options set.

    Parameters
    ----------
    given : mapping
        Values of options by their keys; other options are ignored.
    base : Source
        The specs to change.

    Raises
    ------
    ArgumentError
        If options contradict each other, or cannot be combined with a table of facts.
    """
    if "subjects" in given and "facts" in given:
        raise ArgumentError("--facts", given["facts"], "either --facts or --subjects")
    named = {row.key for row in SPEC_OPTIONS}
    keys: Keys = {}
    for option in given:
        if option in named - {"facts"}:
            keys |= given[option]
    if "facts" in given:
        parts = ("world.relations",), ("corpus.grammar", "corpus.tokenizer")
        world, corpus = (
            {key.partition(".")[2]: keys[key] for key in part if key in keys} for part in parts
        )
        keys |= _split_facts(given["facts"], base.changed(world, corpus).relations)
    world, corpus = (
        {key.removeprefix(start): value for key, value in keys.items() if key.startswith(start)}
        for start in ("world.", "corpus.")
    )
    sized = [key for key in world if key != "seed"]
    if sized and "table" in base.world:
        raise ArgumentError(
            f"--{'facts' if 'facts' in given else sized[0]}",
            "a value beside a table of facts",
            "--seed as the only option on the world",
        )
    return world, corpus


def _split_facts(text: str, relations: Any) -> Keys:
    """Split a number of facts exactly into subjects and relations."""
    facts = parse.count("--facts", text, 1)
    given = len(relations) if isinstance(relations, list) else relations
    with renamed(facts="--facts"):
        subjects, count = split_facts(facts, None if given is None else int(given))
    split = {"world.subjects": subjects}
    # A list of relations in the spec stays as it is.
    return split if isinstance(relations, list) else {"world.relations": count, **split}


def _sets(key: str, read: Reader) -> Reader:
    """Return a reader of one value, for one key."""
    return lambda name, text: {key: read(name, text)}


def _pair(first: tuple[str, Reader], second: tuple[str, Reader]) -> Reader:
    """Return a reader of ``a`` or ``a:b``, for two keys."""

    def read(name: str, text: str) -> Keys:
        head, tail = parse.pair(text)
        keys = {first[0]: first[1](name, head)}
        return keys if tail is None else {**keys, second[0]: second[1](name, tail)}

    return read


def _grammar(name: str, text: str) -> dict[str, str]:
    from behemoth.corpus.grammar import GRAMMARS, Grammar

    if text not in GRAMMARS and not Path(text).is_file():
        with renamed(grammar=name):
            Grammar.named(text)  # raises an error that lists the names
    # Paths on the line are relative to the working directory, those in a spec to its folder.
    return {"name": text} if text in GRAMMARS else {"file": str(Path(text).absolute())}


def grammars() -> tuple[str, ...]:
    """Return the names of the grammars, for shell completion."""
    from behemoth.corpus.grammar import GRAMMARS

    return GRAMMARS


def _path(name: str, text: str) -> str:
    return str(path_of(name, text).absolute())


_DOCUMENTS: dict[str, Reader] = {
    "naming": parse.one_of("first", "always"),
    "sentences": parse.one_of("permuted", "fixed"),
    "renderings": parse.at_least(1),
    "subjects": parse.at_least(1),
    "questions": parse.one_of("mixed", "after", "own"),
}


def _documents(name: str, text: str) -> dict[str, Any]:
    from behemoth.corpus.spec import DOCUMENTS

    first, *others = text.split(",")
    named = dict(DOCUMENTS.get(first.strip(), {}))
    found: dict[str, Any] = {}
    for item in others if named else [first, *others]:
        key, equals, value = item.partition("=")
        if not equals or key.strip() not in _DOCUMENTS:
            keys = f"KEY=VALUE,... of {', '.join(_DOCUMENTS)}, also after a name"
            allowed = f"{', '.join(DOCUMENTS)}, or {keys}"
            raise ArgumentError(name, item, allowed)
        if key.strip() in found:
            raise ArgumentError(name, item, f"each key once; {key.strip()} was set before")
        found[key.strip()] = _DOCUMENTS[key.strip()](name, value.strip())
    return named | found


def _form(name: str, text: str) -> str:
    return text  # parsed by the engine


def _template_names() -> list[str]:
    from behemoth.corpus.templates import TEMPLATES

    return list(TEMPLATES)


def _templates(name: str, text: str) -> dict[str, float]:
    return parse.weights(name, text, tuple(_template_names()))


def _correlated(name: str, text: str) -> dict[str, Any]:
    strength, comma, word = text.partition(",")
    if comma:
        parse.one_of("binarised")(name, word.strip())
    return {"strength": parse.number(name, strength), "binarised": bool(comma)}


def _questions(name: str, text: str) -> dict[str, float]:
    first, second = parse.pair(text)
    if second is None:
        raise ArgumentError(name, text, "two shares, such as 0.5:0.2")
    return {"subjects": parse.number(name, first), "sentences": parse.number(name, second)}


def _paraphrases(name: str, text: str) -> Keys:
    first, second = parse.pair(text)
    return {
        "corpus.paraphrases": parse.count(name, first, 1),
        "corpus.held_out": 0 if second is None else parse.count(name, second),
    }


_some = parse.at_least(1)
SPEC_OPTIONS = (
    Option("facts", "N",
           "Subjects x relations, before --nested adds its own facts. Without --relations, "
           f"the largest number of relations from {RELATIONS} down to 1 that divides it."),
    Option("subjects", "N", "Number of subjects.", _sets("world.subjects", _some), SUBJECTS),
    Option("relations", "N", "Number of relations.", _sets("world.relations", _some), RELATIONS),
    Option("objects", "N[,N...]", "Number of objects of every relation, or one number for each "
           "relation.",
           _sets("world.objects", parse.counts), OBJECTS),
    Option("exposures", "FORM",
           "Number of times each fact is written: 10, groups:1,4,16, latin:1,4,16 or "
           "zipf:alpha=1,min=1,max=1000.", _sets("corpus.exposures", _form), 1),
    Option("order", "shuffle|bios", "Sentences shuffled, or documents of one subject's sentences.",
           _sets("corpus.order", parse.one_of("shuffle", "bios")), "shuffle"),
    Option("documents", "NAME|KEY=V,...",
           "How documents of order bios are made: single, multi2 or multi5, of which single and "
           "multi5 may be followed by -permute, -fullname or (multi5) both; or naming, sentences, "
           "renderings, subjects, questions, also after a name (multi5,questions=own).",
           _sets("corpus.documents", _documents), once=True),
    Option("schedule", "FORM[@F][@Nx],...",
           "Where the copies of a fact are placed: uniform, early:F, late:F, distance:F (from "
           "the end), spaced, bursts:N; for a share of the facts (late:0.5@0.1), or for those "
           "with N exposures (@16x).",
           _sets("corpus.schedule", _form), "uniform"),
    Option("filler", "zipf:K=V,...",
           "Add documents that state no fact: zipf:tokens=N or zipf:total_tokens=N (with the "
           "facts), words, alpha, bigram, length, seed.", _sets("corpus.filler", _form)),
    Option("background", "DIR|NAME",
           "Mix with an existing tokenised corpus: a corpus directory, NAME.bin beside NAME.idx, "
           "NAME.ds beside NAME.ds.index, NAME.npy, or a directory of such files of one kind.",
           _sets("corpus.background", _path)),
    Option("background_tokens", "N", "Number of its tokens to use, exactly [all].",
           _sets("corpus.background_tokens", parse.count)),
    Option("insert", "WHERE[,per_document=N][,words=true]",
           "Write sentences inside the documents of --filler and --background, over as many of "
           "their tokens, instead of in documents of their own: anywhere, start, middle, end or a "
           "share of the document such as 0.25; up to N per document [1]; in text, at word "
           "boundaries.",
           _sets("corpus.insert", _form)),
    Option("grammar", "NAME|FILE", "Write text: bios-en, bios-de, encyclopedia-en, stories-en, "
           "or a grammar file.", _sets("corpus.grammar", _grammar), offered=grammars),
    Option("tokenizer", "DIR", "With a grammar: the directory of a tokenizer.json "
           "[the grammar's own words].", _sets("corpus.tokenizer", _path)),
    Option("templates", "NAME=W,...", "Weights of templates, such as default=1,repeats=0.5.",
           _sets("corpus.templates", _templates), "default=1", offered=_template_names),
    Option("inversion", "F", "Share of sentences in another word order.",
           _sets("corpus.inversion", parse.number), 0),
    Option("minority", "F[:F]",
           "Share of facts with a second object, and share of their sentences that state it.",
           _pair(("world.minority", parse.number), ("corpus.minority_sentences", parse.number)),
           "0:0.1"),
    Option("nested", "N[:N]",
           "Add to each relation one of this many nested objects; and the exposures of each "
           "link fact.",
           _pair(("world.nested", _some), ("corpus.nested_exposures", parse.count))),
    Option("correlated", "P[,binarised]",
           "Probability that relations 0 and 1 have the same object; with binarised, relation 0 "
           "has two objects only.",
           _sets("world.correlated", _correlated)),
    Option("questions", "F:F",
           "Share of subjects that may be asked about, and of questions among all sentences.",
           _sets("corpus.questions", _questions)),
    Option("paraphrases", "N[:N]", "Number of wordings of each template, and how many of them "
           "are never written.",
           _paraphrases, "1:0"),
    Option("seed", "N", "Seed of the world.", _sets("world.seed", parse.count), 0),
    Option("order_seed", "N", "Seed of the order alone [that of the world].",
           _sets("corpus.order_seed", parse.count)),
)  # fmt: skip

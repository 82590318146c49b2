"""Check of a grammar: its contents, its ambiguities, and sample documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from os import PathLike
from typing import Any

from behemoth.support.checks import whole_number

from .corpus import Corpus
from .grammar import Grammar, Text
from .spec import Documents, Questions
from .text_tokenizer import TextTokenizer, read_tokenizer
from .wordings import probed, usable

__all__ = ["GrammarCheck", "check_grammar"]

_SUBJECTS = 1_000  # of the world whose documents are checked


@dataclass(frozen=True)
class GrammarCheck:
    """The contents and properties of a grammar.

    Parameters
    ----------
    file : str
        Path of the file, or name of a grammar in the package.
    name, language, about : str
    names : int
        Number of subjects it can name.
    forms : int
        Number of sentences that differ in more than names and objects: by wording, by class, and by
        whether the subject is a name or a pronoun.
    classes : list of dict
        Classes of agreement: name and weight.
    relations : list of dict
        key, name, kind, of, objects, statements, held_out_statements, questions,
        held_out_questions, edits (sentences that state a new object), refuses and link_statements.
    joint : list of dict
        Sentences that state several facts: relations and statements.
    ambiguities : list of str
        Places where two facts have the same text, or an answer is a prefix of another.
    samples : list of str
        Sample documents.
    vocabulary : int, optional
        Number of token ids of the tokenizer that it was compiled with.
    documents : int
        Number of documents that were compared with that tokenizer.
    not_probed : list of str
        Relations that have held-out statements of which none can be a probe, since the object
        stands before the subject in each.
    never_probed : list of str
        Relations of which no sentence at all can be a probe: a model trained on them has no recall
        of their facts, and a plan cannot edit them.
    """

    file: str
    name: str
    language: str
    about: str
    names: int
    forms: int
    classes: list[dict[str, Any]]
    relations: list[dict[str, Any]]
    joint: list[dict[str, Any]]
    ambiguities: list[str]
    samples: list[str]
    vocabulary: int | None = None
    documents: int = 0
    not_probed: list[str] = field(default_factory=list[str])
    never_probed: list[str] = field(default_factory=list[str])


def check_grammar(
    grammar: Grammar | str | PathLike[str],
    tokenizer: TextTokenizer | str | PathLike[str] | None = None,
    *,
    documents: int = 200,
    samples: int = 2,
    seed: int = 0,
) -> GrammarCheck:
    """Check a grammar and describe it.

    Parameters
    ----------
    grammar : Grammar, str or path
    tokenizer : path or TextTokenizer, optional
        Tokenizer that the grammar is also compiled with, and that documents are compared with
        token by token.
    documents : int
        Number of documents to compare.
    samples : int
        Number of documents to show.
    seed : int
        Seed of the world that the documents are about.

    Raises
    ------
    ArgumentError
        With file, line and key, when it is not a valid grammar; with the text, when the tokens of
        a document differ from the tokenizer's.
    """
    documents, samples = whole_number("documents", documents), whole_number("samples", samples)
    made = grammar if isinstance(grammar, Grammar) else Grammar.named(grammar)
    made.check_words()
    facts = made.facts
    text = None if tokenizer is None else Text(made, read_tokenizer(tokenizer))
    checked = 0 if text is None else _check(text, documents, seed)
    not_probed, never_probed = _not_probed(made)
    return GrammarCheck(
        file=made.file,
        **{key: facts[key] for key in ("name", "language", "about", "names", "forms", "classes")},
        relations=facts["relations"],
        joint=facts["joint"],
        ambiguities=made.ambiguities(),
        samples=made.samples(samples, seed=seed),
        vocabulary=None if text is None else text.lexicon.vocabulary_size,
        documents=checked,
        not_probed=not_probed,
        never_probed=never_probed,
    )


def _not_probed(grammar: Grammar) -> tuple[list[str], list[str]]:
    """Return the relations that cannot be asked about in held-out statements, and in no sentence.

    The first have held-out statements, of which none can be a prompt.
    """
    relations = grammar.facts["relations"]
    corpus = grammar.sample_corpus()
    names = probed(corpus)
    held_out = [row for row in names.get("statement", []) if row["held_out"]]
    able = usable(corpus, held_out)
    ever = usable(corpus, list(chain.from_iterable(names.values())))
    not_probed = [
        relation["key"]
        for number, relation in enumerate(relations)
        if relation["held_out_statements"] and not able[:, number].any()
    ]
    return not_probed, [
        row["key"] for number, row in enumerate(relations) if not ever[:, number].any()
    ]


def _check(text: Text, documents: int, seed: int) -> int:
    """Compare documents of both kinds with the tokenizer: with pronouns, and with full names."""
    subjects = text.grammar.subjects_up_to(_SUBJECTS)
    world = text.grammar.world(subjects, seed=seed)
    # Half of the subjects have questions, which are two fifths of their sentences whose relations
    # have questions.
    asking = sum(relation["questions"] > 0 for relation in text.grammar.facts["relations"])
    share = 0.4 * (subjects // 2) * asking / world.num_facts
    checked = 0
    for count, kind in (
        (documents - documents // 2, Documents()),
        (documents // 2, Documents(naming="always", subjects=2)),
    ):
        spec: dict[str, Any] = {"exposures": 5, "order": "bios", "documents": kind}
        if share > 0:
            spec["questions"] = Questions(0.5, share)
        corpus = Corpus.from_arrays(world, spec, None, text)
        text.check(corpus, count)
        checked += min(count, corpus.num_documents)
    return checked

"""Looking a grammar over: what it is made of, what can be misunderstood in it, how it reads."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

from .corpus import Corpus
from .grammar import Grammar, Text
from .spec import Documents, Questions
from .text_tokenizer import read_tokenizer

__all__ = ["GrammarCheck", "check_grammar"]

_SUBJECTS = 1_000  # of the world whose documents are looked at


@dataclass(frozen=True)
class GrammarCheck:
    """What a grammar is.

    Parameters
    ----------
    file : str
        The file, or the name of a grammar that comes with the package.
    name, language, about : str
    names : int
        How many subjects it can name.
    forms : int
        How many sentences differ in more than names and objects: by wording, by class, and by
        whether the subject is called by its name or a pronoun.
    classes : list of dict
        Classes of agreement: name and weight.
    relations : list of dict
        key, name, kind, of, objects, statements, held_out_statements, questions,
        held_out_questions, edits (sentences that say a new object), refuses and link_statements.
    joint : list of dict
        Sentences that say several facts: relations and statements.
    ambiguities : list of str
        Where two facts read alike, or an answer begins as another one does.
    samples : list of str
        Documents.
    vocabulary : int, optional
        Token ids, of the tokenizer that it was compiled with.
    documents : int
        How many documents were held to that tokenizer.
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


def check_grammar(
    grammar: Grammar | str | PathLike[str],
    tokenizer: str | PathLike[str] | None = None,
    *,
    documents: int = 200,
    samples: int = 2,
    seed: int = 0,
) -> GrammarCheck:
    """Look a grammar over.

    Parameters
    ----------
    grammar : Grammar, str or path
    tokenizer : path, optional
        Also compile it with this tokenizer, and hold documents to it token by token.
    documents : int
        How many.
    samples : int
        How many documents to show.
    seed : int
        Of the world that they are about.

    Raises
    ------
    ArgumentError
        With file, line and key, when it is no grammar; with the text, when the tokens of a
        document would not be what the tokenizer makes of it.
    """
    made = grammar if isinstance(grammar, Grammar) else Grammar.named(grammar)
    facts = made.facts
    text = None if tokenizer is None else Text(made, read_tokenizer(tokenizer))
    checked = 0 if text is None else _check(text, documents, seed)
    return GrammarCheck(
        file=made.file,
        **{key: facts[key] for key in ("name", "language", "about", "names", "forms", "classes")},
        relations=facts["relations"],
        joint=facts["joint"],
        ambiguities=made.ambiguities(),
        samples=made.samples(samples, seed=seed),
        vocabulary=None if text is None else text.lexicon.vocabulary_size,
        documents=checked,
    )


def _check(text: Text, documents: int, seed: int) -> int:
    """Hold documents of each kind to the tokenizer: with pronouns, and with names and questions."""
    subjects = min(text.grammar.facts["names"], _SUBJECTS)
    world = text.grammar.world(subjects, seed=seed)
    # Half of the subjects are asked about, in two fifths of the sentences that can ask.
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

"""Probes: a prompt that stops before the object, and the object as its answer.

A probe file contains one template's wordings. Columns: prompt and answer (lists of
token ids, UInt32), rest (the tokens after the answer in its sentence), fact, subject, relation,
object, template, wording, held_out (never written in the corpus), exposures (of the fact), and
seen: whether the corpus asks questions about the fact's subject (about all subjects, if the
template question has a weight), null for templates that are not questions. If the world has names:
subject_name, relation_name and object_name.

Prompts of the repeats grammar have 432 combinations of fillers before the object. A fact has
one of them in each wording, drawn; or, on request, all of them, with a column combination
(UInt16; 0 for templates without copies to count). All combinations of 10,000 facts are 4,320,000
rows, 12 MB and 10 seconds, so a directory has them only on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from behemoth import _gen
from behemoth.support.errors import ArgumentError
from behemoth.support.files import replacing
from behemoth.support.parquet import panics_are_errors, sink_parquet
from behemoth.support.progress import Advance, silent

from .arrays import chosen_facts
from .asking import sentences
from .roles import roles_of_ids
from .templates import EDIT
from .wordings import WRITTEN_ASKED, Asked, asked_wordings, probed

if TYPE_CHECKING:
    from .corpus import Corpus

_CHUNK = 1 << 16  # facts of a wording in memory at a time: about 10 MB of columns
_ALL = {"behemoth_combinations": "all"}  # in the metadata of a file with all combinations


def probe_frame(
    corpus: Corpus,
    facts: ArrayLike | None = None,
    templates: Sequence[str] | None = None,
    *,
    combinations: bool = False,
) -> pl.DataFrame:
    """Return the probes of facts, wording by wording; parameters are those of `Corpus.probes`.

    Raises
    ------
    ArgumentError
        When a template does not exist, or its object does not come last.
    """
    if isinstance(templates, str) or not isinstance(templates, Sequence | None):
        raise ArgumentError("templates", templates, "a list of names of templates")
    ids = chosen_facts(facts, corpus.world.num_facts)
    known = probed(corpus)
    wanted = list(written_templates(corpus)) if templates is None else list(templates)
    for name in wanted:
        if name not in known:
            raise ArgumentError.unknown("templates", name, known)
    frames = [
        _asked_frame(corpus, ids, asked, number)
        for name in wanted
        for asked in asked_wordings(corpus, name)
        for number in _combinations(asked.wording, all_of_them=combinations)
    ]
    if not frames:  # no template that ends in its object: the columns of any other wording
        none = 0 if combinations else None
        frames.append(wording_frame(corpus, np.empty(0, np.uint64), corpus.templates[0], none))
    return corpus.world.named(pl.concat(frames))


def probes_in(
    corpus: Corpus, facts: NDArray[np.uint64], template: str, wording: int
) -> pl.DataFrame:
    """Return the probes of facts in one wording, also one that is no probe of `Corpus.probes`.

    Returns
    -------
    polars.DataFrame
        The columns of `Corpus.probes` without names, one row per fact, in the order of `facts`.

    Raises
    ------
    ArgumentError
        When there is no such wording, or it does not ask for one of the facts.
    """
    rows = (row for row in probed(corpus).get(template, []) if row["wording"] == wording)
    frame = next((wording_frame(corpus, facts, row) for row in rows), None)
    if frame is None or frame.height != len(facts):
        asks = "a wording in which each of the facts can be asked for"
        raise ArgumentError("wording", f"{wording} of template '{template}'", asks)
    return frame


def written_templates(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """Return the wordings to probe of the templates that a corpus is written with, by name.

    They include held-out wordings, but no templates that never occur, since a model has
    never seen their tokens. With a grammar, its questions are among them, also if the corpus is
    written without any, and plans take them as numbers: the n-th written one for the n-th usable
    written sentence of each relation.
    """
    return {
        name: rows if corpus.grammar is None else _numbered(rows)
        for name, rows in probed(corpus).items()
        if any(row["share"] > 0 for row in rows)
    }


def _numbered(wordings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first few written wordings of a grammar, and all held-out ones."""
    written = [row for row in wordings if not row["held_out"]][:WRITTEN_ASKED]
    return written + [row for row in wordings if row["held_out"]]


def count_prompts(wordings: Sequence[dict[str, Any]], *, combinations: bool) -> int:
    """Return the number of prompts that a fact has in these wordings."""
    return sum(len(_combinations(row, all_of_them=combinations)) for row in wordings)


def _combinations(row: dict[str, Any], *, all_of_them: bool) -> Sequence[int | None]:
    return range(row["combinations"]) if all_of_them else (None,)


def write_probes(
    corpus: Corpus,
    directory: Path,
    facts: int | Literal["all"],
    step: Advance = silent,
    *,
    combinations: bool = False,
) -> list[Path]:
    """Write one Parquet file for each template, in bounded memory.

    Files that already contain the same probes stay untouched.

    Parameters
    ----------
    corpus : Corpus
    directory : Path
    facts : int or 'all'
        Size of an exact sample of facts, or all; 0 writes none.
    step : callable, optional
        Called as ``step(done, total)``, in probes.
    combinations : bool
        If true, all combinations of the repeats grammar's fillers, instead of one drawn for each
        fact.

    Returns
    -------
    list of Path
        The files of these probes.
    """
    count = corpus.world.num_facts if facts == "all" else min(facts, corpus.world.num_facts)
    if count == 0:
        return []
    sample = None if count == corpus.world.num_facts else corpus.sample_facts(count)
    metadata = {"behemoth_spec_hash": corpus.spec_hash, "behemoth_facts": str(count)}
    if combinations:
        metadata |= _ALL
    templates = written_templates(corpus)
    total = count * sum(
        count_prompts(rows, combinations=combinations) for rows in templates.values()
    )
    done = 0
    paths = []
    for name, wordings in templates.items():
        path = directory / f"{name}.parquet"
        paths.append(path)
        if probe_metadata(path) == metadata:
            done += count * count_prompts(wordings, combinations=combinations)
            continue

        def chunks(name: str = name) -> Iterator[pl.DataFrame]:
            nonlocal done
            for asked in asked_wordings(corpus, name):
                for number in _combinations(asked.wording, all_of_them=combinations):
                    for first in range(0, count, _CHUNK):
                        last = min(first + _CHUNK, count)
                        ids = (
                            np.arange(first, last, dtype=np.uint64)
                            if sample is None
                            else sample[first:last]
                        )
                        yield corpus.world.named(_asked_frame(corpus, ids, asked, number))
                        done += last - first
                        step(done, total)

        none = 0 if combinations else None
        empty = wording_frame(corpus, np.empty(0, np.uint64), wordings[0], none)
        with replacing(path) as temporary:
            sink_parquet(chunks, corpus.world.named(empty), temporary, metadata)
    return paths


def count_probes(
    corpus: Corpus, facts: int, template: str, *, combinations: bool, earlier: bool = False
) -> int:
    """Return the number of probes that `write_probes` writes for `facts` facts of a template.

    With `earlier`, the number that earlier versions wrote; see `asked_wordings`.
    """
    asked = asked_wordings(corpus, template, earlier=earlier)
    if corpus.grammar is None:
        return facts * count_prompts([own.wording for own in asked], combinations=combinations)
    sample = corpus.world.facts_of(corpus.sample_facts(facts))
    of_relation = np.bincount(sample["relation"], minlength=len(corpus.world.relation_table))
    return sum(int(of_relation[own.relations].sum()) for own in asked)


def probe_metadata(path: Path) -> dict[str, str] | None:
    """Return the spec hash, number of facts and combinations of a probe file; None if invalid."""
    if not path.is_file():
        return None
    try:
        with panics_are_errors():
            metadata = pl.read_parquet_metadata(path)
    except pl.exceptions.PolarsError:
        return None
    return {key: value for key, value in metadata.items() if key.startswith("behemoth_")}


def probes_there(corpus: Corpus, directory: Path) -> tuple[int, bool] | None:
    """Return for how many facts a folder has probes of a corpus, and whether in all combinations.

    The first file decides, as they are written one after the other; None without any.
    """
    for name in written_templates(corpus):
        told = probe_metadata(directory / f"{name}.parquet") or {}
        facts = told.get("behemoth_facts", "")
        if told.get("behemoth_spec_hash") == corpus.spec_hash and facts.isdecimal():
            return int(facts), _ALL.items() <= told.items()
    return None


def _asked_frame(
    corpus: Corpus, facts: NDArray[np.uint64], asked: Asked, combination: int | None
) -> pl.DataFrame:
    """Return the probes of facts in a wording, of the relations that are probed in it."""
    frame = wording_frame(corpus, facts, asked.wording, combination)
    if asked.relations is None:
        return frame
    own = pl.Series(asked.relations, dtype=pl.UInt32)
    return frame.filter(pl.col("relation").is_in(own.implode()))


def wording_frame(
    corpus: Corpus,
    facts: NDArray[np.uint64],
    row: dict[str, Any],
    combination: int | None = None,
) -> pl.DataFrame:
    """Return the probes of facts in a wording, if their relation can be asked about in it.

    Parameters
    ----------
    corpus : Corpus
    facts : uint64[n]
    row : dict
        A row of `Corpus.templates`.
    combination : int, optional
        Number of a combination of the repeats grammar's fillers; by default one is drawn.

    Returns
    -------
    polars.DataFrame
        The columns of `Corpus.probes` without names. Up to n rows, in the order of `facts`.
    """
    native = corpus._native
    made = sentences(corpus, facts, row["wording_index"], combination)
    world = corpus.world.facts_of(facts)
    number = [] if combination is None else [pl.lit(combination, pl.UInt16).alias("combination")]
    seen = native.seen_in_questions(facts) if row["is_question"] else None
    frame = world.select(
        lists("prompt", made.prompt, made.prompt_ends),
        lists("answer", made.answer, made.answer_ends),
        lists("rest", made.rest, made.rest_ends),
        pl.col("fact", "subject", "relation", "object"),
        pl.lit(row["name"]).alias("template"),
        pl.lit(row["wording"], pl.UInt32).alias("wording"),
        pl.lit(row["held_out"]).alias("held_out"),
        pl.Series("exposures", native.exposures(facts), pl.UInt64),
        (
            pl.lit(None, pl.Boolean).alias("seen")
            if seen is None
            else pl.Series("seen", seen, pl.Boolean)
        ),
        *number,
    )
    # Relations of a grammar differ in their number of sentences, and not all can be prompts.
    return frame if corpus.grammar is None else frame.filter(pl.col("answer").list.len() > 0)


def prompt_roles(corpus: Corpus, probes: pl.DataFrame) -> list[NDArray[np.uint8]]:
    """Return the role of each token of prompts, with the numbers of `Corpus.roles`.

    Parameters
    ----------
    corpus : Corpus
    probes : polars.DataFrame
        Frame with the columns fact, template, wording and prompt of probes and plans.

    Raises
    ------
    ArgumentError
        When a prompt does not have the length of its fact's prompt in its wording.
    """
    if corpus.grammar is None:
        of_id = roles_of_ids(corpus.vocabulary, corpus.end_of_document)
        return [of_id[prompt.to_numpy()] for prompt in probes["prompt"]]
    # The position of a token determines its role, so the same prompts are written as roles.
    native = corpus._native_roles
    index = {(row["name"], row["wording"]): row["wording_index"] for row in corpus.templates}
    found: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)] * probes.height
    lengths = probes["prompt"].list.len().to_numpy()
    numbered = probes.select("fact", "template", "wording").with_row_index("place")
    for (template, wording), rows in numbered.group_by("template", "wording"):
        facts = rows["fact"].cast(pl.UInt64).to_numpy()
        if template == EDIT.name:
            # Prompts end before the new object, so any object gives the same prompt.
            any_object = np.zeros(len(facts), np.uint32)
            written, ends, *_ = _gen.edit_prompts(native, facts, any_object, wording)
        else:
            written, ends, *_ = native.probes(facts, index[template, wording])
        for place, own in zip(rows["place"], np.split(written, ends[:-1]), strict=True):
            if len(own) != lengths[place]:
                prompt = probes["prompt"][place].to_list()
                allowed = "the prompt of its fact in its wording"
                raise ArgumentError("probes", f"prompt {prompt}", allowed)
            found[place] = own.astype(np.uint8)
    return found


def lists(name: str, flat: NDArray[np.uint32], ends: NDArray[np.uint64]) -> pl.Series:
    """Split a flat array of tokens into a column of lists at `ends`: n lists for uint64[n]."""
    if len(ends) == 0:
        return pl.Series(name, [], pl.List(pl.UInt32))
    lengths = np.diff(ends.astype(np.int64), prepend=0)
    longest = int(lengths.max())
    # Polars converts a rectangle without a copy; lists of unequal lengths are cut from one.
    inside = np.arange(longest) < lengths[:, None]
    padded = np.zeros((len(ends), longest), np.uint32)
    padded[inside] = flat
    whole = pl.Series(name, padded).arr.to_list()
    return (
        whole
        if inside.all()
        else pl.select(pl.lit(whole).list.head(pl.lit(pl.Series(lengths)))).to_series()
    )

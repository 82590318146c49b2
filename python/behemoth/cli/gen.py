"""`behemoth gen`: write a corpus."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from behemoth.support.bars import Bars
from behemoth.support.checks import is_url
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.memory import bytes_of

from . import parse
from .console import keep_interrupts, resumable, write_json
from .options import Option, command, flag, force
from .show import show_estimate, show_written
from .spec_options import SPEC_OPTIONS, spec_changes

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus
    from behemoth.corpus.write import Written

_REPORTED = (
    "out", "facts", "sentences", "tokens", "bytes", "seconds", "tokens_per_second",
    "vocabulary", "dtype",
)  # fmt: skip


_WRITTEN = (
    Option("probes", "N|all", "Facts to write probes for: an exact sample, all, or 0 for none; by "
           "default 10,000, or those that have some in DIR, which stay.",
           parse.sample),
    flag("combinations",
         "Probes of the repeats grammar with all 432 combinations of its fillers, in place of one "
         "drawn for each fact."),
    Option("threads", "N", "Threads, 0 for two per core, or one per core to a store, and no more "
           "than there are pieces of work; the bytes are the same.",
           parse.count, 0),
    Option("part", "i/n", "Write only part i of n (i from 0), for job arrays.", parse.part),
    Option("engine", "local|ray", "Write on this machine, or as tasks of a Ray cluster.",
           parse.one_of("local", "ray"), "local"),
    Option("memory", "SIZE", "Limit on memory, such as 500MB: as many threads write as fit.",
           bytes_of),
    force("the corpus that is there", "DIR", stores=True),
)  # fmt: skip
OPTIONS = (
    Option("out", "DIR|URL",
           "Directory to write, or its URL in a store; one that is unfinished is resumed.",
           required="a directory to write", unless=("--dry-run", "--finish")),
    Option("spec", "FILE.toml",
           "A spec TOML, a spec directory or a corpus directory to start from; the other "
           "options override what it says."),
    *SPEC_OPTIONS,
    *_WRITTEN,
    flag("dry_run", "Show sizes, vocabulary, bits and the disk needed; write nothing."),
    Option("finish", "DIR|URL",
           "Check a corpus written in parts, and write what is missing (with --threads only)."),
)  # fmt: skip
# Keys that the second half of an option such as --minority 0.1:0.2 sets.
_SECONDS = {
    "minority_sentences": "minority",
    "nested_exposures": "nested",
    "held_out": "paraphrases",
}
# Keys within a table that an option of one value sets.
_WITHIN: dict[tuple[str | int, ...], str] = {
    ("background", "tokens"): "background_tokens",
    ("correlated", "strength"): "correlated",
}


@command(*OPTIONS)
def gen(given: dict[str, Any], json: bool) -> None:
    """Write a corpus of facts as tokens.

    Running it again on an unfinished directory resumes where it stopped, in the format version
    that it was started in.
    Numbers may be written as 1e8 or 1_000.
    """
    from behemoth.corpus.source import Source, read_source

    if "finish" in given:
        _finish(given, json)
        return
    out: str | None = given.get("out")
    dry = given.get("dry_run", False)
    source = read_source(given["spec"]) if "spec" in given else Source()
    changes = spec_changes(given, source)
    written = {row.key: given[row.key] for row in _WRITTEN if row.key in given}
    if "part" in written and written.get("engine") == "ray":
        index, count = written["part"]
        raise ArgumentError(
            "--part", f"{index}/{count}", "not with --engine ray, which makes its own parts"
        )
    if out is not None and not written.get("force"):
        source = source.going_on(out)
    pairs = {key: f"--{name}" for key, name in _SECONDS.items() if name in given}
    try:
        with renamed(**pairs):
            corpus = source.changed(*changes).make_corpus()
    except ArgumentError as error:
        if (key := _WITHIN.get(error.path)) is None or key not in given:
            raise
        raise error.named(key) from None
    if out is None or dry:
        from behemoth.corpus.spec import PROBED_FACTS
        from behemoth.corpus.write import estimate, threads_within

        if "memory" in written:
            threads_within(written["memory"], 1, corpus, written.get("engine", "local"))
        asked = {key: written[key] for key in ("part", "probes", "combinations") if key in written}
        if written.get("force") and "part" not in written:  # none that are there are kept
            asked.setdefault("probes", PROBED_FACTS)
        expected = estimate(corpus, out or ".", **asked)
        write_json(asdict(expected)) if json else show_estimate(expected, out)
        return
    from behemoth.corpus import gen as write

    keep_interrupts()
    with resumable(out):
        done = write(corpus, out, progress=Bars(), **written)
    _show(corpus, done, written.get("part", (0, 1)), json)


def _finish(given: dict[str, Any], json: bool) -> None:
    from behemoth.corpus import Corpus, finish_corpus
    from behemoth.corpus.stored import corpus_in_store

    place: str = given.pop("finish")
    names = {row.key: row.name for row in OPTIONS}
    other = next((key for key in given if key != "threads"), None)
    if other is not None:
        got = "a flag" if given[other] is True else given[other]
        raise ArgumentError(names.get(other, other), got, "only --threads with --finish")
    keep_interrupts()
    with resumable(place), renamed(directory="--finish"):
        done = finish_corpus(place, progress=Bars(), **given)
    corpus = corpus_in_store(place) if is_url(place) else Corpus.open(place)
    _show(corpus, done, (0, 1), json)


def _show(corpus: Corpus, done: Written, part: tuple[int, int], json: bool) -> None:
    if json:
        report = asdict(done)
        write_json({key: report[key] for key in _REPORTED})
    else:
        show_written(corpus, done, part)

"""`behemoth gen`: write a corpus."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.cli import parse
from behemoth.support.errors import ArgumentError

from .console import Stopped, keep_interrupts, write_json
from .show import show_estimate, show_written

_REPORTED = (
    "out", "facts", "sentences", "tokens", "bytes", "seconds", "tokens_per_second",
    "vocabulary", "dtype",
)  # fmt: skip
_RELATIONS = 6  # what a world has when nothing is said, here and in the engine


def gen(
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Directory to write; one that is unfinished is resumed."),
    ] = None,
    facts: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Subjects x relations, before --nested adds its own facts. Without --relations, "
            "the most relations of 6 to 1 that divide it.",
        ),
    ] = None,
    subjects: Annotated[
        str | None, typer.Option(metavar="N", help="Number of subjects [100000].")
    ] = None,
    relations: Annotated[
        str | None, typer.Option(metavar="N", help="Number of relations [6].")
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(metavar="N[,N...]", help="Objects of every relation, or of each [400]."),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.toml",
            help="A spec TOML, a spec directory or a corpus directory to start from; the other "
            "options override what it says.",
        ),
    ] = None,
    exposures: Annotated[
        str | None,
        typer.Option(
            metavar="FORM",
            help="How often each fact is written: 10, groups:1,4,16, latin:1,4,16 or "
            "zipf:alpha=1,min=1,max=1000 [1].",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="shuffle|bios",
            help="Sentences shuffled, or documents of one subject's sentences [shuffle].",
        ),
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=W,...",
            help="Weights of templates, such as default=1,repeats=0.5 [default=1].",
        ),
    ] = None,
    inversion: Annotated[
        str | None, typer.Option(metavar="F", help="Share of sentences in another word order [0].")
    ] = None,
    minority: Annotated[
        str | None,
        typer.Option(
            metavar="F[:F]",
            help="Share of facts with a second object, and share of their sentences that say "
            "it [0:0.1].",
        ),
    ] = None,
    nested: Annotated[
        str | None,
        typer.Option(
            metavar="N[:N]",
            help="Add to each relation one of so many nested objects; exposures of each link fact.",
        ),
    ] = None,
    correlated: Annotated[
        str | None,
        typer.Option(
            metavar="P[,binarised]",
            help="P(same object) of relations 0 and 1; relation 0 perhaps with two objects only.",
        ),
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            metavar="F:F",
            help="Share of subjects that are asked about, and of sentences that are questions.",
        ),
    ] = None,
    paraphrases: Annotated[
        str | None,
        typer.Option(
            metavar="N[:N]", help="Wordings of each template, and how many are never written [1:0]."
        ),
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Key of the world [0].")] = None,
    order_seed: Annotated[
        str | None,
        typer.Option(metavar="N", help="Key of the order and the wordings [that of the world]."),
    ] = None,
    probes: Annotated[
        str,
        typer.Option(
            metavar="N|all", help="Facts to write probes for: an exact sample, all, or 0 for none."
        ),
    ] = "10_000",
    threads: Annotated[
        str, typer.Option(metavar="N", help="0 for all cores; the bytes are the same.")
    ] = "0",
    part: Annotated[
        str | None,
        typer.Option(metavar="i/n", help="Write only part i of n (i from 0), for job arrays."),
    ] = None,
    engine: Annotated[str, typer.Option(metavar="local|ray", help="Where to write.")] = "local",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show sizes, vocabulary, bits and the disk needed; write nothing."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a corpus that is there; it stays in DIR/.replaced-1 "
            "until the new one is whole.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report as one JSON object on stdout.")
    ] = False,
) -> None:
    """Write a corpus of facts as tokens.

    Running it again on an unfinished directory goes on where it stopped.
    Numbers may be written as 1e8 or 1_000.
    """
    from behemoth.corpus.source import Source, read_source

    from .progress import Bars

    if out is None and not dry_run:
        raise ArgumentError("--out", "nothing", "a directory to write")
    source = Source() if spec is None else read_source(spec)
    world = _world(
        source.world, facts, subjects, relations, objects, minority, nested, correlated, seed
    )
    corpus_spec = _corpus(
        exposures, order, templates, inversion, minority, nested, questions, paraphrases, order_seed
    )
    place = (0, 1) if part is None else parse.part("--part", part)
    sample = parse.sample("--probes", probes)
    workers = parse.count("--threads", threads)
    where = parse.choice("--engine", engine, ("local", "ray"))
    if where == "ray" and part is not None:
        raise ArgumentError(
            "--part", part, "no part with --engine ray, which makes parts of its own"
        )
    corpus = source.changed(world, corpus_spec).make_corpus()
    if dry_run:
        from behemoth.corpus.write import estimate

        expected = estimate(corpus, out or ".", part=place, probes=sample)
        write_json(asdict(expected)) if json else show_estimate(expected, out)
        return
    assert out is not None
    from behemoth.corpus.write import gen as write

    keep_interrupts()
    try:
        with Bars() as bars:
            written = write(
                corpus,
                out,
                threads=workers,
                part=place,
                force=force,
                probes=sample,
                engine=where,
                progress=bars.bar("writing", "parts" if where == "ray" else "bytes"),
                probe_progress=bars.bar("probes", "probes"),
            )
    except KeyboardInterrupt:
        raise Stopped(f"run the same command again to go on with {out}") from None
    if json:
        report = asdict(written)
        write_json({key: report[key] for key in _REPORTED})
    else:
        show_written(corpus, written, place)


def _world(
    base: dict[str, Any],
    facts: str | None,
    subjects: str | None,
    relations: str | None,
    objects: str | None,
    minority: str | None,
    nested: str | None,
    correlated: str | None,
    seed: str | None,
) -> dict[str, Any]:
    """Turn the options on the world into keys of its spec."""
    changes: dict[str, Any] = {}
    if subjects is not None:
        if facts is not None:
            raise ArgumentError("--facts", facts, "either --facts or --subjects")
        changes["subjects"] = parse.count("--subjects", subjects, 1)
    if relations is not None:
        changes["relations"] = parse.count("--relations", relations, 1)
    if facts is not None:
        changes |= _split_facts(facts, changes.get("relations", base.get("relations")))
    if objects is not None:
        changes["objects"] = parse.counts("--objects", objects)
    if minority is not None:
        changes["minority"] = parse.number("--minority", parse.pair(minority)[0])
    if nested is not None:
        changes["nested"] = parse.count("--nested", parse.pair(nested)[0], 1)
    if correlated is not None:
        strength, comma, word = correlated.partition(",")
        if comma:
            parse.choice("--correlated", word.strip(), ("binarised",))
        changes["correlated"] = {
            "strength": parse.number("--correlated", strength),
            "binarised": bool(comma),
        }
    if changes and "table" in base:
        raise ArgumentError(
            f"--{'facts' if facts is not None else next(iter(changes))}",
            "a value beside a table of facts",
            "no options on the world but --seed",
        )
    if seed is not None:
        changes["seed"] = parse.count("--seed", seed)
    return changes


def _split_facts(text: str, relations: Any) -> dict[str, int]:
    """Make subjects and relations of a number of facts, exactly."""
    facts = parse.count("--facts", text, 1)
    if relations is None:
        count = next(count for count in range(_RELATIONS, 0, -1) if facts % count == 0)
    else:
        count = len(relations) if isinstance(relations, list) else int(relations)
    if count and facts % count:
        below, above = facts // count * count, (facts // count + 1) * count
        nearest = f"{below} or {above}" if below else str(above)
        raise ArgumentError(
            "--facts", text, f"a multiple of the {count} relations; nearest: {nearest}"
        )
    split = {"subjects": facts // max(count, 1)}
    # A list of relations in the spec stays as it is.
    return split if isinstance(relations, list) else {"relations": count, **split}


def _corpus(
    exposures: str | None,
    order: str | None,
    templates: str | None,
    inversion: str | None,
    minority: str | None,
    nested: str | None,
    questions: str | None,
    paraphrases: str | None,
    order_seed: str | None,
) -> dict[str, Any]:
    """Turn the options on the corpus into keys of its spec."""
    changes: dict[str, Any] = {}
    if exposures is not None:
        changes["exposures"] = exposures
    if order is not None:
        changes["order"] = parse.choice("--order", order, ("shuffle", "bios"))
    if templates is not None:
        from behemoth.corpus.templates import TEMPLATES

        changes["templates"] = parse.weights("--templates", templates, tuple(TEMPLATES))
    if inversion is not None:
        changes["inversion"] = parse.number("--inversion", inversion)
    if minority is not None and (second := parse.pair(minority)[1]) is not None:
        changes["minority_sentences"] = parse.number("--minority", second)
    if nested is not None and (second := parse.pair(nested)[1]) is not None:
        changes["nested_exposures"] = parse.count("--nested", second)
    if questions is not None:
        first, second = parse.pair(questions)
        if second is None:
            raise ArgumentError("--questions", questions, "two shares, such as 0.5:0.2")
        changes["questions"] = {
            "subjects": parse.number("--questions", first),
            "sentences": parse.number("--questions", second),
        }
    if paraphrases is not None:
        first, second = parse.pair(paraphrases)
        changes["paraphrases"] = parse.count("--paraphrases", first, 1)
        changes["held_out"] = 0 if second is None else parse.count("--paraphrases", second)
    if order_seed is not None:
        changes["order_seed"] = parse.count("--order-seed", order_seed)
    return changes

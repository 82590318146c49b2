"""`behemoth export`: write a corpus, a plan of edits, or an edited model for other tools."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.export.formats import BRIDGES, FORMATS, MODELS
from behemoth.support.bars import Bars
from behemoth.support.memory import bytes_of
from behemoth.support.text import bytes_text, plural_text

from . import parse
from .console import console, keep_interrupts, resumable, saying, write_json
from .options import Option, command, force
from .places import check_edit

if TYPE_CHECKING:
    from behemoth.export import Exported

OPTIONS = (
    Option("to", "FORMAT",
           f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}; for a plan "
           f"{', '.join(BRIDGES[:-1])} or {BRIDGES[-1]}; for an edit {' or '.join(MODELS)}.",
           required="a format (`behemoth export --help` lists them)",
           offered=lambda: (*FORMATS, *BRIDGES, *MODELS)),
    Option("out", "DIR2|URL",
           "Directory to write, or its URL in a store; one that is unfinished is resumed.",
           required="a directory to write"),
    Option("plan", "PLAN", "A plan of edits to export in place of the corpus."),
    Option("edit", "N", "For single edits, the one to export [all, one folder each].",
           parse.count),
    Option("block_length", "N", "Tokens per block, for megatron and litdata [2048].",
           parse.at_least(1)),
    Option("compression", "NAME", "For parquet: snappy or none [snappy].",
           offered=lambda: ("snappy", "none")),
    Option("memory", "SIZE", "For an edit: limit on memory, such as 8GB [what is free].", bytes_of),
    force("the export that is there", "DIR2", stores=True),
)  # fmt: skip


@command(*OPTIONS)
def export(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="A finished corpus directory; with --plan also the run or the spec the plan was "
            "made for; for hf an edit.",
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Export a corpus, a plan or an edited model in another format.

    If a format's tokens are the shards' own bytes (megatron, olmo, datatrove), its files are hard
    links to the shards. Text, and what it says, is in jsonl (documents, questions and answers),
    chat (questions and answers as messages) and hf-dataset (all three as Parquet, which
    datasets.load_dataset reads). The tokenizer is written beside them.

    With --plan the edits are written with their probes, as text: as the data sets counterfact, zsre
    and tofu, as arguments of EasyEdit's editor, or as tasks of lm-evaluation-harness.

    For an edit (--to hf), DIR2 is a model that AutoModelForCausalLM.from_pretrained loads, with
    the edit in its weights, its tokenizer and a model card; each single edit has its own model.
    Edits by grace, wise and ike change no weights and cannot be exported.
    """
    keep_interrupts()
    with resumable(given["out"]):
        if given["to"] in MODELS:
            check_edit("directory", directory)
        from behemoth.export import export as write
        from behemoth.export.formats import get_format
        from behemoth.export.protocol import Bridge
        from behemoth.plan import PlanWarning

        with saying(PlanWarning):
            done = write(directory, progress=Bars(), **given)
    if json:
        write_json(asdict(done))
    else:
        if done.present:
            console(stderr=True).print(_headline(done))
        # An export contains tokens or edits.
        held = f"{done.tokens:,} tokens" if done.edits is None else plural_text(done.edits, "edit")
        console().print(
            f"{done.out}: {plural_text(done.files, 'file')}, {held}, {bytes_text(done.bytes)}, "
            f"{done.seconds:.1f} s"
        )
        made = get_format(done.to)
        if isinstance(made, Bridge) and made.splits is not None:
            console().print(f"splits: {', '.join(done.splits)} ({made.splits})")


def _headline(done: Exported) -> str:
    """Return a line on what the counts do not say: files that existed before."""
    if done.present == done.files:
        return f"{done.out} is already finished; --force rewrites it"
    if done.renewed and done.renewed == done.files - done.present:
        cards = "its model card was" if done.renewed == 1 else f"{done.renewed:,} model cards were"
        return f"{done.out} is finished: {cards} made again, with the suites that are there now"
    written = plural_text(done.files - done.present, "file")
    return f"{done.out} is finished: {written} written, {done.present} were there"

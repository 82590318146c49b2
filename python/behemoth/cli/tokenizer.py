"""`behemoth tokenizer`: train a tokenizer on the text of a grammar, or encode other documents."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from behemoth.support.bars import Bars
from behemoth.support.extras import needed
from behemoth.support.text import plural_text

from . import parse
from .console import complete, console, keep_interrupts, write_json
from .options import Option, command, group
from .spec_options import grammars

app = group("Train tokenizers on the text of grammars; encode documents.")


@app.command("train")
@command(
    Option("out", "DIR", "Directory to write.", required="a directory to write"),
    Option("grammar", "NAME|FILE", "Grammar whose documents it is trained on.",
           required="the name of a grammar, or a file", offered=grammars),
    Option("vocabulary", "N", "Number of token ids.", parse.count, 4096),
    Option("documents", "N", "Number of documents.", parse.at_least(1), 20_000),
    Option("seed", "N", "Seed of the world that the documents are about.", parse.count, 0),
)  # fmt: skip
def train(given: dict[str, Any], json: bool) -> None:
    """Train a byte-level BPE on documents of a grammar.

    For `gen --tokenizer`. No download is needed, and `AutoTokenizer` loads the directory.
    """
    keep_interrupts()
    with needed():
        from behemoth.corpus import train_tokenizer

        asked = given.get("vocabulary", 0)
        made = train_tokenizer(given.pop("grammar"), progress=Bars(), **given)
    out = given["out"]
    with complete(out):
        if json:
            write_json({"out": out, "vocabulary": made.size, "digest": made.digest})
        else:
            fewer = f" (not {asked:,}: the documents have no more)" if made.size < asked else ""
            console().print(f"{out}: {made.size:,} token ids{fewer}")


@app.command("encode")
@command(
    Option("tokenizer", "DIR", "Tokenizer that encodes text, and whose ids rows of tokens contain.",
           required="a directory with tokenizer.json"),
    Option("out", "NAME", "Write tokens to NAME.bin, ends of documents to NAME.idx.",
           required="a name of new files"),
    Option("column", "NAME", "Key or column to read [text, or else input_ids]."),
)  # fmt: skip
def encode(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file .jsonl, .parquet or .arrow, a directory of them, or one of LitData's.",
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Encode existing documents, to mix a corpus into them.

    For `gen --background NAME`.
    """
    keep_interrupts()
    with needed():
        from behemoth.corpus import encode_documents

        tokens = encode_documents(source, progress=Bars(), **given)
    out = given["out"]
    with complete(out):
        if json:
            write_json({"out": out, "tokens": tokens})
        else:
            console().print(f"{out}: {plural_text(tokens, 'token')}")

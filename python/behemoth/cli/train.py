"""`behemoth train`: train a model on a corpus."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from behemoth.model.sizes import SIZES
from behemoth.support.bars import Bars
from behemoth.support.errors import renamed
from behemoth.support.extras import needed
from behemoth.support.process import prepare, rank
from behemoth.train.config import TrainConfig, default_config
from behemoth.train.errors import Interrupted, StartWarning

from .console import keep_interrupts, resumable, saying, write_json
from .edit import DEVICES, MEMORY
from .options import Option, command, field_options, force
from .places import check_corpus
from .show_run import show_result

_SIZES = ("model", "batch_size", "block_length")  # what may not fit into memory
_FIELDS = field_options(
    TrainConfig,
    without=("beta1", "beta2", "vocabulary_multiple", "probe_facts", "prefetch"),
    dependent=("accumulate", "batch_size", "block_length", "learning_rate"),  # on the size
    model={"metavar": "SIZE", "offered": lambda: SIZES},
    device={"offered": lambda: DEVICES},
    architecture={"names": "--config"},
    start={"names": "--from", "metavar": "DIR"},
    answers_only={"names": "--answers-only/--no-answers-only"},
    fully_shard={"names": "--fully-shard/--no-fully-shard"},
)
OPTIONS = (
    Option("out", "RUN", "Directory to write; one that is unfinished is resumed.",
           required="a directory to write"),
    *_FIELDS,
    MEMORY,
    force("the run that is there", "RUN"),
)  # fmt: skip


@command(*OPTIONS)
def train(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR_OR_SPEC", help="A corpus directory, a spec directory or a spec TOML."
        ),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Train a model on a corpus, or straight from a spec.

    Running it again on an unfinished run resumes where it stopped. The defaults of block length,
    batch size and learning rate depend on the size: `behemoth models` lists them. With --from they
    are 128, 64 and 3e-4, with --config 128, 64 and 3e-3.
    """
    settings = {row.key: given.pop(row.key) for row in _FIELDS if row.key in given}
    # A default can be what is refused, for lack of memory; it gets the name of its option.
    defaults = {row.key: row.name for row in _FIELDS if row.key not in settings}
    sizes = {key: name for key, name in defaults.items() if key in _SIZES}
    with renamed(**defaults):
        config = default_config(**settings)
    keep_interrupts()
    prepare()
    with needed(), resumable(given["out"], lambda: _is_saved(given["out"])), renamed(**sizes):
        check_corpus("source", source)
        from behemoth.train import train as train_model

        with saying(StartWarning):
            try:
                result = train_model(source, config=config, progress=Bars(), **given)
            except Interrupted as stop:
                if stop.result is None:
                    raise
                result = stop.result
    if rank() == 0:  # only the first of several processes reports
        write_json(asdict(result)) if json else show_result(result)


def _is_saved(out: str) -> bool:
    from behemoth.train.inspection import is_saved

    return is_saved(out)

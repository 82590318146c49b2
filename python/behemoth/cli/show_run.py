"""Text output of `behemoth train` and `behemoth inspect RUN`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from behemoth.support.text import plural_text, rate_text

from .console import console, values_table, warn

if TYPE_CHECKING:
    from behemoth.train.inspection import RunInspection
    from behemoth.train.result import TrainResult

_FEW = 200  # updates, below which the number of updates is the likely reason for low recall
_LEARNT = 0.5  # recall


def show_result(result: TrainResult) -> None:
    """Print the result of a finished run."""
    table = values_table()
    table.add_row("run", result.run)
    table.add_row("steps", f"{result.steps:,}")
    table.add_row("tokens", f"{result.tokens:,}")
    table.add_row("time", f"{result.seconds:.1f} s ({rate_text(result.tokens_per_second)})")
    table.add_row("loss", _loss(result.loss))
    out = console()
    out.print(table)
    if result.recall:  # empty of a corpus without probes
        out.print(_recall(result.recall, "Recall"))
    if result.steps < _FEW and result.recall and max(result.recall.values()) < _LEARNT:
        updates = f"{plural_text(result.steps, 'update')} {'was' if result.steps == 1 else 'were'}"
        warn(
            f"{updates} too few to learn these facts; a smaller --batch-size or more --epochs "
            "gives more"
        )


def show_run(report: RunInspection) -> None:
    """Print the settings, progress and recall of a run directory."""
    record, out = report.record, console()
    config = record.config
    out.print(f"{report.directory}: a run of {config.model}, {report.status}\n")
    table = values_table()
    table.add_row("corpus", f"{record.spec_hash[:16]} (vocabulary {record.vocabulary:,})")
    table.add_row(
        "parameters",
        f"{record.parameters:,} ({record.parameters_without_embedding:,} without embedding)",
    )
    tokens = config.batch_size * config.block_length
    table.add_row("batch", f"{config.batch_size:,} x {config.block_length:,} tokens")
    table.add_row(
        "learning rate",
        f"{config.learning_rate:g}, {config.schedule}, warm-up {config.warmup:g}",
    )
    table.add_row("seed", str(config.seed))
    compiled = ", compiled" if record.compiled else ""
    table.add_row("device", f"{record.device} ({record.precision}{compiled})")
    if record.world_size > 1:
        table.add_row("processes", str(record.world_size))
    if (last := report.last) is not None:
        table.add_row("steps", f"{last['step']:,} of {record.steps:,}")
        table.add_row("tokens", f"{last['step'] * tokens:,} of {record.steps * tokens:,}")
        table.add_row(
            "time",
            f"{last['seconds']:.1f} s ({rate_text(last['step'] * tokens / last['seconds'])})",
        )
        table.add_row("loss", _loss(last["loss"]))
    if report.checkpoints:
        table.add_row("checkpoints", ", ".join(f"{step:,}" for step in report.checkpoints))
    out.print(table)
    if report.recall:
        out.print(_recall(report.recall, f"Recall at step {report.recall_step:,}"))


def _loss(loss: float | None) -> str:
    return "no number" if loss is None else f"{loss:.4f}"


def _recall(rates: Mapping[int, float], title: str) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), title=f"\n{title}", title_justify="left")
    for name in ("exposures", "recall"):
        table.add_column(name, justify="right")
    for exposures, rate in rates.items():
        table.add_row(f"{exposures:,}", f"{rate:.3f}")
    return table

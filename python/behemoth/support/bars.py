"""Progress for people: bars with rate and time left, or lines where no bars can be drawn.

Nothing is shown before the first progress, so that a call that is refused immediately, or has
nothing to do, shows no bar.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TextIO

from .progress import Advance, Progress, amount_text
from .text import bytes_text, clock_text, count_text

if TYPE_CHECKING:
    from rich.progress import Task, TaskID

__all__ = ["Bars", "Lines", "Log", "bars"]

_INTERVAL = 0.2  # seconds between updates of a line
_LOG_INTERVAL = 30.0  # seconds between lines of a log


def bars() -> Progress | None:
    """Return progress bars for a terminal or a notebook; None elsewhere.

    Returns
    -------
    Progress or None
        A value for any argument ``progress``.

    Examples
    --------
    >>> import behemoth as bh
    >>> corpus = bh.Corpus(bh.World(subjects=10, relations=2, objects=5))
    >>> written = bh.gen(corpus, "corpus", progress=bh.bars())
    """
    if _in_notebook():
        return Bars() if find_spec("ipywidgets") else Lines(sys.stdout)
    return Bars() if sys.stderr.isatty() else None


class Bars:
    """Bars of rich on stderr; those of simultaneous tasks are below each other.

    If stderr is neither a terminal nor a notebook, a `Log` is written instead.
    """

    def __init__(self) -> None:
        self._progress: Any = None
        self._open = 0

    @contextmanager
    def task(self, label: str, unit: str) -> Generator[Advance]:
        """Show a task as a bar."""
        if self._progress is None:
            self._progress = _rich_progress()
        progress = self._progress
        if not (progress.console.is_terminal or progress.console.is_jupyter):
            with Log(sys.stderr).task(label, unit) as log:
                yield log
            return
        bar: TaskID = progress.add_task(
            label, total=None, visible=False, start=False, unit=unit, details=None
        )
        self._open += 1

        def step(done: int, total: int, details: object = None, /) -> None:
            if not progress.live.is_started:
                if done == 0:
                    return
                progress.start()
            progress.start_task(bar)
            progress.update(bar, completed=done, total=total, visible=True, details=details)

        try:
            yield step
        finally:
            self._open -= 1
            if not self._open:
                if progress.live.is_started:
                    progress.stop()
                for number in list(progress.task_ids):  # the next bars are drawn below these
                    progress.remove_task(number)


class Log:
    """A line every 30 seconds, for a file or a scheduler's log.

    Tasks that finish sooner write nothing.

    Parameters
    ----------
    stream : file
    now : callable, optional
        Returns the time, in seconds.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._now = stream, now

    @contextmanager
    def task(self, label: str, unit: str) -> Generator[Advance]:
        """Log a task."""
        begin = last = self._now()
        first: int | None = None

        def step(done: int, total: int, details: object = None, /) -> None:
            nonlocal last, first
            first = done if first is None else first  # the rate excludes work of earlier calls
            now = self._now()
            if now - last < _LOG_INTERVAL:
                return
            last = now
            said = [amount_text(unit, done, total)]
            if details is not None:  # details are more exact: trials wait for models
                said = [str(details)]
            elif speed := (done - first) / (now - begin):
                said += [*_rate(unit, speed), f"{clock_text((total - done) / speed)} left"]
            self._stream.write(f"{label}: {', '.join(said)}\n")
            self._stream.flush()

        yield step


class Lines:
    """A line for each task, overwritten as it continues, for notebooks without widgets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def task(self, label: str, unit: str) -> Generator[Advance]:
        """Show a task as a line."""
        last, width = 0.0, 0

        def step(done: int, total: int, details: object = None, /) -> None:
            nonlocal last, width
            now = time.monotonic()
            if (now - last < _INTERVAL and done < total) or (done == 0 and not width):
                return
            said = amount_text(unit, done, total) if details is None else str(details)
            text = f"{label}: {said}"
            self._stream.write(f"\r{text:<{width}}")
            self._stream.flush()
            last, width = now, len(text)

        try:
            yield step
        finally:
            if width:
                self._stream.write("\n")


def _rate(unit: str, speed: float) -> list[str]:
    """Return the rate as text; below one unit a second nothing, as the time left shows it."""
    if unit == "bytes":
        return [f"{bytes_text(speed)}/s"]
    return [f"{count_text(speed)}/s"] if speed >= 1 else []


def _in_notebook() -> bool:
    shell: Callable[[], Any] | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return shell is not None and type(shell()).__name__ == "ZMQInteractiveShell"


def _rich_progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Told(ProgressColumn):
        """The details of a task, or else the amount done, the rate and the time left."""

        def render(self, task: Task) -> Text:
            if task.fields["details"] is not None:
                return Text(str(task.fields["details"]))
            unit: str = task.fields["unit"]
            said = [amount_text(unit, task.completed, task.total or 0)]
            if speed := task.finished_speed or task.speed:
                said += _rate(unit, speed)
            if (left := task.time_remaining) is not None:
                said.append(f"{clock_text(left)} left")
            return Text(", ".join(said))

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    label = TextColumn("{task.description}", markup=False)
    return Progress(label, BarColumn(20), Told(), console=console)

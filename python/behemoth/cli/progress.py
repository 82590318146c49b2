"""Progress bars with rate and time left, on stderr. Verbs import this when they run."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .console import bytes_text, console, count_text


class _Amount(ProgressColumn):
    """How much is done, of how much, and how fast, in the unit of the task."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if task.fields["unit"] == "bytes":
            done = f"{bytes_text(task.completed)} of {bytes_text(task.total or 0)}"
            rate = f", {bytes_text(speed)}/s" if speed else ""
        else:
            unit = task.fields["unit"]
            done = f"{count_text(task.completed)} of {count_text(task.total or 0)} {unit}"
            rate = f", {count_text(speed)}/s" if speed else ""
        return Text(done + rate)


class Bars:
    """Bars of one call, shown below each other.

    Nothing is shown before something is done, so that a call that is refused at once,
    or has nothing to do, shows no bar.

    Examples
    --------
    >>> with Bars() as bars:
    ...     callback = bars.bar("writing", "bytes")
    """

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(20),
            _Amount(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console(stderr=True))

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def bar(self, label: str, unit: str) -> Callable[[int, int], None]:
        """Make a bar: a callable ``callback(done, total)`` that moves it."""
        task = self._progress.add_task(label, total=None, visible=False, start=False, unit=unit)

        def callback(done: int, total: int) -> None:
            if not self._progress.live.is_started:
                if done == 0:
                    return
                self._progress.start()
            self._progress.start_task(task)
            self._progress.update(task, completed=done, total=total, visible=True)

        return callback

"""Memory of gates on a CPU: whether their units fit into the workers' shares, before any is run.

The estimates are those of the units of a study. The process that measures models, while workers
keep theirs, is counted as one more worker. Gate 6, which trains in that process, has no units, and
is not estimated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from behemoth.study.directory import StudyDirectory
from behemoth.study.work.memory_budget import Shares, shares_of
from behemoth.study.work.schedule import Work
from behemoth.support.errors import ArgumentError

from .record import Gate
from .units import Units, expansion_of, units_of

__all__ = ["shares_of_gates"]


def shares_of_gates(
    directory: StudyDirectory,
    gates: Sequence[Gate],
    threads: int,
    workers: int | None,
    memory: int | None,
    *,
    reasons: bool,
) -> Shares:
    """Divide memory among the workers, and refuse gates with a unit that does not fit.

    Parameters
    ----------
    directory : StudyDirectory
        Finished units in it need no memory.
    gates : sequence of Gate
    threads : int
        CPU threads per worker.
    workers : int, optional
        Number of workers; by default one per `threads` cores, or fewer if these do not fit.
    memory : int, optional
        Bytes for all processes; by default the free memory of the machine or the container.
    reasons : bool
        Whether units of reasons may be carried out too.

    Raises
    ------
    ArgumentError
        If a unit does not fit; it names the gates that do.
    """
    from behemoth.support.provenance import cores

    wanted = {gate.number: _units(gate, threads, reasons=reasons) for gate in gates}
    usual = workers or max(1, cores() // threads)
    every = [units for own in wanted.values() for units in own]
    try:
        return shares_of(_work(directory, every), usual, memory, given=workers, measuring=True)
    except ArgumentError as error:
        if error.path == ("workers",):
            raise
        raise _refusal(directory, wanted, memory, error) from None


def _refusal(
    directory: StudyDirectory,
    wanted: Mapping[int, Sequence[Units]],
    memory: int | None,
    error: ArgumentError,
) -> ArgumentError:
    """Return the error for gates that do not fit, with the numbers of those that do."""
    fits: list[int] = []
    for number, units in wanted.items():
        work = _work(directory, units)
        try:
            if shares_of(work, 1, memory, measuring=True).worker_peak is not None:
                fits.append(number)
        except ArgumentError:
            continue
    shown = ", ".join(map(str, fits))
    allowed = f"what fits: {shown}" if fits else "gates that need less, or more memory"
    got = f"{', '.join(map(str, wanted))}, with {'.'.join(map(str, error.path))} {error.got}"
    return ArgumentError("gate", got, allowed)


def _units(gate: Gate, threads: int, *, reasons: bool) -> list[Units]:
    found = units_of(gate, threads)
    for reason in gate.reasons if reasons else ():
        if reason.changes:
            found += units_of(reason.changed(gate), threads)
    return found


def _work(directory: StudyDirectory, wanted: Sequence[Units]) -> Work:
    return Work(directory, expansion_of(wanted), None)

"""Results of tracing saved in a run: where methods edit that model by default.

``RUN/trace.json`` is written by `behemoth.evaluate.trace` with ``save``, and the same record beside
the frames that it writes with ``out``. A method that edits at a
place uses the best place from that file, unless its settings name a token or layers. Without the
file it uses its defaults, the place that it is tuned for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from behemoth.support.digests import FILES, digests, no_record, read_sealed, sealed
from behemoth.support.fields import made
from behemoth.support.files import as_json, write_bytes
from behemoth.train.directory import TRACE

from .protocol import EditMethod
from .registry import method_type

__all__ = ["TraceRecord", "TracedSite", "at_traced_place", "is_traced"]

FORMAT_VERSION = 1
_WHAT = "tracing"
_PLACE = ("token", "layers")  # settings that say where


@dataclass(frozen=True)
class TracedSite:
    """A token and a layer to edit at.

    Attributes
    ----------
    token : {'subject', 'prompt'}
        Value of the methods' setting `token`.
    layer : int
    effect : float
        Mean indirect effect of the layer's MLP.
    low, high : float or None
        Ends of its interval; None for a single fact, or if all samples agree.
    """

    token: str
    layer: int
    effect: float
    low: float | None
    high: float | None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a locate-and-edit method that edits here."""
        return {"token": self.token, "layers": (self.layer,)}


@dataclass(frozen=True)
class TraceRecord:
    """The arguments and results of a trace.

    Attributes
    ----------
    plan_hash : str
        Hash of the plan whose facts were traced.
    facts : int
        Number of its facts that the model knew.
    samples, noise, window, seed
        See `behemoth.evaluate.trace`.
    places : tuple of TracedSite
        Best first.
    """

    plan_hash: str
    facts: int
    samples: int
    noise: float
    window: int
    seed: int
    places: tuple[TracedSite, ...]

    def write(self, place: Path, *frames: str) -> None:
        """Write the record to the directory of a run or of a trace, with digests of its frames."""
        values = {"format_version": FORMAT_VERSION, **asdict(self)}
        if frames:
            values[FILES] = digests(place, frames)
        write_bytes(place / TRACE, as_json(sealed(values)))

    @classmethod
    def read(cls, run: Path) -> TraceRecord | None:
        """Read the record from a run directory; return None if the run has none.

        Raises
        ------
        CorpusError
            If the file is damaged, or of another version.
        """
        file = run / TRACE
        if not file.is_file():
            return None
        values = read_sealed(file, _WHAT, FORMAT_VERSION)
        own = {key: values[key] for key in values if key not in ("format_version", FILES)}
        try:
            places = tuple(made(TracedSite, place) for place in own["places"])
            return made(cls, {**own, "places": places})
        except (ValueError, KeyError, TypeError):
            raise no_record(file, f"record of {_WHAT}") from None


def at_traced_place(name: str, settings: Mapping[str, object] | None, run: Path) -> dict[str, Any]:
    """Return a method's settings for a run, with the traced place unless they name one.

    Parameters
    ----------
    name : str
        Name of the method.
    settings : mapping, optional
        The caller's settings.
    run : Path
        A run directory.

    Returns
    -------
    dict
        Equal to `settings` for a method without such a place, and for a run without a trace.

    Raises
    ------
    ArgumentError
        For an unknown method.
    CorpusError
        If the trace is damaged.
    """
    given = dict(settings or {})
    if not _takes_place(method_type(name)) or any(key in given for key in _PLACE):
        return given
    record = TraceRecord.read(run)
    if record is None or not record.places:
        return given
    return {**record.places[0].settings, **given}


def is_traced(method: EditMethod, run: Path) -> bool:
    """Return whether a method edits at the best place that tracing found in a run."""
    record = TraceRecord.read(run)
    if record is None or not record.places or not _takes_place(type(method)):
        return False
    best = record.places[0].settings
    return all(getattr(method, key, None) == value for key, value in best.items())


def _takes_place(kind: type[EditMethod]) -> bool:
    """Return whether a method has the settings `token` and `layers`."""
    return is_dataclass(kind) and set(_PLACE) <= {field.name for field in fields(kind)}

"""Text for people: sizes, counts, rates and times; rows in columns; values in TOML syntax."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate, zip_longest

__all__ = [
    "bytes_text", "clock_text", "columns_text", "count_text", "error_text", "fixed_text",
    "general_text", "interval_text", "listed_text", "plural_text", "rate_text", "toml_text",
]  # fmt: skip

_MOST_DIGITS = 6


def bytes_text(size: float) -> str:
    """Write a number of bytes, with decimal prefixes (1 kB is 1,000 bytes)."""
    return f"{size:,.0f} bytes" if size < 1000 else f"{count_text(size)}B"


def count_text(number: float) -> str:
    """Write a number in short form: 950, 48.0 k, 1.30 G."""
    for unit in ("", " k", " M", " G", " T"):
        if number < 1000 or unit == " T":
            break
        number /= 1000
    return f"{number:,.0f}" if not unit else f"{number:,.{1 if number >= 10 else 2}f}{unit}"


def error_text(error: BaseException) -> str:
    """Return the type and text of an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def fixed_text(value: float, digits: int = 3) -> str:
    """Write a number with a fixed number of decimals.

    Examples
    --------
    >>> fixed_text(-0.0004), fixed_text(2 / 3, 2)
    ('0.000', '0.67')
    """
    # + 0.0 turns -0.0 into 0.0, so that "-0.000" is never shown.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def general_text(value: float, digits: int = 3) -> str:
    """Write a number with significant digits, without trailing zeros."""
    return f"{value:.{digits}g}"


def interval_text(
    low: float, high: float, said: Callable[[float, int], str] = general_text, digits: int = 3
) -> str:
    """Write the ends of an interval as ``low to high``, with digits that tell them apart.

    Rounded to the same text, the ends of a narrow interval would look like certainty.

    Parameters
    ----------
    low, high : float
    said : callable
        Formats a number with a number of digits.
    digits : int
        Minimum number of digits; up to 6 are used.

    Examples
    --------
    >>> interval_text(0.91, 1), interval_text(0.99991, 1)
    ('0.91 to 1', '0.9999 to 1')
    """
    while digits < _MOST_DIGITS and said(low, digits) == said(high, digits):
        digits += 1
    return f"{said(low, digits)} to {said(high, digits)}"


def listed_text(values: Sequence[object]) -> str:
    """Write values as a list in a sentence: 1, 2 and 3."""
    *earlier, last = map(str, values)
    return f"{', '.join(earlier)} and {last}" if earlier else last


def plural_text(number: int, noun: str) -> str:
    """Write a count with its noun, in the plural unless it is one.

    Examples
    --------
    >>> plural_text(1, "file"), plural_text(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate_text(per_second: float) -> str:
    """Write a rate in tokens per second."""
    return (
        f"{per_second / 1e6:,.0f} million tokens/s"
        if per_second >= 1e7
        else f"{per_second:,.0f} tokens/s"
    )


def clock_text(seconds: float) -> str:
    """Write a time as hours, minutes and seconds: 0:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def columns_text(rows: Sequence[Sequence[str]], width: int, right: Collection[int] = ()) -> str:
    """Write rows in columns, for lists that must appear immediately: Rich takes 0.1 s to load.

    Parameters
    ----------
    rows : sequence of sequence of str
        Cells of each row; the first row is the header.
    width : int
        Width of the terminal; the widest columns are wrapped between words until the rows fit.
    right : collection of int
        Numbers of the right-aligned columns.

    Examples
    --------
    >>> print(columns_text([["name", "layers"], ["nano", "3"], ["410m", "24"]], 80, right=[1]))
    name  layers
    nano       3
    410m      24
    """
    from textwrap import wrap

    columns = [list(column) for column in zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    words = [
        max((len(word) for cell in column for word in cell.split()), default=0)
        for column in columns
    ]
    while sum(widths) + 2 * (len(widths) - 1) > width:
        broad = [n for n, room in enumerate(widths) if room > words[n]]
        if not broad:
            break
        widths[max(broad, key=widths.__getitem__)] -= 1
    lines: list[str] = []
    for row in rows:
        cells = [
            wrap(cell, room, break_on_hyphens=False) for cell, room in zip(row, widths, strict=True)
        ]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = [
                part.rjust(room) if column in right else part.ljust(room)
                for column, (part, room) in enumerate(zip(parts, widths, strict=True))
            ]
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def toml_text(value: object, most: int = 40) -> str:
    """Write a value in TOML syntax, for an error; texts longer than `most` letters are cut.

    Examples
    --------
    >>> toml_text({"file": "facts.csv", "correlated": [0, 1], "names": False})
    '{ file = "facts.csv", correlated = [0, 1], ... }'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        cut = value if len(value) <= most else value[:most]
        return json.dumps(cut, ensure_ascii=False) + ("" if cut == value else "...")
    if isinstance(value, Mapping):
        items = [f"{key} = {toml_text(item, most)}" for key, item in value.items()]
        return f"{{ {_cut(items, most)} }}" if items else "{}"
    if isinstance(value, list | tuple):
        return f"[{_cut([toml_text(item, most) for item in value], most)}]"
    return str(value)


def _cut(items: Sequence[str], most: int) -> str:
    """Join items with commas, as many of them as fit in `most` letters."""
    ends = accumulate(len(item) + 2 for item in items)
    kept = [item for item, end in zip(items, ends, strict=True) if end - 2 <= most]
    return ", ".join(kept if len(kept) == len(items) else [*kept, "..."])

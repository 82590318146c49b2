"""Numbers as people read them: sizes, counts, rates and times."""

from __future__ import annotations

__all__ = ["bytes_text", "clock_text", "count_text", "rate_text"]


def bytes_text(size: float) -> str:
    """Write a number of bytes, in powers of ten as disks are sold."""
    return f"{size:,.0f} bytes" if size < 1000 else f"{count_text(size)}B"


def count_text(number: float) -> str:
    """Write a number in little room: 950, 48.0 k, 1.30 G."""
    for unit in ("", " k", " M", " G", " T"):
        if number < 1000 or unit == " T":
            break
        number /= 1000
    return f"{number:,.0f}" if not unit else f"{number:,.{1 if number >= 10 else 2}f}{unit}"


def rate_text(per_second: float) -> str:
    """Write a rate of tokens."""
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

"""The formats there are."""

from __future__ import annotations

from .datatrove import DATATROVE
from .litdata import LITDATA
from .llmc import LLMC
from .megatron import MEGATRON
from .olmo import OLMO
from .parquet import PARQUET
from .protocol import Format
from .text import TEXT

FORMATS: dict[str, Format] = {
    made.name: made for made in (MEGATRON, OLMO, DATATROVE, LITDATA, LLMC, TEXT, PARQUET)
}

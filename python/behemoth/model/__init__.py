"""Models: GPT-NeoX at the sizes of the Pythia suite, and smaller ones for CPUs.

`sizes` and what names them needs no torch; the other modules do.
"""

from .sizes import SIZES as SIZES, Size as Size, find_size as find_size

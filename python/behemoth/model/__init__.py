"""Models: GPT-NeoX at the sizes of the Pythia suite, and smaller ones for CPUs.

It knows what a GPT-NeoX is made of, how to build one and how to work out its loss fast, and nothing
of corpora. `sizes` and what names them needs no torch; the other modules do.
"""

from .sizes import SIZES as SIZES, Size as Size, find_size as find_size

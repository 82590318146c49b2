"""Models: GPT-NeoX at the sizes of the Pythia suite, smaller ones for CPUs, and other families.

The package names the parts of each family, builds and loads models, and computes their loss fast.
It knows nothing about corpora except their special tokens. `sizes` and `architectures` need no
torch.
"""

from .sizes import SIZES as SIZES, Size as Size, find_size as find_size

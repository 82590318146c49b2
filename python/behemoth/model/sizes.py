"""The sizes of models: those of the Pythia suite, and three smaller ones for CPUs.

Pythia's dimensions are those of Biderman et al. 2023 (arXiv 2304.01373), table 1, and of the
suite's own configurations for 14m and 31m. `pico` (so small that few facts fill it), `nano` and
`micro` keep the family's proportions: an MLP four times as wide as the stream, heads of 32 (as 14m
and 31m have), a quarter of each head rotated.
"""

from __future__ import annotations

from dataclasses import dataclass

from behemoth.support.errors import ArgumentError


@dataclass(frozen=True)
class Size:
    """Dimensions of a model.

    Parameters
    ----------
    name : str
    width : int
        Size of the residual stream.
    layers : int
    heads : int
        Attention heads of a layer.
    hidden : int
        Hidden units of a layer's MLP.
    """

    name: str
    width: int
    layers: int
    heads: int
    hidden: int

    @property
    def parameters(self) -> int:
        """Parameters without the embedding and the head, which depend on the vocabulary."""
        attention = 4 * self.width**2 + 4 * self.width
        mlp = 2 * self.width * self.hidden + self.hidden + self.width
        norms = 4 * self.width
        return self.layers * (attention + mlp + norms) + 2 * self.width

    def parameters_with(self, vocabulary: int) -> int:
        """All parameters, with an untied embedding and head of `vocabulary` rows each."""
        return self.parameters + 2 * vocabulary * self.width


SIZES: dict[str, Size] = {
    size.name: size
    for size in (
        Size("pico", 64, 2, 2, 256),
        Size("nano", 128, 3, 4, 512),
        Size("micro", 192, 4, 6, 768),
        Size("14m", 128, 6, 4, 512),
        Size("31m", 256, 6, 8, 1024),
        Size("70m", 512, 6, 8, 2048),
        Size("160m", 768, 12, 12, 3072),
        Size("410m", 1024, 24, 16, 4096),
    )
}


def find_size(name: str) -> Size:
    """Give the size of a name.

    Raises
    ------
    ArgumentError
        When there is none; the message names the nearest.
    """
    if name in SIZES:
        return SIZES[name]
    raise ArgumentError.unknown("model", name, SIZES)

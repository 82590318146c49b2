"""Keys and values: input and output of an MLP's output matrix at an edited token.

GPT-NeoX computes attention and MLP in parallel, so attention of the same layer never affects a key;
in other families it does. A vector added to the MLP's output is added unchanged to the block's
output, or, in OLMo 2 and Gemma, after a norm (`before_norm`).

Shape letters: K plans, b rows of a plan, T positions, s sites, d residual stream, f MLP units.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from behemoth.corpus.tokens import PADDING
from behemoth.delta.stack import StackedDeltas
from behemoth.model.architecture import Architecture
from behemoth.model.modules import backbone
from behemoth.model.observe import watching

from .sites import Site

__all__ = ["Observed", "before_norm", "observe", "through_norm"]

_CHUNK = 1 << 16  # tokens per pass through the model


@dataclass(frozen=True)
class Observed:
    """Means over a site's wordings and prefixes, at the edited token.

    Attributes
    ----------
    keys_sf : float64 [s, f]
        Input of the MLP's output matrix.
    values_sd : float64 [s, d]
        Output of that module, including its bias.
    streams_sd : float64 [s, d]
        Output of the whole block.
    """

    keys_sf: Tensor
    values_sd: Tensor
    streams_sd: Tensor


@torch.no_grad()
def observe(
    model: nn.Module,
    layer: int,
    sites: Sequence[Sequence[Site]],
    changes: StackedDeltas | None = None,
) -> Observed:
    """Return keys, values and block outputs of a layer.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    layer : int
    sites : sequence of sequence of Site
        By plan; the sites of all plans, one after another, are the rows of the result.
    changes : StackedDeltas, optional
        Changes of each plan, attached while its sites are computed.
    """
    architecture = Architecture.of(model)
    device = next(model.parameters()).device
    tokens_kbt, place_kb, site_kb = (part.to(device) for part in _grid(sites))
    module = model.get_submodule(architecture.mlp_out(layer))
    block = model.get_submodule(architecture.block(layer))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    step = max(1, _CHUNK // (tokens_kbt.shape[0] * tokens_kbt.shape[2]))
    attached = nullcontext() if changes is None else changes.attached()
    with attached, watching(module) as inner, watching(block) as outer:
        for first in range(0, tokens_kbt.shape[1], step):
            columns = slice(first, first + step)
            tokens = tokens_kbt[:, columns].flatten(0, 1)
            backbone(model)(input_ids=tokens, use_cache=False)
            place = place_kb[:, columns].flatten()
            rows = torch.arange(len(place), device=device)
            found = (inner["input"], inner["output"], outer["output"])
            shape = (len(place_kb), -1)
            key, value, stream = (x[rows, place].double().unflatten(0, shape) for x in found)
            parts.append((key, value, stream))
    own = site_kb.flatten() >= 0
    site = site_kb.flatten()[own]
    keys, values, streams = (torch.cat(part, 1).flatten(0, 1)[own] for part in zip(*parts))  # noqa: B905
    count = sum(map(len, sites))
    return Observed(
        _means(keys, site, count), _means(values, site, count), _means(streams, site, count)
    )


@torch.no_grad()
def before_norm(norm: nn.Module, values_sd: Tensor, missing_sd: Tensor) -> Tensor:
    """Return the vector to add before a norm to change its output by `missing_sd`: [s, d].

    A root-mean-square norm returns g v / rms(v), which does not depend on the length of v. The
    vector is rms(v) missing / g, so that the output has the direction of the old output plus
    `missing_sd`, with the length that the norm gives every vector.

    Parameters
    ----------
    norm : nn.Module
    values_sd : float64 [s, d]
        Input of the norm.
    missing_sd : float64 [s, d]
        Wanted change of its output.
    """
    like = next(norm.parameters())
    gain_d = norm(torch.ones_like(like)).to(values_sd)  # ones are normalised already
    scale_s1 = values_sd.square().mean(-1, keepdim=True).sqrt()
    return scale_s1 * missing_sd / gain_d


@torch.no_grad()
def through_norm(norm: nn.Module, values_sd: Tensor, added_sd: Tensor) -> Tensor:
    """Return the change of a norm's output when `added_sd` is added to its input: [s, d]."""
    like = next(norm.parameters())
    after, before = norm((values_sd + added_sd).to(like)), norm(values_sd.to(like))
    return (after - before).to(values_sd)


def _means(rows: Tensor, site: Tensor, count: int) -> Tensor:
    sums = rows.new_zeros(count, rows.shape[1]).index_add_(0, site, rows)
    return sums / torch.bincount(site, minlength=count)[:, None]


def _grid(sites: Sequence[Sequence[Site]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return texts up to the edited token by plan: tokens [K, b, T], place and site [K, b].

    Wordings that are equal up to there have the same key and count once. Plans with fewer rows are
    padded with rows of site -1.
    """
    rows: list[list[tuple[tuple[int, ...], int]]] = []
    number = 0
    for own in sites:
        rows.append([])
        for site in own:
            starts = {s.prompt[: s.place + 1] for s in site.edited}
            texts = [prefix + start for start in sorted(starts) for prefix in site.prefixes]
            rows[-1] += [(text, number) for text in texts]
            number += 1
    width = max(map(len, rows))
    length = max(len(text) for own in rows for text, _ in own)
    tokens = torch.full((len(rows), width, length), PADDING)
    place = torch.zeros(len(rows), width, dtype=torch.int64)
    owner = torch.full((len(rows), width), -1)
    for k, own in enumerate(rows):
        for b, (text, site) in enumerate(own):
            tokens[k, b, : len(text)] = torch.tensor(text)
            place[k, b] = len(text) - 1
            owner[k, b] = site
    return tokens, place, owner

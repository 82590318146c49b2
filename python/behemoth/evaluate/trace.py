"""Where a model stores its facts: causal tracing (Meng et al. 2022, arXiv 2202.05262, section 2).

Noise on the embeddings of a fact's subject makes the model lose the answer; restoring single states
of the clean pass then shows which of them carry the fact. The probability of an answer is that of
all of its tokens.

Shape letters: s samples of noise, p restored states, n rows (every state with every sample), t
positions, w tokens of the subject, a tokens of the answer, v vocabulary, d residual stream.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from numbers import Real
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from torch import Tensor, nn

from behemoth.edit.locate.sites import Places
from behemoth.edit.traced import TracedSite, TraceRecord
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.modules import backbone
from behemoth.model.observe import outputs_of
from behemoth.model.precision import widened
from behemoth.plan.edit_plan import EditPlan
from behemoth.store.source import in_copy
from behemoth.support.checks import flag, whole_number
from behemoth.support.errors import ArgumentError, renamed
from behemoth.support.files import replacing
from behemoth.support.progress import Advance, ProgressLike, silent, task
from behemoth.train.directory import TRACE
from behemoth.train.memory_budget import require_weights
from behemoth.train.run import read_model_source

from .output import all_or_none, sole_output
from .trace_memory_budget import DRAWS, TOKENS, fitting_tokens
from .trace_noise import fact_noise
from .trace_summary import summary_of

if TYPE_CHECKING:
    from behemoth.corpus.corpus import Corpus

__all__ = ["KINDS", "ROLES", "Traced", "TracedSite", "trace", "trace_model"]

KINDS = ("block", "mlp", "attention")
"""Restored states: the residual stream after a block, or the output of its MLP or attention."""

ROLES = ("subject_first", "subject_middle", "subject_last", "between", "prompt_last")
"""Tokens of a prompt from its subject on. A token of several of these roles has the last one."""

_FRAMES = ("facts.parquet", "summary.parquet")
_CHARTS = ("trace.svg", "trace.png")  # which the command draws
FILES = (TRACE, *_FRAMES, *_CHARTS)  # of a trace, its record first
# Draws of noise per fact, which are all in memory; their mean has an error of less than 0.002.
_SAMPLES = 100_000


@dataclass(frozen=True, eq=False)
class Traced:
    """Results of causal tracing.

    Attributes
    ----------
    facts : polars.DataFrame
        One row per fact, kind, layer and role: edit, fact, exposures, kind, layer, role, tokens (of
        this role), clean and corrupted (probability of the answer without and with noise),
        restored (with the state restored, mean over samples and tokens), indirect_effect
        (restored - corrupted).
    summary : polars.DataFrame
        One row per kind, layer and role: mean indirect_effect, low and high (95% interval of the
        mean over facts; null for a single fact, or if all samples agree), facts.
    places : list of TracedSite
        Best MLP layer at each token that methods edit at, largest effect first.
    unknown : int
        Number of edits that were skipped, as the model does not predict their answer.
    noise : float
        Standard deviation of the noise.
    """

    facts: pl.DataFrame
    summary: pl.DataFrame
    places: list[TracedSite]
    unknown: int
    noise: float

    @property
    def clean(self) -> float:
        """Mean probability of the answers without noise."""
        return self._mean("clean")

    @property
    def corrupted(self) -> float:
        """Mean probability of the answers with noise."""
        return self._mean("corrupted")

    def _mean(self, column: str) -> float:
        return float(self.facts.unique("edit")[column].mean())  # type: ignore[arg-type]

    def __repr__(self) -> str:
        best = self.places[0]
        count = self.facts["edit"].n_unique()
        return f"Traced({count:,} facts, token={best.token!r}, layer={best.layer})"


def trace(
    run: str | PathLike[str],
    plan: EditPlan | str | PathLike[str],
    *,
    corpus: str | PathLike[str] | Corpus | None = None,
    samples: int = DRAWS,
    noise: float = 3.0,
    window: int = 1,
    seed: int = 0,
    device: torch.device | str | None = None,
    memory: int | None = None,
    out: str | PathLike[str] | None = None,
    force: bool = False,
    save: bool = False,
    progress: ProgressLike = None,
) -> Traced:
    """Trace the facts of a plan's edits in a run's model, as they are before the edits.

    Parameters
    ----------
    run : path
        A finished training run, or a model.
    plan : EditPlan or path
        Plan whose edited facts are traced, each in its first wording.
    corpus : path or Corpus, optional
        For a model that is not a training run: the corpus that the plan was made from, or its
        directory or spec.
    samples : int
        Number of draws of noise per fact, at most 100,000.
    noise : float
        Standard deviation of the noise, relative to that of the embeddings of subjects.
    window : int
        Number of adjacent layers whose MLP or attention outputs are restored together, around the
        named layer: 1 by default, 10 of 48 in the publication. Blocks are always restored one at a
        time.
    seed : int
        Seed of the noise.
    device : optional
        Device of the model; by default a GPU if there is one.
    memory : int, optional
        Memory that may be used on a CPU, in bytes, in addition to what the process already uses:
        tokens per pass are limited to what fits, and tracing that cannot fit is refused before it
        starts. By default the free memory of the machine or container.
    out : path, optional
        A new or empty directory, for ``facts.parquet``, ``summary.parquet`` and, last,
        ``trace.json``, which has their digests.
    force : bool
        Replace an existing trace in `out`.
    save : bool
        Whether to save the result in the run as ``trace.json``, replacing an existing one: methods
        that edit at one place then use the best one, unless their settings choose it. Not for a
        run in a store.
    progress : callable or Progress, optional
        Receives progress; an exception that it raises stops the work.

    Returns
    -------
    Traced

    Raises
    ------
    ArgumentError
        When the plan is for another world, the model knows none of its facts, `out` is not empty,
        or `save` is true and the run is in a store.
    CorpusError
        When another process is writing to `out`.
    """
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    samples, noise, window, seed = _checked(samples, noise, window, seed)
    save = flag("save", save)
    force = flag("force", force)
    with (
        nullcontext() if out is None else sole_output(out, "a trace", *FILES, force=force)
    ) as place:
        with renamed(directory="run"):
            ran = read_model_source(run, corpus)
        if save and in_copy(ran.directory):
            allowed = "a local run to save in (`behemoth pull` fetches it from the store)"
            raise ArgumentError("run", fspath(run), allowed)
        made = EditPlan.of(plan)
        made.check(ran.corpus)
        require_weights(ran.directory, device, memory)
        model = ran.load_model(device)
        tokens = fitting_tokens(model, _traced_rows(made), samples, memory)
        with task(progress, "tracing", "facts") as step:
            found = trace_model(
                model, ran.corpus, made, samples=samples, noise=noise, window=window, seed=seed,
                tokens=tokens, step=step,
            )  # fmt: skip
        facts = found.facts["edit"].n_unique()
        record = TraceRecord(
            made.plan_hash, facts, samples, noise, window, seed, tuple(found.places)
        )
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
            # Also the charts of a replaced trace: the command draws those of this one later.
            with all_or_none(place, *FILES):
                for name, frame in zip(_FRAMES, (found.facts, found.summary), strict=True):
                    with replacing(place / name) as temporary:
                        frame.write_parquet(temporary)
                record.write(place, *_FRAMES)
        if save:
            record.write(ran.directory)
    return found


def trace_model(
    model: nn.Module,
    corpus: Corpus,
    plan: EditPlan,
    *,
    samples: int = DRAWS,
    noise: float = 3.0,
    window: int = 1,
    seed: int = 0,
    tokens: int = TOKENS,
    step: Advance = silent,
) -> Traced:
    """Trace the facts of a plan in a loaded model; see `trace`.

    Parameters
    ----------
    model : nn.Module
    corpus : Corpus
    plan : EditPlan
    samples, noise, window, seed
        See `trace`.
    tokens : int
        Maximum number of tokens per pass; results depend on it only by rounding.
    step : callable, optional
        Called with the numbers of facts (done, total).

    Returns
    -------
    Traced

    Raises
    ------
    ArgumentError
        When a value is not allowed, or the model knows none of the facts.
    """
    samples, noise, window, seed = _checked(samples, noise, window, seed)
    rows = _traced_rows(plan)
    spans = Places(corpus).spans(rows)
    exposures = dict(plan.edits.select("edit", "exposures").iter_rows())
    with evaluating(model):
        tracer = _Tracer(model, window, tokens)
        deviation = noise * tracer.deviation(rows["prompt"].to_list(), spans)
        found: list[pl.DataFrame] = []
        for number, (row, span) in enumerate(zip(rows.iter_rows(named=True), spans, strict=True)):
            shape = (samples, span[1] - span[0], tracer.architecture.width)
            drawn = deviation * fact_noise(shape, seed, row["fact"])
            own = tracer.fact(row["prompt"], row["old_answer"], span, drawn)
            if own is not None:
                found.append(
                    own.select(
                        pl.lit(row["edit"], pl.UInt32).alias("edit"),
                        pl.lit(row["fact"], pl.UInt64).alias("fact"),
                        pl.lit(exposures[row["edit"]], pl.UInt64).alias("exposures"),
                        pl.all(),
                    )
                )
            step(number + 1, rows.height)
    if not found:
        raise ArgumentError(
            "plan", "edits of facts none of which the model knows", "facts that it answers"
        )
    facts = pl.concat(found)
    summary = summary_of(facts)
    return Traced(
        facts, summary, _places(summary, tracer.architecture), rows.height - len(found), deviation
    )


def _checked(samples: int, noise: float, window: int, seed: int) -> tuple[int, float, int, int]:
    """Return the numbers of a trace as Python's own; refuse those that are out of range."""
    samples = whole_number("samples", samples, 1)
    if samples > _SAMPLES:
        raise ArgumentError("samples", samples, f"a whole number from 1 to {_SAMPLES}")
    if isinstance(noise, bool) or not isinstance(noise, Real) or not 0 < noise < math.inf:
        raise ArgumentError("noise", noise, "a finite number above 0")
    return samples, float(noise), whole_number("window", window, 1), whole_number("seed", seed)


def _traced_rows(plan: EditPlan) -> pl.DataFrame:
    """Return the row of each edit's first wording."""
    edits = plan.training.filter(pl.col("role") == "edit")
    return edits.unique("edit", keep="first", maintain_order=True)


def _places(summary: pl.DataFrame, architecture: Architecture) -> list[TracedSite]:
    found = []
    for token in ("subject", "prompt"):
        own = summary.filter((pl.col("kind") == "mlp") & (pl.col("role") == f"{token}_last"))
        if token == "subject":
            # No later layer reads the output of the last layer there.
            own = own.filter(pl.col("layer") < architecture.layers - 1)
        for row in own.sort("indirect_effect", descending=True).head(1).iter_rows(named=True):
            effect = row["indirect_effect"]
            found.append(TracedSite(token, row["layer"], effect, row["low"], row["high"]))
    return sorted(found, key=lambda place: -place.effect)


@dataclass(frozen=True)
class _State:
    """A state of the clean pass to restore: kind and layer of a module, and a prompt position."""

    kind: str
    layer: int
    role: str
    place: int


class _Tracer:
    """Passes of one model with noise and restored states."""

    def __init__(self, model: nn.Module, window: int, tokens: int) -> None:
        self.model, self.window, self.tokens = model, window, tokens
        self.architecture = Architecture.of(model)
        self.device = next(model.parameters()).device
        self.embedding = model.get_submodule(self.architecture.embedding)
        self.head = model.get_submodule(self.architecture.head)
        of = self.architecture
        names = {"block": of.block, "mlp": of.mlp_out, "attention": of.attention_out}
        self.modules = {
            (kind, layer): model.get_submodule(names[kind](layer))
            for kind in KINDS
            for layer in range(self.architecture.layers)
        }

    @torch.no_grad()
    def deviation(
        self, prompts: Sequence[Sequence[int]], spans: Sequence[tuple[int, int]]
    ) -> float:
        """Return the standard deviation of the embeddings of subjects' tokens."""
        tokens = [
            t for prompt, span in zip(prompts, spans, strict=True) for t in prompt[slice(*span)]
        ]
        return float(self.embedding(torch.tensor(tokens, device=self.device)).float().std())

    @torch.no_grad()
    def fact(
        self, prompt: list[int], answer: list[int], span: tuple[int, int], noise_swd: Tensor
    ) -> pl.DataFrame | None:
        """Return the effects of one fact's states; None if the model does not predict its answer.

        Parameters
        ----------
        prompt, answer : list of int
        span : tuple of int
            Start and end (exclusive) of the subject in the prompt.
        noise_swd : float [s, w, d]
            Noise that each sample adds to the embeddings of the subject's w tokens.
        """
        text, count = [*prompt, *answer[:-1]], len(answer)
        tokens_t = torch.tensor(text, device=self.device)
        with outputs_of(self.modules) as seen:
            scores_av = self._scores(tokens_t[None], count)[0]
        clean = {key: output[0] for key, output in seen.items()}
        if scores_av.argmax(-1).tolist() != answer:
            return None
        undisturbed = float(self._probability(scores_av[None], answer))
        states = self._states(len(prompt), span)
        samples = len(noise_swd)
        # The first row of each sample has no restored state.
        jobs = [(sample, state) for state in (None, *states) for sample in range(samples)]
        probabilities = []
        step = max(1, self.tokens // len(text))
        for first in range(0, len(jobs), step):
            part = jobs[first : first + step]
            tokens_nt = tokens_t.expand(len(part), -1)
            noise_nwd = noise_swd[[sample for sample, _ in part]].to(self.device)
            with self._disturbing(span, noise_nwd), self._restoring(part, clean):
                scores = self._scores(tokens_nt, count)
            probabilities.append(self._probability(scores, answer))
        found_ps = torch.cat(probabilities).reshape(-1, samples).double().cpu()
        corrupted, restored_p = float(found_ps[0].mean()), found_ps[1:].mean(1).tolist()
        frame = pl.DataFrame(
            {
                "kind": [state.kind for state in states],
                "layer": pl.Series([state.layer for state in states], dtype=pl.UInt32),
                "role": [state.role for state in states],
                "restored": restored_p,
            }
        )
        return (
            frame.group_by("kind", "layer", "role", maintain_order=True)
            .agg(pl.len().alias("tokens"), pl.col("restored").mean())
            .select(
                "kind", "layer", "role", "tokens",
                pl.lit(undisturbed).alias("clean"),
                pl.lit(corrupted).alias("corrupted"),
                "restored",
                (pl.col("restored") - corrupted).alias("indirect_effect"),
            )
        )  # fmt: skip

    def _states(self, length: int, span: tuple[int, int]) -> list[_State]:
        first, last = span[0], span[1] - 1
        role_of = dict.fromkeys(range(first, last), "subject_middle")
        role_of[first] = "subject_first"
        role_of |= dict.fromkeys(range(last + 1, length - 1), "between")
        role_of[last] = "subject_last"
        role_of[length - 1] = "prompt_last"
        return [
            _State(kind, layer, role, place)
            for kind in KINDS
            for layer in range(self.architecture.layers)
            for place, role in sorted(role_of.items())
        ]

    def _scores(self, tokens_nt: Tensor, answer: int) -> Tensor:
        """Return the log-probabilities at the answer's tokens, which come last: [n, a, v]."""
        hidden = backbone(self.model)(input_ids=tokens_nt, use_cache=False)[0]
        logits = self.architecture.logits(self.head, hidden[:, -answer:])
        return widened(logits).log_softmax(-1)

    def _probability(self, scores_nav: Tensor, answer: list[int]) -> Tensor:
        own = torch.tensor(answer, device=self.device)
        index = own[None, :, None].expand(len(scores_nav), -1, 1)
        return scores_nav.gather(2, index)[..., 0].sum(1).exp()

    @contextmanager
    def _disturbing(self, span: tuple[int, int], noise_nwd: Tensor) -> Generator[None]:
        """Add noise to the embeddings of the subject."""

        def disturb(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            output = output.clone()
            output[:, slice(*span)] += noise_nwd.to(output.dtype)
            return output

        with self.embedding.register_forward_hook(disturb):
            yield

    @contextmanager
    def _restoring(
        self, jobs: Sequence[tuple[int, _State | None]], clean: dict[tuple[str, int], Tensor]
    ) -> Generator[None]:
        """Restore the state of each row."""
        given: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        for row, (_, state) in enumerate(jobs):
            if state is None:
                continue
            for layer in self._window(state):
                rows, places = given.setdefault((state.kind, layer), ([], []))
                rows.append(row)
                places.append(state.place)
        with ExitStack() as stack:
            for key, (rows, places) in given.items():

                def restore(
                    _: nn.Module,
                    __: Any,
                    output: Any,
                    *,
                    at: Any = (rows, places),
                    own: Tensor = clean[key],
                ) -> Any:
                    whole = (output[0] if isinstance(output, tuple) else output).clone()
                    whole[at[0], at[1]] = own[at[1]]
                    return (whole, *output[1:]) if isinstance(output, tuple) else whole

                stack.callback(self.modules[key].register_forward_hook(restore).remove)
            yield

    def _window(self, state: _State) -> range:
        width = 1 if state.kind == "block" else self.window
        first = state.layer - width // 2  # for even widths too as published
        return range(max(0, first), min(self.architecture.layers, first + width))

"""UltraEdit: ridge regression from the inputs of a matrix to its output gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.delta.delta import Change, EditDelta, LowRank
from behemoth.edit.bounds import ABOVE_0, Bounds, at_least, check_values
from behemoth.edit.locate.equations import plus_diagonal
from behemoth.edit.memory_budget import EditedRows
from behemoth.edit.outcome import delta_of
from behemoth.edit.parametrise import change_bytes, chosen_layers
from behemoth.edit.protocol import ALL_KINDS, EditContext, Effort, MethodInfo, check_kinds
from behemoth.edit.search import Range, Searched
from behemoth.model.architecture import Architecture
from behemoth.model.modes import evaluating
from behemoth.model.precision import wide_type

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from behemoth.edit.batch import Rows
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["Statistics", "UltraEdit", "ridge_step"]

_CHUNK = 256  # rows per pass through the model


@dataclass(frozen=True)
class UltraEdit:
    """Ridge regression on normalised gradients (Gu et al., 2025, algorithm 1).

    Where a token of a new answer is predicted, every edited matrix has an input h and a gradient v
    of the loss with respect to its output. Both are normalised by the mean and the standard
    deviation of all that the sequence has seen so far, to h' and v'; then the change D of the
    matrix is the least squares solution of h D = -learning_rate |h'|^2 v' over all of these
    positions, with a ridge. It needs no training, no covariance, and one forward and backward pass.

    A single edit gives too few values for normalisation, so the statistics are initialised with
    imagined edits: the plan's retained rows, each with the answer of another one.

    Attributes
    ----------
    learning_rate : float
        Size of the wanted change of the outputs, as a factor on the normalised gradients.
    layers : tuple of int, optional
        Layers whose MLP matrices change, negative numbers from the last; by default all.
    ridge : float
        Weight of the identity in the normal equations.
    imagined : int
        Maximum number of imagined edits that initialise the statistics.
    """

    learning_rate: float = 1e-3
    layers: tuple[int, ...] | None = None
    ridge: float = 1.0
    imagined: int = 64

    searched: ClassVar[Searched] = {
        "learning_rate": Range(1e-4, 1.0, log=True),
        "ridge": Range(0.1, 100.0, log=True),
    }
    bounds: ClassVar[Bounds] = {
        "learning_rate": ABOVE_0, "ridge": ABOVE_0, "imagined": at_least(2),
    }  # fmt: skip
    info: ClassVar[MethodInfo] = MethodInfo(
        name="ultraedit",
        family="locate-and-edit",
        source="Gu et al. 2025, arXiv 2505.14679",
        changes="all MLP matrices of chosen layers, rank at most the number of answer tokens",
        kinds=ALL_KINDS,
        stacks=False,
        doses=False,  # one step
    )

    def __post_init__(self) -> None:
        check_values(self)

    def effort(self) -> Effort:
        """Return one step with the rows of the edit and of the imagined edits."""
        return Effort(1, self.imagined + 8)

    def delta_bytes(self, model: nn.Module, plans: Sequence[EditPlan]) -> int:
        """Return the bytes of factors with a column for each token of an answer, in every row."""
        rank = sum(EditedRows.of(plan).answers for plan in plans)
        return change_bytes(model, [f"{name}.weight" for name in self.modules(model)], rank)

    def apply(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> list[EditDelta]:
        """Return one delta for each plan, with separate statistics for each."""
        return [self.in_sequence(model, context)(plan) for plan in plans]

    def in_sequence(
        self, model: nn.Module, context: EditContext
    ) -> Callable[[EditPlan], EditDelta]:
        """Return a callable that keeps the statistics of all earlier edits."""
        return _Sequence(self, model, context, {})

    def modules(self, model: nn.Module) -> list[str]:
        """Return the names of the linear modules whose weights change."""
        layers = chosen_layers(model, self.layers)
        return Architecture.of(model).linear_modules("mlp", layers)


@dataclass(frozen=True)
class _Sequence:
    """Return the deltas of a sequence, and keep the statistics of its features."""

    method: UltraEdit
    model: nn.Module
    context: EditContext
    seen: dict[str, Statistics]

    def __call__(self, plan: EditPlan) -> EditDelta:
        from behemoth.edit.batch import edit_rows_of

        method = self.method
        check_kinds(method, [plan])
        seed = self.context.seed
        if not self.seen and (imagined := _imagined(plan, method.imagined, seed)) is not None:
            self._see(_features(self.model, imagined, method.modules(self.model)))
        rows = edit_rows_of(plan, "answer")
        features = _features(self.model, rows, method.modules(self.model))
        before = dict(self.seen)
        self._see(features)
        transposed = Architecture.of(self.model).transposed
        changes: dict[str, Change] = {}
        failure, moved = None, False
        for name, (inputs_nf, gradients_nd) in features.items():
            dtype = self.model.get_parameter(f"{name}.weight").dtype
            change = ridge_step(
                inputs_nf, gradients_nd, self.seen[name], method.learning_rate, method.ridge, dtype
            )
            if not bool(change.left.isfinite().all() and change.right.isfinite().all()):
                failure = f"the equations of {name} have no finite solution"
                # Values that are not finite would spoil the statistics of all later edits.
                self.seen.clear()
                self.seen.update(before)
                break
            if transposed:
                change = change.transposed()
            moved = moved or bool(change.left.any() and change.right.any())
            wide = wide_type(dtype)
            changes[f"{name}.weight"] = LowRank(change.left.to(wide), change.right.to(wide))
        if failure is None and not moved:
            # Identical rows, normalised by their own statistics alone, are 0.
            failure = "statistics of features that never varied"
        self.context.progress(1, 1)
        return delta_of(method, plan, self.context, changes, failure)

    def memory(self) -> dict[str, Tensor]:
        """Return number, mean and squared deviations of each module's features, float64."""
        return {
            f"{name}:{part}": value
            for name, seen in self.seen.items()
            for part, value in vars(seen).items()
        }

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Replace the statistics of earlier edits by these."""
        self.seen.clear()
        for name in {key.rpartition(":")[0] for key in memory}:
            device = self.model.get_parameter(f"{name}.weight").device
            parts = ("count", "mean", "deviations")
            self.seen[name] = Statistics(*(memory[f"{name}:{part}"].to(device) for part in parts))

    def _see(self, features: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        import torch

        for name, pair in features.items():
            values = torch.cat(pair, 1)
            seen = self.seen.get(name)
            fresh = Statistics.of(values)
            self.seen[name] = fresh if seen is None else seen.joined(fresh)


@dataclass(frozen=True)
class Statistics:
    """Running statistics of features (Chan, Golub and LeVeque, 1983).

    Attributes
    ----------
    count : float64 []
    mean, deviations : float64 [f]
        deviations: the sum of squared differences between values and their mean.
    """

    count: Tensor
    mean: Tensor
    deviations: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Statistics:
        """Return the statistics of values [n, f]."""
        mean = values.mean(0)
        return cls(values.new_tensor(float(len(values))), mean, (values - mean).square().sum(0))

    def joined(self, other: Statistics) -> Statistics:
        """Return the statistics of both sets of values."""
        count = self.count + other.count
        apart = other.mean - self.mean
        return Statistics(
            count,
            self.mean + apart * other.count / count,
            self.deviations + other.deviations + apart.square() * self.count * other.count / count,
        )

    def normalised(self, values: Tensor, widths: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return values minus the mean, over the standard deviation; constant features give 0.

        Features that are constant in exact arithmetic differ by rounding between passes of other
        sizes, whose products add in another order. Relative to its terms, the error of a sum of n
        terms grows as sqrt(n) (Higham and Mary, 2019), and the terms are as large as the other
        features of a vector, even where the sum is almost 0. So a feature is constant if its
        spread is within that, and one rounding of the result, of its root mean square or that of
        the vector, whichever is larger.

        Parameters
        ----------
        values : float64 [n, f]
        widths : sequence of int
            Lengths of the vectors that a row of values consists of; f together, which no sum of
            the layer has more terms than.
        dtype : torch.dtype
            In which they were computed; narrow types are summed in float32.
        """
        import torch

        square = self.deviations / self.count.clamp_min(1) + self.mean.square()
        size = torch.cat([
            torch.maximum(part, part.mean()) for part in square.split(list(widths))
        ]).sqrt()  # fmt: skip
        summed = torch.finfo(wide_type(dtype)).eps * len(self.mean) ** 0.5
        rounding = (torch.finfo(dtype).eps + summed) * size
        spread = (self.deviations / self.count.clamp_min(1)).sqrt()
        return torch.where(spread > rounding, (values - self.mean) / (spread + 1e-8), 0.0)


def ridge_step(
    inputs_nf: Tensor,
    gradients_nd: Tensor,
    seen: Statistics,
    learning_rate: float,
    ridge: float,
    dtype: torch.dtype,
) -> LowRank:
    """Return the change of a matrix [d, f] from n features.

    Parameters
    ----------
    inputs_nf, gradients_nd : float64 [n, f] and [n, d]
        Inputs of the matrix, and gradients of the loss with respect to its outputs.
    seen : Statistics
        Statistics of the two, concatenated.
    learning_rate, ridge : float
    dtype : torch.dtype
        In which features were computed.

    Returns
    -------
    LowRank
        The transpose of (H^T H + ridge I)^-1 H^T V with V = -learning_rate |h'|^2 v', computed as
        H^T (H H^T + ridge I)^-1 V, so that there are n equations instead of f.
    """
    import torch

    width = inputs_nf.shape[1]
    widths = width, gradients_nd.shape[1]
    normal = seen.normalised(torch.cat([inputs_nf, gradients_nd], 1), widths, dtype)
    inputs, gradients = normal[:, :width], normal[:, width:]
    wanted_nd = -learning_rate * inputs.square().sum(1, keepdim=True) * gradients
    gram_nn = plus_diagonal(inputs_nf @ inputs_nf.T, ridge)
    return LowRank(torch.linalg.solve(gram_nn, wanted_nd).T, inputs_nf)


def _imagined(plan: EditPlan, most: int, seed: int) -> Rows | None:
    """Return retained rows, each with the answer of the next that has another, or None.

    The rows are drawn: a plan lists those with the edit's old object first, which have one answer.
    """
    import polars as pl

    from behemoth.edit.batch import Order, rows_of

    rows = plan.training.filter(pl.col("role") != "edit")
    if not rows.height:
        return None
    drawn = Order(rows_of(rows).weight, plan, seed, 1).take(min(most, rows.height))
    rows = rows[drawn.unique().tolist()]
    answers = rows["answer"].to_list()
    others = []
    for place, own in enumerate(answers):
        turned = answers[place + 1 :] + answers[:place]
        others.append(next((answer for answer in turned if answer != own), None))
    made = rows.with_columns(pl.Series("answer", others, dtype=rows.schema["answer"]))
    made = made.drop_nulls("answer")
    return rows_of(made) if made.height > 1 else None


def _features(
    model: nn.Module, rows: Rows, modules: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return modules' inputs and output gradients where answers are predicted, float64.

    The loss is the sum over rows of the mean over each answer's tokens, so that a row's gradient
    does not depend on the other rows.
    """
    import torch

    from behemoth.edit.batch import deciding
    from behemoth.edit.meta.factors import factors_of

    device = next(model.parameters()).device
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in modules}
    with evaluating(model):
        for first in range(0, len(rows), _CHUNK):
            some = slice(first, first + _CHUNK)
            tokens, labels = rows.tokens[some].to(device), rows.labels[some].to(device)
            places = deciding(labels)
            for name, (inputs, gradients) in factors_of(model, tokens, labels, modules).items():
                parts[name].append((inputs[places].double(), gradients[places].double()))
    return {
        name: (torch.cat([pair[0] for pair in own]), torch.cat([pair[1] for pair in own]))
        for name, own in parts.items()
    }

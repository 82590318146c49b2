"""Choice of the settings to try next from earlier trials: Optuna's tree of Parzen estimators.

Each trial has a new sampler, with the number of the trial in its seed and the earlier trials as its
past, so an interrupted tuning resumes with the trials that it would have had.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from behemoth.edit.search import Choice, Range, Searched

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["suggested"]


def suggested(
    searched: Searched, past: Sequence[tuple[Mapping[str, Any], float]], seed: int
) -> dict[str, Any]:
    """Return settings to try.

    Parameters
    ----------
    searched : Searched
    past : sequence of (settings, score)
        Earlier trials, in their order; higher scores are better. Trials that lack a searched
        setting, or have a value outside the search space, are ignored.
    seed : int

    Returns
    -------
    dict
        A value for each searched setting.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {name: _distribution(one) for name, one in searched.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Hashed: with seed + number, a trial would repeat the draws of the next seed's earlier one.
        [key] = np.random.SeedSequence([seed, len(past)]).generate_state(1).tolist()
        sampler = optuna.samplers.TPESampler(seed=key, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for settings, score in past:
        own = {name: settings.get(name) for name in space}
        if all(_holds(one, own[name]) for name, one in searched.items()):
            study.add_trial(optuna.trial.create_trial(params=own, distributions=space, value=score))
    return dict(study.ask(space).params)


def _distribution(one: Range | Choice) -> BaseDistribution:
    from optuna import distributions

    if isinstance(one, Choice):
        return distributions.CategoricalDistribution(one.values)
    if one.whole:
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return distributions.FloatDistribution(one.low, one.high, log=one.log)


def _holds(one: Range | Choice, value: Any) -> bool:
    if isinstance(one, Choice):
        return value in one.values
    return isinstance(value, int | float) and one.low <= value <= one.high

"""Bootstrap samples of suites, against the statistics of the rows that were drawn."""

import tracemalloc

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp

from behemoth.evaluate.clusters import resampled_weights
from behemoth.evaluate.membership import auc
from behemoth.evaluate.suites.intervals import (
    RESAMPLES,
    auc_samples,
    distance_samples,
    median_samples,
    resampled_ratio,
)


def drawn_rows(clusters, cluster, sample):
    """Numbers of the rows of a bootstrap sample, as often as they are drawn."""
    weights = resampled_weights(clusters, RESAMPLES, 0)[sample].astype(int)
    return np.repeat(np.arange(len(cluster)), weights[cluster])


def test_samples_of_an_auc_are_aucs_of_the_rows_drawn():
    generator = np.random.default_rng(0)
    cluster = np.array([0, 0, 1, 2, 3, 4, 4, 5, 6, 7])
    scores = generator.integers(0, 4, 10).astype(float)  # with ties
    frame = pl.DataFrame({"member": [True] * 5 + [False] * 5, "loss": scores})
    samples = auc_samples(frame, "loss", cluster)
    assert samples.shape == (RESAMPLES,)
    for sample in range(40):
        own = auc(frame[drawn_rows(8, cluster, sample)], "loss")
        assert samples[sample] == pytest.approx(own, nan_ok=True), sample
    assert auc_samples(frame.filter("member"), "loss", cluster[:5]).tolist() == pytest.approx(
        [np.nan] * RESAMPLES, nan_ok=True
    )


def test_samples_of_a_distance_are_distances_of_the_pairs_drawn():
    generator = np.random.default_rng(1)
    cluster = np.array([0, 1, 1, 2, 3, 4])
    one = generator.integers(0, 5, 6).astype(float)
    other = np.array([*generator.integers(0, 5, 5), np.inf])
    samples = distance_samples(one, other, cluster)
    assert samples.shape == (RESAMPLES,)
    for sample in range(40):
        rows = drawn_rows(5, cluster, sample)
        wanted = ks_2samp(one[rows], other[rows], method="asymp").statistic
        assert samples[sample] == pytest.approx(wanted), sample
    assert not distance_samples(one, one, cluster).any()


def test_samples_of_a_median_lie_between_the_values():
    samples = median_samples(np.array([1.0, 2.0, 10.0]))
    assert samples.shape == (RESAMPLES,) and set(samples) == {1.0, 2.0, 10.0}
    assert np.median(samples) == 2.0


def test_samples_of_many_rows_do_not_need_memory_for_all_of_them():
    generator = np.random.default_rng(2)
    rows, cluster = 8000, np.arange(8000) % 100
    scores = generator.integers(0, 50, rows).astype(float)
    frame = pl.DataFrame({"member": np.arange(rows) % 2 == 0, "loss": scores})
    for take in (
        lambda: auc_samples(frame, "loss", cluster),
        lambda: distance_samples(scores, scores[::-1].copy(), cluster),
    ):
        tracemalloc.start()
        try:
            samples = take()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert samples.shape == (RESAMPLES,)
        assert peak < 100 * 2**20


def test_units_that_all_agree_have_no_interval():
    for sums in ([1.0], [1.0, 1.0, 1.0]):
        found = resampled_ratio(np.array(sums), np.ones(len(sums), np.int64), "subjects")
        assert (found.value, found.low, found.high, found.count) == (1.0, None, None, len(sums))
    some = resampled_ratio(np.array([1.0, 0.0, 1.0]), np.ones(3, np.int64), "subjects")
    assert some.low < some.value < some.high

import math

import numpy as np
import pytest

from behemoth.study.analysis.aft import fit


def doses():
    """40 doses seen between whole steps and up to step 5, with two covariates."""
    i = np.arange(40)
    x, z = (i % 5).astype(float), ((i * 7) % 11) / 10.0
    dose = np.round(np.exp(0.5 + 0.3 * x - 0.4 * z + 0.8 * np.sin(i * 1.7))) + 1
    beyond = dose > 5
    low = np.where(beyond, 5.0, np.maximum(dose - 1, 1e-6))
    return low, np.where(beyond, np.inf, dose), np.column_stack([np.ones(40), x, z])


# lifelines 0.30.3, fit_interval_censoring on the same rows, by SLSQP to 1e-15 (its default
# optimiser stops without converging): intercept, x, z, the logarithm of the scale, log-likelihood.
KNOWN = {
    "lognormal": (1.0294270019, 0.2339836752, -0.7197172767, -0.7645788296, -54.6496161027),
    "weibull": (1.1662914938, 0.2439407833, -0.6105348190, -0.8780783413, -56.8063200378),
}


@pytest.mark.parametrize("distribution", KNOWN)
def test_what_lifelines_says(distribution):
    found = fit(*doses(), distribution=distribution)
    *coefficients, scale, likelihood = KNOWN[distribution]
    assert found.coefficients == pytest.approx(coefficients, abs=1e-5)
    assert math.log(found.scale) == pytest.approx(scale, abs=1e-5)
    assert found.log_likelihood == pytest.approx(likelihood, abs=1e-8)


@pytest.mark.parametrize("distribution", KNOWN)
def test_from_wherever_it_starts_it_ends_there(distribution):
    low, high, design = doses()
    whole = fit(low, high, design, distribution=distribution)
    near = fit(low[:30], high[:30], design[:30], distribution=distribution)
    again = fit(low, high, design, distribution=distribution, start=near)
    assert again.coefficients == pytest.approx(whole.coefficients, abs=1e-6)


def test_narrow_intervals_are_least_squares_of_logarithms():
    random = np.random.default_rng(0)
    design = np.column_stack([np.ones(200), random.normal(size=200)])
    log_dose = design @ [2.0, 0.3] + 0.5 * random.normal(size=200)
    ends = np.exp(log_dose - 5e-5), np.exp(log_dose + 5e-5)
    found = fit(*ends, design)
    squares, left = np.linalg.lstsq(design, log_dose, rcond=None)[:2]
    assert found.coefficients == pytest.approx(squares, abs=1e-6)
    assert found.scale == pytest.approx(math.sqrt(left[0] / 200), rel=1e-5)


def test_doses_in_other_units_are_a_constant_more():
    low, high, design = doses()
    found, tenfold = fit(low, high, design), fit(10 * low, 10 * high, design)
    assert tenfold.coefficients - found.coefficients == pytest.approx(
        [math.log(10), 0, 0], abs=1e-7
    )
    assert tenfold.scale == pytest.approx(found.scale)


def test_what_says_nothing_changes_nothing():
    low, high, design = doses()
    more = fit(np.append(low, 0.0), np.append(high, np.inf), np.concatenate([design, design[:1]]))
    assert more.log_likelihood == fit(low, high, design).log_likelihood


@pytest.mark.parametrize("distribution", KNOWN)
def test_what_the_doses_do_not_determine_is_no_number(distribution):
    low, high, design = doses()

    def lost(low, high, design):
        return np.isnan(fit(low, high, design, distribution=distribution).coefficients).all()

    assert lost(low, high, np.column_stack([design, design[:, 1]])), "collinear"
    nothing = np.full(len(low), np.inf)
    assert lost(low, nothing, design), "none was reached"
    apart = design[:, 1] > 2
    split = np.where(apart, 5.0, 0.0), np.where(apart, np.inf, 5.0)
    assert lost(*split, design), "separated"
    assert lost(low[:3], high[:3], design[:3]), "as many rows as columns"
    few = np.array([0.0, 2.0, 3.0, 4.0, 9.0]), np.array([1.0, 3.0, 4.0, 5.0, np.inf])
    levels = np.column_stack([np.ones(5), [0.0, 4.0, 4.0, 4.0, 6.0]])
    assert lost(*few, levels), "one below all others and one beyond them, each alone at its level"


@pytest.mark.parametrize("distribution", KNOWN)
def test_small_noise_is_no_separation(distribution):
    # Doses over two decades with noise of 5 %: predictions lie 90 scales apart, as doses do.
    random = np.random.default_rng(1)
    x = np.linspace(0, 1, 300)
    dose = np.ceil(np.exp(1 + 4.5 * x + 0.05 * random.normal(size=300)))
    found = fit(dose - 1, dose, np.column_stack([np.ones(300), x]), distribution=distribution)
    assert found.coefficients[1] == pytest.approx(4.5, abs=0.05)


@pytest.mark.parametrize("distribution", KNOWN)
def test_predictions_far_beyond_the_last_look_are_no_separation(distribution):
    # Doses up to e^10, seen up to step 12: half are censored, and the slope is known.
    random = np.random.default_rng(2)
    x = np.linspace(0, 20, 60)
    dose = np.ceil(np.exp(0.5 * x + 0.2 * random.normal(size=60)))
    low, high = np.where(dose > 12, 12.0, dose - 1), np.where(dose > 12, np.inf, dose)
    found = fit(low, high, np.column_stack([np.ones(60), x]), distribution=distribution)
    assert found.coefficients[1] == pytest.approx(0.5, abs=0.1)

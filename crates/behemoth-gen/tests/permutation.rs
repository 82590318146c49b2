//! The permutation is a bijection with an inverse and passes randomness tests, which weak variants
//! fail.
//!
//! Every statistical test has fixed seeds, so its result is always the same. It is also run on a
//! Fisher-Yates shuffle with an unrelated generator: if that control fails, the test is wrong, not
//! the permutation. The probability that one p-value of a perfect permutation is below [`ALARM`] is
//! 1e-6; about 50 are computed here.

mod common;

use behemoth_gen::permutation::{Permutation, TABLE_LIMIT};
use common::{chi_square_p, histogram, uniform_p, upper_gamma};

/// A permutation passes a test if the p-value is above this.
const ALARM: f64 = 1e-6;
/// The p-value of a weak variant must be below this: the tests detect it with a wide margin.
const CERTAIN: f64 = 1e-12;

/// The images of `0..n`.
type Images = Vec<u64>;

fn feistel(n: u64, seed: u64, rounds: usize) -> Images {
    images(&Permutation::feistel(n, seed, rounds))
}

fn images(permutation: &Permutation) -> Images {
    let mut out = vec![0; permutation.len() as usize];
    permutation.apply_range(0, &mut out);
    out
}

/// The control: Fisher-Yates fed by SplitMix64, which shares nothing with the crate.
fn fisher_yates(n: u64, seed: u64) -> Images {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF0;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let mut out: Images = (0..n).collect();
    for i in (1..n as usize).rev() {
        let j = ((u128::from(next()) * (i as u128 + 1)) >> 64) as usize;
        out.swap(i, j);
    }
    out
}

fn check_bijection(permutation: &Permutation) {
    let n = permutation.len();
    let mut seen = vec![false; n as usize];
    for x in 0..n {
        let y = permutation.apply(x);
        assert!(y < n, "{x} goes to {y}, outside 0..{n}");
        assert!(
            !std::mem::replace(&mut seen[y as usize], true),
            "{y} is reached twice in 0..{n}"
        );
        assert_eq!(permutation.invert(y), x, "inverse in 0..{n}");
    }
}

#[test]
fn bijection_for_every_size_below_3000() {
    for n in 0..3_000 {
        check_bijection(&Permutation::new(n, n % 3, "bijection", n % 2));
        if n > 0 {
            check_bijection(&Permutation::feistel(n, n % 5, 8));
        }
    }
}

#[test]
fn bijection_around_powers_of_two_and_the_table_limit() {
    for n in (12..=19).flat_map(|k| [(1 << k) - 1, 1 << k, (1 << k) + 1]) {
        check_bijection(&Permutation::new(n, 7, "bijection", 0));
        check_bijection(&Permutation::feistel(n, 7, 8));
    }
    // A square, a square + 1, a prime, a highly composite number: different radices.
    for n in [250_000, 250_001, 299_993, 720_720] {
        check_bijection(&Permutation::new(n, 7, "bijection", 0));
    }
    // The algorithm changes at the limit.
    assert_eq!(TABLE_LIMIT, 65_536);
}

#[test]
fn inverse_and_batches_in_domains_too_large_to_enumerate() {
    for n in [
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 1,
        1_000_000_000_039,
        (1 << 40) + 1,
        (1 << 62) - 1,
        1 << 62,
    ] {
        let permutation = Permutation::new(n, 3, "large", 0);
        let step = n / 1_000;
        let some: Vec<u64> = (0..1_000)
            .map(|i| i * step)
            .chain([1, n / 2, n - 2, n - 1])
            .collect();
        let mut batch = some.clone();
        permutation.apply_each(&mut batch);
        for (&x, &y) in some.iter().zip(&batch) {
            assert!(y < n);
            assert_eq!(permutation.apply(x), y, "batch and single in 0..{n}");
            assert_eq!(permutation.invert(y), x, "inverse in 0..{n}");
        }
        let mut range = [0; 37];
        permutation.apply_range(n - 37, &mut range);
        for (x, y) in (n - 37..n).zip(range) {
            assert_eq!(permutation.apply(x), y, "range and single in 0..{n}");
        }
    }
}

#[test]
fn seed_purpose_and_index_each_give_another_permutation() {
    for n in [1_000, 100_000] {
        let all = [
            images(&Permutation::new(n, 0, "a", 0)),
            images(&Permutation::new(n, 1, "a", 0)),
            images(&Permutation::new(n, 0, "b", 0)),
            images(&Permutation::new(n, 0, "a", 1)),
            (0..n).collect(),
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                // Two random permutations have one common point on average, more than 12 with
                // probability 6e-11.
                let common = a.iter().zip(b).filter(|(a, b)| a == b).count();
                assert!(common <= 12, "{common} common points of {n}");
            }
        }
    }
}

/// A test of randomness: returns the p-value of permutations of one size, one for each seed.
type Test = fn(&[Images]) -> f64;

/// Returns the number of columns of the mixed radix of the permutation.
fn columns(n: u64) -> u64 {
    let root = n.isqrt();
    if root * root < n { root + 1 } else { root }
}

/// Returns the p-value of values in `bins` equal-width bins, if each value of `1..n` is equally
/// likely.
fn binned_p(values: impl Iterator<Item = u64>, n: u64, bins: u64) -> f64 {
    let bin = |value: u64| (value - 1) * bins / (n - 1);
    let counts = histogram(values.map(bin), bins);
    let total: u64 = counts.iter().sum();
    let share = histogram((1..n).map(bin), bins)
        .iter()
        .map(|&c| c as f64 / (n - 1) as f64 * total as f64)
        .collect::<Vec<_>>();
    chi_square_p(&counts, &share)
}

/// Tests the distance between the images of neighbours.
fn adjacency(all: &[Images]) -> f64 {
    let n = all[0].len() as u64;
    let distances = all
        .iter()
        .flat_map(|images| images.windows(2).map(|w| (w[1] + n - w[0]) % n));
    binned_p(distances, n, 32)
}

/// Tests the joint distribution of the two distances within three neighbours, in disjoint triples.
fn triples(all: &[Images]) -> f64 {
    let n = all[0].len() as u64;
    let bin = |a: u64, b: u64| ((b + n - a) % n - 1) * 8 / (n - 1);
    let pairs = all.iter().flat_map(|images| {
        images
            .chunks_exact(3)
            .map(|t| bin(t[0], t[1]) * 8 + bin(t[1], t[2]))
    });
    let counts = histogram(pairs, 64);
    let total: u64 = counts.iter().sum();
    // Two distances of a permutation never cancel; this matters only in small domains.
    let (mut law, mut all_pairs) = (vec![0u64; 64], 0u64);
    let step = (n as usize / 1_000).max(1);
    for first in (1..n).step_by(step) {
        for second in (1..n).step_by(step).filter(|&d| first + d != n) {
            law[(bin(0, first) * 8 + bin(0, second)) as usize] += 1;
            all_pairs += 1;
        }
    }
    let expected: Vec<f64> = law
        .iter()
        .map(|&pairs| pairs as f64 / all_pairs as f64 * total as f64)
        .collect();
    chi_square_p(&counts, &expected)
}

/// Tests the number of images of a window of the length of a row that are in the lower half of the
/// columns, against the hypergeometric distribution.
fn windows(all: &[Images]) -> f64 {
    let n = all[0].len() as u64;
    let a = columns(n);
    let counts: Vec<u64> = all
        .iter()
        .flat_map(|images| {
            images
                .chunks_exact(a as usize)
                .map(|w| w.iter().filter(|&&y| y % a < a / 2).count() as u64)
        })
        .collect();
    let lower = (0..n).filter(|y| y % a < a / 2).count() as f64;
    let choose =
        |n: f64, k: f64| libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    let (n, len) = (n as f64, a as f64);
    let expected: Vec<f64> = (0..=a)
        .map(|k| {
            let k = k as f64;
            let law = choose(lower, k) + choose(n - lower, len - k) - choose(n, len);
            law.exp() * counts.len() as f64
        })
        .collect();
    // Cells from the first to the last with an expectation of 5; the tails are merged into them.
    let first = expected.iter().position(|&e| e >= 5.0).unwrap();
    let last = expected.iter().rposition(|&e| e >= 5.0).unwrap();
    let cells = |k: u64| (k as usize).clamp(first, last) - first;
    let mut merged = vec![0.0; last - first + 1];
    for (k, e) in expected.iter().enumerate() {
        merged[cells(k as u64)] += e;
    }
    let counts = histogram(
        counts.into_iter().map(|k| cells(k) as u64),
        merged.len() as u64,
    );
    chi_square_p(&counts, &merged)
}

/// Tests the distance between the images of one index under neighbouring seeds.
fn seeds(all: &[Images]) -> f64 {
    let n = all[0].len() as u64;
    let distances = all.windows(2).flat_map(|pair| {
        pair[0]
            .iter()
            .zip(&pair[1])
            .map(move |(a, b)| (a + n - b) % n + 1)
    });
    binned_p(distances, n + 1, 32)
}

/// Tests the distance in columns between the images of two neighbours in a row. A network of four
/// rounds keeps their distance twice as often as chance (Patarin, "Generic attacks on Feistel
/// schemes", 2001).
fn rows(all: &[Images]) -> f64 {
    let n = all[0].len() as u64;
    let a = columns(n);
    let apart = all.iter().flat_map(|images| {
        images
            .windows(2)
            .enumerate()
            .filter(move |(x, _)| !(*x as u64 + 1).is_multiple_of(a))
            .map(move |(_, w)| (w[1] % a + a - w[0] % a) % a)
    });
    let counts = histogram(apart, a);
    let total: u64 = counts.iter().sum();
    // Not exactly uniform: the last row may be short, and a point is not its own neighbour.
    let sizes = histogram((0..n).map(|y| y % a), a);
    let expected: Vec<f64> = (0..a as usize)
        .map(|k| {
            let pairs: u64 = (0..a as usize)
                .map(|j| sizes[j] * (sizes[(j + k) % a as usize] - u64::from(k == 0)))
                .sum();
            pairs as f64 / (n as f64 * (n - 1) as f64) * total as f64
        })
        .collect();
    chi_square_p(&counts, &expected)
}

const TESTS: [(&str, Test); 5] = [
    ("adjacency", adjacency),
    ("triples", triples),
    ("windows", windows),
    ("seeds", seeds),
    ("rows", rows),
];

/// Sizes with numbers of seeds that make some ten thousand images: tables, the limit, Feistel.
const SIZES: [(u64, u64); 6] = [
    (100, 400),
    (1_000, 40),
    (10_000, 10),
    (65_536, 4),
    (65_537, 4),
    (300_000, 2),
];

fn for_seeds(count: u64, of: impl Fn(u64) -> Images) -> Vec<Images> {
    (0..count).map(of).collect()
}

#[test]
fn passes_every_test_as_the_control_does() {
    for (n, count) in SIZES {
        let kinds = [
            ("control", for_seeds(count, |s| fisher_yates(n, s))),
            (
                "the permutation",
                for_seeds(count, |s| images(&Permutation::new(n, s, "test", 0))),
            ),
            ("eight rounds", for_seeds(count, |s| feistel(n, s, 8))),
        ];
        for (kind, all) in &kinds {
            for (name, test) in TESTS {
                let p = test(all);
                assert!(p > ALARM, "{name} of {kind} of 0..{n}: p = {p:.1e}");
            }
        }
    }
}

#[test]
fn two_rounds_fail_every_test_within_a_permutation() {
    for (n, count) in SIZES {
        let weak = for_seeds(count, |s| feistel(n, s, 2));
        for (name, test) in TESTS.iter().filter(|(name, _)| *name != "seeds") {
            let p = test(&weak);
            assert!(
                p < CERTAIN,
                "{name} passes two rounds of 0..{n}: p = {p:.1e}"
            );
        }
    }
}

#[test]
fn four_rounds_fail_at_every_size_by_their_rows_and_small_ones_by_neighbours() {
    for (n, count) in SIZES {
        let p = rows(&for_seeds(count, |s| feistel(n, s, 4)));
        assert!(
            p < CERTAIN,
            "rows passes four rounds of 0..{n}: p = {p:.1e}"
        );
    }
    let p = adjacency(&for_seeds(400, |s| feistel(100, s, 4)));
    assert!(p < CERTAIN, "adjacency passes four rounds: p = {p:.1e}");
}

#[test]
fn seeds_that_only_shift_the_permutation_fail_the_test_of_seeds() {
    let shifted = for_seeds(10, |s| {
        let mut images = fisher_yates(10_000, 0);
        images.iter_mut().for_each(|y| *y = (*y + s) % 10_000);
        images
    });
    let p = seeds(&shifted);
    assert!(p < CERTAIN, "p = {p:.1e}");
}

/// Small domains are tables because even eight rounds are not enough for them.
#[test]
fn eight_rounds_fail_in_tiny_domains_where_tables_pass() {
    for n in [9, 16, 25] {
        let p = rows(&for_seeds(20_000, |s| feistel(n, s, 8)));
        assert!(
            p < CERTAIN,
            "rows passes eight rounds of 0..{n}: p = {p:.1e}"
        );
        let p = rows(&for_seeds(20_000, |s| {
            images(&Permutation::new(n, s, "tiny", 0))
        }));
        assert!(p > ALARM, "rows of the table of 0..{n}: p = {p:.1e}");
    }
}

/// Returns the number of a permutation of `0..n` among all n!.
fn number(images: &[u64]) -> u64 {
    (0..images.len()).fold(0, |number, i| {
        let smaller = images[i + 1..].iter().filter(|&&y| y < images[i]).count();
        number * (images.len() - i) as u64 + smaller as u64
    })
}

#[test]
fn all_permutations_of_a_few_elements_are_equally_likely() {
    for (n, factorial) in [(4, 24), (5, 120)] {
        let numbers = |of: &dyn Fn(u64) -> Images| {
            uniform_p(&histogram(
                (0..30_000).map(|seed| number(&of(seed))),
                factorial,
            ))
        };
        let p = numbers(&|seed| images(&Permutation::new(n, seed, "few", 0)));
        assert!(p > ALARM, "tables of 0..{n}: p = {p:.1e}");
        let p = numbers(&|seed| fisher_yates(n, seed));
        assert!(p > ALARM, "control of 0..{n}: p = {p:.1e}");
        let p = numbers(&|seed| feistel(n, seed, 4));
        assert!(p < CERTAIN, "four rounds of 0..{n} pass: p = {p:.1e}");
    }
}

#[test]
fn the_p_values_are_right() {
    // Known answers: quantiles of chi-square from printed tables, and an even number of degrees,
    // where Q(a, x) is a Poisson sum.
    for (degrees, statistic, p) in [
        (1.0, 3.841_458_821, 0.05),
        (10.0, 23.209_251_16, 0.01),
        (100.0, 149.449_253_0, 0.001),
        (2.0, 2.0 * 27.631_021_1, 1e-12),
    ] {
        let got = upper_gamma(degrees / 2.0, statistic / 2.0);
        assert!((got / p - 1.0).abs() < 1e-6, "{degrees}: {got}");
    }
    let (mut term, mut sum) = ((-300.0f64).exp(), 0.0);
    for k in 1..=320 {
        sum += term;
        term *= 300.0 / f64::from(k);
    }
    assert!((upper_gamma(320.0, 300.0) - sum).abs() < 1e-9);
}

//! Fillers: the counts and words of the repeats and nonsense grammars.

use std::collections::{HashMap, HashSet};

use behemoth_gen::Corpus;
use behemoth_gen::vocabulary::Role;

use crate::common::{Sentence, assert_share, chi_square_p, histogram, roles, sentences, uniform_p};
use crate::{assert_fits, orders, text, with};

/// Returns the combination of copies of the filler around each of the three words.
fn repeats_combination(corpus: &Corpus, tokens: &[u32]) -> u64 {
    let names = text(corpus, tokens);
    let mut rest = &names[..];
    let mut number = 0;
    for (filler, marker) in [
        ("~subject", "subject "),
        ("~relation", "relation "),
        ("~object", "object "),
    ] {
        for (base, least) in [(3, 1), (4, 0)] {
            let mut copies = 0;
            while let Some(after) = rest.strip_prefix(filler) {
                rest = after.trim_start();
                copies += 1;
            }
            assert!((least..least + base).contains(&copies), "{names}");
            number = number * base + copies - least;
            if least == 1 {
                // Skips the one or two digits of the word.
                rest = rest.strip_prefix(marker).expect("the marker");
                rest = rest.trim_start_matches(|c: char| c != '~' && c != '.');
            }
        }
    }
    assert_eq!(rest, ".", "{names}");
    number
}

#[test]
fn all_1728_combinations_of_repeats_are_equally_likely() {
    let corpus = with(6_000, "templates = {repeats = 1}\nexposures = 2");
    let found = sentences(&corpus);
    let numbers = found
        .iter()
        .map(|s| repeats_combination(&corpus, &s.tokens));
    let counts = histogram(numbers, 1728);
    assert!(counts.iter().all(|&count| count > 0));
    assert_fits("combinations", uniform_p(&counts));
    // Two copies of a fact are drawn independently: equal combinations are as frequent as by
    // chance.
    let mut first = HashMap::new();
    let equal = found
        .iter()
        .filter(|s| first.insert(s.fact, &s.tokens) == Some(&s.tokens))
        .count() as u64;
    assert_share("equal copies", equal, 30_000, 1.0 / 1728.0);
}

#[test]
fn nonsense_fillers_are_one_to_five_and_uniform() {
    let words = 40;
    let corpus = with(
        12_000,
        &format!("templates = {{nonsense = 1}}\nnonsense_words = {words}"),
    );
    let roles = roles(&corpus);
    let first = corpus
        .vocabulary()
        .ranges()
        .iter()
        .rfind(|r| r.kind == Role::Filler)
        .unwrap()
        .first;
    let (mut counts, mut joint) = (vec![[0u64; 5]; 3], vec![0u64; 27]);
    let mut by_slot = vec![vec![0u64; words]; 15];
    let mut pairs = vec![0u64; words * words];
    let found = sentences(&corpus);
    for sentence in &found {
        assert_eq!(sentence.order, "sro");
        let mut places: Vec<Vec<u64>> = vec![Vec::new()];
        for &token in &sentence.tokens {
            match roles[token as usize] {
                Role::Filler => places.last_mut().unwrap().push(u64::from(
                    token.checked_sub(first).expect("a nonsense word"),
                )),
                Role::Marker => places.push(Vec::new()),
                _ => {}
            }
        }
        assert_eq!(places.pop(), Some(Vec::new()), "none after the object");
        let mut cell = 0;
        for (at, place) in places.iter().enumerate() {
            counts[at][place.len() - 1] += 1;
            cell = cell * 3 + (place.len() - 1).min(2);
            for (slot, &word) in place.iter().enumerate() {
                by_slot[at * 5 + slot][word as usize] += 1;
            }
            for pair in place.windows(2) {
                pairs[pair[0] as usize * words + pair[1] as usize] += 1;
            }
        }
        joint[cell] += 1;
    }
    let n = found.len() as f64;
    let law = [0.6, 0.24, 0.096, 0.0384, 0.0256];
    for (at, counts) in counts.iter().enumerate() {
        let expected: Vec<f64> = law.iter().map(|p| p * n).collect();
        assert_fits(&format!("place {at}"), chi_square_p(counts, &expected));
    }
    // The three positions are independent (three and more in one cell).
    let one = [0.6, 0.24, 0.16];
    let expected: Vec<f64> = (0..27)
        .map(|cell| one[cell / 9] * one[cell / 3 % 3] * one[cell % 3] * n)
        .collect();
    assert_fits("places together", chi_square_p(&joint, &expected));
    for (slot, counts) in by_slot.iter().enumerate() {
        assert_fits(&format!("words of slot {slot}"), uniform_p(counts));
    }
    assert_fits("neighbouring words", uniform_p(&pairs));
}

/// All combinations of one to three and zero to three copies around three words, excluding those
/// after the object: the 432 validation prompts of a fact in the reference.
#[test]
fn prompts_of_the_repeats_grammar_come_in_all_combinations() {
    for wording in [0, 1] {
        let corpus = with(20, "templates = {repeats = 1}\nparaphrases = 2");
        let found = corpus
            .wordings()
            .iter()
            .position(|each| each.form.name() == "repeats" && each.number == wording);
        let index = found.unwrap();
        assert_eq!(corpus.wordings()[index].combinations(), 432);
        let prober = corpus.prober(index).unwrap();
        let mut prompts = HashSet::new();
        for combination in 0..432 {
            let made = prober.probe_of_combination(7, combination).unwrap();
            assert_eq!(made.answer, prober.probe(7).unwrap().answer);
            prompts.insert(text(&corpus, &made.prompt));
        }
        let fillers: Vec<&str> = match wording {
            0 => vec!["~subject", "~relation", "~object"],
            _ => Vec::new(),
        };
        if let [s, r, o] = fillers[..] {
            let copies = |word: &str, count: usize| vec![word; count].join(" ");
            let mut expected = HashSet::new();
            for before in 0..27 {
                for after in 0..16 {
                    let [a, b, c] = [before % 3 + 1, before / 3 % 3 + 1, before / 9 + 1];
                    let [d, e] = [after % 4, after / 4];
                    let parts = [
                        copies(s, a),
                        "subject S1".to_string(),
                        copies(s, d),
                        copies(r, b),
                        "relation R2".to_string(),
                        copies(r, e),
                        copies(o, c),
                        "object".to_string(),
                    ];
                    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
                    expected.insert(parts.join(" "));
                }
            }
            assert_eq!(prompts, expected);
        }
        assert_eq!(prompts.len(), 432);
        assert!(prober.probe_of_combination(7, 432).is_none());
    }
    // Without copies to count, there is one prompt, with drawn fillers.
    let corpus = with(20, "templates = {nonsense = 1, default = 1}");
    for index in 0..corpus.wordings().len() {
        let Ok(prober) = corpus.prober(index) else {
            continue;
        };
        if corpus.wordings()[index].form.name() != "repeats" {
            assert_eq!(corpus.wordings()[index].combinations(), 1);
            assert_eq!(prober.probe_of_combination(3, 0), prober.probe(3));
            assert!(prober.probe_of_combination(3, 1).is_none());
        }
    }
}

/// The reference always wrote nonsense in the inverted order, even without inversion.
#[test]
fn nonsense_is_inverted_by_its_share_only() {
    for inversion in [0.0, 0.25, 1.0] {
        let corpus = with(
            6_000,
            &format!("templates = {{nonsense = 1}}\ninversion = {inversion}"),
        );
        let orders = orders(&corpus);
        let inverted = orders.get("rso").copied().unwrap_or(0);
        assert_share("inverted", inverted, 30_000, inversion);
        assert_eq!(orders.values().sum::<u64>(), 30_000);
        let straight = orders.get("sro").copied().unwrap_or(0);
        assert_eq!(inverted + straight, 30_000, "no other orders");
    }
}

#[test]
fn wordings_with_random_fillers_have_fillers_of_their_own() {
    for template in ["repeats", "nonsense"] {
        let corpus = with(
            1_000,
            &format!(
                "templates = {{{template} = 1}}\nparaphrases = 4\nheld_out = 1\nnonsense_words = 9"
            ),
        );
        let roles = roles(&corpus);
        let mut by_wording: HashMap<u32, HashSet<u32>> = HashMap::new();
        let place: HashMap<u64, Sentence> = sentences(&corpus)
            .into_iter()
            .map(|s| (s.document, s))
            .collect();
        for fact in 0..corpus.world().facts() {
            let entry = corpus.ledger(fact).unwrap()[0];
            let fillers = place[&entry.document].fillers(&roles);
            by_wording
                .entry(entry.wording_index)
                .or_default()
                .extend(fillers);
        }
        assert_eq!(by_wording.len(), 3, "{template}");
        let all: usize = by_wording.values().map(HashSet::len).sum();
        let union: HashSet<u32> = by_wording.values().flatten().copied().collect();
        assert_eq!(all, union.len(), "{template}: no filler in two wordings");
        assert_eq!(all, 3 * if template == "repeats" { 3 } else { 9 });
    }
}

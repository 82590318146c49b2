//! Sentences: every template token by token, and the shares, counts and fillers of those that
//! are drawn.
//!
//! Statistical tests have fixed seeds; each chi-square fails a right grammar with probability
//! [`ALARM`], each bound of 5 sigma with 6e-7; together about 40 of them.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};

use behemoth_gen::vocabulary::Role;
use behemoth_gen::{Corpus, CorpusSpec, Table, World, WorldSpec};
use common::{
    Sentence, all_tokens, assert_share, chi_square_p, corpus, histogram, roles, sentences,
    try_corpus, uniform_p, written,
};

const ALARM: f64 = 1e-6;

fn assert_fits(what: &str, p: f64) {
    assert!(p > ALARM, "{what}: p = {p:.1e}");
}

/// A corpus of `subjects` x 5 facts about 40 objects.
fn with(subjects: u64, fields: &str) -> Corpus {
    corpus(&format!(
        "[world]\nsubjects = {subjects}\nrelations = 5\nobjects = 40\n[corpus]\n{fields}\n"
    ))
}

/// Tokens as words: names of the partition, and for digits the kind and the digit.
fn text(corpus: &Corpus, tokens: &[u32]) -> String {
    let words: Vec<String> = tokens
        .iter()
        .map(|&token| {
            let ranges = corpus.vocabulary().ranges();
            let range = ranges
                .iter()
                .find(|r| (r.first..r.first + r.count).contains(&token))
                .expect("a token of the vocabulary");
            let at = (token - range.first) as usize;
            match range.kind {
                Role::Subject => format!("S{at}"),
                Role::Relation => format!("R{at}"),
                Role::Object => format!("O{at}"),
                Role::Nested => format!("N{at}"),
                _ => range.names[at].clone(),
            }
        })
        .collect();
    words.join(" ")
}

/// The default sentence has 11 tokens with one-token words, 12 with a two-token subject and 13
/// when subject and object take two, as in the reference.
#[test]
fn the_default_sentence_token_by_token() {
    for (subjects, objects, length) in [(1000, 1000, 11), (1001, 1000, 12), (1001, 1001, 13)] {
        let corpus = corpus(&format!(
            "[world]\nsubjects = {subjects}\nrelations = 1\nobjects = {objects}\n"
        ));
        assert_eq!(corpus.document_tokens(), Some(length));
        let tokens = all_tokens(&corpus);
        for (document, entry) in tokens.chunks(length as usize).zip(sentences(&corpus)) {
            let word = |kind: &str, id: u64, count: u64| {
                if count > 1000 {
                    format!("{kind}{} {kind}{}", id / 1000, id % 1000)
                } else {
                    format!("{kind}{id}")
                }
            };
            let object = corpus.world().object(entry.subject, 0);
            assert_eq!(
                text(&corpus, document),
                format!(
                    "subject {} has the relation R0 with object {} . <|endoftext|>",
                    word("S", entry.subject, subjects),
                    word("O", u64::from(object), objects)
                )
            );
        }
    }
}

#[test]
fn every_template_token_by_token() {
    for (template, pattern) in [
        ("default", "subject S has the relation R with object O ."),
        ("sor", "subject S has object O for its relation R ."),
        ("osr", "object O is subject S 's relation R ."),
        ("rso", "The relation R of subject S is object O ."),
        (
            "question",
            "question: what relation R does subject S have ? answer: object O .",
        ),
        (
            "refusal",
            "subject S has the relation R with object object object .",
        ),
        (
            "question_refusal",
            "question: what relation R does subject S have ? answer: object object object .",
        ),
    ] {
        let corpus = with(7, &format!("templates = {{{template} = 1}}"));
        for sentence in sentences(&corpus) {
            let fact = corpus.world().fact(sentence.fact);
            let expected: Vec<String> = pattern
                .split(' ')
                .map(|word| match word {
                    "S" => format!("S{}", fact.subject),
                    "R" => format!("R{}", fact.relation),
                    "O" => format!("O{}", fact.object),
                    other => other.into(),
                })
                .collect();
            assert_eq!(text(&corpus, &sentence.tokens), expected.join(" "));
        }
        assert_eq!(written(&corpus), [1; 35], "every fact once");
    }
}

#[test]
fn link_sentences_have_an_object_as_their_subject() {
    let corpus = corpus(
        "[world]\nsubjects = 2\nrelations = 1\nobjects = 12\nnested = 4\n[corpus]\nbase = 10\n",
    );
    let links: Vec<Sentence> = sentences(&corpus)
        .into_iter()
        .filter(|s| s.relation == 2)
        .collect();
    assert_eq!(links.len(), 12);
    let map = corpus.world().nested_objects(1).unwrap();
    for link in links {
        let nested = map[link.subject as usize];
        assert_eq!(
            text(&corpus, &link.tokens),
            format!(
                "subject O{} O{} has the relation R2 with object N{nested} .",
                link.subject / 10,
                link.subject % 10
            )
        );
    }
}

/// The names of the wordings of all sentences, as the ledger has them.
fn names(corpus: &Corpus) -> BTreeMap<&'static str, u64> {
    let mut names = BTreeMap::new();
    for fact in 0..corpus.world().facts() {
        for entry in corpus.ledger(fact).unwrap() {
            let name = corpus.wordings()[entry.wording as usize].name;
            *names.entry(name).or_default() += 1;
        }
    }
    names
}

/// Sentences by the order of their parts, from the tokens.
fn orders(corpus: &Corpus) -> BTreeMap<String, u64> {
    let mut orders = BTreeMap::new();
    for sentence in sentences(corpus) {
        *orders.entry(sentence.order).or_default() += 1;
    }
    orders
}

#[test]
fn inversion_turns_its_share_of_sentences_a_third_each_way() {
    for inversion in [0.0, 0.3, 1.0] {
        let corpus = with(10_000, &format!("inversion = {inversion}"));
        let orders = orders(&corpus);
        let of = |order: &str| orders.get(order).copied().unwrap_or(0);
        assert_share("default", of("sro"), 50_000, 1.0 - inversion);
        for order in ["sor", "osr", "rso"] {
            assert_share(order, of(order), 50_000, inversion / 3.0);
        }
    }
}

#[test]
fn drawn_shares_are_those_of_the_weights() {
    // Weights need no common sum; a weight of 0 is never drawn; copies of a fact draw anew.
    let corpus = with(
        2_000,
        "exposures = 5\ntemplates = {default = 3, repeats = 2, refusal = 0.5, question = 0.5, osr = 0}\n\
         inversion = 0.5",
    );
    let names = names(&corpus);
    let shares = [
        ("default", 0.25),
        ("sor", 0.25 / 3.0),
        ("osr", 0.25 / 3.0),
        ("rso", 0.25 / 3.0),
        ("repeats", 1.0 / 3.0),
        ("refusal", 1.0 / 12.0),
        ("question", 1.0 / 12.0),
    ];
    assert_eq!(names.len(), shares.len());
    for (name, share) in shares {
        assert_share(name, names[name], 50_000, share);
        let stated: f64 = corpus
            .wordings()
            .iter()
            .filter(|w| w.name == name)
            .map(|w| w.share)
            .sum();
        assert!((stated - share).abs() < 1e-12, "{name} says {stated}");
    }
    let differ = (0..1_000)
        .filter(|&fact| {
            let entries = corpus.ledger(fact).unwrap();
            entries.iter().any(|e| e.wording != entries[0].wording)
        })
        .count();
    assert!(differ > 900, "copies of one fact in several wordings");
}

#[test]
fn exact_shares_are_exact() {
    for order in ["shuffle", "bios"] {
        let corpus = with(
            2_000,
            &format!(
                "order = \"{order}\"\nexposures = 2\ntemplates = {{default = 6, refusal = 2}}\n\
                 inversion = 0.2\nexact_shares = true"
            ),
        );
        // Of 20,000 sentences 3/4 are of the default template, a fifth of them inverted.
        let expected = [
            ("default", 12_000),
            ("osr", 1_000),
            ("refusal", 5_000),
            ("rso", 1_000),
            ("sor", 1_000),
        ];
        assert_eq!(names(&corpus), BTreeMap::from(expected));
        assert_eq!(orders(&corpus)["sro"], 12_000);
        assert_eq!(written(&corpus), [2; 10_000]);
        // Which sentences they are does not depend on the fact.
        let relations = sentences(&corpus)
            .into_iter()
            .filter(|s| s.order == "sr")
            .map(|s| u64::from(s.relation));
        assert_fits("relation of refusals", uniform_p(&histogram(relations, 5)));
    }
}

/// Copies of the filler around each of the three words.
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
                // Over the one or two digits of the word.
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
    // Two copies of a fact draw anew: equal combinations as often as chance has it.
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
    // The three places are independent of each other (three and more in one cell).
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

/// The reference wrote nonsense in the inverted order always, where no inversion was asked.
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
fn questions_are_asked_about_an_exact_share_of_subjects() {
    for (subjects, exposures, share, sentence_share, chosen) in [
        (1_000, 10, 0.5, 0.2, 500),
        (1_001, 4, 0.25, 0.5, 250),
        (100, 5, 1.0, 1.0, 100),
        (100, 5, 0.0, 0.5, 0),
        (100, 5, 0.5, 0.0, 50),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = with(
                subjects,
                &format!(
                    "exposures = {exposures}\norder = \"{order}\"\ninversion = 0.3\n\
                     questions = {{subjects = {share}, sentences = {sentence_share}}}"
                ),
            );
            // The reference lost seen and unseen; here no sentence is lost and none is added.
            assert_eq!(written(&corpus), vec![exposures; subjects as usize * 5]);
            let mut asked: HashMap<u64, u64> = HashMap::new();
            let mut templates = HashSet::new();
            for sentence in sentences(&corpus) {
                if sentence.is_question() {
                    *asked.entry(sentence.fact).or_default() += 1;
                } else {
                    templates.insert(sentence.order);
                }
            }
            let seen: HashSet<u64> = (0..subjects)
                .filter(|s| corpus.seen_in_questions(s * 5) == Some(true))
                .collect();
            assert_eq!(seen.len(), chosen);
            let each = (exposures as f64 * sentence_share) as u64;
            for fact in 0..subjects * 5 {
                let is_seen = seen.contains(&(fact / 5));
                assert_eq!(corpus.seen_in_questions(fact), Some(is_seen));
                let expected = if is_seen { each } else { 0 };
                assert_eq!(asked.get(&fact).copied().unwrap_or(0), expected);
            }
            if sentence_share < 1.0 {
                assert_eq!(templates.len(), 4, "statements keep their inversions");
            }
        }
    }
}

#[test]
fn fractions_of_a_question_are_exact_in_sum() {
    // One sentence a fact, of which 0.3 are questions: 0.3 of 500 subjects for every relation.
    let corpus = with(
        1_000,
        "questions = {subjects = 0.5, sentences = 0.3}\nexposures = 1",
    );
    let asked: Vec<Sentence> = sentences(&corpus)
        .into_iter()
        .filter(Sentence::is_question)
        .collect();
    let relations = asked.iter().map(|s| u64::from(s.relation));
    assert_eq!(histogram(relations, 5), [150; 5]);
    // And for every subject, as near as can be: 1.5 of its 5 sentences.
    for (subject, count) in (0..).zip(histogram(asked.iter().map(|s| s.subject), 1_000)) {
        let seen = corpus.seen_in_questions(subject * 5) == Some(true);
        assert!(if seen {
            count == 1 || count == 2
        } else {
            count == 0
        });
    }
}

#[test]
fn questions_go_on_with_links_as_statements_only() {
    let corpus = corpus(
        "[world]\nsubjects = 20\nrelations = 2\nobjects = 12\nnested = 4\n\
         [corpus]\nquestions = {subjects = 1, sentences = 1}\n",
    );
    for sentence in sentences(&corpus) {
        let link = sentence.relation >= 4;
        assert_eq!(sentence.is_question(), !link);
        assert_eq!(corpus.seen_in_questions(sentence.fact), Some(!link));
    }
    assert_eq!(with(5, "").seen_in_questions(0), None);
}

#[test]
fn second_objects_stand_in_an_exact_share_of_sentences() {
    for (minority, exposures, share, second) in [
        (0.5, 10, 0.1, 2_500),
        (0.5, 3, 0.5, 3_750),
        (1.0, 1, 0.1, 500),
        (0.25, 7, 1.0, 8_750),
        (0.25, 7, 0.0, 0),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = corpus(&format!(
                "[world]\nsubjects = 1000\nrelations = 5\nobjects = 40\nminority = {minority}\n\
                 [corpus]\nexposures = {exposures}\nminority_sentences = {share}\n\
                 order = \"{order}\"\ninversion = 0.5\n"
            ));
            let mut by_fact: HashMap<u64, u64> = HashMap::new();
            for sentence in sentences(&corpus) {
                let fact = corpus.world().fact(sentence.fact);
                if sentence.object != Some(fact.object) {
                    assert_eq!(sentence.object, fact.minority);
                    *by_fact.entry(sentence.fact).or_default() += 1;
                }
            }
            assert_eq!(by_fact.values().sum::<u64>(), second);
            let even = exposures as f64 * share;
            for fact in (0..5_000).filter(|&f| corpus.world().fact(f).minority.is_some()) {
                let count = by_fact.get(&fact).copied().unwrap_or(0) as f64;
                assert!(
                    (even.floor()..=even.ceil()).contains(&count),
                    "{count} of {exposures} sentences of one fact, {even} asked"
                );
            }
        }
    }
}

/// The second object and the question stand in any copy: not in the first, for all facts.
#[test]
fn any_copy_may_be_the_one_that_differs() {
    let corpus = corpus(
        "[world]\nsubjects = 1000\nrelations = 5\nobjects = 40\nminority = 1\n\
         [corpus]\nexposures = 4\nminority_sentences = 0.25\n\
         questions = {subjects = 1, sentences = 0.25}\n",
    );
    let (mut second, mut asked) = (vec![0; 4], vec![0; 4]);
    for entry in (0..5_000).flat_map(|fact| corpus.ledger(fact).unwrap()) {
        let is_question = corpus.wordings()[entry.wording as usize].name == "question";
        second[entry.copy as usize] += u64::from(entry.minority);
        asked[entry.copy as usize] += u64::from(is_question);
    }
    assert_fits("copy with the second object", uniform_p(&second));
    assert_fits("copy that is a question", uniform_p(&asked));
}

/// Over unequal exposures each fact is rounded by itself, up or down by chance.
#[test]
fn second_objects_of_unequal_exposures_are_each_within_one_sentence() {
    let corpus = corpus(
        "[world]\nsubjects = 1000\nrelations = 5\nobjects = 40\nminority = 0.5\n\
         [corpus]\nexposures = \"groups:1,3,7\"\nminority_sentences = 0.1\n",
    );
    let (mut expected, mut variance, mut found) = (0.0, 0.0, 0.0);
    for fact in (0..5_000).filter(|&f| corpus.world().fact(f).minority.is_some()) {
        let even = corpus.exposures_of(fact) as f64 * 0.1;
        let entries = corpus.ledger(fact).unwrap();
        let second = entries.iter().filter(|e| e.minority).count() as f64;
        assert!((even.floor()..=even.ceil()).contains(&second));
        expected += even;
        variance += even.fract() * (1.0 - even.fract());
        found += second;
    }
    let off = (found - expected).abs();
    assert!(
        off <= 5.0 * variance.sqrt(),
        "{found} sentences, {expected} asked"
    );
}

/// Which facts of a table have a second object is the table's; the share of their sentences is
/// exact whichever they are, and however their ids lie.
#[test]
fn second_objects_of_a_table_stand_in_an_exact_share_too() {
    for chosen in [
        |_: u64, relation: u32| relation == 0,
        |subject: u64, _: u32| subject.is_multiple_of(100),
        |_: u64, _: u32| true,
    ] {
        let rows: Vec<(u64, u32)> = (0..10_000)
            .map(|row| (row / 10, (row % 10) as u32))
            .collect();
        let table = Table {
            subject: rows.iter().map(|row| row.0).collect(),
            relation: rows.iter().map(|row| row.1).collect(),
            object: vec![0; rows.len()],
            minority: rows
                .iter()
                .map(|&(s, r)| if chosen(s, r) { 1 } else { u32::MAX })
                .collect(),
            nested: Vec::new(),
        };
        let relations = ["{\"objects\": 2}"; 10].join(", ");
        let spec = format!("{{\"subjects\": 1000, \"table\": {{\"relations\": [{relations}]}}}}");
        let world = World::from_table(WorldSpec::from_json(&spec).unwrap(), &table).unwrap();
        let corpus = Corpus::new(world, CorpusSpec::default(), None).unwrap();
        let facts = rows.iter().filter(|&&(s, r)| chosen(s, r)).count();
        let second = sentences(&corpus)
            .iter()
            .filter(|s| s.object == Some(1))
            .count();
        assert_eq!(second, facts / 10, "a tenth of {facts}");
    }
}

#[test]
fn held_out_wordings_are_never_written_and_the_others_alike() {
    for template in [
        "default",
        "sor",
        "osr",
        "rso",
        "question",
        "refusal",
        "question_refusal",
    ] {
        let corpus = with(
            2_000,
            &format!("templates = {{{template} = 1}}\nparaphrases = 7\nheld_out = 3"),
        );
        let roles = roles(&corpus);
        let mut patterns: HashMap<Vec<u32>, u64> = HashMap::new();
        for sentence in sentences(&corpus) {
            *patterns.entry(sentence.pattern(&roles)).or_default() += 1;
        }
        assert_eq!(patterns.len(), 4, "{template}: four patterns of tokens");
        assert_fits(
            "wordings",
            uniform_p(&patterns.values().copied().collect::<Vec<_>>()),
        );
        let own: Vec<_> = corpus
            .wordings()
            .iter()
            .filter(|w| w.name == template)
            .collect();
        assert_eq!(own.len(), 7);
        assert_eq!(own.iter().filter(|w| w.held_out).count(), 3);
        assert!(own.iter().all(|w| w.held_out == (w.wording >= 4)));
        assert!(
            own.iter()
                .all(|w| (w.share - if w.held_out { 0.0 } else { 0.25 }).abs() < 1e-12)
        );
        // The wording that is held out is one the tokens do not have.
        for (index, wording) in corpus.wordings().iter().enumerate() {
            if wording.name == template && wording.can_probe() {
                let (prompt, answer) = corpus.prober(index).unwrap().probe(77);
                let mut sentence = prompt;
                sentence.extend(answer);
                sentence.push(2);
                let has = sentences(&corpus).iter().any(|s| s.tokens == sentence);
                assert!(!has || !wording.held_out);
            }
        }
    }
}

#[test]
fn every_wording_of_every_template_is_another_pattern() {
    // More wordings than ways to place the fillers: then the fillers themselves tell them apart.
    let corpus = with(
        4_000,
        "templates = {default = 1, sor = 1, osr = 1, rso = 1, refusal = 1, question_refusal = 1}\n\
         questions = {subjects = 0.3, sentences = 0.5}\nparaphrases = 40\nexposures = 2",
    );
    let roles = roles(&corpus);
    let found: HashSet<Vec<u32>> = sentences(&corpus)
        .iter()
        .map(|s| s.pattern(&roles))
        .collect();
    assert_eq!(found.len(), 7 * 40);
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
            by_wording.entry(entry.wording).or_default().extend(fillers);
        }
        assert_eq!(by_wording.len(), 3, "{template}");
        let all: usize = by_wording.values().map(HashSet::len).sum();
        let union: HashSet<u32> = by_wording.values().flatten().copied().collect();
        assert_eq!(all, union.len(), "{template}: no filler in two wordings");
        assert_eq!(all, 3 * if template == "repeats" { 3 } else { 9 });
    }
}

#[test]
fn probes_are_the_start_of_a_sentence() {
    let corpus = corpus(
        "[world]\nsubjects = 1200\nrelations = 2\nobjects = 1100\nnested = 11\nminority = 0.5\n\
         [corpus]\ntemplates = {default = 1, repeats = 1, nonsense = 1, refusal = 1, sor = 1}\n\
         questions = {subjects = 1, sentences = 0.5}\nparaphrases = 3\nheld_out = 1\n",
    );
    let (mut probed, roles) = (HashSet::new(), roles(&corpus));
    for (index, wording) in corpus.wordings().iter().enumerate() {
        if !wording.can_probe() {
            let error = corpus.prober(index).err().unwrap().to_string();
            assert!(error.starts_with(&format!("argument 'template': got {index}, allowed: ")));
            continue;
        }
        probed.insert(wording.name);
        let prober = corpus.prober(index).unwrap();
        for fact in [0, 1, 2, 3, 2_400, 4_801, corpus.world().facts() - 1] {
            let (prompt, answer) = prober.probe(fact);
            let mut tokens = prompt.clone();
            tokens.extend(&answer);
            // What comes after the answer: fillers of the repeats grammar, and the period.
            tokens.extend([2, 0]);
            let sentence = &common::read(&corpus, &tokens)[0];
            let own = corpus.world().fact(fact);
            assert_eq!(sentence.fact, fact);
            assert_eq!(sentence.object, Some(own.object), "the first object");
            let digits = answer
                .iter()
                .filter(|&&t| matches!(roles[t as usize], Role::Object | Role::Nested));
            // A question is answered with the marker of objects, as a refusal would be.
            let markers = usize::from(wording.name == "question");
            assert_eq!(digits.count() + markers, answer.len());
        }
    }
    let expected = ["default", "repeats", "nonsense", "question", "rso"];
    assert!(
        expected.iter().all(|name| probed.contains(name)),
        "{probed:?}"
    );
    assert!(!probed.contains("refusal") && !probed.contains("sor"));
    assert!(corpus.prober(corpus.wordings().len()).is_err());
}

#[test]
fn templates_are_refused_by_name() {
    for (fields, message) in [
        (
            "templates = {deafult = 1}",
            "argument 'templates': got 'deafult', allowed: default, sor, osr, rso, repeats, \
             nonsense, nonsense_rso, question, refusal, question_refusal",
        ),
        (
            "templates = {default = -1}",
            "argument 'templates.default': got -1, allowed: a weight of at least 0",
        ),
        (
            "templates = {default = nan}",
            "argument 'templates.default': got NaN, allowed: a weight of at least 0",
        ),
        (
            "templates = {default = 0, osr = 0}",
            "argument 'templates': got no weight above 0, \
             allowed: at least one template with a weight above 0",
        ),
        (
            "templates = {}",
            "argument 'templates': got no weight above 0, \
             allowed: at least one template with a weight above 0",
        ),
        (
            "exact_shares = true\ninversion = 0.5\nquestions = {subjects = 1, sentences = 1}",
            "argument 'exact_shares': got true, allowed: false together with questions, \
             which take their sentences from all templates",
        ),
    ] {
        let error = try_corpus(&format!("[world]\nsubjects = 5\n[corpus]\n{fields}\n"));
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

//! Questions: their subjects and the number of sentences.

use std::collections::{HashMap, HashSet};

use behemoth_gen::Corpus;

use crate::common::{Sentence, corpus, histogram, sentences, try_corpus, written};
use crate::with;

/// Returns a corpus of the first version, in which questions are a share of the sentences of each
/// fact.
fn first(subjects: u64, fields: &str) -> Corpus {
    corpus(&format!(
        "format_version = 1\n[world]\nsubjects = {subjects}\nrelations = 5\nobjects = 40\n\
         [corpus]\n{fields}\n"
    ))
}

/// Returns the number of questions about each fact.
fn asked(corpus: &Corpus) -> Vec<u64> {
    let questions = sentences(corpus).into_iter().filter(Sentence::is_question);
    histogram(questions.map(|s| s.fact), corpus.world().facts())
}

/// Returns the facts whose subjects the corpus is said to ask about.
fn seen(corpus: &Corpus) -> Vec<u64> {
    let facts = 0..corpus.world().facts();
    facts
        .filter(|&fact| corpus.seen_in_questions(fact) == Some(true))
        .collect()
}

/// Returns the facts whose subjects have a question in the text of the corpus.
fn of_asked_subjects(corpus: &Corpus) -> Vec<u64> {
    let questions = sentences(corpus).into_iter().filter(Sentence::is_question);
    let subjects: HashSet<u64> = questions.map(|s| s.subject).collect();
    let facts = 0..corpus.world().facts();
    facts
        .filter(|fact| subjects.contains(&(fact / 5)))
        .collect()
}

/// Subjects that may have questions have none if there are too few of them.
#[test]
fn subjects_are_seen_in_questions_that_are_written() {
    for fields in [
        "exposures = 4\nquestions = {subjects = 1.0, sentences = 0.02}",
        "exposures = \"groups:1,4,16\"\nquestions = {subjects = 0.5, sentences = 0.01}",
        "exposures = 1\nquestions = {subjects = 0.5, sentences = 0.0}",
    ] {
        for corpus in [with(200, fields), first(200, fields)] {
            let about = of_asked_subjects(&corpus);
            assert!(about.len() < 500, "{fields}");
            assert_eq!(seen(&corpus), about, "{fields}");
            let without: Vec<u64> = (0..1_000).step_by(3).collect();
            let twin = corpus.without(&without).unwrap();
            assert_eq!(seen(&twin), of_asked_subjects(&twin), "{fields}");
        }
    }
}

#[test]
fn questions_are_an_exact_share_of_all_sentences() {
    for (subjects, exposures, chosen, share, questions) in [
        (200, 1, 0.5, 0.2, 200),
        (1_000, 10, 0.5, 0.2, 10_000),
        (1_001, 4, 0.25, 0.2, 4_004),
        (1_001, 1, 0.5, 1.0 / 3.0, 1_668),
        (7, 3, 1.0, 0.01, 1),
        (100, 5, 1.0, 1.0, 2_500),
        (100, 5, 0.3, 0.3, 750),
        (100, 5, 0.0, 0.0, 0),
        (100, 5, 0.5, 0.0, 0),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = with(
                subjects,
                &format!(
                    "exposures = {exposures}\norder = \"{order}\"\ninversion = 0.3\n\
                     questions = {{subjects = {chosen}, sentences = {share}}}"
                ),
            );
            // A question replaces a statement: no sentence is added or lost.
            assert_eq!(written(&corpus), vec![exposures; subjects as usize * 5]);
            let asked = asked(&corpus);
            assert_eq!(asked.iter().sum::<u64>(), questions);
            let about = seen(&corpus);
            assert_eq!(about, of_asked_subjects(&corpus));
            let facts = (chosen * subjects as f64).round() as u64 * 5;
            assert!(about.len() as u64 <= facts);
            let each = questions as f64 / facts as f64;
            let near = |&fact: &u64| (asked[fact as usize] as f64 - each).abs() < 1.0;
            assert!(about.iter().all(near), "{each} of {exposures}");
        }
    }
}

/// The remainder of the division into whole copies is spread evenly over relations and subjects.
#[test]
fn questions_are_spread_over_relations_and_subjects() {
    let corpus = with(
        1_000,
        "questions = {subjects = 0.5, sentences = 0.15}\nexposures = 1",
    );
    let asked = asked(&corpus);
    let by = |of: fn(u64) -> u64, count: u64| {
        let facts = (0u64..).zip(&asked);
        histogram(
            facts.filter(|&(_, &n)| n > 0).map(|(fact, _)| of(fact)),
            count,
        )
    };
    assert_eq!(by(|fact| fact % 5, 5), [150; 5]);
    for (subject, count) in (0..).zip(by(|fact| fact / 5, 1_000)) {
        let seen = corpus.seen_in_questions(subject * 5) == Some(true);
        assert!(if seen {
            count == 1 || count == 2
        } else {
            count == 0
        });
    }
}

/// With unequal exposures, each fact is within one question of its share.
#[test]
fn questions_of_unequal_exposures_are_near_their_share() {
    for exposures in [
        "groups:1,4,16",
        "latin:1,4,16",
        "zipf:alpha=1,min=1,max=100",
    ] {
        let corpus = with(
            1_000,
            &format!(
                "exposures = \"{exposures}\"\nquestions = {{subjects = 0.5, sentences = 0.2}}"
            ),
        );
        let asked = asked(&corpus);
        // The subjects that may have questions: here all of them have one.
        let all = "exposures = 1\nquestions = {subjects = 0.5, sentences = 0.5}";
        let about = seen(&with(1_000, all));
        assert_eq!(about.len(), 2_500);
        let there: u64 = about.iter().map(|&fact| corpus.exposures_of(fact)).sum();
        let share = 0.2 * corpus.sentences() as f64 / there as f64;
        let mut variance = 0.0;
        for &fact in &about {
            let even = corpus.exposures_of(fact) as f64 * share;
            variance += even.fract() * (1.0 - even.fract());
            assert!((asked[fact as usize] as f64 - even).abs() < 1.0);
        }
        let off = asked.iter().sum::<u64>() as f64 - 0.2 * corpus.sentences() as f64;
        assert!(
            off.abs() <= 5.0 * variance.sqrt() + 1.0,
            "{exposures}: {off} too many"
        );
    }
}

/// Links are sentences of the corpus too, but have no questions.
#[test]
fn links_count_among_all_sentences() {
    let nested = |share| {
        format!(
            "[world]\nsubjects = 20\nrelations = 2\nobjects = 12\nnested = 4\n\
             [corpus]\nexposures = 3\nquestions = {{subjects = 0.5, sentences = {share}}}\n"
        )
    };
    // 20 x 4 facts of subjects and 2 x 12 links, three times each.
    let corpus = corpus(&nested(0.25));
    let asked = asked(&corpus);
    assert_eq!(asked.iter().sum::<u64>(), 78);
    assert_eq!(asked[80..].iter().sum::<u64>(), 0);
    let error = try_corpus(&nested(0.4)).unwrap_err().to_string();
    assert_eq!(
        error,
        "argument 'questions.sentences': got 0.4, allowed: up to 0.3846, the share of all \
         sentences that are about the 10 subjects asked about, in relations with questions"
    );
}

#[test]
fn more_questions_than_sentences_to_ask_in_are_refused() {
    for (subjects, share, most) in [(0.5, 0.51, "0.5"), (0.0, 0.1, "0"), (0.25, 1.0, "0.25")] {
        let toml = format!(
            "[world]\nsubjects = 100\nrelations = 2\n[corpus]\n\
             questions = {{subjects = {subjects}, sentences = {share}}}\n"
        );
        let error = try_corpus(&toml).unwrap_err().to_string();
        let start = format!("argument 'questions.sentences': got {share}, allowed: up to {most},");
        assert!(error.starts_with(&start), "{error}");
        // In the first version they are a share of the sentences of those subjects.
        try_corpus(&format!("format_version = 1\n{toml}")).unwrap();
    }
}

/// A twin has the questions of its parent, even if it omits facts.
#[test]
fn twins_keep_the_questions_of_their_parent() {
    let parent = with(
        60,
        "questions = {subjects = 0.5, sentences = 0.2}\nexposures = 3",
    );
    let without: Vec<u64> = (0..300).step_by(7).collect();
    let twin = parent.without(&without).unwrap();
    for fact in (0..300).filter(|fact| fact % 7 != 0) {
        let wordings = |corpus: &Corpus| -> Vec<u32> {
            let entries = corpus.ledger(fact).unwrap();
            entries.iter().map(|entry| entry.wording_index).collect()
        };
        assert_eq!(wordings(&parent), wordings(&twin));
    }
}

#[test]
fn the_first_version_asks_in_a_share_of_the_sentences_of_each_fact() {
    for (subjects, exposures, share, sentence_share, chosen) in [
        (1_000, 10, 0.5, 0.2, 500),
        (1_001, 4, 0.25, 0.5, 250),
        (100, 5, 1.0, 1.0, 100),
        (100, 5, 0.0, 0.5, 0),
        (100, 5, 0.5, 0.0, 0),
    ] {
        for order in ["shuffle", "bios"] {
            let corpus = first(
                subjects,
                &format!(
                    "exposures = {exposures}\norder = \"{order}\"\ninversion = 0.3\n\
                     questions = {{subjects = {share}, sentences = {sentence_share}}}"
                ),
            );
            // The reference lost sentences; here no sentence is lost or added.
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
fn fractions_of_a_question_are_exact_in_sum_in_the_first_version() {
    // One sentence per fact, of which 0.3 are questions: 0.3 of 500 subjects for every relation.
    let corpus = first(
        1_000,
        "questions = {subjects = 0.5, sentences = 0.3}\nexposures = 1",
    );
    let asked: Vec<Sentence> = sentences(&corpus)
        .into_iter()
        .filter(Sentence::is_question)
        .collect();
    let relations = asked.iter().map(|s| u64::from(s.relation));
    assert_eq!(histogram(relations, 5), [150; 5]);
    // And for every subject, as close as possible: 1.5 of its 5 sentences.
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
         [corpus]\nquestions = {subjects = 1, sentences = 0.769}\n",
    );
    assert_eq!(asked(&corpus)[..80], [1; 80]);
    for sentence in sentences(&corpus) {
        let link = sentence.relation >= 4;
        assert_eq!(sentence.is_question(), !link);
        assert_eq!(corpus.seen_in_questions(sentence.fact), Some(!link));
    }
    assert_eq!(with(5, "").seen_in_questions(0), None);
}

#[test]
fn questions_with_a_weight_are_about_all_subjects() {
    let seen = |templates: &str| {
        let corpus = with(5, templates);
        let facts = 0..corpus.world().facts();
        let seen: HashSet<Option<bool>> = facts.map(|f| corpus.seen_in_questions(f)).collect();
        Vec::from_iter(seen)
    };
    assert_eq!(
        seen("templates = {default = 1, question = 1}"),
        [Some(true)]
    );
    assert_eq!(
        seen("templates = {question = 1}\nparaphrases = 3"),
        [Some(true)]
    );
    assert_eq!(
        seen("templates = {default = 1, question_refusal = 1}"),
        [None]
    );
    let both =
        "templates = {default = 1, question = 1}\nquestions = {subjects = 0.2, sentences = 0.1}";
    assert_eq!(seen(both), [Some(true)]);
}

//! Questions: which subjects and how many of their sentences are asked about.

use std::collections::{HashMap, HashSet};

use crate::common::{Sentence, corpus, histogram, sentences, written};
use crate::with;

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

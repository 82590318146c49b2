//! The words of sentences: every template token by token, paraphrases, held-out wordings and
//! probes.

use crate::common::Known;
use std::collections::{HashMap, HashSet};

use behemoth_gen::corpus::Probe;
use behemoth_gen::vocabulary::Role;

use crate::common::{Sentence, all_tokens, corpus, roles, sentences, uniform_p, written};
use crate::{assert_fits, text, with};

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
            let object = corpus.world().known_object(entry.subject, 0);
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
            let fact = corpus.world().known(sentence.fact);
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
            .filter(|w| w.form.name() == template)
            .collect();
        assert_eq!(own.len(), 7);
        assert_eq!(own.iter().filter(|w| w.held_out).count(), 3);
        assert!(own.iter().all(|w| w.held_out == (w.number >= 4)));
        assert!(
            own.iter()
                .all(|w| (w.share - if w.held_out { 0.0 } else { 0.25 }).abs() < 1e-12)
        );
        // A held-out wording does not occur in the tokens.
        for (index, wording) in corpus.wordings().iter().enumerate() {
            if wording.form.name() == template && wording.can_probe() {
                let Probe { prompt, answer, .. } = corpus.prober(index).unwrap().probe(77).unwrap();
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
    // More wordings than ways to place the fillers: they then differ only in the fillers
    // themselves.
    let corpus = with(
        4_000,
        "templates = {default = 1, sor = 1, osr = 1, rso = 1, refusal = 1, question_refusal = 1}\n\
         questions = {subjects = 0.3, sentences = 0.2}\nparaphrases = 40\nexposures = 2",
    );
    let roles = roles(&corpus);
    let found: HashSet<Vec<u32>> = sentences(&corpus)
        .iter()
        .map(|s| s.pattern(&roles))
        .collect();
    assert_eq!(found.len(), 7 * 40);
}

#[test]
fn probes_are_the_start_of_a_sentence() {
    let corpus = corpus(
        "[world]\nsubjects = 1200\nrelations = 2\nobjects = 1100\nnested = 11\nminority = 0.5\n\
         [corpus]\ntemplates = {default = 1, repeats = 1, nonsense = 1, refusal = 1, sor = 1}\n\
         questions = {subjects = 1, sentences = 0.2}\nparaphrases = 3\nheld_out = 1\n",
    );
    let (mut probed, roles) = (HashSet::new(), roles(&corpus));
    for (index, wording) in corpus.wordings().iter().enumerate() {
        if !wording.can_probe() {
            let error = corpus.prober(index).err().unwrap().to_string();
            assert!(error.starts_with(&format!("argument 'wording': got {index}, allowed: ")));
            continue;
        }
        probed.insert(wording.form.name());
        let prober = corpus.prober(index).unwrap();
        for fact in [0, 1, 2, 3, 2_400, 4_801, corpus.world().facts() - 1] {
            let Probe { prompt, answer, .. } = prober.probe(fact).unwrap();
            let mut tokens = prompt.clone();
            tokens.extend(&answer);
            // After the answer: fillers of the repeats grammar, and the period.
            tokens.extend([2, 0]);
            let sentence = &crate::common::read(&corpus, &tokens)[0];
            let own = corpus.world().known(fact);
            assert_eq!(sentence.fact, fact);
            assert_eq!(sentence.object, Some(own.object), "the first object");
            let digits = answer
                .iter()
                .filter(|&&t| matches!(roles[t as usize], Role::Object | Role::Nested));
            // The answer to a question begins with the marker of objects, like a refusal.
            let markers = usize::from(wording.form.name() == "question");
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

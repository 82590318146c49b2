//! Twins: a changed fact, a changed link and omitted facts change only their own sentences.

use crate::common::Known;
use std::collections::HashSet;

use behemoth_gen::{Corpus, Progress, Spec, World};

use crate::MIXED;
use crate::common::{Sentence, all_tokens, corpus, sentences, sentences_by_document};

/// Returns corpora of a world with a chain and links, with several templates, in both orders.
fn twin_parents() -> Vec<Corpus> {
    ["shuffle", "bios"]
        .into_iter()
        .flat_map(|order| {
            ["exposures = \"groups:1,2,6\"", "exposures = 4"].map(|exposures| {
                corpus(&format!(
                    "[world]\nsubjects = 90\nminority = 0.5\nrelations = [\
                     {{kind = \"independent\", objects = 1200}},\
                     {{kind = \"composed\", of = 0, objects = 12}},\
                     {{kind = \"composed\", of = 1, objects = 3}},\
                     {{kind = \"independent\", objects = 7}}]\n\
                     [corpus]\n{exposures}\norder = \"{order}\"\nminority_sentences = 0.4\n\
                     nested_exposures = 2\n{MIXED}\n"
                ))
            })
        })
        .collect()
}

/// Checks that a twin differs from its parent only in the object of some sentences, and returns the
/// facts whose sentences changed.
fn changed_facts(parent: &Corpus, twin: &Corpus) -> HashSet<u64> {
    let (before, after) = (all_tokens(parent), all_tokens(twin));
    assert_eq!(before.len(), after.len(), "the same length");
    let (old, new) = (sentences(parent), sentences(twin));
    let mut changed = HashSet::new();
    let mut differing = 0;
    for (old, new) in old.iter().zip(&new) {
        assert_eq!((old.fact, old.start), (new.fact, new.start));
        let differ: Vec<usize> = (0..old.tokens.len())
            .filter(|&i| old.tokens[i] != new.tokens[i])
            .collect();
        differing += differ.len();
        if differ.is_empty() {
            continue;
        }
        changed.insert(old.fact);
        // The digits of the object, and nothing else.
        let marker = old.tokens.iter().rposition(|&t| t == 5).unwrap();
        let word = parent
            .vocabulary()
            .object(match parent.world().link(old.relation) {
                Some(link) => link.composed,
                None => old.relation,
            })
            .unwrap();
        assert!(
            differ
                .iter()
                .all(|&i| (marker + 1..=marker + word.len()).contains(&i)),
            "only object tokens change"
        );
        let fact = parent.world().known(old.fact);
        assert_eq!(
            old.object,
            Some(fact.object),
            "a sentence with the second object changed"
        );
        assert_eq!(new.object, Some(twin.world().known(old.fact).object));
    }
    let all = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert_eq!(all, differing);
    changed
}

#[test]
fn an_override_changes_the_object_tokens_of_its_fact_and_no_others() {
    for parent in twin_parents() {
        let world = parent.world();
        // Changes of facts with only refusals or only second objects would not be visible.
        let shown: Vec<u64> = sentences(&parent)
            .iter()
            .filter(|s| s.fact % 4 == 0 && s.relation == 0)
            .filter(|s| s.object == Some(world.known(s.fact).object))
            .map(|s| s.subject)
            .take(3)
            .collect();
        for subject in shown {
            let fact = subject * 4;
            let new = (world.known_object(subject, 0) + 601) % 1200;
            let stays = parent.with_overrides(&[(fact, new)], false).unwrap();
            assert_eq!(changed_facts(&parent, &stays), HashSet::from([fact]));
            let follows = parent.with_overrides(&[(fact, new)], true).unwrap();
            let expected: HashSet<u64> = (fact..fact + 3)
                .filter(|&f| world.known(f).object != follows.world().known(f).object)
                .collect();
            assert!(expected.contains(&fact));
            let seen = changed_facts(&parent, &follows);
            assert!(seen.is_subset(&expected) && seen.contains(&fact));
            // Every sentence of the fact that stated the first object states the new one.
            let shown: HashSet<Option<u32>> = sentences(&stays)
                .iter()
                .filter(|s| s.fact == fact && s.order != "sr")
                .map(|s| s.object)
                .collect();
            assert!(!shown.contains(&Some(world.known_object(subject, 0))));
            // The spec of a twin gives the twin.
            let again = Corpus::from_spec(follows.spec().clone()).unwrap();
            assert!(all_tokens(&again) == all_tokens(&follows));
            assert_eq!(again.spec().hash(), follows.spec().hash());
            assert_ne!(follows.spec().hash(), stays.spec().hash());
        }
    }
}

#[test]
fn a_changed_link_changes_its_sentences_and_with_follow_those_of_its_subjects() {
    for parent in twin_parents() {
        let world = parent.world();
        let object = world.known_object(3, 0);
        let link = world.fact_id(u64::from(object), 4).unwrap();
        let new = (world.known(link).object + 1) % 12;
        let stays = parent.with_overrides(&[(link, new)], false).unwrap();
        assert_eq!(changed_facts(&parent, &stays), HashSet::from([link]));
        let follows = parent.with_overrides(&[(link, new)], true).unwrap();
        let seen = changed_facts(&parent, &follows);
        assert!(seen.contains(&link));
        for fact in seen.iter().filter(|&&fact| fact != link) {
            assert_eq!(
                world.known_object(fact / 4, 0),
                object,
                "only subjects of the object"
            );
            assert!([1, 2].contains(&(fact % 4)), "only what is composed of it");
        }
    }
}

#[test]
fn twins_of_many_facts_change_those_facts_only() {
    for parent in twin_parents() {
        let changes: Vec<(u64, u32)> = (0..90)
            .map(|subject| {
                let fact = subject * 4 + 3;
                (fact, (parent.world().known(fact).object + 1) % 7)
            })
            .collect();
        let twin = parent.with_overrides(&changes, true).unwrap();
        let facts: HashSet<u64> = changes.iter().map(|&(fact, _)| fact).collect();
        assert!(changed_facts(&parent, &twin).is_subset(&facts));
        // The order of the facts does not matter.
        let mut reversed = changes;
        reversed.reverse();
        let again = parent.with_overrides(&reversed, true).unwrap();
        assert_eq!(again.spec().hash(), twin.spec().hash());
    }
}

#[test]
fn what_is_left_out_leaves_the_rest_in_its_order() {
    for parent in twin_parents() {
        let all = sentences_by_document(&parent);
        for without in [
            vec![0],
            vec![5, 5, 4],
            (0..180).collect::<Vec<u64>>(),
            (360..parent.world().facts()).collect(),
            (0..parent.world().facts()).step_by(2).collect(),
        ] {
            let gone: HashSet<u64> = without.iter().copied().collect();
            let twin = parent.without(&without).unwrap();
            assert_eq!(twin.documents(), parent.documents(), "places are kept");
            let expected: Vec<&Sentence> = all.iter().filter(|s| !gone.contains(&s.fact)).collect();
            let found = sentences_by_document(&twin);
            assert_eq!(found.len(), expected.len());
            assert_eq!(twin.sentences(), found.len() as u64);
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.document, expected.document);
                assert_eq!(found.tokens, expected.tokens);
            }
            assert!(gone.iter().all(|&fact| twin.exposures_of(fact) == 0));
            assert!(
                gone.iter()
                    .all(|&fact| twin.ledger(fact).unwrap().is_empty())
            );
            // Only documents that still have a sentence have an end.
            let whole = sentences(&twin);
            assert!(
                whole
                    .iter()
                    .map(|s| &s.tokens)
                    .eq(found.iter().map(|s| &s.tokens))
            );
            let ends = all_tokens(&twin).iter().filter(|&&t| t == 0).count();
            let documents: HashSet<u64> = found.iter().map(|s| s.document).collect();
            assert_eq!(ends, documents.len());
        }
    }
}

#[test]
fn a_corpus_without_any_fact_is_empty() {
    for parent in twin_parents() {
        let all: Vec<u64> = (0..parent.world().facts()).collect();
        let twin = parent.without(&all).unwrap();
        assert_eq!(twin.sentences(), 0);
        assert_eq!(twin.token_count(2, &Progress::default()).unwrap(), 0);
        assert!(all_tokens(&twin).is_empty());
        let made = twin.fill_tokens(&mut [0u16; 5], 0, 1, &Progress::default());
        assert_eq!(made.unwrap(), 0);
    }
}

#[test]
fn twins_of_twins_add_up() {
    for parent in twin_parents() {
        let steps = parent
            .without(&[8, 2])
            .unwrap()
            .with_overrides(&[(4, 11)], true)
            .unwrap()
            .without(&[3])
            .unwrap();
        let once = parent
            .with_overrides(&[(4, 11)], true)
            .unwrap()
            .without(&[2, 3, 8])
            .unwrap();
        assert_eq!(steps.spec().hash(), once.spec().hash());
        assert!(all_tokens(&steps) == all_tokens(&once));
    }
    let parent = &twin_parents()[0];
    let facts = parent.world().facts();
    assert_eq!(
        parent.without(&[1, facts]).unwrap_err().to_string(),
        format!("argument 'without': got fact {facts}, allowed: facts below {facts}")
    );
}

#[test]
fn an_override_of_nothing_leaves_no_trace_in_later_twins() {
    let parent = &twin_parents()[0];
    let same = parent.with_overrides(&[], true).unwrap();
    let hash = |corpus: &Corpus| corpus.without(&[3]).unwrap().spec().hash();
    assert_eq!(same.spec().hash(), parent.spec().hash());
    assert_eq!(hash(&same), hash(parent));
}

/// An array is sorted once, and so are the facts counted beside a filler.
#[test]
fn what_twins_share_is_what_they_would_compute() {
    let fields = "[world]\nsubjects = 90\nrelations = [{kind = \"independent\", objects = 1200},\
                  {kind = \"composed\", of = 0, objects = 12}]\n[corpus]\n";
    let filler = "filler = \"zipf:total_tokens=90000,words=50,length=30\"\n";
    // One number for each fact, with those of links and without.
    let arrays = [180, 1380].map(|facts| (0..facts).map(|i| i * 7 % 5).collect::<Vec<u32>>());
    let array = "exposures = {kind = \"array\", digest = \"\"}\n";
    for version in [1, 2, 3] {
        for (form, numbers) in [
            ("exposures = \"groups:1,4\"\n", None),
            (array, Some(&arrays[0])),
            (array, Some(&arrays[1])),
        ] {
            for order in ["shuffle", "bios"] {
                let toml = format!(
                    "format_version = {version}\n{fields}{form}{filler}order = \"{order}\"\n"
                );
                let of = |spec: Spec| {
                    let world = World::of_version(spec.format_version, spec.world, None).unwrap();
                    Corpus::new(world, spec.corpus, numbers.cloned()).unwrap()
                };
                let parent = of(Spec::from_toml(&toml).unwrap());
                for twin in [
                    parent.without(&[3, 150]).unwrap(),
                    // Objects with words of other lengths.
                    parent
                        .with_overrides(&[(0, 1), (2, 1150), (8, 2)], true)
                        .unwrap(),
                    parent
                        .with_overrides(&[(4, 1150)], false)
                        .unwrap()
                        .without(&[5])
                        .unwrap(),
                ] {
                    assert!(
                        std::ptr::eq(twin.exposures(), parent.exposures()),
                        "sorted once"
                    );
                    let fresh = of(twin.spec().clone());
                    assert!(all_tokens(&fresh) == all_tokens(&twin), "{toml}");
                }
            }
        }
    }
}

#[test]
fn a_twin_without_overrides_has_one_hash() {
    let hash = |follow: bool| {
        let twin = format!("[corpus.twin]\nwithout = [0]\nfollow = {follow}\n");
        corpus(&format!("[world]\nsubjects = 9\n{twin}"))
            .spec()
            .hash()
    };
    assert_eq!(hash(true), hash(false));
}

//! Schedules: the same sentences at other positions, as defined by the parts of the schedule.

use std::collections::BTreeMap;

use behemoth_gen::Corpus;

use crate::common::{corpus, sentences, sentences_by_document, try_corpus, written};

fn with(exposures: &str, schedule: &str) -> Corpus {
    corpus(&spec(exposures, schedule))
}

fn spec(exposures: &str, schedule: &str) -> String {
    format!(
        "[world]\nsubjects = 211\nrelations = 3\nobjects = 7\n\
         [corpus]\nexposures = \"{exposures}\"\n{schedule}\n"
    )
}

/// Returns the documents of each fact, in order, by exposures; read from the tokens.
fn places(corpus: &Corpus) -> BTreeMap<u64, Vec<Vec<u64>>> {
    let mut facts = vec![Vec::new(); corpus.world().facts() as usize];
    for sentence in sentences_by_document(corpus) {
        facts[sentence.fact as usize].push(sentence.document);
    }
    for (fact, places) in facts.iter().enumerate() {
        let mut ledger: Vec<u64> = corpus
            .ledger(fact as u64)
            .unwrap()
            .iter()
            .map(|entry| entry.document)
            .collect();
        ledger.sort_unstable();
        assert_eq!(&ledger, places, "the ledger of fact {fact}");
    }
    let mut levels: BTreeMap<u64, Vec<Vec<u64>>> = BTreeMap::new();
    for places in facts {
        levels.entry(places.len() as u64).or_default().push(places);
    }
    levels
}

const SCHEDULES: [&str; 14] = [
    "early:0.5@0.3",
    "late:0.1@0.05",
    "late:1",
    "early:1e-9@1e-9,late:0.5@0.25",
    "early:0.2@0.1,late:0.2@0.1",
    "distance:0.25@0.2",
    "distance:0",
    "distance:0.1@0.1,distance:0.5@0.1,distance:0.9@0.01",
    "spaced",
    "spaced@0.5",
    "bursts:1",
    "bursts:3",
    "bursts:3@0.5,spaced@0.25",
    "late:0.2@0.05,spaced@0.4,bursts:2@0.2",
];

#[test]
fn the_same_sentences_stand_in_other_places() {
    for exposures in [
        "1",
        "7",
        "groups:0,1,4,16",
        "latin:2,3",
        "zipf:alpha=1,min=1,max=20",
    ] {
        for order in ["shuffle", "bios\"\ndocuments_per_subject = \"6"] {
            let order = order.replace("\"6", "6");
            let order = if order.starts_with("shuffle") {
                "order = \"shuffle\"".to_string()
            } else {
                format!("order = \"{order}")
            };
            let mut uniform: Vec<Vec<u32>> = sentences(&with(exposures, &order))
                .into_iter()
                .map(|s| s.tokens)
                .collect();
            uniform.sort_unstable();
            for schedule in SCHEDULES {
                let text = spec(exposures, &format!("{order}\nschedule = \"{schedule}\""));
                let scheduled = match try_corpus(&text) {
                    Ok(scheduled) => scheduled,
                    Err(error) => {
                        let error = error.to_string();
                        assert!(error.starts_with("argument 'schedule': got '"), "{error}");
                        assert!(
                            schedule.contains("1e-9") || schedule.contains(','),
                            "{exposures} {schedule}: {error}"
                        );
                        continue;
                    }
                };
                let mut found: Vec<Vec<u32>> = sentences(&scheduled)
                    .into_iter()
                    .map(|s| s.tokens)
                    .collect();
                found.sort_unstable();
                assert!(found == uniform, "{exposures} {schedule} {order}");
                places(&scheduled);
            }
        }
    }
}

#[test]
fn uniform_is_the_shuffle_that_was() {
    let plain = with("groups:1,4", "");
    let uniform = with("groups:1,4", "schedule = \"uniform\"");
    assert_eq!(plain.spec().hash(), uniform.spec().hash());
}

/// Returns the number of facts of each level with all their documents in a range of the corpus.
fn inside(levels: &BTreeMap<u64, Vec<Vec<u64>>>, start: u64, stop: u64) -> Vec<(u64, usize)> {
    let within = |places: &&Vec<u64>| places.iter().all(|p| (start..stop).contains(p));
    levels
        .iter()
        .map(|(&level, facts)| (level, facts.iter().filter(within).count()))
        .collect()
}

#[test]
fn early_and_late_copies_fill_their_windows() {
    // 633 facts: 211 each with 1, 4 and 16 exposures; 4,431 documents.
    let corpus = with("groups:1,4,16", "schedule = \"early:0.1@0.1,late:0.2@0.2\"");
    let n = corpus.documents();
    assert_eq!(n, 211 * 21);
    let levels = places(&corpus);
    let (early, late) = (n / 10, n - n / 5);
    for (level, count) in inside(&levels, 0, early) {
        // Facts of one exposure also stand there by chance, were there room: 21 of each level fill
        // 441 of 443 places.
        assert!(
            count == 21 || (level == 1 && count <= 23),
            "{level}: {count}"
        );
    }
    for (level, count) in inside(&levels, late, n) {
        // From 21.1 and 63.3: the cumulative shares are rounded down.
        assert!(
            count == 42 || (level == 1 && count <= 46),
            "{level}: {count}"
        );
    }
    // The rest is in between.
    let rest = inside(&levels, early, late);
    assert!(rest.iter().all(|&(_, count)| count >= 140), "{rest:?}");
}

#[test]
fn a_level_of_exposures_may_have_a_schedule_of_its_own() {
    let corpus = with("groups:1,4,16", "schedule = \"late:0.5@0.5@16x\"");
    let n = corpus.documents();
    let levels = places(&corpus);
    let late = inside(&levels, n - n / 2, n);
    assert_eq!(late[2], (16, 105));
    assert!(late[1].1 < 40, "by chance one in 16 or more: {late:?}");
    let error = try_corpus(&spec("groups:1,4", "schedule = \"late:0.5@8x\"")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'schedule': got 'late:0.5@8x', allowed: a part of at least one fact"
    );
}

#[test]
fn last_copies_end_at_a_fixed_distance_from_the_end() {
    let corpus = with(
        "groups:1,4,16",
        "schedule = \"distance:0.25@0.2,distance:0.5@0.1\"",
    );
    let n = corpus.documents();
    let levels = places(&corpus);
    let lasts = |stop: u64, facts: u64| -> Vec<u64> {
        let within = |place: &u64| (stop - facts..stop).contains(place);
        let mut lasts: Vec<u64> = levels
            .values()
            .flatten()
            .filter_map(|places| places.last().copied())
            .filter(within)
            .collect();
        lasts.sort_unstable();
        lasts
    };
    // 42 facts of each of three levels, and 21.
    let (near, far) = (n - n / 4, n - n / 2);
    assert_eq!(lasts(near, 126), (near - 126..near).collect::<Vec<u64>>());
    assert_eq!(lasts(far, 63), (far - 63..far).collect::<Vec<u64>>());
}

#[test]
fn spaced_copies_stand_one_in_each_window() {
    for (exposures, schedule, levels) in [
        ("5", "spaced", 0),
        ("groups:1,4,16,3", "spaced", 4),
        ("zipf:alpha=1,min=1,max=20", "spaced", 20),
        ("groups:1,4,16", "spaced@0.5", 0),
    ] {
        let corpus = with(exposures, &format!("schedule = \"{schedule}\""));
        let n = corpus.documents();
        let edge = |at: u64, of: u64| (u128::from(n) * u128::from(at) / u128::from(of)) as u64;
        // If no other documents fill up windows, they may be off by this number.
        let off = if levels > 0 { levels + 2 } else { 0 };
        for (level, facts) in places(&corpus) {
            let spaced = facts
                .iter()
                .filter(|places| {
                    (0..level).zip(*places).all(|(at, &place)| {
                        let (start, stop) = (edge(at, level), edge(at + 1, level));
                        (start.saturating_sub(off)..stop + off).contains(&place)
                    })
                })
                .count();
            let wanted = if schedule == "spaced" {
                facts.len()
            } else {
                facts.len() / 2
            };
            assert!(
                spaced >= wanted,
                "{exposures}: {spaced} of {} at {level}",
                facts.len()
            );
        }
    }
}

#[test]
fn copies_of_a_burst_stand_close_together() {
    let text = "[world]\nsubjects = 2000\nrelations = 3\nobjects = 7\n\
                [corpus]\nexposures = 12\nschedule = \"bursts:4\"\n";
    let corpus = corpus(text);
    let n = corpus.documents();
    for places in &places(&corpus)[&12] {
        for (at, burst) in (0..).zip(places.chunks(3)) {
            assert!((n / 4 * at..n / 4 * (at + 1)).contains(&burst[0]));
            assert!(burst[2] - burst[0] <= n / 1000 + 3, "{burst:?} of {n}");
        }
    }
    // All copies of a fact are in one burst, whatever their number.
    let corpus = with("groups:2,8", "schedule = \"bursts:1\"");
    for places in places(&corpus).values().flatten() {
        let last = places.len() - 1;
        assert!(places[last] - places[0] <= 16 * 8 + 16, "{places:?}");
    }
}

#[test]
fn subjects_of_bios_are_scheduled_as_a_whole() {
    let corpus = with("6", "order = \"bios\"\nschedule = \"spaced\"");
    let n = corpus.documents();
    assert_eq!(n, 211 * 6);
    for places in places(&corpus).values().flatten() {
        let windows: Vec<u64> = places.iter().map(|place| place / 211).collect();
        assert_eq!(windows, [0, 1, 2, 3, 4, 5]);
    }
    let late = with("6", "order = \"bios\"\nschedule = \"late:0.5@0.5\"");
    assert_eq!(inside(&places(&late), 633, 1266), [(6, 105 * 3)]);
}

#[test]
fn a_larger_share_takes_the_facts_of_a_smaller_and_more() {
    let late = |share: f64| -> Vec<u64> {
        let corpus = with("8", &format!("schedule = \"late:0.5@{share}\""));
        let half = corpus.documents() / 2;
        (0..633)
            .filter(|&fact| {
                corpus
                    .ledger(fact)
                    .unwrap()
                    .iter()
                    .all(|e| e.document >= half)
            })
            .collect()
    };
    let (few, many) = (late(0.1), late(0.3));
    assert!(
        few.len() >= 63 && many.len() >= 189,
        "{} {}",
        few.len(),
        many.len()
    );
    let chosen = few.iter().filter(|fact| many.contains(fact)).count();
    assert!(chosen >= 63, "{chosen}");
}

#[test]
fn equal_shares_of_all_facts_are_all_facts() {
    for parts in [3u32, 6, 7, 11, 13, 210] {
        let share = 1.0 / f64::from(parts);
        let all = vec![format!("spaced@{share}"); parts as usize].join(",");
        let corpus = with("2", &format!("schedule = \"{all}\""));
        assert!(written(&corpus).iter().all(|&copies| copies == 2));
        let n = corpus.documents();
        let facts = places(&corpus).remove(&2).unwrap();
        // One copy in each half, except for rounding.
        let off = 2 + u64::from(parts);
        assert!(
            facts
                .iter()
                .all(|own| own[0] < n / 2 + off && own[1] + off >= n / 2)
        );
    }
    let six = ["spaced@0.17"; 6].join(",");
    assert!(try_corpus(&spec("2", &format!("schedule = \"{six}\""))).is_err());
}

#[test]
fn twins_keep_their_places() {
    let parent = with("groups:1,4", "schedule = \"late:0.3@0.1,spaced@0.5\"");
    let without: Vec<u64> = (0..633).step_by(3).collect();
    let twin = parent.without(&without).unwrap();
    assert_eq!(twin.documents(), parent.documents());
    for fact in (0..633).filter(|fact| fact % 3 > 0) {
        assert_eq!(twin.ledger(fact).unwrap(), parent.ledger(fact).unwrap());
    }
    let again = Corpus::from_spec(twin.spec().clone()).unwrap();
    assert_eq!(again.spec().hash(), twin.spec().hash());
    assert_eq!(written(&again).iter().sum::<u64>(), twin.sentences());
}

#[test]
fn schedules_are_refused_by_name() {
    let forms = "'uniform', 'early:0.1', 'late:0.5@0.1' (a tenth of the facts), \
                 'distance:0.2@16x' (facts of 16 exposures), 'spaced' or 'bursts:4'";
    for (schedule, got, allowed) in [
        ("\"soon\"", "'soon'", forms),
        ("\"early\"", "'early'", forms),
        ("\"spaced:3\"", "'spaced:3'", forms),
        ("3", "3", forms),
        ("\"early:0\"", "'early:0'", "a window above 0 and up to 1"),
        (
            "\"distance:1\"",
            "'distance:1'",
            "a distance from 0 and below 1",
        ),
        ("\"bursts:0\"", "'bursts:0'", "at least one burst"),
        ("\"spaced@0\"", "'spaced@0'", "a share above 0 and up to 1"),
        (
            "\"spaced@4e-10\"",
            "'spaced@0.0000000004'",
            "a share that is rounded to at least a billionth",
        ),
        (
            "\"spaced@0.6,late:0.5@0.6\"",
            "'spaced@0.6'",
            "shares of the same facts that add up to at most 1",
        ),
        (
            "\"late:0.1@0.5\"",
            "'late:0.1@0.5'",
            "windows with room for their copies; 316 copies would go into 63 places, which are \
             documents 570 to 632",
        ),
        (
            "\"distance:0.9\"",
            "'distance:0.9'",
            "a distance that leaves room for 633 last copies",
        ),
    ] {
        let error = try_corpus(&spec("1", &format!("schedule = {schedule}"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("argument 'schedule': got {got}, allowed: {allowed}")
        );
    }
    let error = try_corpus(&spec("1", "order = \"bios\"\nschedule = \"spaced@1x\"")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 'schedule': got 'spaced@1x', allowed: no level of exposures in order 'bios', \
         where documents hold facts of all levels"
    );
}

/// The meaning of schedules and fillers is frozen, as in `tests/golden.rs`.
#[test]
fn bytes_are_those_of_this_format_version() {
    for (fields, golden) in [
        ("schedule = \"late:0.3@0.1,spaced@0.5\"", "0817057f3e3ca96b"),
        ("schedule = \"bursts:3\"", "a7509314d6d06b35"),
        (
            "schedule = \"distance:0.2@0.3\"\norder = \"bios\"",
            "ba7fa37699f86093",
        ),
        ("filler = \"zipf:tokens=1e5\"", "265b605fcf27c24f"),
        (
            "schedule = \"spaced\"\nfiller = \"zipf:total_tokens=1e6,seed=3\"",
            "37839b9fdd9f8892",
        ),
    ] {
        let text = format!(
            "[world]\nsubjects = 9000\nrelations = 3\n[corpus]\nexposures = \"groups:1,4\"\n{fields}\n"
        );
        let mut hasher = blake3::Hasher::new();
        for token in crate::common::all_tokens(&corpus(&text)) {
            hasher.update(&token.to_le_bytes());
        }
        let found = hasher.finalize().to_hex();
        assert_eq!(&found[..16], golden, "{fields}");
    }
}

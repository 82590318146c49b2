//! Inserts in specs, and their refusals.

use behemoth_gen::CorpusSpec;
use behemoth_gen::insert::{InsertSpec, Position};

use crate::insert::{try_with, with};

#[test]
fn ways_of_writing_it_are_one_spec() {
    let filler = "filler = \"zipf:tokens=90_000\"";
    let hash = |insert: &str| with(&format!("{filler}\ninsert = {insert}")).spec().hash();
    for (a, b) in [
        ("\"anywhere\"", "{}"),
        ("\"start\"", "0"),
        ("\"middle\"", "{position = 0.5}"),
        ("\"end\"", "{position = \"end\", per_document = 1}"),
        (
            "\"0.25,per_document=2\"",
            "{position = 0.25, per_document = 2}",
        ),
        (
            "\"per_document=2, position=end\"",
            "{position = 1, per_document = 2}",
        ),
    ] {
        assert_eq!(hash(a), hash(b), "{a} {b}");
    }
    assert_ne!(hash("\"start\""), hash("\"end\""));
    let spec = CorpusSpec::builder()
        .filler(behemoth_gen::filler::Zipf::new(90_000))
        .insert(InsertSpec::new(Position::MIDDLE).per_document(2))
        .build()
        .unwrap();
    let json = serde_json::to_string(&spec).unwrap();
    assert!(
        json.contains(r#""insert":{"position":"middle","per_document":2}"#),
        "{json}"
    );
}

#[test]
fn what_cannot_be_inserted_is_refused_in_one_line() {
    let filler = "filler = \"zipf:tokens=1_000,words=50,length=100\"";
    for (fields, message) in [
        (
            "insert = \"anywhere\"".to_string(),
            "argument 'insert': got an insert without documents to insert into, \
             allowed: an insert together with a background or a filler",
        ),
        (
            format!("{filler}\norder = \"bios\"\ninsert = \"anywhere\""),
            "argument 'insert': got an insert with documents of several sentences, allowed: order \
             'shuffle', where each sentence stands by itself",
        ),
        (
            format!("{filler}\nschedule = \"early:0.5\"\ninsert = \"anywhere\""),
            "argument 'schedule': got a schedule beside an insert, allowed: none: it places \
             documents of facts, and with an insert there are none",
        ),
        (
            format!("{filler}\nbase = 10_000\ninsert = \"anywhere\""),
            "argument 'insert': got 151 sentences and 10 slots: 10 of 10 documents have room for one \
             sentence of up to 10 tokens, allowed: at least as many slots as sentences: more or \
             longer documents, or fewer exposures",
        ),
        (
            "filler = \"zipf:tokens=10_000_000_000_000_000,length=4\"\ninsert = \"anywhere\""
                .into(),
            "argument 'insert': got 2500000000000000 documents, allowed: up to 17179869184 documents \
             to insert into",
        ),
        (
            format!("{filler}\ninsert = \"anywhere,per_document=0\""),
            "argument 'insert.per_document': got 0, allowed: at least 1",
        ),
        (
            format!("{filler}\ninsert = 1.5"),
            "argument 'insert': got 1.5, allowed: a fraction from 0 to 1",
        ),
        (
            format!("{filler}\ninsert = \"nowhere\""),
            "argument 'insert': got 'nowhere', allowed: 'anywhere', 'start', 'middle', 'end' or a \
             share such as 0.25, with ',per_document=2' for up to two in each document",
        ),
        (
            format!("{filler}\ninsert = {{place = 0.5}}"),
            "argument 'insert.place': got `place`, allowed: `position`, `per_document`, `words`",
        ),
        (
            format!("{filler}\ninsert = {{position = \"midle\"}}"),
            "argument 'insert.position': got `midle` (did you mean middle?), allowed: \
             `anywhere`, `start`, `middle`, `end`, or a share from 0 to 1",
        ),
    ] {
        let error = try_with(&fields, false).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
        assert!(!error.contains('\n'));
    }
}

/// The error names a sufficient number of sentences per document, which is accepted.
#[test]
fn a_refusal_says_what_would_help() {
    let with = |per_document: u64| {
        try_with(
            &format!(
                "exposures = 2\ninsert = \"end,per_document={per_document}\"\n\
                 filler = \"zipf:tokens=20_000,words=50,length=100\""
            ),
            false,
        )
    };
    let error = with(1).unwrap_err().to_string();
    let words = error.split("per_document=").nth(1).unwrap();
    let named: u64 = words.split(',').next().unwrap().parse().unwrap();
    assert!(named > 1);
    assert!(with(named).is_ok());
    assert!((1..named).all(|fewer| with(fewer).is_err()));
    let error = with(1000).unwrap_err().to_string();
    assert!(
        error.contains(&format!("per_document={named}, more or")),
        "{error}"
    );
}

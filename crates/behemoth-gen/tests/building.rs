//! Specs built in Rust: the result of a builder and changes by hand are checked before anything is
//! built from them, and invalid calls return errors.

mod common;

use behemoth_gen::exposure::{Array, Constant, Groups, Zipf as ZipfExposures};
use behemoth_gen::grammar::{Template, TemplateWeight};
use behemoth_gen::relation::{Composed, Correlated, Independent, Inverse, OneToOne, Zipf};
use behemoth_gen::shard::ShardPlan;
use behemoth_gen::spec::{Order, TableRelation, TableSpec, TwinSpec};
use behemoth_gen::{Corpus, CorpusSpec, Error, PathKey, Progress, Spec, Table, World, WorldSpec};
use common::corpus;

fn small() -> World {
    let spec = WorldSpec::builder().subjects(10).build().unwrap();
    World::new(spec).unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("argument '"), "{message}");
    message
}

#[test]
fn builders_give_what_text_gives() {
    let world = WorldSpec::builder()
        .seed(7)
        .subjects(50)
        .relations([
            Independent::new(6).binarised(true).into(),
            Correlated::new(0, 0.75).into(),
            Zipf::new(9, 1.5).into(),
            OneToOne::new(None).into(),
            Inverse::new(3).into(),
            Composed::new(0, 3).into(),
        ])
        .minority(0.5)
        .build()
        .unwrap();
    let built = CorpusSpec::builder()
        .exposures(Groups::latin([1, 4]))
        .nested_exposures(2)
        .order(Order::Bios)
        .order_seed(5)
        .documents_per_subject(2)
        .templates([
            (Template::RelationSubjectObject, 1.0),
            (Template::Default, 3.0),
        ])
        .inversion(0.25)
        .questions(0.5, 0.25)
        .minority_sentences(0.5)
        .paraphrases(4, 1)
        .nonsense_words(7)
        .base(100)
        .shard_bytes(8192)
        .build()
        .unwrap();
    let read = Spec::from_toml(
        "[world]\nseed = 7\nsubjects = 50\nminority = 0.5\nrelations = [\
         {kind = \"independent\", objects = 6, binarised = true},\
         {kind = \"correlated\", with = 0, strength = 0.75},\
         {kind = \"zipf\", objects = 9, alpha = 1.5}, {kind = \"one_to_one\"},\
         {kind = \"inverse\", of = 3}, {kind = \"composed\", of = 0, objects = 3}]\n\
         [corpus]\nexposures = \"latin:1,4\"\nnested_exposures = 2\norder = \"bios\"\n\
         order_seed = 5\ndocuments_per_subject = 2\ntemplates = {default = 3, rso = 1}\n\
         inversion = 0.25\nquestions = {subjects = 0.5, sentences = 0.25}\n\
         minority_sentences = 0.5\nparaphrases = 4\nheld_out = 1\nnonsense_words = 7\n\
         base = 100\nshard_bytes = 8192\n",
    )
    .unwrap();
    assert_eq!(Spec::new(world, built).unwrap(), read);
    let defaults = Spec::from_toml("[world]\n").unwrap();
    assert_eq!(
        Spec::new(WorldSpec::default(), CorpusSpec::default()).unwrap(),
        defaults
    );
}

#[test]
fn worlds_that_were_put_together_wrongly_are_refused() {
    let relations = |list: Vec<behemoth_gen::relation::RelationSpec>| {
        // Without the builder, as a program may change a field.
        let mut spec = WorldSpec::builder().subjects(10).build().unwrap();
        spec.relations = list;
        refused(World::new(spec))
    };
    assert_eq!(
        relations(vec![
            Independent::new(4).into(),
            Correlated::new(7, 0.5).into()
        ]),
        "argument 'relations[1].with': got 7, allowed: an earlier relation, 0 to 0"
    );
    assert_eq!(
        relations(vec![Composed::new(0, 4).into()]),
        "argument 'relations[0].of': got 0, allowed: an earlier relation (this is the first)"
    );
    assert_eq!(
        relations(vec![Independent::new(0).into()]),
        "argument 'relations[0].objects': got 0, allowed: at least 1"
    );
    assert_eq!(
        relations(vec![OneToOne::new(Some(3)).into()]),
        "argument 'relations[0].objects': got 3, \
         allowed: at least subjects (10) for kind one_to_one"
    );
    assert_eq!(
        relations(vec![]),
        "argument 'relations': got 0, allowed: 1 to 10000"
    );
    let mut spec = WorldSpec::builder().build().unwrap();
    spec.subjects = 0;
    assert_eq!(
        refused(World::new(spec.clone())),
        "argument 'subjects': got 0, allowed: at least 1"
    );
    spec.subjects = u64::MAX;
    refused(World::new(spec));
    let mut spec = WorldSpec::default();
    spec.minority = f64::NAN;
    refused(World::new(spec));
    // A table together with relations, and a missing table.
    let table = TableSpec::new([TableRelation::new(0, None)]);
    refused(WorldSpec::builder().table(table).build());
    let mut spec = WorldSpec::default();
    spec.table = Some(TableSpec::new([TableRelation::new(5, None)]));
    refused(World::from_table(spec, &Table::default()));
}

#[test]
fn corpora_that_were_put_together_wrongly_are_refused() {
    let change = |change: fn(&mut CorpusSpec)| {
        let mut spec = CorpusSpec::default();
        change(&mut spec);
        refused(Corpus::new(small(), spec, None))
    };
    assert_eq!(
        change(|spec| spec.paraphrases = 0),
        "argument 'paraphrases': got 0, allowed: at least 1"
    );
    assert_eq!(
        change(|spec| spec.held_out = 5),
        "argument 'held_out': got 5, \
         allowed: fewer than paraphrases (1), since one wording must be written"
    );
    for refused in [
        change(|spec| spec.base = 0),
        change(|spec| spec.base = 1),
        change(|spec| spec.nonsense_words = u64::MAX),
        change(|spec| spec.paraphrases = u64::MAX),
        change(|spec| spec.inversion = f64::NAN),
        change(|spec| spec.minority_sentences = -1.0),
        change(|spec| spec.shard_bytes = Some(0)),
        change(|spec| spec.shard_bytes = Some(u64::MAX)),
        change(|spec| spec.templates = Vec::new()),
        change(|spec| spec.templates = vec![TemplateWeight::new(Template::Default, f64::NAN)]),
        change(|spec| spec.templates = vec![TemplateWeight::new(Template::Default, f64::MAX); 2]),
        change(|spec| {
            let most = |template| TemplateWeight::new(template, f64::MAX);
            spec.templates = vec![most(Template::Default), most(Template::Question)];
        }),
        change(|spec| spec.exposures = Constant::new(0).into()),
        change(|spec| spec.exposures = Constant::new(u64::MAX).into()),
        change(|spec| spec.exposures = Groups::new([]).into()),
        change(|spec| spec.exposures = Groups::latin([0]).into()),
        change(|spec| spec.exposures = Groups::new([u64::MAX, u64::MAX]).into()),
        change(|spec| spec.exposures = ZipfExposures::new(1.0, 9, 3).into()),
        change(|spec| spec.exposures = ZipfExposures::new(f64::NAN, 1, 3).into()),
        change(|spec| spec.exposures = Array::default().into()),
        change(|spec| spec.documents_per_subject = Some(0)),
        change(|spec| {
            spec.order = Order::Bios;
            spec.documents_per_subject = Some(u64::MAX);
        }),
        change(|spec| spec.nested_exposures = Some(u64::MAX)),
        change(|spec| {
            let mut twin = TwinSpec::default();
            twin.overrides = vec![(u64::MAX, 0)];
            spec.twin = twin;
        }),
        change(|spec| spec.twin.without = vec![60]),
    ] {
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
}

#[test]
fn what_there_is_not_is_answered_with_nothing() {
    let corpus = corpus(
        "[world]\nsubjects = 20\nrelations = 2\nobjects = 6\nnested = 3\n\
         [corpus]\nquestions = {subjects = 0.5, sentences = 0.2}\n",
    );
    let corpus = corpus.without(&[3]).unwrap();
    let world = corpus.world();
    let none = world.facts();
    for fact in [none, none + 1000, u64::MAX] {
        assert_eq!(world.fact(fact), None);
        assert_eq!(corpus.exposures_of(fact), 0);
        assert_eq!(corpus.exposures().of(fact), 0);
        assert_eq!(corpus.seen_in_questions(fact), None);
        assert!(corpus.prober(0).unwrap().probe(fact).is_none());
        refused(corpus.ledger(fact));
        refused(world.with_overrides(&[(fact, 0)], true));
        refused(corpus.without(&[fact]));
    }
    for relation in [4, 6, u32::MAX] {
        assert_eq!(world.object(0, relation), None);
        assert_eq!(world.fact_id(u64::MAX, relation), None);
    }
    assert_eq!(world.object(20, 0), None);
    assert_eq!(world.objects_of(u32::MAX), 0);
    assert!(corpus.vocabulary().object(u32::MAX).is_none());
    assert!(corpus.prober(usize::MAX).is_err());
    let plan = ShardPlan::new(&corpus);
    assert!(plan.documents(u64::MAX).is_empty());
    let progress = Progress::default();
    refused(corpus.tokens::<u16>(0..u64::MAX, 1, &progress));
    refused(corpus.fill::<u16>(&mut [0; 4], u64::MAX, 1, &progress));
    refused(corpus.fill_tokens::<u16>(&mut [0; 4], u64::MAX, 1, &progress));
}

/// More tokens than can be counted or than fit in memory are errors and do not abort the program.
#[test]
fn sizes_past_all_bounds_are_refused_where_they_are_asked_for() {
    let corpus = corpus("[world]\nsubjects = 100_000_000_000_000_000\nrelations = 6\n");
    let progress = Progress::default();
    let end = corpus.documents();
    refused(corpus.token_count(1, &progress));
    // The last documents can be read, although the tokens before them are too many to count.
    assert_eq!(
        corpus.fill::<u16>(&mut [0; 4], end, 1, &progress).unwrap(),
        0
    );
    let last = corpus.tokens::<u16>(end - 1..end, 1, &progress).unwrap();
    assert_eq!(
        corpus.tokens::<u16>(0..1, 1, &progress).unwrap().len(),
        last.len()
    );
    assert_eq!(
        refused(corpus.tokens::<u16>(0..1 << 57, 1, &progress)),
        "argument 'stop': got 2305843009213693952 tokens, allowed: as many tokens as fit in memory"
    );
    let entries = refused(corpus.entries(0..1 << 57));
    assert!(
        entries.ends_with("sentences, allowed: as many sentences as fit in memory"),
        "{entries}"
    );
    assert!(behemoth_gen::shard::estimated_bytes(&corpus) > 1 << 63);
}

#[test]
fn a_refusal_is_fields() {
    let error = Spec::from_json(r#"{"world": {"relations": [{"kind": "zipf", "objects": -1}]}}"#);
    let Error::Argument {
        path,
        got,
        allowed,
        nearest,
    } = error.unwrap_err()
    else {
        panic!("another error");
    };
    let keys = [
        PathKey::from("relations"),
        PathKey::from(0),
        PathKey::from("objects"),
    ];
    assert_eq!(path, keys);
    assert_eq!(
        (&got[..], &allowed[..]),
        ("-1", "a whole number, not negative")
    );
    assert_eq!(nearest, None);
    let error = CorpusSpec::from_json(r#"{"order": "shufle"}"#).unwrap_err();
    let Error::Argument { nearest, .. } = error else {
        panic!("another error");
    };
    assert_eq!(nearest.as_deref(), Some("shuffle"));
}

//! Checks before a corpus is built: agreement of its spec, world and parts, and its vocabulary.

use super::Parts;
use crate::background::Background;
use crate::error::{Error, Result};
use crate::exposure::ExposureSpec;
use crate::filler::Filler;
use crate::grammar::{Lexicon, Says, Shares};
use crate::spec::{CorpusSpec, GrammarSpec, Naming, TableSpec};
use crate::vocabulary::{Named, Things, Vocabulary};
use crate::world::World;

/// Returns the world and the spec of a corpus in agreement: the world has the overrides of the
/// spec's twin, and the spec those of the world.
pub(super) fn settle(
    world: World,
    mut spec: CorpusSpec,
    parts: &Parts,
) -> Result<(World, CorpusSpec)> {
    let lexicon = parts.lexicon.as_deref();
    settle_grammar(&mut spec, lexicon)?;
    settle_background(&mut spec, parts.background.as_deref())?;
    if let Some(array) = &parts.array {
        if !matches!(spec.exposures, ExposureSpec::Array(_)) {
            return Err(Error::argument(
                "exposures",
                "numbers for the facts beside another form",
                "the form array, or no numbers",
            ));
        }
        spec.exposures.take_numbers(array);
    }
    let mut spec = spec.checked()?;
    // Both the world and the spec may have overrides; those of the world take precedence.
    let (overrides, follow) = world.overrides();
    if !overrides.is_empty() {
        spec.twin.overrides = overrides.to_vec();
        spec.twin.follow = follow;
    }
    let world = match (spec.twin.overrides.as_slice(), spec.twin.follow) {
        own if own == world.overrides() => world,
        (overrides, follow) => world.with_overrides(overrides, follow)?,
    };
    // Sorted, and without a flag that no override reads, so that two spellings of one twin have one
    // hash.
    let (overrides, follow) = world.overrides();
    spec.twin.overrides = overrides.to_vec();
    spec.twin.follow = follow;
    spec.twin.without.sort_unstable();
    spec.twin.without.dedup();
    if let Some(&last) = spec.twin.without.last()
        && last >= world.facts()
    {
        return Err(Error::argument(
            "without",
            format!("fact {last}"),
            format!("facts below {}", world.facts()),
        ));
    }
    check_beside_names(&world, &spec)?;
    if spec.insert.is_some() && spec.filler.is_none() && spec.background.is_none() {
        return Err(Error::argument(
            "insert",
            "an insert without documents to insert into",
            "an insert together with a background or a filler",
        ));
    }
    if spec.insert.is_some_and(|insert| insert.words) && !lexicon.is_some_and(Lexicon::knows_words)
    {
        let allowed = "false: only a grammar's tokenizer has words of several tokens";
        return Err(Error::argument("words", true, allowed).within("insert"));
    }
    settle_links(&world, &mut spec, lexicon, parts.array.as_deref())?;
    if let Some(exposures) = spec.nested_exposures
        && world.links().is_empty()
    {
        return Err(Error::argument(
            "nested_exposures",
            exposures,
            "none in a world without composed relations",
        ));
    }
    Ok((world, spec))
}

/// Fills in the grammar and the tokenizer that the corpus is written with; refuses a spec that
/// names others.
fn settle_grammar(spec: &mut CorpusSpec, lexicon: Option<&Lexicon>) -> Result<()> {
    let Some(lexicon) = lexicon else {
        return match &spec.grammar {
            None if spec.documents.naming == Naming::Always => {
                let error = Error::argument("naming", "always", "first without a grammar");
                Err(error.within("documents"))
            }
            None => Ok(()),
            Some(grammar) => Err(Error::argument(
                "grammar",
                format!("`{}` without its sentences", grammar.name),
                "the grammar that the spec names, compiled with its tokenizer",
            )),
        };
    };
    let own = GrammarSpec {
        name: lexicon.grammar().name.clone(),
        digest: lexicon.grammar().digest.clone(),
        tokenizer: lexicon.tokenizer().to_string(),
    };
    if let Some(asked) = &spec.grammar {
        for (name, asked, own) in [
            ("name", &asked.name, &own.name),
            ("digest", &asked.digest, &own.digest),
            ("tokenizer", &asked.tokenizer, &own.tokenizer),
        ] {
            if !asked.is_empty() && asked != own {
                let error = Error::argument(name, format!("`{own}`"), format!("`{asked}`"));
                return Err(error.within("grammar"));
            }
        }
    }
    spec.grammar = Some(own);
    Ok(())
}

/// Fills in the background of the corpus; refuses a spec that names another.
fn settle_background(spec: &mut CorpusSpec, background: Option<&Background>) -> Result<()> {
    let asked = spec.background.take();
    spec.background = match (asked, background) {
        (None, None) => None,
        (Some(_), None) => {
            let allowed = "the documents that the spec names";
            return Err(Error::argument(
                "background",
                "none of its documents",
                allowed,
            ));
        }
        (asked, Some(background)) => {
            let mut own = asked.unwrap_or_default();
            if !own.digest.is_empty() && own.digest != background.digest() {
                let got = format!("`{}`", background.digest());
                let error = Error::argument("digest", got, format!("`{}`", own.digest));
                return Err(error.within("background"));
            }
            // A corpus that was made from such documents, whose spec has their digest, stays readable.
            if own.digest.is_empty() {
                background.check_documents()?;
            }
            own.digest = background.digest().to_string();
            own.tokens = own.tokens.or(Some(background.tokens()));
            Some(own)
        }
    };
    Ok(())
}

/// Sets the exposures of link facts to 0 unless the grammar has sentences about all links; refuses
/// a spec or numbers that would write a link without sentences, and a spec with exposures of links
/// beside numbers for them.
fn settle_links(
    world: &World,
    spec: &mut CorpusSpec,
    lexicon: Option<&Lexicon>,
    array: Option<&[u32]>,
) -> Result<()> {
    let first = world.relations();
    // Whether the grammar fits the world is checked later.
    let is_silent = |link: u32| {
        lexicon.is_some_and(|lexicon| {
            (link as usize) < lexicon.relations()
                && lexicon.sentences(link, Says::Statement).is_empty()
        })
    };
    let has_silent = (first..lexicon.map_or(first, |own| own.relations() as u32)).any(is_silent);
    if has_silent && let Some(exposures @ 1..) = spec.nested_exposures {
        return Err(Error::argument(
            "nested_exposures",
            exposures,
            "0: the grammar has a composed relation without sentences about its link",
        ));
    }
    let covers_links = |array: &&[u32]| array.len() as u64 == world.facts();
    if !world.links().is_empty()
        && let Some(array) = array.filter(covers_links)
    {
        // The 0 beside a link without sentences is set below, also in specs that are read again.
        if !has_silent && let Some(exposures) = spec.nested_exposures {
            return Err(Error::argument(
                "nested_exposures",
                exposures,
                "nothing: the exposures have a number for each link fact",
            ));
        }
        for (fact, &exposures) in (0..).zip(array).skip(world.subject_facts() as usize) {
            if exposures > 0 && is_silent(world.subject_relation(fact).1) {
                return Err(Error::argument(
                    "exposures",
                    format!("{exposures} for link fact {fact}"),
                    "0: the grammar has no sentences about its link",
                ));
            }
        }
    }
    if has_silent {
        spec.nested_exposures = Some(0);
    }
    Ok(())
}

/// Returns the kinds of things that have names in a table.
fn named(world: &World) -> Named {
    let Some(TableSpec { names, .. }) = &world.spec().table else {
        return Named::default();
    };
    Named {
        subjects: names.subjects.is_some(),
        relations: names.relations.is_some(),
        objects: names.objects.is_some(),
        nested: names.nested.is_some(),
    }
}

/// Refuses settings that have no meaning if things have names.
fn check_beside_names(world: &World, spec: &CorpusSpec) -> Result<()> {
    let named = named(world);
    if let Some(grammar) = &spec.grammar
        && (named.subjects || named.relations || named.objects || named.nested)
    {
        return Err(Error::argument(
            "grammar",
            format!("`{}` for a table with names", grammar.name),
            "no grammar: it would use other names",
        ));
    }
    let has_nested = !world.links().is_empty();
    let all = named.subjects && named.relations && named.objects && (named.nested || !has_nested);
    if all && spec.base != CorpusSpec::default().base {
        let allowed = "nothing: each name is one token";
        return Err(Error::argument("base", spec.base, allowed));
    }
    Ok(())
}

/// Builds the vocabulary of everything that the sentences of a world need.
pub(super) fn vocabulary(world: &World, spec: &CorpusSpec, shares: &Shares) -> Result<Vocabulary> {
    let words = spec.filler.as_ref().map(Filler::names);
    let table = world.spec().table.as_ref();
    let objects: Vec<(u64, bool)> = (0..world.relations())
        .map(|relation| (world.objects_of(relation), world.is_composed(relation)))
        .collect();
    Vocabulary::new(&Things {
        base: spec.base,
        reference_words: table.is_some_and(|table| table.reference_words),
        named: named(world),
        subjects: world.subjects(),
        objects: &objects,
        links: world.links().len() as u64,
        wordings: (spec.paraphrases - 1) * shares.used().count() as u64,
        nonsense_words: if shares.has_random_fillers {
            spec.nonsense_words * spec.paraphrases
        } else {
            0
        },
        fillers: shares
            .used()
            .flat_map(|template| template.fillers())
            .collect(),
        words: words.as_deref().unwrap_or_default(),
    })
}

//! Compiling a grammar with a tokenizer.

use super::cut::cut;
use super::expand::{About, Expansion, Mention, Segment};
use super::file::{Joint, Relation, Sentence, TextGrammar};
use super::image::Image;
use super::lexicon::{Column, JointSentences, Lexicon, OfRelation, Placed, Plan, Says, ends};
use super::pattern::Pattern;
use super::pieces::{Piece, Pieces};
use super::tokenizer::{SPECIAL_WORDS, Tokenizer};
use crate::error::{Error, Result};
use crate::numbers::vocabulary;

/// Returns the maximum numbers of written and of held-out sentences of a relation.
fn counts<'a>(lists: impl Iterator<Item = &'a [Sentence]>) -> (usize, usize) {
    lists.fold((0, 0), |(written, held_out), sentences| {
        let held = sentences
            .iter()
            .filter(|sentence| sentence.held_out)
            .count();
        (written.max(sentences.len() - held), held_out.max(held))
    })
}

/// Refuses names that are not one for each token, or do not begin with the special words: the ids of
/// a vocabulary are divided by them.
fn check_names(names: &[String], size: u64) -> Result<()> {
    if names.len() as u64 != size {
        let got = format!("{} names", names.len());
        let allowed = format!("{size}, one for each token");
        return Err(Error::argument("tokenizer", got, allowed));
    }
    let first = &names[..names.len().min(SPECIAL_WORDS.len())];
    if first != SPECIAL_WORDS {
        let got = format!("the names {first:?} for its first tokens");
        return Err(Error::argument(
            "tokenizer",
            got,
            format!("{SPECIAL_WORDS:?}"),
        ));
    }
    Ok(())
}

impl Lexicon {
    /// Compiles a grammar, which encodes every piece of it once.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Argument`] with the name of a piece if the tokens of a sentence would not
    /// be those of its pieces, if two words of a list have the same tokens, if the names of the
    /// tokenizer are not as [`Tokenizer::names`] states, or if the grammar or the tokenizer is too
    /// large; and the error of the tokenizer.
    pub fn new(grammar: TextGrammar, tokenizer: &mut dyn Tokenizer) -> Result<Lexicon> {
        let (size, end) = (tokenizer.size(), tokenizer.end_of_document());
        vocabulary(size, format!("a tokenizer of {size} tokens"), "")?;
        if u64::from(end) >= size {
            let got = format!("token {end} for the end of a document");
            return Err(Error::argument(
                "tokenizer",
                got,
                format!("an id below {size}"),
            ));
        }
        let lexicon = Lexicon::compile(grammar, tokenizer)?;
        if let Some(names) = lexicon.names() {
            check_names(names, lexicon.size())?;
        }
        Ok(lexicon)
    }

    /// Like [`Lexicon::new`], without a check of the token that ends a document and of the names: a
    /// lexicon for text has no such token, and no special words.
    pub(super) fn compile(grammar: TextGrammar, tokenizer: &mut dyn Tokenizer) -> Result<Lexicon> {
        let mut compiler = Compiler {
            grammar: &grammar,
            pieces: Pieces::new(&grammar.lists),
            ops: Vec::new(),
            plans: Vec::new(),
        };
        let links = || grammar.relations.iter().filter_map(|r| r.link.as_ref());
        let all = grammar.relations.iter();
        let statements = counts(
            all.clone()
                .map(|r| &r.statements[..])
                .chain(links().map(|l| &l.statements[..])),
        );
        let questions = counts(
            all.map(|r| &r.questions[..])
                .chain(links().map(|l| &l.questions[..])),
        );
        let mut columns = Vec::new();
        for (says, (written, held_out)) in
            [(Says::Statement, statements), (Says::Question, questions)]
        {
            columns.extend((0..written + held_out).map(|number| Column {
                says,
                number: number as u32,
                held_out: number >= written,
            }));
        }
        let first_question = statements.0 + statements.1;
        let place = Places {
            columns: columns.len(),
            statements: (0, statements.0),
            questions: (first_question, questions.0),
        };
        let mut relations = Vec::new();
        for relation in &grammar.relations {
            let compiled = compiler.relation(relation, &place);
            relations.push(compiled.map_err(|e| grammar.lines.place(e))?);
        }
        for (at, of) in grammar.linked() {
            let compiled = compiler.link(&grammar.relations[at], of, &place);
            relations.push(compiled.map_err(|e| grammar.lines.place(e))?);
        }
        let joints: Result<Vec<JointSentences>> = grammar
            .joints
            .iter()
            .enumerate()
            .map(|(at, joint)| {
                compiler
                    .joint(joint)
                    .map_err(|e| grammar.lines.place(e.within(at).within("joint")))
            })
            .collect();
        let joints = joints?;
        let written = compiler.plans.len();
        compiler
            .unwritten(&mut relations)
            .map_err(|e| grammar.lines.place(e))?;
        let Compiler {
            pieces, ops, plans, ..
        } = compiler;
        let (pool, entries) = pieces.encode(tokenizer)?;
        let mut lexicon = Lexicon {
            tokenizer: tokenizer.digest(),
            end: tokenizer.end_of_document(),
            size: tokenizer.size(),
            names: tokenizer.names().map(<[String]>::to_vec),
            pool,
            small: Vec::new(),
            entries,
            pieces: ops,
            plans,
            columns,
            relations,
            joints,
            most_tokens: 0,
            starts: Vec::new(),
            image: Image::default(),
            words: Vec::new(),
            begins: Vec::new(),
            written,
            grammar,
        };
        lexicon.finish()?;
        Ok(lexicon)
    }
}

/// The number of columns, and the first column and the number of written ones for statements and
/// questions.
struct Places {
    columns: usize,
    statements: (usize, usize),
    questions: (usize, usize),
}

pub(super) struct Compiler<'a> {
    pub(super) grammar: &'a TextGrammar,
    pieces: Pieces<'a>,
    ops: Vec<Piece>,
    plans: Vec<Plan>,
}

impl OfRelation {
    fn empty(columns: usize) -> OfRelation {
        OfRelation {
            placed: vec![None; columns],
            statements: Vec::new(),
            questions: Vec::new(),
            refusing: vec![None; columns],
            edits: Vec::new(),
        }
    }
}

impl Compiler<'_> {
    fn relation(&mut self, relation: &Relation, place: &Places) -> Result<OfRelation> {
        self.sentences(
            relation,
            &self.grammar.subjects(),
            &relation.statements,
            &relation.questions,
            place,
        )
        .map_err(|e| e.within(relation.key.as_str()).within("relations"))
    }

    fn link(&mut self, relation: &Relation, of: usize, place: &Places) -> Result<OfRelation> {
        let Some(link) = &relation.link else {
            return Ok(OfRelation::empty(place.columns));
        };
        let about = About::Object {
            link,
            of: &self.grammar.relations[of],
        };
        self.sentences(relation, &[about], &link.statements, &link.questions, place)
            .map_err(|e| {
                e.within("link")
                    .within(relation.key.as_str())
                    .within("relations")
            })
    }

    fn sentences(
        &mut self,
        relation: &Relation,
        abouts: &[About<'_>],
        statements: &[Sentence],
        questions: &[Sentence],
        place: &Places,
    ) -> Result<OfRelation> {
        let mut own = OfRelation::empty(place.columns);
        let objects = [("object", &relation.objects)];
        for (is_question, sentences, (first, written)) in [
            (false, statements, place.statements),
            (true, questions, place.questions),
        ] {
            let name = if is_question {
                "questions"
            } else {
                "statements"
            };
            let (mut next, mut next_held_out) = (first, first + written);
            for (at, sentence) in sentences.iter().enumerate() {
                let answer = is_question.then_some(&relation.answer);
                let all = &Mention::ALL;
                let placed = self
                    .sentence(
                        &sentence.text,
                        answer,
                        abouts,
                        &objects,
                        &relation.name,
                        all,
                    )
                    .map_err(|e| e.within(at).within(name))?;
                let column = if sentence.held_out {
                    &mut next_held_out
                } else {
                    &mut next
                };
                own.placed[*column] = Some(placed);
                if !sentence.held_out && sentence.weight > 0.0 {
                    let list = if is_question {
                        &mut own.questions
                    } else {
                        &mut own.statements
                    };
                    list.push((*column, sentence.weight));
                }
                *column += 1;
            }
        }
        Ok(own)
    }

    fn joint(&mut self, joint: &Joint) -> Result<JointSentences> {
        let grammar = self.grammar;
        let (abouts, objects) = (grammar.subjects(), grammar.objects_of(joint));
        let mut placed = Vec::new();
        let mut weights = Vec::new();
        for (at, sentence) in joint.statements.iter().enumerate() {
            if sentence.held_out {
                continue;
            }
            let all = &Mention::ALL;
            let found = self.sentence(&sentence.text, None, &abouts, &objects, "", all);
            placed.push(found.map_err(|e| e.within(at).within("statements"))?);
            weights.push(sentence.weight);
        }
        Ok(JointSentences {
            relations: joint.relations.iter().map(|&at| at as u32).collect(),
            placed,
            ends: ends(&weights),
        })
    }

    /// Compiles a sentence in some of its contexts; `mentions` starts with [`Mention::First`].
    pub(super) fn sentence(
        &mut self,
        text: &Pattern,
        answer: Option<&Pattern>,
        abouts: &[About<'_>],
        objects: &[(&str, &Pattern)],
        relation: &str,
        mentions: &[Mention],
    ) -> Result<Placed> {
        let first = self.plans.len() as u32;
        for &about in abouts {
            for &mention in mentions {
                let expansion = Expansion {
                    grammar: self.grammar,
                    about,
                    mention,
                    objects: objects.to_vec(),
                    relation,
                };
                self.plan(&expansion.sentence(text, answer), mention)?;
            }
        }
        let stride = if abouts.len() > 1 {
            mentions.len() as u32
        } else {
            0
        };
        Ok(Placed { first, stride })
    }

    fn plan(&mut self, segments: &[Segment], mention: Mention) -> Result<()> {
        let from = self.ops.len() as u32;
        for (at, piece) in cut(segments).iter().enumerate() {
            let is_first = at == 0 && mention == Mention::First;
            self.ops.push(self.pieces.piece(piece, is_first)?);
        }
        self.plans.push(Plan {
            from,
            to: self.ops.len() as u32,
        });
        Ok(())
    }
}

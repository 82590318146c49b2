//! A grammar compiled with a tokenizer: every sentence in every context, as pieces to copy.

use std::collections::HashMap;

use super::expand::{About, Expansion, Mention, Segment, TextRole};
use super::file::{Class, Joint, Relation, Sentence, TextGrammar};
use super::pattern::Pattern;
use super::pieces::{Entry, Piece, Pieces, cut};

use super::tokenizer::{PieceTokenizer, Tokenizer};
use crate::error::Result;

/// Tokens copied at once.
pub(super) const CHUNK: usize = 8;

/// What a column of sentences says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A fact.
    Statement,
    /// A question about a fact, and its answer.
    Question,
}

/// The sentences with one number, of all relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub says: Says,
    /// Its number among those that say the same.
    pub number: u32,
    pub held_out: bool,
}

/// A sentence, in all its contexts.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// The plan of the first class at its first mention.
    first: u32,
    /// Plans from one class to the next; 0 where all classes have the same.
    stride: u32,
}

/// Sentences of one relation.
#[derive(Clone, Debug)]
struct OfRelation {
    /// By column.
    placed: Vec<Option<Placed>>,
    /// Columns that are written, with their weights.
    statements: Vec<(usize, f64)>,
    questions: Vec<(usize, f64)>,
}

/// Sentences that say several facts at once.
#[derive(Clone, Debug)]
pub(crate) struct JointSentences {
    pub relations: Vec<u32>,
    placed: Vec<Placed>,
    /// Hashes below the first are of sentence 0, and so on; the last sentence has no end.
    ends: Vec<u64>,
}

impl JointSentences {
    /// One of them by a hash.
    #[inline]
    pub(crate) fn draw(&self, hash: u64) -> usize {
        self.ends.partition_point(|&end| end <= hash)
    }
}

/// Ends of ranges of 64-bit hashes that are as wide as these weights; the last has none.
pub(crate) fn ends(weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    let mut before = 0.0;
    let mut ends: Vec<u64> = weights
        .iter()
        .map(|weight| {
            before += weight / sum;
            (before * 18_446_744_073_709_551_616.0) as u64
        })
        .collect();
    ends.pop();
    ends
}

/// A sentence in one context: which pieces, and the most tokens that they have.
#[derive(Clone, Copy, Debug)]
struct Plan {
    from: u32,
    to: u32,
}

/// A grammar in the tokens of one tokenizer.
#[derive(Clone, Debug)]
pub struct Lexicon {
    grammar: TextGrammar,
    tokenizer: String,
    end: u32,
    size: u64,
    names: Option<Vec<String>>,
    /// The tokens of all pieces, end to end.
    pub(super) pool: Vec<u32>,
    /// The same in 16 bits, where they fit.
    pub(super) small: Vec<u16>,
    pub(super) entries: Vec<Entry>,
    pub(super) pieces: Vec<Piece>,
    plans: Vec<Plan>,
    columns: Vec<Column>,
    relations: Vec<OfRelation>,
    joints: Vec<JointSentences>,
    most_tokens: usize,
    /// The first entries of all pieces, and the number of entries.
    starts: Vec<u32>,
}

/// Stands for the end of a document among roles.
pub const END_ROLE: u32 = 3;

/// Sentences of one kind, as far as columns are concerned: how many of a relation's sentences are
/// written and how many are held out.
fn counts<'a>(lists: impl Iterator<Item = &'a [Sentence]>) -> (usize, usize) {
    lists.fold((0, 0), |(written, held_out), sentences| {
        let held = sentences
            .iter()
            .filter(|sentence| sentence.held_out)
            .count();
        (written.max(sentences.len() - held), held_out.max(held))
    })
}

impl Lexicon {
    /// Compiles a grammar: encodes every piece of it once.
    ///
    /// Fails where the tokens of a sentence would not be those of its pieces, and names the piece.
    pub fn new(grammar: TextGrammar, tokenizer: &mut dyn Tokenizer) -> Result<Lexicon> {
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
            relations.push(compiler.relation(relation, &place)?);
        }
        for relation in &grammar.relations {
            if let super::file::Kind::Composed { of } = relation.kind {
                relations.push(compiler.link(relation, of, &place)?);
            }
        }
        let joints: Result<Vec<JointSentences>> = grammar
            .joints
            .iter()
            .enumerate()
            .map(|(at, joint)| {
                compiler
                    .joint(joint)
                    .map_err(|e| e.within(at).within("joint"))
            })
            .collect();
        let joints = joints?;
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
            grammar,
        };
        lexicon.join_literals();
        lexicon.starts = lexicon.pieces.iter().map(|piece| piece.first).collect();
        lexicon.starts.push(lexicon.entries.len() as u32);
        lexicon.starts.sort_unstable();
        lexicon.starts.dedup();
        // A chunk may be copied from beyond the end of the last piece.
        lexicon.pool.resize(lexicon.pool.len() + CHUNK, 0);
        lexicon.small = lexicon.narrowed();
        lexicon.most_tokens = lexicon.most_tokens_of_plans();
        Ok(lexicon)
    }

    /// The same sentences with the role of each token in its place: what a token says, as
    /// [`TextRole::code`].
    pub(crate) fn as_roles(&self) -> Lexicon {
        let mut pool = vec![TextRole::Grammar.code(); self.pool.len()];
        for piece in &self.pieces {
            if piece.role == TextRole::Grammar {
                continue;
            }
            let next = self.starts.partition_point(|&start| start <= piece.first);
            let end = self.starts.get(next).copied().unwrap_or(piece.first);
            for entry in &self.entries[piece.first as usize..end as usize] {
                let at = entry.at as usize;
                let core = at + usize::from(entry.core.0)..at + usize::from(entry.core.1);
                pool[core].fill(piece.role.code());
            }
        }
        let mut roles = Lexicon {
            pool,
            end: END_ROLE,
            ..self.clone()
        };
        roles.small = roles.narrowed();
        roles
    }

    fn narrowed(&self) -> Vec<u16> {
        let tokens = self.pool.iter().map(|&token| u16::try_from(token));
        tokens
            .collect::<std::result::Result<_, _>>()
            .unwrap_or_default()
    }

    /// The same grammar as text: each piece is a token.
    pub(crate) fn as_text(&self) -> Result<Lexicon> {
        Lexicon::new(self.grammar.clone(), &mut PieceTokenizer::default())
    }

    /// The grammar.
    pub fn grammar(&self) -> &TextGrammar {
        &self.grammar
    }

    /// What tells its tokenizer apart from others.
    pub fn tokenizer(&self) -> &str {
        &self.tokenizer
    }

    /// The token that ends a document.
    pub fn end_of_document(&self) -> u32 {
        self.end
    }

    /// Number of token ids.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The names of the tokens by id, where the tokenizer was made for the grammar.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The written sentences of a relation as columns with weights; links come after the rest.
    pub(crate) fn sentences(&self, relation: u32, says: Says) -> &[(usize, f64)] {
        let own = &self.relations[relation as usize];
        match says {
            Says::Statement => &own.statements,
            Says::Question => &own.questions,
        }
    }

    pub(crate) fn joints(&self) -> &[JointSentences] {
        &self.joints
    }

    /// Number of relations, links included.
    pub(crate) fn relations(&self) -> usize {
        self.relations.len()
    }

    /// Whether a relation has a sentence in a column.
    pub(crate) fn has(&self, relation: u32, column: usize) -> bool {
        self.relations[relation as usize].placed[column].is_some()
    }

    /// Most tokens of a sentence.
    pub(crate) fn most_tokens(&self) -> usize {
        self.most_tokens
    }

    /// The plan of a relation's sentence for a class and a mention.
    #[inline]
    pub(crate) fn plan(&self, relation: u32, column: usize, class: u32, mention: Mention) -> u32 {
        match self.relations[relation as usize].placed[column] {
            Some(placed) => placed.plan(class, mention),
            None => panic!("a relation without a sentence in this column"),
        }
    }

    #[inline]
    pub(crate) fn joint_plan(
        &self,
        joint: usize,
        number: usize,
        class: u32,
        mention: Mention,
    ) -> u32 {
        self.joints[joint].placed[number].plan(class, mention)
    }

    #[inline(always)]
    pub(super) fn pieces_of(&self, plan: u32) -> &[Piece] {
        let plan = self.plans[plan as usize];
        &self.pieces[plan.from as usize..plan.to as usize]
    }

    /// Makes one piece of those that stand beside each other and have no hole.
    fn join_literals(&mut self) {
        let mut joined: HashMap<Vec<u32>, Piece> = HashMap::new();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut plans = Vec::with_capacity(self.plans.len());
        let mut known: HashMap<Vec<Piece>, Plan> = HashMap::new();
        let is_plain = |piece: &Piece| !piece.has_words() && piece.role == TextRole::Grammar;
        for plan in &self.plans {
            let from = pieces.len();
            let own = &self.pieces[plan.from as usize..plan.to as usize];
            for run in own.chunk_by(|a, b| is_plain(a) && is_plain(b)) {
                let &[first, _, ..] = run else {
                    pieces.extend(run);
                    continue;
                };
                let tokens: Vec<u32> = run
                    .iter()
                    .flat_map(|piece| {
                        let entry = self.entries[piece.first as usize];
                        let at = entry.at as usize;
                        self.pool[at..at + usize::from(entry.tokens)]
                            .iter()
                            .copied()
                    })
                    .collect();
                if tokens.len() > 255 {
                    pieces.extend(run);
                    continue;
                }
                let (pool, entries) = (&mut self.pool, &mut self.entries);
                let piece = *joined.entry(tokens).or_insert_with_key(|tokens| {
                    entries.push(Entry {
                        at: pool.len() as u32,
                        tokens: tokens.len() as u8,
                        core: (0, 0),
                    });
                    pool.extend(tokens);
                    Piece {
                        first: entries.len() as u32 - 1,
                        ..first
                    }
                });
                pieces.push(piece);
            }
            // Most contexts of a sentence read alike; kept once, they stay in the cache.
            let plan = *known.entry(pieces[from..].to_vec()).or_insert(Plan {
                from: from as u32,
                to: pieces.len() as u32,
            });
            if plan.from as usize != from {
                pieces.truncate(from);
            }
            plans.push(plan);
        }
        (self.pieces, self.plans) = (pieces, plans);
    }

    fn most_tokens_of_plans(&self) -> usize {
        // Of each piece the longest way to fill it; a piece ends where the next known one begins.
        let most: HashMap<u32, usize> = self
            .starts
            .windows(2)
            .map(|pair| {
                let own = &self.entries[pair[0] as usize..pair[1] as usize];
                let most = own.iter().map(|entry| usize::from(entry.tokens)).max();
                (pair[0], most.unwrap_or(0))
            })
            .collect();
        let of_plan = |plan: &Plan| -> usize {
            let own = &self.pieces[plan.from as usize..plan.to as usize];
            own.iter().map(|piece| most[&piece.first]).sum()
        };
        self.plans.iter().map(of_plan).max().unwrap_or(0)
    }
}

impl Placed {
    #[inline(always)]
    fn plan(self, class: u32, mention: Mention) -> u32 {
        self.first + class * self.stride + mention as u32
    }
}

/// Where the columns of a relation begin, and how many of each kind are written.
struct Places {
    columns: usize,
    statements: (usize, usize),
    questions: (usize, usize),
}

struct Compiler<'a> {
    grammar: &'a TextGrammar,
    pieces: Pieces<'a>,
    ops: Vec<Piece>,
    plans: Vec<Plan>,
}

impl Compiler<'_> {
    fn relation(&mut self, relation: &Relation, place: &Places) -> Result<OfRelation> {
        let classes = &self.grammar.subject.classes;
        let abouts: Vec<About<'_>> = classes.iter().map(About::Subject).collect();
        self.sentences(
            relation,
            &abouts,
            &relation.statements,
            &relation.questions,
            place,
        )
        .map_err(|e| e.within(relation.key.as_str()).within("relations"))
    }

    fn link(&mut self, relation: &Relation, of: usize, place: &Places) -> Result<OfRelation> {
        let Some(link) = &relation.link else {
            return Ok(OfRelation {
                placed: vec![None; place.columns],
                statements: Vec::new(),
                questions: Vec::new(),
            });
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
        let mut own = OfRelation {
            placed: vec![None; place.columns],
            statements: Vec::new(),
            questions: Vec::new(),
        };
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
                let placed = self
                    .sentence(&sentence.text, answer, abouts, &objects, &relation.name)
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
        let own = || joint.relations.iter().map(|&at| &grammar.relations[at]);
        let objects: Vec<(&str, &Pattern)> = own()
            .map(|relation| (relation.key.as_str(), &relation.objects))
            .collect();
        let abouts: Vec<About<'_>> = grammar.subject.classes.iter().map(About::Subject).collect();
        let mut placed = Vec::new();
        let mut weights = Vec::new();
        for (at, sentence) in joint.statements.iter().enumerate() {
            if sentence.held_out {
                continue;
            }
            let found = self.sentence(&sentence.text, None, &abouts, &objects, "");
            placed.push(found.map_err(|e| e.within(at).within("statements"))?);
            weights.push(sentence.weight);
        }
        Ok(JointSentences {
            relations: joint.relations.iter().map(|&at| at as u32).collect(),
            placed,
            ends: ends(&weights),
        })
    }

    /// A sentence in all its contexts.
    fn sentence(
        &mut self,
        text: &Pattern,
        answer: Option<&Pattern>,
        abouts: &[About<'_>],
        objects: &[(&str, &Pattern)],
        relation: &str,
    ) -> Result<Placed> {
        let first = self.plans.len() as u32;
        for &about in abouts {
            for mention in Mention::ALL {
                let expansion = Expansion {
                    grammar: self.grammar,
                    about,
                    mention,
                    objects: objects.to_vec(),
                    relation,
                };
                let segments = match answer {
                    None => expansion.statement(text),
                    Some(answer) => expansion.question(text, answer),
                };
                self.plan(&segments, mention)?;
            }
        }
        let stride = if abouts.len() > 1 {
            Mention::ALL.len() as u32
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

impl TextGrammar {
    /// The lists that a relation's objects are the product of, by their lengths.
    pub(crate) fn object_radices(&self, relation: usize) -> Vec<u64> {
        self.radices(&self.relations[relation].objects)
    }

    /// The lists that names are the product of, by their lengths.
    pub(crate) fn name_radices(&self) -> Vec<u64> {
        self.radices(&self.subject.name)
    }

    fn radices(&self, pattern: &Pattern) -> Vec<u64> {
        let lists = pattern.holes().filter_map(|hole| self.list(&hole.name));
        lists.map(|(_, list)| list.words.len() as u64).collect()
    }

    /// Where the hashes of each class end.
    pub(crate) fn class_ends(&self) -> Vec<u64> {
        let weights = self
            .subject
            .classes
            .iter()
            .map(|class: &Class| class.weight);
        ends(&weights.collect::<Vec<f64>>())
    }

    /// How often neighbours are written by a joint statement that says both.
    pub(crate) fn share_joint(&self) -> f64 {
        self.layout.share_joint
    }

    /// The relation whose objects a link is about.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (usize, usize)> {
        self.relations
            .iter()
            .enumerate()
            .filter_map(|(at, relation)| match relation.kind {
                super::file::Kind::Composed { of } => Some((at, of)),
                _ => None,
            })
    }
}

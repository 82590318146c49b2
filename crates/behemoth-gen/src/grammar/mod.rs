//! Grammars: templates, their wordings, and the compiled form that writes facts as tokens.
//!
//! A [`Template`] is a list of parts; a *wording* of it is a list of pieces. Compiling a wording
//! for given word lengths gives an image of the sentence with holes for the words; writing a
//! sentence copies the image and three words. Templates with random fillers have no image and are
//! written piece by piece, without branches on the random counts: the maximum number of fillers is
//! always written, and the cursor advances by the number that was drawn.

mod pieces;
mod probe;
mod random;
mod template;
mod text;
mod wording;
mod writer;

use crate::error::{Error, Result};
use crate::vocabulary::Vocabulary;

pub use self::template::{Asks, Family, Template};
pub use self::text::{
    END_ROLE, Lexicon, PUNCTUATION, SHIPPED, SPECIAL_WORDS, TextGrammar, TextRole, TextToken,
    Tokenizer, WordTokenizer,
};
pub use self::wording::{Form, Wording};

use self::pieces::{Fillers, pieces};

pub(crate) use self::probe::{Fill, probe};
pub(crate) use self::text::{Digits, Mention, Says, SentenceBuffer, TextSpan, slots};
pub(crate) use self::wording::{Lengths, most_tokens};
pub(crate) use self::writer::{Words, Writer};

/// Number of tokens that a write may overwrite beyond the end of a sentence.
pub(crate) const SLACK: usize = 32;

/// Maximum total number of nonsense words of all wordings: the vocabulary names each of them.
pub(crate) const NONSENSE_LIMIT: u64 = 1_000_000;

/// A template and its weight in the grammar.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TemplateWeight {
    /// The template.
    pub template: Template,
    /// Weight, relative to the others.
    pub weight: f64,
}

impl TemplateWeight {
    /// Creates a template with a weight, relative to the others.
    pub fn new(template: Template, weight: f64) -> Self {
        TemplateWeight { template, weight }
    }
}

/// The settings of a grammar of templates.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub templates: &'a [TemplateWeight],
    /// Share of sentences in another word order, for the templates that have one.
    pub inversion: f64,
    /// Number of wordings of each template.
    pub wordings: u64,
    /// Number of wordings, from the last, that are never written.
    pub held_out: u64,
    /// Number of random fillers of each wording.
    pub nonsense_words: u64,
    /// Whether the corpus has questions about some subjects.
    pub asks_questions: bool,
}

/// The shares of the templates of a corpus, which decide its vocabulary and grammar.
pub(crate) struct Shares {
    /// Weight of each template; 0 if no statement is written in it.
    weights: Vec<f64>,
    sum: f64,
    pub has_random_fillers: bool,
    asks_questions: bool,
}

impl Shares {
    /// Computes the weights of all templates, inversion included.
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self> {
        let mut weights = vec![0.0; Template::ALL.len()];
        let mut add = |template: Template, weight: f64| {
            if let Some(sum) = weights.get_mut(template as usize) {
                *sum += weight;
            }
        };
        for &TemplateWeight { template, weight } in settings.templates {
            let others = template.inverted();
            let inverted = if others.is_empty() {
                0.0
            } else {
                weight * settings.inversion
            };
            add(template, weight - inverted);
            for &other in others {
                add(other, inverted / others.len() as f64);
            }
        }
        let sum: f64 = weights.iter().sum();
        // The sum of finite weights may be infinite.
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(Error::argument(
                "templates",
                if sum > 0.0 {
                    "weights that add up to infinity"
                } else {
                    "no weight above 0"
                },
                "at least one template with a weight above 0",
            ));
        }
        Ok(Shares {
            weights,
            sum,
            has_random_fillers: settings
                .templates
                .iter()
                .any(|weight| weight.template.has_random_fillers()),
            asks_questions: settings.asks_questions,
        })
    }

    fn weight(&self, template: Template) -> f64 {
        self.weights.get(template as usize).copied().unwrap_or(0.0)
    }

    /// Returns `true` if questions about some subjects are written in a template.
    fn is_asked(&self, template: Template) -> bool {
        template == Template::Question && self.asks_questions
    }

    fn is_used(&self, template: Template) -> bool {
        self.weight(template) > 0.0 || self.is_asked(template)
    }

    /// Returns the templates that are written, each of which has its own wordings.
    pub(crate) fn used(&self) -> impl Iterator<Item = Template> + '_ {
        let all = Template::ALL.iter().copied();
        all.filter(|&template| self.is_used(template))
    }
}

/// The weighted set of templates of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Grammar {
    pub wordings: Vec<Wording>,
    /// Indices of the wordings that statements draw from, with their shares.
    pub statements: Vec<(usize, f64)>,
    /// Indices of the wordings that questions draw from, all equally likely.
    pub questions: Vec<usize>,
}

impl Grammar {
    pub(crate) fn new(settings: &Settings<'_>, shares: &Shares, vocabulary: &Vocabulary) -> Self {
        let mut grammar = Grammar {
            wordings: Vec::new(),
            statements: Vec::new(),
            questions: Vec::new(),
        };
        let mut used = 0;
        for &template in Template::ALL {
            if template.has_random_fillers() && !shares.has_random_fillers {
                continue;
            }
            grammar.add(template, used, settings, shares, vocabulary);
            used += u32::from(shares.is_used(template));
        }
        grammar
    }

    /// Adds the wordings of a template; for a template that is not used, only one, for probes.
    fn add(
        &mut self,
        template: Template,
        used_before: u32,
        settings: &Settings<'_>,
        shares: &Shares,
        vocabulary: &Vocabulary,
    ) {
        let (weight, is_asked) = (shares.weight(template), shares.is_asked(template));
        let is_used = shares.is_used(template);
        let written = settings.wordings - settings.held_out;
        let each = weight / shares.sum / written as f64;
        let (wordings, words) = (settings.wordings as u32, settings.nonsense_words as u32);
        for number in 0..if is_used { wordings } else { 1 } {
            let own =
                (number > 0).then(|| vocabulary.wording_fillers(used_before, wordings, number));
            let fillers = Fillers {
                vocabulary,
                number: number as usize,
                own,
                random: (vocabulary.nonsense_words(words, number), words),
            };
            let held_out = is_used && u64::from(number) >= written;
            let is_written = is_used && !held_out;
            let index = self.wordings.len();
            if is_written && weight > 0.0 {
                self.statements.push((index, each));
            }
            if is_written && is_asked {
                self.questions.push(index);
            }
            self.wordings.push(Wording {
                form: Form::Template(template),
                number,
                held_out,
                share: match (is_written, is_asked && weight == 0.0) {
                    (false, _) => 0.0,
                    (true, true) => 1.0 / written as f64,
                    (true, false) => each,
                },
                pieces: pieces(template.parts(), &fillers),
            });
        }
    }

    /// Returns all wordings that sentences of the corpus may have.
    pub(crate) fn written(&self) -> impl Iterator<Item = usize> + '_ {
        self.statements
            .iter()
            .map(|&(index, _)| index)
            .chain(self.questions.iter().copied())
    }
}

//! Checks of a corpus spec that need only its own numbers.

use super::CorpusSpec;
use crate::document::{Order, QuestionPlace};
use crate::error::{Error, Result};
use crate::grammar::{NONSENSE_LIMIT, TemplateWeight};
use crate::numbers::{COUNT_LIMIT, counted_fraction, fraction, positive, seed};

impl CorpusSpec {
    /// Refuses an invalid spec; returns the spec in normalised form.
    pub(crate) fn checked(mut self) -> Result<Self> {
        self.exposures.check().map_err(|e| e.within("exposures"))?;
        self.check_fractions()?;
        self.check_templates()?;
        self.check_wordings()?;
        self.schedule.check().map_err(|e| e.within("schedule"))?;
        if let Some(filler) = &self.filler {
            filler.check().map_err(|e| e.within("filler"))?;
        }
        self.check_insert()?;
        self.documents.check().map_err(|e| e.within("documents"))?;
        if self.questions.is_none() && self.documents.questions != QuestionPlace::Mixed {
            let error = Error::argument("questions", "a place", "none without questions");
            return Err(error.within("documents"));
        }
        self.check_beside_grammar()?;
        if !(10..=1 << 24).contains(&self.base) {
            return Err(Error::argument("base", self.base, "10 to 16777216"));
        }
        if let Some(documents) = self.documents_per_subject {
            positive("documents_per_subject", documents)?;
        }
        if let Some(order_seed) = self.order_seed {
            seed("order_seed", order_seed)?;
        }
        match self.shard_bytes {
            Some(bytes) if bytes < 4096 => {
                Err(Error::argument("shard_bytes", bytes, "at least 4096"))
            }
            Some(bytes) if bytes > COUNT_LIMIT => {
                let allowed = format!("up to {COUNT_LIMIT}");
                Err(Error::argument("shard_bytes", bytes, allowed))
            }
            _ => Ok(self),
        }
    }

    /// Refuses an insert with documents of several sentences or with a schedule.
    fn check_insert(&self) -> Result<()> {
        let Some(insert) = &self.insert else {
            return Ok(());
        };
        insert.check().map_err(|e| e.within("insert"))?;
        if self.order != Order::Shuffle {
            return Err(Error::argument(
                "insert",
                "an insert with documents of several sentences",
                "order 'shuffle', where each sentence stands by itself",
            ));
        }
        if !self.schedule.is_uniform() {
            return Err(Error::argument(
                "schedule",
                "a schedule beside an insert",
                "none: it places documents of facts, and with an insert there are none",
            ));
        }
        Ok(())
    }

    /// Refuses settings of templates next to a text grammar.
    fn check_beside_grammar(&self) -> Result<()> {
        let default = CorpusSpec::default();
        if self.grammar.is_none() {
            return Ok(());
        }
        for (name, is_said) in [
            ("templates", self.templates != default.templates),
            ("inversion", self.inversion != default.inversion),
            ("exact_shares", self.exact_shares),
            ("paraphrases", self.paraphrases != default.paraphrases),
            ("held_out", self.held_out != default.held_out),
            (
                "nonsense_words",
                self.nonsense_words != default.nonsense_words,
            ),
            ("base", self.base != default.base),
        ] {
            if is_said {
                let allowed = "nothing: the grammar determines how facts are written";
                return Err(Error::argument(name, "a value beside a grammar", allowed));
            }
        }
        Ok(())
    }

    fn check_fractions(&self) -> Result<()> {
        fraction("inversion", self.inversion)?;
        counted_fraction("minority_sentences", self.minority_sentences)?;
        if let Some(questions) = &self.questions {
            counted_fraction("subjects", questions.subjects).map_err(|e| e.within("questions"))?;
            counted_fraction("sentences", questions.sentences)
                .map_err(|e| e.within("questions"))?;
        }
        Ok(())
    }

    fn check_templates(&mut self) -> Result<()> {
        for &TemplateWeight { template, weight } in &self.templates {
            if !(weight.is_finite() && weight >= 0.0) {
                let error = Error::argument(template.name(), weight, "a weight of at least 0");
                return Err(error.within("templates"));
            }
        }
        // By name, so that two spellings of one grammar give the same bytes.
        self.templates.sort_by_key(|weight| weight.template.name());
        for pair in self.templates.windows(2) {
            if let [a, b] = pair
                && a.template == b.template
            {
                return Err(Error::argument(
                    "templates",
                    format!("'{}' twice", a.template.name()),
                    "each template once",
                ));
            }
        }
        Ok(())
    }

    fn check_wordings(&self) -> Result<()> {
        positive("paraphrases", self.paraphrases)?;
        if self.paraphrases > 10_000 {
            let got = self.paraphrases;
            return Err(Error::argument("paraphrases", got, "1 to 10000"));
        }
        if self.held_out >= self.paraphrases {
            return Err(Error::argument(
                "held_out",
                self.held_out,
                format!(
                    "fewer than paraphrases ({}), since one wording must be written",
                    self.paraphrases
                ),
            ));
        }
        // Each wording has words of its own, if there is a template with random fillers.
        let mut templates = self.templates.iter();
        let (most, allowed) = if templates.any(|own| own.template.has_random_fillers()) {
            let (each, all) = (NONSENSE_LIMIT / self.paraphrases, self.paraphrases);
            (each, format!("1 to {each} with {all} paraphrases"))
        } else {
            (NONSENSE_LIMIT, format!("1 to {NONSENSE_LIMIT}"))
        };
        if !(1..=most).contains(&self.nonsense_words) {
            let got = self.nonsense_words;
            return Err(Error::argument("nonsense_words", got, allowed));
        }
        Ok(())
    }
}

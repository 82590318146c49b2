//! Documents of text -> tokens.

use std::ops::Range;

use super::super::Corpus;
use super::super::emit::Document;
use super::Text;
use crate::vocabulary::Token;

impl Corpus {
    pub(in crate::corpus) fn emit_text<T: Token>(
        &self,
        text: &Text,
        documents: Range<u64>,
        out: &mut [T],
    ) -> usize {
        let end = T::from_id(self.vocabulary.end_of_document());
        let mut at = 0;
        if let Some(order) = self.documents.of_sentences() {
            self.for_each_document(order, documents, |document| {
                let sentence = match document {
                    Document::Sentence(sentence) => sentence,
                    Document::Other(number) => {
                        at += self.emit_other(number, &mut out[at..]);
                        return;
                    }
                };
                let (plan, digits) = text.alone(&sentence);
                at += text.lexicon.write(plan, &digits, &mut out[at..]);
                out[at] = end;
                at += 1;
            });
            return at;
        }
        let (mut places, mut sentences) = (Vec::new(), Vec::new());
        for document in documents {
            if let Some(other) = self.other(document) {
                at += self.emit_other(other, &mut out[at..]);
                continue;
            }
            self.sentences_of(document, &mut places, &mut sentences);
            let before = at;
            text.for_each(&sentences, self, |plan, digits, _| {
                at += text.lexicon.write(plan, digits, &mut out[at..]);
            });
            if at > before {
                out[at] = end;
                at += 1;
            }
        }
        at
    }

    pub(in crate::corpus) fn count_text(&self, text: &Text, documents: Range<u64>) -> u64 {
        let mut tokens = 0;
        if let Some(order) = self.documents.of_sentences() {
            self.for_each_document(order, documents, |document| {
                let sentence = match document {
                    Document::Sentence(sentence) => sentence,
                    Document::Other(number) => {
                        tokens += self.others.tokens_of(number);
                        return;
                    }
                };
                let (plan, digits) = text.alone(&sentence);
                tokens += text.lexicon.tokens(plan, &digits) as u64 + 1;
            });
            return tokens;
        }
        let (mut places, mut sentences) = (Vec::new(), Vec::new());
        for document in documents {
            if let Some(other) = self.other(document) {
                tokens += self.others.tokens_of(other);
                continue;
            }
            self.sentences_of(document, &mut places, &mut sentences);
            let before = tokens;
            text.for_each(&sentences, self, |plan, digits, _| {
                tokens += text.lexicon.tokens(plan, digits) as u64;
            });
            tokens += u64::from(tokens > before);
        }
        tokens
    }
}

//! Prompts for a fact and their answers, from templates.

use super::SLACK;
use super::wording::Lengths;
use super::writer::{Words, Writer};

/// The source of the random fillers of a prompt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fill {
    Drawn(u64),
    Combination(u32),
}

/// Returns the prompt and the answer for a fact in a wording that can be a probe: the tokens before
/// the object and the object (for questions, with the marker before it). Random fillers are those
/// of a draw, or of a combination of the repeats grammar.
pub(crate) fn probe(
    writer: &Writer<'_, u32>,
    wording: usize,
    shape: usize,
    words: &Words<'_>,
    fillers: Fill,
) -> (Vec<u32>, Vec<u32>) {
    let lengths = Lengths {
        subject: words.subject.0.len(),
        relation: words.relation.0.len(),
        object: words.object.0.len(),
    };
    let this = &writer.wordings[wording];
    let mut sentence = vec![0; this.most_tokens(&lengths) + SLACK];
    let tokens = match fillers {
        Fill::Drawn(draw) => writer.write(wording, shape, words, || draw, &mut sentence),
        Fill::Combination(number) => {
            writer.write_combination(wording, words, number, &mut sentence)
        }
    };
    sentence.truncate(tokens);
    // Fillers may follow the object: search from the end.
    let object = lengths.object;
    let mut answer = vec![0; object];
    words.object.0.write(words.object.1, &mut answer);
    let start = sentence
        .windows(object)
        .rposition(|window| window == answer)
        .expect("a wording that can be a probe has an object");
    let marker = usize::from(this.is_question());
    let (start, end) = (start - marker, start + object);
    (sentence[..start].to_vec(), sentence[start..end].to_vec())
}

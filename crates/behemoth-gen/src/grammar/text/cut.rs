//! Splitting sentences into pieces before each space that is followed by text, since tokens seldom
//! extend over a space.

use super::expand::{Content, Segment, TextRole};

/// Splits a sentence before each space that is followed by text.
pub(super) fn cut(segments: &[Segment]) -> Vec<Vec<Segment>> {
    let mut pieces: Vec<Vec<Segment>> = Vec::new();
    let mut piece: Vec<Segment> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let Content::Text(text) = &segment.content else {
            piece.push(segment.clone());
            continue;
        };
        let mut start = 0;
        for (place, letter) in text.char_indices() {
            let after = &text[place + letter.len_utf8()..];
            let follows = match (after.chars().next(), segments.get(at + 1)) {
                (Some(next), _) => !next.is_whitespace(),
                (None, None) => false,
                (None, Some(next)) => match &next.content {
                    Content::Text(next) => !next.starts_with(char::is_whitespace),
                    Content::Word { .. } => true,
                },
            };
            let is_begun = place > start || !piece.is_empty();
            if letter.is_whitespace() && follows && is_begun {
                push_text(&mut piece, &text[start..place], segment.role);
                pieces.push(std::mem::take(&mut piece));
                start = place;
            }
        }
        push_text(&mut piece, &text[start..], segment.role);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

fn push_text(piece: &mut Vec<Segment>, text: &str, role: TextRole) {
    if !text.is_empty() {
        piece.push(Segment {
            content: Content::Text(text.to_string()),
            role,
        });
    }
}

//! Words of the filler, built from syllables so that they can be pronounced.

use crate::permutation::Permutation;

// Without h, v and w, no two of these syllables form a word of the templates, such as "have".
const CONSONANTS: &[u8; 13] = b"bdfgklmnprstz";
const VOWELS: &[u8; 5] = b"aeiou";
const SYLLABLES: u64 = 65;

/// Returns a number of different words, shortest first, none of which is the name of another token.
pub(super) fn words(count: u64) -> Vec<String> {
    let mut words = Vec::with_capacity(count as usize);
    let (mut syllables, mut room) = (2, SYLLABLES * SYLLABLES);
    while (words.len() as u64) < count {
        // Shuffled so that frequent words do not all begin alike; the words are the same for all
        // seeds.
        let order = Permutation::new(room, 0, "filler-words", syllables);
        let left = count - words.len() as u64;
        words.extend((0..left.min(room)).map(|at| word(order.apply(at), syllables)));
        syllables += 1;
        room *= SYLLABLES;
    }
    words
}

fn word(mut number: u64, syllables: u64) -> String {
    let mut word = String::with_capacity(2 * syllables as usize);
    for _ in 0..syllables {
        let syllable = (number % SYLLABLES) as usize;
        number /= SYLLABLES;
        word.push(char::from(CONSONANTS[syllable / VOWELS.len()]));
        word.push(char::from(VOWELS[syllable % VOWELS.len()]));
    }
    word
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::words;

    #[test]
    fn words_are_others_each_time_and_fewer_are_the_first_of_more() {
        let many = words(5000);
        assert_eq!(many.iter().collect::<HashSet<_>>().len(), 5000);
        assert_eq!(words(100), many[..100]);
        assert!(many[..4225].iter().all(|word| word.len() == 4));
        assert!(many[4225..].iter().all(|word| word.len() == 6));
    }
}

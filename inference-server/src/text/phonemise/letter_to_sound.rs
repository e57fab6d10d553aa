//! Letter-to-sound rules for words that the dictionary does not hold; `build/letter_to_sound.rs` trains them.

use super::phone::{NAMES, Phone};

static RULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/letter_to_sound.bin"));

/// Letters that have rules: none at 0, a to z, the apostrophe.
const LETTERS: usize = 28;
/// Bytes of a letter's header: the seven neighbours its rules look at, in order, and its tree's root.
const HEADER: usize = 11;

fn code(letter: u8) -> u8 {
    if letter == b'\'' {
        27
    } else {
        letter - b'a' + 1
    }
}

/// What one letter says: walks its tree as far down as the surroundings are known.
fn sound(word: &[u8], place: usize) -> Option<[u8; 2]> {
    let (headers, trees) = RULES.split_at_checked(LETTERS * HEADER)?;
    let header = headers
        .chunks_exact(HEADER)
        .nth(usize::from(code(*word.get(place)?)))?;
    let (looks, root) = header.split_at(HEADER - 4);
    let mut node = usize::try_from(u32::from_le_bytes(root.try_into().ok()?)).ok()?;
    for look in looks {
        let wanted = place
            .checked_add_signed(isize::from(i8::from_le_bytes([*look])))
            .and_then(|place| word.get(place))
            .map_or(0, |letter| code(*letter));
        let branches = trees.get(node + 3..node + 3 + 4 * usize::from(*trees.get(node + 2)?))?;
        let Some(branch) = branches.chunks_exact(4).find(|branch| branch[0] == wanted) else {
            break;
        };
        node = usize::from(branch[1]) | usize::from(branch[2]) << 8 | usize::from(branch[3]) << 16;
    }
    Some([*trees.get(node)?, *trees.get(node + 1)?])
}

/// The phones of a word in lower case; other characters than letters and apostrophes are passed over. A word with a
/// vowel gets at least one stressed vowel.
pub fn pronounce(word: &str) -> Vec<Phone> {
    let letters: Vec<u8> = word
        .bytes()
        .filter(|byte| byte.is_ascii_lowercase() || *byte == b'\'')
        .collect();
    let mut phones: Vec<Phone> = (0..letters.len())
        .filter_map(|place| sound(&letters, place))
        .flatten()
        .filter(|number| usize::from(*number) < NAMES.len())
        .map(Phone)
        .collect();
    // "bb" says one b: a letter's rule does not see what the letter before it said.
    phones.dedup_by(|next, last| next == last && !next.is_vowel());
    if !phones.iter().any(|phone| phone.is_stressed())
        && let Some(vowel) = phones.iter_mut().find(|phone| phone.is_vowel())
    {
        *vowel = vowel.stressed();
    }
    phones
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::phonemise::dictionary;

    fn names(word: &str) -> String {
        pronounce(word)
            .into_iter()
            .map(Phone::name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn invented_words_sound_as_one_would_read_them() {
        assert_eq!(names("blick"), "b l ih1 k");
        assert_eq!(names("shrane"), "sh r ey1 n");
        assert_eq!(names("thoop"), "th uw1 p");
    }

    #[test]
    fn most_dictionary_words_come_back() {
        // Rules generalise: they don't hold single words. Stress counts too.
        let (mut right, mut all) = (0, 0);
        for (word, phones) in dictionary::words().step_by(53) {
            all += 1;
            right += usize::from(pronounce(&word) == phones);
        }
        assert!(right * 100 >= all * 60, "{right} of {all}");
    }
}

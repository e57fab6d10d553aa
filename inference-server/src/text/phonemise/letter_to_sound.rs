//! Letter-to-sound rules for words that the dictionary does not hold; `build/letter_to_sound.rs` trains them.

use super::phone::{NAMES, Phone};

static RULES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/letter_to_sound.bin"));

/// Letters that have rules: none at 0, a to z, the apostrophe.
const LETTERS: usize = 28;
/// Bytes of a letter's header: the nine looks of its rules, in order, and its tree's root.
const HEADER: usize = 13;

fn code(letter: u8) -> u8 {
    if letter == b'\'' {
        27
    } else {
        letter - b'a' + 1
    }
}

/// What one letter says: walks its tree as far down as the surroundings are known. `following` is the phone after it.
fn sound(word: &[u8], place: usize, following: Option<Phone>) -> Option<[u8; 2]> {
    let (headers, trees) = RULES.split_at_checked(LETTERS * HEADER)?;
    let header = headers
        .chunks_exact(HEADER)
        .nth(usize::from(code(*word.get(place)?)))?;
    let (looks, root) = header.split_at(HEADER - 4);
    let mut node = usize::try_from(u32::from_le_bytes(root.try_into().ok()?)).ok()?;
    for look in looks {
        // At 0 the rule looks at the phone, elsewhere at the letter this far to the right; 0 is what lies outside the word.
        let wanted = match i8::from_le_bytes([*look]) {
            0 => following.map_or(0, |phone| phone.0 + 1),
            distance => place
                .checked_add_signed(isize::from(distance))
                .and_then(|place| word.get(place))
                .map_or(0, |letter| code(*letter)),
        };
        let branches = trees.get(node + 3..node + 3 + 4 * usize::from(*trees.get(node + 2)?))?;
        let Some(branch) = branches.chunks_exact(4).find(|branch| branch[0] == wanted) else {
            break;
        };
        node = usize::from(branch[1]) | usize::from(branch[2]) << 8 | usize::from(branch[3]) << 16;
    }
    Some([*trees.get(node)?, *trees.get(node + 1)?])
}

/// The phones of a word in lower case; characters other than letters and apostrophes are skipped. A word with a
/// vowel gets at least one stressed vowel.
pub fn pronounce(word: &str) -> Vec<Phone> {
    let letters: Vec<u8> = word
        .bytes()
        .filter(|byte| byte.is_ascii_lowercase() || *byte == b'\'')
        .collect();
    // From the end, as the rules were trained.
    let mut phones: Vec<Phone> = Vec::new();
    for place in (0..letters.len()).rev() {
        let Some(sound) = sound(&letters, place, phones.last().copied()) else {
            continue;
        };
        let said = sound.into_iter().rev().map(Phone);
        phones.extend(said.filter(|phone| phone.number() < NAMES.len()));
    }
    phones.reverse();
    // "bb" says one b, whatever the rules of its two letters agreed on.
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
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
    };

    use super::*;
    use crate::text::phonemise::{dictionary, held_out::held_out};

    fn names(word: &str) -> String {
        pronounce(word)
            .into_iter()
            .map(Phone::name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The dictionary's words that the rules were not trained on, or as many of those that they were.
    fn sample(trained: bool) -> BTreeSet<String> {
        let words: Vec<_> = dictionary::words().map(|(word, _)| word).collect();
        let held_out = held_out(words.iter().map(String::as_str));
        if trained {
            let among = words.len() / held_out.len();
            words
                .iter()
                .filter(|word| !held_out.contains(word.as_str()))
                .step_by(among)
                .cloned()
                .collect()
        } else {
            held_out.into_iter().map(str::to_owned).collect()
        }
    }

    /// All pronunciations of these words; the packed dictionary holds only the first of each.
    fn pronunciations(words: &BTreeSet<String>) -> BTreeMap<String, Vec<Vec<Phone>>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/cmudict/cmudict.dict");
        let mut found = BTreeMap::new();
        for line in fs::read_to_string(path).unwrap().lines() {
            // `word PH0 PH1 … # comment`, further pronunciations as `word(2)`.
            let mut fields = line.split('#').next().unwrap().split_whitespace();
            let Some(word) = fields.next().and_then(|word| word.split('(').next()) else {
                continue;
            };
            if words.contains(word) {
                found.entry(word.to_owned()).or_insert_with(Vec::new).push(
                    fields
                        .map(|name| Phone::from_arpabet(name).unwrap())
                        .collect(),
                );
            }
        }
        found
    }

    /// Phones inserted, left out or replaced; stress is ignored.
    fn edit_distance(said: &[Phone], reference: &[Phone]) -> u32 {
        let mut row: Vec<u32> = (0..).take(reference.len() + 1).collect();
        for one in said {
            let mut diagonal = row[0];
            row[0] += 1;
            for (at, other) in reference.iter().enumerate() {
                let replaced = diagonal + u32::from(one.stressed() != other.stressed());
                diagonal = row[at + 1];
                row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
            }
        }
        row[reference.len()]
    }

    /// Wrong phones in percent of the phones of the nearest pronunciations.
    fn phone_error_rate(words: &BTreeSet<String>) -> f64 {
        let (mut errors, mut phones) = (0, 0);
        for (word, references) in pronunciations(words) {
            let said = pronounce(&word);
            let (distance, length) = references
                .iter()
                .map(|reference| (edit_distance(&said, reference), reference.len()))
                .min()
                .unwrap();
            errors += distance;
            phones += u32::try_from(length).unwrap();
        }
        let rate = 100.0 * f64::from(errors) / f64::from(phones);
        println!(
            "{} words: {errors} of {phones} phones wrong, {rate:.2} %",
            words.len()
        );
        rate
    }

    #[test]
    fn invented_words_sound_as_one_would_read_them() {
        assert_eq!(names("blick"), "b l ih1 k");
        assert_eq!(names("shrane"), "sh r ey1 n");
        assert_eq!(names("thoop"), "th uw1 p");
    }

    #[test]
    fn at_most_12_percent_of_the_phones_of_held_out_words_are_wrong() {
        let words = sample(false);
        assert_eq!(words.len(), 1000);
        let rate = phone_error_rate(&words);
        assert!(rate <= 12.0, "{rate:.2} %");
    }

    #[test]
    fn held_out_words_were_not_trained_on() {
        // Trained words come back nearly whole. If held-out ones did too, their score would say nothing.
        let trained = phone_error_rate(&sample(true));
        let held_out = phone_error_rate(&sample(false));
        assert!(
            held_out >= 3.0 * trained,
            "{held_out:.2} % against {trained:.2} %"
        );
    }

    #[test]
    fn edits_are_counted_without_stress() {
        let phones = |names: &str| -> Vec<Phone> {
            names
                .split_whitespace()
                .map(|name| Phone::named(name).unwrap())
                .collect()
        };
        for (said, reference, distance) in [
            ("k ae1 t", "k ae t", 0),
            ("ax b", "ah1 b", 0),
            ("k ae1 t", "k ae1 t s", 1),
            ("k ae1 t", "ae1 t", 1),
            ("k ae1 t", "k aa1 t", 1),
            ("", "k aa1 t", 3),
            ("k aa1 t", "", 3),
            ("s t aa1 p", "t aa1 p s", 2),
        ] {
            let found = edit_distance(&phones(said), &phones(reference));
            assert_eq!(found, distance, "{said} against {reference}");
        }
    }
}

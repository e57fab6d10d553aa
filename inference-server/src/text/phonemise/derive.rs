//! Words made of words that the dictionary holds: endings (`-s`, `-ed`, `-ing`, …) and compounds.

use super::{dictionary, phone::Phone};

fn phones(names: &[&str]) -> Vec<Phone> {
    names.iter().filter_map(|name| Phone::named(name)).collect()
}

fn ends_in(stem: &[Phone], names: &[&str]) -> bool {
    stem.last().is_some_and(|last| names.contains(&last.name()))
}

/// The stem of an ending, as it may be written before it: as it stands, with its `e` back, or with one of a doubled
/// consonant gone ("makes", "making", "running").
fn stem(written: &str) -> Option<Vec<Phone>> {
    if written.len() < 2 {
        return None;
    }
    let doubled = written
        .as_bytes()
        .windows(2)
        .last()
        .filter(|pair| pair[0] == pair[1]);
    dictionary::look_up(written)
        .or_else(|| dictionary::look_up(&format!("{written}e")))
        .or_else(|| doubled.and_then(|_| dictionary::look_up(&written[..written.len() - 1])))
        .or_else(|| dictionary::look_up(&format!("{}y", written.strip_suffix('i')?)))
}

/// A word with a regular ending whose stem the dictionary holds.
pub fn inflected(word: &str) -> Option<Vec<Phone>> {
    let unvoiced = ["p", "t", "k", "f", "th"];
    let hissing = ["s", "z", "sh", "zh", "ch", "jh"];
    let with = |mut stem: Vec<Phone>, ending: &[&str]| {
        stem.extend(phones(ending));
        Some(stem)
    };
    let plural = word
        .strip_suffix("'s")
        .or_else(|| word.strip_suffix("s'"))
        .map(|owner| (owner, dictionary::look_up(owner)))
        .or_else(|| word.strip_suffix("es").map(|noun| (noun, stem(noun))))
        .and_then(|(_, stem)| stem)
        .or_else(|| word.strip_suffix('s').and_then(stem));
    if let Some(stem) = plural {
        let ending: &[&str] = if ends_in(&stem, &hissing) {
            &["ax", "z"]
        } else if ends_in(&stem, &unvoiced) {
            &["s"]
        } else {
            &["z"]
        };
        return with(stem, ending);
    }
    if let Some(stem) = word.strip_suffix("ed").and_then(stem) {
        let ending: &[&str] = if ends_in(&stem, &["t", "d"]) {
            &["ax", "d"]
        } else if ends_in(&stem, &unvoiced) || ends_in(&stem, &["s", "sh", "ch"]) {
            &["t"]
        } else {
            &["d"]
        };
        return with(stem, ending);
    }
    let others: [(&str, &[&str]); 8] = [
        ("ing", &["ih", "ng"]),
        ("ly", &["l", "iy"]),
        ("ness", &["n", "ax", "s"]),
        ("less", &["l", "ax", "s"]),
        ("ment", &["m", "ax", "n", "t"]),
        ("able", &["ax", "b", "ax", "l"]),
        ("er", &["er"]),
        ("est", &["ax", "s", "t"]),
    ];
    others
        .into_iter()
        .find_map(|(ending, says)| with(stem(word.strip_suffix(ending)?)?, says))
}

/// Two words written as one ("dataset", "livestream"); the longest first word wins. Short parts are refused: nearly
/// every string is made of two-letter words.
pub fn compound(word: &str) -> Option<Vec<Phone>> {
    const SHORTEST: usize = 4;
    if !word.is_ascii() || word.len() < 2 * SHORTEST {
        return None;
    }
    (SHORTEST..=word.len() - SHORTEST).rev().find_map(|split| {
        let mut first = dictionary::look_up(&word[..split])?;
        let second = &word[split..];
        first.extend(dictionary::look_up(second).or_else(|| inflected(second))?);
        Some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(said: Option<Vec<Phone>>) -> String {
        said.unwrap()
            .into_iter()
            .map(Phone::name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn endings_follow_the_sound_before_them() {
        assert_eq!(names(inflected("reboots")), "r iy b uw1 t s");
        assert_eq!(names(inflected("emailed")), "iy m ey1 l d");
        assert_eq!(names(inflected("giraffe's")), "jh er ae1 f s");
        assert_eq!(inflected("s"), None);
        assert_eq!(inflected("xqzs"), None);
    }

    #[test]
    fn compounds_are_two_words() {
        assert_eq!(names(compound("livestream")), "l ay1 v s t r iy1 m");
        assert_eq!(compound("tothe"), None);
        assert_eq!(compound("öüäöüäöü"), None);
    }
}

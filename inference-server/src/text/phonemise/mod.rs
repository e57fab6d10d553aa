//! Words to phones: the dictionary, then inflections and compounds of what it holds, then letter-to-sound rules.

mod derive;
mod dictionary;
#[cfg(test)]
mod held_out;
mod letter_to_sound;
pub mod phone;

pub use phone::Phone;

use crate::text::Piece;

/// The symbols of a voice: phones, gaps between words, and pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symbol {
    Phone(Phone),
    WordBreak,
    Pause,
}

impl Symbol {
    /// Every symbol, each once.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        Phone::all()
            .map(Self::Phone)
            .chain([Self::WordBreak, Self::Pause])
    }

    /// Its name in `ARPAbet`, or the character that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phone(phone) => phone.name(),
            Self::WordBreak => " ",
            Self::Pause => ",",
        }
    }
}

/// Whether the dictionary itself contains this word (lower case).
pub fn is_known(word: &str) -> bool {
    dictionary::look_up(word).is_some()
}

/// The phones of one word in lower case.
pub fn word(word: &str) -> Vec<Phone> {
    dictionary::look_up(word)
        .or_else(|| derive::inflected(word))
        .or_else(|| derive::compound(word))
        .unwrap_or_else(|| {
            let phones = letter_to_sound::pronounce(word);
            // Nobody can say "tsce": without a vowel (or any sound) the letters are said by their names.
            if phones.iter().any(|phone| phone.is_vowel()) {
                phones
            } else {
                word.chars()
                    .filter(char::is_ascii_lowercase)
                    .flat_map(letter)
                    .collect()
            }
        })
}

/// The name of a letter: "a" is the letter, not the article.
fn letter(letter: char) -> Vec<Phone> {
    match letter {
        'a' => Phone::named("ey1").into_iter().collect(),
        _ => dictionary::look_up(letter.encode_utf8(&mut [0; 4])).unwrap_or_default(),
    }
}

/// The symbols of one sentence. Pauses at its ends and doubled ones are dropped: the ends have their own.
pub fn sentence(pieces: &[Piece]) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Word(text) if text == "the" && starts_with_vowel(pieces.get(index + 1)) => {
                push_word(
                    &mut symbols,
                    ["dh", "iy"].into_iter().filter_map(Phone::named).collect(),
                );
            }
            Piece::Word(text) => push_word(&mut symbols, word(text)),
            Piece::Letters(letters) => letters
                .chars()
                .for_each(|each| push_word(&mut symbols, letter(each))),
            Piece::Ending(_) => push_ending(&mut symbols, pieces.get(index.wrapping_sub(1))),
            Piece::Pause if matches!(symbols.last(), Some(Symbol::Phone(_))) => {
                symbols.push(Symbol::Pause);
            }
            Piece::Pause => {}
        }
    }
    if symbols.last() == Some(&Symbol::Pause) {
        symbols.pop();
    }
    symbols
}

/// The plural or possessive of letters: "APIs", "FBI's".
fn push_ending(symbols: &mut Vec<Symbol>, letters: Option<&Piece>) {
    let last = match letters {
        Some(Piece::Letters(letters)) => letters.chars().next_back(),
        _ => None,
    };
    // By the last sound of the letter's name: "ess-es", "ef-s", "eye-z".
    let phones: &[&str] = match last {
        Some('s' | 'x' | 'h' | 'z') => &["ax", "z"],
        Some('f') => &["s"],
        _ => &["z"],
    };
    symbols.extend(
        phones
            .iter()
            .filter_map(|name| Phone::named(name))
            .map(Symbol::Phone),
    );
}

fn push_word(symbols: &mut Vec<Symbol>, phones: Vec<Phone>) {
    if !phones.is_empty() && matches!(symbols.last(), Some(Symbol::Phone(_))) {
        symbols.push(Symbol::WordBreak);
    }
    symbols.extend(phones.into_iter().map(Symbol::Phone));
}

/// Whether the next piece begins with a vowel's sound ("the hour", "the FBI", but "the user").
fn starts_with_vowel(piece: Option<&Piece>) -> bool {
    let first = match piece {
        Some(Piece::Word(text)) => word(text).into_iter().next(),
        Some(Piece::Letters(letters)) => letters
            .chars()
            .next()
            .and_then(|first| letter(first).into_iter().next()),
        Some(Piece::Ending(_) | Piece::Pause) | None => None,
    };
    first.is_some_and(Phone::is_vowel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pieces: &[Piece]) -> String {
        sentence(pieces)
            .into_iter()
            .map(Symbol::name)
            .collect::<Vec<_>>()
            .join("-")
    }

    fn said(text: &str) -> Piece {
        Piece::Word(text.to_owned())
    }

    #[test]
    fn words_are_parted_and_pauses_stand_only_between_words() {
        assert_eq!(
            names(&[
                Piece::Pause,
                said("oh"),
                Piece::Pause,
                Piece::Pause,
                said("a"),
                said("cat"),
                Piece::Pause
            ]),
            "ow1-,-ax- -k-ae1-t"
        );
        assert_eq!(names(&[Piece::Pause]), "");
    }

    #[test]
    fn the_article_listens_to_what_follows() {
        assert_eq!(names(&[said("the"), said("cat")]), "dh-ax- -k-ae1-t");
        assert_eq!(names(&[said("the"), said("ice")]), "dh-iy- -ay1-s");
        assert_eq!(
            names(&[said("the"), Piece::Letters("f".to_owned())]),
            "dh-iy- -eh1-f"
        );
    }

    #[test]
    fn what_has_no_vowel_is_spelled() {
        assert_eq!(names(&[said("tsce")]), "t-iy1-eh1-s-s-iy1-iy1");
    }

    #[test]
    fn letters_have_their_names() {
        assert_eq!(names(&[Piece::Letters("ab".to_owned())]), "ey1- -b-iy1");
        for each in 'a'..='z' {
            assert!(!letter(each).is_empty(), "{each}");
            assert!(
                letter(each).iter().any(|phone| phone.is_stressed()),
                "{each}"
            );
        }
    }
}

//! A sentence to words: numbers, dates, times, money, units, abbreviations and acronyms as a person reads them.
//!
//! The sentence is cut into tokens; each is given the first class that fits it and its neighbours, and is then read as that
//! class.

pub mod abbreviations;
mod amounts;
mod codes;
pub(super) mod context;
mod dates;
pub(super) mod numbers;
pub(super) mod units;
mod words;

use std::sync::LazyLock;

use regex::{Captures, Regex};
use strum::IntoStaticStr;

use super::{Piece, phonemise};
use context::Context;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Class {
    Address,
    Date,
    Time,
    Duration,
    Telephone,
    Version,
    Money,
    Ordinal,
    Fraction,
    Decade,
    Range,
    Measure,
    Number,
    Operator,
    Initials,
    Abbreviation,
    Word,
    /// Marks that are read as a word, as a pause, or not at all.
    Sign,
}

/// A part of a sentence, its class, and what is said for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub class: Class,
    pub pieces: Vec<Piece>,
}

/// Says a match, or nothing when the match is something else after all.
type Reader = fn(&Captures<'_>, Context<'_>, &mut Vec<Piece>) -> Option<()>;

/// A way of writing something. The first that matches and can be read wins.
struct Pattern {
    class: Class,
    regex: Regex,
    read: Reader,
}

fn pattern(class: Class, regex: &str, read: Reader) -> Option<Pattern> {
    // A number: in groups of three, or without commas.
    let regex = regex.replace("NUM", r"\d{1,3}(?:,\d{3})+|\d+");
    // Every literal below is compiled by the tests; a broken one would only lose its own reading.
    let regex = Regex::new(&format!(r"\A(?:{regex})")).ok()?;
    Some(Pattern { class, regex, read })
}

const MONTH: &str = r"(Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)|Apr(?:il|\.)?|May|June?|July?|Aug(?:ust|\.)?|Sep(?:tember|t\.|t|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?)";

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    [
        pattern(Class::Address, r"(?:https?://|www\.)[^\s<>]*[A-Za-z0-9/]", codes::address),
        pattern(Class::Address, r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", codes::address),
        pattern(Class::Address, r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|dev|edu|gov|ai|app)\b(?:/[^\s<>]*[A-Za-z0-9/])?", codes::address),
        pattern(Class::Date, r"(\d{4})-(\d{2})-(\d{2})(?:T[0-9:.]+Z?)?\b", dates::iso_date),
        pattern(Class::Date, r"(\d{1,2})/(\d{1,2})/(\d{4})\b", dates::us_date),
        pattern(Class::Date, &format!(r"{MONTH} (\d{{1,2}})(?:st|nd|rd|th)?(?:, (\d{{4}})\b)?"), dates::month_day),
        pattern(Class::Time, r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([aApP])\.?[mM]\b\.?)?", dates::time),
        pattern(Class::Time, r"(\d{1,2})\s?([aApP])\.?[mM]\b\.?", dates::hour),
        pattern(Class::Range, r"(\d{1,3}):(\d)", amounts::ratio),
        pattern(Class::Duration, r"(?:(\d{1,3})\s?h\s?)?(?:(\d{1,3})\s?m(?:in)?\s?)?(?:(\d{1,2})\s?s)?", dates::duration),
        pattern(Class::Money, r"([$£€¥₹])\s?((?:NUM)(?:\.\d+)?)(?:\s?-\s?[$£€¥₹]?((?:NUM)(?:\.\d+)?))?(?:\s?(thousand|million|billion|trillion|bn|mn|tn|[kKmMbB])\b)?", amounts::money),
        pattern(Class::Telephone, r"\+\d{1,3}(?:[-. ]?\(?\d{1,4}\)?){1,5}|\(\d{3}\) ?\d{3}[-. ]\d{4}|(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}|\d{3}-\d{4}", codes::telephone),
        pattern(Class::Number, r"\d{1,3}(?: \d{3})+", amounts::spaced),
        pattern(Class::Version, r"(v?)(\d+(?:\.\d+){2,})", codes::version),
        pattern(Class::Version, r"([vV])(\d+(?:\.\d+)*)", codes::version),
        pattern(Class::Ordinal, r"(NUM)(?:st|nd|rd|th)", amounts::ordinal),
        pattern(Class::Fraction, r"(\d+) (\d{1,2})/(\d{1,3})", amounts::mixed_fraction),
        pattern(Class::Fraction, r"(\d{1,3})/(\d{1,3})", amounts::fraction),
        pattern(Class::Decade, r"('?)(\d{2}|\d{4})s", amounts::decade),
        pattern(Class::Range, r"((?:NUM)(?:\.\d+)?) ?- ?((?:NUM)(?:\.\d+)?)", amounts::range),
        pattern(Class::Measure, r#"(\d)' ?(\d{1,2})""#, amounts::height),
        pattern(Class::Measure, r"\d+ ?[xX] ?\d+", amounts::dimensions),
        pattern(Class::Measure, r"((?:NUM)(?:\.\d+)?)[xX]", amounts::times),
        pattern(Class::Measure, r"(-?)(NUM)(?:\.(\d+))?(\s?)(%|°[CF]?|[µA-Za-z]+(?:/[a-z]+)?)", amounts::measure),
        pattern(Class::Number, r"(-?)(NUM)(?:\.(\d+))?", amounts::number),
        pattern(Class::Number, r"(-?)(\d+)(?:\.(\d+))?", amounts::number),
        pattern(Class::Measure, r"(-?)()\.(\d+)(\s?)(%|°[CF]?|[µA-Za-z]+(?:/[a-z]+)?)", amounts::measure),
        pattern(Class::Number, r"(-?)()\.(\d+)", amounts::number),
        pattern(Class::Operator, r" ?- ?", amounts::minus),
        pattern(Class::Number, r"#(\d+)", amounts::hash_number),
        pattern(Class::Initials, r"(?:[A-Za-z]\.){2,}|[A-Za-z]\.[A-Za-z]\b", words::dotted),
        pattern(Class::Abbreviation, r"(?:Ph\.D|[A-Za-z]+)\.", words::abbreviated),
        pattern(Class::Word, r"[A-Za-z][A-Za-z']*", words::plain),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// The tokens of a cleaned sentence, in order. Spaces belong to none.
pub fn tokens(sentence: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(first) = sentence[at..].chars().next() {
        let token = classify(sentence, at).unwrap_or_else(|| sign(sentence, at, first));
        at += token.text.len();
        if !token.text.trim().is_empty() {
            tokens.push(token);
        }
    }
    if is_shouted(sentence) {
        // IN A SHOUTED SENTENCE capitals say nothing about spelling.
        for piece in tokens.iter_mut().flat_map(|token| &mut token.pieces) {
            if let Piece::Letters(letters) = piece
                && letters.len() > 1
                && phonemise::is_known(letters)
            {
                *piece = Piece::Word(std::mem::take(letters));
            }
        }
    }
    tokens
}

/// The pieces of a cleaned sentence, in order.
pub fn pieces(sentence: &str) -> Vec<Piece> {
    tokens(sentence)
        .into_iter()
        .flat_map(|token| token.pieces)
        .collect()
}

/// The token that begins here, if it has a class of its own.
fn classify(sentence: &str, at: usize) -> Option<Token> {
    PATTERNS.iter().find_map(|pattern| {
        let found = pattern.regex.captures(&sentence[at..])?;
        let text = found.get(0)?.as_str();
        if text.is_empty() {
            return None;
        }
        let context = Context {
            before: &sentence[..at],
            after: &sentence[at + text.len()..],
        };
        let mut pieces = Vec::new();
        (pattern.read)(&found, context, &mut pieces)?;
        Some(Token {
            text: text.to_owned(),
            class: pattern.class,
            pieces,
        })
    })
}

/// A mark or a space.
fn sign(sentence: &str, at: usize, character: char) -> Token {
    let context = Context {
        before: &sentence[..at],
        after: &sentence[at + character.len_utf8()..],
    };
    let alone = context.previous_char().is_none_or(char::is_whitespace)
        && context.next_char().is_none_or(char::is_whitespace);
    let mut pieces = Vec::new();
    match character {
        ',' | ';' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '!' | '?' => {
            pieces.push(Piece::Pause);
        }
        // The last of an ellipsis: "well... maybe".
        '.' if context.before.ends_with("..") => pieces.push(Piece::Pause),
        // "a - b" is a pause; "well-known" is not.
        '-' | '|' if alone => pieces.push(Piece::Pause),
        '/' if alone && context.in_equation() => say("divided by", &mut pieces),
        '*' if is_operand(context.previous_char()) && is_operand(context.next_char())
            || context.in_equation() =>
        {
            say("times", &mut pieces);
        }
        '^' if is_operand(context.next_char()) => say("to the power of", &mut pieces),
        '#' if context
            .previous_char()
            .is_some_and(|previous| previous.is_ascii_alphabetic()) =>
        {
            say("sharp", &mut pieces);
        }
        '#' if context
            .next_char()
            .is_some_and(|next| next.is_ascii_alphabetic()) =>
        {
            say("hashtag", &mut pieces);
        }
        _ => {
            if let Some(said) = abbreviations::sign(character) {
                say(said, &mut pieces);
            }
        }
    }
    Token {
        text: character.to_string(),
        class: Class::Sign,
        pieces,
    }
}

fn is_operand(character: Option<char>) -> bool {
    character.is_some_and(|character| character.is_ascii_digit())
}

/// Whether a sentence has several words and all of them are capitals.
fn is_shouted(sentence: &str) -> bool {
    let letters = || sentence.chars().filter(char::is_ascii_alphabetic);
    letters().all(|letter| letter.is_ascii_uppercase())
        && sentence
            .split_whitespace()
            .filter(|word| word.len() > 1)
            .count()
            > 1
        && letters().count() > 5
}

/// Words of a fixed saying; single capitals are letters.
fn say(text: &str, pieces: &mut Vec<Piece>) {
    for word in text.split_whitespace() {
        if word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
            pieces.push(Piece::Letters(word.to_ascii_lowercase()));
        } else {
            pieces.push(Piece::Word(word.to_owned()));
        }
    }
}

fn say_all(words: Vec<String>, pieces: &mut Vec<Piece>) {
    pieces.extend(words.into_iter().map(Piece::Word));
}

fn group<'a>(found: &Captures<'a>, index: usize) -> Option<&'a str> {
    found.get(index).map(|group| group.as_str())
}

fn without_commas(number: &str) -> String {
    number
        .chars()
        .filter(|character| *character != ',')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words by spaces, letters in capitals, a pause as a comma.
    fn read(text: &str) -> String {
        let mut said = String::new();
        for piece in pieces(text) {
            if let Piece::Ending(ending) = piece {
                said.push_str(ending);
                continue;
            }
            said.push(' ');
            match piece {
                Piece::Word(word) => said.push_str(&word),
                Piece::Letters(letters) => said.push_str(&letters.to_ascii_uppercase()),
                Piece::Pause => said.push(','),
                Piece::Ending(_) => {}
            }
        }
        said.trim().to_owned()
    }

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 33);
    }

    #[test]
    fn prose_is_read_as_in_the_table() {
        let cases: Vec<_> = include_str!("cases.txt")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "))
            .map(|line| line.split_once(" | ").expect("a line has a bar"))
            .collect();
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|(text, wanted)| {
                let cleaned = crate::text::characters::clean(text).unwrap().text;
                let found = read(&cleaned);
                (found != *wanted).then(|| format!("{text}: {found}; wanted {wanted}"))
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {}:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
    }
}

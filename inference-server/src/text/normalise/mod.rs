//! A sentence to words: numbers, dates, times, money, units, abbreviations and acronyms as a person reads them.

pub mod abbreviations;
mod amounts;
mod codes;
mod dates;
mod numbers;
mod words;

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::phonemise;

/// A piece of a normalised sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A word in lower case: letters and apostrophes only.
    Word(String),
    /// Letters (lower case) that are said by their names.
    Letters(String),
    Pause,
}

/// What is said for a match, or none when the match is something else after all.
type Reader = fn(&Captures<'_>, &mut Vec<Piece>) -> Option<()>;

/// A way of writing something, tried at the place that the scanner has reached. The first that matches wins.
struct Pattern {
    regex: Regex,
    read: Reader,
}

fn pattern(regex: &str, read: Reader) -> Option<Pattern> {
    // Every literal below is compiled by the tests; a broken one would only lose its own reading.
    Regex::new(&format!(r"\A(?:{regex})"))
        .ok()
        .map(|regex| Pattern { regex, read })
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    [
        pattern(r"(?:https?://|www\.)[^\s<>]*[A-Za-z0-9/]", codes::address),
        pattern(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", codes::address),
        pattern(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|dev|edu|gov|ai|app)\b(?:/[^\s<>]*[A-Za-z0-9/])?", codes::address),
        pattern(r"(\d{4})-(\d{2})-(\d{2})(?:T[0-9:.]+Z?)?\b", dates::iso_date),
        pattern(r"(\d{1,2})/(\d{1,2})/(\d{4})\b", dates::us_date),
        pattern(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([aApP])\.?[mM]\b\.?)?", dates::time),
        pattern(r"(\d{1,2})\s?([aApP])\.?[mM]\b\.?", dates::hour),
        pattern(r"([$£€¥₹])\s?(\d[\d,]*)(?:\.(\d+))?(?:\s?(thousand|million|billion|trillion|[kKmMbB])\b)?", amounts::money),
        pattern(r"\+?\(?\d{1,4}\)?(?:[-. ]\d{2,4}){2,4}\b", codes::telephone),
        pattern(r"(\d{3})-(\d{4})\b", codes::telephone),
        pattern(r"\d+(?:\.\d+){2,}", codes::version),
        pattern(r"(\d[\d,]*)(?:st|nd|rd|th)\b", amounts::ordinal),
        pattern(r"(\d+) (\d{1,2})/(\d{1,3})\b", amounts::mixed_fraction),
        pattern(r"(\d{1,2})/(\d{1,3})\b", amounts::fraction),
        pattern(r"(\d{2}|\d{4})s\b", amounts::decade),
        pattern(r"(\d[\d,]*(?:\.\d+)?)\s?(?:-|to)\s?(\d[\d,]*(?:\.\d+)?)\b", amounts::range),
        pattern(r"(-?)(\d[\d,]*)(?:\.(\d+))?\s?(%|[°µA-Za-z/]+)?", amounts::number),
        pattern(r"(-?)()\.(\d+)\s?(%|[°µA-Za-z/]+)?", amounts::number),
        pattern(r"#(\d+)", amounts::hash_number),
        pattern(r"(?:[A-Za-z]\.){2,}|[A-Za-z]\.[A-Za-z]\b", words::dotted),
        pattern(r"(?:Ph\.D|[A-Za-z]+)\.", words::abbreviated),
        pattern(r"[A-Za-z][A-Za-z']*(?:\d[A-Za-z0-9']*)?", words::plain),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// The pieces of a cleaned sentence, in order.
pub fn pieces(sentence: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let shouted = is_shouted(sentence);
    let mut rest = sentence;
    while let Some(first) = rest.chars().next() {
        let read = PATTERNS.iter().find_map(|pattern| {
            let found = pattern.regex.captures(rest)?;
            let length = found.get(0)?.len();
            let before = pieces.len();
            let read = (pattern.read)(&found, &mut pieces);
            if read.is_none() {
                pieces.truncate(before);
            }
            read.filter(|()| length > 0).map(|()| length)
        });
        if let Some(length) = read {
            rest = &rest[length..];
            continue;
        }
        other(first, &mut pieces);
        rest = &rest[first.len_utf8()..];
    }
    if shouted {
        // IN A SHOUTED SENTENCE capitals say nothing about spelling.
        for piece in &mut pieces {
            if let Piece::Letters(letters) = piece
                && letters.len() > 1
                && phonemise::is_known(letters)
            {
                *piece = Piece::Word(std::mem::take(letters));
            }
        }
    }
    pieces
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

fn other(character: char, pieces: &mut Vec<Piece>) {
    match character {
        ',' | ';' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '!' | '?' => {
            pieces.push(Piece::Pause);
        }
        // "a - b" is a pause; "well-known" is not. The scanner sees a hyphen inside a word after the word.
        '-' | '|' if matches!(pieces.last(), Some(Piece::Pause)) => {}
        _ => {
            if let Some(said) = abbreviations::sign(character) {
                say(said, pieces);
            }
        }
    }
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
        pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Word(word) => word,
                Piece::Letters(letters) => letters.to_ascii_uppercase(),
                Piece::Pause => ",".to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[track_caller]
    fn reads(cases: &[(&str, &str)]) {
        for (text, said) in cases {
            assert_eq!(read(text), *said, "{text:?}");
        }
    }

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 22);
    }

    #[test]
    fn plain_words() {
        reads(&[
            ("Hello, world!", "hello , world ,"),
            (
                "It's a well-known cat's life",
                "it's a well known cat's life",
            ),
            ("'quoted' words'", "quoted words"),
        ]);
    }

    #[test]
    fn numbers_dates_and_times() {
        reads(&[
            (
                "I have 3 cats and 1,234 dogs",
                "i have three cats and one thousand two hundred thirty four dogs",
            ),
            (
                "In 1984, 2.5 of 100",
                "in nineteen eighty four , two point five of one hundred",
            ),
            ("the 21st of May", "the twenty first of may"),
            (
                "on 2026-11-21",
                "on november twenty first , twenty twenty six",
            ),
            ("on 7/4/1976", "on july fourth , nineteen seventy six"),
            ("at 3:45pm", "at three forty five P M"),
            ("at 9:05", "at nine oh five"),
            ("at 10:00", "at ten o'clock"),
            ("at 5 p.m. sharp", "at five P M sharp"),
            ("-5 degrees", "minus five degrees"),
            ("5-10 people", "five to ten people"),
            ("the 1980s and 90s", "the nineteen eighties and nineties"),
            (
                "1/2 and 3/4, 2 1/2",
                "one half and three quarters , two and a half",
            ),
            ("24/7", "twenty four seven"),
            ("call 555-1234", "call five five five , one two three four"),
            (
                "call +1 555 123 4567",
                "call plus one , five five five , one two three , four five six seven",
            ),
            ("version 1.31.1", "version one point thirty one point one"),
            ("0.5", "zero point five"),
            (".5", "zero point five"),
            ("#1", "number one"),
        ]);
    }

    #[test]
    fn money_units_and_signs() {
        reads(&[
            ("$3.50", "three dollars and fifty cents"),
            ("$1", "one dollar"),
            ("£0.99", "ninety nine pence"),
            ("$1.5 million", "one point five million dollars"),
            ("$20k", "twenty thousand dollars"),
            ("50%", "fifty percent"),
            ("5km at 20°C", "five kilometers at twenty degrees celsius"),
            ("1 kg", "one kilogram"),
            ("a 5G phone", "a five G phone"),
            ("mp3 files", "mp three files"),
            ("Q&A", "Q and a"),
            ("1 + 2 = 3", "one plus two equals three"),
        ]);
    }

    #[test]
    fn abbreviations_and_acronyms() {
        reads(&[
            (
                "Dr. Smith vs. Mr. Jones",
                "doctor smith versus mister jones",
            ),
            ("the U.S. and the US", "the US and the US"),
            ("NASA uses HTTP APIs", "nasa uses http API s"),
            ("I did NOT say that", "i did not say that"),
            ("STOP THE US TRAIN NOW", "stop the us train now"),
            ("e.g. this", "for example this"),
            ("TubeYou", "tube you"),
        ]);
    }

    #[test]
    fn addresses() {
        reads(&[
            (
                "see https://example.com/a-b",
                "see example dot com slash a dash B",
            ),
            ("mail me@example.org", "mail me at example dot org"),
        ]);
    }
}

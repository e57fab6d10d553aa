//! A sentence to words: numbers, dates, times, money, units, abbreviations and acronyms as a person reads them.

pub mod abbreviations;
mod numbers;

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
        pattern(r"(?:https?://|www\.)[^\s<>]*[A-Za-z0-9/]", address),
        pattern(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", address),
        pattern(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|dev|edu|gov|ai|app)\b(?:/[^\s<>]*[A-Za-z0-9/])?", address),
        pattern(r"(\d{4})-(\d{2})-(\d{2})(?:T[0-9:.]+Z?)?\b", iso_date),
        pattern(r"(\d{1,2})/(\d{1,2})/(\d{4})\b", us_date),
        pattern(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([aApP])\.?[mM]\b\.?)?", time),
        pattern(r"(\d{1,2})\s?([aApP])\.?[mM]\b\.?", hour),
        pattern(r"([$£€¥₹])\s?(\d[\d,]*)(?:\.(\d+))?(?:\s?(thousand|million|billion|trillion|[kKmMbB])\b)?", money),
        pattern(r"\+?\(?\d{1,4}\)?(?:[-. ]\d{2,4}){2,4}\b", telephone),
        pattern(r"(\d{3})-(\d{4})\b", telephone),
        pattern(r"\d+(?:\.\d+){2,}", version),
        pattern(r"(\d[\d,]*)(?:st|nd|rd|th)\b", ordinal),
        pattern(r"(\d+) (\d{1,2})/(\d{1,3})\b", mixed_fraction),
        pattern(r"(\d{1,2})/(\d{1,3})\b", fraction),
        pattern(r"(\d{2}|\d{4})s\b", decade),
        pattern(r"(\d[\d,]*(?:\.\d+)?)\s?(?:-|to)\s?(\d[\d,]*(?:\.\d+)?)\b", range),
        pattern(r"(-?)(\d[\d,]*)(?:\.(\d+))?\s?(%|[°µA-Za-z/]+)?", number),
        pattern(r"(-?)()\.(\d+)\s?(%|[°µA-Za-z/]+)?", number),
        pattern(r"#(\d+)", hash_number),
        pattern(r"(?:[A-Za-z]\.){2,}|[A-Za-z]\.[A-Za-z]\b", dotted),
        pattern(r"(?:Ph\.D|[A-Za-z]+)\.", abbreviated),
        pattern(r"[A-Za-z][A-Za-z']*(?:\d[A-Za-z0-9']*)?", plain),
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

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

fn date(year: &str, month: &str, day: &str, pieces: &mut Vec<Piece>) -> Option<()> {
    let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    say(name, pieces);
    say_all(numbers::ordinal(&day.to_string()), pieces);
    pieces.push(Piece::Pause);
    say_all(numbers::year(year), pieces);
    Some(())
}

fn iso_date(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    date(group(found, 1)?, group(found, 2)?, group(found, 3)?, pieces)
}

/// Month first, as the voice's country writes it.
fn us_date(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    date(group(found, 3)?, group(found, 1)?, group(found, 2)?, pieces)
}

fn half_of_day(found: &Captures<'_>, index: usize, pieces: &mut Vec<Piece>) {
    if let Some(half) = group(found, index) {
        say(
            if half.eq_ignore_ascii_case("a") {
                "A M"
            } else {
                "P M"
            },
            pieces,
        );
    }
}

fn time(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let hour = group(found, 1)?
        .parse::<u8>()
        .ok()
        .filter(|hour| *hour < 25)?;
    let minute = group(found, 2)?
        .parse::<u8>()
        .ok()
        .filter(|minute| *minute < 60)?;
    say_all(numbers::cardinal(&hour.to_string()), pieces);
    match minute {
        0 if group(found, 4).is_none() => {
            say(if hour < 13 { "o'clock" } else { "hundred" }, pieces);
        }
        0 => {}
        1..10 => {
            say("oh", pieces);
            say_all(numbers::cardinal(&minute.to_string()), pieces);
        }
        _ => say_all(numbers::cardinal(&minute.to_string()), pieces),
    }
    if let Some(seconds) = group(found, 3).and_then(|seconds| seconds.parse::<u8>().ok()) {
        say("and", pieces);
        say_all(numbers::cardinal(&seconds.to_string()), pieces);
        say(if seconds == 1 { "second" } else { "seconds" }, pieces);
    }
    half_of_day(found, 4, pieces);
    Some(())
}

fn hour(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    say_all(numbers::cardinal(group(found, 1)?), pieces);
    half_of_day(found, 2, pieces);
    Some(())
}

fn money(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let (one, many, part, parts) = match group(found, 1)? {
        "$" => ("dollar", "dollars", "cent", "cents"),
        "£" => ("pound", "pounds", "penny", "pence"),
        "€" => ("euro", "euros", "cent", "cents"),
        "¥" => ("yen", "yen", "sen", "sen"),
        _ => ("rupee", "rupees", "paisa", "paise"),
    };
    let whole = without_commas(group(found, 2)?);
    let fraction = group(found, 3);
    if let Some(scale) = group(found, 4) {
        match fraction {
            Some(fraction) => say_all(numbers::decimal(&whole, fraction), pieces),
            None => say_all(numbers::cardinal(&whole), pieces),
        }
        say(
            match scale {
                "k" | "K" => "thousand",
                "m" | "M" => "million",
                "b" | "B" => "billion",
                other => other,
            },
            pieces,
        );
        say(many, pieces);
        return Some(());
    }
    match fraction {
        // Only two digits are cents: "$1.999" is a price a litre.
        Some(cents) if cents.len() == 2 => {
            let cents = cents.trim_start_matches('0');
            if whole != "0" || cents.is_empty() {
                say_all(numbers::cardinal(&whole), pieces);
                say(if whole == "1" { one } else { many }, pieces);
            }
            if !cents.is_empty() {
                if whole != "0" {
                    say("and", pieces);
                }
                say_all(numbers::cardinal(cents), pieces);
                say(if cents == "1" { part } else { parts }, pieces);
            }
        }
        Some(fraction) => {
            say_all(numbers::decimal(&whole, fraction), pieces);
            say(many, pieces);
        }
        None => {
            say_all(numbers::cardinal(&whole), pieces);
            say(if whole == "1" { one } else { many }, pieces);
        }
    }
    Some(())
}

/// Digits one by one, a pause between the groups.
fn telephone(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    // "1.5 2.5" or a list of numbers with spaces is no telephone number: that has at least seven digits.
    let all = text.bytes().filter(u8::is_ascii_digit).count();
    if !(7..=15).contains(&all) || text.contains('.') && text.contains(' ') {
        return None;
    }
    if text.starts_with('+') {
        say("plus", pieces);
    }
    for (index, part) in text
        .split(|character: char| !character.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .enumerate()
    {
        if index > 0 {
            pieces.push(Piece::Pause);
        }
        say_all(numbers::digits(part), pieces);
    }
    Some(())
}

/// "1.31.1" and IP addresses.
fn version(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    for (index, part) in group(found, 0)?.split('.').enumerate() {
        if index > 0 {
            say("point", pieces);
        }
        say_all(numbers::cardinal(part), pieces);
    }
    Some(())
}

fn ordinal(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    say_all(numbers::ordinal(&without_commas(group(found, 1)?)), pieces);
    Some(())
}

fn fraction(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let (above, below) = (group(found, 1)?, group(found, 2)?);
    if below.trim_matches('0').is_empty() || below == "1" || below.starts_with('0') {
        return None;
    }
    // "24/7" and "9/11" are said as they stand; a fraction is below one.
    if above.parse::<u16>().ok()? >= below.parse::<u16>().ok()? {
        say_all(numbers::cardinal(above), pieces);
        say_all(numbers::cardinal(below), pieces);
    } else {
        say_all(numbers::fraction(above, below), pieces);
    }
    Some(())
}

fn mixed_fraction(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let (above, below) = (group(found, 2)?, group(found, 3)?);
    if below.starts_with('0') || above.parse::<u16>().ok()? >= below.parse::<u16>().ok()? {
        return None;
    }
    say_all(numbers::cardinal(group(found, 1)?), pieces);
    say("and", pieces);
    if above == "1" {
        say("a", pieces);
        pieces.extend(
            numbers::fraction(above, below)
                .into_iter()
                .skip(1)
                .map(Piece::Word),
        );
    } else {
        say_all(numbers::fraction(above, below), pieces);
    }
    Some(())
}

/// "the 1980s", "the 90s".
fn decade(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 1).filter(|text| text.ends_with('0'))?;
    let mut words = numbers::year(text);
    if let Some(last) = words.last_mut() {
        *last = match last.strip_suffix('y') {
            Some(tens) => format!("{tens}ies"),
            None => format!("{last}s"),
        };
    }
    say_all(words, pieces);
    Some(())
}

fn say_number(text: &str, pieces: &mut Vec<Piece>) {
    let digits = without_commas(text);
    match digits.split_once('.') {
        Some((whole, fraction)) => say_all(numbers::decimal(whole, fraction), pieces),
        None if is_year(text) => say_all(numbers::year(text), pieces),
        None => say_all(numbers::cardinal(&digits), pieces),
    }
}

/// Four digits without a comma between 1100 and 2099 are most often a year.
fn is_year(text: &str) -> bool {
    text.len() == 4
        && text
            .parse::<u16>()
            .is_ok_and(|year| (1100..2100).contains(&year) && year % 1000 != 0)
}

fn range(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let (from, to) = (group(found, 1)?, group(found, 2)?);
    say_number(from.trim_end_matches(','), pieces);
    say("to", pieces);
    say_number(to.trim_end_matches(','), pieces);
    Some(())
}

fn number(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let minus = group(found, 1)? == "-";
    // "well-2" is a hyphen; only a number that stands alone is negative. The scanner has no look-behind, but a word
    // takes its own hyphen's place only when it is the last piece.
    if minus {
        say("minus", pieces);
    }
    let whole = group(found, 2)?.trim_end_matches(',');
    let commas_end = group(found, 2)?.len() != whole.len();
    match group(found, 3) {
        Some(fraction) => say_all(numbers::decimal(&without_commas(whole), fraction), pieces),
        None => say_number(whole, pieces),
    }
    if commas_end {
        pieces.push(Piece::Pause);
    }
    let one = whole == "1" && group(found, 3).is_none();
    match group(found, 4) {
        None => {}
        Some("%") => say("percent", pieces),
        Some(written) => {
            if let Some(said) = abbreviations::unit(written, one) {
                say(said, pieces);
            } else if found.get(0)?.as_str().contains(' ') || written.contains('/') {
                // A word behind a number is read on its own: "3 cats", "12 and".
                pieces.extend(self::pieces(&written.replace('/', " ")));
            } else {
                glued(written, pieces);
            }
        }
    }
    Some(())
}

/// Letters that follow digits without a space: "5G", "4x4", "B2B".
fn glued(letters: &str, pieces: &mut Vec<Piece>) {
    if letters.len() <= 2 && letters.is_ascii() {
        pieces.push(Piece::Letters(letters.to_ascii_lowercase()));
    } else {
        pieces.extend(self::pieces(letters));
    }
}

fn hash_number(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    say("number", pieces);
    say_number(group(found, 1)?, pieces);
    Some(())
}

/// "U.S.", "a.m.", "e.g.".
fn dotted(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    if let Some(said) = abbreviations::with_stop(text.trim_end_matches('.')) {
        say(said, pieces);
    } else {
        pieces.push(Piece::Letters(text.replace('.', "").to_ascii_lowercase()));
    }
    Some(())
}

fn abbreviated(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let word = group(found, 0)?.trim_end_matches('.');
    if word == "No" {
        return None;
    }
    if abbreviations::is_abbreviation(word) {
        say(abbreviations::with_stop(word)?, pieces);
        return Some(());
    }
    None
}

fn plain(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    let digits = text.find(|character: char| character.is_ascii_digit());
    let (letters, behind) = text.split_at(digits.unwrap_or(text.len()));
    word(letters.trim_end_matches('\''), pieces);
    if !behind.is_empty() {
        pieces.extend(self::pieces(behind));
    }
    Some(())
}

fn word(text: &str, pieces: &mut Vec<Piece>) {
    let lower = text.to_ascii_lowercase();
    let capitals = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let alone = text.len() == 1 && !matches!(lower.as_str(), "a" | "i");
    if alone || capitals && (abbreviations::is_spelled(text) || !phonemise::is_known(&lower)) {
        pieces.push(Piece::Letters(lower));
    } else if let Some(acronym) = plural_acronym(text) {
        pieces.push(Piece::Letters(acronym));
        pieces.push(Piece::Word("s".to_owned()));
    } else if let Some(split) = camel_case(text).filter(|_| !phonemise::is_known(&lower)) {
        word(&text[..split], pieces);
        word(&text[split..], pieces);
    } else if !lower.is_empty() {
        pieces.push(Piece::Word(lower));
    }
}

/// "CPUs": the acronym without its ending.
fn plural_acronym(text: &str) -> Option<String> {
    let capitals = text.strip_suffix('s')?;
    let letters = capitals.to_ascii_lowercase();
    (capitals.len() > 1
        && capitals.bytes().all(|byte| byte.is_ascii_uppercase())
        && (abbreviations::is_spelled(capitals)
            || !phonemise::is_known(&text.to_ascii_lowercase())))
    .then_some(letters)
}

/// Where a new capital begins inside a word ("tubeYou").
fn camel_case(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(2)
        .position(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .map(|place| place + 1)
}

/// Addresses: words as words, "dot", "slash", "at".
fn address(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    let text = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    let mut part = String::new();
    let flush = |part: &mut String, pieces: &mut Vec<Piece>| {
        if part == "www" {
            pieces.push(Piece::Letters(part.clone()));
        } else if part.bytes().all(|byte| byte.is_ascii_digit()) {
            say_all(numbers::digits(part), pieces);
        } else if part.bytes().any(|byte| byte.is_ascii_digit()) {
            pieces.extend(self::pieces(part));
        } else {
            word(part, pieces);
        }
        part.clear();
    };
    for character in text.chars() {
        let said = match character {
            '.' => "dot",
            '/' => "slash",
            '@' => "at",
            '-' => "dash",
            '_' => "underscore",
            ':' => "colon",
            '?' => "question mark",
            '=' => "equals",
            '&' => "and",
            '#' => "hash",
            '%' => "percent",
            '+' => "plus",
            '~' => "tilde",
            _ if character.is_ascii_alphanumeric() => {
                part.push(character);
                continue;
            }
            _ => continue,
        };
        if !part.is_empty() {
            flush(&mut part, pieces);
        }
        say(said, pieces);
    }
    if !part.is_empty() {
        flush(&mut part, pieces);
    }
    Some(())
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

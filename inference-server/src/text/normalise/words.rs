//! Words, acronyms, initials and abbreviations.

use regex::Captures;

use super::{Piece, abbreviations, context::Context, group, numbers, say, say_all};
use crate::text::phonemise;

/// "U.S.", "a.m.", "e.g.".
pub(super) fn dotted(found: &Captures<'_>, _: Context<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    if let Some(said) = abbreviations::fixed(text.trim_end_matches('.')) {
        say(said, pieces);
    } else {
        pieces.push(Piece::Letters(text.replace('.', "").to_ascii_lowercase()));
    }
    Some(())
}

pub(super) fn abbreviated(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let word = group(found, 0)?.trim_end_matches('.');
    if !context.begins_free() {
        return None;
    }
    say(abbreviations::with_stop(word, context)?, pieces);
    Some(())
}

/// Words before a single letter that make it a letter.
const BEFORE_LETTERS: [&str; 30] = [
    "vitamin",
    "hepatitis",
    "type",
    "group",
    "plan",
    "grade",
    "option",
    "section",
    "appendix",
    "class",
    "team",
    "point",
    "exhibit",
    "room",
    "block",
    "series",
    "part",
    "level",
    "letter",
    "terminal",
    "gate",
    "an",
    "building",
    "line",
    "unit",
    "side",
    "straight",
    "roulette",
    "column",
    "from",
];

pub(super) fn plain(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let text = group(found, 0)?.trim_end_matches('\'');
    if text == "A" && is_letter(context) {
        pieces.push(Piece::Letters("a".to_owned()));
        return Some(());
    }
    if let Some(said) = abbreviations::fixed(text) {
        say(said, pieces);
        return Some(());
    }
    if let Some(number) = roman(text, context) {
        pieces.extend(number);
        return Some(());
    }
    spell_or_say(text, pieces);
    Some(())
}

/// Whether a capital A is the letter, not the article.
fn is_letter(context: Context<'_>) -> bool {
    let glued = |character: Option<char>| {
        character.is_some_and(|character| {
            character.is_ascii_digit() || matches!(character, '&' | '-' | '/' | '+')
        })
    };
    if glued(context.previous_char()) || glued(context.next_char()) {
        return true;
    }
    let is_first = context.previous_word().is_empty();
    !is_first && (context.follows(&BEFORE_LETTERS) || context.next_word().is_empty())
}

/// Words before a Roman numeral that make it a number, and names that make it an ordinal.
const BEFORE_NUMERALS: [&str; 15] = [
    "war", "chapter", "part", "act", "scene", "volume", "section", "phase", "type", "title",
    "book", "bowl", "article", "level", "stage",
];
const MONARCHS: [&str; 20] = [
    "Henry",
    "Elizabeth",
    "Louis",
    "Charles",
    "George",
    "Edward",
    "James",
    "William",
    "Richard",
    "Paul",
    "Benedict",
    "Pius",
    "Philip",
    "Catherine",
    "Nicholas",
    "Napoleon",
    "Frederick",
    "Wilhelm",
    "John",
    "Alexander",
];

/// "World War II", "Henry VIII".
fn roman(text: &str, context: Context<'_>) -> Option<Vec<Piece>> {
    let number = numeral(text)?;
    let mut pieces = Vec::new();
    // "Part I saw" is a pronoun, "World War I ended" is none.
    let is_number = text.len() > 1 || context.next_word().is_empty() || context.follows(&["war"]);
    if context.follows(&BEFORE_NUMERALS) && is_number {
        say_all(numbers::cardinal(&number.to_string()), &mut pieces);
    } else if text.len() > 1 && MONARCHS.contains(&context.previous_word()) {
        say("the", &mut pieces);
        say_all(numbers::ordinal(&number.to_string()), &mut pieces);
    } else {
        return None;
    }
    Some(pieces)
}

/// The value of a Roman numeral below one hundred.
fn numeral(text: &str) -> Option<u32> {
    const VALUES: [(&str, u32); 9] = [
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
        ("", 0),
    ];
    let (mut rest, mut value, mut from) = (text, 0, 0);
    while !rest.is_empty() {
        let (place, (sign, worth)) = VALUES
            .iter()
            .enumerate()
            .skip(from)
            .find(|(_, (sign, _))| !sign.is_empty() && rest.starts_with(sign))?;
        rest = &rest[sign.len()..];
        value += worth;
        // Greater values stand first; only X and I are repeated.
        from = if matches!(*sign, "X" | "I") {
            place
        } else {
            place + 1
        };
    }
    (value > 0).then_some(value)
}

/// A word without regard to its neighbours.
pub(super) fn spell_or_say(text: &str, pieces: &mut Vec<Piece>) {
    let lower = text.to_ascii_lowercase();
    let capitals = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let alone = text.len() == 1 && !matches!(lower.as_str(), "a" | "i");
    if abbreviations::is_said(text) {
        pieces.push(Piece::Word(lower));
    } else if alone || capitals && (abbreviations::is_spelled(text) || !phonemise::is_known(&lower))
    {
        pieces.push(Piece::Letters(lower));
    } else if let Some((acronym, ending)) = inflected_acronym(text) {
        pieces.push(Piece::Letters(acronym));
        pieces.push(Piece::Ending(ending));
    } else if let Some(split) = camel_case(text).filter(|_| !phonemise::is_known(&lower)) {
        spell_or_say(&text[..split], pieces);
        spell_or_say(&text[split..], pieces);
    } else if !lower.is_empty() {
        pieces.push(Piece::Word(lower));
    }
}

/// "CPUs" and "NBC's": the acronym without its ending.
fn inflected_acronym(text: &str) -> Option<(String, &'static str)> {
    let (capitals, ending) = match text.strip_suffix("'s") {
        Some(capitals) => (capitals, "'s"),
        None => (text.strip_suffix('s')?, "s"),
    };
    let letters = capitals.to_ascii_lowercase();
    (capitals.len() > 1
        && capitals.bytes().all(|byte| byte.is_ascii_uppercase())
        && !abbreviations::is_said(capitals)
        && (abbreviations::is_spelled(capitals)
            || capitals.len() < 4
            || !phonemise::is_known(&letters)))
    .then_some((letters, ending))
}

/// Where a new capital begins inside a word ("tubeYou").
fn camel_case(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(2)
        .position(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .map(|place| place + 1)
}

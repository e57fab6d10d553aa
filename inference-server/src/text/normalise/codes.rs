//! What is read part by part: telephone numbers, versions, addresses.

use regex::Captures;

use super::{Piece, context::Context, group, numbers, say, say_all, words};

/// Words before a number of seven digits that make it a telephone number.
const BEFORE_TELEPHONES: [&str; 9] = [
    "call",
    "dial",
    "phone",
    "telephone",
    "tel",
    "fax",
    "text",
    "number",
    "at",
];

/// Digits one by one, a pause between the groups.
pub(super) fn telephone(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let text = group(found, 0)?;
    let all = text.bytes().filter(u8::is_ascii_digit).count();
    let marked = text.starts_with(['+', '(']) || all >= 10;
    let known = marked || text.starts_with("555") || context.follows(&BEFORE_TELEPHONES);
    if !(7..=15).contains(&all) || !known || !context.begins_free() || !context.ends_free() {
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

/// "1.31.1", "v1.2" and IP addresses.
pub(super) fn version(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    if group(found, 1).is_some_and(|letter| !letter.is_empty()) {
        say("version", pieces);
    }
    for (index, part) in group(found, 2)?.split('.').enumerate() {
        if index > 0 {
            say("point", pieces);
        }
        say_all(numbers::cardinal(part), pieces);
    }
    Some(())
}

/// Addresses: words as words, "dot", "slash", "at".
pub(super) fn address(found: &Captures<'_>, _: Context<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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
            pieces.extend(super::pieces(part));
        } else {
            words::spell_or_say(part, pieces);
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

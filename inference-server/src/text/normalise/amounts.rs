//! Numbers with their context: money, measures, ordinals, fractions, ranges, years.

use regex::Captures;

use super::{Piece, context::Context, group, numbers, say, say_all, units, without_commas};

pub(super) fn money(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let (one, many, part, parts) = match group(found, 1)? {
        "$" => ("dollar", "dollars", "cent", "cents"),
        "£" => ("pound", "pounds", "penny", "pence"),
        "€" => ("euro", "euros", "cent", "cents"),
        "¥" => ("yen", "yen", "sen", "sen"),
        _ => ("rupee", "rupees", "paisa", "paise"),
    };
    if context
        .next_char()
        .is_some_and(|next| next.is_ascii_digit())
    {
        return None;
    }
    let (amount, upper, scale) = (group(found, 2)?, group(found, 3), group(found, 4));
    if upper.is_some() || scale.is_some() {
        say_number(amount, pieces);
        if let Some(upper) = upper {
            say("to", pieces);
            say_number(upper, pieces);
        }
        if let Some(scale) = scale {
            say(magnitude(scale), pieces);
        }
        // "a $5 million plan", but "$5 million".
        say(if context.is_attributive() { one } else { many }, pieces);
        return Some(());
    }
    let digits = without_commas(amount);
    let Some((whole, fraction)) = digits.split_once('.') else {
        say_all(numbers::cardinal(&digits), pieces);
        let single = digits == "1" || context.is_attributive();
        say(if single { one } else { many }, pieces);
        return Some(());
    };
    // Only two digits are cents: "$1.999" is a price per litre.
    if fraction.len() != 2 {
        say_all(numbers::decimal(whole, fraction), pieces);
        say(many, pieces);
        return Some(());
    }
    let cents = fraction.trim_start_matches('0');
    if whole != "0" || cents.is_empty() {
        say_all(numbers::cardinal(whole), pieces);
        say(if whole == "1" { one } else { many }, pieces);
    }
    if !cents.is_empty() {
        if whole != "0" {
            say("and", pieces);
        }
        say_all(numbers::cardinal(cents), pieces);
        say(if cents == "1" { part } else { parts }, pieces);
    }
    Some(())
}

fn magnitude(scale: &str) -> &str {
    match scale {
        "k" | "K" => "thousand",
        "m" | "M" | "mn" => "million",
        "b" | "B" | "bn" => "billion",
        "tn" => "trillion",
        other => other,
    }
}

pub(super) fn ordinal(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    if !context.ends_free() {
        return None;
    }
    say_all(numbers::ordinal(&without_commas(group(found, 1)?)), pieces);
    Some(())
}

/// Denominators that people use; others are read part by part.
fn is_denominator(below: u16) -> bool {
    matches!(below, 2..=10 | 12 | 16 | 20 | 32 | 64 | 100)
}

pub(super) fn fraction(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let (above, below) = (group(found, 1)?, group(found, 2)?);
    context.require_alone()?;
    if context.next_char() == Some('/') {
        return None;
    }
    let (one, other) = (above.parse::<u16>().ok()?, below.parse::<u16>().ok()?);
    if one > 0 && one < other && is_denominator(other) {
        say_all(numbers::fraction(above, below), pieces);
    } else {
        // "24/7", "9/11" and "50/50" are said as they stand.
        say_all(numbers::cardinal(above), pieces);
        say_all(numbers::cardinal(below), pieces);
    }
    Some(())
}

pub(super) fn mixed_fraction(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let (above, below) = (group(found, 2)?, group(found, 3)?);
    let (one, other) = (above.parse::<u16>().ok()?, below.parse::<u16>().ok()?);
    if !context.ends_free() || one == 0 || one >= other || !is_denominator(other) {
        return None;
    }
    say_all(numbers::cardinal(group(found, 1)?), pieces);
    say("and", pieces);
    if above == "1" {
        say(if other == 8 { "an" } else { "a" }, pieces);
        let words = numbers::fraction(above, below);
        pieces.extend(words.into_iter().skip(1).map(Piece::Word));
    } else {
        say_all(numbers::fraction(above, below), pieces);
    }
    Some(())
}

/// Words before "30s" that make it a decade or an age; otherwise it is seconds.
const BEFORE_DECADES: [&str; 12] = [
    "the", "his", "her", "their", "my", "your", "our", "mid", "early", "late", "and", "or",
];

/// "the 1980s", "the 90s", "mid-1990s", "in her 30s".
pub(super) fn decade(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let text = group(found, 2).filter(|text| text.ends_with('0'))?;
    let elided = group(found, 1).is_some_and(|mark| !mark.is_empty());
    let known = text.len() == 4 || elided || context.follows(&BEFORE_DECADES);
    if !known || !context.ends_free() || !context.begins_free() {
        return None;
    }
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

pub(super) fn say_number(text: &str, pieces: &mut Vec<Piece>) {
    let digits = without_commas(text);
    match digits.split_once('.') {
        Some((whole, fraction)) => say_all(numbers::decimal(whole, fraction), pieces),
        None => say_all(numbers::cardinal(&digits), pieces),
    }
}

/// Words that end in "s" and are no plural.
const NO_PLURALS: [&str; 12] = [
    "is", "was", "has", "its", "his", "this", "as", "us", "plus", "minus", "times", "does",
];

/// Four digits without a comma between 1100 and 2099 are most often a year, unless things are counted.
fn is_year(text: &str, context: Context<'_>) -> bool {
    let in_range = text.len() == 4
        && text
            .parse::<u16>()
            .is_ok_and(|year| (1100..2100).contains(&year) && year != 2000);
    let next = context.next_word();
    let counted = next.len() > 2
        && next.ends_with('s')
        && next.bytes().all(|byte| byte.is_ascii_lowercase())
        && !NO_PLURALS.contains(&next);
    in_range && !counted && context.previous_char() != Some('#')
}

pub(super) fn range(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let (from, to) = (group(found, 1)?, group(found, 2)?);
    context.require_alone()?;
    if context.previous_char() == Some('.') {
        return None;
    }
    if context.in_equation() {
        return None;
    }
    let year = |text: &str| {
        is_year(
            text,
            Context {
                before: "",
                after: "",
            },
        )
    };
    let say_end = |text: &str, pieces: &mut Vec<Piece>| {
        if year(from) && (year(to) || to.len() == 2) {
            say_all(numbers::year(text), pieces);
        } else {
            say_number(text, pieces);
        }
    };
    say_end(from, pieces);
    say("to", pieces);
    say_end(to, pieces);
    Some(())
}

/// Whether a hyphen before a number is a minus: not one that joins it to a word, or two numbers.
fn is_negative(context: Context<'_>) -> bool {
    context.previous_char().is_none_or(|previous| {
        matches!(
            previous,
            ' ' | '\n' | '(' | '[' | '"' | '=' | '<' | '>' | '/' | '+' | '*'
        )
    })
}

pub(super) fn number(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let minus = group(found, 1)? == "-";
    if minus {
        if !is_negative(context) {
            return None;
        }
        say("minus", pieces);
    }
    let (whole, fraction) = (group(found, 2)?, group(found, 3));
    match fraction {
        Some(fraction) => say_all(numbers::decimal(&without_commas(whole), fraction), pieces),
        None if !minus && is_year(whole, context) => say_all(numbers::year(whole), pieces),
        None => say_number(whole, pieces),
    }
    Some(())
}

/// A number with a unit, or with letters glued to it.
pub(super) fn measure(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let minus = group(found, 1)? == "-";
    if !context.ends_free() || minus && !is_negative(context) || !minus && !context.begins_free() {
        return None;
    }
    let (whole, fraction) = (group(found, 2)?, group(found, 3));
    let (space, written) = (group(found, 4)?, group(found, 5)?);
    let one = whole == "1" && fraction.is_none() || context.is_attributive();
    let said = units::after_number(written, one, !space.is_empty(), whole, context)?;
    if minus {
        say("minus", pieces);
    }
    match fraction {
        Some(fraction) => say_all(numbers::decimal(&without_commas(whole), fraction), pieces),
        None => say_number(whole, pieces),
    }
    say(said, pieces);
    Some(())
}

/// "5'10\"" and "6'".
pub(super) fn height(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    if !context.begins_free() {
        return None;
    }
    say_number(group(found, 1)?, pieces);
    say("foot", pieces);
    say_number(group(found, 2)?, pieces);
    Some(())
}

/// "4x4" and "1920x1080".
pub(super) fn dimensions(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    for (index, part) in group(found, 0)?.split(['x', 'X']).enumerate() {
        if index > 0 {
            say(if context.in_equation() { "times" } else { "by" }, pieces);
        }
        let part = part.trim();
        if part.len() == 4 && !context.in_equation() {
            say_all(numbers::year(part), pieces);
        } else {
            say_number(part, pieces);
        }
    }
    Some(())
}

/// "2x faster".
pub(super) fn times(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    say_number(group(found, 1)?, pieces);
    say("times", pieces);
    Some(())
}

/// "1 000 000": groups of three with spaces. "100 200 300" is a list.
pub(super) fn spaced(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let text = group(found, 0)?;
    let mut groups = text.split(' ');
    let first = groups.next()?;
    let after_digits = context
        .after
        .strip_prefix(' ')
        .is_some_and(|after| after.starts_with(|character: char| character.is_ascii_digit()));
    let is_number = first.len() < 3 || groups.any(|group| group.starts_with('0'));
    let before_digits = context
        .before
        .trim_end()
        .ends_with(|character: char| character.is_ascii_digit());
    if !is_number || after_digits || before_digits || !context.begins_free() || !context.ends_free()
    {
        return None;
    }
    say_all(numbers::cardinal(&text.replace(' ', "")), pieces);
    Some(())
}

/// "5 - 3 = 2".
pub(super) fn minus(_: &Captures<'_>, context: Context<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let operand = |character: Option<char>| {
        character.is_some_and(|character| character.is_ascii_alphanumeric() || character == ')')
    };
    let left = operand(context.before.chars().next_back());
    let right = context
        .next_char()
        .is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, '(' | '-'));
    if !context.in_equation() || !left || !right {
        return None;
    }
    say("minus", pieces);
    Some(())
}

pub(super) fn hash_number(
    found: &Captures<'_>,
    _: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    say("number", pieces);
    say_number(group(found, 1)?, pieces);
    Some(())
}

/// "3:1" and "a ratio of 16:9", which are no times.
pub(super) fn ratio(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    if context.next_char() == Some(':') {
        return None;
    }
    say_number(group(found, 1)?, pieces);
    say("to", pieces);
    say_number(group(found, 2)?, pieces);
    Some(())
}

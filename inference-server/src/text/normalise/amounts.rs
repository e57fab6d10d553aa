//! Numbers with their context: money, units, ordinals, fractions, ranges.

use regex::Captures;

use super::{Piece, abbreviations, group, numbers, say, say_all, without_commas};

pub(super) fn money(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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
        // Only two digits are cents: "$1.999" is a price per litre.
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

pub(super) fn ordinal(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    say_all(numbers::ordinal(&without_commas(group(found, 1)?)), pieces);
    Some(())
}

pub(super) fn fraction(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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

pub(super) fn mixed_fraction(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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
pub(super) fn decade(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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

pub(super) fn range(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let (from, to) = (group(found, 1)?, group(found, 2)?);
    say_number(from.trim_end_matches(','), pieces);
    say("to", pieces);
    say_number(to.trim_end_matches(','), pieces);
    Some(())
}

pub(super) fn number(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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
                pieces.extend(super::pieces(&written.replace('/', " ")));
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
        pieces.extend(super::pieces(letters));
    }
}

pub(super) fn hash_number(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    say("number", pieces);
    say_number(group(found, 1)?, pieces);
    Some(())
}

//! Dates and times of day.

use regex::Captures;

use super::{Piece, group, numbers, say, say_all};

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

pub(super) fn iso_date(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    date(group(found, 1)?, group(found, 2)?, group(found, 3)?, pieces)
}

/// Month first, as the voice's country writes it.
pub(super) fn us_date(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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

pub(super) fn time(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
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

pub(super) fn hour(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    say_all(numbers::cardinal(group(found, 1)?), pieces);
    half_of_day(found, 2, pieces);
    Some(())
}

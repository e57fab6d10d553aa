//! Dates, times of day and durations.

use regex::Captures;

use super::{Piece, context::Context, group, numbers, say, say_all};

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

pub(super) fn iso_date(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    if !context.begins_free() {
        return None;
    }
    date(group(found, 1)?, group(found, 2)?, group(found, 3)?, pieces)
}

/// Month first, as the voice's country writes it.
pub(super) fn us_date(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    date(group(found, 3)?, group(found, 1)?, group(found, 2)?, pieces)
}

/// "May 5" and "May 5, 1990": the day is an ordinal.
pub(super) fn month_day(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let written = group(found, 1)?.to_ascii_lowercase();
    let month = MONTHS
        .iter()
        .find(|month| month.starts_with(written.trim_end_matches('.').get(..3).unwrap_or("?")))?;
    let day: u8 = group(found, 2)?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    context.require_alone()?;
    if context.next_char() == Some(':') {
        return None;
    }
    say(month, pieces);
    say_all(numbers::ordinal(&day.to_string()), pieces);
    if let Some(year) = group(found, 3) {
        pieces.push(Piece::Pause);
        say_all(numbers::year(year), pieces);
    }
    Some(())
}

fn half_of_day(found: &Captures<'_>, index: usize, pieces: &mut Vec<Piece>) {
    if let Some(half) = group(found, index) {
        let is_morning = half.eq_ignore_ascii_case("a");
        say(if is_morning { "A M" } else { "P M" }, pieces);
    }
}

pub(super) fn time(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let number = |index, limit: u8| {
        group(found, index)?
            .parse::<u8>()
            .ok()
            .filter(|number| *number < limit)
    };
    let (hour, minute) = (number(1, 25)?, number(2, 60)?);
    context.require_alone()?;
    if context.previous_char() == Some(':') {
        return None;
    }
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
    if let Some(seconds) = number(3, 60) {
        say("and", pieces);
        say_all(numbers::cardinal(&seconds.to_string()), pieces);
        say(if seconds == 1 { "second" } else { "seconds" }, pieces);
    }
    half_of_day(found, 4, pieces);
    Some(())
}

pub(super) fn hour(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    say_all(numbers::cardinal(group(found, 1)?), pieces);
    half_of_day(found, 2, pieces);
    Some(())
}

/// "2h30m", "1h 5m 10s", "3m20s".
pub(super) fn duration(
    found: &Captures<'_>,
    context: Context<'_>,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    context.require_alone()?;
    let units = [
        ("hour", "hours"),
        ("minute", "minutes"),
        ("second", "seconds"),
    ];
    let parts: Vec<_> = (1..)
        .zip(units)
        .filter_map(|(index, unit)| Some((group(found, index)?, unit)))
        .collect();
    // One part alone is a measure.
    if parts.len() < 2 {
        return None;
    }
    for (number, (one, many)) in parts {
        // "2h05m"
        let number = number.trim_start_matches('0');
        let number = if number.is_empty() { "0" } else { number };
        say_all(numbers::cardinal(number), pieces);
        say(if number == "1" { one } else { many }, pieces);
    }
    Some(())
}

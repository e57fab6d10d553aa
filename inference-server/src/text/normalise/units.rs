//! Units, and what is said for them after a number.

use super::context::Context;

/// As written, singular, plural.
const UNITS: [(&str, &str, &str); 76] = [
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("km", "kilometer", "kilometers"),
    ("m", "meter", "meters"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("µm", "micrometer", "micrometers"),
    ("nm", "nanometer", "nanometers"),
    ("mi", "mile", "miles"),
    ("ft", "foot", "feet"),
    ("in", "inch", "inches"),
    ("yd", "yard", "yards"),
    ("kg", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("l", "liter", "liters"),
    ("L", "liter", "liters"),
    ("ml", "milliliter", "milliliters"),
    ("mL", "milliliter", "milliliters"),
    ("gal", "gallon", "gallons"),
    ("s", "second", "seconds"),
    ("sec", "second", "seconds"),
    ("secs", "second", "seconds"),
    ("ms", "millisecond", "milliseconds"),
    ("µs", "microsecond", "microseconds"),
    ("ns", "nanosecond", "nanoseconds"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("h", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("wk", "week", "weeks"),
    ("wks", "week", "weeks"),
    ("yr", "year", "years"),
    ("yrs", "year", "years"),
    ("tsp", "teaspoon", "teaspoons"),
    ("tbsp", "tablespoon", "tablespoons"),
    ("hp", "horsepower", "horsepower"),
    ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("W", "watt", "watts"),
    ("kW", "kilowatt", "kilowatts"),
    ("MW", "megawatt", "megawatts"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("V", "volt", "volts"),
    ("mAh", "milliamp hour", "milliamp hours"),
    ("kB", "kilobyte", "kilobytes"),
    ("KB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("KiB", "kibibyte", "kibibytes"),
    ("MiB", "mebibyte", "mebibytes"),
    ("GiB", "gibibyte", "gibibytes"),
    ("kbps", "kilobit per second", "kilobits per second"),
    ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"),
    ("fps", "frame per second", "frames per second"),
    ("rpm", "revolution per minute", "revolutions per minute"),
    ("bpm", "beat per minute", "beats per minute"),
    ("dB", "decibel", "decibels"),
    ("°C", "degree celsius", "degrees celsius"),
    ("°F", "degree fahrenheit", "degrees fahrenheit"),
    ("°", "degree", "degrees"),
    ("%", "percent", "percent"),
    ("K", "thousand", "thousand"),
    ("k", "thousand", "thousand"),
    ("M", "million", "million"),
    ("B", "billion", "billion"),
    ("bn", "billion", "billion"),
];

/// Words after "5 in" that make it inches.
const AFTER_INCHES: [&str; 11] = [
    "tall", "wide", "long", "thick", "deep", "high", "of", "by", "x", "diameter", "screen",
];

/// The spoken form of a unit after a number, if it is one there. `space`: whether a space stands between.
pub(super) fn after_number(
    written: &str,
    one: bool,
    space: bool,
    whole: &str,
    context: Context<'_>,
) -> Option<&'static str> {
    let (_, single, many) = UNITS.iter().find(|(unit, _, _)| *unit == written)?;
    let is_unit = match written {
        // "5 in my pocket", "born in 1990 in Paris", "1 in 5 people".
        "in" => {
            !space
                || context.precedes(&AFTER_INCHES)
                || context.next_word().is_empty() && !context.at_end()
                || context.after.starts_with('.')
        }
        // "a 4K TV", "a 5K race"; above ten it is thousands.
        "K" => !space && whole.len() > 1,
        "k" | "bn" => !space,
        // "5M users", but "221B Baker Street".
        "M" | "B" => {
            !space
                && context
                    .next_word()
                    .starts_with(|next: char| next.is_ascii_lowercase())
        }
        // "3 m" and "3 g" are units; "Type 3 s" is none, nor is "5 W" a letter of a list.
        "s" | "h" | "V" | "W" | "l" | "L" => {
            !space || context.next_word().is_empty() || !context.before_capital()
        }
        _ => true,
    };
    is_unit.then_some(if one { *single } else { *many })
}

/// Whether a word with a full stop is a unit after a number ("5 ft. tall").
pub fn is_abbreviated(word: &str) -> bool {
    word.len() > 1 && UNITS.iter().any(|(unit, _, _)| *unit == word)
}

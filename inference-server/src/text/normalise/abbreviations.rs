//! Abbreviations, units and signs, and what is said for them.

/// Abbreviations that are written with a full stop. The stop alone does not end a sentence.
const WITH_STOP: [(&str, &str); 62] = [
    ("dr", "doctor"),
    ("mr", "mister"),
    ("mrs", "missus"),
    ("ms", "miz"),
    ("prof", "professor"),
    ("rev", "reverend"),
    ("hon", "honorable"),
    ("gen", "general"),
    ("col", "colonel"),
    ("capt", "captain"),
    ("lt", "lieutenant"),
    ("sgt", "sergeant"),
    ("gov", "governor"),
    ("sen", "senator"),
    ("rep", "representative"),
    ("pres", "president"),
    ("jr", "junior"),
    ("sr", "senior"),
    ("st", "saint"),
    ("ave", "avenue"),
    ("blvd", "boulevard"),
    ("rd", "road"),
    ("hwy", "highway"),
    ("apt", "apartment"),
    ("dept", "department"),
    ("univ", "university"),
    ("inc", "incorporated"),
    ("ltd", "limited"),
    ("co", "company"),
    ("corp", "corporation"),
    ("bros", "brothers"),
    ("vs", "versus"),
    ("etc", "et cetera"),
    ("approx", "approximately"),
    ("est", "estimated"),
    ("fig", "figure"),
    ("vol", "volume"),
    ("ch", "chapter"),
    ("pp", "pages"),
    ("ed", "edition"),
    ("min", "minutes"),
    ("max", "maximum"),
    ("temp", "temperature"),
    ("tel", "telephone"),
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("a.m", "A M"),
    ("p.m", "P M"),
    ("ph.d", "P H D"),
    ("jan", "january"),
    ("feb", "february"),
    ("mar", "march"),
    ("apr", "april"),
    ("aug", "august"),
    ("sept", "september"),
    ("sep", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
    ("mon", "monday"),
    ("tues", "tuesday"),
    ("fri", "friday"),
];

/// Units after a number: as written, singular, plural.
const UNITS: [(&str, &str, &str); 58] = [
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
    ("ms", "millisecond", "milliseconds"),
    ("µs", "microsecond", "microseconds"),
    ("ns", "nanosecond", "nanoseconds"),
    ("min", "minute", "minutes"),
    ("h", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
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
    ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"),
    ("dB", "decibel", "decibels"),
    ("°C", "degree celsius", "degrees celsius"),
    ("°F", "degree fahrenheit", "degrees fahrenheit"),
    ("°", "degree", "degrees"),
    ("K", "thousand", "thousand"),
];

/// What is said for an abbreviation with a stop, written without its last stop, in any case.
pub fn with_stop(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    WITH_STOP
        .iter()
        .find(|(written, _)| *written == lower)
        .map(|(_, said)| *said)
}

/// Whether a full stop after this word belongs to it. Short words that are also plain words at a sentence's end
/// ("max", "min", "ed", "mar") count only as abbreviations where a number or a name follows: not here.
pub fn is_abbreviation(word: &str) -> bool {
    const PLAIN_WORDS: [&str; 14] = [
        "max", "min", "ed", "mar", "co", "mon", "fri", "est", "temp", "fig", "hon", "gen", "rep",
        "ch",
    ];
    let lower = word.to_ascii_lowercase();
    with_stop(&lower).is_some() && !PLAIN_WORDS.contains(&lower.as_str())
        || lower == "no" && word == "No"
}

/// Whether a word is or ends in a single letter, alone or after a stop ("J", "U.S").
pub fn ends_in_initial(word: &str) -> bool {
    let mut parts = word.split('.');
    parts.all(|part| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic()))
        && !word.is_empty()
}

/// The spoken form of a unit after a number.
pub fn unit(written: &str, one: bool) -> Option<&'static str> {
    UNITS
        .iter()
        .find(|(unit, _, _)| *unit == written)
        .map(|(_, single, many)| if one { *single } else { *many })
}

/// The spoken form of a sign that stands for a word.
pub fn sign(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "and",
        '@' => "at",
        '%' => "percent",
        '+' => "plus",
        '=' => "equals",
        '#' => "number",
        '$' => "dollars",
        '£' => "pounds",
        '€' => "euros",
        '¥' => "yen",
        '₹' => "rupees",
        '°' => "degrees",
        '<' => "less than",
        '>' => "greater than",
        '~' => "about",
        'µ' => "micro",
        _ => return None,
    })
}

/// Capitals that are spelled although the dictionary holds a word of these letters, and two that are always words.
pub fn is_spelled(capitals: &str) -> bool {
    const SPELLED: [&str; 24] = [
        "US", "IT", "AI", "ID", "AM", "PM", "TV", "PC", "UK", "EU", "UN", "AC", "DC", "HR", "PR",
        "IP", "OS", "UI", "IO", "CD", "DJ", "ER", "VIP", "API",
    ];
    SPELLED.contains(&capitals)
}

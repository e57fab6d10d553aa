//! Abbreviations and signs, and what is said for them.

use super::context::Context;

/// Said so wherever they stand; written with or without stops inside.
const FIXED: [(&str, &str); 7] = [
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("a.m", "A M"),
    ("p.m", "P M"),
    ("ph.d", "P H D"),
    ("phd", "P H D"),
    ("a.k.a", "also known as"),
];

/// Abbreviations with a full stop that are no words without it.
const ALWAYS: [(&str, &str); 45] = [
    ("mr", "mister"),
    ("mrs", "missus"),
    ("ms", "miz"),
    ("prof", "professor"),
    ("capt", "captain"),
    ("lt", "lieutenant"),
    ("sgt", "sergeant"),
    ("gov", "governor"),
    ("jr", "junior"),
    ("sr", "senior"),
    ("ave", "avenue"),
    ("blvd", "boulevard"),
    ("hwy", "highway"),
    ("apt", "apartment"),
    ("dept", "department"),
    ("univ", "university"),
    ("inc", "incorporated"),
    ("ltd", "limited"),
    ("corp", "corporation"),
    ("bros", "brothers"),
    ("vs", "versus"),
    ("etc", "et cetera"),
    ("approx", "approximately"),
    ("tel", "telephone"),
    ("jan", "january"),
    ("feb", "february"),
    ("apr", "april"),
    ("aug", "august"),
    ("sept", "september"),
    ("sep", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("tues", "tuesday"),
    ("thu", "thursday"),
    ("thurs", "thursday"),
    ("fri", "friday"),
    ("al", "al"),
    ("pp", "pages"),
    ("misc", "miscellaneous"),
    ("mgr", "manager"),
    ("asst", "assistant"),
    ("pkwy", "parkway"),
];

/// Titles: only before a name.
const BEFORE_NAMES: [(&str, &str); 12] = [
    ("gen", "general"),
    ("col", "colonel"),
    ("sen", "senator"),
    ("rep", "representative"),
    ("rev", "reverend"),
    ("hon", "honorable"),
    ("pres", "president"),
    ("maj", "major"),
    ("cmdr", "commander"),
    ("mt", "mount"),
    ("ft", "fort"),
    ("fr", "father"),
];

/// Only before a number.
const BEFORE_NUMBERS: [(&str, &str); 16] = [
    ("fig", "figure"),
    ("figs", "figures"),
    ("ch", "chapter"),
    ("vol", "volume"),
    ("no", "number"),
    ("nos", "numbers"),
    ("sec", "section"),
    ("eq", "equation"),
    ("art", "article"),
    ("ed", "edition"),
    ("p", "page"),
    ("max", "maximum"),
    ("min", "minimum"),
    ("est", "established"),
    ("ca", "circa"),
    ("mar", "march"),
];

/// Only after a number.
const AFTER_NUMBERS: [(&str, &str); 6] = [
    ("min", "minutes"),
    ("sec", "seconds"),
    ("hrs", "hours"),
    ("ed", "edition"),
    ("tsp", "teaspoon"),
    ("tbsp", "tablespoon"),
];

/// What is said for an abbreviation wherever it stands, written without its last stop.
pub fn fixed(word: &str) -> Option<&'static str> {
    find(&FIXED, word)
}

fn find(list: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    list.iter()
        .find(|(written, _)| written.eq_ignore_ascii_case(word))
        .map(|(_, said)| *said)
}

/// What is said for an abbreviation, written without its stop, with these neighbours; `context.after` begins behind the stop.
pub fn with_stop(word: &str, context: Context<'_>) -> Option<&'static str> {
    let after_number = context
        .previous_word()
        .starts_with(|character: char| character.is_ascii_digit());
    let lower = word.to_ascii_lowercase();
    // "he said no. 5 people"
    if word == "no" {
        return None;
    }
    // Streets follow a name or a number, saints and doctors stand before one.
    let is_street = context.after_capital() && !context.before_capital()
        || context.after_capital() && context.precedes(&["Apt", "Suite", "NW", "NE", "SW", "SE"]);
    match lower.as_str() {
        "st" if is_street || after_number => return Some("street"),
        "st" => return Some("saint"),
        "dr" if is_street => return Some("drive"),
        "dr" => return Some("doctor"),
        "rd" => return Some("road"),
        "co" if context.after_capital() || context.before.trim_end().ends_with('&') => {
            return Some("company");
        }
        "wed" if context.before_number() || context.before_capital() => return Some("wednesday"),
        _ => {}
    }
    if let Some(said) = find(&ALWAYS, word).or_else(|| fixed(word)) {
        return Some(said);
    }
    if context.before_capital()
        && let Some(said) = find(&BEFORE_NAMES, word)
    {
        return Some(said);
    }
    if context.before_number()
        && let Some(said) = find(&BEFORE_NUMBERS, word)
    {
        return Some(said);
    }
    if after_number {
        return find(&AFTER_NUMBERS, word);
    }
    None
}

/// Whether a word is or ends in a single letter, alone or after a stop ("J", "U.S").
pub fn ends_in_initial(word: &str) -> bool {
    let mut parts = word.split('.');
    parts.all(|part| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic()))
        && !word.is_empty()
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

/// Capitals that are spelled although the dictionary holds a word of these letters.
pub fn is_spelled(capitals: &str) -> bool {
    const SPELLED: [&str; 42] = [
        "US", "IT", "AI", "ID", "AM", "PM", "TV", "PC", "UK", "EU", "UN", "AC", "DC", "HR", "PR",
        "IP", "OS", "UI", "IO", "CD", "DJ", "ER", "VIP", "API", "USA", "CEO", "FBI", "CIA", "NBA",
        "NFL", "DNA", "GPS", "ATM", "HTTP", "EST", "PST", "GMT", "UTC", "CET", "CPU", "GPU", "URL",
    ];
    SPELLED.contains(&capitals)
}

/// Capitals that are said as a word although the dictionary lacks it.
pub fn is_said(capitals: &str) -> bool {
    const SAID: [&str; 12] = [
        "COVID", "NATO", "NASA", "UNESCO", "UNICEF", "OPEC", "AIDS", "JPEG", "GIF", "RAM", "LASER",
        "SCUBA",
    ];
    SAID.contains(&capitals)
}

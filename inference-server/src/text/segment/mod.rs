//! Splits a text into sentences, and sentences into runs of the model.

#[cfg(test)]
mod comparison;

use super::{
    Symbol,
    normalise::{
        abbreviations::{self, ends_in_initial},
        context::Context,
        units,
    },
};

/// Marks that may follow a stop before the space.
const STOPS_AND_CLOSING_MARKS: &[u8] = b".!?\"')]}";

/// The sentences of a cleaned text, without empty ones. A blank line ends a sentence too, as does a line break before an item
/// of a list.
pub fn sentences(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut sentences = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        let ends = match bytes[start] {
            b'.' | b'!' | b'?' => {
                // The marks are passed at once whether they end a sentence or not: time is linear in the text's length.
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| STOPS_AND_CLOSING_MARKS.contains(byte))
                    .count();
                let has_space = bytes.get(at).is_none_or(u8::is_ascii_whitespace);
                has_space && !is_inner(text, from, start, at)
            }
            b'\n' => {
                let line = text[at..]
                    .trim_start_matches(|sign: char| sign.is_ascii_whitespace() && sign != '\n');
                line.starts_with('\n') || begins_item(line)
            }
            _ => false,
        };
        if ends {
            sentences.push(&text[from..at]);
            from = at;
        }
    }
    sentences.push(&text[from..]);
    sentences.retain(|sentence| sentence.bytes().any(|byte| !byte.is_ascii_whitespace()));
    sentences
}

/// Whether a line is an item of a list: "- milk", "2. Dry them", "b) Coffee", "IV. The End".
fn begins_item(line: &str) -> bool {
    // Bullets are commas in a cleaned text.
    if line.starts_with(['-', '*', ',']) {
        return line[1..].starts_with(' ');
    }
    let line = line.strip_prefix('(').unwrap_or(line);
    let end = line
        .bytes()
        .take(5)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let number = &line[..end];
    let is_number = match number.len() {
        0 => false,
        1 => true,
        2 if number.bytes().all(|byte| byte.is_ascii_digit()) => true,
        _ => number.bytes().all(|byte| b"IVX".contains(&byte)),
    };
    is_number && (line[end..].starts_with(". ") || line[end..].starts_with(") "))
}

/// Whether the stops and closing marks from `at` to `end` are inside a sentence.
fn is_inner(text: &str, from: usize, at: usize, end: usize) -> bool {
    let marks = &text[at..end];
    let after = text[end..].trim_start();
    let goes_on = after.starts_with(|letter: char| letter.is_ascii_lowercase());
    if goes_on && (marks.ends_with([')', ']']) || marks.starts_with("...")) {
        return true;
    }
    if !marks.contains(['!', '?']) {
        return is_inner_stop(text, from, at);
    }
    // The sentence that reports what was said goes on: "Really?" he asked.
    marks.ends_with(['"', '\'']) && (goes_on || reports(after))
}

/// Whether a text begins with a name and a verb of speech: "Tom asked.", "Mr. Hale shouted."
fn reports(text: &str) -> bool {
    const VERBS: [&str; 18] = [
        "said",
        "asked",
        "cried",
        "called",
        "shouted",
        "yelled",
        "replied",
        "answered",
        "whispered",
        "exclaimed",
        "muttered",
        "screamed",
        "added",
        "demanded",
        "wondered",
        "says",
        "asks",
        "replies",
    ];
    let is_name = |word: &str| {
        word.starts_with(|letter: char| letter.is_ascii_uppercase()) && !STARTERS.contains(&word)
    };
    let mut words = text.split_ascii_whitespace().take(4);
    let Some(verb) = words.position(|word| !is_name(word)) else {
        return false;
    };
    let said = text.split_ascii_whitespace().nth(verb);
    verb > 0
        && said.is_some_and(|word| VERBS.contains(&word.trim_end_matches(['.', ',', ':', ';'])))
}

/// Words that begin sentences and rarely follow an abbreviation inside one.
const STARTERS: [&str; 101] = [
    "The",
    "A",
    "An",
    "He",
    "She",
    "It",
    "They",
    "We",
    "I",
    "You",
    "This",
    "That",
    "These",
    "Those",
    "There",
    "Here",
    "His",
    "Her",
    "Its",
    "Their",
    "Our",
    "My",
    "Your",
    "Mine",
    "Yours",
    "Hers",
    "Ours",
    "Theirs",
    "In",
    "On",
    "At",
    "By",
    "For",
    "From",
    "With",
    "As",
    "If",
    "When",
    "While",
    "After",
    "Before",
    "Since",
    "But",
    "And",
    "Or",
    "So",
    "Yet",
    "However",
    "Then",
    "Now",
    "Today",
    "What",
    "Who",
    "Where",
    "Why",
    "How",
    "Is",
    "Are",
    "Was",
    "Were",
    "Do",
    "Does",
    "Did",
    "Can",
    "Could",
    "Will",
    "Would",
    "Should",
    "Not",
    "No",
    "Yes",
    "One",
    "Some",
    "Many",
    "Most",
    "All",
    "Both",
    "Each",
    "Every",
    "Nobody",
    "Everyone",
    "People",
    "Please",
    "Let",
    "Also",
    "Meanwhile",
    "Although",
    "Because",
    "Despite",
    "During",
    "To",
    "Later",
    "Next",
    "Once",
    "Perhaps",
    "Soon",
    "Still",
    "Until",
    "Two",
    "Three",
    "Even",
];
/// Follow a time of day without ending a sentence.
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Not read in full, and not words of their own: their stop ends no sentence.
const UNREAD: [&str; 6] = ["cf", "messrs", "mmes", "viz", "ibid", "op"];
/// Abbreviations that are words too: their stop ends no sentence if it goes on with a small letter.
const ALSO_WORDS: [&str; 6] = ["max", "min", "sat", "sun", "wed", "mar"];

/// A full stop that belongs to an abbreviation ("Dr. Smith") or an initial ("J. S. Bach"), and ends no sentence.
fn is_inner_stop(text: &str, from: usize, at: usize) -> bool {
    let before = &text[from..at];
    let start = before
        .rfind(|letter: char| letter.is_whitespace() || matches!(letter, '(' | '"' | '\''))
        .map_or(0, |place| place + 1);
    let word = &before[start..];
    let context = Context {
        before: &before[..start],
        after: &text[at + 1..],
    };
    let next = context.next_word();
    let Some(first) = text[at + 1..].trim_start().chars().next() else {
        return false;
    };
    let starts = STARTERS.contains(&next);
    match word.to_ascii_lowercase().as_str() {
        "a.m" | "p.m" => {
            let zone = next.len() > 1 && next.bytes().all(|byte| byte.is_ascii_uppercase());
            return !first.is_ascii_uppercase() || zone || DAYS.contains(&next);
        }
        // These end a sentence as often as not.
        "etc" | "inc" | "ltd" | "co" | "corp" | "jr" | "sr" | "ave" | "blvd" | "rd" | "bros"
        | "ph.d" => {
            return abbreviations::with_stop(word, context).is_some() && !starts;
        }
        "st" | "dr" if context.after_capital() => return !starts,
        word if UNREAD.contains(&word) => return true,
        word if ALSO_WORDS.contains(&word) && first.is_ascii_lowercase() => return true,
        _ => {}
    }
    let after_number = context
        .previous_word()
        .starts_with(|character: char| character.is_ascii_digit());
    if after_number && units::is_abbreviated(word) {
        // "12 ft. by 9 ft. It has", but "5 min. Mr. Brown".
        return !starts
            && (!first.is_ascii_uppercase() || abbreviations::with_stop(word, context).is_some());
    }
    if abbreviations::with_stop(word, context).is_some() {
        return true;
    }
    // "an M.Sc. from Leeds"
    if first.is_ascii_lowercase() && is_degree(word) {
        return true;
    }
    if !ends_in_initial(word) {
        return false;
    }
    if word.len() == 1 {
        // "It was I. He left", "vitamin A. The"; but "J. S. Bach".
        return word != "I"
            && (first.is_ascii_lowercase()
                || first.is_ascii_uppercase()
                    && !(starts
                        && !context.previous_word().is_empty()
                        && !context.after_capital()));
    }
    // "the U.S. President", but "in the U.S. The".
    first.is_ascii_lowercase() || !starts
}

/// Short parts with capitals and stops between them: "M.Sc", "D.Phil".
fn is_degree(word: &str) -> bool {
    word.contains('.')
        && word.split('.').all(|part| {
            part.len() <= 4 && part.starts_with(|letter: char| letter.is_ascii_uppercase())
        })
}

/// Cuts a sentence's symbols into runs of at most `limit`: at the last pause that fits, else between words, else (one
/// endless word) anywhere. Breaks at the cut are dropped.
pub fn runs(symbols: &[Symbol], limit: usize) -> Vec<&[Symbol]> {
    let limit = limit.max(1);
    let mut runs = Vec::new();
    let mut rest = symbols;
    while rest.len() > limit {
        let window = &rest[..=limit];
        // A cut in the first quarter would leave a stub that sounds clipped.
        let cut = last_of(window, Symbol::Pause)
            .filter(|cut| *cut > limit / 4)
            .or_else(|| last_of(window, Symbol::WordBreak))
            .filter(|cut| *cut > 0);
        let (run, skip) = cut.map_or((limit, 0), |cut| (cut, 1));
        runs.push(&rest[..run]);
        rest = &rest[run + skip..];
    }
    runs.push(rest);
    runs.retain(|run| run.iter().any(|symbol| matches!(symbol, Symbol::Phone(_))));
    runs
}

fn last_of(symbols: &[Symbol], wanted: Symbol) -> Option<usize> {
    symbols.iter().rposition(|symbol| *symbol == wanted)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::text::Phone;

    #[test]
    fn sentences_end_at_stops_but_not_in_abbreviations_or_numbers() {
        let text = "Dr. Smith paid $3.50 at 5 p.m. yesterday. \"Really?\" he asked... Yes! J. S. Bach etc. The end";
        assert_eq!(
            sentences(text),
            [
                "Dr. Smith paid $3.50 at 5 p.m. yesterday.",
                " \"Really?\" he asked...",
                " Yes!",
                " J. S. Bach etc.",
                " The end"
            ]
        );
        assert_eq!(
            sentences("One line\n\nanother"),
            ["One line\n", "\nanother"]
        );
        assert_eq!(sentences("one\ntwo"), ["one\ntwo"]);
        assert_eq!(sentences("It was I. He left."), ["It was I.", " He left."]);
        for one in [
            "The U.S. President spoke.",
            "J.K. Rowling wrote it.",
            "At 5 p.m. EST it ends.",
            "At 9 a.m. Monday we start.",
            "Gen. Patton and Fig. 3 and No. 5.",
            "Smith & Co. Ltd. of London.",
            "See Ch. 4 of it.",
            "123 Main St. Apt 4 is mine.",
            "Apple Inc. CEO Tim Cook.",
            "It costs $3.50 at amazon.com today.",
        ] {
            assert_eq!(sentences(one), [one]);
        }
        for (text, count) in [
            ("I live in the U.S. The weather is fine.", 2),
            ("He came at 5 p.m. John left.", 2),
            ("We met on Main St. He smiled.", 2),
            ("Take vitamin A. The rest is fine.", 2),
            ("Cats, dogs, etc. Then nothing.", 2),
            ("He said no. 5 people left.", 2),
        ] {
            assert_eq!(sentences(text).len(), count, "{text}");
        }
    }

    #[test]
    fn time_is_linear_in_the_length_of_the_text() {
        for part in [
            ".",
            "\"",
            ".\"",
            ".\"x",
            "!?",
            "x.",
            "Mr. ",
            "Mr.",
            "U.S. ",
            "A. ",
            "\n",
            "\n ",
            "\n1",
            "' ",
            "- ",
            "5 ft. ",
            "\"No!\" Tom ",
            "a.m. ",
            "(",
            "). ",
        ] {
            // The last marks end no sentence: a letter follows.
            let text = part.repeat(100_000 / part.len()) + "x";
            let started = Instant::now();
            std::hint::black_box(sentences(&text));
            // Milliseconds with optimisation. Quadratic time is minutes.
            println!("{part:?}: {:?}", started.elapsed());
            assert!(started.elapsed() < Duration::from_secs(5), "{part:?}");
        }
    }

    #[test]
    fn runs_are_cut_at_pauses_then_words_and_lose_no_phone() {
        let phone = Symbol::Phone(Phone::named("t").unwrap());
        let symbols = [
            phone,
            phone,
            Symbol::Pause,
            phone,
            Symbol::WordBreak,
            phone,
            phone,
            phone,
            phone,
            phone,
        ];
        let cut = runs(&symbols, 4);
        assert_eq!(
            cut,
            [&symbols[..2], &symbols[3..4], &symbols[5..9], &symbols[9..]]
        );
        assert!(runs(&[Symbol::Pause], 4).is_empty());
    }
}

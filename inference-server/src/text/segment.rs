//! Splits a text into sentences, and sentences into runs of the model.

use super::{
    Symbol,
    normalise::{
        abbreviations::{self, ends_in_initial},
        context::Context,
        units,
    },
};

/// The sentences of a cleaned text, without empty ones. A blank line ends a sentence too.
pub fn sentences(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut sentences = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let ends = match bytes[at] {
            b'!' | b'?' => is_boundary(bytes, at),
            b'.' => is_boundary(bytes, at) && !is_inner_stop(text, from, at),
            b'\n' => bytes[at + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .any(|byte| *byte == b'\n'),
            _ => false,
        };
        at += 1;
        if ends {
            while bytes
                .get(at)
                .is_some_and(|byte| b".!?\"')]}".contains(byte))
            {
                at += 1;
            }
            sentences.push(&text[from..at]);
            from = at;
        }
    }
    sentences.push(&text[from..]);
    sentences.retain(|sentence| sentence.bytes().any(|byte| !byte.is_ascii_whitespace()));
    sentences
}

/// Whether what follows a stop lets a sentence end: closing marks, then a space or the text's end.
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    bytes[at + 1..]
        .iter()
        .find(|byte| !b".!?\"')]}".contains(byte))
        .is_none_or(u8::is_ascii_whitespace)
}

/// Words that begin sentences and rarely follow an abbreviation inside one.
const STARTERS: [&str; 96] = [
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
        "etc" | "inc" | "ltd" | "co" | "corp" | "jr" | "sr" | "ave" | "blvd" | "rd" | "bros" => {
            return abbreviations::with_stop(word, context).is_some() && !starts;
        }
        "st" | "dr" if context.after_capital() => return !starts,
        _ => {}
    }
    let after_number = context
        .previous_word()
        .starts_with(|character: char| character.is_ascii_digit());
    if abbreviations::with_stop(word, context).is_some()
        || after_number && units::is_abbreviated(word) && !first.is_ascii_uppercase()
    {
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
    use super::*;
    use crate::text::Phone;

    #[test]
    fn sentences_end_at_stops_but_not_in_abbreviations_or_numbers() {
        let text = "Dr. Smith paid $3.50 at 5 p.m. yesterday. \"Really?\" he asked... Yes! J. S. Bach etc. The end";
        assert_eq!(
            sentences(text),
            [
                "Dr. Smith paid $3.50 at 5 p.m. yesterday.",
                " \"Really?\"",
                " he asked...",
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

//! Splits a text into sentences, and sentences into runs of the model.

use super::{
    Symbol,
    normalise::abbreviations::{ends_in_initial, is_abbreviation},
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

/// A full stop that belongs to an abbreviation ("Dr. Smith") or an initial ("J. S. Bach").
fn is_inner_stop(text: &str, from: usize, at: usize) -> bool {
    let before = &text[from..at];
    let word = before
        .rsplit(|letter: char| letter.is_whitespace() || letter == '(' || letter == '"')
        .next()
        .unwrap_or_default();
    let next = text[at + 1..].trim_start().chars().next();
    let Some(next) = next else { return false };
    if is_abbreviation(word) {
        // "etc. The": these end a sentence as often as not; the capital decides.
        return !(next.is_ascii_uppercase()
            && matches!(
                word.to_ascii_lowercase().as_str(),
                "etc" | "inc" | "ltd" | "co" | "corp" | "jr" | "sr" | "a.m" | "p.m"
            ));
    }
    ends_in_initial(word)
        && (next.is_ascii_lowercase()
            || next.is_ascii_uppercase() && word.len() == 1 && word != "I")
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

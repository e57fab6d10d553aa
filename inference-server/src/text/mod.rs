//! From text to a voice's symbols: segment into sentences, normalise to words, phonemise to symbols.

pub mod characters;
pub mod explain;
pub mod normalise;
pub mod phonemise;
pub mod piece;
#[cfg(test)]
mod properties;
pub mod segment;

pub use phonemise::{Phone, Symbol};
pub use piece::Piece;

use std::time::{Duration, Instant};

/// Why a text cannot be spoken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("the text is empty; send at least one word")]
    Empty,
    #[error(
        "the text has nothing to speak, only punctuation, symbols or emoji; send at least one word"
    )]
    NothingToSay,
    #[error(
        "the text contains a NUL character at character {position}; check that it was not read from a binary file"
    )]
    Nul { position: usize },
    #[error(
        "this voice supports English only, not the letter {letter:?} (character {position}); \
         remove it or write it in Latin letters"
    )]
    UnknownLetter { letter: char, position: usize },
}

/// A text, ready for synthesis: one entry per run of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub runs: Vec<Run>,
    /// Skipped characters with no spoken form (emoji, box drawings, …), each once, in order.
    pub passed_over: Vec<char>,
    pub took: Took,
}

/// What reading a text took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// To sentences of words.
    pub normalise: Duration,
    /// To symbols, in runs.
    pub phonemise: Duration,
}

/// The input of one run of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub symbols: Vec<Symbol>,
    /// Whether a sentence ends with it (else it continues in the next run, after a shorter gap).
    pub ends_sentence: bool,
}

/// Characters that a warning names at most.
const MOST_NAMES: usize = 8;

/// The warning that names skipped characters, if there are any.
pub fn skipped_warning(skipped: &[char]) -> Option<String> {
    let codes: Vec<_> = skipped
        .iter()
        .take(MOST_NAMES)
        .map(|sign| format!("U+{:04X}", u32::from(*sign)))
        .collect();
    (!codes.is_empty()).then(|| {
        format!(
            "skipped characters with no spoken form: {}",
            codes.join(" ")
        )
    })
}

/// Converts a text to runs of at most this many symbols.
pub fn read(text: &str, limit: usize) -> Result<Reading, TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    let mut last = Instant::now();
    let mut lap = || {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut last, now))
    };
    let cleaned = characters::clean(text)?;
    let mut runs = Vec::new();
    let mut took = Took::default();
    for sentence in segment::sentences(&cleaned.text) {
        let pieces = normalise::pieces(sentence);
        took.normalise += lap();
        let symbols = phonemise::sentence(&pieces);
        let parts = segment::runs(&symbols, limit);
        let last = parts.len().saturating_sub(1);
        runs.extend(parts.into_iter().enumerate().map(|(index, part)| Run {
            symbols: part.to_vec(),
            ends_sentence: index == last,
        }));
        took.phonemise += lap();
    }
    if runs.is_empty() {
        return Err(TextError::NothingToSay);
    }
    Ok(Reading {
        runs,
        passed_over: cleaned.passed_over,
        took,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_characters_are_named_by_their_numbers() {
        assert_eq!(
            skipped_warning(&['🎉']).unwrap(),
            "skipped characters with no spoken form: U+1F389"
        );
        assert_eq!(skipped_warning(&[]), None);
    }
}

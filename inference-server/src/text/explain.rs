//! How a text is read, for people and tests: sentences, tokens with their classes, words, phonemes.

use serde::Serialize;

use super::{Piece, Symbol, TextError, characters, normalise, phonemise, segment};

/// A text as it is read.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub sentences: Vec<Sentence>,
    /// Characters with no spoken form, each once.
    pub skipped: Vec<char>,
}

#[derive(Debug, Serialize)]
pub struct Sentence {
    pub text: String,
    pub tokens: Vec<Token>,
    /// In lower case; letters that are spelled are words of one letter. Pauses are none.
    pub words: Vec<String>,
    /// In the alphabet of the voice; `" "` between words, `","` for a pause.
    pub phonemes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub struct Token {
    pub text: String,
    pub class: &'static str,
    pub words: Vec<String>,
}

/// Explains how a text is read, with phonemes that `spelling` writes.
///
/// # Errors
/// As for [`read`](super::read), but a text with nothing to speak is explained.
pub fn explain(
    text: &str,
    spelling: impl Fn(Symbol) -> &'static str,
) -> Result<Explanation, TextError> {
    let cleaned = characters::clean(text)?;
    let sentences = segment::sentences(&cleaned.text)
        .into_iter()
        .map(|sentence| {
            let tokens = normalise::tokens(sentence);
            let pieces: Vec<_> = tokens
                .iter()
                .flat_map(|token| token.pieces.clone())
                .collect();
            Sentence {
                text: sentence.trim().to_owned(),
                words: words(&pieces),
                phonemes: phonemise::sentence(&pieces)
                    .into_iter()
                    .map(&spelling)
                    .collect(),
                tokens: tokens
                    .into_iter()
                    .map(|token| Token {
                        words: words(&token.pieces),
                        text: token.text,
                        class: token.class.into(),
                    })
                    .collect(),
            }
        })
        .collect();
    Ok(Explanation {
        sentences,
        skipped: cleaned.passed_over,
    })
}

fn words(pieces: &[Piece]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Word(word) => words.push(word.clone()),
            Piece::Letters(letters) => words.extend(letters.chars().map(String::from)),
            Piece::Ending(_) => {
                if let Some(last) = words.last_mut() {
                    last.push_str("'s");
                }
            }
            Piece::Pause => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_tokens_words_and_phonemes_are_shown() {
        let explained = explain("In 1990, APIs. Hi 🎉", Symbol::name).unwrap();
        let json = serde_json::to_value(&explained).unwrap();
        assert_eq!(
            json["sentences"][0]["words"],
            serde_json::json!(["in", "nineteen", "ninety", "a", "p", "i's"])
        );
        assert_eq!(
            json["sentences"][0]["tokens"][1],
            serde_json::json!({"text": "1990", "class": "number", "words": ["nineteen", "ninety"]})
        );
        assert_eq!(
            json["sentences"][1]["phonemes"],
            serde_json::json!(["hh", "ay1"])
        );
        assert_eq!(json["skipped"], serde_json::json!(["🎉"]));
        assert!(
            explain("?!", Symbol::name)
                .unwrap()
                .sentences
                .iter()
                .all(|sentence| sentence.words.is_empty())
        );
    }
}

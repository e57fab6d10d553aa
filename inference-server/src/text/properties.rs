//! Properties of the whole conversion from text to symbols, on generated texts.

use proptest::prelude::*;

use super::{Phone, Piece, Reading, Symbol, normalise, read};

/// Symbols per run.
const LONGEST_RUN: usize = 200;

/// Strings around what the patterns of the normaliser look for.
fn odd_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[0-9]{1,20}",
        "[$£€¥₹]?[0-9]{0,3}[,.:/-][0-9]{0,4}(st|nd|rd|th|s|%|km|°C|am| p\\.m\\.)?",
        "[A-Za-z.']{1,12}",
        "(Dr|Mr|St|e\\.g|U\\.S|No|etc)\\.",
        "(https?://|www\\.)?[a-z0-9.-]{1,12}(@|/)[a-z0-9._/-]{0,12}",
        "[ \\n\\t,;:!?()\"'#&@+=<>~*_|\\\\-]{1,4}",
        "[½²³…—éßﬁ１🎉\u{200d}\u{301}]{1,3}",
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn check(reading: &Reading) -> Result<(), TestCaseError> {
    prop_assert!(!reading.runs.is_empty());
    for run in &reading.runs {
        prop_assert!(run.symbols.len() <= LONGEST_RUN);
        prop_assert!(
            matches!(run.symbols.first(), Some(Symbol::Phone(_))),
            "{:?}",
            run.symbols
        );
        prop_assert!(
            matches!(run.symbols.last(), Some(Symbol::Phone(_))),
            "{:?}",
            run.symbols
        );
        for symbol in &run.symbols {
            if let Symbol::Phone(phone) = symbol {
                prop_assert_eq!(Phone::named(phone.name()), Some(*phone));
            }
        }
    }
    prop_assert!(reading.runs.last().is_some_and(|run| run.ends_sentence));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(reading) = read(&text, LONGEST_RUN) {
            check(&reading)?;
        }
    }

    #[test]
    fn odd_texts_are_read_or_refused(text in odd_text()) {
        if let Ok(reading) = read(&text, LONGEST_RUN) {
            check(&reading)?;
        }
    }

    #[test]
    fn normalised_words_are_letters_only(text in odd_text()) {
        if let Ok(cleaned) = super::characters::clean(&text) {
            for piece in normalise::pieces(&cleaned.text) {
                if let Piece::Word(word) | Piece::Letters(word) = piece {
                    prop_assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'\''), "{word:?}");
                }
            }
        }
    }

    #[test]
    fn every_word_of_letters_is_said(word in "[a-z]{1,15}") {
        let phones = super::phonemise::word(&word);
        prop_assert!(!phones.is_empty(), "{word}");
        // People say "sh" and "psst" without a vowel; the dictionary knows which.
        prop_assert!(super::phonemise::is_known(&word) || phones.iter().any(|phone| phone.is_vowel()), "{word}");
    }

    /// Tokens cover the text, and each one with a digit says something.
    #[test]
    fn no_character_and_no_digit_is_lost(text in odd_text()) {
        if let Ok(cleaned) = super::characters::clean(&text) {
            let tokens = normalise::tokens(&cleaned.text);
            let visible = |text: &str| text.split_whitespace().collect::<String>();
            let covered: String = tokens.iter().map(|token| visible(&token.text)).collect();
            prop_assert_eq!(covered, visible(&cleaned.text));
            for token in tokens {
                let says = token.pieces.iter().any(|piece| matches!(piece, Piece::Word(_)));
                prop_assert!(says || !token.text.bytes().any(|byte| byte.is_ascii_digit()), "{token:?}");
            }
        }
    }

    /// A number's words are those of one of its readings, and of no other number.
    #[test]
    fn digits_are_said_as_they_are(number in 0_u64..1_000_000_000_000) {
        let text = number.to_string();
        let words: Vec<_> = normalise::pieces(&text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Word(word) => word,
                other => format!("{other:?}"),
            })
            .collect();
        let readings = [normalise::numbers::cardinal(&text), normalise::numbers::year(&text)];
        prop_assert!(readings.contains(&words), "{words:?}");
    }
}

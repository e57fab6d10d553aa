//! Reduces characters to the set that English normalisation supports: ASCII and some named signs.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::TextError;

/// A text of supported characters only.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleaned {
    pub text: String,
    /// Skipped characters with no spoken form, each once.
    pub passed_over: Vec<char>,
}

/// Signs that are read by name, or that stand for others, before Unicode's own decomposition sees them (it would make
/// "m2" out of "m²" and "21⁄2" out of "2½").
fn written_out(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{2018}' | '\u{2019}' | '\u{02bc}' | '\u{2032}' | '`' | '´' => "'",
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '«' | '»' | '\u{2033}' => "\"",
        '\u{2013}' | '\u{2014}' | '\u{2015}' => " - ",
        '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2212}' | '\u{00ad}' => "-",
        '…' => "... ",
        '。' => ". ",
        '•' | '·' | '‣' | '、' | '，' => ", ",
        '½' => " 1/2",
        '¼' => " 1/4",
        '¾' => " 3/4",
        '⅓' => " 1/3",
        '⅔' => " 2/3",
        '²' => " squared",
        '³' => " cubed",
        '×' => " times ",
        '÷' => " divided by ",
        '±' => " plus or minus ",
        '≈' => " about ",
        '≠' => " is not equal to ",
        '≤' => " at most ",
        '≥' => " at least ",
        '→' => " to ",
        '℃' => "°C",
        '℉' => "°F",
        '©' | '®' | '™' => " ",
        'ß' | 'ẞ' => "ss",
        'æ' => "ae",
        'Æ' => "Ae",
        'œ' => "oe",
        'Œ' => "Oe",
        'ø' => "o",
        'Ø' => "O",
        'ł' => "l",
        'Ł' => "L",
        'đ' => "d",
        'Đ' => "D",
        'ð' | 'þ' => "th",
        'Ð' | 'Þ' => "Th",
        'ı' => "i",
        'µ' | 'μ' => "µ",
        'α' => " alpha ",
        'β' => " beta ",
        'γ' => " gamma ",
        'δ' | 'Δ' => " delta ",
        'ε' => " epsilon ",
        'θ' => " theta ",
        'λ' => " lambda ",
        'π' => " pi ",
        'σ' | 'Σ' => " sigma ",
        'φ' => " phi ",
        'ω' | 'Ω' => " omega ",
        _ => return None,
    })
}

/// Non-ASCII characters that the normaliser supports.
fn is_known_sign(character: char) -> bool {
    matches!(character, '£' | '€' | '¥' | '₹' | '°' | 'µ')
}

/// Cleans a text. Letters of unsupported scripts are an error: skipping them would drop words.
pub fn clean(text: &str) -> Result<Cleaned, TextError> {
    let mut cleaned = Cleaned {
        text: String::with_capacity(text.len()),
        passed_over: Vec::new(),
    };
    for (index, character) in text.chars().enumerate() {
        let position = index + 1;
        if character == '\0' {
            return Err(TextError::Nul { position });
        }
        if character.is_ascii_graphic() && character != '`' || character == ' ' || character == '\n'
        {
            cleaned.text.push(character);
        } else if let Some(text) = written_out(character) {
            cleaned.text.push_str(text);
        } else if is_known_sign(character) {
            cleaned.text.push(character);
        } else if character.is_whitespace() || character.is_control() {
            cleaned.text.push(' ');
        } else {
            other(character, position, &mut cleaned)?;
        }
    }
    Ok(cleaned)
}

/// Everything else: by its compatibility decomposition without marks ("é" is "e", "ﬁ" is "fi", "１" is "1").
fn other(character: char, position: usize, cleaned: &mut Cleaned) -> Result<(), TextError> {
    if is_combining_mark(character) {
        return Ok(());
    }
    let decomposed: Vec<char> = character
        .nfkd()
        .filter(|part| !is_combining_mark(*part))
        .collect();
    if !decomposed.is_empty() && decomposed.iter().all(char::is_ascii) {
        cleaned.text.extend(decomposed);
        return Ok(());
    }
    if character.is_alphabetic() || character.is_numeric() {
        return Err(TextError::UnknownLetter {
            letter: character,
            position,
        });
    }
    cleaned.text.push(' ');
    // Joiners and variation selectors only shape the emoji beside them.
    let shapes_only = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    if !shapes_only && !cleaned.passed_over.contains(&character) {
        cleaned.passed_over.push(character);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        clean(input).unwrap().text
    }

    #[test]
    fn typography_becomes_ascii() {
        assert_eq!(text("“It’s café”—naïve…"), "\"It's cafe\" - naive... ");
        assert_eq!(text("ﬁne １２ Straße"), "fine 12 Strasse");
        assert_eq!(text("2½ m² at 20℃"), "2 1/2 m squared at 20°C");
    }

    #[test]
    fn emoji_are_passed_over_and_named_once() {
        let cleaned = clean("Hi 🎉🎉 👩‍🚀!").unwrap();
        assert_eq!(
            cleaned.text.split_whitespace().collect::<Vec<_>>(),
            ["Hi", "!"]
        );
        assert_eq!(cleaned.passed_over, ['🎉', '👩', '🚀']);
    }

    #[test]
    fn foreign_letters_and_nul_are_errors_with_their_place() {
        assert_eq!(
            clean("I love 东京"),
            Err(TextError::UnknownLetter {
                letter: '东',
                position: 8
            })
        );
        assert_eq!(clean("a\0b"), Err(TextError::Nul { position: 2 }));
    }
}

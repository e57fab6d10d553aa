//! `tts-server inspect --text`: how a text is read.

use std::io::{self, Write as _};

use crate::{families::Family, text::TextError};

/// Why nothing was shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("cannot write the reading: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write the reading: {0}")]
    Json(#[from] serde_json::Error),
}

/// Prints how a voice reads each text: a JSON object per line, or a table of tokens.
///
/// # Errors
/// When a text has letters that cannot be read, or the output is closed.
pub fn print(family: &dyn Family, texts: &[String], json: bool) -> Result<(), ReadingError> {
    let mut out = io::stdout().lock();
    for text in texts {
        let explained = family.explain(text)?;
        if json {
            serde_json::to_writer(&mut out, &explained)?;
            writeln!(out)?;
            continue;
        }
        for sentence in explained.sentences {
            writeln!(out, "{}", sentence.text)?;
            for token in sentence.tokens {
                let words = token.words.join(" ");
                writeln!(out, "  {:<20} {:<14} {words}", token.text, token.class)?;
            }
            writeln!(out, "  {}", sentence.phonemes.join(" "))?;
        }
        if !explained.skipped.is_empty() {
            let skipped: String = explained.skipped.into_iter().collect();
            writeln!(out, "skipped: {skipped}")?;
        }
    }
    Ok(())
}

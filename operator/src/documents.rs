//! Files of YAML or JSON, as documents.
use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use serde_json::Value;

/// Why a file gives no documents.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error("{path}: {message}")]
    Syntax { path: String, message: String },
    #[error("{path}, line {line}: {field} is {value}: not a finite number")]
    NotFinite {
        path: String,
        line: usize,
        field: String,
        value: String,
    },
}

/// The text of a file; `-` is standard input.
///
/// # Errors
/// When it cannot be read.
pub fn text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    read.map_err(|error| Error::Read {
        path: path.display().to_string(),
        error,
    })
}

/// The documents of a file.
///
/// # Errors
/// When it cannot be read or used.
pub fn read(path: &Path) -> Result<Vec<Value>, Error> {
    let json = path.extension().is_some_and(|ending| ending == "json");
    parse(&path.display().to_string(), &text(path)?, json)
}

/// The documents of a text. JSON is YAML, too; but its own reader knows numbers such as 1e400.
///
/// # Errors
/// When it is neither, or has what is no finite number.
pub fn parse(path: &str, text: &str, json: bool) -> Result<Vec<Value>, Error> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    not_finite(path, text)?;
    let syntax = |message: String| Error::Syntax {
        path: path.to_owned(),
        message,
    };
    if json {
        let value = serde_json::from_str(text).map_err(|error| syntax(error.to_string()))?;
        Ok(vec![value])
    } else {
        serde_saphyr::from_multiple(text).map_err(|error| syntax(error.to_string()))
    }
}

/// What other languages write for no number is lost when a document is read as data.
fn not_finite(path: &str, text: &str) -> Result<(), Error> {
    const WORDS: [&str; 6] = [".nan", "nan", ".inf", "inf", "infinity", "1e400"];
    let mut field = "";
    for (line, content) in text.lines().enumerate() {
        let content = content.trim();
        let (name, value) = content.rsplit_once(": ").unwrap_or(("", content));
        let name = name.trim_start_matches("- ").trim_matches('"');
        // An entry of a list belongs to the name above it.
        if !name.is_empty() {
            field = name;
        } else if let Some(name) = content.strip_suffix(':') {
            field = name.trim_start_matches("- ");
        }
        let value = value.trim_start_matches("- ").trim_end_matches(',').trim();
        let word = value.trim_start_matches(['-', '+']).to_lowercase();
        if WORDS.contains(&word.as_str()) {
            return Err(Error::NotFinite {
                path: path.to_owned(),
                line: line + 1,
                field: field.to_owned(),
                value: value.to_owned(),
            });
        }
    }
    Ok(())
}

//! A voice's source as the operator writes it: the `spec.source` object of a `TtsVoice` as JSON.

use std::collections::BTreeSet;

use serde::Deserialize;

/// As in the CRD's schema.
const MOST_FILES: usize = 16;
const LONGEST_PATH: usize = 255;
const LONGEST_URL: usize = 1024;
const LONGEST_NAME: usize = 253;

/// Why a source is rejected before the download.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("{0:?} is not NAME=SOURCE, such as rms={{\"builtin\":{{\"name\":\"rms\"}}}}")]
    NotNamed(String),
    #[error("{0:?} is not a valid voice name: use lower-case letters, digits, '-' and '.'")]
    BadName(String),
    #[error("the source is not JSON of the expected shape: {0}")]
    NotJson(String),
    #[error("the source must have exactly one of builtin and files")]
    NotOneKind,
    #[error("the source lists {0} files; it must be 1 to {MOST_FILES}")]
    BadCount(usize),
    #[error("{path:?} is not a valid file path: {reason}")]
    BadPath { path: String, reason: &'static str },
    #[error("{path}: the url is not allowed: {reason}")]
    BadUrl { path: String, reason: String },
    #[error("{path}: sha256 must be 64 hexadecimal digits")]
    BadDigest { path: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    builtin: Option<RawBuiltin>,
    files: Option<Vec<RawFile>>,
}

#[derive(Deserialize)]
struct RawBuiltin {
    name: String,
}

#[derive(Deserialize)]
struct RawFile {
    path: String,
    url: String,
    sha256: String,
}

/// One file to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the voice's folder.
    pub path: String,
    pub url: url::Url,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Where a voice comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Builtin(String),
    Files(Vec<SourceFile>),
}

/// A voice's name and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSource {
    pub name: String,
    pub source: Source,
}

impl NamedSource {
    /// Reads `NAME=<json>`. Plain http is refused unless allowed.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, ManifestError> {
        let (name, json) = text
            .split_once('=')
            .ok_or_else(|| ManifestError::NotNamed(text.chars().take(80).collect()))?;
        let sane = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        };
        // The name is used as a folder name.
        if !(1..=LONGEST_NAME).contains(&name.len())
            || !name.bytes().all(sane)
            || name.starts_with(['.', '-'])
        {
            return Err(ManifestError::BadName(name.chars().take(80).collect()));
        }
        Ok(Self {
            name: name.to_owned(),
            source: parse_source(json, allow_http)?,
        })
    }
}

fn parse_source(json: &str, allow_http: bool) -> Result<Source, ManifestError> {
    let raw: RawSource =
        serde_json::from_str(json).map_err(|error| ManifestError::NotJson(error.to_string()))?;
    match (raw.builtin, raw.files) {
        (Some(builtin), None) => Ok(Source::Builtin(builtin.name)),
        (None, Some(files)) => {
            if !(1..=MOST_FILES).contains(&files.len()) {
                return Err(ManifestError::BadCount(files.len()));
            }
            let files: Vec<_> = files
                .into_iter()
                .map(|file| parse_file(file, allow_http))
                .collect::<Result<_, _>>()?;
            check_apart(&files)?;
            Ok(Source::Files(files))
        }
        _ => Err(ManifestError::NotOneKind),
    }
}

fn parse_file(file: RawFile, allow_http: bool) -> Result<SourceFile, ManifestError> {
    check_path(&file.path)?;
    let bad_url = |reason: String| ManifestError::BadUrl {
        path: file.path.clone(),
        reason,
    };
    if file.url.len() > LONGEST_URL {
        return Err(bad_url(format!(
            "it is longer than {LONGEST_URL} characters"
        )));
    }
    let url = url::Url::parse(&file.url).map_err(|error| bad_url(error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return Err(bad_url(
                "plain http is disabled; use https (or configure the operator to allow http)"
                    .to_owned(),
            ));
        }
        other => {
            return Err(bad_url(format!(
                "the scheme {other} is not supported; use https"
            )));
        }
    }
    let sha256 = file.sha256.to_ascii_lowercase();
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ManifestError::BadDigest { path: file.path });
    }
    Ok(SourceFile {
        path: file.path,
        url,
        sha256,
    })
}

/// Verifies that a path stays below the voice's folder.
fn check_path(path: &str) -> Result<(), ManifestError> {
    let reason = if path.is_empty() {
        "it is empty"
    } else if path.len() > LONGEST_PATH {
        "it is longer than 255 bytes"
    } else if path.contains('\0') || path.chars().any(char::is_control) {
        "it holds a NUL or another control character"
    } else if path.contains('\\') {
        "it holds a backslash; use /"
    } else if path.starts_with('/') {
        "it is absolute; it must be relative to the voice's folder"
    } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "it has an empty, `.` or `..` part"
    } else {
        return Ok(());
    };
    Err(ManifestError::BadPath {
        path: path.chars().take(80).collect(),
        reason,
    })
}

/// Finds two files with the same path, or a file where another needs a folder.
fn check_apart(files: &[SourceFile]) -> Result<(), ManifestError> {
    let mut seen = BTreeSet::new();
    for file in files {
        if !seen.insert(file.path.as_str()) {
            return Err(ManifestError::BadPath {
                path: file.path.clone(),
                reason: "two files have the same path",
            });
        }
    }
    for file in files {
        let folder = format!("{}/", file.path);
        if seen.iter().any(|other| other.starts_with(&folder)) {
            return Err(ManifestError::BadPath {
                path: file.path.clone(),
                reason: "it is a file, but the path of another file uses it as a folder",
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHA: &str = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef";

    fn files(paths: &[&str], url: &str, sha256: &str) -> String {
        let files: Vec<_> = paths
            .iter()
            .map(|path| json!({"path": path, "url": url, "sha256": sha256}))
            .collect();
        format!("anna={}", json!({"files": files}))
    }

    #[test]
    fn both_kinds_are_read() {
        let builtin = NamedSource::parse(r#"rms={"builtin":{"name":"rms"}}"#, false).unwrap();
        assert_eq!(
            builtin,
            NamedSource {
                name: "rms".to_owned(),
                source: Source::Builtin("rms".to_owned())
            }
        );
        let named = NamedSource::parse(
            &files(&["en/a.onnx", "en/a.onnx.json"], "https://host/a", SHA),
            false,
        )
        .unwrap();
        let Source::Files(files) = named.source else {
            panic!("no files")
        };
        assert_eq!(
            (files.len(), files[0].sha256.as_str()),
            (2, SHA.to_lowercase().as_str())
        );
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "./a",
            "a/",
            "a\\b",
            "a\0b",
            &"x".repeat(256),
        ] {
            let error =
                NamedSource::parse(&files(&[path], "https://host/a", SHA), false).unwrap_err();
            assert!(
                matches!(error, ManifestError::BadPath { .. }),
                "{path:?}: {error}"
            );
        }
        assert!(
            NamedSource::parse(&files(&[&"x".repeat(255)], "https://host/a", SHA), false).is_ok()
        );
        for paths in [["a", "a"], ["a", "a/b"]] {
            assert!(
                NamedSource::parse(&files(&paths, "https://host/a", SHA), false).is_err(),
                "{paths:?}"
            );
        }
    }

    #[test]
    fn other_bad_sources_are_refused() {
        assert!(NamedSource::parse(&files(&["a"], "http://host/a", SHA), false).is_err());
        assert!(NamedSource::parse(&files(&["a"], "http://host/a", SHA), true).is_ok());
        for url in [
            "file:///etc/passwd",
            "ftp://host/a",
            "host/a",
            &format!("https://host/{}", "a".repeat(1024)),
        ] {
            assert!(
                NamedSource::parse(&files(&["a"], url, SHA), true).is_err(),
                "{url}"
            );
        }
        assert!(NamedSource::parse(&files(&["a"], "https://host/a", &SHA[1..]), false).is_err());
        assert!(NamedSource::parse(&files(&[], "https://host/a", SHA), false).is_err());
        assert!(NamedSource::parse(&files(&["a"; 17], "https://host/a", SHA), false).is_err());
        for text in [
            "rms",
            "rms={}",
            "rms=7",
            r#"../x={"builtin":{"name":"rms"}}"#,
            r#"={"builtin":{"name":"rms"}}"#,
            r#"a/b={"builtin":{"name":"rms"}}"#,
        ] {
            assert!(NamedSource::parse(text, false).is_err(), "{text}");
        }
    }
}

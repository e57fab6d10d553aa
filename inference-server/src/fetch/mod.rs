//! Downloads the files of a voice: verified, atomic, and with errors that say what to do.

pub mod client;
pub mod download;

use std::path::{Path, PathBuf};

pub use client::{ClientError, Fetcher};

use crate::voices::manifest::SourceFile;

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(
        "{path}: cannot resolve the host of {url}: {cause}; check the host name and the DNS configuration"
    )]
    Dns {
        path: String,
        url: String,
        cause: String,
    },
    #[error(
        "{path}: the certificate of {url} is not trusted: {cause}; if a private authority signed it, add its certificate \
         to the CA setting (TTS_CA_PEM)"
    )]
    Tls {
        path: String,
        url: String,
        cause: String,
    },
    #[error("{path}: cannot connect to {url}: {cause}")]
    Connect {
        path: String,
        url: String,
        cause: String,
    },
    #[error("{path}: timed out waiting for {url}: {cause}")]
    Timeout {
        path: String,
        url: String,
        cause: String,
    },
    #[error("{path}: {url} returned {status}{hint}")]
    Status {
        path: String,
        url: String,
        status: u16,
        hint: &'static str,
    },
    #[error(
        "{path}: {url} redirects to {target}, which is plain http; only redirects to https are followed"
    )]
    RedirectToHttp {
        path: String,
        url: String,
        target: String,
    },
    #[error("{path}: {url} redirects more than {} times", client::MOST_REDIRECTS)]
    TooManyRedirects { path: String, url: String },
    #[error("{path}: the transfer from {url} was interrupted: {cause}")]
    Broken {
        path: String,
        url: String,
        cause: String,
    },
    #[error(
        "{path}: its sha256 is not {expected}; check the sha256 in the voice's source, and whether the file at the url has \
         changed"
    )]
    DigestMismatch { path: String, expected: String },
    #[error("{path}: the voice's files exceed the limit of {limit} bytes in total")]
    TooLarge { path: String, limit: u64 },
    #[error("cannot write {path}: {cause}")]
    Write { path: String, cause: String },
}

impl FetchError {
    /// Whether a later attempt may succeed with the same source.
    pub fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::DigestMismatch { .. }
                | Self::TooLarge { .. }
                | Self::RedirectToHttp { .. }
                | Self::TooManyRedirects { .. }
        )
    }
}

/// A file that exists with the expected digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedFile {
    pub path: String,
    pub sha256: String,
    pub size: u64,
}

/// Downloads a voice's files into a folder. Existing files with the right digest are kept.
pub async fn fetch_voice(
    client: &Fetcher,
    files: &[SourceFile],
    folder: &Path,
    max_bytes: u64,
) -> Result<Vec<FetchedFile>, FetchError> {
    let mut left = max_bytes;
    let mut fetched = Vec::new();
    for file in files {
        let target: PathBuf = folder.join(&file.path);
        let found = download::ensure(client, file, &target, left)
            .await
            .map_err(|error| match error {
                // The file got what was left of the limit; the message names the whole limit.
                FetchError::TooLarge { path, .. } => FetchError::TooLarge {
                    path,
                    limit: max_bytes,
                },
                other => other,
            })?;
        left = left.saturating_sub(found.size);
        fetched.push(found);
    }
    Ok(fetched)
}

//! Downloads one file: attempts, the stream with its digest, and the final rename.

use std::{
    error::Error as StdError,
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    FetchError, FetchedFile, Fetcher,
    client::{READ_TIMEOUT, RedirectRefused, shown},
};
use crate::voices::manifest::SourceFile;

/// How the names of temporary files begin.
const TEMPORARY: &str = ".tts-fetch-";
/// Age at which a temporary file belongs to a download that was killed.
const ABANDONED: Duration = READ_TIMEOUT.saturating_mul(2);

/// Digest of an existing file; `None` if there is no file.
pub fn digest_of(path: &Path) -> Option<(String, u64)> {
    let mut file = fs::File::open(path).ok()?;
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some((hex(&hasher.finalize()), size)),
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Ensures that a file exists with the expected digest.
pub async fn ensure(
    client: &Fetcher,
    file: &SourceFile,
    target: &Path,
    max_bytes: u64,
) -> Result<FetchedFile, FetchError> {
    if let Some((sha256, size)) = digest_of(target)
        && sha256 == file.sha256
    {
        tracing::info!(path = file.path, size, "already present");
        return Ok(FetchedFile {
            path: file.path.clone(),
            sha256,
            size,
        });
    }
    let mut pauses = client.pauses.iter();
    loop {
        match attempt(client, file, target, max_bytes).await {
            Ok(fetched) => return Ok(fetched),
            Err(error) if worth_another(&error) => {
                let Some(pause) = pauses.next() else {
                    return Err(error);
                };
                tracing::warn!(%error, ?pause, "retrying");
                tokio::time::sleep(*pause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether another attempt may succeed within seconds.
fn worth_another(error: &FetchError) -> bool {
    match error {
        FetchError::Dns { .. }
        | FetchError::Connect { .. }
        | FetchError::Timeout { .. }
        | FetchError::Broken { .. } => true,
        FetchError::Status { status, .. } => *status >= 500 || *status == 429 || *status == 408,
        _ => false,
    }
}

async fn attempt(
    client: &Fetcher,
    file: &SourceFile,
    target: &Path,
    max_bytes: u64,
) -> Result<FetchedFile, FetchError> {
    let write_failed = |error: &dyn StdError| FetchError::Write {
        path: file.path.clone(),
        cause: error.to_string(),
    };
    let too_large = || FetchError::TooLarge {
        path: file.path.clone(),
        limit: max_bytes,
    };
    let mut response = client
        .client
        .get(file.url.clone())
        .send()
        .await
        .map_err(|error| classify(file, &error, false))?;
    let status = response.status();
    if !status.is_success() {
        return Err(FetchError::Status {
            path: file.path.clone(),
            url: shown(response.url()),
            status: status.as_u16(),
            hint: hint(status.as_u16()),
        });
    }
    if response
        .content_length()
        .is_some_and(|length| length > max_bytes)
    {
        return Err(too_large());
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| write_failed(&error))?;
    // In the same folder, so that the rename is atomic; removed when anything below fails.
    remove_abandoned(folder).map_err(|error| write_failed(&error))?;
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)
        .map_err(|error| write_failed(&error))?;
    let mut hasher = Sha256::new();
    let mut size = 0_u64;
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| classify(file, &error, true))?
    {
        size += chunk.len() as u64;
        if size > max_bytes {
            return Err(too_large());
        }
        hasher.update(&chunk);
        temporary
            .write_all(&chunk)
            .map_err(|error| write_failed(&error))?;
    }
    let sha256 = hex(&hasher.finalize());
    if sha256 != file.sha256 {
        return Err(FetchError::DigestMismatch {
            path: file.path.clone(),
            expected: file.sha256.clone(),
        });
    }
    // Temporary files are private; a voice may be read by another user of the pod's group.
    temporary
        .as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(|error| write_failed(&error))?;
    temporary
        .persist(target)
        .map_err(|error| write_failed(&error.error))?;
    tracing::info!(path = file.path, size, "fetched");
    Ok(FetchedFile {
        path: file.path.clone(),
        sha256,
        size,
    })
}

/// Removes temporary files of downloads that were killed: nothing was written to them for longer than a download may stall.
fn remove_abandoned(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            continue;
        }
        let untouched = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if untouched > ABANDONED {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "; the server requires credentials, which are not supported: make the file public"
        }
        404 | 410 => "; file not found: check the url",
        407 => "; the proxy requires credentials: add them to the proxy url",
        429 => "; rate limited",
        500.. => "; server error",
        _ => "",
    }
}

/// Describes a reqwest error. Its own text repeats the URL and hides the cause.
fn classify(file: &SourceFile, error: &reqwest::Error, in_body: bool) -> FetchError {
    let path = file.path.clone();
    let url = shown(error.url().unwrap_or(&file.url));
    let causes = causes(error);
    let cause = causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string);
    for link in &causes {
        match link.downcast_ref::<RedirectRefused>() {
            Some(RedirectRefused::ToHttp(target)) => {
                return FetchError::RedirectToHttp {
                    path,
                    url: shown(&file.url),
                    target: target.clone(),
                };
            }
            Some(RedirectRefused::TooMany) => {
                return FetchError::TooManyRedirects {
                    path,
                    url: shown(&file.url),
                };
            }
            None => {}
        }
    }
    if causes.iter().any(|link| {
        matches!(
            link.downcast_ref(),
            Some(rustls::Error::InvalidCertificate(_))
        )
    }) {
        return FetchError::Tls { path, url, cause };
    }
    if error.is_timeout() {
        return FetchError::Timeout { path, url, cause };
    }
    if error.is_dns() {
        return FetchError::Dns { path, url, cause };
    }
    if in_body {
        return FetchError::Broken { path, url, cause };
    }
    FetchError::Connect { path, url, cause }
}

/// The chain of causes. An I/O error does not return the error that it wraps from `source`.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut chain: Vec<&(dyn StdError + 'static)> = Vec::new();
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(link) = next {
        chain.push(link);
        next = link
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| {
                let inner: &(dyn StdError + 'static) = inner;
                inner
            })
            .or_else(|| link.source());
    }
    chain
}

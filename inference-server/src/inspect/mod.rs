//! `tts-server inspect`: downloads, verifies and loads a voice, synthesizes test speech, and reports the result as one JSON object.

pub mod reading;
pub mod report;

use std::{path::Path, sync::Arc, sync::mpsc, thread, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    engine::{Cancel, EngineError, SessionOptions},
    families::LoadError,
    fetch::{self, ClientError, FetchError, FetchedFile, Fetcher, download::hex},
    memory,
    voices::{
        Voice, VoiceError, VoiceLocation, builtin,
        manifest::{ManifestError, NamedSource, Source},
        source,
    },
};
use report::{Failure, Reason, Report, Success};

/// A sentence takes about a second on a slow core. A model that needs minutes cannot be served.
const LONGEST_TEST: Duration = Duration::from_mins(2);

/// How long a cancelled run is waited for.
const LONGEST_CANCELLATION: Duration = Duration::from_secs(5);

/// Why a voice failed its inspection.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Voice(#[from] VoiceError),
    #[error("the model did not load and synthesize the test sentence within {} seconds", LONGEST_TEST.as_secs())]
    TooSlow,
    #[error("the test of the voice stopped unexpectedly")]
    Panicked,
    #[error("the files of the voice have to be downloaded: set --work-dir to a folder for them")]
    NoWorkFolder,
}

impl From<EngineError> for InspectError {
    fn from(error: EngineError) -> Self {
        Self::Voice(error.into())
    }
}

impl InspectError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Manifest(_) | Self::NoWorkFolder => Reason::InvalidSource,
            Self::Client(_) | Self::Panicked => Reason::Failed,
            Self::TooSlow => Reason::UnsupportedVoice,
            Self::Fetch(error) => match error {
                FetchError::DigestMismatch { .. } => Reason::DigestMismatch,
                FetchError::TooLarge { .. } => Reason::TooLarge,
                FetchError::RedirectToHttp { .. } | FetchError::TooManyRedirects { .. } => {
                    Reason::InvalidSource
                }
                FetchError::Write { .. } => Reason::Failed,
                _ => Reason::Unreachable,
            },
            Self::Voice(error) => match error {
                VoiceError::UnknownBuiltin { .. } => Reason::UnknownBuiltin,
                VoiceError::NoModel { .. }
                | VoiceError::SeveralModels { .. }
                | VoiceError::NoConfig { .. } => Reason::InvalidSource,
                VoiceError::BadSpeech(_) => Reason::CorruptModel,
                VoiceError::Unreadable { .. } => Reason::Failed,
                VoiceError::Model(error) => match error {
                    LoadError::Config(error) if error.is_unsupported() => Reason::UnsupportedVoice,
                    LoadError::Config(_) | LoadError::Signature(_) => Reason::InvalidConfig,
                    LoadError::UnknownFamily(_) => Reason::UnsupportedVoice,
                    LoadError::Engine(
                        EngineError::CorruptModel { .. } | EngineError::Run { .. },
                    ) => Reason::CorruptModel,
                    LoadError::Engine(_) => Reason::Failed,
                },
            },
        }
    }

    /// Whether the failure is temporary.
    pub fn may_pass(&self) -> bool {
        matches!(self.reason(), Reason::Unreachable | Reason::Failed)
    }
}

/// What `--voice` names.
enum Wanted {
    /// A builtin voice, or files on this machine.
    Local(VoiceLocation),
    Source(NamedSource),
}

/// `NAME=<json of source>`, `builtin:NAME`, or a path to a model or its folder.
fn wanted(voice: &str, allow_http: bool) -> Result<Wanted, InspectError> {
    match VoiceLocation::parse(voice) {
        // A source is no path of a folder.
        VoiceLocation::Folder(folder) if !folder.is_dir() => {}
        location => return Ok(Wanted::Local(location)),
    }
    Ok(Wanted::Source(NamedSource::parse(voice, allow_http)?))
}

/// How files are downloaded.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// Needed for voices with files to download only.
    pub work_folder: Option<&'a Path>,
    /// CA certificates to trust in addition to the system's.
    pub ca_pem: Option<&'a str>,
    pub allow_http: bool,
    /// Of all files of a voice together.
    pub max_bytes: u64,
}

/// Where a voice is, and its files with their digests; they are downloaded if it has any. See [`wanted`] for what `voice` is.
///
/// # Errors
/// When it cannot be found or downloaded.
pub async fn locate(
    voice: &str,
    download: Download<'_>,
) -> Result<(VoiceLocation, Vec<FetchedFile>), InspectError> {
    Ok(match wanted(voice, download.allow_http)? {
        Wanted::Local(location) => {
            let files = match &location {
                VoiceLocation::Builtin(name) => builtin_files(name)?,
                VoiceLocation::Folder(path) | VoiceLocation::Model(path) => local_files(path)?,
            };
            (location, files)
        }
        Wanted::Source(named) => match &named.source {
            Source::Builtin(name) => (VoiceLocation::Builtin(name.clone()), builtin_files(name)?),
            Source::Files(files) => {
                let folder = download
                    .work_folder
                    .ok_or(InspectError::NoWorkFolder)?
                    .join(&named.name);
                let client = Fetcher::new(download.ca_pem, download.allow_http)?;
                let fetched =
                    fetch::fetch_voice(&client, files, &folder, download.max_bytes).await?;
                (VoiceLocation::Folder(folder), fetched)
            }
        },
    })
}

/// Finds a voice, downloading its files if it has any; see [`wanted`] for what `voice` is.
///
/// # Errors
/// When it cannot be found or downloaded, or its configuration is invalid.
pub async fn find(
    voice: &str,
    download: Download<'_>,
) -> Result<(Voice, Vec<FetchedFile>), InspectError> {
    let (location, files) = locate(voice, download).await?;
    Ok((Voice::read("voice", &location)?, files))
}

/// Inspects a voice; see [`wanted`] for what `voice` is.
///
/// # Errors
/// When the voice cannot be found or is not usable.
pub async fn inspect(voice: &str, download: Download<'_>) -> Result<Success, InspectError> {
    let (voice, files) = find(voice, download).await?;
    let (kind, about) = (voice.family.kind(), voice.family.about().clone());
    // Loading and synthesis block; nothing else runs on this thread.
    test_voice(voice)?;
    Ok(Success {
        digest: digest(&files),
        size_bytes: files.iter().map(|file| file.size).sum(),
        family: kind,
        sample_rate_hz: about.sample_rate,
        languages: about.languages,
        speaker_count: about.speaker_count,
        speaker_names: about.speaker_names,
        files,
        peak_memory_bytes: memory::peak(),
    })
}

/// The model and the configuration of a voice on this machine, with their digests.
fn local_files(path: &Path) -> Result<Vec<FetchedFile>, VoiceError> {
    let files = source::find_model(path)?;
    [files.model, files.config]
        .into_iter()
        .map(|path| {
            let (sha256, size) =
                fetch::download::digest_of(&path).ok_or_else(|| VoiceError::Unreadable {
                    path: path.display().to_string(),
                    message: "the file cannot be read".to_owned(),
                })?;
            let name = path.file_name().unwrap_or_default();
            Ok(FetchedFile {
                path: name.to_string_lossy().into_owned(),
                sha256,
                size,
            })
        })
        .collect()
}

fn builtin_files(name: &str) -> Result<Vec<FetchedFile>, VoiceError> {
    let found = builtin::find(name).ok_or_else(|| VoiceError::UnknownBuiltin {
        name: name.to_owned(),
    })?;
    let file = |path: &str, bytes: &[u8]| FetchedFile {
        path: path.to_owned(),
        sha256: hex(&Sha256::digest(bytes)),
        size: bytes.len() as u64,
    };
    Ok(vec![
        file("voice.onnx", found.model),
        file("voice.onnx.json", found.config),
    ])
}

/// Loads a voice and synthesizes test speech, both within the time limit. A thread that exceeds it cannot be stopped while
/// it loads; it ends with the process.
fn test_voice(voice: Voice) -> Result<(), InspectError> {
    let cancel = Arc::new(Cancel::new()?);
    let (sender, receiver) = mpsc::channel();
    let thread_cancel = Arc::clone(&cancel);
    thread::spawn(move || {
        let loaded = voice.load(&SessionOptions::default(), &thread_cancel);
        // Nobody waits for it after the time limit.
        let _ = sender.send(loaded.map(drop));
    });
    match receiver.recv_timeout(LONGEST_TEST) {
        Ok(tested) => Ok(tested?),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            cancel.cancel();
            // A process that ends while ONNX Runtime is in use may crash.
            let _ = receiver.recv_timeout(LONGEST_CANCELLATION);
            Err(InspectError::TooSlow)
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(InspectError::Panicked),
    }
}

/// SHA-256 over the lines `<sha256>  <path>`, sorted by path.
fn digest(files: &[FetchedFile]) -> String {
    let mut lines: Vec<_> = files
        .iter()
        .map(|file| (&file.path, &file.sha256))
        .collect();
    lines.sort();
    let mut hasher = Sha256::new();
    for (path, sha256) in lines {
        hasher.update(format!("{sha256}  {path}\n"));
    }
    format!("sha256:{}", hex(&hasher.finalize()))
}

impl From<Result<Success, InspectError>> for Report {
    fn from(result: Result<Success, InspectError>) -> Self {
        match result {
            Ok(success) => Self::Success(success),
            Err(error) => Self::Failure(Failure {
                reason: error.reason(),
                message: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_the_order() {
        let file = |path: &str, sha256: &str| FetchedFile {
            path: path.to_owned(),
            sha256: sha256.to_owned(),
            size: 1,
        };
        let one = digest(&[file("b", "22"), file("a", "11")]);
        assert_eq!(one, digest(&[file("a", "11"), file("b", "22")]));
        assert_eq!(
            one,
            format!("sha256:{}", hex(&Sha256::digest(b"11  a\n22  b\n")))
        );
        assert_ne!(one, digest(&[file("a", "11"), file("b", "23")]));
    }
}

//! `tts-server inspect`: downloads, verifies and loads a voice, synthesizes test speech, and reports the result as one JSON object.

pub mod reading;
pub mod report;

use std::{path::Path, sync::Arc, sync::mpsc, thread, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    engine::{
        EngineError,
        session::{Cancel, SessionOptions},
    },
    families::Family,
    fetch::{self, ClientError, FetchError, FetchedFile, Fetcher, download::hex},
    memory,
    voices::{
        Speaker, Voice, VoiceError, VoiceLocation, builtin,
        manifest::{ManifestError, NamedSource, Source},
        source,
    },
};
use report::{Failure, Reason, Report, Success};

/// A sentence takes about a second on a slow core. A model that needs minutes cannot be served.
const LONGEST_TEST: Duration = Duration::from_mins(2);

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
                VoiceError::Config(error) if error.is_unsupported() => Reason::UnsupportedVoice,
                VoiceError::Config(_) | VoiceError::Signature(_) => Reason::InvalidConfig,
                VoiceError::Family(_) => Reason::UnsupportedVoice,
                VoiceError::Engine(EngineError::CorruptModel { .. } | EngineError::Run { .. })
                | VoiceError::BadSpeech(_) => Reason::CorruptModel,
                VoiceError::Engine(_) | VoiceError::Unreadable { .. } => Reason::Failed,
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

/// Inspects a voice; see [`wanted`] for what `voice` is.
pub async fn inspect(
    voice: &str,
    work_folder: Option<&Path>,
    ca_pem: Option<&str>,
    allow_http: bool,
    max_bytes: u64,
) -> Result<Success, InspectError> {
    let (location, files) = match wanted(voice, allow_http)? {
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
                let folder = work_folder
                    .ok_or(InspectError::NoWorkFolder)?
                    .join(&named.name);
                let client = Fetcher::new(ca_pem, allow_http)?;
                let fetched = fetch::fetch_voice(&client, files, &folder, max_bytes).await?;
                (VoiceLocation::Folder(folder), fetched)
            }
        },
    };
    // Loading and synthesis block; nothing else runs on this thread.
    let voice = Voice::read("voice", &location)?;
    let family = test_voice(&voice)?;
    let config = &voice.config;
    Ok(Success {
        digest: digest(&files),
        size_bytes: files.iter().map(|file| file.size).sum(),
        family,
        sample_rate_hz: config.sample_rate,
        languages: config.languages.clone(),
        speaker_count: config.speaker_count,
        speaker_names: config.speaker_names.clone(),
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
fn test_voice(voice: &Voice) -> Result<Family, InspectError> {
    let cancel = Arc::new(Cancel::new()?);
    let (sender, receiver) = mpsc::channel();
    let (voice, thread_cancel) = (voice.clone(), Arc::clone(&cancel));
    thread::spawn(move || {
        let tested = Speaker::load(&voice, SessionOptions { intra_threads: 1 })
            .and_then(|mut speaker| speaker.prove(&thread_cancel).map(|()| speaker.family()));
        // Nobody waits for it after the time limit.
        let _ = sender.send(tested);
    });
    match receiver.recv_timeout(LONGEST_TEST) {
        Ok(tested) => Ok(tested?),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            cancel.cancel();
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

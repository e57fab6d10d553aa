//! Voices: builtin and from folders, what they cost, and the test that each passes when it is loaded.

pub mod builtin;
pub mod catalogue;
pub mod cost;
pub mod manifest;
pub mod source;
pub mod warm_up;

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

pub use catalogue::Catalogue;
pub use cost::CostModel;

use crate::{
    engine::{EngineError, Model},
    families::{self, Family, LoadError},
};

/// Why a voice cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    #[error("unknown built-in voice {name:?}; built-in voices: {}", builtin::NAMES.join(", "))]
    UnknownBuiltin { name: String },
    #[error("{path}: {message}")]
    Unreadable { path: String, message: String },
    #[error(
        "{folder} contains no model: a voice is one file NAME.onnx with NAME.onnx.json next to it"
    )]
    NoModel { folder: String },
    #[error(
        "{folder} contains {count} models ({first}, {second}, …): a voice is one NAME.onnx with NAME.onnx.json"
    )]
    SeveralModels {
        folder: String,
        count: usize,
        first: String,
        second: String,
    },
    #[error("{path} is missing: a Piper voice needs its configuration next to the model")]
    NoConfig { path: String },
    #[error(transparent)]
    Model(#[from] LoadError),
    #[error("the voice failed the test sentence: {0}")]
    BadSpeech(String),
}

impl From<EngineError> for VoiceError {
    fn from(error: EngineError) -> Self {
        Self::Model(error.into())
    }
}

/// Where a served voice comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceLocation {
    Builtin(String),
    Folder(PathBuf),
    /// The model, with its configuration in the same folder.
    Model(PathBuf),
}

impl VoiceLocation {
    /// `builtin:NAME`, the path of a model, or the path of a folder.
    pub fn parse(text: &str) -> Self {
        let path = Path::new(text);
        match text.strip_prefix("builtin:") {
            Some(name) => Self::Builtin(name.to_owned()),
            None if path.extension().is_some_and(|ending| ending == "onnx") => {
                Self::Model(path.to_owned())
            }
            None => Self::Folder(path.to_owned()),
        }
    }
}

impl std::fmt::Display for VoiceLocation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin(name) => write!(formatter, "builtin:{name}"),
            Self::Folder(path) | Self::Model(path) => path.display().fmt(formatter),
        }
    }
}

/// A voice whose files were read. Whoever speaks with it holds it: it can be replaced while requests are served.
#[derive(Debug)]
pub struct Voice {
    pub name: String,
    pub family: Box<dyn Family>,
    pub costs: CostModel,
}

/// Published configurations have tens of kilobytes.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

fn read_config(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(format!(
            "the configuration exceeds {MAX_CONFIG_BYTES} bytes; is it the right file?"
        ));
    }
    Ok(bytes)
}

impl Voice {
    /// Reads a voice's files and validates its configuration.
    pub fn read(name: &str, location: &VoiceLocation) -> Result<Self, VoiceError> {
        let (model, config) = match location {
            VoiceLocation::Builtin(builtin) => {
                let voice = builtin::find(builtin).ok_or_else(|| VoiceError::UnknownBuiltin {
                    name: builtin.clone(),
                })?;
                (Model::Builtin(voice.model), voice.config.to_vec())
            }
            VoiceLocation::Folder(path) | VoiceLocation::Model(path) => {
                let files = source::find_model(path)?;
                let config =
                    read_config(&files.config).map_err(|message| VoiceError::Unreadable {
                        path: files.config.display().to_string(),
                        message,
                    })?;
                (Model::File(files.model), config)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            family: families::open(model, &config)?,
            costs: CostModel::default(),
        })
    }

    /// Of its audio, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.family.about().sample_rate
    }
}

//! Voices: the builtin one and those in folders, their configuration, and what loads and speaks them.

pub mod builtin;
pub mod config;
pub mod source;
pub mod speaker;

use std::{borrow::Cow, path::PathBuf, sync::Arc};

pub use config::VoiceConfig;
pub use speaker::Speaker;

/// Why a voice can't be used.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    #[error("there is no builtin voice named {name:?}; builtin voices: {}", builtin::NAMES.join(", "))]
    UnknownBuiltin { name: String },
    #[error("{path}: {message}")]
    Unreadable { path: String, message: String },
    #[error(
        "{folder} holds no model: a voice is one file NAME.onnx with its NAME.onnx.json beside it"
    )]
    NoModel { folder: String },
    #[error(
        "{folder} holds {count} models ({first}, {second}, …): a voice is one NAME.onnx with its NAME.onnx.json"
    )]
    SeveralModels {
        folder: String,
        count: usize,
        first: String,
        second: String,
    },
    #[error("{path} is missing: a Piper voice needs its configuration beside the model")]
    NoConfig { path: String },
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error(transparent)]
    Family(#[from] crate::families::detect::UnknownFamily),
    #[error("{0}")]
    Signature(String),
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    #[error("the voice spoke a test sentence badly: {0}")]
    BadSpeech(String),
}

/// Where a served voice comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoiceLocation {
    Builtin(String),
    Folder(PathBuf),
}

/// A voice whose files have been read: what a worker needs to make a session.
#[derive(Clone, Debug)]
pub struct Voice {
    pub name: String,
    pub config: VoiceConfig,
    model: Arc<Cow<'static, [u8]>>,
}

impl Voice {
    /// Reads a voice's files and checks its configuration.
    pub fn read(name: &str, location: &VoiceLocation) -> Result<Self, VoiceError> {
        let (model, config) = match location {
            VoiceLocation::Builtin(builtin) => {
                let voice = builtin::find(builtin).ok_or_else(|| VoiceError::UnknownBuiltin {
                    name: builtin.clone(),
                })?;
                (
                    Cow::Borrowed(voice.model),
                    VoiceConfig::parse(voice.config)?,
                )
            }
            VoiceLocation::Folder(folder) => {
                let files = source::find_model(folder)?;
                let read = |path: &PathBuf| {
                    std::fs::read(path).map_err(|error| VoiceError::Unreadable {
                        path: path.display().to_string(),
                        message: error.to_string(),
                    })
                };
                (
                    Cow::Owned(read(&files.model)?),
                    VoiceConfig::parse(&read(&files.config)?)?,
                )
            }
        };
        Ok(Self {
            name: name.to_owned(),
            config,
            model: Arc::new(model),
        })
    }

    /// The model's bytes.
    pub fn model(&self) -> &[u8] {
        &self.model
    }
}

//! The files of a voice in a folder.

use std::path::{Path, PathBuf};

use super::VoiceError;

/// A Piper voice's two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PiperFiles {
    pub model: PathBuf,
    pub config: PathBuf,
}

/// Maximum depth of folders that are searched.
const DEEPEST: usize = 8;

fn models(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEEPEST {
            models(&path, depth + 1, found)?;
        } else if kind.is_file()
            && path
                .extension()
                .is_some_and(|extension| extension == "onnx")
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The model at a path, or the only one in or below a folder, and its configuration in the same folder.
pub fn find_model(path: &Path) -> Result<PiperFiles, VoiceError> {
    if !path.exists() {
        return Err(VoiceError::Unreadable {
            path: path.display().to_string(),
            message: "no such file or folder".to_owned(),
        });
    }
    let model = if path.is_dir() {
        only_model(path)?
    } else {
        path.to_owned()
    };
    let mut config = model.clone().into_os_string();
    config.push(".json");
    let config = PathBuf::from(config);
    if !config.is_file() {
        return Err(VoiceError::NoConfig {
            path: config.display().to_string(),
        });
    }
    Ok(PiperFiles { model, config })
}

fn only_model(folder: &Path) -> Result<PathBuf, VoiceError> {
    let shown = || folder.display().to_string();
    let mut found = Vec::new();
    models(folder, 0, &mut found).map_err(|error| VoiceError::Unreadable {
        path: shown(),
        message: error.to_string(),
    })?;
    found.sort();
    match &found[..] {
        [] => Err(VoiceError::NoModel { folder: shown() }),
        [model] => Ok(model.clone()),
        [first, second, ..] => {
            let name = |path: &PathBuf| {
                path.strip_prefix(folder)
                    .unwrap_or(path)
                    .display()
                    .to_string()
            };
            Err(VoiceError::SeveralModels {
                folder: shown(),
                count: found.len(),
                first: name(first),
                second: name(second),
            })
        }
    }
}

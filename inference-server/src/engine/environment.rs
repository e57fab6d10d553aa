//! Locates ONNX Runtime's library and creates the one environment of the process.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use ort::environment::Environment;

use super::EngineError;

/// The library's name, with the version that this build was tested with.
pub const LIBRARY: &str = "libonnxruntime.so.1.31.1";
pub const VERSION: &str = "1.31.1";

/// ONNX Runtime rejects a second environment even after the first was released, so it lives as long as the process.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// `ORT_DYLIB_PATH` if set, else the folder of the executable, else `../lib` of that folder.
fn library() -> Result<PathBuf, EngineError> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH") {
        return Ok(path.into());
    }
    #[cfg(test)]
    if let Some(path) = cached_library() {
        return Ok(path);
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let folder = executable.parent().unwrap_or(Path::new("."));
    let places = [folder.join(LIBRARY), folder.join("../lib").join(LIBRARY)];
    places
        .iter()
        .find(|place| place.is_file())
        .cloned()
        .ok_or_else(|| EngineError::NoLibrary {
            looked: places.map(|place| place.display().to_string()).join(" or "),
        })
}

/// The process's environment; the first call loads the library.
pub fn environment() -> Result<&'static Environment, EngineError> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let path = library()?;
    let bad = |message: String| EngineError::BadLibrary {
        path: path.display().to_string(),
        message,
    };
    if !path.is_file() {
        return Err(bad("there is no such file".to_owned()));
    }
    // Telemetry: this switch alone does not stop it, `main` also sets ORT_DISABLE_TELEMETRY=1.
    let environment = ort::init_from(&path)
        .map_err(|error| bad(error.to_string()))?
        .with_name("tts-server")
        .with_telemetry(false)
        .build()
        .map_err(|error| EngineError::Start {
            message: error.to_string(),
        })?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// Where `make setup` puts the library: unit tests run from another folder than the binary.
#[cfg(test)]
fn cached_library() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let architecture = std::env::consts::ARCH;
    let path = cache.join(format!("tts-operator/ort/1.31.1-{architecture}/{LIBRARY}"));
    path.is_file().then_some(path)
}

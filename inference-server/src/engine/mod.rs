//! ONNX Runtime: one environment per process, and sessions that are each owned by one thread.

pub mod environment;
pub mod session;

pub use session::Session;

/// Why the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "ONNX Runtime (libonnxruntime.so) not found at {looked}; run `make setup`, or set ORT_DYLIB_PATH to the file"
    )]
    NoLibrary { looked: String },
    #[error("cannot load ONNX Runtime from {path}: {message}")]
    BadLibrary { path: String, message: String },
    #[error("cannot start ONNX Runtime: {message}")]
    Start { message: String },
    #[error(
        "cannot load the model: {message}; check that the file is complete and is an ONNX model"
    )]
    CorruptModel { message: String },
    #[error("the model could not be loaded: {message}; retry")]
    Load { message: String },
    #[error("the model run failed: {message}")]
    Run { message: String },
    #[error("out of memory: {message}; raise the memory limit")]
    OutOfMemory { message: String },
    #[error("the run was cancelled")]
    Cancelled,
    #[error("the run did not end within {} seconds", limit.as_secs())]
    TooSlow { limit: std::time::Duration },
}

/// Loads the library for a test that needs it.
#[cfg(test)]
pub(crate) fn test_library() {
    environment::environment().unwrap();
}

//! ONNX Runtime: one environment a process, sessions that a thread owns.

pub mod environment;
pub mod session;

pub use session::Session;

/// Why the engine could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "ONNX Runtime (libonnxruntime.so) is not at {looked}; run `make setup`, or set ORT_DYLIB_PATH to the file"
    )]
    NoLibrary { looked: String },
    #[error("ONNX Runtime at {path} can't be loaded: {message}")]
    BadLibrary { path: String, message: String },
    #[error("ONNX Runtime can't start: {message}")]
    Start { message: String },
    #[error("the model can't be loaded: {message}; is the file complete, and is it an ONNX model?")]
    CorruptModel { message: String },
    #[error("the model's run failed: {message}")]
    Run { message: String },
    #[error("the run was stopped because nobody waits for it any more")]
    Cancelled,
}

/// Loads the library for a test that needs it.
#[cfg(test)]
pub(crate) fn test_library() {
    environment::environment().unwrap();
}

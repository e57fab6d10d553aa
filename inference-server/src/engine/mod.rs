//! ONNX Runtime: one environment per process, and sessions that are each owned by one thread.

pub mod affinity;
pub mod environment;
pub mod session;

pub use affinity::CpuSet;
pub use session::{Cancel, Inputs, Model, Session, SessionOptions};

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    #[default]
    Cpu,
    /// An NVIDIA GPU, by its index among those that the process sees.
    Cuda { index: i32 },
}

impl std::fmt::Display for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda { index } => write!(formatter, "cuda:{index}"),
        }
    }
}

/// A device as the command line names it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a device; use cpu, cuda, or cuda:INDEX")]
pub struct UnknownDevice(String);

impl std::str::FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let index = match text.split_once(':') {
            None if text == "cpu" => return Ok(Self::Cpu),
            None if text == "cuda" => Some(0),
            Some(("cuda", index)) => index.parse().ok().filter(|index| *index >= 0),
            _ => None,
        };
        index
            .map(|index| Self::Cuda { index })
            .ok_or_else(|| UnknownDevice(text.chars().take(40).collect()))
    }
}

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
    #[error(
        "this ONNX Runtime cannot use the device {device}: {message}; set ORT_DYLIB_PATH to a build for CUDA, or use --device cpu"
    )]
    Device { device: Device, message: String },
    #[error("cannot bind a thread to the CPUs {cpus}: {error}")]
    Affinity { cpus: CpuSet, error: std::io::Error },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        for (text, device) in [
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda { index: 0 }),
            ("cuda:3", Device::Cuda { index: 3 }),
        ] {
            assert_eq!(text.parse(), Ok(device));
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "cuda:x"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}

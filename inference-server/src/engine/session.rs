//! A session: a loaded model, owned by one thread.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use ort::{
    ErrorCode,
    session::{
        RunOptions, SessionInputValue,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{TensorElementType, ValueType},
};

use super::{EngineError, environment::environment};

/// How a session is built.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Threads per run. Never 0: ONNX Runtime would use the host's cores, not those of the cgroup.
    pub intra_threads: usize,
}

/// A tensor of a graph's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub name: String,
    /// Element type and rank; `None` if it is not a tensor.
    pub kind: Option<(TensorElementType, usize)>,
}

/// Stops a run from another thread. One per request: ONNX Runtime never resets the flag.
pub struct Cancel {
    options: RunOptions,
    raised: AtomicBool,
}

impl Cancel {
    pub fn new() -> Result<Self, EngineError> {
        // Whatever is called first would load a library of its own choice.
        environment()?;
        let options = RunOptions::new().map_err(|error| EngineError::Run {
            message: error.to_string(),
        })?;
        Ok(Self {
            options,
            raised: AtomicBool::new(false),
        })
    }

    /// Stops the current run (ONNX Runtime checks between kernels: within 3 to 35 ms) and every later run with it.
    pub fn cancel(&self) {
        self.raised.store(true, Ordering::Release);
        // An error here means that the run has ended.
        let _ = self.options.terminate();
    }

    pub fn is_cancelled(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cancel")
            .field("raised", &self.raised)
            .finish_non_exhaustive()
    }
}

/// A loaded model.
#[derive(Debug)]
pub struct Session {
    session: ort::session::Session,
}

fn infos(outlets: &[ort::value::Outlet]) -> Vec<TensorInfo> {
    outlets
        .iter()
        .map(|outlet| TensorInfo {
            name: outlet.name().to_owned(),
            kind: match outlet.dtype() {
                ValueType::Tensor { ty, shape, .. } => Some((*ty, shape.len())),
                _ => None,
            },
        })
        .collect()
}

impl Session {
    /// Loads a model from its bytes.
    pub fn load(model: &[u8], options: SessionOptions) -> Result<Self, EngineError> {
        Self::build(options, |builder| builder.commit_from_memory(model))
    }

    /// Loads a model from its file.
    pub fn load_file(model: &Path, options: SessionOptions) -> Result<Self, EngineError> {
        Self::build(options, |builder| builder.commit_from_file(model))
    }

    fn build(
        options: SessionOptions,
        commit: impl FnOnce(&mut SessionBuilder) -> ort::Result<ort::session::Session>,
    ) -> Result<Self, EngineError> {
        let environment = environment()?;
        let build = || -> Result<ort::session::Session, ort::Error<()>> {
            let mut builder = ort::session::Session::builder(environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(options.intra_threads.max(1))?
                .with_inter_threads(1)?
                // Threads that spin while they wait use up the CPU quota of the pod.
                .with_intra_op_spinning(false)?
                // The shape differs per text: caching memory patterns would double the peak.
                .with_memory_pattern(false)?;
            commit(&mut builder)
        };
        let session = build().map_err(|error| {
            let message = first_line(&error.to_string());
            match error.code() {
                _ if is_out_of_memory(&message) => EngineError::OutOfMemory { message },
                // What the bytes of the file decide; anything else may succeed elsewhere or later.
                ErrorCode::InvalidProtobuf
                | ErrorCode::InvalidGraph
                | ErrorCode::InvalidArgument
                | ErrorCode::NoModel
                | ErrorCode::NotImplemented => EngineError::CorruptModel { message },
                _ => EngineError::Load { message },
            }
        })?;
        Ok(Self { session })
    }

    pub fn inputs(&self) -> Vec<TensorInfo> {
        infos(self.session.inputs())
    }

    pub fn outputs(&self) -> Vec<TensorInfo> {
        infos(self.session.outputs())
    }

    /// Runs the model and returns a copy of its only output, which is of floats.
    pub fn run(
        &mut self,
        inputs: Vec<(&'static str, SessionInputValue<'_>)>,
        output: &str,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, EngineError> {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let failed = |error: ort::Error| {
            let message = first_line(&error.to_string());
            if cancel.is_cancelled() {
                EngineError::Cancelled
            } else if is_out_of_memory(&message) {
                EngineError::OutOfMemory { message }
            } else {
                EngineError::Run { message }
            }
        };
        let outputs = self
            .session
            .run_with_options(inputs, &cancel.options)
            .map_err(failed)?;
        let Some(value) = outputs.get(output) else {
            return Err(EngineError::Run {
                message: format!("the model has no output named {output:?}"),
            });
        };
        let (_, samples) = value.try_extract_tensor::<f32>().map_err(failed)?;
        Ok(samples.to_vec())
    }
}

/// ONNX Runtime has no error code for it.
fn is_out_of_memory(message: &str) -> bool {
    ["bad_alloc", "Failed to allocate memory", "out of memory"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// ONNX Runtime's messages have source lines and stack traces after the first line.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.chars().take(400).collect()
}

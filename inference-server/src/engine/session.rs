//! A session: a loaded model, owned by one thread.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use ort::{
    ErrorCode, ep,
    session::{
        RunOptions, SessionInputValue, SessionOutputs,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{PrimitiveTensorElementType, TensorElementType, ValueType},
};

use super::{Device, EngineError, affinity::CpuSet, environment::environment};

/// Where a model's bytes are. Each session reads a file itself: a copy in memory would use its size again.
#[derive(Clone, Debug)]
pub enum Model {
    Builtin(&'static [u8]),
    File(PathBuf),
}

/// How a session is built.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Threads per run. Never 0: ONNX Runtime would use the host's cores, not those of the cgroup.
    pub intra_threads: usize,
    /// Where the model runs.
    pub device: Device,
    /// CPUs that the thread which loads the session and all threads of the session are bound to; `None`: any.
    pub cpus: Option<CpuSet>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            intra_threads: 1,
            device: Device::Cpu,
            cpus: None,
        }
    }
}

/// Named inputs of a run.
pub type Inputs<'v> = Vec<(&'v str, SessionInputValue<'v>)>;

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
    /// Loads a model.
    ///
    /// # Errors
    /// When the model cannot be loaded, the library does not support the device, or a CPU is not available.
    pub fn load(model: &Model, options: &SessionOptions) -> Result<Self, EngineError> {
        let environment = environment()?;
        if let Some(cpus) = &options.cpus {
            // ONNX Runtime creates its threads here, and a thread inherits the CPUs of the one that creates it.
            cpus.bind_this_thread()?;
        }
        let build = || -> Result<ort::session::Session, ort::Error<()>> {
            let mut builder = ort::session::Session::builder(environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(options.intra_threads.max(1))?
                .with_inter_threads(1)?
                // Threads that spin while they wait use up the CPU quota of the pod.
                .with_intra_op_spinning(false)?
                // The shape differs per text: caching memory patterns would double the peak.
                .with_memory_pattern(false)?;
            builder = on_device(builder, options.device)?;
            match model {
                Model::Builtin(bytes) => builder.commit_from_memory(bytes),
                Model::File(path) => builder.commit_from_file(path),
            }
        };
        let session = build().map_err(|error| load_error(&error, options.device))?;
        Ok(Self { session })
    }

    pub fn inputs(&self) -> Vec<TensorInfo> {
        infos(self.session.inputs())
    }

    pub fn outputs(&self) -> Vec<TensorInfo> {
        infos(self.session.outputs())
    }

    /// Runs the model.
    ///
    /// # Errors
    /// When an input does not fit, the run fails, memory is exhausted, or the run was cancelled.
    pub fn run<'s>(
        &'s mut self,
        inputs: Inputs<'_>,
        cancel: &'s Cancel,
    ) -> Result<Outputs<'s>, EngineError> {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let outputs = self
            .session
            .run_with_options(inputs, &cancel.options)
            .map_err(|error| {
                let message = first_line(&error.to_string());
                if cancel.is_cancelled() {
                    EngineError::Cancelled
                } else if is_out_of_memory(&message) {
                    EngineError::OutOfMemory { message }
                } else {
                    EngineError::Run { message }
                }
            })?;
        Ok(Outputs(outputs))
    }
}

fn on_device(builder: SessionBuilder, device: Device) -> Result<SessionBuilder, ort::Error<()>> {
    let Device::Cuda { index } = device else {
        return Ok(builder);
    };
    let provider = ep::CUDA::default()
        .with_device_id(index)
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        // The exhaustive search is run for each new length of input, and takes longer than the run.
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .build()
        // Else ONNX Runtime would silently use the CPU.
        .error_on_failure();
    Ok(builder.with_execution_providers([provider])?)
}

fn load_error(error: &ort::Error<()>, device: Device) -> EngineError {
    let message = first_line(&error.to_string());
    match error.code() {
        _ if is_out_of_memory(&message) => EngineError::OutOfMemory { message },
        _ if message.contains("ExecutionProvider") || message.contains("execution provider") => {
            let message = message.trim_end_matches('.').to_owned();
            EngineError::Device { device, message }
        }
        // What the bytes of the file decide; anything else may succeed elsewhere or later.
        ErrorCode::InvalidProtobuf
        | ErrorCode::InvalidGraph
        | ErrorCode::InvalidArgument
        | ErrorCode::NoModel
        | ErrorCode::NotImplemented => EngineError::CorruptModel { message },
        // The general code: a file that cannot be read, or a graph that is wrong.
        _ if message.contains("system error number") => EngineError::Load { message },
        _ if message.contains("Load model from") || message.contains("External data path") => {
            EngineError::CorruptModel { message }
        }
        _ => EngineError::Load { message },
    }
}

/// The outputs of a run.
#[derive(Debug)]
pub struct Outputs<'s>(SessionOutputs<'s>);

impl Outputs<'_> {
    /// Shape and elements of an output.
    ///
    /// # Errors
    /// When there is no output of this name, or its elements are of another type.
    pub fn tensor<T: PrimitiveTensorElementType>(
        &self,
        name: &str,
    ) -> Result<(&[i64], &[T]), EngineError> {
        let value = self.0.get(name).ok_or_else(|| EngineError::Run {
            message: format!("the model has no output named {name:?}"),
        })?;
        let (shape, elements) =
            value
                .try_extract_tensor::<T>()
                .map_err(|error| EngineError::Run {
                    message: first_line(&error.to_string()),
                })?;
        Ok((shape, elements))
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
    without_source(line).chars().take(400).collect()
}

/// A message without the place in ONNX Runtime's source, which is a path, a line and the signature of a function:
/// `/onnxruntime_src/onnxruntime/core/graph/model.cc:149 onnxruntime::Model::Model(…) Unsupported …`.
fn without_source(message: &str) -> String {
    let place = || {
        let from = message.find("/onnxruntime_src/")?;
        let open = from + message[from..].find('(')?;
        let mut depth = 0_usize;
        let close = message[open..].char_indices().find_map(|(at, character)| {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(open + at + 1)
        })?;
        Some((from, close))
    };
    match place() {
        Some((from, to)) => {
            let rest = message[to..].trim_start();
            let rest = rest.strip_prefix("const ").unwrap_or(rest);
            format!("{}{rest}", &message[..from])
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_out_the_source_of_onnx_runtime() {
        assert_eq!(
            without_source(
                "Load model from a.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:149 \
                 onnxruntime::Model::Model(ModelProto&&, std::function<void (int)>) Unsupported (x)."
            ),
            "Load model from a.onnx failed:Unsupported (x)."
        );
        for message in [
            "no source (here)",
            "/onnxruntime_src/a.cc:1 open( for ever",
            "",
        ] {
            assert_eq!(without_source(message), message);
        }
    }

    #[test]
    fn a_device_that_the_library_lacks_is_told_and_not_replaced() {
        crate::engine::test_library();
        let options = SessionOptions {
            device: Device::Cuda { index: 0 },
            ..SessionOptions::default()
        };
        let model = Model::Builtin(crate::voices::builtin::find("rms").unwrap().model);
        let error = Session::load(&model, &options).unwrap_err();
        assert!(matches!(error, EngineError::Device { .. }), "{error:?}");
        assert!(error.to_string().contains("cuda:0"), "{error}");
    }
}

//! A measured process, as the profiler holds it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use super::protocol::{self, Answer, Codec, LevelOrder, LevelSamples, Ready, Setup, Verified};

/// How often the profiler looks at the machine while it waits for an answer.
const TICK: Duration = Duration::from_millis(250);
/// A model of gigabytes is read from a slow disk.
const LONGEST_LOAD: Duration = Duration::from_mins(5);
/// Beyond what was asked for: one request that was begun in time.
const LONGEST_REQUEST: Duration = Duration::from_mins(5);
const LONGEST_END: Duration = Duration::from_secs(5);

/// Why a process gave no measurement.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot start {path}: {error}")]
    Start { path: String, error: std::io::Error },
    #[error("the measured process ended unexpectedly; its messages are on standard error")]
    Ended,
    #[error("the measured process did not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    NoDevice(String),
    #[error("the measured process answered what was not asked; is it of another version?")]
    Answer,
    #[error(
        "asked for the CPUs {asked}, but the threads of the measured process may run on {found}: nothing measured so can be trusted"
    )]
    Affinity { asked: String, found: String },
    #[error(
        "asked for {asked} threads of workers and runs, but the measured process has {found}: nothing measured so can be trusted"
    )]
    Threads { asked: usize, found: usize },
    #[error("interrupted")]
    Interrupted,
}

/// A running process; dropping it ends it.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Answer>,
    pub ready: Ready,
    /// From its start to the voice's first audio.
    pub cold_start: Duration,
}

/// Called while a measurement runs; it says whether to go on.
pub type Tick<'a> = dyn FnMut() -> bool + 'a;

impl Process {
    /// Starts a process, and verifies that its threads are those that were asked for.
    pub fn start(
        program: &PathBuf,
        setup: &Setup,
        tick: &mut Tick<'_>,
    ) -> Result<Self, ProcessError> {
        let failed = |error| ProcessError::Start {
            path: program.display().to_string(),
            error,
        };
        let started = Instant::now();
        let mut command = Command::new(program);
        if let Some(gpu) = &setup.gpu {
            // CUDA numbers GPUs by their speed: what is measured must be what is watched.
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        let mut child = command
            .arg("profile-subject")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the profiler: it saves what was measured.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (sender, answers) = channel();
        let output = child.stdout.take();
        thread::spawn(move || {
            let Some(output) = output else { return };
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(answer) = serde_json::from_str(&line) else {
                    return;
                };
                if sender.send(answer).is_err() {
                    return;
                }
            }
        });
        let mut process = Self {
            input: child.stdin.take(),
            child,
            answers,
            ready: Ready {
                process_mib: 0.0,
                loaded_mib: 0.0,
                sample_rate: 0,
                allowed: Vec::new(),
                threads: 0,
                largest_batch: 1,
                language: None,
            },
            cold_start: Duration::ZERO,
        };
        process.send(setup)?;
        process.ready = match process.wait(LONGEST_LOAD, tick)? {
            Answer::Ready(ready) => ready,
            _ => return Err(ProcessError::Answer),
        };
        process.cold_start = started.elapsed();
        process.check(setup)?;
        Ok(process)
    }

    /// What took effect must be what was asked for: a measurement with other threads would be one of something else.
    fn check(&self, setup: &Setup) -> Result<(), ProcessError> {
        if let Some(cpus) = &setup.cpus {
            let mut asked = cpus.clone();
            asked.sort_unstable();
            let as_asked = |list: &String| crate::machine::parse_list(list) == asked;
            if !self.ready.allowed.iter().all(as_asked) {
                return Err(ProcessError::Affinity {
                    asked: format!("{asked:?}"),
                    found: self.ready.allowed.join(" and "),
                });
            }
        }
        let threads = setup.workers * setup.threads;
        // The NVIDIA driver has threads of its own, which wait.
        let as_asked = if setup.gpu.is_some() {
            self.ready.threads >= threads
        } else {
            self.ready.threads == threads
        };
        if !as_asked {
            return Err(ProcessError::Threads {
                asked: threads,
                found: self.ready.threads,
            });
        }
        Ok(())
    }

    fn send(&mut self, message: &impl serde::Serialize) -> Result<(), ProcessError> {
        let input = self.input.as_mut().ok_or(ProcessError::Ended)?;
        let line = serde_json::to_string(message).map_err(|_| ProcessError::Answer)?;
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .map_err(|_| ProcessError::Ended)
    }

    fn wait(&self, limit: Duration, tick: &mut Tick<'_>) -> Result<Answer, ProcessError> {
        let begun = Instant::now();
        loop {
            match self.answers.recv_timeout(TICK) {
                Ok(Answer::Failed(message)) => return Err(ProcessError::Failed(message)),
                Ok(Answer::NoDevice(message)) => return Err(ProcessError::NoDevice(message)),
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(ProcessError::Ended),
                Err(RecvTimeoutError::Timeout) if begun.elapsed() > limit => {
                    return Err(ProcessError::Late(limit));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if !tick() {
                        return Err(ProcessError::Interrupted);
                    }
                }
            }
        }
    }

    pub fn verify(&mut self, tick: &mut Tick<'_>) -> Result<Vec<Verified>, ProcessError> {
        self.send(&protocol::Command::Verify)?;
        match self.wait(4 * LONGEST_REQUEST, tick)? {
            Answer::Verified(verified) => Ok(verified),
            _ => Err(ProcessError::Answer),
        }
    }

    /// Begins a level; [`Self::end_level`] waits for it. Several processes measure at the same time so.
    pub fn begin_level(&mut self, order: LevelOrder) -> Result<(), ProcessError> {
        self.send(&protocol::Command::Level(order))
    }

    pub fn end_level(
        &mut self,
        order: &LevelOrder,
        tick: &mut Tick<'_>,
    ) -> Result<LevelSamples, ProcessError> {
        let limit = Duration::from_secs_f64(3.0 * order.most_seconds) + LONGEST_REQUEST;
        match self.wait(limit, tick)? {
            Answer::Level(samples) => Ok(samples),
            _ => Err(ProcessError::Answer),
        }
    }

    /// Peak memory, and memory afterwards, in MiB.
    pub fn memory(
        &mut self,
        n: usize,
        text: usize,
        tick: &mut Tick<'_>,
    ) -> Result<(f64, f64), ProcessError> {
        self.send(&protocol::Command::Memory { n, text })?;
        match self.wait(4 * LONGEST_REQUEST, tick)? {
            Answer::Memory { peak, now } => Ok((peak, now)),
            _ => Err(ProcessError::Answer),
        }
    }

    pub fn codecs(&mut self, text: usize, tick: &mut Tick<'_>) -> Result<Vec<Codec>, ProcessError> {
        self.send(&protocol::Command::Codecs { text })?;
        match self.wait(LONGEST_REQUEST, tick)? {
            Answer::Codecs(codecs) => Ok(codecs),
            _ => Err(ProcessError::Answer),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input is its end; a process in the middle of a run is killed.
        self.input = None;
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_END {
            match self.answers.recv_timeout(TICK) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

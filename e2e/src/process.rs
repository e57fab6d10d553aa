//! Signals to processes that a test started.
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// SIGKILL: the process gets no chance to finish anything.
pub fn kill(pid: u32) -> Result<()> {
    send(pid, Signal::KILL)
}

/// SIGSTOP: the process does not run until [`resume`], and does not notice that.
pub fn freeze(pid: u32) -> Result<()> {
    send(pid, Signal::STOP)
}

/// SIGCONT.
pub fn resume(pid: u32) -> Result<()> {
    send(pid, Signal::CONT)
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    let process = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .with_context(|| format!("{pid} is no process ID"))?;
    kill_process(process, signal).with_context(|| format!("cannot send {signal:?} to {pid}"))
}

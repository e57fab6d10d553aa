//! The CPUs that threads are bound to.

use std::{fmt, io};

use rustix::thread;

use super::EngineError;

/// Numbers of CPUs; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(Vec<usize>);

impl CpuSet {
    /// A set of these CPUs; `None` if there are none.
    pub fn new(mut cpus: Vec<usize>) -> Option<Self> {
        cpus.sort_unstable();
        cpus.dedup();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// The CPUs that this thread may run on.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn of_this_thread() -> io::Result<Self> {
        let set = thread::sched_getaffinity(None)?;
        let cpus = (0..thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
        Self::new(cpus.collect()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn cpus(&self) -> &[usize] {
        &self.0
    }

    /// Binds this thread, and the threads that it creates from now on.
    ///
    /// # Errors
    /// When a CPU does not exist or may not be used.
    pub fn bind_this_thread(&self) -> Result<(), EngineError> {
        let failed = |error: io::Error| EngineError::Affinity {
            cpus: self.clone(),
            error,
        };
        if self.0.last() >= Some(&thread::CpuSet::MAX_CPU) {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let mut set = thread::CpuSet::new();
        for cpu in &self.0 {
            set.set(*cpu);
        }
        thread::sched_setaffinity(None, &set).map_err(|error| failed(error.into()))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, cpu) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{cpu}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::{
        engine::{Model, Session, SessionOptions},
        voices::builtin,
    };

    /// The CPUs of each thread of this process whose name begins so, as the kernel lists them.
    fn cpus_of_new_threads(before: &BTreeSet<String>) -> Vec<String> {
        threads()
            .difference(before)
            .filter_map(|thread| {
                let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
                let line = status
                    .lines()
                    .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
                Some(line.trim().to_owned())
            })
            .collect()
    }

    fn threads() -> BTreeSet<String> {
        fs::read_dir("/proc/self/task")
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn all_threads_of_a_session_run_on_its_cpus() {
        crate::engine::test_library();
        let last = *CpuSet::of_this_thread().unwrap().cpus().last().unwrap();
        let cpus = CpuSet::new(vec![last]).unwrap();
        // A thread of its own: the test's thread stays free.
        std::thread::spawn(move || {
            let before = threads();
            let options = SessionOptions {
                intra_threads: 3,
                cpus: Some(cpus.clone()),
                ..SessionOptions::default()
            };
            let model = Model::Builtin(builtin::find("rms").unwrap().model);
            let _session = Session::load(&model, &options).unwrap();
            assert_eq!(CpuSet::of_this_thread().unwrap(), cpus);
            let found = cpus_of_new_threads(&before);
            // Other tests may create threads meanwhile.
            let bound = found.iter().filter(|list| **list == last.to_string());
            assert!(bound.count() >= 2, "{found:?}");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn cpus_that_do_not_exist_are_refused() {
        std::thread::spawn(|| {
            for cpu in [thread::CpuSet::MAX_CPU - 1, usize::MAX] {
                let error = CpuSet::new(vec![cpu]).unwrap().bind_this_thread();
                let message = error.unwrap_err().to_string();
                assert!(message.contains(&cpu.to_string()), "{message}");
            }
        })
        .join()
        .unwrap();
        assert_eq!(CpuSet::new(Vec::new()), None);
    }
}

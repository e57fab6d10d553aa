//! Workers: threads that own one session per voice.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak, mpsc},
    thread,
    time::Instant,
};

use super::{
    Scheduler,
    queue::{Queue, Turn},
    turn,
};
use crate::{
    engine::{Cancel, EngineError, SessionOptions},
    families::{LoadError, Runner},
    voices::{Voice, VoiceError},
};

/// Workers of a server that was told no number: one per CPU, at most this many, whatever the device.
pub const MOST_WORKERS: u16 = 8;

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("voice {name}: {error}")]
    Voice { name: String, error: VoiceError },
    #[error("cannot start a worker thread: {0}")]
    Thread(std::io::Error),
    #[error("a worker stopped while loading the voices")]
    Lost,
}

impl StartError {
    /// Whether ONNX Runtime cannot use the device: no voice could be loaded then.
    pub fn is_of_device(&self) -> bool {
        matches!(
            self,
            Self::Voice {
                error: VoiceError::Model(LoadError::Engine(EngineError::Device { .. })),
                ..
            }
        )
    }
}

/// Starts the workers and waits until each has loaded every voice and produced audio with it.
///
/// # Errors
/// When a thread cannot be started, or a voice cannot be loaded.
pub fn start<'a>(
    scheduler: &Scheduler,
    voices: impl IntoIterator<Item = &'a Arc<Voice>>,
    workers: usize,
    options: &SessionOptions,
) -> Result<(), StartError> {
    let (loaded_sender, loaded_receiver) = mpsc::channel();
    let voices: Vec<_> = voices.into_iter().map(Arc::downgrade).collect();
    for number in 0..workers.max(1) {
        let queue = Arc::clone(&scheduler.queue);
        let (voices, options) = (voices.clone(), options.clone());
        let loaded_sender = loaded_sender.clone();
        let running = queue.run_worker();
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                // Dropped last, after the sessions.
                let _running = running;
                let load = || Sessions::load(&queue, &voices, &options);
                let (first, result) = match load() {
                    Ok(sessions) => (Some(sessions), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let told = loaded_sender.send(result).is_ok();
                drop(loaded_sender);
                if let Some(sessions) = first.filter(|_| told) {
                    work(&queue, sessions, load, turn::serve);
                }
            })
            .map_err(StartError::Thread)?;
    }
    drop(loaded_sender);
    for _ in 0..workers.max(1) {
        loaded_receiver.recv().map_err(|_| StartError::Lost)??;
    }
    Ok(())
}

/// Serves turns until the queue is closed. After a panic the sessions are made anew; if that fails, the worker is lost.
fn work<S>(
    queue: &Arc<Queue>,
    first: S,
    load: impl Fn() -> Result<S, StartError>,
    serve: impl Fn(&mut S, Turn, &Arc<Queue>),
) {
    let mut sessions = first;
    loop {
        let served = catch_unwind(AssertUnwindSafe(|| -> Result<(), EngineError> {
            // One per turn: ONNX Runtime never resets the flag.
            while let Some(turn) = queue.take(&Arc::new(Cancel::new()?)) {
                serve(&mut sessions, turn, queue);
            }
            Ok(())
        }));
        match served {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "a worker cannot go on: loading its voices again");
            }
            Err(_) => tracing::error!("a worker stopped unexpectedly: loading its voices again"),
        }
        queue.restart_worker();
        let loaded = catch_unwind(AssertUnwindSafe(&load));
        let loaded = loaded.unwrap_or(Err(StartError::Lost));
        queue.restarted_worker(loaded.is_ok());
        match loaded {
            Ok(fresh) => sessions = fresh,
            Err(error) => {
                tracing::error!(%error, "the worker cannot be restarted");
                return;
            }
        }
    }
}

/// The sessions of one worker.
pub(super) struct Sessions {
    queue: Arc<Queue>,
    options: SessionOptions,
    loaded: Vec<(Weak<Voice>, Box<dyn Runner>)>,
}

impl Sessions {
    pub(super) fn load(
        queue: &Arc<Queue>,
        voices: &[Weak<Voice>],
        options: &SessionOptions,
    ) -> Result<Self, StartError> {
        let mut sessions = Self {
            queue: Arc::clone(queue),
            options: options.clone(),
            loaded: Vec::new(),
        };
        for voice in voices.iter().filter_map(Weak::upgrade) {
            sessions.of(&voice).map_err(|error| StartError::Voice {
                name: voice.name.clone(),
                error,
            })?;
        }
        Ok(sessions)
    }

    /// The session of a voice; it is loaded if this worker has none. Those of voices that nobody holds any more are dropped.
    pub(super) fn of(&mut self, voice: &Arc<Voice>) -> Result<&mut dyn Runner, VoiceError> {
        let is_this = |held: &Weak<Voice>| std::ptr::eq(held.as_ptr(), Arc::as_ptr(voice));
        let place = self.loaded.iter().position(|(held, _)| is_this(held));
        let place = if let Some(place) = place {
            place
        } else {
            self.loaded.retain(|(held, _)| held.strong_count() > 0);
            let runner = self.open(voice)?;
            self.loaded.push((Arc::downgrade(voice), runner));
            self.loaded.len() - 1
        };
        Ok(self.loaded[place].1.as_mut())
    }

    /// Loads and tests a voice; the test has the time of one run.
    fn open(&self, voice: &Voice) -> Result<Box<dyn Runner>, VoiceError> {
        let mut runner = voice.family.load(&self.options)?;
        let cancel = Arc::new(Cancel::new()?);
        self.queue.begin_test(&cancel);
        let (limit, started) = (self.queue.limits().run_timeout, Instant::now());
        match voice.warm_up(runner.as_mut(), &cancel) {
            Ok(()) => Ok(runner),
            Err(VoiceError::Model(LoadError::Engine(EngineError::Cancelled)))
                if started.elapsed() >= limit =>
            {
                Err(EngineError::TooSlow { limit }.into())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        scheduler::{
            job::Work,
            tests::{limits, order},
        },
        voices::VoiceLocation,
    };

    fn scheduler() -> Scheduler {
        crate::engine::test_library();
        Scheduler::new(limits())
    }

    #[test]
    fn a_worker_that_panics_serves_the_next_job_with_fresh_sessions() {
        let scheduler = scheduler();
        let tickets: Vec<_> = ["panic", "go on"]
            .map(|text| scheduler.submit(order(text.to_owned())).unwrap())
            .into();
        scheduler.close();
        let sessions = std::cell::Cell::new(0);
        let load = || {
            sessions.set(sessions.get() + 1);
            assert_eq!(
                scheduler.restarting_workers(),
                usize::from(sessions.get() > 1)
            );
            Ok(sessions.get())
        };
        let served = std::cell::RefCell::new(Vec::new());
        work(
            &scheduler.queue,
            load().unwrap(),
            load,
            |session, turn, queue| {
                let job = &turn.jobs[0];
                served.borrow_mut().push((*session, job.client.id));
                let panics = matches!(&job.work, Work::Text { text, .. } if text == "panic");
                queue.end(turn.number);
                assert!(!panics, "as asked");
            },
        );
        assert_eq!(*served.borrow(), [(1, 0), (2, 1)]);
        assert_eq!(
            (scheduler.restarting_workers(), scheduler.lost_workers()),
            (0, 0)
        );
        assert_eq!(scheduler.in_flight(), 0);
        drop(tickets);
    }

    #[test]
    fn a_worker_that_cannot_be_restarted_is_lost() {
        let scheduler = scheduler();
        let _ticket = scheduler.submit(order("x".to_owned())).unwrap();
        scheduler.close();
        work(
            &scheduler.queue,
            (),
            || Err(StartError::Lost),
            |(), _, _| panic!("as asked"),
        );
        assert_eq!(
            (scheduler.restarting_workers(), scheduler.lost_workers()),
            (0, 1)
        );
    }

    #[test]
    fn a_voice_is_loaded_when_it_is_needed_and_dropped_when_nobody_holds_it() {
        let voice = |name: &str| {
            let location = VoiceLocation::Builtin("rms".to_owned());
            Arc::new(Voice::read(name, &location).unwrap())
        };
        let (first, second) = (voice("first"), voice("second"));
        let options = SessionOptions::default();
        let queue = scheduler().queue;
        let mut sessions = Sessions::load(&queue, &[Arc::downgrade(&first)], &options).unwrap();
        assert_eq!(sessions.loaded.len(), 1);
        sessions.of(&second).unwrap();
        sessions.of(&first).unwrap();
        assert_eq!(sessions.loaded.len(), 2);
        drop(first);
        sessions.of(&voice("third")).unwrap();
        let held: Vec<_> = sessions
            .loaded
            .iter()
            .map(|(held, _)| held.upgrade().is_some_and(|held| held.name == "second"))
            .collect();
        // The third is already gone again, but only the next load notices.
        assert_eq!(held, [true, false]);
    }
}

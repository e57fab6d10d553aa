//! Workers: threads that own one session per voice.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::Instant,
};

use super::{Job, Scheduler, Spoken, queue::Queue};
use crate::{
    engine::{
        EngineError,
        session::{Cancel, SessionOptions},
    },
    voices::{Speaker, Voice, VoiceError},
};

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

/// Starts the workers and waits until each has loaded every voice and produced audio with it.
pub fn start(
    scheduler: &Scheduler,
    voices: &[Voice],
    workers: usize,
    options: SessionOptions,
) -> Result<(), StartError> {
    let (loaded_sender, loaded_receiver) = mpsc::channel();
    for number in 0..workers.max(1) {
        let queue = Arc::clone(&scheduler.queue);
        let voices = voices.to_vec();
        let loaded_sender = loaded_sender.clone();
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                let _guard = PanicGuard {
                    queue: Arc::clone(&queue),
                };
                let loaded = load(&voices, options);
                let (mut speakers, result) = match loaded {
                    Ok(speakers) => (speakers, Ok(())),
                    Err(error) => (Vec::new(), Err(error)),
                };
                let failed = result.is_err();
                if loaded_sender.send(result).is_err() || failed {
                    return;
                }
                drop(loaded_sender);
                while let Some(job) = queue.pop() {
                    serve(&mut speakers, job, &queue);
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

/// Counts a worker that panicked: the process then fails its liveness probe.
struct PanicGuard {
    queue: Arc<Queue>,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.queue.lose_worker();
        }
    }
}

fn load(voices: &[Voice], options: SessionOptions) -> Result<Vec<Speaker>, StartError> {
    voices
        .iter()
        .map(|voice| {
            let failed = |error| StartError::Voice {
                name: voice.name.clone(),
                error,
            };
            let mut speaker = Speaker::load(voice, options).map_err(failed)?;
            let cancel = Cancel::new().map_err(|error| failed(error.into()))?;
            speaker.prove(&cancel).map_err(failed)?;
            Ok(speaker)
        })
        .collect()
}

/// Synthesizes a job's next run and requeues the job; drops it if it failed or was cancelled.
fn serve(speakers: &mut [Speaker], mut job: Job, queue: &Queue) {
    let queue_wait = *job
        .queue_wait
        .get_or_insert_with(|| job.queued_at.elapsed());
    if job.cancel.is_cancelled() {
        return;
    }
    let Some(run) = job.runs.pop_front() else {
        return;
    };
    let started = Instant::now();
    let result = match speakers.get_mut(job.voice) {
        Some(speaker) => speaker.speak(&run.symbols, job.speed, &job.cancel),
        // The index of the voice comes from the same list as the speakers.
        None => Err(EngineError::Run {
            message: format!("there is no voice {}", job.voice),
        }),
    };
    let service = started.elapsed();
    let failed = result.is_err();
    if !failed {
        queue.measured(run.symbols.len(), service);
    }
    job.ahead.fetch_add(1, Ordering::AcqRel);
    let spoken = result.map(|samples| Spoken {
        samples,
        queue_wait,
        service,
    });
    if job.reply.send(spoken).is_ok() && !failed {
        queue.put_back(job);
    }
}

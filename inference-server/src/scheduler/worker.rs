//! Workers: threads that own one session per voice.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use bytes::Bytes;

use super::{Buffered, Job, JobError, ReadText, Scheduler, Spoken, Update, Work, queue::Queue};
use crate::{
    audio::encode,
    engine::{
        EngineError,
        session::{Cancel, SessionOptions},
    },
    text::{self, Run},
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
                let load = || load(&voices, options);
                let (first, result) = match load() {
                    Ok(speakers) => (Some(speakers), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let told = loaded_sender.send(result).is_ok();
                drop(loaded_sender);
                if let Some(speakers) = first.filter(|_| told) {
                    work(&queue, speakers, load, serve);
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

/// Serves jobs until the queue is closed. After a panic the sessions are made anew; if that fails, the worker is lost.
fn work<S>(
    queue: &Arc<Queue>,
    first: S,
    load: impl Fn() -> Result<S, StartError>,
    serve: impl Fn(&mut S, Job, &Arc<Queue>),
) {
    let mut speakers = first;
    loop {
        let served = catch_unwind(AssertUnwindSafe(|| {
            while let Some(job) = queue.pop() {
                serve(&mut speakers, job, queue);
            }
        }));
        if served.is_ok() {
            return;
        }
        queue.restart_worker();
        tracing::error!("a worker stopped unexpectedly: loading its voices again");
        let loaded = catch_unwind(AssertUnwindSafe(&load));
        let loaded = loaded.unwrap_or(Err(StartError::Lost));
        queue.restarted_worker(loaded.is_ok());
        match loaded {
            Ok(fresh) => speakers = fresh,
            Err(error) => {
                tracing::error!(%error, "the worker cannot be restarted");
                return;
            }
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

/// A job in service; its place is given back even if its run panics.
struct InService<'a> {
    queue: &'a Queue,
    id: u64,
}

impl Drop for InService<'_> {
    fn drop(&mut self) {
        self.queue.end(self.id);
    }
}

/// Reads a job's text if that was not done yet, synthesizes its next run, and requeues it; drops it if it failed or was
/// cancelled.
#[expect(clippy::ptr_arg, reason = "what `load` returns")]
fn serve(speakers: &mut Vec<Speaker>, mut job: Job, queue: &Arc<Queue>) {
    let _in_service = InService { queue, id: job.id };
    let queue_wait = *job
        .queue_wait
        .get_or_insert_with(|| job.queued_at.elapsed());
    if job.cancel.is_cancelled() {
        return;
    }
    if let Work::Text(text) = &job.work {
        let (work, update) = match read(text, job.speed, queue) {
            Ok((runs, update)) => (runs, Ok(Update::Read(update))),
            Err(error) => (VecDeque::new(), Err(error)),
        };
        job.work = Work::Runs(work);
        if job.reply.send(update).is_err() {
            return;
        }
    }
    let Work::Runs(runs) = &mut job.work else {
        return;
    };
    let Some(run) = runs.pop_front() else {
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
    let update = match result {
        Ok(samples) => {
            queue.measured(run.symbols.len(), service);
            let pcm = Bytes::from(encode::pcm16(&samples));
            Ok(Update::Audio(Spoken {
                buffered: Buffered::new(queue, &job, pcm.len()),
                pcm,
                queue_wait,
                service,
            }))
        }
        Err(EngineError::Cancelled) if service >= queue.limits().run_timeout => {
            let limit = queue.limits().run_timeout;
            Err(EngineError::TooSlow { limit }.into())
        }
        Err(error) => Err(error.into()),
    };
    let failed = update.is_err();
    if job.reply.send(update).is_ok() && !failed {
        queue.put_back(job);
    }
}

/// The runs of a text, and what the request's client has to know of it.
fn read(text: &str, speed: f32, queue: &Queue) -> Result<(VecDeque<Run>, ReadText), JobError> {
    let reading = text::read(text, text::run_limit(speed))?;
    queue.read(text.chars().count(), reading.symbols());
    let (found, limit) = (
        reading.estimated_seconds(speed),
        queue.limits().max_audio_seconds,
    );
    if found > limit {
        return Err(JobError::TooMuchAudio { found, limit });
    }
    let update = ReadText {
        ends_sentence: reading.runs.iter().map(|run| run.ends_sentence).collect(),
        skipped: reading.passed_over,
    };
    Ok((reading.runs.into(), update))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scheduler::Limits;

    fn scheduler() -> Scheduler {
        crate::engine::test_library();
        Scheduler::new(Limits {
            workers: 1,
            waiting: 8,
            max_audio_seconds: 60,
            request_buffer: 1000,
            total_buffer: 1000,
            run_timeout: Duration::from_mins(2),
            slow_reader: Duration::from_mins(1),
        })
    }

    #[test]
    fn a_worker_that_panics_serves_the_next_job_with_fresh_sessions() {
        let scheduler = scheduler();
        let tickets: Vec<_> = ["panic", "go on"]
            .map(|text| scheduler.submit(0, text.to_owned(), 1.0).unwrap())
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
            |session, job, queue| {
                let _in_service = InService { queue, id: job.id };
                served.borrow_mut().push((*session, job.id));
                assert!(
                    !matches!(&job.work, Work::Text(text) if text == "panic"),
                    "as asked"
                );
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
        let _ticket = scheduler.submit(0, "x".to_owned(), 1.0).unwrap();
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
}

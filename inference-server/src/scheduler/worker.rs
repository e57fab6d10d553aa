//! Workers: threads that own one session per voice.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use bytes::Bytes;

use super::{
    Audio, Buffered, Job, JobError, ReadText, RunReport, Scheduler, Update, Work, queue::Queue,
};
use crate::{
    audio::{Encoder, join},
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
    turn: u64,
}

impl Drop for InService<'_> {
    fn drop(&mut self) {
        self.queue.end(self.turn);
    }
}

/// Why a job does not go on.
enum Stop {
    /// The client is told.
    Failed(JobError),
    /// There is no client any more.
    Left,
}

impl<E: Into<JobError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Serves a job for one turn and requeues it; drops it if it failed or was cancelled.
#[expect(clippy::ptr_arg, reason = "what `load` returns")]
fn serve(speakers: &mut Vec<Speaker>, mut job: Job, queue: &Arc<Queue>) {
    let _in_service = InService {
        queue,
        turn: job.turn,
    };
    match turn(speakers, &mut job, queue) {
        Ok(()) => queue.put_back(job),
        // It may have left meanwhile.
        Err(Stop::Failed(error)) => drop(job.reply.send(Err(error))),
        Err(Stop::Left) => {}
    }
}

/// Reads a job's text if that was not done yet, and synthesizes, encodes and sends its next run.
fn turn(speakers: &mut [Speaker], job: &mut Job, queue: &Arc<Queue>) -> Result<(), Stop> {
    let queue_wait = *job
        .queue_wait
        .get_or_insert_with(|| job.queued_at.elapsed());
    if job.cancel.is_cancelled() {
        return Err(Stop::Left);
    }
    if let Work::Text(text) = &job.work {
        let (runs, update) = read(text, job.speed, queue)?;
        job.output.whole = update.whole;
        job.work = Work::Runs(runs);
        send(job, Update::Read(update))?;
    }
    let Work::Runs(runs) = &mut job.work else {
        return Err(Stop::Left);
    };
    let Some(run) = runs.pop_front() else {
        return Err(Stop::Left);
    };
    let last = runs.is_empty();
    // The index of the voice comes from the same list as the speakers.
    let speaker = speakers
        .get_mut(job.voice)
        .ok_or(JobError::Engine(EngineError::Run {
            message: format!("there is no voice {}", job.voice),
        }))?;
    let limit = queue.limits().run_timeout;
    let started = Instant::now();
    let spoken = speaker.speak(&run.symbols, job.speed, &job.cancel);
    let synthesis = started.elapsed();
    let samples = spoken.map_err(|error| match error {
        EngineError::Cancelled if synthesis >= limit => EngineError::TooSlow { limit },
        other => other,
    })?;
    queue.measured(run.symbols.len(), synthesis);

    let started = Instant::now();
    let clipped = encode(job, &samples, last, queue)?;
    job.output.last_ended_sentence = Some(run.ends_sentence);
    #[expect(clippy::cast_precision_loss, reason = "minutes of samples")]
    let audio_seconds = samples.len() as f64 / f64::from(job.output.voice_rate);
    let report = RunReport {
        audio_seconds,
        queue_wait,
        synthesis,
        encoding: started.elapsed(),
        clipped,
    };
    send(job, Update::Run(report))?;
    if last {
        send(job, Update::Done)?;
    }
    Ok(())
}

/// Encodes a run's samples after the gap that precedes them, and sends what comes out; the number of samples that were
/// clipped.
fn encode(job: &mut Job, samples: &[f32], last: bool, queue: &Arc<Queue>) -> Result<u64, Stop> {
    let output = &mut job.output;
    let gap = output
        .last_ended_sentence
        .map_or(0, |ended| join::gap(output.voice_rate, ended));
    output.samples += (gap + samples.len()) as u64;
    let limit = queue.limits().max_audio_seconds;
    if output.samples > limit * u64::from(output.voice_rate) {
        return Err(JobError::TooLong { limit }.into());
    }
    let mut encoder = match output.encoder.take() {
        Some(encoder) => encoder,
        None => Encoder::new(output.format, output.voice_rate, output.sample_rate)?,
    };
    if output.whole {
        let (bytes, clipped) = encoder.whole(samples)?;
        send_audio(job, bytes, queue)?;
        return Ok(clipped);
    }
    let before = encoder.clipped();
    let mut out = Vec::new();
    encoder.push(&vec![0.0; gap], &mut out)?;
    // The first piece is short, so that its bytes leave before the rest is encoded.
    let mut piece = (output.voice_rate / FIRST_PIECES_PER_SECOND).max(1) as usize;
    let mut rest = samples;
    while !rest.is_empty() {
        if job.cancel.is_cancelled() {
            return Err(Stop::Left);
        }
        let (now, later) = rest.split_at(piece.min(rest.len()));
        encoder.push(now, &mut out)?;
        rest = later;
        piece *= 2;
        if rest.is_empty() && last {
            encoder.finish(&mut out)?;
        }
        if !out.is_empty() {
            send_audio(job, std::mem::take(&mut out), queue)?;
        }
    }
    let clipped = encoder.clipped() - before;
    job.output.encoder = Some(encoder);
    Ok(clipped)
}

/// The first piece that is encoded has a quarter of a second, and each one twice the length of the last.
const FIRST_PIECES_PER_SECOND: u32 = 4;

fn send_audio(job: &Job, bytes: Vec<u8>, queue: &Arc<Queue>) -> Result<(), Stop> {
    let buffered = Buffered::new(queue, job, bytes.len());
    let bytes = Bytes::from(bytes);
    send(job, Update::Audio(Audio { bytes, buffered }))
}

fn send(job: &Job, update: Update) -> Result<(), Stop> {
    job.reply.send(Ok(update)).map_err(|_| Stop::Left)
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
        whole: reading.runs.len() == 1,
        skipped: reading.passed_over,
    };
    Ok((reading.runs.into(), update))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scheduler::{Limits, order};

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
            |session, job, queue| {
                let _in_service = InService {
                    queue,
                    turn: job.turn,
                };
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
}

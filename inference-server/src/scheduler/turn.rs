//! One turn of a worker: texts are read, one chunk of each request is spoken, and its audio is encoded and sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    Audio, Buffered, JobError, ReadText, RunReport, Update,
    job::{Amount, Client, ClientLeft, Job, Work},
    policy::{self, Entry},
    queue::{Queue, Turn},
    response::Encoded,
    worker::Sessions,
};
use crate::{
    engine::{Cancel, EngineError},
    families::{self, Chunk, Runner},
};

/// Estimates of audio may be too low by this factor: at the limit, a text is rejected rather than cut off later.
const ESTIMATE_MARGIN: f64 = 1.1;

/// A turn in service; its places are given back even if its run panics.
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
#[derive(Debug)]
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

impl From<ClientLeft> for Stop {
    fn from(_: ClientLeft) -> Self {
        Self::Left
    }
}

/// Serves jobs for one turn and gives them back to the queue; drops those that failed or whose client has left.
pub(super) fn serve(sessions: &mut Sessions, turn: Turn, queue: &Arc<Queue>) {
    let in_service = InService {
        queue,
        turn: turn.number,
    };
    let mut ready = turn.jobs.into_iter().filter_map(|mut job| {
        let read = begin(&mut job, queue);
        after(job, read)
    });
    let Some(first) = ready.next() else {
        return;
    };
    let (mut sharing, apart): (Vec<_>, Vec<_>) =
        ready.partition(|job| policy::may_share(&first, job));
    sharing.insert(0, first);
    let served = speak(sessions, sharing, &turn.cancel, queue);
    let served = served.into_iter().map(|job| (job, Entry::TurnOver));
    // Each goes to the front: the last of them first.
    let apart = apart.into_iter().rev().map(|job| (job, Entry::NotServed));
    queue.finish(in_service.turn, served.chain(apart));
}

/// The job if it goes on; else its client is told.
fn after(job: Job, result: Result<(), Stop>) -> Option<Job> {
    match result {
        Ok(()) => Some(job),
        Err(Stop::Failed(error)) => {
            job.client.fail(error);
            None
        }
        Err(Stop::Left) => None,
    }
}

/// Begins the service of a job: reads its text, if that was not done yet.
fn begin(job: &mut Job, queue: &Queue) -> Result<(), Stop> {
    job.begin_service();
    if job.client.has_left() {
        return Err(Stop::Left);
    }
    let Work::Text { text, characters } = &job.work else {
        return Ok(());
    };
    let costs = &job.voice.costs;
    let script = job.voice.family.read(text, job.speed, costs.pace())?;
    let seconds = script.seconds();
    costs.read(*characters, seconds * f64::from(job.speed));
    let limit = queue.limits().max_audio_seconds;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a few thousand seconds at most"
    )]
    let found = (seconds * ESTIMATE_MARGIN).ceil() as u64;
    if found > limit {
        return Err(JobError::TooMuchAudio { found, limit }.into());
    }
    let whole = script.chunks.len() == 1;
    if whole {
        job.response.set_whole();
    }
    job.work = Work::Chunks(script.chunks.into());
    job.client.send(Update::Read(ReadText {
        whole,
        skipped: script.skipped,
        stages: script.stages,
    }))?;
    Ok(())
}

/// A job whose chunk is spoken.
struct Speaking {
    job: Job,
    last: bool,
    samples: usize,
    encoding: Duration,
    clipped_before: u64,
    result: Result<(), Stop>,
}

/// Speaks the next chunk of each job in one run; the jobs that go on.
fn speak(sessions: &mut Sessions, jobs: Vec<Job>, cancel: &Cancel, queue: &Arc<Queue>) -> Vec<Job> {
    let Some(voice) = jobs.first().map(|job| Arc::clone(&job.voice)) else {
        return Vec::new();
    };
    let (mut speaking, chunks): (Vec<_>, Vec<_>) = jobs.into_iter().filter_map(next_chunk).unzip();
    let runner: &mut dyn Runner = match sessions.of(&voice) {
        Ok(runner) => runner,
        Err(error) => {
            fail_all(speaking, error.into());
            return Vec::new();
        }
    };
    let chunk_refs: Vec<&Chunk> = chunks.iter().collect();
    let started = Instant::now();
    let ran = runner.run(&chunk_refs, cancel, &mut |row, samples| {
        if let (Some(speaking), Some(chunk)) = (speaking.get_mut(row), chunks.get(row)) {
            speaking.take(samples, chunk, queue);
        }
    });
    let encoding: Duration = speaking.iter().map(|speaking| speaking.encoding).sum();
    let synthesis = started.elapsed().saturating_sub(encoding);
    let limit = queue.limits().run_timeout;
    if let Err(error) = ran {
        let error = match error {
            EngineError::Cancelled if synthesis >= limit => EngineError::TooSlow { limit },
            other => other,
        };
        fail_all(speaking, error.into());
        return Vec::new();
    }
    let samples: usize = speaking.iter().map(|speaking| speaking.samples).sum();
    let audio_seconds = voice.seconds(samples);
    let estimated = chunks.iter().map(|chunk| chunk.seconds).sum();
    voice.costs.ran(estimated, audio_seconds, synthesis);
    speaking
        .into_iter()
        .filter_map(|mut speaking| {
            let own = voice.seconds(speaking.samples);
            let share = synthesis.mul_f64(if samples == 0 {
                0.0
            } else {
                own / audio_seconds
            });
            let result = speaking.end(own, share, queue);
            after(speaking.job, result)
        })
        .collect()
}

fn next_chunk(mut job: Job) -> Option<(Speaking, Chunk)> {
    let Work::Chunks(chunks) = &mut job.work else {
        return None;
    };
    let chunk = chunks.pop_front()?;
    let speaking = Speaking {
        last: chunks.is_empty(),
        samples: 0,
        encoding: Duration::ZERO,
        clipped_before: job.response.clipped(),
        result: Ok(()),
        job,
    };
    Some((speaking, chunk))
}

/// The first gets the error itself, the others its message.
fn fail_all(speaking: Vec<Speaking>, error: JobError) {
    let message = error.to_string();
    let mut first = Some(error);
    for each in speaking {
        let error = first.take().unwrap_or_else(|| {
            EngineError::Run {
                message: message.clone(),
            }
            .into()
        });
        each.job.client.fail(error);
    }
}

impl Speaking {
    /// Takes samples of the chunk; what fails is kept until the run has ended, since others may share it.
    fn take(&mut self, samples: &[f32], chunk: &Chunk, queue: &Arc<Queue>) {
        if self.result.is_ok() {
            let started = Instant::now();
            self.result = self.encode(samples, chunk, queue);
            self.encoding += started.elapsed();
        }
    }

    fn encode(&mut self, samples: &[f32], chunk: &Chunk, queue: &Arc<Queue>) -> Result<(), Stop> {
        if self.job.client.has_left() {
            return Err(Stop::Left);
        }
        families::check(samples)?;
        let limit = queue.limits().max_audio_seconds;
        let first = self.samples == 0;
        self.samples += samples.len();
        let Job {
            client, response, ..
        } = &mut self.job;
        let mut send = |encoded| send_audio(client, encoded, queue).is_ok();
        if first {
            response.begin(chunk.boundary, limit, &mut send)?;
        }
        Ok(response.push(samples, limit, &mut send)?)
    }

    /// The chunk is complete.
    fn end(
        &mut self,
        audio_seconds: f64,
        synthesis: Duration,
        queue: &Arc<Queue>,
    ) -> Result<(), Stop> {
        std::mem::replace(&mut self.result, Ok(()))?;
        if self.samples == 0 {
            return Err(families::no_samples().into());
        }
        if self.last {
            let started = Instant::now();
            let rest = self.job.response.finish()?;
            self.encoding += started.elapsed();
            send_audio(&self.job.client, rest, queue)?;
        }
        let queue_wait = self.job.begin_service();
        self.job.client.send(Update::Run(RunReport {
            audio_seconds,
            queue_wait,
            synthesis,
            encoding: self.encoding,
            clipped: self.job.response.clipped() - self.clipped_before,
        }))?;
        if self.last {
            self.job.client.send(Update::Done)?;
        }
        Ok(())
    }
}

fn send_audio(client: &Client, encoded: Encoded, queue: &Arc<Queue>) -> Result<(), ClientLeft> {
    if client.has_left() {
        return Err(ClientLeft);
    }
    if encoded.bytes.is_empty() {
        return Ok(());
    }
    let amount = Amount {
        bytes: encoded.bytes.len(),
        microseconds: encoded.microseconds,
    };
    let buffered = Buffered::new(queue, client, amount);
    let bytes = Bytes::from(encoded.bytes);
    client.send(Update::Audio(Audio { bytes, buffered }))
}

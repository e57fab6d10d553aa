use std::time::Instant;

use super::{
    job::{Amount, Work},
    policy::Entry,
    queue::Turn,
    worker::Sessions,
    *,
};
use crate::{
    audio::Boundary,
    engine::{Cancel, SessionOptions},
    families::{About, Chunk, Family, Kind, LoadError, Pace, Runner, Script, Sink},
    text::explain::Explanation,
    voices::CostModel,
};

const RUN_BYTES: usize = 1000;

pub(super) fn limits() -> Limits {
    Limits {
        workers: 1,
        waiting: 2,
        max_audio_seconds: 60,
        request_buffer: 2 * RUN_BYTES,
        request_ahead: Duration::MAX,
        total_buffer: 10 * RUN_BYTES,
        run_timeout: Duration::from_mins(2),
        slow_reader: Duration::ZERO,
    }
}

fn scheduler(limits: Limits) -> Scheduler {
    crate::engine::test_library();
    Scheduler::new(limits)
}

/// An order of a text.
pub(super) fn order(text: String) -> Order {
    order_of(Arc::new(voice(1)), text)
}

fn order_of(voice: Arc<Voice>, text: String) -> Order {
    Order {
        sample_rate: voice.sample_rate(),
        voice,
        text,
        speed: 1.0,
        format: Format::Pcm,
    }
}

/// A family without a model: a text has a chunk per word, as many samples as [`SAMPLES`], and the bucket of a word is its
/// length. The word `nan` is spoken as that, and `nil` not at all.
#[derive(Debug)]
struct Words {
    about: About,
    largest_batch: usize,
}

const SAMPLES: usize = RUN_BYTES / 2;

fn voice(largest_batch: usize) -> Voice {
    let about = About {
        sample_rate: 16_000,
        ..About::default()
    };
    Voice {
        name: "words".to_owned(),
        family: Box::new(Words {
            about,
            largest_batch,
        }),
        costs: CostModel::default(),
    }
}

impl Family for Words {
    fn kind(&self) -> Kind {
        Kind::Vits
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn largest_batch(&self) -> usize {
        self.largest_batch
    }

    fn read(&self, text: &str, speed: f32, pace: Pace) -> Result<Script, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        let chunk = |word: &str| {
            let bucket = u32::try_from(word.len()).unwrap();
            let seconds = pace.seconds(1, speed);
            Chunk::new(word.to_owned(), seconds, Boundary::Part, bucket)
        };
        Ok(Script {
            stages: Vec::new(),
            chunks: text.split_whitespace().map(chunk).collect(),
            skipped: Vec::new(),
        })
    }

    fn longest_chunk(&self, pace: Pace) -> Chunk {
        Chunk::new(
            "longest".to_owned(),
            pace.seconds(1, 1.0),
            Boundary::Part,
            7,
        )
    }

    fn explain(&self, _: &str) -> Result<Explanation, TextError> {
        Err(TextError::Empty)
    }

    fn load(&self, _: &SessionOptions) -> Result<Box<dyn Runner>, LoadError> {
        Ok(Box::new(Speaker))
    }
}

struct Speaker;

impl Runner for Speaker {
    /// In two pieces per chunk, the chunks in turn.
    fn run(
        &mut self,
        chunks: &[&Chunk],
        _: &Cancel,
        sink: &mut Sink<'_>,
    ) -> Result<(), EngineError> {
        for _ in 0..2 {
            for (index, chunk) in chunks.iter().enumerate() {
                match chunk.input::<String>()?.as_str() {
                    "nan" => sink(index, &[f32::NAN]),
                    "nil" => {}
                    _ => sink(index, &[0.25; SAMPLES / 2]),
                }
            }
        }
        Ok(())
    }
}

fn submit(scheduler: &Scheduler, runs: usize) -> Result<Ticket, SchedulerError> {
    scheduler.submit(order("x ".repeat(runs)))
}

fn take(scheduler: &Scheduler) -> Turn {
    let cancel = Arc::new(Cancel::new().unwrap());
    scheduler.queue.take(&cancel).unwrap()
}

/// Does what a worker does in one turn, without encoding: the request that was served.
fn turn(scheduler: &Scheduler) -> u64 {
    let mut turn = take(scheduler);
    let mut job = turn.jobs.pop().unwrap();
    let id = job.client.id;
    if let Work::Text { text, .. } = &job.work {
        let script = job
            .voice
            .family
            .read(text, 1.0, job.voice.costs.pace())
            .unwrap();
        job.work = Work::Chunks(script.chunks.into());
    }
    let Work::Chunks(chunks) = &mut job.work else {
        unreachable!();
    };
    chunks.pop_front();
    let amount = Amount {
        bytes: RUN_BYTES,
        microseconds: 1_000_000,
    };
    let audio = Audio {
        bytes: Bytes::from(vec![0; RUN_BYTES]),
        buffered: Buffered::new(&scheduler.queue, &job.client, amount),
    };
    job.begin_service();
    job.client.send(Update::Audio(audio)).unwrap();
    scheduler
        .queue
        .finish(turn.number, [(job, Entry::TurnOver)]);
    id
}

async fn audio(ticket: &mut Ticket) -> Audio {
    match ticket.next().await.unwrap().unwrap() {
        Update::Audio(audio) => audio,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_queue_rejects_at_its_limit_and_says_when_to_retry() {
    let scheduler = scheduler(limits());
    let tickets: Vec<_> = (0..3).map(|_| submit(&scheduler, 1).unwrap()).collect();
    assert_eq!(scheduler.in_flight(), 3);
    let Err(SchedulerError::QueueFull { retry_after, .. }) = submit(&scheduler, 1) else {
        panic!("a fourth request was admitted");
    };
    assert!(retry_after >= Duration::from_millis(100), "{retry_after:?}");
    drop(tickets);
    assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));
    assert!(submit(&scheduler, 1).is_ok());
}

#[test]
fn a_cancelled_request_leaves_the_queue() {
    let scheduler = scheduler(limits());
    let first = submit(&scheduler, 1).unwrap();
    let second = submit(&scheduler, 1).unwrap();
    drop(first);
    assert_eq!(scheduler.waiting(), 1);
    assert_eq!(take(&scheduler).jobs[0].client.id, second.id);
}

#[test]
fn workers_take_turns_between_a_long_and_a_short_request() {
    let scheduler = scheduler(Limits {
        request_buffer: usize::MAX,
        ..limits()
    });
    let long = submit(&scheduler, 3).unwrap();
    let short = submit(&scheduler, 1).unwrap();
    let order: Vec<_> = (0..4).map(|_| turn(&scheduler)).collect();
    assert_eq!(order, [long.id, short.id, long.id, long.id]);
}

#[tokio::test]
async fn a_request_pauses_at_its_limit_and_goes_on_ahead_of_new_ones() {
    let scheduler = scheduler(limits());
    let mut slow = submit(&scheduler, 4).unwrap();
    assert_eq!([turn(&scheduler), turn(&scheduler)], [slow.id, slow.id]);
    // Paused, it takes no place.
    assert_eq!((scheduler.in_flight(), scheduler.delivering()), (0, 1));
    let others: Vec<_> = (0..3).map(|_| submit(&scheduler, 1).unwrap()).collect();
    let spoken = audio(&mut slow).await;
    // Taken by the connection is not sent yet.
    assert_eq!(scheduler.delivering(), 1);
    drop(spoken);
    assert_eq!(scheduler.delivering(), 0);
    assert_eq!(turn(&scheduler), slow.id);
    assert_eq!(turn(&scheduler), others[0].id);
    // Paused again, it can still be cancelled.
    drop(slow);
    drop(others);
    assert_eq!((scheduler.in_flight(), scheduler.delivering()), (0, 0));
    assert_eq!(scheduler.unsent_bytes(), 0);
}

#[tokio::test]
async fn at_the_common_limit_new_requests_are_rejected_until_clients_read() {
    let scheduler = scheduler(limits());
    let mut readers: Vec<_> = (0..5)
        .map(|_| {
            let ticket = submit(&scheduler, 2).unwrap();
            turn(&scheduler);
            turn(&scheduler);
            ticket
        })
        .collect();
    assert_eq!(scheduler.unsent_bytes(), 10 * RUN_BYTES);
    let Err(SchedulerError::BufferFull { bytes, .. }) = submit(&scheduler, 1) else {
        panic!("a request was admitted beyond the limit");
    };
    assert_eq!(bytes, 10 * RUN_BYTES);
    drop(audio(&mut readers[0]).await);
    assert!(submit(&scheduler, 1).is_ok());
}

#[tokio::test]
async fn at_the_common_limit_the_slowest_readers_are_cut_off() {
    let slow_reader = Duration::from_millis(50);
    let scheduler = scheduler(Limits {
        slow_reader,
        total_buffer: 2 * RUN_BYTES,
        ..limits()
    });
    let slow = submit(&scheduler, 1).unwrap();
    turn(&scheduler);
    let old = Instant::now() + slow_reader;
    assert!(
        submit(&scheduler, 1).is_ok(),
        "below the limit nobody is cut"
    );
    while Instant::now() < old {
        std::thread::yield_now();
    }
    let quick = submit(&scheduler, 1).unwrap();
    turn(&scheduler);
    assert!(submit(&scheduler, 1).is_err());
    assert!(slow.evicted().is_cancelled());
    assert!(!quick.evicted().is_cancelled());
}

/// Another worker may take a job again before the first one has cleaned up behind it.
#[test]
fn the_end_of_a_turn_does_not_end_the_next_one() {
    let scheduler = scheduler(limits());
    let _ticket = submit(&scheduler, 2).unwrap();
    let first = take(&scheduler);
    let again = first.jobs.into_iter().map(|job| (job, Entry::TurnOver));
    scheduler.queue.finish(first.number, again);
    let second = take(&scheduler).number;
    scheduler.queue.end(first.number);
    assert_eq!(scheduler.in_flight(), 1);
    scheduler.queue.end(second);
    assert_eq!(scheduler.in_flight(), 0);
}

#[test]
fn an_overdue_run_is_cancelled() {
    let overdue = |run_timeout| {
        let scheduler = scheduler(Limits {
            run_timeout,
            ..limits()
        });
        let _ticket = submit(&scheduler, 1).unwrap();
        let turn = take(&scheduler);
        scheduler.cancel_overdue();
        (turn.cancel.is_cancelled(), scheduler.lost_workers())
    };
    assert_eq!(overdue(Duration::ZERO), (true, 0));
    assert_eq!(overdue(Duration::from_mins(2)), (false, 0));
}

#[test]
fn retry_after_follows_the_work_ahead() {
    let limits = Limits {
        waiting: 1,
        ..limits()
    };
    let retry_after = |characters: usize, speed: f32| {
        let scheduler = scheduler(limits);
        let voice = Arc::new(voice(1));
        voice.costs.measured_service(1.0, Duration::from_secs(1));
        let order = || Order {
            speed,
            ..order_of(Arc::clone(&voice), "x".repeat(characters))
        };
        let _tickets = [(); 2].map(|()| scheduler.submit(order()).unwrap());
        match submit(&scheduler, 1) {
            Err(SchedulerError::QueueFull { retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        }
    };
    let (short, long) = (retry_after(20, 1.0), retry_after(180, 1.0));
    assert!(long > 8 * short && long < 10 * short, "{short:?} {long:?}");
    assert!(retry_after(20, 2.0) < short);
}

#[test]
fn a_request_pauses_when_its_audio_is_long_enough_ahead() {
    let scheduler = scheduler(Limits {
        request_buffer: usize::MAX,
        request_ahead: Duration::from_secs(2),
        ..limits()
    });
    let _slow = submit(&scheduler, 4).unwrap();
    turn(&scheduler);
    assert_eq!((scheduler.in_flight(), scheduler.delivering()), (1, 0));
    turn(&scheduler);
    assert_eq!((scheduler.in_flight(), scheduler.delivering()), (0, 1));
}

#[test]
fn a_run_is_stopped_when_all_its_clients_have_left() {
    let scheduler = scheduler(limits());
    let voice = Arc::new(voice(4));
    let submit = |text: &str| {
        let order = order_of(Arc::clone(&voice), text.to_owned());
        scheduler.submit(order).unwrap()
    };
    let (one, other) = (submit("x"), submit("x"));
    let turn = take(&scheduler);
    assert_eq!((turn.jobs.len(), scheduler.in_flight()), (2, 2));
    drop(one);
    assert!(!turn.cancel.is_cancelled());
    drop(other);
    assert!(turn.cancel.is_cancelled());
}

/// What a client got: samples, or why not.
async fn outcome(ticket: &mut Ticket) -> Result<usize, String> {
    let mut bytes = 0;
    loop {
        match ticket.next().await {
            Some(Ok(Update::Audio(audio))) => bytes += audio.bytes.len(),
            Some(Ok(Update::Done)) => return Ok(bytes / 2),
            Some(Ok(Update::Read(_) | Update::Run(_))) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("lost".to_owned()),
        }
    }
}

#[tokio::test]
async fn requests_of_one_bucket_share_a_run_and_fail_alone() {
    let scheduler = scheduler(Limits {
        waiting: 8,
        request_buffer: usize::MAX,
        total_buffer: usize::MAX,
        ..limits()
    });
    let voice = Arc::new(voice(4));
    let texts = ["one two", "nan", "", "three", "six", "nil", "ten"];
    let mut tickets: Vec<_> = texts
        .into_iter()
        .map(|text| {
            scheduler
                .submit(order_of(Arc::clone(&voice), text.to_owned()))
                .unwrap()
        })
        .collect();
    let mut sessions = Sessions::load(
        &scheduler.queue,
        &[Arc::downgrade(&voice)],
        &SessionOptions::default(),
    )
    .unwrap();
    let mut turns = Vec::new();
    scheduler.close();
    while let Some(turn) = scheduler.queue.take(&Arc::new(Cancel::new().unwrap())) {
        turns.push(
            turn.jobs
                .iter()
                .map(|job| job.client.id)
                .collect::<Vec<_>>(),
        );
        turn::serve(&mut sessions, turn, &scheduler.queue);
    }
    // The third has no text. The fourth has a longer word than the first and goes to the front again, and so do those that are
    // then found to have shorter ones.
    assert_eq!(
        turns,
        [vec![0, 1, 2, 3], vec![3, 4, 5, 6], vec![4, 5, 6, 0]]
    );
    let gap = 16 * 60;
    let mut outcomes = Vec::new();
    for ticket in &mut tickets {
        outcomes.push(outcome(ticket).await);
    }
    let samples: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().ok().copied())
        .collect();
    let one = Some(SAMPLES);
    assert_eq!(
        samples,
        [Some(2 * SAMPLES + gap), None, None, one, one, None, one]
    );
    for (place, wanted) in [(1, "not finite"), (2, "empty"), (5, "no samples")] {
        let message = outcomes[place].as_ref().unwrap_err();
        assert!(message.contains(wanted), "{message}");
    }
    assert_eq!(scheduler.in_flight(), 0);
}

#[test]
fn stopping_cancels_runs_and_waits_for_the_workers() {
    let scheduler = scheduler(limits());
    let _tickets = [
        submit(&scheduler, 1).unwrap(),
        submit(&scheduler, 1).unwrap(),
    ];
    let running = scheduler.queue.run_worker();
    let turn = take(&scheduler);
    assert!(!scheduler.stop(Duration::ZERO));
    assert!(turn.cancel.is_cancelled());
    let test = Arc::new(Cancel::new().unwrap());
    scheduler.queue.begin_test(&test);
    assert!(test.is_cancelled(), "a test began after the stop");
    scheduler.queue.end(turn.number);
    drop(running);
    assert!(scheduler.stop(Duration::ZERO));
    assert_eq!(scheduler.in_flight(), 0);
}

#[test]
fn the_test_of_a_voice_has_the_time_of_a_run() {
    let overdue = |run_timeout| {
        let scheduler = scheduler(Limits {
            run_timeout,
            ..limits()
        });
        let test = Arc::new(Cancel::new().unwrap());
        scheduler.queue.begin_test(&test);
        scheduler.cancel_overdue();
        test.is_cancelled()
    };
    assert!(overdue(Duration::ZERO));
    assert!(!overdue(Duration::from_mins(2)));
}

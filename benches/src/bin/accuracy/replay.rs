//! The open loop: requests are sent when they are due, whether or not earlier ones are answered.
//!
//! `tts-server profile --url` does the same with the timers of tokio, which fire about 1 ms late. The built-in voice takes a
//! few milliseconds, so that would be most of an error; a thread of its own is late by less than 0.1 ms.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tts_server::{
    client::{Arrival, Client, Texts},
    engine::CpuSet,
};

/// Between the start of the thread and the first request.
const LEAD: Duration = Duration::from_millis(20);

/// One request, in the order of the schedule; times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// How much later than due it was sent.
    pub lag: f64,
    /// From when it was due to its first audio, or why there was none.
    pub first_audio: Result<f64, String>,
}

/// Sends the requests of a schedule, and waits for all answers. The thread that sends them is bound to `cpus`.
pub fn replay(
    runtime: &Handle,
    client: &Client,
    texts: &Texts,
    schedule: &[Arrival],
    cpus: &CpuSet,
) -> Vec<Sample> {
    let (answers, answered) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            // Where it may not be bound it still measures; `lag` shows whether it was late.
            let _ = cpus.bind_this_thread();
            let started = Instant::now() + LEAD;
            for (index, arrival) in schedule.iter().enumerate() {
                let due = started + Duration::try_from_secs_f64(arrival.due).unwrap_or_default();
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let (answers, client, texts) = (answers.clone(), client.clone(), texts.clone());
                let text = arrival.text_index;
                runtime.spawn(async move {
                    let lag = due.elapsed().as_secs_f64();
                    let answer = client.speak(texts.get(text)).await;
                    let first_audio = answer.map(|answer| lag + answer.first_audio);
                    let first_audio = first_audio.map_err(|failure| failure.to_string());
                    // The receiver waits for all of them.
                    let _ = answers.send((index, Sample { lag, first_audio }));
                });
            }
        });
    });
    let mut samples: Vec<_> = answered.iter().collect();
    samples.sort_by_key(|(index, _)| *index);
    samples.into_iter().map(|(_, sample)| sample).collect()
}

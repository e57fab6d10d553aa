//! Open loop: requests are sent at their own times, whether or not earlier ones are answered.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tts_planner::profile::OpenLoop;

use super::{
    Answer, Arrivals, Client, Failure, Limits, Sample, Texts, arrivals::Arrival, sample::Summary,
};

/// Requests without an answer at the same time. One beyond is not sent and counts as an error: an endpoint that is so far
/// behind does not serve the rate. Each has a connection of its own, and so a file descriptor.
pub const MAX_OUTSTANDING: usize = 4096;

/// Measures the endpoint at a rate. Times count from when a request was due: waiting for a late client or for earlier
/// answers is never left out. A timer fires about 1 ms late, which is part of the times and of each `lag`.
pub async fn open_loop(
    client: &Client,
    texts: &Texts,
    arrivals: &Arrivals,
    limits: &Limits,
) -> (OpenLoop, Vec<Sample>) {
    let speak = {
        let (client, texts) = (client.clone(), texts.clone());
        move |text| {
            let (client, texts) = (client.clone(), texts.clone());
            async move { client.speak(texts.get(text)).await }
        }
    };
    let schedule = arrivals.schedule(texts, limits);
    let seconds = schedule.last().map_or(0.0, |arrival| arrival.due);
    let samples = run(speak, &schedule, MAX_OUTSTANDING).await;
    let summary = Summary::of(&samples);
    let run = OpenLoop {
        rate: arrivals.rate(),
        requests: summary.requests,
        seconds,
        errors: summary.errors,
        rejected: summary.rejected,
        ttfa_q: summary.first_audio,
        total_q: summary.total,
    };
    (run, samples)
}

/// The samples in the order of the schedule's times.
async fn run<S, F>(speak: S, schedule: &[Arrival], most: usize) -> Vec<Sample>
where
    S: Fn(usize) -> F,
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    let started = Instant::now();
    let mut outstanding = JoinSet::new();
    let mut samples = Vec::with_capacity(schedule.len());
    for &Arrival { due, text_index } in schedule {
        let moment = started + Duration::try_from_secs_f64(due).unwrap_or_default();
        sleep_until(moment).await;
        while let Some(ended) = outstanding.try_join_next() {
            samples.push(sample(ended));
        }
        if outstanding.len() >= most {
            let failure = Failure::ClientLimit {
                limit: format!("{most} requests had no answer yet"),
            };
            samples.push(Sample::new(text_index, due, 0.0, 0.0, Err(failure)));
            continue;
        }
        let answer = speak(text_index);
        outstanding.spawn(async move {
            let sent = Instant::now();
            let result = answer.await;
            let lag = sent.saturating_duration_since(moment).as_secs_f64();
            Sample::new(text_index, due, lag, sent.elapsed().as_secs_f64(), result)
        });
    }
    while let Some(ended) = outstanding.join_next().await {
        samples.push(sample(ended));
    }
    samples.sort_by(|left, right| left.due.total_cmp(&right.due));
    samples
}

fn sample(ended: Result<Sample, tokio::task::JoinError>) -> Sample {
    // No task is aborted while the set exists.
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Their time is simulated.
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use tokio::{sync::Mutex, time::sleep};

    use super::*;

    fn schedule(due: &[f64]) -> Vec<Arrival> {
        due.iter()
            .enumerate()
            .map(|(text_index, &due)| Arrival { due, text_index })
            .collect()
    }

    /// Speaks one request at a time, a second each.
    fn one_at_a_time()
    -> impl Fn(usize) -> futures::future::BoxFuture<'static, Result<Answer, Failure>> {
        let worker = Arc::new(Mutex::new(()));
        move |_| {
            let worker = Arc::clone(&worker);
            Box::pin(async move {
                let sent = Instant::now();
                let _worker = worker.lock().await;
                sleep(Duration::from_millis(400)).await;
                let first_audio = sent.elapsed().as_secs_f64();
                sleep(Duration::from_millis(600)).await;
                Ok(Answer {
                    first_audio,
                    total: sent.elapsed().as_secs_f64(),
                    audio_seconds: 3.0,
                })
            })
        }
    }

    fn near(values: impl Iterator<Item = f64>, expected: &[f64]) {
        let values: Vec<_> = values.collect();
        assert_eq!(values.len(), expected.len());
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 0.01, "{values:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_do_not_wait_for_earlier_answers() {
        let samples = run(one_at_a_time(), &schedule(&[0.0, 0.5, 1.0, 6.0]), 100).await;
        near(samples.iter().map(|sample| sample.lag), &[0.0; 4]);
        let first = samples.iter().filter_map(|sample| sample.first_audio);
        near(first, &[0.4, 0.9, 1.4, 0.4]);
        near(
            samples.iter().map(|sample| sample.total),
            &[1.0, 1.5, 2.0, 1.0],
        );
        let texts: Vec<_> = samples.iter().map(|sample| sample.text_index).collect();
        assert_eq!(texts, [0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_beyond_the_limit_is_an_error_at_once() {
        let samples = run(one_at_a_time(), &schedule(&[0.0, 0.1, 0.2, 0.9, 1.2]), 2).await;
        let failed: Vec<_> = samples
            .iter()
            .map(|sample| sample.failure.as_ref().map(Failure::kind))
            .collect();
        let limit = Some(super::super::FailureKind::ClientLimit);
        assert_eq!(failed, [None, None, limit, limit, None]);
        near(
            samples.iter().map(|sample| sample.total),
            &[1.0, 1.9, 0.0, 0.0, 1.8],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_late_adds_its_lag_to_the_times() {
        let speak = one_at_a_time();
        // Making the first request takes a second of the client's own time.
        let slow = move |text| {
            if text == 0 {
                let _ = tokio::time::advance(Duration::from_secs(1)).now_or_never();
            }
            speak(text)
        };
        let samples = run(slow, &schedule(&[0.0, 0.5]), 2).await;
        near(samples.iter().map(|sample| sample.lag), &[1.0, 0.5]);
        near(samples.iter().map(|sample| sample.total), &[2.0, 2.5]);
    }
}

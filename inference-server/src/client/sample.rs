//! What became of each request, and the numbers of a level.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tts_planner::profile::{PROBABILITIES, Quantiles};

use super::{Answer, Failure, FailureKind};
use crate::statistics::{quantile, sorted};

/// When a level ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// It goes on until there are so many requests,
    pub min_requests: u32,
    /// and so much time has passed,
    pub min_time: Duration,
    /// but no new requests count after this time.
    pub max_time: Duration,
}

impl Limits {
    pub(super) fn reached(&self, requests: usize, time: Duration) -> bool {
        time >= self.min_time && count(requests) >= self.min_requests
    }
}

/// One request, for a replay: when it came and what became of it. Times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sample {
    pub text_index: usize,
    /// When it was due, from the start of the level. In a closed loop: when it was sent.
    pub due: f64,
    /// How much later it was sent: where this is not small, the client was too slow for the rate.
    pub lag: f64,
    /// From when it was due to its first audio; `None` for a failure.
    pub first_audio: Option<f64>,
    /// From when it was due to the end of its answer, whole or not.
    pub total: f64,
    /// 0 for a failure.
    pub audio_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Sample {
    /// `ended`: from sending the request to its end.
    pub(super) fn new(
        text_index: usize,
        due: f64,
        lag: f64,
        ended: f64,
        result: Result<Answer, Failure>,
    ) -> Self {
        let sample = Self {
            text_index,
            due,
            lag,
            first_audio: None,
            total: lag + ended,
            audio_seconds: 0.0,
            failure: None,
        };
        match result {
            Ok(answer) => Self {
                first_audio: Some(lag + answer.first_audio),
                total: lag + answer.total,
                audio_seconds: answer.audio_seconds,
                ..sample
            },
            Err(failure) => Self {
                failure: Some(failure),
                ..sample
            },
        }
    }
}

/// How many requests failed, by kind.
pub fn failures_by_kind(samples: &[Sample]) -> BTreeMap<FailureKind, u32> {
    let mut kinds = BTreeMap::new();
    for failure in samples.iter().filter_map(|sample| sample.failure.as_ref()) {
        *kinds.entry(failure.kind()).or_default() += 1;
    }
    kinds
}

/// The counts and quantiles of a level.
pub(super) struct Summary {
    pub(super) requests: u32,
    pub(super) errors: u32,
    pub(super) rejected: u32,
    /// Empty where no answer was whole.
    pub(super) first_audio: Quantiles,
    pub(super) total: Quantiles,
}

impl Summary {
    pub(super) fn of(samples: &[Sample]) -> Self {
        let kinds = failures_by_kind(samples);
        let whole = samples.iter().filter(|sample| sample.failure.is_none());
        Self {
            requests: count(samples.len()),
            errors: kinds.values().sum(),
            rejected: kinds
                .get(&FailureKind::Rejected)
                .copied()
                .unwrap_or_default(),
            first_audio: quantiles(whole.clone().filter_map(|sample| sample.first_audio)),
            total: quantiles(whole.map(|sample| sample.total)),
        }
    }
}

pub(super) fn count(requests: usize) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX)
}

/// At the probabilities of a profile; empty for no values.
fn quantiles(values: impl Iterator<Item = f64>) -> Quantiles {
    let sorted = sorted(values);
    if sorted.is_empty() {
        return Vec::new();
    }
    PROBABILITIES
        .map(|probability| quantile(&sorted, probability))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(result: Result<Answer, Failure>) -> Sample {
        Sample::new(3, 10.0, 0.5, 2.0, result)
    }

    fn answer(total: f64) -> Answer {
        Answer {
            first_audio: total / 2.0,
            total,
            audio_seconds: 4.0,
        }
    }

    #[test]
    fn times_count_from_when_a_request_was_due() {
        let whole = sample(Ok(answer(2.0)));
        assert_eq!(whole.first_audio, Some(1.5));
        assert!((whole.total - 2.5).abs() < 1e-9);
        let failed = sample(Err(Failure::Timeout { seconds: 2.0 }));
        assert_eq!((failed.first_audio, failed.audio_seconds), (None, 0.0));
        assert!((failed.total - 2.5).abs() < 1e-9);
        for sample in [whole, failed] {
            let json = serde_json::to_string(&sample).unwrap();
            assert_eq!(serde_json::from_str::<Sample>(&json).unwrap(), sample);
        }
    }

    #[test]
    fn quantiles_are_linear_between_answers_and_leave_failures_out() {
        let mut samples: Vec<_> = (0..=10)
            .map(|at| sample(Ok(answer(f64::from(at)))))
            .collect();
        samples.push(sample(Err(Failure::Rejected {
            status: 429,
            body: String::new(),
        })));
        samples.push(sample(Err(Failure::Timeout { seconds: 60.0 })));
        let summary = Summary::of(&samples);
        assert_eq!(
            (summary.requests, summary.errors, summary.rejected),
            (13, 2, 1)
        );
        for (quantile, probability) in summary.total.iter().zip(PROBABILITIES) {
            assert!((quantile - (0.5 + 10.0 * probability)).abs() < 1e-9);
        }
        for (quantile, probability) in summary.first_audio.iter().zip(PROBABILITIES) {
            assert!((quantile - (0.5 + 5.0 * probability)).abs() < 1e-9);
        }
        assert!(Summary::of(&[]).total.is_empty());
        assert_eq!(quantiles([7.0].into_iter()), [7.0; PROBABILITIES.len()]);
    }
}

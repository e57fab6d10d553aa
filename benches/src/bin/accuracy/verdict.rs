//! Whether the machine kept its speed during a try, and what a try found.

use tts_server::statistics::{float, median};

use crate::prediction::Replayed;

/// Anchors that differ by more than this make a try void: the machine is another one than the profile is of.
pub const TOLERANCE: f64 = 0.10;
/// The goal of the mean |error|.
pub const GOAL: f64 = 0.15;

/// What one try measured, as far as it got. Times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// Median times of one request at a time: before the profile, after it, and after each load.
    pub anchors: Vec<f64>,
    pub closed: Option<ClosedLoop>,
    pub loads: Vec<OpenLoop>,
    /// Why it does not count.
    pub void: Option<String>,
}

/// What the profile says.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedLoop {
    /// X(C), requests per second.
    pub full_rate: f64,
    pub validity: String,
    /// Median time of one request at a time, without HTTP.
    pub anchor: f64,
}

/// One load: p95 of the time to first audio (s), as measured and as predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenLoop {
    /// Of X(C).
    pub share: f64,
    /// Requests per second that were asked for.
    pub rate: f64,
    pub requests: usize,
    /// p95 of how much later than due the requests were sent; part of the measured times.
    pub lag: f64,
    pub measured: f64,
    /// With the same arrivals and texts.
    pub replayed: Replayed,
    /// By the planner's queueing law, nothing taken off.
    pub law: f64,
    /// As a plan has it, and the share u that it takes off; `None` where the pod would not keep up.
    pub planned: Option<f64>,
    pub derate: f64,
}

/// predicted / measured - 1.
pub fn error(predicted: f64, measured: f64) -> f64 {
    predicted / measured - 1.0
}

/// The anchor of the profile: between the one before and the one after it.
pub fn reference(before: f64, after: f64) -> f64 {
    f64::midpoint(before, after)
}

/// Why a try is void whose anchor was `reference` and is `anchor` now.
pub fn changed(reference: f64, anchor: f64, what: &str, when: &str) -> Option<String> {
    let change = anchor / reference - 1.0;
    // Also for a reference that is no number.
    if change.abs() <= TOLERANCE {
        return None;
    }
    Some(format!(
        "the machine's speed changed: the anchor {when} was {:.2} ms, {:+.0} % against {:.2} ms {what}",
        1e3 * anchor,
        100.0 * change,
        1e3 * reference
    ))
}

/// The load does not count if the client was late: its own lag would be what was measured.
pub fn late_client(load: &OpenLoop) -> Option<String> {
    (load.lag > TOLERANCE * load.measured).then(|| {
        format!(
            "the client was late at load {}: 5 % of the requests were sent more than {:.2} ms after they were due, and p95 of the \
             first audio was {:.2} ms",
            load.share,
            1e3 * load.lag,
            1e3 * load.measured
        )
    })
}

/// The tries that count.
pub fn kept(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    attempts.iter().filter(|attempt| attempt.void.is_none())
}

/// Of the errors of a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Above 0: predicted above measured.
    pub mean: f64,
    /// Mean and largest |error|.
    pub absolute: f64,
    pub largest: f64,
}

/// Takes the predicted time (s) of a load.
pub type Prediction = fn(&OpenLoop) -> f64;

/// Over all loads of the tries that count; `None` without such a load.
pub fn errors(attempts: &[Attempt], prediction: Prediction) -> Option<Errors> {
    let loads = kept(attempts).flat_map(|attempt| &attempt.loads);
    let errors: Vec<f64> = loads
        .map(|load| error(prediction(load), load.measured))
        .collect();
    let count = float(errors.len());
    let absolute = || errors.iter().map(|error| error.abs());
    (!errors.is_empty()).then(|| Errors {
        mean: errors.iter().sum::<f64>() / count,
        absolute: absolute().sum::<f64>() / count,
        largest: absolute().fold(0.0, f64::max),
    })
}

/// The anchor of a profile's own record.
pub fn anchor_of(details: &tts_planner::profile::details::Details) -> f64 {
    median(details.anchors.iter().map(|anchor| anchor.median_s))
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn load(share: f64, measured: f64, in_turns: f64) -> OpenLoop {
        OpenLoop {
            share,
            rate: 100.0 * share,
            requests: 4000,
            lag: 1e-4,
            measured,
            replayed: Replayed {
                in_turns,
                whole: 1.2 * measured,
            },
            law: 1.5 * measured,
            planned: Some(2.0 * measured),
            derate: 0.05,
        }
    }

    pub fn attempt(loads: Vec<OpenLoop>, void: Option<&str>) -> Attempt {
        Attempt {
            anchors: vec![0.006, 0.0062],
            closed: Some(ClosedLoop {
                full_rate: 150.0,
                validity: "Degraded".to_owned(),
                anchor: 0.0058,
            }),
            loads,
            void: void.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        samples::{attempt, load},
        *,
    };

    #[test]
    fn anchors_that_differ_by_more_than_a_tenth_void_a_try() {
        let of = |anchor| changed(0.010, anchor, "before", "after");
        assert_eq!((of(0.0109), of(0.0091), of(0.010)), (None, None, None));
        for anchor in [0.0111, 0.0089, f64::NAN] {
            assert!(of(anchor).is_some(), "{anchor}");
        }
        assert!(changed(0.0, 0.01, "before", "after").is_some());
        assert_eq!(
            changed(0.010, 0.0125, "before the profile", "after it").unwrap(),
            "the machine's speed changed: the anchor after it was 12.50 ms, +25 % against 10.00 ms before the profile"
        );
        assert!((reference(0.010, 0.011) - 0.0105).abs() < 1e-12);
    }

    #[test]
    fn a_late_client_voids_a_try() {
        let late = |lag| {
            late_client(&OpenLoop {
                lag,
                ..load(0.5, 0.010, 0.010)
            })
        };
        assert_eq!(late(0.0009), None);
        assert!(late(0.0011).unwrap().contains("1.10 ms"));
    }

    #[test]
    fn errors_are_those_of_kept_tries() {
        let attempts = [
            attempt(vec![load(0.3, 0.010, 0.011), load(0.5, 0.020, 0.014)], None),
            attempt(
                vec![load(0.3, 0.010, 0.100)],
                Some("the machine's speed changed"),
            ),
        ];
        let found = errors(&attempts, |load| load.replayed.in_turns).unwrap();
        assert!((found.mean + 0.1).abs() < 1e-9, "{found:?}");
        assert!((found.absolute - 0.2).abs() < 1e-9, "{found:?}");
        assert!((found.largest - 0.3).abs() < 1e-9, "{found:?}");
        assert_eq!(errors(&attempts[1..], |load| load.replayed.in_turns), None);
        assert_eq!(errors(&[], |load| load.replayed.in_turns), None);
        assert_eq!(kept(&attempts).count(), 1);
    }
}

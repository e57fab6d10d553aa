//! The status of a benchmark. Pure: the controller writes it.
use jiff::Timestamp;
use kube::ResourceExt as _;
use tts_crds::v1alpha1::{BenchmarkRun, BenchmarkVerdict, TtsBenchmark, TtsBenchmarkStatus};
use tts_planner::Validity;
use tts_regression::{Cause, Verdict as Comparison};

use super::{
    Kept, budget, history,
    validate::{Step, ValidatedBenchmark},
};
use crate::{
    conditions::{
        self, DRIFTING, READY, RECONCILING, REGRESSED, STALLED,
        Status::{False, True, Unknown},
        Verdict,
    },
    jobs,
};

/// Whether the last measurement gave a profile.
const SUCCEEDED: &str = "Succeeded";
/// Every condition of a benchmark: others are left to whoever sets them.
const OURS: [&str; 6] = [READY, SUCCEEDED, REGRESSED, DRIFTING, RECONCILING, STALLED];
/// Runs that are remembered: what a day's budget is computed from.
const RUNS: usize = 64;

/// The status, and the verdicts that its conditions were made of. `kept` is the profile of this reconciliation.
pub fn status(
    object: &TtsBenchmark,
    benchmark: &ValidatedBenchmark,
    kept: Option<&Kept>,
    now: Timestamp,
) -> (TtsBenchmarkStatus, Vec<Verdict>) {
    let previous = &benchmark.status;
    let mut status = previous.clone();
    let gave_up = matches!(benchmark.step, Step::Failed { gave_up: true, .. });
    if kept.is_some() || gave_up {
        status.measured = Some(benchmark.subject.clone());
        // The time is the end of the subject.
        let time = benchmark
            .subject
            .split_once('.')
            .and_then(|(_, time)| time.parse().ok());
        let time = time.and_then(|seconds| Timestamp::from_second(seconds).ok());
        if let Some(time) = time {
            status.last_schedule_time = Some(time.to_string());
        }
    }
    if let Some(kept) = kept {
        record(kept, &mut status);
    }
    if let Some(run) = &benchmark.run {
        record_run(run, &mut status, now);
    }
    status.estimate = Some(benchmark.estimate.clone());
    status.next_schedule_time = benchmark.times.map(|times| times.next.to_string());
    let generation = object.metadata.generation;
    let mut verdicts = verdicts(benchmark, kept, &status, now);
    // What is not mentioned stays: the last measurement is the last one while the next one runs.
    for type_ in [SUCCEEDED, REGRESSED, DRIFTING] {
        if !verdicts.iter().any(|verdict| verdict.type_ == type_) {
            let known = previous
                .conditions
                .iter()
                .find(|condition| condition.type_ == type_);
            verdicts.extend(known.and_then(|condition| Verdict::repeat(condition, &OURS)));
        }
    }
    status.observed_generation = generation.unwrap_or_default();
    status.conditions = conditions::merge(
        &previous.conditions,
        &OURS,
        verdicts.clone(),
        generation,
        now,
    );
    (status, verdicts)
}

/// Records a measurement that used a node, and forgets those that the budget does not count any more.
fn record_run(run: &BenchmarkRun, status: &mut TtsBenchmarkStatus, now: Timestamp) {
    if status.runs.iter().all(|known| known.job != run.job) {
        status.runs.retain(|known| budget::is_recent(known, now));
        status.runs.push(run.clone());
        let beyond = status.runs.len().saturating_sub(RUNS);
        status.runs.drain(..beyond);
    }
}

/// Records a new profile: what it is compared with, and whether later ones are compared with it.
fn record(kept: &Kept, status: &mut TtsBenchmarkStatus) {
    status.profile = Some(kept.name.clone());
    let usable = kept.profile.run.validity != Validity::Invalid;
    let Some((against, accepted)) = &kept.accepted else {
        if usable && kept.is_new {
            status.accepted_profile = Some(kept.name.clone());
            status.verdict = None;
        }
        return;
    };
    let found = tts_regression::profiles(accepted, &kept.profile);
    let noisy = found.cause == Some(Cause::NoisyEnvironment)
        || (found.verdict == Comparison::Inconclusive && !kept.profile.run.unstable.is_empty());
    let result = if noisy {
        "NoisyEnvironment".to_owned()
    } else {
        found.verdict.to_string()
    };
    status.verdict = Some(BenchmarkVerdict {
        result,
        ratio: found.service.map(|service| format!("{:.3}", service.ratio)),
        text: found.reasons.join("; "),
        against: against.clone(),
    });
    if found.verdict == Comparison::Pass {
        status.accepted_profile = Some(kept.name.clone());
    }
}

fn verdicts(
    benchmark: &ValidatedBenchmark,
    kept: Option<&Kept>,
    status: &TtsBenchmarkStatus,
    now: Timestamp,
) -> Vec<Verdict> {
    let at_work = |reason: &str, message: String| {
        let step = Verdict::new(RECONCILING, True, reason, message).as_step();
        // A schedule that has measured before is ready while it measures again.
        let measured = benchmark.spec.schedule.is_some() && benchmark.status.profile.is_some();
        vec![
            step.as_type(READY, if measured { True } else { False }),
            step,
        ]
    };
    let stuck = |reason: &str, message: &str| {
        let bad = Verdict::new(READY, False, reason, message);
        vec![bad.as_type(STALLED, True), bad]
    };
    match &benchmark.step {
        Step::Invalid { reason, message } | Step::Blocked { reason, message } => {
            stuck(reason, message)
        }
        Step::Waiting {
            reason: reason @ "Scheduled",
            message,
            ..
        } => {
            vec![Verdict::new(READY, True, *reason, message).as_step()]
        }
        Step::Waiting {
            reason: reason @ ("VoiceNotFound" | "VoiceNotReady"),
            message,
            ..
        } => at_work(reason, message.clone()),
        Step::Waiting {
            reason, message, ..
        } => stuck(reason, message),
        Step::Start { .. } | Step::Placed { .. } => {
            at_work("Measuring", "starting the measurement".to_owned())
        }
        Step::Queued { message } => at_work("Queued", message.clone()),
        Step::Running { waiting: None } => at_work(
            "Measuring",
            format!("measuring, about {} minutes", benchmark.estimate.minutes),
        ),
        Step::Running {
            waiting: Some(waiting),
        } => {
            let message = format!("the pod of the measurement is waiting: {}", waiting.text);
            let long = waiting
                .since
                .is_some_and(|since| jobs::since(since, now) >= benchmark.settings.stalled_after);
            if long {
                stuck("MeasurementBlocked", &message)
            } else {
                at_work("Measuring", message)
            }
        }
        Step::Failed {
            failure, gave_up, ..
        } => {
            let bad = Verdict::new(SUCCEEDED, False, &failure.reason, &failure.message);
            let outlook = if *gave_up { STALLED } else { RECONCILING };
            vec![bad.as_type(READY, False), bad.as_type(outlook, True), bad]
        }
        Step::Measured(_) | Step::Done => measured(kept, status),
    }
}

fn measured(kept: Option<&Kept>, status: &TtsBenchmarkStatus) -> Vec<Verdict> {
    let failed = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == SUCCEEDED && condition.status == "False");
    if let (None, Some(failed)) = (kept, failed) {
        // It gave up on this subject.
        let bad = Verdict::new(SUCCEEDED, False, &failed.reason, &failed.message);
        return vec![bad.as_type(READY, False), bad.as_type(STALLED, True), bad];
    }
    let name = status.profile.clone().unwrap_or_default();
    let mut verdicts = vec![Verdict::new(
        READY,
        True,
        "Measured",
        format!("the result is the TtsProfile {name}"),
    )];
    if let Some(kept) = kept {
        let validity = kept.profile.run.validity;
        verdicts.push(Verdict::new(
            SUCCEEDED,
            True,
            validity.to_string(),
            format!("the TtsProfile {name} is {validity}"),
        ));
        if let Some(verdict) = &status.verdict {
            let state = match verdict.result.as_str() {
                "Regressed" => True,
                "Pass" => False,
                _ => Unknown,
            };
            verdicts.push(Verdict::new(
                REGRESSED,
                state,
                &verdict.result,
                &verdict.text,
            ));
        }
        verdicts.push(drifting(kept));
    }
    verdicts
}

/// Whether the profiles became slower some time ago and stayed so. A warning only: one in fourteen quiet series looks so.
fn drifting(kept: &Kept) -> Verdict {
    match history::drift(&kept.history) {
        Some((shift, first)) => Verdict::new(
            DRIFTING,
            True,
            "SlowDrift",
            format!(
                "since {} ({}) a single request takes {:.1} % longer than before (p = {:.1e})",
                first.name_any(),
                first.spec.0.run.started,
                100.0 * (shift.ratio - 1.0),
                shift.p
            ),
        ),
        None => Verdict::new(
            DRIFTING,
            False,
            "Steady",
            format!("no lasting change in {} profile(s)", kept.history.len()),
        ),
    }
}

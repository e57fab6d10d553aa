//! Whether a measurement may start now. Pure.
use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use tts_crds::v1alpha1::{BenchmarkRun, TtsBenchmark, TtsBenchmarkStatus};

use super::validate::Step;
use crate::{controllers::scope::Guarded, jobs, settings::BenchmarkSettings};

/// Annotation of a Job: the minutes that it is expected to take.
pub const EXPECTED_MINUTES: &str = "tts-operator.dev/expected-minutes";
/// The budget of node-hours is that of so long before now.
const DAY: Duration = Duration::from_hours(24);

/// Node time of the runs of a benchmark that ended within the last 24 hours.
fn used(status: &TtsBenchmarkStatus, now: Timestamp) -> Duration {
    let recent = status.runs.iter().filter(|run| is_recent(run, now));
    let times = recent.filter_map(|run| {
        let start: Timestamp = run.start_time.parse().ok()?;
        let end: Timestamp = run.end_time.parse().ok()?;
        Some(jobs::since(start, end))
    });
    times.sum()
}

/// Whether the budget counts a run.
pub fn is_recent(run: &BenchmarkRun, now: Timestamp) -> bool {
    let end: Result<Timestamp, _> = run.end_time.parse();
    end.is_ok_and(|end| jobs::since(end, now) < DAY)
}

/// Node time that a Job is expected to use.
fn promised(job: &Job) -> Duration {
    let minutes = job.annotations().get(EXPECTED_MINUTES);
    let minutes = minutes.and_then(|minutes| minutes.parse().ok());
    Duration::from_mins(minutes.unwrap_or(0))
}

/// What the other benchmarks use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Benchmarks that run.
    pub running: usize,
    /// Node time of the last 24 hours, and what is promised to those whose end is not recorded yet.
    pub node_time: Duration,
}

impl Usage {
    /// `jobs` are all Jobs of benchmarks.
    pub fn of(
        jobs: &[Arc<Job>],
        benchmarks: &[Arc<Guarded<TtsBenchmark>>],
        now: Timestamp,
    ) -> Self {
        let (mut recorded, mut node_time) = (BTreeSet::new(), Duration::ZERO);
        for benchmark in benchmarks
            .iter()
            .filter_map(|object| object.0.as_ref().ok())
        {
            let Some(status) = &benchmark.status else {
                continue;
            };
            let runs = status.runs.iter().map(|run| run.job.clone());
            recorded.extend(runs.map(|job| (benchmark.namespace(), Some(job))));
            node_time += used(status, now);
        }
        let unrecorded = jobs
            .iter()
            .filter(|job| !recorded.contains(&(job.namespace(), job.metadata.name.clone())));
        node_time += unrecorded.map(|job| promised(job)).sum::<Duration>();
        Self {
            running: jobs.iter().filter(|job| jobs::is_running(job)).count(),
            node_time,
        }
    }
}

/// Why a measurement of this length may not start now, as the step to take instead.
pub fn obstacle(
    settings: &BenchmarkSettings,
    usage: Usage,
    expected: Duration,
    now: Timestamp,
) -> Option<Step> {
    let hours = |time: Duration| time.as_secs_f64() / 3_600.0;
    let minutes = expected.as_secs() / 60;
    if let Some(budget) = settings.node_time_per_day {
        if expected > budget {
            return Some(Step::Blocked {
                reason: "OverBudget",
                message: format!(
                    "it takes about {minutes} minutes of one node, and benchmarks.nodeHoursPerDay of the operator is {}; raise that, or use a shorter sweep",
                    hours(budget)
                ),
            });
        }
        if usage.node_time + expected > budget {
            return Some(Step::Queued {
                message: format!(
                    "{:.2} of {} node-hours of 24 hours are used, and it takes about {minutes} minutes more",
                    hours(usage.node_time),
                    hours(budget)
                ),
            });
        }
    }
    if let Some(window) = &settings.window {
        let Some(next) = window.next(now, expected) else {
            return Some(Step::Blocked {
                reason: "WindowTooShort",
                message: format!(
                    "it takes about {minutes} minutes, and benchmarks.window of the operator is shorter; make that longer, or use a shorter sweep"
                ),
            });
        };
        if next > now {
            return Some(Step::Queued {
                message: format!(
                    "benchmarks start within benchmarks.window of the operator, the next time at {next:.0}"
                ),
            });
        }
    }
    (usage.running >= settings.max_concurrent).then(|| Step::Queued {
        message: format!(
            "{} benchmark(s) run, and benchmarks.maxConcurrent of the operator is {}",
            usage.running, settings.max_concurrent
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2024-05-01T10:00:00Z";

    fn said(settings: &str, usage: Usage, minutes: u64) -> Option<String> {
        let settings: BenchmarkSettings = serde_saphyr::from_str(settings).unwrap();
        let expected = Duration::from_mins(minutes);
        match obstacle(&settings, usage, expected, NOW.parse().unwrap())? {
            Step::Queued { message } => Some(message),
            Step::Blocked { reason, message } => Some(format!("{reason}: {message}")),
            other => panic!("{other:?}"),
        }
    }

    fn usage(running: usize, minutes: u64) -> Usage {
        Usage {
            running,
            node_time: Duration::from_mins(minutes),
        }
    }

    #[test]
    fn the_budget_is_kept_at_its_edge() {
        assert_eq!(said("maxConcurrent: 2", usage(1, 0), 5), None);
        let full = said("maxConcurrent: 2", usage(2, 0), 5).unwrap();
        assert!(full.contains("benchmarks.maxConcurrent"), "{full}");

        assert_eq!(said("nodeHoursPerDay: 1", usage(0, 55), 5), None);
        let used = said("nodeHoursPerDay: 1", usage(0, 56), 5).unwrap();
        assert!(used.starts_with("0.93 of 1 node-hours"), "{used}");
        assert_eq!(said("nodeHoursPerDay: 1", usage(0, 0), 60), None);
        let never = said("nodeHoursPerDay: 1", usage(0, 0), 61).unwrap();
        assert!(never.starts_with("OverBudget"), "{never}");
    }

    #[test]
    fn the_window_is_waited_for() {
        let open = "window: {start: '09:00', end: '10:05'}";
        assert_eq!(said(open, usage(0, 0), 5), None);
        let closing = said(open, usage(0, 0), 6).unwrap();
        assert!(closing.contains("2024-05-02T09:00:00Z"), "{closing}");
        let short = said(open, usage(0, 0), 66).unwrap();
        assert!(short.starts_with("WindowTooShort"), "{short}");
    }

    #[test]
    fn a_job_counts_from_its_start_until_its_end_is_recorded() {
        let job = |name: &str, status: &str| -> Arc<Job> {
            let text = format!(
                "{{metadata: {{name: {name}, namespace: stage, annotations: {{{EXPECTED_MINUTES}: '30'}}}}, status: {status}}}"
            );
            Arc::new(serde_saphyr::from_str(&text).unwrap())
        };
        let ended = "{conditions: [{type: Complete, status: 'True'}]}";
        let jobs = [
            job("running", "{}"),
            job("ended", ended),
            job("recorded", ended),
        ];
        let benchmark = |namespace: &str| -> Arc<Guarded<TtsBenchmark>> {
            let text = format!(
                "{{apiVersion: tts-operator.dev/v1alpha1, kind: TtsBenchmark, metadata: {{name: b, namespace: {namespace}}}, spec: {{voice: {{name: amy}}}},
                   status: {{runs: [{{job: recorded, startTime: '2024-05-01T09:00:00Z', endTime: '2024-05-01T09:10:00Z'}}]}}}}"
            );
            Arc::new(serde_saphyr::from_str(&text).unwrap())
        };
        let minutes = |benchmarks: &[Arc<Guarded<TtsBenchmark>>]| {
            let usage = Usage::of(&jobs, benchmarks, NOW.parse().unwrap());
            assert_eq!(usage.running, 1);
            usage.node_time.as_secs() / 60
        };
        assert_eq!(minutes(&[]), 90);
        assert_eq!(minutes(&[benchmark("stage")]), 30 + 30 + 10);
        // A Job of the same name elsewhere is another one.
        assert_eq!(minutes(&[benchmark("other")]), 90 + 10);
    }

    #[test]
    fn what_ended_a_day_ago_is_forgotten() {
        let status: TtsBenchmarkStatus = serde_saphyr::from_str(
            "{runs: [{job: a, startTime: '2024-04-30T09:50:00Z', endTime: '2024-04-30T10:00:00Z'},
                     {job: b, startTime: '2024-04-30T09:50:00Z', endTime: '2024-04-30T10:00:01Z'},
                     {job: c, startTime: '2024-05-01T09:00:00Z', endTime: '2024-05-01T09:20:00Z'}]}",
        )
        .unwrap();
        let used = used(&status, NOW.parse().unwrap());
        assert_eq!(used, Duration::from_secs(10 * 60 + 1 + 20 * 60));
    }
}

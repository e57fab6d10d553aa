//! What a benchmark has to do next. Pure.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::{
    APPROVE, Approval, BenchmarkRun, Estimate, Sweep, TtsBenchmark, TtsBenchmarkSpec,
    TtsBenchmarkStatus, TtsVoice,
};
use tts_planner::Profile;

use super::{
    Error, Result,
    build::PROFILER,
    dereference::{NoSite, References, Site},
    result::{self, Failure},
    schedule::{self, Times},
};
use crate::{
    children::{self, hex},
    conditions::{self, READY},
    jobs::{self, Progress, Retry},
    labels::{self, BENCHMARK},
    pods::Trouble,
    settings::Settings,
};

/// Waits between attempts of one measurement.
const RETRY: Retry = Retry {
    base: Duration::from_mins(1),
    max: Duration::from_mins(30),
};
/// Attempts of one measurement.
const MOST_ATTEMPTS: u32 = 3;

/// A benchmark whose next step is known.
pub struct ValidatedBenchmark {
    pub name: String,
    pub namespace: String,
    pub owner: OwnerReference,
    pub spec: TtsBenchmarkSpec,
    /// As it was.
    pub status: TtsBenchmarkStatus,
    /// The voice's source, as `tts-server` takes it.
    pub source: String,
    /// Peak memory of the voice's inspection, in bytes.
    pub peak_memory: Option<u64>,
    pub image: String,
    /// Identifies what is measured: the voice, the image, the sweep, the nodes, and the time of the schedule.
    pub subject: String,
    pub estimate: Estimate,
    /// The latest measurement that has ended, whatever its result.
    pub run: Option<BenchmarkRun>,
    pub times: Option<Times>,
    pub step: Step,
    /// Names of Jobs that are still needed.
    pub kept_jobs: Vec<String>,
    pub settings: Arc<Settings>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Something in the spec cannot be; in words.
    Invalid {
        reason: &'static str,
        message: String,
    },
    /// Nothing is to be done now.
    Waiting {
        reason: &'static str,
        message: String,
        until: Option<Duration>,
    },
    /// A Job has to be started on a node that is not chosen yet.
    Start {
        attempt: u32,
    },
    /// A Job has to be started there.
    Placed {
        attempt: u32,
        site: Site,
    },
    /// As [`Step::Start`], once there is a place.
    Queued {
        message: String,
    },
    /// Nothing can be measured until the nodes, the settings or the spec change.
    Blocked {
        reason: &'static str,
        message: String,
    },
    Running {
        waiting: Option<Trouble>,
    },
    Measured(Box<Profile>),
    Failed {
        failure: Failure,
        retry_in: Duration,
        gave_up: bool,
    },
    /// Measured and recorded.
    Done,
}

impl ValidatedBenchmark {
    /// How long it is expected to take.
    pub fn expected(&self) -> Duration {
        Duration::from_mins(u64::try_from(self.estimate.minutes).unwrap_or(1))
    }
}

pub fn validate(
    benchmark: &TtsBenchmark,
    references: &References,
    settings: &Arc<Settings>,
    now: Timestamp,
) -> Result<ValidatedBenchmark> {
    let name = benchmark.name_any();
    let namespace = benchmark
        .namespace()
        .ok_or(Error::Incomplete("namespace"))?;
    let owner = benchmark
        .controller_owner_ref(&())
        .ok_or(Error::Incomplete("uid"))?;
    let spec = &benchmark.spec;
    let status = benchmark.status.clone().unwrap_or_default();
    let image = spec
        .image
        .clone()
        .unwrap_or_else(|| settings.server.image.clone());
    let voice = references.voice.as_ref();
    let source = voice.map_or_else(String::new, |voice| {
        serde_json::to_string(&voice.spec.source).unwrap_or_default()
    });
    let facts = voice.and_then(|voice| voice.status.as_ref());
    let digest = facts.and_then(|facts| facts.digest.as_deref());
    let target = target(spec, &source, digest, &image);
    let ours = labels::selector(BENCHMARK, &name);
    let mut jobs: Vec<_> = references
        .jobs
        .iter()
        .filter(|job| children::ownership(*job, &owner, &ours).is_ours())
        .collect();
    jobs.sort_by_key(|job| jobs::attempt(job));
    let times = spec
        .schedule
        .as_ref()
        .map(|schedule| schedule::times(schedule, now))
        .transpose();
    let due = times
        .as_ref()
        .ok()
        .and_then(|times| due(benchmark, *times.as_ref()?));
    // A Job that runs is finished for the time that it was started for.
    let running = jobs
        .iter()
        .filter(|job| jobs::is_running(job))
        .filter_map(|job| job.annotations().get(jobs::SUBJECT))
        .find(|subject| subject.starts_with(&target));
    let subject = running.cloned().unwrap_or_else(|| match due {
        Some(due) => format!("{target}.{}", due.as_second()),
        None => target.clone(),
    });
    let latest = jobs.iter().rev().find(|job| jobs::is_about(job, &subject));
    // What the last one of the same took says more than a rule.
    let last = status.measured.as_ref();
    let last = last
        .filter(|measured| measured.starts_with(&target))
        .and(references.last_duration);
    let price = spec.node_class.as_deref();
    let price = price.and_then(|class| settings.node_classes().price(class));
    let estimate = estimate(spec, &target, last, price);
    let obstacle = obstacle(benchmark, voice, &estimate);
    let step = match (latest, times.clone(), obstacle) {
        (_, Err(message), _) => Step::Invalid {
            reason: "InvalidSchedule",
            message,
        },
        (Some(job), Ok(_), _) if status.measured.as_deref() != Some(&subject) => {
            of_job(job, references, now)
        }
        _ if status.measured.as_deref() == Some(&subject) && spec.schedule.is_none() => Step::Done,
        (_, Ok(Some(times)), _)
            if due.is_none() || status.measured.as_deref() == Some(&subject) =>
        {
            Step::Waiting {
                reason: "Scheduled",
                message: format!("the next measurement is at {}", times.next),
                until: Some(jobs::since(now, times.next)),
            }
        }
        (_, Ok(_), Some(obstacle)) => obstacle,
        (_, Ok(_), None) => Step::Start { attempt: 0 },
    };
    let kept_jobs = match step {
        Step::Running { .. } | Step::Measured(_) | Step::Failed { .. } => {
            latest.iter().map(|job| job.name_any()).collect()
        }
        _ => Vec::new(),
    };
    Ok(ValidatedBenchmark {
        name,
        namespace,
        owner,
        spec: spec.clone(),
        peak_memory: facts.and_then(|facts| u64::try_from(facts.peak_memory_bytes?).ok()),
        status,
        source,
        image,
        subject,
        estimate,
        run: latest.and_then(|job| run(job, references)),
        times: times.ok().flatten(),
        step,
        kept_jobs,
        settings: Arc::clone(settings),
    })
}

/// Identifies what is measured: the voice's source and files, the image, and what the spec says about where and how.
fn target(spec: &TtsBenchmarkSpec, source: &str, digest: Option<&str>, image: &str) -> String {
    hash(&format!(
        "{source} {digest:?} {image} {:?} {:?} {:?} {:?} {:?} {:?}",
        spec.sweep,
        spec.corpus,
        spec.max_audio_seconds,
        spec.level_seconds,
        spec.node_class,
        spec.node_selector
    ))
}

/// The time of the schedule for which a measurement is missing.
fn due(benchmark: &TtsBenchmark, times: Times) -> Option<Timestamp> {
    let recorded = benchmark
        .status
        .as_ref()
        .and_then(|status| status.last_schedule_time.as_ref()?.parse().ok());
    let since = recorded.or_else(|| Some(benchmark.creation_timestamp()?.0))?;
    (times.last > since).then_some(times.last)
}

/// Minutes before the levels of a sweep, minutes per second of a level, and the seconds of a level where none are given.
const fn duration(sweep: Sweep) -> (f64, f64, i32) {
    match sweep {
        Sweep::Quick => (1.5, 0.5, 7),
        Sweep::Full => (6.0, 1.2, 20),
    }
}

/// `last` is how long the last one of the same took (s), `price` that of an hour of a node.
fn estimate(
    spec: &TtsBenchmarkSpec,
    target: &str,
    last: Option<f64>,
    price: Option<f64>,
) -> Estimate {
    let (before, per_second, usual) = duration(spec.sweep);
    let expected = before + per_second * f64::from(spec.level_seconds.unwrap_or(usual));
    let expected = last.map_or(expected, |seconds| seconds / 60.0);
    #[expect(clippy::cast_possible_truncation, reason = "minutes of at most days")]
    let minutes = expected.ceil().clamp(1.0, 10_000.0) as i32;
    Estimate {
        minutes,
        node_hours: format!("{:.2}", f64::from(minutes) / 60.0),
        cost: price.map(|price| format!("{:.3}", price * f64::from(minutes) / 60.0)),
        hash: target.to_owned(),
    }
}

/// What keeps a measurement from being started.
fn obstacle(
    benchmark: &TtsBenchmark,
    voice: Option<&TtsVoice>,
    estimate: &Estimate,
) -> Option<Step> {
    let spec = &benchmark.spec;
    let waiting = |reason, message| Step::Waiting {
        reason,
        message,
        until: None,
    };
    if spec.suspend {
        return Some(waiting("Suspended", "spec.suspend is true".to_owned()));
    }
    let wanted = &spec.voice.name;
    let Some(voice) = voice else {
        let message = format!(
            "there is no TtsVoice {wanted:?} in this namespace; create it, or correct spec.voice.name"
        );
        return Some(waiting("VoiceNotFound", message));
    };
    let conditions = voice
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    if !conditions::is_true(conditions, READY) {
        let message = format!("the TtsVoice {wanted:?} is not ready; its conditions say why");
        return Some(waiting("VoiceNotReady", message));
    }
    let approved = benchmark.annotations().get(APPROVE).map(String::as_str) == Some(&estimate.hash);
    if spec.approval == Approval::Ask && !approved {
        let cost = estimate.cost.as_ref();
        let cost = cost.map_or_else(String::new, |cost| format!(" and costs {cost}"));
        let message = format!(
            "it takes about {} minutes of one node{cost}; start it with: kubectl annotate ttsbenchmark {} {APPROVE}={}",
            estimate.minutes,
            benchmark.name_any(),
            estimate.hash
        );
        return Some(waiting("WaitingForApproval", message));
    }
    None
}

/// When the pod of a Job that has ended started and ended.
fn run(job: &Job, references: &References) -> Option<BenchmarkRun> {
    let Progress::Ended { at, .. } = jobs::progress(job, PROFILER, &references.pods, None) else {
        return None;
    };
    let pod = jobs::pod_of(job, &references.pods);
    let pod_start = pod.and_then(|pod| pod.status.as_ref()?.start_time.as_ref());
    let job_start = || job.status.as_ref()?.start_time.as_ref();
    let start = pod_start.or_else(job_start)?.0;
    Some(BenchmarkRun {
        job: job.name_any(),
        start_time: start.to_string(),
        end_time: at.to_string(),
    })
}

fn of_job(job: &Job, references: &References, now: Timestamp) -> Step {
    let attempt = jobs::attempt(job);
    match jobs::progress(job, PROFILER, &references.pods, None) {
        Progress::Running { waiting } => Step::Running { waiting },
        Progress::Ended { at, result } => {
            let profile = match references.logs.get(&job.name_any()) {
                Some(Err(forbidden)) => Err(Failure {
                    reason: "NoRights".to_owned(),
                    message: forbidden.clone(),
                    permanent: true,
                }),
                Some(Ok(log)) => result::profile(&result, Some(log)),
                None => result::profile(&result, None),
            };
            match profile {
                Ok(profile) => Step::Measured(Box::new(profile)),
                Err(failure) => failed(failure, attempt, jobs::since(at, now)),
            }
        }
    }
}

fn failed(failure: Failure, attempt: u32, ago: Duration) -> Step {
    let attempts = attempt.saturating_add(1);
    if failure.permanent || attempts >= MOST_ATTEMPTS {
        return Step::Failed {
            failure,
            retry_in: RETRY.max,
            gave_up: true,
        };
    }
    match RETRY.after(attempt).checked_sub(ago) {
        Some(retry_in) if !retry_in.is_zero() => Step::Failed {
            failure,
            retry_in,
            gave_up: false,
        },
        _ => Step::Start { attempt: attempts },
    }
}

/// The step of a benchmark that is to be started, with the node that was found for it.
pub fn place(site: Result<Site, NoSite>, attempt: u32) -> Step {
    match site {
        Ok(site) => Step::Placed { attempt, site },
        Err(NoSite::Occupied) => Step::Queued {
            message: "a benchmark runs on each node that would do".to_owned(),
        },
        Err(NoSite::None(message)) => Step::Blocked {
            reason: "NoNode",
            message,
        },
        Err(NoSite::Forbidden) => Step::Blocked {
            reason: "NoRights",
            message: "the operator may not read nodes, so it does not know their classes: allow it (chart value rbac.nodes), or use spec.nodeSelector"
                .to_owned(),
        },
    }
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..16].to_owned()
}

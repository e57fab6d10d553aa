//! One-shot Jobs: a pod that finds something out about an object and reports it, such as the inspection of a
//! voice. Pure: what to start, what became of it, and when to try again.
use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

use crate::{
    children::hex,
    labels::{self, Role},
    pods::{self, Trouble},
};

mod log;

pub use log::whole_message;

/// Annotation of a Job: what it is about.
pub const SUBJECT: &str = "tts-operator.dev/subject";
/// Annotation of a Job: how many earlier ones of the same subject failed.
pub const ATTEMPT: &str = "tts-operator.dev/attempt";

/// Where the containers of a Job's pod may write.
pub const SCRATCH_DIR: &str = "/scratch";
/// The kubelet reads a container's result from here; at most 4 KiB.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Finished Jobs are deleted after this time even if the operator was uninstalled.
const TTL_SECONDS: i32 = 24 * 3_600;
/// A Job gets its pod at once; without one after this time, its events say why.
const POD_AFTER: Duration = Duration::from_secs(5);

/// What a Job is to do.
pub struct Task<'a> {
    pub role: Role,
    /// The verb in the Job's name: `<instance>-<verb>-<8 hex digits>`.
    pub verb: &'static str,
    /// Name and namespace of the object that it is about, and its owner reference.
    pub instance: &'a str,
    pub namespace: &'a str,
    pub owner: &'a OwnerReference,
    /// Identifies what is found out: another subject is another Job.
    pub subject: &'a str,
    pub deadline: Duration,
    pub pod: PodSpec,
}

/// The Job of this attempt.
pub fn job(task: Task<'_>, attempt: u32) -> Job {
    let identity = hex(&Sha256::digest(format!("{}/{attempt}", task.subject)));
    let name = format!("{}-{}-{}", task.instance, task.verb, &identity[..8]);
    let mut metadata =
        labels::metadata(task.role, task.instance, &name, task.namespace, task.owner);
    metadata.annotations = Some(BTreeMap::from([
        (SUBJECT.to_owned(), task.subject.to_owned()),
        (ATTEMPT.to_owned(), attempt.to_string()),
    ]));
    Job {
        metadata,
        spec: Some(JobSpec {
            // The operator decides about another attempt: it knows which failures are temporary.
            backoff_limit: Some(0),
            active_deadline_seconds: i64::try_from(task.deadline.as_secs()).ok(),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::recommended(task.role, task.instance)),
                    ..ObjectMeta::default()
                }),
                spec: Some(task.pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// How many earlier Jobs of its subject failed.
pub fn attempt(job: &Job) -> u32 {
    job.annotations()
        .get(ATTEMPT)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

pub fn is_about(job: &Job, subject: &str) -> bool {
    job.annotations().get(SUBJECT).map(String::as_str) == Some(subject)
}

/// Whether it occupies the cluster: counts against a budget.
pub fn is_running(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_none() && end(job).is_none()
}

/// Whether the Job should have a pod by now and has none.
pub fn lacks_pod(job: &Job, pods: &[Pod], now: Timestamp) -> bool {
    is_running(job) && pod_of(job, pods).is_none() && since(created(job), now) >= POD_AFTER
}

/// What became of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// `waiting` is what it waits for, if anything.
    Running {
        waiting: Option<Trouble>,
    },
    Ended {
        at: Timestamp,
        result: Outcome,
    },
}

/// What a finished Job left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The termination message of its container.
    Message(String),
    OutOfMemory,
    /// It ended with this exit code and without a message.
    Silent {
        exit_code: i32,
    },
    /// The deadline passed; `waiting` is what the pod waited for at the end.
    TimedOut {
        waiting: Option<String>,
    },
    /// The pod was deleted before its message was read.
    Lost,
}

/// The progress of a Job whose result is that of the container of this name, or of the init container that kept it
/// from starting: others, which an admission webhook may have added, need not end. `unstarted` says why the Job has
/// no pod, if that is known.
pub fn progress(job: &Job, container: &str, pods: &[Pod], unstarted: Option<&str>) -> Progress {
    let pod = pod_of(job, pods);
    let terminated = pod.and_then(|pod| terminated(pod, container));
    let end = end(job);
    if let Some(terminated) = terminated {
        let at = terminated
            .finished_at
            .as_ref()
            .map(|time| time.0)
            .or(end.as_ref().map(|(at, _)| *at))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let result = match terminated.message.clone() {
            Some(message) => Outcome::Message(message),
            None if terminated.reason.as_deref() == Some("OOMKilled") => Outcome::OutOfMemory,
            None => Outcome::Silent {
                exit_code: terminated.exit_code,
            },
        };
        return Progress::Ended { at, result };
    }
    let trouble = pod.and_then(pods::trouble);
    match end {
        None => Progress::Running {
            waiting: trouble.or_else(|| {
                Some(Trouble {
                    text: unstarted?.to_owned(),
                    since: Some(created(job)),
                })
            }),
        },
        Some((at, Some(reason))) if reason == "DeadlineExceeded" => Progress::Ended {
            at,
            result: Outcome::TimedOut {
                waiting: trouble
                    .map(|trouble| trouble.text)
                    .or_else(|| unstarted.map(str::to_owned)),
            },
        },
        Some((at, _)) => Progress::Ended {
            at,
            result: Outcome::Lost,
        },
    }
}

/// How the container ended, or the init container that failed before it.
fn terminated<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    let status = pod.status.as_ref()?;
    let end = |status: &'a ContainerStatus| status.state.as_ref()?.terminated.as_ref();
    let containers = status.container_statuses.iter().flatten();
    let mut init = status.init_container_statuses.iter().flatten();
    containers
        .filter(|status| status.name == container)
        .find_map(end)
        // Pods of Jobs are not restarted: a failed init container is the end.
        .or_else(|| init.find_map(|status| end(status).filter(|end| end.exit_code != 0)))
}

/// The time between two attempts: doubles from `base` up to `max`.
#[derive(Clone, Copy)]
pub struct Retry {
    pub base: Duration,
    pub max: Duration,
}

impl Retry {
    /// How long after the failed `attempt` the next one starts.
    pub fn after(self, attempt: u32) -> Duration {
        self.base.saturating_mul(1 << attempt.min(10)).min(self.max)
    }
}

/// The time from one moment to a later one.
pub fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier)).unwrap_or_default()
}

fn created(job: &Job) -> Timestamp {
    job.creation_timestamp()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

pub(crate) fn pod_of<'a>(job: &Job, pods: &'a [Pod]) -> Option<&'a Pod> {
    pods.iter().find(|pod| {
        pod.owner_references()
            .iter()
            .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
    })
}

/// When and why the Job ended.
fn end(job: &Job) -> Option<(Timestamp, Option<String>)> {
    let end = job
        .status
        .as_ref()?
        .conditions
        .iter()
        .flatten()
        .find(|c| (c.type_ == "Complete" || c.type_ == "Failed") && c.status == "True")?;
    let at = end.last_transition_time.as_ref();
    Some((
        at.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        end.reason.clone(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str) -> Job {
        serde_saphyr::from_str(&format!(
            "metadata: {{name: j, uid: job-1, creationTimestamp: '2024-01-01T00:00:00Z'}}\nstatus: {status}"
        ))
        .unwrap()
    }

    fn pod(containers: &str) -> Pod {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: j, uid: job-1}}]}}, status: {{containerStatuses: {containers}}}}}"
        ))
        .unwrap()
    }

    const SIDECAR: &str =
        "{name: proxy, image: '', imageID: '', ready: true, restartCount: 0, state: {running: {}}}";

    #[test]
    fn the_result_is_read_although_an_injected_container_goes_on() {
        let pod = pod(&format!(
            "[{SIDECAR}, {{name: inspect, image: '', imageID: '', ready: false, restartCount: 0, state: {{terminated: {{exitCode: 0, message: done, finishedAt: '2024-01-01T00:00:09Z'}}}}}}]"
        ));
        let Progress::Ended { at, result } = progress(&job("{}"), "inspect", &[pod], None) else {
            panic!("the container has ended");
        };
        assert_eq!(result, Outcome::Message("done".to_owned()));
        assert_eq!(at.to_string(), "2024-01-01T00:00:09Z");
    }

    #[test]
    fn the_end_of_another_container_is_not_the_result() {
        let pod = pod(
            "[{name: proxy, image: '', imageID: '', ready: false, restartCount: 0, state: {terminated: {exitCode: 1, message: proxy}}}, {name: inspect, image: '', imageID: '', ready: true, restartCount: 0, state: {running: {}}}]",
        );
        let progress = progress(&job("{}"), "inspect", &[pod], None);
        assert_eq!(progress, Progress::Running { waiting: None });
    }

    #[test]
    fn an_init_container_that_failed_is_the_result() {
        let pod = |exit_code: i32| -> Pod {
            serde_saphyr::from_str(&format!(
                "{{metadata: {{ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: j, uid: job-1}}]}}, status: {{
                   initContainerStatuses: [{{name: part, image: '', imageID: '', ready: false, restartCount: 0, state: {{terminated: {{exitCode: {exit_code}, message: no texts}}}}}}],
                   containerStatuses: [{{name: inspect, image: '', imageID: '', ready: false, restartCount: 0, state: {{waiting: {{reason: PodInitializing}}}}}}]}}}}"
            ))
            .unwrap()
        };
        let of = |exit_code| progress(&job("{}"), "inspect", &[pod(exit_code)], None);
        assert_eq!(of(0), Progress::Running { waiting: None });
        let Progress::Ended { result, .. } = of(3) else {
            panic!("the pod has failed");
        };
        assert_eq!(result, Outcome::Message("no texts".to_owned()));
    }

    #[test]
    fn a_job_without_a_pod_says_why() {
        let at = |seconds| {
            "2024-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
        };
        assert!(!lacks_pod(&job("{}"), &[], at(4)));
        assert!(lacks_pod(&job("{}"), &[], at(5)));
        assert!(!lacks_pod(&job("{}"), &[pod("[]")], at(5)));
        let Progress::Running { waiting } =
            progress(&job("{}"), "inspect", &[], Some("exceeded quota"))
        else {
            panic!("it has not ended");
        };
        let waiting = waiting.unwrap();
        assert_eq!(waiting.text, "exceeded quota");
        assert_eq!(waiting.since, Some(at(0)));
    }

    #[test]
    fn a_job_that_ended_without_a_result() {
        let failed = |reason: &str| {
            job(&format!(
                "{{conditions: [{{type: Failed, status: 'True', reason: {reason}, lastTransitionTime: '2024-01-01T00:30:00Z'}}]}}"
            ))
        };
        let result = |job: &Job, unstarted| match progress(job, "inspect", &[], unstarted) {
            Progress::Ended { result, .. } => result,
            running @ Progress::Running { .. } => panic!("{running:?}"),
        };
        assert_eq!(result(&failed("BackoffLimitExceeded"), None), Outcome::Lost);
        assert_eq!(
            result(&failed("DeadlineExceeded"), Some("no quota")),
            Outcome::TimedOut {
                waiting: Some("no quota".to_owned())
            }
        );
        assert!(!is_running(&failed("DeadlineExceeded")) && is_running(&job("{}")));
    }

    #[test]
    fn the_wait_doubles_up_to_the_maximum() {
        let retry = Retry {
            base: Duration::from_secs(15),
            max: Duration::from_mins(10),
        };
        let waits: Vec<u64> = [0, 1, 2, 5, 6, 99]
            .map(|attempt| retry.after(attempt).as_secs())
            .to_vec();
        assert_eq!(waits, [15, 30, 60, 480, 600, 600]);
    }
}

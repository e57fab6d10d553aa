//! What pods that were killed for their memory teach: the next ones get more. Pure.
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};
use tts_crds::quantity::Quantity;

use super::template::SERVER_CONTAINER;

const REASON: &str = "OOMKilled";
const MEBI: u64 = 1 << 20;

/// The largest memory limit at which a pod was killed, and when the last one was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutOfMemory {
    /// MiB.
    pub killed_at: u64,
    pub last: Timestamp,
}

impl OutOfMemory {
    /// MiB that a pod needs at least: a fifth more, and 100 MiB more, as the vertical pod autoscaler does it.
    pub fn least(&self) -> u64 {
        (self.killed_at.saturating_mul(6) / 5).max(self.killed_at.saturating_add(100))
    }
}

/// What is known after these pods were seen. A kill counts once: its pod has another limit afterwards.
pub fn learn(known: Option<&OutOfMemory>, pods: &[Arc<Pod>]) -> Option<OutOfMemory> {
    let newest = pods
        .iter()
        .filter_map(|pod| kill(pod))
        .max_by_key(|(at, limit)| (*at, *limit));
    match (newest, known) {
        (Some((last, limit)), Some(known)) if last > known.last => Some(OutOfMemory {
            killed_at: limit.max(known.killed_at),
            last,
        }),
        (Some((last, killed_at)), None) => Some(OutOfMemory { killed_at, last }),
        (_, known) => known.cloned(),
    }
}

/// When the server of a pod was killed for its memory, and the limit that it has (MiB).
fn kill(pod: &Pod) -> Option<(Timestamp, u64)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let server = statuses.iter().find(|c| c.name == SERVER_CONTAINER)?;
    let ended = [&server.state, &server.last_state]
        .into_iter()
        .flatten()
        .filter_map(|state| state.terminated.as_ref())
        .find(|ended| ended.reason.as_deref() == Some(REASON))?;
    let containers = &pod.spec.as_ref()?.containers;
    let container = containers.iter().find(|c| c.name == SERVER_CONTAINER)?;
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    let limit = Quantity::parse(&limits.get("memory")?.0).ok()?;
    Some((ended.finished_at.as_ref()?.0, limit.bytes() / MEBI))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(memory: &str, reason: &str, at: &str) -> Arc<Pod> {
        Arc::new(
            serde_saphyr::from_str(&format!(
                "{{metadata: {{}}, spec: {{containers: [{{name: server, resources: {{limits: {{memory: {memory}}}}}}}]}}, status: {{containerStatuses: [{{name: server, image: '', imageID: '', ready: true, restartCount: 1, lastState: {{terminated: {{exitCode: 137, reason: {reason}, finishedAt: '{at}'}}}}}}]}}}}"
            ))
            .unwrap(),
        )
    }

    #[test]
    fn a_kill_counts_once() {
        let first = learn(None, &[pod("128Mi", "OOMKilled", "2026-01-01T00:00:00Z")]).unwrap();
        assert_eq!((first.killed_at, first.least()), (128, 228));
        // The same kill, in the pod that has more memory since.
        let resized = pod("228Mi", "OOMKilled", "2026-01-01T00:00:00Z");
        assert_eq!(learn(Some(&first), &[resized]).as_ref(), Some(&first));
        let again = pod("228Mi", "OOMKilled", "2026-01-01T00:01:00Z");
        assert_eq!(learn(Some(&first), &[again]).unwrap().killed_at, 228);
        // A smaller pod that was killed teaches nothing about the larger one.
        let smaller = pod("64Mi", "OOMKilled", "2026-01-01T00:02:00Z");
        assert_eq!(learn(Some(&first), &[smaller]).unwrap().killed_at, 128);
        assert_eq!(learn(Some(&first), &[]).as_ref(), Some(&first));
        assert_eq!(
            learn(None, &[pod("128Mi", "Error", "2026-01-01T00:00:00Z")]),
            None
        );
        let large = OutOfMemory {
            killed_at: 1000,
            last: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(large.least(), 1200);
    }
}

//! Why a pod does not run, according to the kubelet and the scheduler.
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

/// Something that keeps a pod from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The message of the kubelet, the scheduler or the container's last termination.
    pub text: String,
    /// Since when the pod has not been ready, or has not been scheduled.
    pub since: Option<Timestamp>,
}

/// Why the pod does not run; `None` if it runs or is starting normally.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let condition = |type_: &str| -> Option<&PodCondition> {
        status
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == type_ && c.status == "False")
    };
    let since =
        |condition: Option<&PodCondition>| Some(condition?.last_transition_time.as_ref()?.0);
    let container = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten()
        .find_map(container_trouble);
    if let Some(text) = container {
        return Some(Trouble {
            text,
            since: since(condition("Ready")),
        });
    }
    let unscheduled = condition("PodScheduled")?;
    Some(Trouble {
        text: unscheduled.message.clone()?,
        since: since(Some(unscheduled)),
    })
}

/// The kubelet calls it so from the second restart on.
const CRASH_LOOP: &str = "CrashLoopBackOff";
const CRASHES: i32 = 2;

fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    // The message of the last termination says more than that the kubelet will restart the container.
    let last_termination = || {
        let ended = container.last_state.as_ref()?.terminated.as_ref()?;
        ended.message.clone().or_else(|| ended.reason.clone())
    };
    let (reason, message) = match &state.waiting {
        Some(waiting) => {
            let reason = waiting.reason.as_deref()?;
            // Steps of every start.
            if matches!(reason, "ContainerCreating" | "PodInitializing") {
                return None;
            }
            (
                reason,
                last_termination().or_else(|| waiting.message.clone()),
            )
        }
        // Between two crashes it runs for a moment.
        None if !container.ready && container.restart_count >= CRASHES => {
            (CRASH_LOOP, Some(last_termination()?))
        }
        None => return None,
    };
    Some(format!(
        "container {}: {reason}: {}",
        container.name,
        message.unwrap_or_default().trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> Pod {
        serde_saphyr::from_str(&format!("metadata: {{}}\nstatus: {status}")).unwrap()
    }

    #[test]
    fn a_container_that_ended_is_quoted() {
        let crashing = pod(
            "{initContainerStatuses: [{name: fetch, image: '', imageID: '', ready: false, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff, message: back-off 20s}}, lastState: {terminated: {exitCode: 2, message: 'a.onnx differs'}}}]}",
        );
        assert_eq!(
            trouble(&crashing).unwrap().text,
            "container fetch: CrashLoopBackOff: a.onnx differs"
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_and_a_full_cluster_are_told() {
        let image = pod(
            "{containerStatuses: [{name: server, image: '', imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: not found}}}]}",
        );
        assert_eq!(
            trouble(&image).unwrap().text,
            "container server: ErrImagePull: not found"
        );
        let full = pod(
            "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/3 nodes fit, lastTransitionTime: '2024-01-01T00:00:00Z'}]}",
        );
        let trouble = trouble(&full).unwrap();
        assert_eq!(trouble.text, "0/3 nodes fit");
        assert_eq!(trouble.since.unwrap().to_string(), "2024-01-01T00:00:00Z");
    }

    #[test]
    fn a_container_between_two_crashes_is_still_in_trouble() {
        let between = |restarts: u32, ready: bool| {
            trouble(&pod(&format!(
                "{{containerStatuses: [{{name: server, image: '', imageID: '', ready: {ready}, restartCount: {restarts}, state: {{running: {{}}}}, lastState: {{terminated: {{exitCode: 2, message: no voice}}}}}}]}}"
            )))
        };
        let text = between(2, false).unwrap().text;
        assert_eq!(text, "container server: CrashLoopBackOff: no voice");
        assert_eq!(between(1, false), None, "restarted once");
        assert_eq!(between(9, true), None, "recovered");
    }

    #[test]
    fn a_pod_that_starts_has_no_trouble() {
        let starting = pod(
            "{containerStatuses: [{name: server, image: '', imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}]}",
        );
        assert_eq!(trouble(&starting), None);
    }
}

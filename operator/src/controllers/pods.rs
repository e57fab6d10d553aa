//! Why a pod does not start, according to the kubelet and the scheduler.
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Why the pod does not run: the message of the kubelet, the scheduler or the container's last
/// termination; `None` if it runs or is starting normally.
pub fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = || {
        status
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False")?
            .message
            .clone()
    };
    status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten()
        .find_map(container_trouble)
        .or_else(unscheduled)
}

fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    // Steps of every start.
    if matches!(reason, "ContainerCreating" | "PodInitializing") {
        return None;
    }
    // The message of the last termination says more than that the kubelet will restart the container.
    let last_termination = || {
        let ended = container.last_state.as_ref()?.terminated.as_ref()?;
        ended.message.clone().or_else(|| ended.reason.clone())
    };
    let message = last_termination()
        .or_else(|| waiting.message.clone())
        .unwrap_or_default();
    Some(format!(
        "container {}: {reason}: {}",
        container.name,
        message.trim()
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
            trouble(&crashing).unwrap(),
            "container fetch: CrashLoopBackOff: a.onnx differs"
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_and_a_full_cluster_are_told() {
        let image = pod(
            "{containerStatuses: [{name: server, image: '', imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: not found}}}]}",
        );
        assert_eq!(
            trouble(&image).unwrap(),
            "container server: ErrImagePull: not found"
        );
        let full = pod(
            "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/3 nodes fit}]}",
        );
        assert_eq!(trouble(&full).unwrap(), "0/3 nodes fit");
    }

    #[test]
    fn a_pod_that_starts_has_no_trouble() {
        let starting = pod(
            "{containerStatuses: [{name: server, image: '', imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}]}",
        );
        assert_eq!(trouble(&starting), None);
    }
}

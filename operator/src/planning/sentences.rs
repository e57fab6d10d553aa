//! A plan in sentences.
use tts_crds::v1alpha1::{PlanStatus, PlannedPod, PlannedReplicas};

/// The plan in one line, without its reasons.
pub fn summary(plan: &PlanStatus) -> String {
    let class = plan.node_class.as_deref().unwrap_or("any");
    let audio = match first_audio(plan) {
        Some(Some(time)) => {
            format!("; 95 % of the requests get their first audio within {time}")
        }
        Some(None) => ", which cannot keep up with the peak".to_owned(),
        None => String::new(),
    };
    format!(
        "class {class}, {}, each {}{audio}",
        replicas(&plan.replicas),
        pod(&plan.pod)
    )
}

/// `2 CPU, 512Mi memory, 2 threads per request, 1 request at once`.
pub fn pod(pod: &PlannedPod) -> String {
    let limit = pod.cpu_limit.as_ref();
    format!(
        "{} CPU{}, {} memory, {} per request, {} at once",
        pod.cpu,
        limit.map_or_else(String::new, |limit| format!(" (limit {limit})")),
        pod.memory,
        counted(pod.threads, "thread"),
        counted(pod.max_concurrency, "request"),
    )
}

/// `3 pods at the peak (1 to 5)`.
pub fn replicas(replicas: &PlannedReplicas) -> String {
    format!(
        "{} at the peak ({} to {})",
        counted(replicas.planned, "pod"),
        replicas.min,
        replicas.max
    )
}

/// The predicted 95th percentile at the peak, `Some(None)` where pods cannot keep up; `None` where nothing was measured.
pub fn first_audio(plan: &PlanStatus) -> Option<Option<&str>> {
    let predicted = plan.predicted.as_ref()?;
    Some(predicted.time_to_first_audio.as_deref())
}

fn counted(count: i32, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A heading with a list; nothing where the list is empty.
pub fn list<T: AsRef<str>>(heading: &str, items: impl IntoIterator<Item = T>) -> String {
    let lines: Vec<String> = items
        .into_iter()
        .map(|item| format!("  - {}\n", item.as_ref()))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("{heading}:\n{}", lines.concat())
}

/// The reasons of a plan, and what else there was.
pub fn reasons(plan: &PlanStatus) -> String {
    [
        list(
            "Why these numbers",
            plan.reasons.iter().map(|reason| &reason.text),
        ),
        list("What keeps the objectives, best first", &plan.alternatives),
        list("What was rejected", &plan.rejected),
    ]
    .concat()
}

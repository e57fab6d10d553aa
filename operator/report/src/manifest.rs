//! A plan as YAML: above each field the reason for it.

use tts_planner::AcceptedPlan;

use crate::words::number;

/// Comments are broken here.
const WIDTH: usize = 88;
/// Codes of the reasons that stand at a field; the others stand at the top.
const PLACED: [&str; 8] = [
    "Accelerator",
    "PodShape",
    "Threads",
    "Concurrency",
    "Memory",
    "Cpu",
    "Replicas",
    "Autoscaling",
];

struct Lines(Vec<String>);

impl Lines {
    fn comment(&mut self, indent: usize, text: &str) {
        let margin = " ".repeat(indent);
        let mut line = format!("{margin}#");
        for word in text.split_whitespace() {
            if line.len() + word.len() >= WIDTH && line.len() > indent + 1 {
                self.0.push(line);
                line = format!("{margin}#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.0.push(line);
    }

    fn field(&mut self, indent: usize, comment: &str, name: &str, value: &str) {
        self.comment(indent, comment);
        self.name(indent, name, value);
    }

    fn name(&mut self, indent: usize, name: &str, value: &str) {
        let space = if value.is_empty() { "" } else { " " };
        self.0
            .push(format!("{}{name}:{space}{value}", " ".repeat(indent)));
    }
}

/// A string of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The plan, to read: the operator writes its own into `status.plan`.
pub(crate) fn manifest(plan: &AcceptedPlan) -> String {
    let mut lines = Lines(Vec::new());
    for reason in &plan.reasons {
        if !PLACED.contains(&reason.code.as_str()) {
            lines.comment(0, &reason.text);
        }
    }
    let because = |code: &str, otherwise: &str| {
        plan.reason(code)
            .map_or_else(|| otherwise.to_owned(), |reason| reason.text.clone())
    };
    let class = plan.node_class.as_deref().unwrap_or_default();
    lines.field(
        0,
        &because("Accelerator", "Where pods run."),
        "nodeClass",
        &quoted(class),
    );
    lines.field(
        0,
        "What the measured pods ran on.",
        "accelerator",
        &plan.accelerator.to_string(),
    );
    lines.field(
        0,
        "What is served, and the measurement it rests on.",
        "voices",
        "",
    );
    for voice in &plan.voices {
        lines.name(0, "- name", &quoted(&voice.name));
        lines.name(2, "profile", &quoted(&voice.profile));
        lines.name(2, "precision", &quoted(&voice.variant.precision));
    }
    pod(&mut lines, plan, &because);
    lines.field(0, &because("Replicas", "Pods."), "replicas", "");
    lines.field(2, "Never fewer.", "min", &plan.replicas.min.to_string());
    lines.field(
        2,
        "The fewest that keep the objectives at the peak.",
        "atPeak",
        &plan.replicas.at_peak.to_string(),
    );
    lines.field(
        2,
        "Where the autoscaler settles at a steady peak.",
        "steady",
        &plan.replicas.steady.to_string(),
    );
    lines.field(2, "Never more.", "max", &plan.replicas.max.to_string());
    lines.field(
        0,
        &because("Autoscaling", "The autoscaler."),
        "autoscaling",
        "",
    );
    lines.field(
        2,
        "Requests in each pod, in service and waiting, that the autoscaler aims at.",
        "inFlight",
        &number(plan.autoscaling.in_flight),
    );
    if let Some(percent) = plan.autoscaling.cpu_percent {
        lines.field(
            2,
            "Percent of the CPU request at that load, where there is no metric of requests.",
            "cpuPercent",
            &percent.to_string(),
        );
    }
    lines.0.push(String::new());
    lines.0.join("\n")
}

fn pod(lines: &mut Lines, plan: &AcceptedPlan, because: &impl Fn(&str, &str) -> String) {
    let pod = &plan.pod;
    lines.field(0, &because("PodShape", "The shape of a pod."), "pod", "");
    lines.field(2, "Cores of the workers.", "cpu", &number(pod.cpu));
    lines.field(
        2,
        &because("Threads", "Threads of one request."),
        "threads",
        &pod.threads.intra_op.to_string(),
    );
    lines.field(
        2,
        "Requests that run side by side.",
        "workers",
        &pod.threads.workers.to_string(),
    );
    lines.field(
        2,
        &because("Concurrency", "Requests that are admitted at once."),
        "maxConcurrency",
        &pod.max_concurrency.to_string(),
    );
    lines.field(
        2,
        "Requests that may wait; one more is answered with 429.",
        "queue",
        &pod.queue.to_string(),
    );
    lines.field(
        2,
        "Seconds after which a refused client comes back: what a full queue takes.",
        "retryAfter",
        &pod.retry_after.to_string(),
    );
    lines.field(
        2,
        &because("Cpu", "What the container asks for."),
        "resources",
        "",
    );
    lines.name(4, "requests", "");
    let requests = pod.resources.requests();
    for (name, value) in &requests {
        if *name == "memory" {
            lines.comment(6, &because("Memory", "Memory."));
        } else {
            lines.comment(6, "The workers, and what HTTP and encoding take.");
        }
        lines.name(6, name, value);
    }
    lines.field(4, "Memory is limited to what is requested.", "limits", "");
    for (name, value) in pod.resources.limits() {
        lines.name(6, name, &value);
    }
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use super::*;

    #[test]
    fn each_field_has_a_comment() {
        let decision = samples::decide(&samples::request());
        let text = manifest(decision.plan().unwrap());
        for field in [
            "nodeClass",
            "pod",
            "  threads",
            "  maxConcurrency",
            "replicas",
            "  inFlight",
        ] {
            let lines: Vec<&str> = text.lines().collect();
            let at = lines
                .iter()
                .position(|line| line.starts_with(&format!("{field}:")))
                .unwrap();
            assert!(lines[at - 1].trim_start().starts_with("# "), "{field}");
        }
        assert!(text.lines().all(|line| line.len() < WIDTH + 30));
    }

    #[test]
    fn no_line_break_leaves_a_comment() {
        let mut lines = Lines(Vec::new());
        lines.comment(0, "a\nb: c");
        assert_eq!(lines.0, ["# a b: c"]);
        assert_eq!(quoted("a\n\"b"), r#""a\n\"b""#);
    }
}

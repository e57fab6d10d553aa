//! A plan as people read it, and why there is none.
use serde::{Deserialize, Serialize};
use tts_crds::v1alpha1::{PlanReason, PlanStatus, PlannedPod, PlannedReplicas, Predicted};
use tts_planner::{Accelerator, AcceptedPlan, Alternatives, Infeasible, Prediction, Replicas};

/// What the API accepts of a text.
const MAX_TEXT: usize = 1024;
const MAX_REASON: usize = 2048;
const MAX_LISTED: usize = 32;

/// Why there is no plan that keeps the objectives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// A condition's reason.
    pub reason: String,
    pub message: String,
}

impl Shortage {
    /// `remarks`: what a reader has to know about the nodes.
    pub fn of(infeasible: &Infeasible, remarks: &[String]) -> Self {
        let message = infeasible.message.as_str();
        let message = if remarks.is_empty() {
            message.to_owned()
        } else {
            format!("{}; {}", message.trim_end_matches('.'), remarks.join("; "))
        };
        Self {
            reason: infeasible.condition.to_string(),
            message,
        }
    }

    /// The numbers of the deployment contradict each other.
    pub fn contradiction(message: impl Into<String>) -> Self {
        Self {
            reason: "Contradiction".to_owned(),
            message: message.into(),
        }
    }
}

/// What else there was, as sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub alternatives: Vec<String>,
    pub rejected: Vec<String>,
}

impl From<&Alternatives> for Texts {
    fn from(alternatives: &Alternatives) -> Self {
        Self {
            alternatives: with_omitted(&alternatives.candidates, alternatives.omitted_candidates),
            rejected: with_omitted(&alternatives.rejected, alternatives.omitted_rejected),
        }
    }
}

fn with_omitted(listed: &[impl ToString], omitted: u32) -> Vec<String> {
    let more = (omitted > 0).then(|| format!("{omitted} more"));
    listed.iter().map(ToString::to_string).chain(more).collect()
}

/// `inputs` identifies what the plan was made from.
pub fn status(
    plan: &AcceptedPlan,
    inputs: &str,
    alternatives: &[String],
    rejected: &[String],
) -> PlanStatus {
    let pod = &plan.pod;
    let quantity = |of: &[(&str, String)], name: &str| {
        let found = of.iter().find(|(resource, _)| *resource == name);
        found.map(|(_, quantity)| quantity.clone())
    };
    let (requests, limits) = (pod.resources.requests(), pod.resources.limits());
    PlanStatus {
        input_hash: inputs.to_owned(),
        node_class: plan.node_class.clone(),
        accelerator: match plan.accelerator {
            Accelerator::Cpu => "Cpu".to_owned(),
            Accelerator::Gpu => "Gpu".to_owned(),
        },
        pod: PlannedPod {
            cpu: quantity(&requests, "cpu").unwrap_or_default(),
            cpu_limit: quantity(&limits, "cpu"),
            memory: quantity(&requests, "memory").unwrap_or_default(),
            threads: int(pod.threads.intra_op),
            max_concurrency: int(pod.max_concurrency),
            queue: int(pod.queue),
        },
        replicas: replicas(plan.replicas),
        predicted: plan.predicted.as_ref().map(predicted),
        profiles: plan
            .voices
            .iter()
            .map(|voice| voice.profile.clone())
            .take(MAX_LISTED)
            .collect(),
        reasons: plan
            .reasons
            .iter()
            .take(MAX_LISTED)
            .map(|reason| PlanReason {
                code: reason.code.clone(),
                text: cut(&reason.text, MAX_REASON),
            })
            .collect(),
        alternatives: texts(alternatives),
        rejected: texts(rejected),
    }
}

fn replicas(replicas: Replicas) -> PlannedReplicas {
    PlannedReplicas {
        min: int(replicas.min),
        planned: int(replicas.fixed()),
        max: int(replicas.max),
    }
}

fn predicted(prediction: &Prediction) -> Predicted {
    let milliseconds = |seconds: f64| format!("{:.0}ms", 1_000.0 * seconds);
    let price = |price: f64| (!prediction.prices_assumed).then(|| format!("{price:.4}"));
    Predicted {
        time_to_first_audio: prediction.ttfa_p95.map(milliseconds),
        idle_time_to_first_audio: milliseconds(prediction.ttfa_p95_idle),
        real_time_factor: format!("{:.3}", prediction.rtf_p95),
        requests_per_second_per_pod: format!("{:.3}", prediction.rate),
        late_or_refused_percent: format!("{:.1}", 100.0 * prediction.late_or_rejected),
        cost_per_hour: price(prediction.cost_per_hour),
        cost_per_audio_hour: price(prediction.cost_per_audio_hour),
    }
}

fn texts(texts: &[String]) -> Vec<String> {
    let texts = texts.iter().take(MAX_LISTED);
    texts.map(|text| cut(text, MAX_TEXT)).collect()
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// As Kubernetes has numbers.
pub fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

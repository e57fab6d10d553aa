//! A plan as people read it.
use tts_crds::v1alpha1::{PlanReason, PlanStatus, PlannedPod, PlannedReplicas, Predicted};
use tts_planner::{Accelerator, AcceptedPlan, Prediction, Replicas};

use crate::controllers::deployment::{accepted::Considered, plan::Workload, replicas::int};

/// What the API accepts of a text.
const MAX_TEXT: usize = 1024;
const MAX_REASON: usize = 2048;
const MAX_LISTED: usize = 32;

/// The plan of the accepted pods; `None` where they were not planned.
pub(super) fn accepted(workload: &Workload) -> Option<PlanStatus> {
    let accepted = &workload.accepted;
    let plan = &accepted.plan.as_ref()?.plan;
    Some(status(plan, accepted.considered.as_ref()?))
}

pub(super) fn status(plan: &AcceptedPlan, considered: &Considered) -> PlanStatus {
    let pod = &plan.pod;
    let quantity = |of: &[(&str, String)], name: &str| {
        let found = of.iter().find(|(resource, _)| *resource == name);
        found.map(|(_, quantity)| quantity.clone())
    };
    let (requests, limits) = (pod.resources.requests(), pod.resources.limits());
    PlanStatus {
        input_hash: considered.inputs.clone(),
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
        alternatives: texts(&considered.alternatives),
        rejected: texts(&considered.rejected),
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

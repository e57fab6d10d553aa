//! What a golden case expects against what the planner says.

use serde_json::{Map, Value};
use tts_planner::{AcceptedPlan, Decision, Outcome, Prediction};

/// Relative; 1e-6 is far below what any input is known to, and above rounding.
const TOLERANCE: f64 = 1e-6;

/// The decision in the names of golden cases.
pub fn short(decision: &Decision) -> Map<String, Value> {
    let plan = match &decision.outcome {
        Outcome::Plan(plan) => plan,
        Outcome::Infeasible(infeasible) => {
            return Map::from_iter([
                ("feasible".to_owned(), false.into()),
                (
                    "condition".to_owned(),
                    infeasible.condition.to_string().into(),
                ),
            ]);
        }
    };
    let AcceptedPlan {
        pod,
        replicas,
        autoscaling,
        ..
    } = plan.as_ref();
    let predicted = |value: fn(&Prediction) -> f64| {
        plan.predicted
            .as_ref()
            .map_or(Value::Null, |predicted| value(predicted).into())
    };
    let entries: [(&str, Value); 20] = [
        ("feasible", true.into()),
        ("cls", plan.node_class.clone().unwrap_or_default().into()),
        ("accel", plan.accelerator.to_string().into()),
        ("cpu", pod.resources.cpu_request.into()),
        ("threads", pod.threads.intra_op.into()),
        ("C", pod.max_concurrency.into()),
        ("Q", pod.queue.into()),
        ("mem", pod.resources.memory.into()),
        ("R", replicas.at_peak.into()),
        ("rmin", replicas.min.into()),
        ("rmax", replicas.max.into()),
        ("lam", predicted(|predicted| predicted.rate)),
        ("rho", predicted(|predicted| predicted.utilisation)),
        ("cost", predicted(|predicted| predicted.cost_per_hour)),
        (
            "cost_audio_h",
            predicted(|predicted| predicted.cost_per_audio_hour),
        ),
        ("hpa_offered", autoscaling.offered_audio.into()),
        ("hpa_inflight", autoscaling.in_flight.into()),
        (
            "hpa_cpu",
            autoscaling.cpu_percent.map_or(Value::Null, Value::from),
        ),
        (
            "down",
            autoscaling
                .behavior
                .scale_down
                .stabilization_window_seconds
                .into(),
        ),
        (
            "p95",
            plan.predicted
                .as_ref()
                .and_then(|predicted| predicted.ttfa_p95)
                .map_or(Value::Null, Value::from),
        ),
    ];
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// One line for each expected value that was not found.
pub fn differences(expected: &Map<String, Value>, decision: &Decision) -> Vec<String> {
    let found = short(decision);
    expected
        .iter()
        .filter_map(|(name, expected)| {
            let found = found.get(name).unwrap_or(&Value::Null);
            match (expected.as_f64(), found.as_f64()) {
                (Some(expected), Some(found)) => {
                    let difference = relative(expected, found);
                    (difference.is_nan() || difference > TOLERANCE)
                        .then(|| format!("{name}: expected {expected}, found {found}: relative difference {difference:.3e}"))
                }
                _ => (expected != found).then(|| format!("{name}: expected {expected}, found {found}")),
            }
        })
        .collect()
}

fn relative(expected: f64, found: f64) -> f64 {
    let difference = (found - expected).abs();
    if difference == 0.0 {
        0.0
    } else {
        difference / expected.abs().max(f64::MIN_POSITIVE)
    }
}

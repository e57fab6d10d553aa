//! What a golden case expects against what the planner says.

use serde_json::{Map, Value};
use tts_planner::{Condition, Decision, Plan};

/// Relative; 1e-6 is far below what any input is known to, and above rounding.
const TOLERANCE: f64 = 1e-6;

/// The decision in the names of golden cases.
pub fn short(decision: &Decision) -> Map<String, Value> {
    let plan = match decision {
        Decision::Plan(plan) => plan,
        Decision::Infeasible(infeasible) => {
            return Map::from_iter([
                ("feasible".to_owned(), false.into()),
                (
                    "condition".to_owned(),
                    infeasible.condition.to_string().into(),
                ),
            ]);
        }
    };
    let Plan {
        pod,
        replicas,
        autoscaling,
        predicted,
        ..
    } = plan.as_ref();
    let entries: [(&str, Value); 20] = [
        ("feasible", true.into()),
        ("cls", plan.node_class.clone().into()),
        ("accel", plan.accelerator.to_string().into()),
        ("cpu", pod.resources.cpu_request.into()),
        ("threads", pod.threads.intra_op.into()),
        ("C", pod.max_concurrency.into()),
        ("Q", pod.queue.into()),
        ("mem", pod.resources.memory.into()),
        ("R", replicas.at_peak.into()),
        ("rmin", replicas.min.into()),
        ("rmax", replicas.max.into()),
        ("lam", predicted.rate.into()),
        ("rho", predicted.utilisation.into()),
        ("cost", predicted.cost_per_hour.into()),
        ("cost_audio_h", predicted.cost_per_audio_hour.into()),
        ("hpa_offered", autoscaling.offered_audio.into()),
        ("hpa_inflight", autoscaling.in_flight.into()),
        (
            "hpa_cpu",
            autoscaling.cpu_percent.map_or(Value::Null, Value::from),
        ),
        ("down", autoscaling.scale_down.stabilization_seconds.into()),
        ("p95", predicted.ttfa_p95.map_or(Value::Null, Value::from)),
    ];
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// One line for each expected value that was not found.
pub fn differences(expected: &Map<String, Value>, decision: &Decision) -> Vec<String> {
    let found = short(decision);
    let expected = as_the_crate_would(expected, decision);
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

/// Two places where the goldens say less than the crate, or what no cluster takes.
fn as_the_crate_would(expected: &Map<String, Value>, decision: &Decision) -> Map<String, Value> {
    let mut expected = expected.clone();
    match decision {
        // They know one condition for all that no node can serve; the crate tells the causes apart.
        Decision::Infeasible(infeasible) => {
            let finer = [
                Condition::RtfInfeasible,
                Condition::PodDoesNotFit,
                Condition::NoProfile,
            ];
            let coarse = Condition::SloInfeasible.to_string();
            if finer.contains(&infeasible.condition)
                && expected.get("condition") == Some(&coarse.into())
            {
                expected.insert(
                    "condition".to_owned(),
                    infeasible.condition.to_string().into(),
                );
            }
        }
        // They let the least number of replicas exceed the largest when a user wants more than the
        // peak needs; an autoscaler refuses that, so the crate moves the largest up and keeps both
        // within the inventory.
        Decision::Plan(plan) => {
            let bounds = [expected.get("rmin"), expected.get("rmax")]
                .map(|bound| bound.and_then(Value::as_f64));
            if let [Some(min), Some(max)] = bounds
                && min > max
            {
                let min = min.min(f64::from(plan.replicas.limit));
                expected.insert("rmin".to_owned(), min.into());
                expected.insert("rmax".to_owned(), min.max(max).into());
            }
        }
    }
    expected
}

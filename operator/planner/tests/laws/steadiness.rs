//! What runs stays.

use serde_json::Value;
use tts_planner::{AcceptedPlan, LoadBalancing, Peak, Request, predict};
use tts_planner_dev::goldens::Goldens;
use tts_planner_dev::laws::for_each;
use tts_planner_dev::samples::{changed, decide};

use crate::{NOISE, rolled_out};

/// The pod, without what is told to clients only.
fn pod(plan: &AcceptedPlan) -> Value {
    let mut pod = serde_json::to_value(&plan.pod).unwrap();
    pod.as_object_mut().unwrap().remove("retryAfter");
    serde_json::json!({"class": plan.node_class, "voices": plan.voices, "pod": pod})
}

#[test]
fn a_plan_that_runs_is_planned_again() {
    for_each(75, |request, decision| {
        let Some(plan) = decision.plan() else {
            return Ok(false);
        };
        let approved = changed(request, |r| r.current = Some(plan.as_current().unwrap()));
        let again = decide(&approved);
        let Some(again) = again.plan() else {
            return Err("infeasible".to_owned());
        };
        if rolled_out(plan) != rolled_out(again) || plan.input_hash != again.input_hash {
            return Err(format!(
                "{} becomes {}",
                rolled_out(plan),
                rolled_out(again)
            ));
        }
        Ok(true)
    });
}

/// The measurements of one kind, a little different, as the next run of a benchmark finds them.
fn measured_again(request: &Request, name: &str, factor: f64) -> Request {
    changed(request, |r| {
        let profiles = r
            .measurements
            .iter_mut()
            .map(|measurement| &mut measurement.profile);
        for config in profiles.flat_map(|profile| &mut profile.configs) {
            match name {
                "throughput" => {
                    for level in &mut config.levels {
                        level.audio_per_sec *= factor;
                    }
                }
                "first audio" => {
                    for time in config.levels.iter_mut().flat_map(|level| &mut level.ttfa_q) {
                        *time *= factor;
                    }
                }
                _ => {
                    for memory in [Some(&mut config.mem), config.gpu_mem.as_mut()]
                        .into_iter()
                        .flatten()
                    {
                        memory.base *= factor;
                        memory.process = memory.process.map(|process| factor * process);
                        memory.per_inflight_audio *= factor;
                    }
                }
            }
        }
    })
}

/// What makes other pods necessary. Memory and cores that are asked for follow the measurement; the
/// first only upwards.
fn shape(plan: &AcceptedPlan) -> Value {
    let pod = &plan.pod;
    serde_json::json!({
        "class": plan.node_class,
        "voices": plan.voices,
        "cpu": pod.cpu,
        "threads": pod.threads,
        "concurrency": pod.max_concurrency,
        "queue": pod.queue,
        "qos": pod.resources.qos,
    })
}

#[test]
fn a_measurement_that_differs_by_a_percent_leaves_the_pods_alone() {
    for_each(80, |request, decision| {
        // Where pods take turns, one pod more also makes the arrivals at each steadier, so that
        // their number can jump by more than one; of 800 requests one moved.
        let random = request.policy.load_balancing == LoadBalancing::Random;
        let Some(plan) = decision.plan().filter(|_| random) else {
            return Ok(false);
        };
        let approved = changed(request, |r| r.current = Some(plan.as_current().unwrap()));
        for name in ["throughput", "first audio", "memory"] {
            for factor in [0.99, 1.01] {
                let drifted = measured_again(&approved, name, factor);
                let again = decide(&drifted);
                let kept = again.plan().is_some_and(|again| {
                    shape(plan) == shape(again)
                        && again.pod.resources.memory >= plan.pod.resources.memory
                });
                if !kept && still_serves(&drifted, plan) {
                    return Err(format!(
                        "{name} times {factor}: {} becomes {:?}",
                        shape(plan),
                        again.plan().map(shape)
                    ));
                }
            }
        }
        Ok(true)
    });
}

/// Whether the pods of the plan keep the objectives, and as many as are needed are possible.
fn still_serves(request: &Request, plan: &AcceptedPlan) -> bool {
    let found = predict(request, &plan.as_current().unwrap());
    found.is_ok_and(|found| {
        found.rate * f64::from(plan.replicas.limit) * (1.0 + NOISE) >= request.load.peak_rps()
    })
}

/// The first golden case, and a peak that rises: a shape is kept as long as it serves.
#[test]
fn a_rising_peak_changes_the_pods_once_at_most() {
    let goldens = Goldens::from_json(include_str!("../goldens/plans.json")).unwrap();
    let case = goldens
        .cases
        .iter()
        .find(|case| case.name.starts_with("P1 "))
        .unwrap();
    let mut request = goldens.request(case).unwrap();
    let peak = request.load.peak_rps();
    let mut pods: Vec<Value> = Vec::new();
    for step in 0..=40 {
        request.load.peak = Peak::RequestsPerSecond(peak * (1.0 + 0.005 * f64::from(step)));
        let plan = decide(&request).plan().cloned().unwrap();
        if pods.last() != Some(&pod(&plan)) {
            pods.push(pod(&plan));
        }
        request.current = Some(plan.as_current().unwrap());
    }
    assert!(pods.len() <= 2, "{pods:#?}");
}

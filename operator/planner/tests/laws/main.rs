//! What must hold for every plan, on requests drawn at random.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

mod advice;
mod costs;
mod identity;
mod promises;
mod steadiness;

use std::collections::BTreeMap;

use serde_json::Value;
use tts_planner::{AcceptedPlan, Condition, Outcome, Request};
use tts_planner_dev::draws::Draw;
use tts_planner_dev::laws;

/// What sums of rounded numbers may differ by, relative.
const NOISE: f64 = 1e-8;

/// Other numbers for each request, always the same.
fn numbers(request: &Request) -> Draw {
    Draw::new(request.load.peak_rps().to_bits())
}

/// What is rolled out.
fn rolled_out(plan: &AcceptedPlan) -> Value {
    serde_json::json!({
        "class": plan.node_class,
        "voices": plan.voices,
        "pod": plan.pod,
        "replicas": plan.replicas,
    })
}

#[test]
fn the_draw_reaches_every_condition() {
    const CASES: u32 = 300;
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..CASES {
        let outcome = match &laws::decision(2026 + u64::from(seed)).outcome {
            Outcome::Plan(plan) => plan.accelerator.to_string(),
            Outcome::Infeasible(infeasible) => infeasible.condition.to_string(),
        };
        *found.entry(outcome).or_default() += 1;
    }
    let share =
        |outcome: &str| f64::from(found.get(outcome).copied().unwrap_or(0)) / f64::from(CASES);
    assert!(share("cpu") >= 0.25 && share("gpu") >= 0.1, "{found:?}");
    for condition in [
        Condition::SloInfeasible,
        Condition::CapacityInsufficient,
        Condition::RtfInfeasible,
        Condition::PodDoesNotFit,
        Condition::NoProfile,
        Condition::NoNodeClass,
    ] {
        assert!(
            share(&condition.to_string()) >= 0.01,
            "{condition}: {found:?}"
        );
    }
}

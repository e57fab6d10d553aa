//! Nodes: their prices, their sizes, and which there are.

use tts_planner::{AcceptedPlan, Condition, Current, Exclusion, Peak, Rejection};
use tts_planner_dev::samples::{changed, decide, request};

use crate::{only_cpu, planned};

#[test]
fn several_classes_together_carry_what_one_cannot() {
    let scarce = changed(&request(), |r| {
        r.load.peak = Peak::RequestsPerSecond(60.0);
        r.classes.iter_mut().for_each(|class| class.max_nodes = 3);
    });
    let decision = decide(&scarce);
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::CapacityInsufficient);
    let fill = infeasible.together.as_ref().unwrap();
    assert_eq!(fill.shares.len(), 2);
    let carried: f64 = fill.shares.iter().map(|share| share.rate).sum();
    assert!((carried + fill.uncovered - 60.0).abs() < 1e-9);
    assert!(
        fill.shares[0].alternative.cost_per_audio_hour
            <= fill.shares[1].alternative.cost_per_audio_hour
    );
}

#[test]
fn nodes_that_cost_nothing_are_planned_for_too() {
    let free = changed(&request(), |r| {
        r.classes
            .iter_mut()
            .for_each(|class| class.price_per_hour = Some(0.0));
        r.current = Some(Current {
            class: "gpu".to_owned(),
            ..Current::default()
        });
    });
    let plan = planned(&free);
    assert_eq!(
        plan.node_class.as_deref(),
        Some("gpu"),
        "nothing is saved by a move"
    );
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<AcceptedPlan>(&text).unwrap(), plan);
    assert!(
        plan.reasons
            .iter()
            .all(|reason| !reason.to_string().contains("NaN"))
    );
}

#[test]
fn classes_without_a_price_are_weighed() {
    let request = changed(&request(), |r| {
        r.classes
            .iter_mut()
            .for_each(|class| class.price_per_hour = None);
    });
    let plan = planned(&request);
    assert!(plan.predicted.unwrap().prices_assumed);
    let pod = plan.pod.resources;
    let weight = pod.cpu_request + 8.0 * f64::from(pod.gpus);
    assert!(
        (plan.predicted.unwrap().cost_per_hour - weight * f64::from(plan.replicas.steady)).abs()
            < 1e-9
    );
    assert_eq!(
        plan.reason("PricesAssumed").unwrap().numbers["mixed"],
        false
    );
}

#[test]
fn a_price_of_nothing_plans_as_a_very_small_one() {
    let priced = |price: Option<f64>| {
        planned(&changed(&only_cpu(), |r| {
            r.classes
                .iter_mut()
                .for_each(|class| class.price_per_hour = price);
        }))
    };
    let (nothing, little) = (priced(Some(0.0)), priced(Some(1e-9)));
    assert_eq!(
        (&nothing.pod, nothing.replicas),
        (&little.pod, little.replicas)
    );
}

/// By weight fewer pods are cheaper, but where each request takes much memory, fewer of the larger ones fit.
#[test]
fn whether_a_plan_fits_does_not_depend_on_prices() {
    let on_gpus = |peak, price| {
        changed(&request(), |r| {
            r.classes.remove(0);
            r.measurements.remove(0);
            for config in &mut r.measurements[0].profile.configs {
                config.mem.base = 400.0;
                config.mem.per_inflight_audio = 20.0;
            }
            let class = &mut r.classes[0];
            class.allocatable_cpu = 16.0;
            class.allocatable_memory = 4000.0;
            class.gpu_slots = 4;
            class.max_nodes = 3;
            class.price_per_hour = price;
            r.objectives.ttfa_p95 = 0.5;
            r.load.peak = Peak::RequestsPerSecond(peak);
        })
    };
    let mut infeasible = 0;
    for step in 1..=120 {
        let peak = 2.0 * f64::from(step);
        let feasible = |price| decide(&on_gpus(peak, price)).plan().is_some();
        let priced = feasible(Some(1.0));
        assert_eq!(feasible(None), priced, "{peak} requests/s without a price");
        assert_eq!(feasible(Some(0.0)), priced, "{peak} requests/s for nothing");
        infeasible += i32::from(!priced);
    }
    assert!((1..120).contains(&infeasible), "{infeasible}");
}

#[test]
fn nodes_too_small_are_said_to_be() {
    let decision = decide(&changed(&only_cpu(), |r| {
        r.classes[0].allocatable_memory = 100.0;
    }));
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::PodDoesNotFit);
    assert!(
        infeasible.reason.to_string().contains("100 MiB"),
        "{}",
        infeasible.reason
    );
}

#[test]
fn an_excluded_class_is_rejected_with_its_reason() {
    let excluded = changed(&request(), |r| {
        r.classes[1].excluded = Some(Exclusion::Cordoned);
    });
    let decision = decide(&excluded);
    assert_eq!(decision.plan().unwrap().node_class.as_deref(), Some("cpu"));
    let said = decision
        .alternatives
        .rejected
        .iter()
        .map(Rejection::to_string);
    assert!(
        said.into_iter()
            .any(|text| text == "gpu: its nodes are cordoned")
    );
    let none = changed(&excluded, |r| {
        r.classes[0].excluded = Some(Exclusion::NotAllowed);
    });
    let decision = decide(&none);
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::NoNodeClass);
    assert_eq!(
        infeasible.message,
        "No node class can be used. cpu: the deployment does not list this class; gpu: its nodes are cordoned."
    );
}

#[test]
fn nodes_promised_to_others_are_not_planned_for() {
    let free = planned(&only_cpu());
    let taken = changed(&only_cpu(), |r| {
        // What is left holds one pod less than needed.
        let class = &mut r.classes[0];
        class.max_nodes = free.replicas.at_peak;
        class.promised.cpu =
            f64::from(class.max_nodes) * class.allocatable_cpu - free.pod.resources.cpu_request;
    });
    let decision = decide(&taken);
    assert!(decision.plan().is_none_or(|plan| plan.pod != free.pod));
}

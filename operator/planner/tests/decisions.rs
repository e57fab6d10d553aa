//! Rules with one right answer each: bounds of the user, sizes of nodes, prices, advice.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use tts_planner::{
    Condition, CpuManager, Current, Decision, Measurement, Peak, Plan, Profile, Qos, Reason,
    Request, Validity, plan,
};
use tts_planner_dev::samples::{PIPER, changed, decide, on_cpu, request};

fn only_cpu() -> Request {
    changed(&request(), |r| {
        r.classes.truncate(1);
        r.measurements.truncate(1);
    })
}

fn planned(request: &Request) -> Plan {
    decide(request).plan().cloned().unwrap()
}

#[test]
fn a_guaranteed_pod_has_whole_cores_of_its_own() {
    for request in [
        changed(&only_cpu(), |r| r.policy.qos = Qos::Guaranteed),
        changed(&only_cpu(), |r| {
            r.classes[0].cpu_manager = CpuManager::Static;
        }),
    ] {
        let resources = planned(&request).pod.resources;
        assert_eq!(resources.qos, Qos::Guaranteed);
        assert_eq!(resources.cpu_limit, Some(resources.cpu_request));
        assert!(resources.cpu_request.fract() == 0.0);
    }
}

#[test]
fn a_limit_where_the_namespace_demands_one() {
    let resources = planned(&changed(&only_cpu(), |r| {
        r.policy.cpu_limit_required = true;
    }))
    .pod
    .resources;
    assert!((resources.cpu_limit.unwrap() - (resources.cpu_request - 0.1 + 1.0)).abs() < 1e-9);
    assert_eq!(planned(&only_cpu()).pod.resources.cpu_limit, None);
}

#[test]
fn the_users_bounds_are_kept() {
    let at_least = planned(&changed(&only_cpu(), |r| r.policy.min_replicas = 30));
    assert!(
        at_least.replicas.min == 30
            && at_least.replicas.max >= 30
            && at_least.replicas.fixed() == 30
    );
    let small = planned(&changed(&only_cpu(), |r| {
        r.policy.max_cpu_per_pod = Some(2.0);
    }));
    assert!(small.pod.cpu <= 2.0);
    let decision = decide(&changed(&only_cpu(), |r| r.policy.max_replicas = Some(1)));
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::CapacityInsufficient);
    assert_eq!(infeasible.best_effort.as_ref().unwrap().replicas.at_peak, 1);
}

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
fn no_measurement_no_plan() {
    for request in [
        changed(&request(), |r| r.measurements.clear()),
        changed(&request(), |r| {
            r.measurements
                .iter_mut()
                .for_each(|m| m.profile.run.validity = Validity::Invalid);
        }),
        changed(&request(), |r| r.classes.clear()),
    ] {
        let decision = decide(&request);
        assert_eq!(
            decision.infeasible().unwrap().condition,
            Condition::NoProfile
        );
    }
}

#[test]
fn nodes_that_cost_nothing_are_planned_for_too() {
    let free = changed(&request(), |r| {
        r.classes
            .iter_mut()
            .for_each(|class| class.price_per_hour = Some(0.0));
        r.current = Some(Current {
            class: "gpu".to_owned(),
        });
    });
    let plan = planned(&free);
    assert_eq!(plan.node_class, "gpu", "nothing is saved by a move");
    let text = serde_json::to_string(&Decision::Plan(Box::new(plan.clone()))).unwrap();
    assert_eq!(
        serde_json::from_str::<Decision>(&text).unwrap().plan(),
        Some(&plan)
    );
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
    assert!(plan.predicted.prices_assumed);
    let pod = plan.pod.resources;
    let weight = pod.cpu_request + 8.0 * f64::from(pod.gpus);
    assert!(
        (plan.predicted.cost_per_hour - weight * f64::from(plan.replicas.at_peak)).abs() < 1e-9
    );
    let mixed = |reason: &Reason| matches!(reason, Reason::PricesAssumed { mixed: false, .. });
    assert!(plan.reasons.iter().any(mixed));
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
fn sizes_between_measured_ones_are_flagged() {
    let request = changed(&only_cpu(), |r| {
        r.measurements[0].profile = on_cpu("cpu", PIPER, &[1, 4]);
        r.classes[0].allocatable_cpu = 6.4;
        r.objectives.ttfa_p95 = 0.6;
    });
    let plan = planned(&request);
    let sizes: Vec<f64> = plan
        .candidates
        .iter()
        .filter(|c| c.interpolated)
        .map(|c| c.cpu)
        .collect();
    assert!(sizes.contains(&6.0) && sizes.contains(&3.0), "{sizes:?}");
    assert!(!sizes.contains(&1.0) && !sizes.contains(&4.0), "{sizes:?}");
    assert!(plan.pod.interpolated);
    assert!(
        plan.reasons
            .iter()
            .any(|reason| matches!(reason, Reason::Interpolated { .. }))
    );
    let measured = planned(&changed(&request, |r| r.policy.interpolate_sizes = false));
    assert!(
        !measured.pod.interpolated
            && measured
                .candidates
                .iter()
                .all(|candidate| !candidate.interpolated)
    );
}

#[test]
fn no_size_is_more_than_one_doubling_away() {
    let request = changed(&only_cpu(), |r| {
        r.measurements[0].profile = on_cpu("cpu", PIPER, &[2]);
        r.classes[0].allocatable_cpu = 64.0;
    });
    assert!(
        planned(&request)
            .candidates
            .iter()
            .all(|candidate| candidate.cpu <= 4.0)
    );
}

#[test]
fn production_slower_than_the_profile_takes_more_pods_and_faster_no_fewer() {
    let with = |correction| {
        planned(&changed(&only_cpu(), |r| {
            let mut standing =
                tts_planner::validity::Standing::as_recorded(&r.measurements[0].profile);
            standing.correction = correction;
            r.measurements[0].standing = Some(standing);
        }))
    };
    assert!(with(1.3).predicted.cost_per_hour > with(1.0).predicted.cost_per_hour);
    assert_eq!(with(0.7).replicas, with(1.0).replicas);
}

#[test]
fn bad_requests_name_the_field() {
    let error =
        |change: fn(&mut Request)| plan(&changed(&request(), change)).unwrap_err().to_string();
    assert!(error(|r| r.objectives.ttfa_p95 = f64::NAN).starts_with("objectives.ttfaP95"));
    assert!(
        error(|r| r.load.peak = Peak::RequestsPerSecond(-1.0))
            .starts_with("load.peak.requestsPerSecond")
    );
    assert!(error(|r| r.policy.max_utilisation = 1.0).starts_with("policy.maxUtilisation"));
    assert!(
        error(|r| r.classes[0].allocatable_cpu = f64::INFINITY)
            .starts_with("classes[\"cpu\"].allocatableCpu")
    );
    assert!(error(|r| r.classes[1].name = "cpu".to_owned()).contains("two are named \"cpu\""));
    assert!(
        error(|r| r.measurements[1].profile.id = "voice.cpu".to_owned()).contains("\"voice.cpu\"")
    );
    assert!(error(|r| r.measurements[0].profile.configs[0].s1 = -1.0).contains("configs[0].s1"));
}

#[test]
fn the_hash_follows_the_inputs() {
    let same = request().input_hash();
    assert_eq!(same.len(), 64);
    assert_eq!(same, request().input_hash());
    assert_ne!(
        same,
        changed(&request(), |r| r.load.audio_cv += 1e-9).input_hash()
    );
    let profile: Profile = request().measurements[0].profile.clone();
    assert_ne!(
        same,
        changed(&request(), |r| r.measurements.push(
            Measurement::as_recorded(Profile {
                id: "x".to_owned(),
                ..profile
            })
        ))
        .input_hash()
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
fn a_pod_stays_within_what_it_may_have() {
    let limited = |most: f64| {
        changed(&only_cpu(), |r| {
            r.policy.max_cpu_per_pod = Some(most);
            r.policy.cpu_limit_required = true;
        })
    };
    for most in [1.1, 2.0, 2.1, 4.1] {
        let plan = planned(&limited(most));
        let resources = plan.pod.resources;
        assert!(
            resources.cpu_request <= most && resources.cpu_limit.unwrap() <= most,
            "{resources:?}"
        );
    }
    let decision = decide(&limited(0.5));
    let reason = decision.infeasible().unwrap().reason.clone();
    let Reason::AboveLimit { cpu, .. } = reason else {
        panic!("{reason}")
    };
    assert!(
        decide(&limited(cpu)).plan().is_some()
            || decide(&limited(cpu)).infeasible().unwrap().condition != Condition::PodDoesNotFit
    );
    let memory = |most| changed(&only_cpu(), |r| r.policy.max_memory_per_pod = Some(most));
    let reason = decide(&memory(100.0)).infeasible().unwrap().reason.clone();
    assert!(
        matches!(reason, Reason::AboveMemoryLimit { .. }),
        "{reason}"
    );
    assert!(planned(&memory(2000.0)).pod.resources.memory <= 2000.0);
}

#[test]
fn too_few_replicas_are_not_too_few_nodes() {
    let decision = decide(&changed(&only_cpu(), |r| r.policy.max_replicas = Some(1)));
    let reason = decision.infeasible().unwrap().reason.clone();
    let Reason::Capacity {
        add_nodes,
        raise_max_replicas,
        ..
    } = reason
    else {
        panic!("{reason}")
    };
    assert_eq!(add_nodes, 0);
    let raised = changed(&only_cpu(), |r| r.policy.max_replicas = raise_max_replicas);
    assert!(decide(&raised).plan().is_some());
    assert!(
        reason.to_string().contains("raise maxReplicas to"),
        "{reason}"
    );
}

#[test]
fn the_largest_peak_is_found_however_far_too_large_the_wanted_one_is() {
    let with_peak = |rate| {
        changed(&only_cpu(), |r| {
            r.classes[0].max_nodes = 2;
            r.load.peak = Peak::RequestsPerSecond(rate);
        })
    };
    let mut found = Vec::new();
    for wanted in [100.0, 1e8] {
        let reason = decide(&with_peak(wanted))
            .infeasible()
            .unwrap()
            .reason
            .clone();
        let Reason::Capacity {
            affordable_peak, ..
        } = reason
        else {
            panic!("{reason}")
        };
        assert!(
            decide(&with_peak(affordable_peak)).plan().is_some(),
            "{affordable_peak}"
        );
        assert!(
            decide(&with_peak(affordable_peak * 1.01)).plan().is_none(),
            "{affordable_peak}"
        );
        found.push(affordable_peak);
    }
    assert!((found[0] / found[1] - 1.0).abs() < 0.005, "{found:?}");
}

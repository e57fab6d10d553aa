//! What users, quotas and limit ranges allow, and what is said where that is too little.

use tts_planner::{Because, Condition, CpuManager, Peak, Qos, Request, Shortage, plan};
use tts_planner_dev::samples::{changed, decide, request};

use crate::{only_cpu, planned};

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
    let Shortage::Unfit {
        because: Because::AboveLimit { cpu, .. },
        ..
    } = reason
    else {
        panic!("{reason}")
    };
    assert!(
        decide(&limited(cpu)).plan().is_some()
            || decide(&limited(cpu)).infeasible().unwrap().condition != Condition::PodDoesNotFit
    );
    let memory = |most| changed(&only_cpu(), |r| r.policy.max_memory_per_pod = Some(most));
    let reason = decide(&memory(100.0)).infeasible().unwrap().reason.clone();
    assert!(
        reason.to_string().contains("Raise maxMemoryPerPod to"),
        "{reason}"
    );
    assert!(planned(&memory(2000.0)).pod.resources.memory <= 2000.0);
}

#[test]
fn too_few_replicas_are_not_too_few_nodes() {
    let decision = decide(&changed(&only_cpu(), |r| r.policy.max_replicas = Some(1)));
    let reason = decision.infeasible().unwrap().reason.clone();
    let Shortage::Capacity {
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
        reason.to_string().contains("Raise maxReplicas to"),
        "{reason}"
    );
}

#[test]
fn a_quota_binds_and_its_advice_helps() {
    let bound = changed(&only_cpu(), |r| {
        r.load.peak = Peak::RequestsPerSecond(40.0);
        r.quota.cpu = Some(6.0);
        r.quota.memory = Some(700.0);
    });
    let decision = decide(&bound);
    let infeasible = decision.infeasible().unwrap();
    let Shortage::Capacity {
        add_nodes: 0,
        raise_quota: Some(quota),
        ..
    } = infeasible.reason
    else {
        panic!("{}", infeasible.message)
    };
    assert!(
        infeasible.message.contains("Raise the quota to"),
        "{}",
        infeasible.message
    );
    let raised = changed(&bound, |r| {
        r.quota.cpu = quota.cpu.or(r.quota.cpu);
        r.quota.memory = quota.memory.or(r.quota.memory);
    });
    assert!(decide(&raised).plan().is_some());
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
        let Shortage::Capacity {
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
    assert!(error(|r| r.load.base_rps = Some(10.1)).starts_with("load.baseRps: 10.1 is more"));
}

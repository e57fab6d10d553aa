//! What is said to help does.

use tts_planner::{Because, Condition, Peak, Request, Shortage};
use tts_planner_dev::laws::for_each;
use tts_planner_dev::samples::{changed, decide};

/// The request as the reason says that it should be; None where nothing but a measurement or another
/// class helps. And whether that must be enough.
fn followed(request: &Request, reason: &Shortage) -> Option<(Request, bool)> {
    let with =
        |sufficient, change: &dyn Fn(&mut Request)| Some((changed(request, change), sufficient));
    match reason {
        Shortage::Capacity {
            class,
            add_nodes,
            raise_max_replicas,
            raise_quota,
            ..
        } => with(true, &|r| {
            for known in &mut r.classes {
                if known.name == *class {
                    known.max_nodes += add_nodes;
                }
            }
            r.policy.max_replicas = raise_max_replicas.or(r.policy.max_replicas);
            if let Some(raised) = raise_quota {
                r.quota.cpu = raised.cpu.or(r.quota.cpu);
                r.quota.memory = raised.memory.or(r.quota.memory);
                r.quota.gpus = raised.gpus.or(r.quota.gpus);
                r.quota.pods = raised.pods.or(r.quota.pods);
            }
        }),
        Shortage::TooLate {
            possible_objective, ..
        } => with(false, &|r| r.objectives.ttfa_p95 = *possible_objective),
        Shortage::TooSlow {
            possible_objective, ..
        } => with(false, &|r| r.objectives.rtf_p95 = *possible_objective),
        Shortage::Unfit { class, because, .. } => match because {
            Because::AboveLimit { cpu, .. } => {
                with(false, &|r| r.policy.max_cpu_per_pod = Some(*cpu))
            }
            Because::AboveMemoryLimit { memory, .. } => {
                with(false, &|r| r.policy.max_memory_per_pod = Some(*memory))
            }
            Because::Fit { cpu, memory } => with(false, &|r| {
                for known in &mut r.classes {
                    if known.name == *class {
                        known.allocatable_cpu = known.allocatable_cpu.max(*cpu);
                        known.allocatable_memory = known.allocatable_memory.max(memory.ceil());
                    }
                }
            }),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn advice_that_is_followed_leads_to_a_plan() {
    for_each(40, |request, decision| {
        if decision.plan().is_some() {
            return Ok(false);
        }
        let mut now = request.clone();
        let mut decision = decision.clone();
        let mut seen = Vec::new();
        loop {
            let Some(infeasible) = decision.infeasible() else {
                return Ok(!seen.is_empty());
            };
            let Some((next, sufficient)) = followed(&now, &infeasible.reason) else {
                return Ok(!seen.is_empty());
            };
            let after = decide(&next);
            if let (true, Some(still)) = (sufficient, after.infeasible()) {
                return Err(format!(
                    "not enough: {:?}, then {:?}",
                    infeasible.reason, still.reason
                ));
            }
            seen.push(infeasible.message.clone());
            if next == now || seen.len() > 40 {
                return Err(format!("no end: {seen:#?}"));
            }
            (now, decision) = (next, after);
        }
    });
}

#[test]
fn what_is_said_to_be_possible_is() {
    for_each(75, |request, decision| {
        let Some(infeasible) = decision.infeasible() else {
            return Ok(false);
        };
        let feasible =
            |change: &dyn Fn(&mut Request)| decide(&changed(request, change)).plan().is_some();
        let condition = |change: &dyn Fn(&mut Request)| {
            decide(&changed(request, change))
                .infeasible()
                .map(|infeasible| infeasible.condition)
        };
        match infeasible.reason {
            Shortage::Capacity {
                affordable_peak,
                possible_objective,
                ..
            } => {
                let with_peak = |peak: f64| {
                    feasible(&|r| {
                        r.load.peak = Peak::RequestsPerSecond(peak);
                        r.load.base_rps = None;
                    })
                };
                if affordable_peak > 0.0 && !with_peak(affordable_peak) {
                    return Err(format!("affordable peak {affordable_peak}"));
                }
                if affordable_peak > 0.0
                    && with_peak((affordable_peak * 1.01).min(request.load.peak_rps() * 0.9999))
                    && affordable_peak * 1.01 < request.load.peak_rps()
                {
                    return Err(format!("more than the affordable peak {affordable_peak}"));
                }
                if let Some(objective) = possible_objective
                    && !feasible(&|r| r.objectives.ttfa_p95 = objective)
                {
                    return Err(format!("possible objective {objective}"));
                }
            }
            Shortage::TooLate {
                possible_objective, ..
            } => {
                if possible_objective <= request.objectives.ttfa_p95 {
                    return Err(format!("possible objective {possible_objective}"));
                }
            }
            Shortage::TooSlow {
                possible_objective, ..
            } => {
                let after = condition(&|r| r.objectives.rtf_p95 = possible_objective);
                if after == Some(Condition::RtfInfeasible)
                    || possible_objective <= request.objectives.rtf_p95
                {
                    return Err(format!("possible objective {possible_objective}"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
}

#[test]
fn what_runs_without_a_plan_stays_within_the_inventory() {
    for_each(150, |_, decision| {
        let Some(infeasible) = decision.infeasible() else {
            return Ok(false);
        };
        let Some(plan) = &infeasible.best_effort else {
            return Ok(false);
        };
        let replicas = plan.replicas;
        if replicas.at_peak == 0
            || replicas.max > replicas.limit
            || replicas.at_peak > replicas.limit
            || replicas.min > replicas.max
        {
            return Err(format!("{replicas:?}"));
        }
        Ok(true)
    });
}

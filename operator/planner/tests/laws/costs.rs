//! What is asked, what is doubted, what there is and what it costs.

use tts_planner::{Decision, LoadBalancing, Minimise, Outcome, Peak, Request, Validity};
use tts_planner_dev::laws::{Verdict, for_each};
use tts_planner_dev::samples::{changed, decide};

use crate::{NOISE, numbers, rolled_out};

/// What is minimised, and what decides where that is equal; infinite where there is no plan.
fn score(request: &Request, decision: &Decision) -> [f64; 2] {
    let none = [f64::INFINITY; 2];
    decision.plan().map_or(none, |plan| {
        let predicted = plan.predicted.unwrap();
        match request.policy.minimise {
            Minimise::Cost => [predicted.cost_per_hour, 0.0],
            Minimise::Energy => [predicted.watts.unwrap_or(f64::MAX), predicted.cost_per_hour],
        }
    })
}

/// Whether the first is worse.
fn worse(a: [f64; 2], b: [f64; 2]) -> bool {
    let less = |a: f64, b: f64| a < b && a < b * (1.0 - NOISE);
    less(b[0], a[0]) || (!less(a[0], b[0]) && less(b[1], a[1]))
}

/// Where there is a plan, the change leads to one that is no worse. Where there is none, nothing is
/// worse.
fn no_worse(
    name: &str,
    (request, decision): (&Request, &Decision),
    change: impl FnOnce(&mut Request),
) -> Verdict {
    if decision.plan().is_none() {
        return Ok(false);
    }
    let other = changed(request, change);
    if other == *request {
        return Ok(false);
    }
    let (before, after) = (score(request, decision), score(&other, &decide(&other)));
    if worse(after, before) {
        return Err(format!("{name}: {before:?} becomes {after:?}"));
    }
    Ok(true)
}

/// Whether any of the parts had something to say.
fn all<const N: usize>(parts: [Verdict; N]) -> Verdict {
    parts
        .into_iter()
        .try_fold(false, |any, part| Ok(any | part?))
}

#[test]
fn laxer_objectives_never_cost_more() {
    for_each(60, |request, decision| {
        let by = numbers(request).between(1.01, 2.0);
        all([
            no_worse("time to first audio", (request, decision), |r| {
                r.objectives.ttfa_p95 *= by;
            }),
            no_worse("real-time factor", (request, decision), |r| {
                r.objectives.rtf_p95 *= by;
            }),
        ])
    });
}

#[test]
fn a_lower_peak_never_costs_more() {
    for_each(75, |request, decision| {
        let by = numbers(request).between(0.5, 0.999);
        no_worse("peak", (request, decision), |r| {
            r.load.peak = Peak::RequestsPerSecond(by * r.load.peak_rps());
            r.load.base_rps = r.load.base_rps.map(|base| by * base);
        })
    });
}

#[test]
fn less_doubt_never_costs_more() {
    for_each(60, |request, decision| {
        let by = numbers(request).between(0.0, 0.9);
        all([
            no_worse("minDerate", (request, decision), |r| {
                r.policy.min_derate *= by;
            }),
            no_worse("standing", (request, decision), |r| {
                for measurement in &mut r.measurements {
                    measurement.standing = None;
                    measurement.profile.run.throughput_rel_ci *= by;
                }
            }),
            no_worse("validity", (request, decision), |r| {
                for measurement in &mut r.measurements {
                    if measurement.profile.run.validity != Validity::Invalid {
                        measurement.profile.run.validity = Validity::Valid;
                    }
                }
            }),
        ])
    });
}

#[test]
fn more_room_never_costs_more() {
    for_each(50, |request, decision| {
        let index = numbers(request).below(request.classes.len());
        let without = changed(request, |r| drop(r.classes.remove(index)));
        all([
            no_worse("maxNodes", (request, decision), |r| {
                r.classes.iter_mut().for_each(|class| class.max_nodes *= 2);
            }),
            no_worse("quota", (request, decision), |r| {
                r.quota.cpu = r.quota.cpu.map(|cpu| 1.5 * cpu);
                r.quota.memory = r.quota.memory.map(|memory| 1.5 * memory);
                r.quota.gpus = r.quota.gpus.map(|gpus| gpus + 1);
                r.quota.pods = r.quota.pods.map(|pods| pods + 1);
            }),
            no_worse("maxReplicas", (request, decision), |r| {
                r.policy.max_replicas = r.policy.max_replicas.map(|most| most + 1);
            }),
            no_worse("promised", (request, decision), |r| {
                r.classes
                    .iter_mut()
                    .for_each(|class| class.promised.cpu *= 0.5);
            }),
            no_worse("limits per pod", (request, decision), |r| {
                let policy = &mut r.policy;
                policy.max_cpu_per_pod = policy.max_cpu_per_pod.map(|cpu| 1.5 * cpu);
                policy.max_memory_per_pod = policy.max_memory_per_pod.map(|memory| 1.5 * memory);
            }),
            no_worse("one class more", (&without, &decide(&without)), |r| {
                *r = request.clone();
            }),
        ])
    });
}

#[test]
fn better_balancing_never_costs_more() {
    for_each(40, |request, _| {
        let random = changed(request, |r| r.policy.load_balancing = LoadBalancing::Random);
        no_worse("in turn", (&random, &decide(&random)), |r| {
            r.policy.load_balancing = LoadBalancing::RoundRobin;
        })
    });
}

fn with_prices(request: &Request, price: impl Fn(Option<f64>) -> Option<f64>) -> Request {
    changed(request, |r| {
        for class in &mut r.classes {
            class.price_per_hour = price(class.price_per_hour);
        }
    })
}

fn same_plan(name: &str, a: &Request, b: &Request) -> Verdict {
    match (decide(a).outcome, decide(b).outcome) {
        (Outcome::Plan(a), Outcome::Plan(b)) if rolled_out(&a) == rolled_out(&b) => Ok(true),
        (Outcome::Plan(a), Outcome::Plan(b)) => Err(format!(
            "{name}: {} becomes {}",
            rolled_out(&a),
            rolled_out(&b)
        )),
        (a, b) => Err(format!("{name}: {a:?} becomes {b:?}")),
    }
}

#[test]
fn prices_in_another_currency_change_nothing() {
    for_each(60, |request, decision| {
        if decision.plan().is_none() {
            return Ok(false);
        }
        let priced = with_prices(request, |price| price.or(Some(0.1)));
        let dear = with_prices(&priced, |price| price.map(|price| 7.0 * price));
        same_plan("dearer", &priced, &dear)
    });
}

#[test]
fn nodes_for_nothing_plan_as_nodes_for_next_to_nothing() {
    for_each(60, |request, decision| {
        if decision.plan().is_none() {
            return Ok(false);
        }
        let nothing = with_prices(request, |_| Some(0.0));
        let little = with_prices(request, |_| Some(1e-9));
        same_plan("0 and 1e-9", &nothing, &little)
    });
}

#[test]
fn what_is_possible_does_not_depend_on_prices() {
    for_each(60, |request, decision| {
        let condition =
            |decision: &Decision| decision.infeasible().map(|infeasible| infeasible.condition);
        let expected = condition(decision);
        for price in [None, Some(0.0), Some(1.0)] {
            let found = condition(&decide(&with_prices(request, |_| price)));
            if found != expected {
                return Err(format!("{expected:?}, at {price:?} {found:?}"));
            }
        }
        Ok(expected.is_none())
    });
}

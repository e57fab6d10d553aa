//! What a plan says holds.

use tts_planner::{Decision, Measurement, Outcome, Peak, Request, memory, predict};
use tts_planner_dev::laws::for_each;
use tts_planner_dev::samples::changed;

use crate::NOISE;

#[test]
fn the_objectives_are_kept_at_every_rate_up_to_the_planned_one() {
    for_each(40, |request, decision| {
        let Some(plan) = decision.plan() else {
            return Ok(false);
        };
        let predicted = plan.predicted.unwrap();
        let late = predicted
            .ttfa_p95
            .is_none_or(|p95| p95 > request.objectives.ttfa_p95 + 1e-6);
        if late
            || predicted.rtf_p95 > request.objectives.rtf_p95
            || predicted.late_or_rejected > 0.05 + NOISE
        {
            return Err(format!("at the peak: {predicted:?}"));
        }
        let replicas = plan.replicas.at_peak;
        if request.load.peak_rps() > predicted.rate * f64::from(replicas) * (1.0 + NOISE)
            || predicted.utilisation > request.policy.max_utilisation + NOISE
        {
            return Err(format!(
                "{replicas} pods carry less than the peak: {predicted:?}"
            ));
        }
        let shape = plan.as_current().unwrap();
        for percent in [1e-4, 1.0, 10.0, 30.0, 60.0, 80.0, 95.0, 100.0] {
            let rate = percent / 100.0 * predicted.rate * f64::from(replicas);
            let quieter = changed(request, |r| {
                r.load.peak = Peak::RequestsPerSecond(rate.max(1e-9));
                r.load.base_rps = None;
            });
            let found = predict(&quieter, &shape).map_err(|error| error.to_string())?;
            if found.late_or_rejected > 0.05 + 1e-7 {
                return Err(format!(
                    "at {percent} % of λ*: {found:?}, planned {predicted:?}"
                ));
            }
        }
        Ok(true)
    });
}

#[test]
fn a_pod_stays_within_what_it_may_have() {
    for_each(150, |request, decision| {
        let Some(plan) = decision.plan() else {
            return Ok(false);
        };
        let policy = &request.policy;
        let resources = &plan.pod.resources;
        let most_cpu = policy.max_cpu_per_pod.unwrap_or(f64::INFINITY);
        let most_memory = policy.max_memory_per_pod.unwrap_or(f64::INFINITY);
        let planned = |measurement: &&Measurement| {
            plan.voices
                .iter()
                .any(|voice| voice.profile == measurement.profile.id)
        };
        let learnt = request
            .measurements
            .iter()
            .filter(planned)
            .filter_map(|measurement| measurement.oom_killed_at)
            .map(memory::after_oom_kill)
            .fold(policy.min_memory_per_pod, f64::max);
        let class = request
            .classes
            .iter()
            .find(|class| Some(&class.name) == plan.node_class.as_ref())
            .unwrap();
        let limit = resources.cpu_limit.unwrap_or(resources.cpu_request);
        let vram = request
            .measurements
            .iter()
            .filter(planned)
            .filter_map(|measurement| {
                Some(measurement.profile.node.fingerprint.gpu.as_ref()?.vram_mib)
            })
            .fold(f64::INFINITY, f64::min);
        let arenas = resources.gpu_memory_limit.unwrap_or(0.0) * f64::from(class.pods_per_gpu);
        for (name, holds) in [
            (
                "maxCpuPerPod",
                limit.max(resources.cpu_request) <= most_cpu + NOISE,
            ),
            (
                "minCpuPerPod",
                resources.cpu_request >= policy.min_cpu_per_pod - NOISE,
            ),
            (
                "cpuLimit",
                limit >= resources.cpu_request
                    && (resources.cpu_limit.is_some() || !policy.cpu_limit_required),
            ),
            ("maxMemoryPerPod", resources.memory <= most_memory),
            ("memory learnt", resources.memory >= learnt),
            (
                "GPU memory",
                arenas <= vram - 512.0 || resources.gpu_memory_limit.is_none(),
            ),
            (
                "node",
                resources.cpu_request <= class.allocatable_cpu + NOISE
                    && resources.memory <= class.allocatable_memory,
            ),
            ("excluded", class.excluded.is_none()),
            (
                "workers",
                f64::from(plan.pod.threads.intra_op * plan.pod.threads.workers)
                    <= plan.pod.cpu.max(1.0),
            ),
        ] {
            if !holds {
                return Err(format!("{name}: {resources:?} {policy:?} {class:?}"));
            }
        }
        Ok(true)
    });
}

#[test]
fn as_many_pods_as_there_is_room_for() {
    for_each(150, |request, decision| {
        let Some(plan) = decision.plan() else {
            return Ok(false);
        };
        let (replicas, ask) = (plan.replicas, &plan.pod.resources);
        let class = request
            .classes
            .iter()
            .find(|class| Some(&class.name) == plan.node_class.as_ref())
            .unwrap();
        let (nodes, limit) = (f64::from(class.max_nodes), f64::from(replicas.limit));
        let quota = request.quota;
        let free_gpus = i64::from(class.gpu_slots) * i64::from(class.max_nodes)
            - i64::from(class.promised.gpus);
        let gpus = i64::from(ask.gpus) * i64::from(replicas.limit);
        let within = |asked: f64, offered: f64| asked <= offered * (1.0 + NOISE) + NOISE;
        for (name, holds) in [
            (
                "R",
                replicas.at_peak <= replicas.limit && replicas.at_peak <= replicas.max,
            ),
            (
                "S",
                replicas.steady <= replicas.limit
                    && replicas.steady <= replicas.max
                    && replicas.steady >= replicas.at_peak,
            ),
            (
                "min",
                replicas.min <= replicas.max
                    && replicas.min >= request.policy.min_replicas.min(replicas.limit),
            ),
            ("max", replicas.max <= replicas.limit),
            (
                "maxReplicas",
                request
                    .policy
                    .max_replicas
                    .is_none_or(|most| replicas.limit <= most),
            ),
            (
                "quota.pods",
                quota.pods.is_none_or(|most| replicas.limit <= most),
            ),
            (
                "quota.cpu",
                quota
                    .cpu
                    .is_none_or(|cpu| within(limit * ask.cpu_request, cpu)),
            ),
            (
                "quota.memory",
                quota
                    .memory
                    .is_none_or(|memory| within(limit * ask.memory, memory)),
            ),
            (
                "quota.gpus",
                quota.gpus.is_none_or(|most| gpus <= i64::from(most)),
            ),
            (
                "cores",
                within(
                    limit * ask.cpu_request,
                    nodes * class.allocatable_cpu - class.promised.cpu,
                ),
            ),
            (
                "memory",
                within(
                    limit * ask.memory,
                    nodes * class.allocatable_memory - class.promised.memory,
                ),
            ),
            ("GPUs", gpus <= free_gpus || ask.gpus == 0),
        ] {
            if !holds {
                return Err(format!("{name}: {replicas:?} {ask:?} {quota:?} {class:?}"));
            }
        }
        Ok(true)
    });
}

#[test]
fn what_is_stored_is_read_back_and_what_is_said_can_be_read() {
    for_each(150, |request, decision| {
        let text = serde_json::to_string(decision).unwrap();
        let read: Decision = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if read != *decision {
            return Err("another decision is read back".to_owned());
        }
        let asked = serde_json::to_string(request).unwrap();
        if serde_json::from_str::<Request>(&asked).map_err(|error| error.to_string())? != *request {
            return Err("another request is read back".to_owned());
        }
        let mut said: Vec<String> = Vec::new();
        match &decision.outcome {
            Outcome::Plan(plan) => {
                said.extend(plan.reasons.iter().map(|reason| reason.text.clone()));
            }
            Outcome::Infeasible(infeasible) => {
                said.push(infeasible.message.clone());
                let reasons = infeasible.best_effort.iter().flat_map(|plan| &plan.reasons);
                said.extend(reasons.map(|reason| reason.text.clone()));
            }
        }
        if said.is_empty() {
            return Err("no reason at all".to_owned());
        }
        let unreadable =
            |word: &str| ["NaN", "inf", "4294967295", "ceil", "services"].contains(&word);
        let broken = said.iter().find(|text| {
            text.is_empty() || text.split(|c: char| !c.is_alphanumeric()).any(unreadable)
        });
        broken.map_or(Ok(true), |text| Err(text.clone()))
    });
}

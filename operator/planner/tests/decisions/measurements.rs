//! Which measurements count, and what is taken from them.

use tts_planner::profile::{Encoding, Energy, Memory};
use tts_planner::{
    AcceptedPlan, Condition, Minimise, Peak, Rejection, Unreadable, Validity, memory,
};
use tts_planner_dev::samples::{changed, decide, request};

use crate::{only_cpu, planned};

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
fn a_bad_profile_is_rejected_and_the_others_are_used() {
    let bad = changed(&request(), |r| {
        r.measurements[1].profile.configs[0].s1 = -1.0;
        r.unreadable.push(Unreadable {
            id: "voice.other".to_owned(),
            message: "not JSON".to_owned(),
        });
    });
    let decision = decide(&bad);
    assert_eq!(decision.plan().unwrap().node_class.as_deref(), Some("cpu"));
    let said: Vec<String> = decision
        .alternatives
        .rejected
        .iter()
        .map(Rejection::to_string)
        .collect();
    assert!(
        said.iter().any(|text| text.contains("configs[0].s1")),
        "{said:#?}"
    );
    assert!(
        said.iter()
            .any(|text| text == "voice.other: the profile cannot be used: not JSON"),
        "{said:#?}"
    );
}

#[test]
fn the_newest_of_two_generations_counts() {
    let two = |older: &str, newer: &str| {
        changed(&only_cpu(), |r| {
            let mut other = r.measurements[0].clone();
            other.profile.id = "voice.cpu.again".to_owned();
            other.profile.run.started = newer.to_owned();
            r.measurements[0].profile.run.started = older.to_owned();
            r.measurements.push(other);
        })
    };
    // The same instant in another zone, an hour later.
    let plan = planned(&two("2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00Z"));
    assert_eq!(plan.voices[0].profile, "voice.cpu.again");
    assert!(
        plan.reason("Newest")
            .unwrap()
            .text
            .contains("the newest of 2 measurements")
    );
    let older_is_usable = changed(&two("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"), |r| {
        r.measurements[1].profile.run.validity = Validity::Invalid;
    });
    assert_eq!(planned(&older_is_usable).voices[0].profile, "voice.cpu");
}

#[test]
fn production_slower_than_the_profile_takes_more_pods_and_faster_no_fewer() {
    let with = |correction| {
        planned(&changed(&only_cpu(), |r| {
            let mut standing =
                tts_planner::validity::Standing::as_recorded(&r.measurements[0].profile);
            standing.correction = correction;
            r.measurements[0].standing = Some(standing);
            r.load.peak = Peak::RequestsPerSecond(60.0);
        }))
    };
    assert!(
        with(1.3).predicted.unwrap().cost_per_hour > with(1.0).predicted.unwrap().cost_per_hour
    );
    assert_eq!(with(0.7).replicas, with(1.0).replicas);
}

#[test]
fn a_pod_that_was_killed_for_its_memory_gets_more_and_keeps_it() {
    let free = planned(&only_cpu());
    let killed_at = free.pod.resources.memory;
    let killed = changed(&only_cpu(), |r| {
        r.measurements[0].oom_killed_at = Some(killed_at);
    });
    let plan = planned(&killed);
    assert!(plan.pod.resources.memory >= memory::after_oom_kill(killed_at) - 1e-9);
    assert!(plan.reason("Memory").unwrap().text.contains("raised"));
    // A running pod keeps what it has.
    let running = changed(&only_cpu(), |r| r.current = plan.as_current());
    assert_eq!(planned(&running).pod, plan.pod);
    assert_ne!(free.input_hash, plan.input_hash);
}

#[test]
fn a_gpu_holds_the_memory_of_all_pods_that_share_it() {
    let on_gpu = |pods: u32, needed: f64| {
        changed(&request(), |r| {
            r.classes.remove(0);
            r.measurements.remove(0);
            r.classes[0].gpu_slots = pods;
            r.classes[0].pods_per_gpu = pods;
            for config in &mut r.measurements[0].profile.configs {
                config.gpu_mem = Some(Memory {
                    base: needed,
                    per_inflight_audio: 1.0,
                    ..config.mem
                });
            }
        })
    };
    // 24,000 MiB of memory, 512 of them reserved.
    let alone = planned(&on_gpu(1, 20_000.0));
    assert!(alone.pod.resources.gpu_memory_limit.unwrap() <= 23_488.0);
    let too_large = decide(&on_gpu(1, 22_000.0));
    let infeasible = too_large.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::PodDoesNotFit);
    assert!(
        infeasible.message.contains("GPU memory"),
        "{}",
        infeasible.message
    );
    let shared = planned(&on_gpu(2, 8000.0));
    assert_eq!(shared.pod.max_concurrency, 1);
    assert!(2.0 * shared.pod.resources.gpu_memory_limit.unwrap() <= 23_488.0);
    assert!(
        shared.predicted.unwrap().full_rate
            < planned(&on_gpu(1, 8000.0)).predicted.unwrap().full_rate
    );
    assert!(decide(&on_gpu(2, 12_000.0)).plan().is_none());
}

#[test]
fn encoding_takes_the_cores_that_were_measured() {
    let encoded = |format: Option<&str>| {
        planned(&changed(&only_cpu(), |r| {
            r.load.format = format.map(str::to_owned);
            r.measurements[0].profile.encoding = vec![Encoding {
                format: "mp3".to_owned(),
                cpu_per_audio: 0.01,
            }];
        }))
    };
    let overhead = |plan: &AcceptedPlan| plan.pod.resources.cpu_request - plan.pod.cpu;
    assert!((overhead(&encoded(None)) - 0.1).abs() < 1e-9);
    assert!((overhead(&encoded(Some("wav"))) - 0.1).abs() < 1e-9);
    assert!(overhead(&encoded(Some("mp3"))) > 0.2);
}

#[test]
fn energy_is_minimised_where_it_was_measured() {
    let measured = |minimise| {
        planned(&changed(&request(), |r| {
            r.policy.minimise = minimise;
            for (measurement, joules) in r.measurements.iter_mut().zip([2.0, 20.0]) {
                for config in &mut measurement.profile.configs {
                    config.energy = Some(Energy {
                        per_audio: joules,
                        idle_watts: 10.0,
                    });
                }
            }
            r.classes[1].price_per_hour = Some(0.01);
        }))
    };
    let (cheap, thrifty) = (measured(Minimise::Cost), measured(Minimise::Energy));
    assert_eq!(cheap.node_class.as_deref(), Some("gpu"));
    assert_eq!(thrifty.node_class.as_deref(), Some("cpu"));
    let watts = |plan: &AcceptedPlan| plan.predicted.unwrap().watts.unwrap();
    assert!(watts(&thrifty) < watts(&cheap));
    let text = &thrifty.reason("Accelerator").unwrap().text;
    assert!(
        text.contains(" W for ") && text.contains("thriftiest"),
        "{text}"
    );
}

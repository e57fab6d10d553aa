//! Rules with one right answer each: bounds of the user, sizes of nodes, prices, advice.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use std::collections::BTreeMap;

use tts_planner::profile::{Encoding, Energy};
use tts_planner::{
    AcceptedPlan, Change, Condition, CpuManager, Current, Exclusion, Measurement, Minimise, Peak,
    Profile, Qos, Reason, Rejection, Request, StoredPlan, Unreadable, Validity, VoiceShare, plan,
    predict,
};
use tts_planner_dev::samples::{PIPER, Speed, changed, decide, on_cpu, request};

fn only_cpu() -> Request {
    changed(&request(), |r| {
        r.classes.truncate(1);
        r.measurements.truncate(1);
    })
}

fn planned(request: &Request) -> AcceptedPlan {
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
    let sizes: Vec<f64> = decide(&request)
        .alternatives
        .candidates
        .iter()
        .filter(|c| c.interpolated)
        .map(|c| c.cpu)
        .collect();
    assert!(sizes.contains(&6.0) && sizes.contains(&3.0), "{sizes:?}");
    assert!(!sizes.contains(&1.0) && !sizes.contains(&4.0), "{sizes:?}");
    assert!(plan.pod.interpolated);
    assert!(plan.reason("Interpolated").is_some());
    let measured = decide(&changed(&request, |r| r.policy.interpolate_sizes = false));
    assert!(
        !measured.plan().unwrap().pod.interpolated
            && measured
                .alternatives
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
        decide(&request)
            .alternatives
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
            r.load.peak = Peak::RequestsPerSecond(60.0);
        }))
    };
    assert!(
        with(1.3).predicted.unwrap().cost_per_hour > with(1.0).predicted.unwrap().cost_per_hour
    );
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
    assert!(error(|r| r.load.base_rps = Some(10.1)).starts_with("load.baseRps: 10.1 is more"));
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
    // Whatever the version that computes it, as long as the projection is the same.
    assert_eq!(
        same,
        "a96a34b3b365726860ae527ddf3c342f590bdcefe4a439bf811390376c2cb85f"
    );
}

#[test]
fn a_stored_plan_keeps_what_a_newer_version_wrote() {
    let plan = planned(&request());
    let mut stored = serde_json::to_value(StoredPlan::from(plan.clone())).unwrap();
    stored["risk"] = "low".into();
    stored["pod"]["resources"]["hugepages"] = 2.into();
    // A version that did not know these fields.
    stored.as_object_mut().unwrap().remove("inputHash");
    stored["predicted"].as_object_mut().unwrap().remove("watts");
    let mut read: StoredPlan = serde_json::from_value(stored).unwrap();
    assert_eq!(read.plan.input_hash, "");
    read.plan.input_hash.clone_from(&plan.input_hash);
    assert_eq!(read.plan, plan);
    read.plan.pod.resources.memory += 100.0;
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["risk"], "low");
    assert_eq!(written["pod"]["resources"]["hugepages"], 2);
    let memory = plan.pod.resources.memory + 100.0;
    assert_eq!(written["pod"]["resources"]["memory"], memory);
    let mut newer = written;
    newer["schema"] = "tts.plan/v2".into();
    let error = serde_json::from_value::<StoredPlan>(newer).unwrap_err();
    assert!(error.to_string().contains("tts.plan/v1"), "{error}");
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
fn a_quota_binds_and_its_advice_helps() {
    let bound = changed(&only_cpu(), |r| {
        r.load.peak = Peak::RequestsPerSecond(40.0);
        r.quota.cpu = Some(6.0);
        r.quota.memory = Some(700.0);
    });
    let decision = decide(&bound);
    let infeasible = decision.infeasible().unwrap();
    let Reason::Capacity {
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

#[test]
fn a_pod_that_was_killed_for_its_memory_gets_more_and_keeps_it() {
    let free = planned(&only_cpu());
    let killed_at = free.pod.resources.memory;
    let killed = changed(&only_cpu(), |r| {
        r.measurements[0].oom_killed_at = Some(killed_at);
    });
    let plan = planned(&killed);
    assert!(plan.pod.resources.memory >= tts_planner::memory::after_oom_kill(killed_at) - 1e-9);
    assert!(plan.reason("Memory").unwrap().text.contains("raised"));
    // A running pod keeps what it has.
    let running = changed(&only_cpu(), |r| r.current = Some(current(&plan)));
    assert_eq!(planned(&running).pod, plan.pod);
    assert_ne!(free.input_hash, plan.input_hash);
}

/// What runs where the plan was rolled out.
fn current(plan: &AcceptedPlan) -> Current {
    Current {
        class: plan.node_class.clone().unwrap(),
        cpu: Some(plan.pod.cpu),
        threads: Some(plan.pod.threads.intra_op),
        concurrency: Some(plan.pod.max_concurrency),
        queue: Some(plan.pod.queue),
        memory: Some(plan.pod.resources.memory),
        replicas: Some(plan.replicas.at_peak),
        variants: BTreeMap::new(),
    }
}

#[test]
fn a_change_says_whether_it_needs_new_pods() {
    let plan = planned(&only_cpu());
    let now = current(&plan);
    assert_eq!(Change::between(&now, &plan), Change::None);
    let change = |change: fn(&mut Current)| {
        let mut other = now.clone();
        change(&mut other);
        Change::between(&other, &plan)
    };
    assert_eq!(change(|c| c.replicas = Some(99)), Change::None);
    assert_eq!(change(|c| c.memory = Some(64.0)), Change::InPlace);
    assert_eq!(
        change(|c| c.cpu = c.cpu.map(|cpu| cpu + 0.5)),
        Change::InPlace
    );
    assert_eq!(
        change(|c| c.cpu = c.cpu.map(|cpu| cpu + 1.0)),
        Change::Rollout
    );
    assert_eq!(change(|c| c.concurrency = Some(1)), Change::Rollout);
    assert_eq!(change(|c| c.queue = Some(1)), Change::Rollout);
    assert_eq!(change(|c| c.class = "other".to_owned()), Change::Rollout);
}

#[test]
fn a_prediction_is_what_the_plan_says_and_follows_the_replicas() {
    let request = only_cpu();
    let plan = planned(&request);
    let mut shape = current(&plan);
    let same = predict(&request, &shape).unwrap();
    let planned = plan.predicted.unwrap();
    assert!((same.late_or_rejected - planned.late_or_rejected).abs() < 1e-12);
    assert!((same.rate - planned.rate).abs() < 1e-12);
    shape.replicas = shape.replicas.map(|replicas| replicas * 3);
    let more = predict(&request, &shape).unwrap();
    assert!(more.late_or_rejected < same.late_or_rejected);
    assert!((more.cost_per_hour - 3.0 * same.cost_per_hour).abs() < 1e-9);
    shape.threads = Some(77);
    let error = predict(&request, &shape).unwrap_err().to_string();
    assert!(error.contains("measure that size"), "{error}");
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
                config.gpu_mem = Some(tts_planner::profile::Memory {
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

/// A fast and a slow voice, measured on the same pods.
fn mix(weights: [f64; 2]) -> Request {
    changed(&only_cpu(), |r| {
        let slow = Speed { s1: 0.2, ..PIPER };
        let mut second = on_cpu("cpu", slow, &[1, 2, 4]);
        "slow.cpu".clone_into(&mut second.id);
        "slow".clone_into(&mut second.voice.name);
        r.measurements.push(Measurement::as_recorded(second));
        r.voices = ["voice", "slow"]
            .iter()
            .zip(weights)
            .map(|(name, weight)| VoiceShare {
                name: (*name).to_owned(),
                weight,
            })
            .collect();
    })
}

#[test]
fn voices_are_planned_together() {
    let alone = planned(&only_cpu());
    let (mostly_fast, mostly_slow) = (planned(&mix([9.0, 1.0])), planned(&mix([1.0, 9.0])));
    let cost = |plan: &AcceptedPlan| plan.predicted.unwrap().cost_per_hour;
    assert!(cost(&alone) <= cost(&mostly_fast) && cost(&mostly_fast) < cost(&mostly_slow));
    assert_eq!(mostly_fast.voices.len(), 2);
    assert!(mostly_fast.pod.resources.memory > alone.pod.resources.memory);
    assert_eq!(
        mostly_fast.reason("Voices").unwrap().text,
        "Each pod serves slow (10 % of the requests) and voice (90 % of the requests). Each voice is in time in an idle pod."
    );
    // Equal shares unless said otherwise.
    let equal = planned(&changed(&mix([1.0, 1.0]), |r| r.voices.clear()));
    assert_eq!(equal.pod, planned(&mix([5.0, 5.0])).pod);
    assert_eq!(equal.input_hash.len(), 64);
}

#[test]
fn a_rare_voice_that_is_always_late_is_not_hidden_by_the_others() {
    let decision = decide(&changed(&mix([99.0, 1.0]), |r| {
        r.objectives.ttfa_p95 = 0.35;
        r.policy.interpolate_sizes = false;
        // Beyond what more threads do for the slow voice.
        for config in &mut r.measurements[1].profile.configs {
            config
                .levels
                .iter_mut()
                .for_each(|level| level.ttfa_q.iter_mut().for_each(|time| *time *= 3.0));
        }
    }));
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::SloInfeasible);
    assert!(
        infeasible.message.contains("voice slow"),
        "{}",
        infeasible.message
    );
}

#[test]
fn a_class_counts_only_where_every_voice_was_measured() {
    let decision = decide(&changed(&mix([1.0, 1.0]), |r| {
        r.measurements[1].profile.node.class = "elsewhere".to_owned();
    }));
    let infeasible = decision.infeasible().unwrap();
    assert_eq!(infeasible.condition, Condition::NoProfile);
    assert!(
        infeasible
            .message
            .starts_with("Voice slow was not measured on cpu"),
        "{}",
        infeasible.message
    );
    let too_many = changed(&only_cpu(), |r| {
        r.voices = (0..33)
            .map(|index| VoiceShare {
                name: index.to_string(),
                weight: 1.0,
            })
            .collect();
    });
    assert!(
        plan(&too_many)
            .unwrap_err()
            .to_string()
            .starts_with("voices: 33 voices")
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
        reason.to_string().contains("Raise maxReplicas to"),
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

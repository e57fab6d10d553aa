//! Plans of many kinds with what their pods really do, for the simulator.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what tests share may fail as a test may"
)]

use tts_planner::profile::{FullNode, Profile};
use tts_planner::{LoadBalancing, Measurement, Peak, Request, VoiceShare};

use crate::goldens::Goldens;
use crate::samples::{self, Speed};
use crate::simulation::Case;

/// Two voices: the second is six times slower.
const FAST: Speed = Speed {
    s0: 0.015,
    s1: 0.05,
    threads: (0.2, 0.015),
    requests: (0.015, 0.001),
};
const SLOW: Speed = Speed {
    s0: 0.09,
    s1: 0.30,
    // Not the fast one's: what slows the voices side by side differs too.
    requests: (0.05, 0.003),
    ..FAST
};
/// Requests side by side on cores that share caches and memory bandwidth: eight take 1.2 and 1.4
/// times as long as one.
const SHARED_CACHE: (f64, f64) = (0.02, 0.001);
const SHARED_MEMORY: (f64, f64) = (0.05, 0.001);
/// A GPU.
const GPU: Speed = Speed {
    s0: 0.035,
    s1: 0.03,
    threads: (0.0, 0.0),
    requests: (0.285, 0.0123),
};

/// The golden plans, without the infeasible cases: their pods are as fast as the profile says.
pub fn goldens() -> Vec<Case> {
    let goldens = Goldens::from_json(include_str!("../../tests/goldens/plans.json")).unwrap();
    let of =
        |case: &crate::goldens::Case| Case::new(case.name.clone(), goldens.request(case).unwrap());
    goldens.cases.iter().filter_map(of).collect()
}

fn one_thread(speed: Speed, cores: &[u32]) -> Profile {
    let mut profile = samples::on_cpu("cpu", speed, cores);
    profile.configs.retain(|config| config.threads == 1);
    profile
}

/// On one class of nodes with so many cores.
fn request(profiles: Vec<Profile>, node_cpu: f64, ttfa_p95: f64, rate: f64) -> Request {
    let mut request = samples::request();
    request.measurements = profiles.into_iter().map(Measurement::as_recorded).collect();
    let mut class = samples::node("cpu", node_cpu, 1000, 0.3, 0);
    class.allocatable_memory = 64_000.0;
    request.classes = vec![class];
    request.objectives.ttfa_p95 = ttfa_p95;
    request.objectives.rtf_p95 = 2.0;
    request.load.peak = Peak::RequestsPerSecond(rate);
    request.policy.interpolate_sizes = false;
    request
}

fn named(profile: Profile, name: &str) -> Profile {
    let mut profile = profile;
    profile.id = format!("{name}.{}", profile.node.class);
    name.clone_into(&mut profile.voice.name);
    profile
}

/// Two voices served by the same pods: their weights, the admission limit, the objective, streaming
/// or spoken as a whole.
pub fn mixes() -> Vec<Case> {
    let mut cases = Vec::new();
    for cores in [1, 2, 4, 8] {
        for slow_share in [0.05, 0.2, 0.5, 0.8] {
            for (streaming, ttfa_p95) in [
                (true, 1.2),
                (true, 2.0),
                (true, 6.0),
                (false, 5.0),
                (false, 12.0),
            ] {
                let voice = |name, speed| {
                    let profile = named(one_thread(speed, &[cores]), name);
                    if streaming {
                        profile
                    } else {
                        samples::spoken_as_a_whole(profile)
                    }
                };
                let mut request = request(
                    vec![voice("fast", FAST), voice("slow", SLOW)],
                    f64::from(cores) + 0.5,
                    ttfa_p95,
                    2.5 * f64::from(cores),
                );
                let share = |name: &str, weight| VoiceShare {
                    name: name.to_owned(),
                    weight,
                };
                request.voices = vec![share("fast", 1.0 - slow_share), share("slow", slow_share)];
                let how = if streaming { "streaming" } else { "whole" };
                let percent = 100.0 * slow_share;
                cases.extend(Case::new(
                    format!("{percent:.0} % slow, {cores} cores, {how}, {ttfa_p95} s"),
                    request,
                ));
            }
        }
    }
    cases
}

/// Pods that fill nodes of eight cores and slow each other. `measured`: the full node is in the
/// profile.
pub fn neighbours(measured: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let families: &[(&str, (f64, f64))] = &[
        ("shared caches", SHARED_CACHE),
        ("shared memory", SHARED_MEMORY),
    ];
    // Without the full node 15 % are taken off: enough for the caches only.
    let families = if measured { families } else { &families[..1] };
    for (name, requests) in families {
        let speed = Speed {
            requests: *requests,
            ..samples::PIPER
        };
        for cores in [1, 2, 4] {
            for (ttfa_p95, rate) in [(0.6, 8.0), (0.9, 30.0), (2.0, 60.0), (3.5, 60.0)] {
                let mut profile = one_thread(speed, &[cores]);
                let rate_of = samples::audio_rates(speed, 8);
                if measured {
                    profile.full_node = [4, 6, 8]
                        .into_iter()
                        .zip([rate_of[3], rate_of[5], rate_of[7]])
                        .map(|(workers, audio_per_sec)| FullNode {
                            threads: 1,
                            workers,
                            requests: 60,
                            audio_per_sec,
                        })
                        .collect();
                }
                let request = request(vec![profile], 8.8, ttfa_p95, rate);
                let slowdown = slowdown(&rate_of);
                cases.extend(
                    Case::new(format!("{name}, {cores} of 8 cores, {ttfa_p95} s"), request).map(
                        |case| {
                            let per_node = case.per_node();
                            case.on_nodes(per_node, slowdown)
                        },
                    ),
                );
            }
        }
    }
    cases
}

/// `m·X(1)/X(m)`.
fn slowdown(rates: &[f64]) -> Vec<f64> {
    let first = rates.first().copied().unwrap_or_default();
    (1_u32..)
        .zip(rates)
        .map(|(m, rate)| f64::from(m) * first / rate)
        .collect()
}

/// Two, three and four pods on each GPU.
pub fn shared_gpus() -> Vec<Case> {
    let mut cases = Vec::new();
    for pods in [2, 3, 4] {
        for (ttfa_p95, rate) in [(0.6, 5.0), (1.0, 20.0), (3.0, 40.0)] {
            let mut request = request(vec![samples::on_gpu("gpu", GPU)], 1.0, ttfa_p95, rate);
            let mut class = samples::node("gpu", 64.0, 1000, 0.7, pods);
            class.pods_per_gpu = pods;
            request.classes = vec![class];
            // As many as there could be, whatever the plan's admission limit.
            let slowdown = slowdown(&samples::audio_rates(GPU, 8 * pods));
            cases.extend(
                Case::new(format!("{pods} pods per GPU, {ttfa_p95} s"), request)
                    .map(|case| case.on_nodes(pods, slowdown)),
            );
        }
    }
    cases
}

/// Texts of other lengths than the measured ones, which are 6 s long.
pub fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for mean_audio in [2.0, 20.0] {
        for workers in [1, 2, 4, 8] {
            for (streaming, ttfa_p95) in [(true, 0.6), (true, 1.5), (false, 2.0), (false, 6.0)] {
                let profile = one_thread(samples::PIPER, &[workers]);
                let profile = if streaming {
                    profile
                } else {
                    samples::spoken_as_a_whole(profile)
                };
                let mut request = request(
                    vec![profile],
                    f64::from(workers) + 0.5,
                    ttfa_p95,
                    40.0 / mean_audio,
                );
                request.load.mean_audio = mean_audio;
                let how = if streaming { "streaming" } else { "whole" };
                cases.extend(Case::new(
                    format!("{mean_audio} s of audio, {workers} cores, {how}, {ttfa_p95} s"),
                    request,
                ));
            }
        }
    }
    cases
}

/// Texts of several chunks that requests speak in turns.
pub fn turns() -> Vec<Case> {
    let mut cases = Vec::new();
    for chunks in [1.5, 2.4, 4.0] {
        for workers in [1, 2, 4] {
            for (ttfa_p95, rate) in [(0.6, 8.0), (0.9, 30.0), (2.0, 60.0)] {
                let mut profile = one_thread(samples::PIPER, &[workers]);
                profile.corpus.chunks_per_text = Some(chunks);
                let request = request(vec![profile], f64::from(workers) + 0.5, ttfa_p95, rate);
                cases.extend(Case::new(
                    format!("{chunks} chunks, {workers} cores, {ttfa_p95} s"),
                    request,
                ));
            }
        }
    }
    cases
}

/// Pods of a size that was not measured: between those that were.
pub fn interpolated() -> Vec<Case> {
    let mut cases = Vec::new();
    for (node_cpu, threads) in [(3.2, 1), (5.2, 1), (6.2, 1), (7.2, 1), (6.2, 2)] {
        for (ttfa_p95, rate) in [(0.5, 10.0), (0.8, 40.0), (2.0, 30.0)] {
            let of = |cores: &[u32]| {
                let mut profile = samples::on_cpu("cpu", samples::PIPER, cores);
                profile.configs.retain(|config| config.threads == threads);
                profile
            };
            let mut request = request(vec![of(&[2, 4, 8])], node_cpu, ttfa_p95, rate);
            request.policy.interpolate_sizes = true;
            cases.extend(
                Case::new(
                    format!("nodes of {node_cpu} cores, {threads} threads, {ttfa_p95} s"),
                    request,
                )
                .filter(|case| case.plan.pod.interpolated)
                .map(|case| case.with_truth(vec![of(&[1, 2, 3, 4, 5, 6, 7, 8])])),
            );
        }
    }
    cases
}

/// Pods behind each balancer: burstiness, spread of the lengths, objective and peak vary.
pub fn balanced() -> Vec<Case> {
    let mut cases = Vec::new();
    for workers in [1, 4] {
        for audio_cv in [0.0, 0.6, 1.5] {
            for burstiness in [0.5, 1.0, 3.0] {
                for (ttfa_p95, rate) in [
                    (0.45, 1.0),
                    (0.45, 8.0),
                    (0.6, 13.0),
                    (0.6, 40.0),
                    (1.2, 14.0),
                    (4.0, 30.0),
                ] {
                    let mut request = request(
                        vec![one_thread(samples::PIPER, &[workers])],
                        15.5,
                        ttfa_p95,
                        rate,
                    );
                    request.load.audio_cv = audio_cv;
                    request.load.burstiness = burstiness;
                    for balancing in [
                        LoadBalancing::Random,
                        LoadBalancing::RoundRobin,
                        LoadBalancing::LeastRequest,
                    ] {
                        request.policy.load_balancing = balancing;
                        cases.extend(Case::new(
                            format!(
                                "{balancing}, {workers} cores, burstiness {burstiness}, lengths vary by {audio_cv}, {ttfa_p95} s, {rate}/s"
                            ),
                            request.clone(),
                        ));
                    }
                }
            }
        }
    }
    cases
}

/// Plans with an autoscaler: the golden ones that have at least one request per second, with nodes
/// enough, and pods of other sizes and objectives.
pub fn scaled(ramp_per_minute: f64, cold_start: f64) -> Vec<Case> {
    let golden = goldens().into_iter().map(|case| (case.name, case.request));
    let mut requests: Vec<(String, Request)> = golden
        .filter(|(_, request)| request.load.peak_rps() >= 1.0)
        .collect();
    for (workers, ttfa_p95, rate) in [
        (1, 0.6, 20.0),
        (4, 0.6, 60.0),
        (4, 1.5, 200.0),
        (2, 4.0, 40.0),
    ] {
        let profile = one_thread(samples::PIPER, &[workers]);
        requests.push((
            format!("Piper, {workers} cores, {ttfa_p95} s, {rate} req/s"),
            request(vec![profile], 15.5, ttfa_p95, rate),
        ));
    }
    requests
        .into_iter()
        .filter_map(|(name, mut request)| {
            request.load.ramp_per_minute = ramp_per_minute;
            for measurement in &mut request.measurements {
                measurement.profile.cold_start = cold_start;
            }
            for class in &mut request.classes {
                class.max_nodes *= 4;
            }
            Case::new(name, request)
        })
        .collect()
}

//! Laws that must hold for each of many requests drawn at random.
//!
//! `TTS_PLANNER_SEED` is another first seed than that of `cargo test`, or `random`;
//! `TTS_PLANNER_CASES` is another number of requests per law. A failure names the seed of the
//! request that broke the law: with that seed it comes first.

#![expect(
    clippy::expect_used,
    reason = "what tests share may fail as a test may"
)]

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

use tts_planner::{
    CpuManager, Decision, Load, Peak, Policy, Presence, Promised, Quota, Request, Validity,
};

use crate::samples::decide;

use crate::draws::request;

/// The seed of `cargo test`.
const SEED: u64 = 2026;
/// Failures that are written out.
const SHOWN: usize = 2;
/// Attempts to make a request smaller that breaks a law.
const TRIES: u32 = 40;
/// Fewer requests than this may be the ones that a law says nothing about.
const FEW: u64 = 50;

/// Whether a law had anything to say about a request, or how the request breaks it.
pub type Verdict = Result<bool, String>;

/// Draws `cases` requests, each of which must keep the law with what is decided on it; a tenth of
/// them at least must be ones that the law is about.
///
/// # Panics
/// When a request breaks the law, with the seeds of such requests and a small one.
pub fn for_each(cases: u32, law: impl Fn(&Request, &Decision) -> Verdict) {
    let (first, cases) = (first_seed(), number_of_cases(cases));
    let (mut told, mut broken) = (0, Vec::new());
    for seed in (0..cases).map(|case| first.wrapping_add(case)) {
        match law(&request(seed), &decision(seed)) {
            Ok(said) => told += u64::from(said),
            Err(how) => broken.push((seed, how)),
        }
    }
    let again = |request: &Request| law(request, &decide(request));
    let shown: Vec<String> = broken
        .iter()
        .take(SHOWN)
        .map(|(seed, how)| {
            let small = smallest(&request(*seed), |request| again(request).is_err());
            let how_small = again(&small).err().unwrap_or_default();
            let json = serde_json::to_string(&small).unwrap_or_default();
            format!("TTS_PLANNER_SEED={seed}: {how}\nsmaller: {how_small}\n{json}")
        })
        .collect();
    assert!(
        broken.is_empty(),
        "{} of {cases} requests from seed {first} on break the law\n{}",
        broken.len(),
        shown.join("\n")
    );
    assert!(
        cases < FEW || told * 10 >= cases,
        "the law says nothing about {} of {cases} requests from seed {first} on",
        cases - told
    );
}

/// What is decided on the request of a seed, once for all laws of a program.
///
/// # Panics
/// When a law has failed meanwhile.
pub fn decision(seed: u64) -> Arc<Decision> {
    static KNOWN: Mutex<BTreeMap<u64, Arc<OnceLock<Arc<Decision>>>>> = Mutex::new(BTreeMap::new());
    let place = {
        let mut known = KNOWN.lock().expect("no law fails here");
        Arc::clone(known.entry(seed).or_default())
    };
    Arc::clone(place.get_or_init(|| Arc::new(decide(&request(seed)))))
}

fn number_of_cases(usual: u32) -> u64 {
    std::env::var("TTS_PLANNER_CASES").map_or(usual.into(), |text| {
        text.parse().expect("TTS_PLANNER_CASES: a number")
    })
}

fn first_seed() -> u64 {
    match std::env::var("TTS_PLANNER_SEED").as_deref() {
        Err(_) => SEED,
        Ok("random") => RandomState::new().build_hasher().finish() >> 16,
        Ok(text) => text.parse().expect("TTS_PLANNER_SEED: a number or random"),
    }
}

/// The request with as little in it as still `breaks`, by leaving out one thing after the other.
fn smallest(request: &Request, breaks: impl Fn(&Request) -> bool) -> Request {
    let mut small = request.clone();
    let mut tries = 0;
    loop {
        let smaller = without_one_thing(&small).into_iter().find(|request| {
            tries += 1;
            tries <= TRIES && request.check().is_ok() && breaks(request)
        });
        match smaller {
            Some(smaller) => small = smaller,
            None => return small,
        }
    }
}

fn without_one_thing(request: &Request) -> Vec<Request> {
    let mut all = Vec::new();
    let mut without = |change: &dyn Fn(&mut Request)| {
        let mut changed = request.clone();
        change(&mut changed);
        if changed != *request {
            all.push(changed);
        }
    };
    for index in 0..request.classes.len() {
        without(&|r| drop(r.classes.remove(index)));
    }
    for index in 0..request.measurements.len() {
        without(&|r| drop(r.measurements.remove(index)));
    }
    for index in 0..request.voices.len() {
        without(&|r| drop(r.voices.remove(index)));
    }
    without(&|r| r.quota = Quota::default());
    without(&|r| r.policy = Policy::default());
    without(&|r| r.load = Load::new(r.load.peak));
    let usual = Policy::default;
    without(&|r| r.policy.max_utilisation = usual().max_utilisation);
    without(&|r| r.policy.min_derate = usual().min_derate);
    without(&|r| r.policy.hpa_tolerance = usual().hpa_tolerance);
    without(&|r| r.policy.surge = usual().surge);
    without(&|r| r.policy.memory_margin = usual().memory_margin);
    without(&|r| r.policy.memory_step = usual().memory_step);
    without(&|r| r.policy.switch_gain = usual().switch_gain);
    without(&|r| r.policy.qos = usual().qos);
    without(&|r| r.policy.cpu_limit_required = false);
    without(&|r| r.policy.cpu_overhead = usual().cpu_overhead);
    without(&|r| r.policy.max_cpu_per_pod = None);
    without(&|r| r.policy.max_memory_per_pod = None);
    without(&|r| r.policy.min_cpu_per_pod = 0.0);
    without(&|r| r.policy.min_memory_per_pod = 0.0);
    without(&|r| (r.policy.min_replicas, r.policy.max_replicas) = (1, None));
    without(&|r| r.policy.min_replicas_for_availability = usual().min_replicas_for_availability);
    without(&|r| r.policy.load_balancing = usual().load_balancing);
    without(&|r| r.policy.interpolate_sizes = false);
    without(&|r| r.policy.minimise = usual().minimise);
    let load = || Load::new(request.load.peak);
    without(&|r| r.load.peak = Peak::RequestsPerSecond(r.load.peak_rps()));
    without(&|r| r.load.burstiness = 1.0);
    without(&|r| r.load.base_rps = None);
    without(&|r| r.load.mean_audio = load().mean_audio);
    without(&|r| r.load.audio_cv = load().audio_cv);
    without(&|r| r.load.max_chunk_audio = load().max_chunk_audio);
    without(&|r| r.load.ramp_per_minute = load().ramp_per_minute);
    without(&|r| r.load.format = None);
    for index in 0..request.classes.len() {
        without(&|r| r.classes[index].promised = Promised::default());
        without(&|r| r.classes[index].cpu_manager = CpuManager::None);
        without(&|r| r.classes[index].presence = Presence::Present);
        without(&|r| r.classes[index].excluded = None);
        without(&|r| r.classes[index].price_per_hour = Some(1.0));
        without(&|r| r.classes[index].allocatable_memory = 100_000.0);
    }
    for (index, measurement) in request.measurements.iter().enumerate() {
        without(&|r| r.measurements[index].standing = None);
        without(&|r| r.measurements[index].oom_killed_at = None);
        without(&|r| r.measurements[index].profile.full_node.clear());
        without(&|r| r.measurements[index].profile.encoding.clear());
        without(&|r| r.measurements[index].profile.run.validity = Validity::Valid);
        without(&|r| r.measurements[index].profile.run.throughput_rel_ci = 0.0);
        for config in 0..measurement.profile.configs.len() {
            without(&|r| drop(r.measurements[index].profile.configs.remove(config)));
            without(&|r| r.measurements[index].profile.configs[config].energy = None);
            without(&|r| r.measurements[index].profile.configs[config].gpu_mem = None);
            without(&|r| {
                drop(r.measurements[index].profile.configs[config].levels.pop());
            });
        }
    }
    all
}

//! Profiles and nodes made from few parameters: plausible, not measured.

#![expect(
    clippy::unwrap_used,
    reason = "what tests share may fail as a test may"
)]

use tts_planner::profile::{
    Config, Corpus, ExecutionProvider, Fingerprint, Gpu, Level, Memory, Node, PROBABILITIES,
    Profile, Run, SCHEMA, Server, Variant, Voice,
};
use tts_planner::{
    Decision, Load, Measurement, NodeClass, Objectives, Peak, Policy, Quota, Request, Validity,
    plan,
};

/// A whole profile as it is written, every field in use.
pub const PROFILE: &str = include_str!("../../tests/goldens/profile.json");

/// X(n)/X(1) by the Universal Scalability Law.
fn usl(n: f64, (sigma, kappa): (f64, f64)) -> f64 {
    n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
}

/// The standard normal quantile, by bisection.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Lognormal lengths by mean and coefficient of variation, at the stored probabilities.
fn lengths(mean: f64, cv: f64) -> Vec<f64> {
    let variance = libm::log(1.0 + cv * cv);
    PROBABILITIES
        .iter()
        .map(|p| {
            libm::exp(
                libm::log(mean) - variance / 2.0
                    + variance.sqrt() * normal_quantile(p.clamp(0.0005, 0.999)),
            )
        })
        .collect()
}

/// What a family of voices costs to speak.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Seconds per request, and per audio-second, of one thread.
    pub s0: f64,
    pub s1: f64,
    /// σ and κ of threads and of requests side by side.
    pub threads: (f64, f64),
    pub requests: (f64, f64),
}

fn config(cpu: f64, threads: u32, speed: Speed, levels: &[u32], memory: (f64, f64)) -> Config {
    let speed_up = usl(f64::from(threads), speed.threads);
    let (s0, s1) = (speed.s0 / speed_up, speed.s1 / speed_up);
    let service = s0 + s1 * 6.0;
    let level = |&n: &u32| {
        let slowdown = f64::from(n) / usl(f64::from(n), speed.requests);
        let ttfa_q: Vec<f64> = lengths(2.5, 0.35)
            .iter()
            .map(|chunk| (s0 + s1 * chunk) * slowdown)
            .collect();
        Level {
            n,
            requests: 60,
            seconds: 20.0,
            audio_per_sec: 6.0 * usl(f64::from(n), speed.requests) / service,
            s_p50: service * slowdown,
            s_p95: 1.8 * service * slowdown,
            rtf_p95: (s0 / 2.0 + s1) * slowdown * 1.12,
            ttfa_p95: ttfa_q[19],
            throttled_periods: 0.0,
            ttfa_q,
            service: None,
            stages: Vec::new(),
            gpu_utilisation: None,
        }
    };
    let (base, per_inflight_audio) = memory;
    Config {
        cpu,
        threads,
        sessions: 1,
        s0,
        s1,
        f0: s0,
        f1: s1,
        cpu_per_audio: s1 * f64::from(threads),
        mem: Memory {
            base,
            process: None,
            per_inflight_audio,
            resid_sd: 8.0,
            per_queued: 0.25,
        },
        gpu_mem: None,
        energy: None,
        levels: levels.iter().map(level).collect(),
    }
}

/// A profile in good order, of these shapes.
pub fn profile(class: &str, ep: ExecutionProvider, configs: Vec<Config>) -> Profile {
    let gpu = (ep == ExecutionProvider::Cuda).then(|| Gpu {
        product: "example".to_owned(),
        mig: None,
        sharing: "none".to_owned(),
        driver: "570.86".to_owned(),
        cuda: "12.8".to_owned(),
        vram_mib: 24_000.0,
        sm_mhz: None,
        power_limit: None,
        throttle_reasons: 0,
    });
    Profile {
        schema: SCHEMA.to_owned(),
        id: format!("voice.{class}"),
        voice: Voice {
            name: "voice".to_owned(),
            model_digest: "sha256:1".to_owned(),
            config_digest: "sha256:2".to_owned(),
            variant: Variant {
                precision: "fp32".to_owned(),
                nfe: None,
            },
        },
        server: Server {
            version: "0.4.2".to_owned(),
            image: "sha256:3".to_owned(),
            ort: "1.31.1".to_owned(),
            ep,
            allow_spinning: false,
            arena: true,
        },
        node: Node {
            class: class.to_owned(),
            fingerprint: Fingerprint {
                arch: "amd64".to_owned(),
                cpu_model: "example".to_owned(),
                flags: Vec::new(),
                smt: 2,
                mhz_busy: None,
                governor: None,
                kernel: "6.1".to_owned(),
                gpu,
                gemm_gflops1t: None,
                mem_bw_gbs1t: None,
            },
        },
        run: Run {
            started: "2026-01-01T00:00:00Z".to_owned(),
            duration: 1200.0,
            passes: 3,
            anchor_drift: 0.0,
            psi_cpu_some: 0.0,
            steal: 0.0,
            validity: Validity::Valid,
            throughput_rel_ci: 0.02,
            noise_cv: 0.07,
            dropped: Vec::new(),
            unstable: Vec::new(),
            co_tenants: 0,
            others_cpu: 0.0,
            faults: Vec::new(),
        },
        corpus: Corpus {
            id: "std-12/v1".to_owned(),
            mean_audio: 6.0,
            cv_audio: 0.6,
            chunk_audio: 2.5,
            audio_per_char: 0.066,
            phonemes_per_audio: None,
            chunks_per_text: None,
        },
        streaming: true,
        cold_start: 4.0,
        configs,
        full_node: Vec::new(),
        encoding: Vec::new(),
        batch: None,
        scaling: None,
        verification: None,
        external: None,
        report: serde_json::Map::new(),
    }
}

/// A voice on CPUs, measured on pods of the given cores with 1, 2, 4 and 8 threads.
pub fn on_cpu(class: &str, speed: Speed, cores: &[u32]) -> Profile {
    let configs = cores.iter().flat_map(|&cores| {
        [1, 2, 4, 8]
            .into_iter()
            .filter(move |&threads| threads <= cores)
            .map(move |threads| {
                let workers = cores / threads;
                let mut levels: Vec<u32> = [1, 2, 4, workers]
                    .into_iter()
                    .filter(|&n| n <= workers)
                    .collect();
                levels.sort_unstable();
                levels.dedup();
                config(
                    f64::from(cores),
                    threads,
                    speed,
                    &levels,
                    (110.0 + 25.0 * f64::from(workers), 1.2),
                )
            })
    });
    profile(class, ExecutionProvider::Cpu, configs.collect())
}

/// A voice on GPUs.
pub fn on_gpu(class: &str, speed: Speed) -> Profile {
    profile(
        class,
        ExecutionProvider::Cuda,
        vec![config(2.0, 1, speed, &[1, 2, 4, 8], (1800.0, 4.0))],
    )
}

/// The same measured without streaming: first audio is the end of the whole text.
#[must_use]
pub fn spoken_as_a_whole(mut profile: Profile) -> Profile {
    profile.streaming = false;
    let audio = lengths(profile.corpus.mean_audio, profile.corpus.cv_audio);
    for config in &mut profile.configs {
        let service = |audio: f64| config.s0 + config.s1 * audio;
        let alone = service(profile.corpus.mean_audio);
        for level in &mut config.levels {
            let slowdown = level.s_p50 / alone;
            level.ttfa_q = audio
                .iter()
                .map(|&audio| service(audio) * slowdown)
                .collect();
            level.ttfa_p95 = level.ttfa_q[19];
        }
    }
    profile
}

/// Audio-seconds per second with 1 to `most` requests of one thread in service.
pub fn audio_rates(speed: Speed, most: u32) -> Vec<f64> {
    (1..=most)
        .map(|n| 6.0 * usl(f64::from(n), speed.requests) / (speed.s0 + speed.s1 * 6.0))
        .collect()
}

/// A node class that is present, with 14,000 MiB.
pub fn node(name: &str, cpu: f64, max_nodes: u32, price: f64, gpu_slots: u32) -> NodeClass {
    NodeClass {
        gpu_slots,
        price_per_hour: Some(price),
        ..NodeClass::new(name, cpu, 14_000.0, max_nodes)
    }
}

/// Piper's speed on one core.
pub const PIPER: Speed = Speed {
    s0: 0.02,
    s1: 0.075,
    threads: (0.2, 0.015),
    requests: (0.015, 0.001),
};

/// One voice, one CPU class and one GPU class.
pub fn request() -> Request {
    let gpu = Speed {
        s0: 0.035,
        s1: 0.01,
        threads: (0.0, 0.0),
        requests: (0.285, 0.0123),
    };
    Request {
        voices: Vec::new(),
        measurements: vec![
            Measurement::as_recorded(on_cpu("cpu", PIPER, &[1, 2, 4])),
            Measurement::as_recorded(on_gpu("gpu", gpu)),
        ],
        unreadable: Vec::new(),
        objectives: Objectives {
            ttfa_p95: 1.0,
            rtf_p95: 0.8,
        },
        load: Load::new(Peak::RequestsPerSecond(10.0)),
        classes: vec![node("cpu", 7.5, 40, 0.34, 0), node("gpu", 3.5, 10, 0.71, 1)],
        policy: Policy::default(),
        quota: Quota::default(),
        current: None,
    }
}

/// The decision on a valid request.
///
/// # Panics
/// When the request is not valid.
pub fn decide(request: &Request) -> Decision {
    plan(request).unwrap()
}

/// The request with a change.
pub fn changed(request: &Request, change: impl FnOnce(&mut Request)) -> Request {
    let mut request = request.clone();
    change(&mut request);
    request
}

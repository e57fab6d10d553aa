//! Requests drawn at random, wider than anything that somebody would write down. A seed gives the
//! same request everywhere.

use tts_planner::profile::{Encoding, Energy, FullNode, Memory};
use tts_planner::validity::Standing;
use tts_planner::{
    CpuManager, Exclusion, Load, LoadBalancing, Measurement, Minimise, NodeClass, Objectives, Peak,
    Policy, Presence, Profile, Promised, Qos, Quota, Request, Validity, VoiceShare,
};

use crate::samples::{Speed, on_cpu, on_gpu};

/// Pseudorandom numbers: `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() >> 33).unwrap_or(0) % count.max(1)
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.bits() >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Small and large ones alike.
    fn of_any_size(&mut self, low: f64, high: f64) -> f64 {
        low * libm::pow(high / low, self.unit())
    }

    /// Cores as Kubernetes counts them.
    fn millicores(&mut self, low: f64, high: f64) -> f64 {
        (1000.0 * self.between(low, high)).round() / 1000.0
    }

    /// From `low` to `high`, both included.
    fn count(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.below((high - low + 1) as usize)).unwrap_or(0)
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for index in (1..values.len()).rev() {
            values.swap(index, self.below(index + 1));
        }
    }

    fn sometimes<T>(&mut self, share: f64, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(share).then(|| value(self))
    }
}

/// A valid request.
///
/// # Panics
/// When it is not.
pub fn request(seed: u64) -> Request {
    let draw = &mut Draw::new(seed.wrapping_mul(0xd134_2543_de82_ef95));
    let load = load(draw);
    let classes = classes(draw);
    let voices = draw.pick(&[1, 1, 1, 1, 1, 2, 2, 2, 3, 4]);
    let mut request = Request {
        voices: Vec::new(),
        measurements: measurements(draw, &classes, voices),
        unreadable: Vec::new(),
        objectives: Objectives {
            ttfa_p95: draw.of_any_size(0.3, 15.0),
            rtf_p95: draw.of_any_size(0.2, 1.5),
        },
        policy: policy(draw),
        quota: Quota::default(),
        current: None,
        classes,
        load,
    };
    if draw.chance(0.6) {
        request.voices = (0..voices)
            .map(|voice| VoiceShare {
                name: voice_name(voice),
                weight: draw.of_any_size(0.01, 100.0),
            })
            .collect();
    }
    if draw.chance(0.3) {
        request.quota = Quota {
            cpu: draw.sometimes(0.5, |draw| draw.of_any_size(2.0, 500.0)),
            memory: draw.sometimes(0.5, |draw| draw.of_any_size(500.0, 200_000.0)),
            gpus: draw.sometimes(0.3, |draw| draw.count(0, 20)),
            pods: draw.sometimes(0.5, |draw| draw.count(1, 100)),
        };
    }
    let checked = request.check();
    assert!(checked.is_ok(), "seed {seed}: {checked:?}");
    request
}

fn voice_name(voice: u32) -> String {
    format!("voice-{voice}")
}

fn load(draw: &mut Draw) -> Load {
    let rate = draw.of_any_size(0.02, 60.0);
    let mut load = Load::new(Peak::RequestsPerSecond(rate));
    if draw.chance(0.7) {
        load.mean_audio = draw.of_any_size(0.5, 60.0);
    }
    if draw.chance(0.3) {
        load.peak = Peak::Listeners {
            count: rate * load.mean_audio / 0.5,
            duty: 0.5,
        };
    }
    load.audio_cv = draw.between(0.0, 1.5);
    load.max_chunk_audio = draw.of_any_size(3.0, 60.0);
    load.ramp_per_minute = draw.between(0.0, 1.0);
    if draw.chance(0.5) {
        load.burstiness = draw.of_any_size(0.3, 6.0);
    }
    load.base_rps = draw.sometimes(0.4, |draw| draw.between(0.0, 0.99) * load.peak_rps());
    load.format = draw
        .pick(&[None, Some("mp3"), Some("opus")])
        .map(str::to_owned);
    load
}

fn classes(draw: &mut Draw) -> Vec<NodeClass> {
    #[derive(Clone, Copy)]
    enum Prices {
        Positive,
        Nothing,
        Unknown,
        Mixed,
    }
    let prices = draw.pick(&[
        Prices::Positive,
        Prices::Positive,
        Prices::Nothing,
        Prices::Unknown,
        Prices::Mixed,
    ]);
    let class = |index: u32, draw: &mut Draw| {
        let cpu = draw.pick(&[
            1.0, 1.93, 2.0, 3.5, 3.92, 4.0, 7.5, 7.5, 7.91, 8.0, 15.9, 31.0,
        ]);
        let memory = if draw.chance(0.75) {
            cpu * draw.pick(&[2000.0, 4000.0])
        } else {
            draw.of_any_size(150.0, 4000.0).round()
        };
        let nodes = draw.of_any_size(1.0, 200.0);
        let nodes = (1..=200).find(|&count| f64::from(count) >= nodes);
        let mut class = NodeClass::new(&format!("class-{index}"), cpu, memory, nodes.unwrap_or(1));
        if draw.chance(0.35) {
            class.pods_per_gpu = draw.pick(&[1, 1, 2, 3, 4]);
            class.gpu_slots = class.pods_per_gpu * draw.pick(&[0, 1, 1, 1, 1, 2, 2, 4]);
            class.gpu_weight = draw.pick(&[8.0, 8.0, 0.0, 20.0]);
        }
        let price = draw.of_any_size(0.02, 3.0);
        class.price_per_hour = match prices {
            Prices::Positive => Some(price),
            Prices::Nothing => Some(0.0),
            Prices::Unknown => None,
            Prices::Mixed => draw.pick(&[Some(price), Some(0.0), None]),
        };
        if draw.chance(0.2) {
            class.presence = Presence::Declared;
            class.provisioning = draw.between(0.0, 600.0);
        }
        if draw.chance(0.15) {
            class.cpu_manager = CpuManager::Static;
        }
        if draw.chance(0.2) {
            let nodes = f64::from(class.max_nodes);
            class.promised = Promised {
                cpu: draw.between(0.0, 1.1) * nodes * cpu,
                memory: draw.between(0.0, 1.1) * nodes * memory,
                gpus: draw.count(0, class.gpu_slots),
            };
        }
        class.excluded = draw.sometimes(0.1, |draw| {
            draw.pick(&[
                Exclusion::NotAllowed,
                Exclusion::Tainted,
                Exclusion::Cordoned,
            ])
        });
        class
    };
    let count = draw.pick(&[1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6]);
    (0..count).map(|index| class(index, draw)).collect()
}

fn policy(draw: &mut Draw) -> Policy {
    /// How often a value is not the usual one.
    const UNUSUAL: f64 = 0.25;
    let mut policy = Policy::default();
    let mut unusual = |value: &mut f64, low: f64, high: f64| {
        if draw.chance(UNUSUAL) {
            *value = draw.between(low, high);
        }
    };
    unusual(&mut policy.max_utilisation, 0.3, 0.99);
    unusual(&mut policy.min_derate, 0.0, 0.4);
    unusual(&mut policy.hpa_tolerance, 0.0, 0.5);
    unusual(&mut policy.metric_lag, 0.0, 300.0);
    unusual(&mut policy.base_share, 0.0, 1.0);
    unusual(&mut policy.surge, 0.0, 3.0);
    unusual(&mut policy.memory_margin, 0.0, 0.6);
    unusual(&mut policy.switch_gain, 0.0, 0.5);
    unusual(&mut policy.cpu_overhead, 0.0, 1.5);
    if draw.chance(UNUSUAL) {
        policy.min_cpu_per_pod = draw.millicores(0.0, 2.5);
        policy.min_memory_per_pod = draw.between(0.0, 2000.0).round();
    }
    policy.memory_step = draw.pick(&[64.0, 64.0, 1.0, 100.0, 256.0]);
    policy.max_cpu_per_pod = draw.sometimes(0.15, |draw| draw.millicores(0.6, 8.5));
    policy.max_memory_per_pod =
        draw.sometimes(0.15, |draw| draw.of_any_size(200.0, 8000.0).round());
    policy.min_replicas = draw.pick(&[1, 1, 1, 0, 2, 5]);
    policy.min_replicas_for_availability = draw.pick(&[2, 2, 0, 1, 3]);
    policy.max_replicas = draw.sometimes(0.2, |draw| draw.count(policy.min_replicas.max(1), 40));
    if draw.chance(0.12) {
        policy.qos = Qos::Guaranteed;
    }
    policy.cpu_limit_required = draw.chance(0.3);
    policy.load_balancing = draw.pick(&[
        LoadBalancing::Random,
        LoadBalancing::Random,
        LoadBalancing::RoundRobin,
        LoadBalancing::LeastRequest,
    ]);
    policy.interpolate_sizes = draw.chance(0.6);
    if draw.chance(0.2) {
        policy.minimise = Minimise::Energy;
    }
    policy
}

fn measurements(draw: &mut Draw, classes: &[NodeClass], voices: u32) -> Vec<Measurement> {
    const PRECISIONS: [&str; 3] = ["fp32", "int8", "fp16"];
    // (precision, seconds per audio-second, seconds per request, streaming)
    let family = |draw: &mut Draw| {
        let count = draw.pick(&[1, 1, 1, 1, 2, 3]);
        let slow = draw.of_any_size(0.02, 0.5);
        let fixed = draw.of_any_size(0.004, 0.2);
        let streaming = draw.chance(0.75);
        let speeds: Vec<_> = PRECISIONS[..count]
            .iter()
            .map(|&precision| (precision, slow * draw.between(0.5, 1.2), fixed))
            .collect();
        (speeds, streaming)
    };
    let families: Vec<_> = (0..voices).map(|_| family(draw)).collect();
    let incomplete = draw.chance(0.2);
    let mut all = Vec::new();
    for class in classes {
        let slower = draw.of_any_size(0.5, 2.0);
        let cores: &[u32] = draw.pick(&[&[1, 2, 4], &[1, 2, 4], &[1, 2], &[2, 4], &[4], &[1, 8]]);
        for (voice, (speeds, streaming)) in (0..).zip(&families) {
            for &(precision, s1, s0) in speeds {
                if incomplete && draw.chance(0.3) {
                    continue;
                }
                let speed = (s0 * slower, s1 * slower);
                let mut profile = profile(draw, class, speed, cores);
                profile.streaming = *streaming;
                profile.voice.name = voice_name(voice);
                precision.clone_into(&mut profile.voice.variant.precision);
                profile.id = format!("{}.{}.{precision}", profile.voice.name, class.name);
                all.push(measurement(draw, profile));
            }
        }
    }
    if draw.chance(0.1)
        && let Some(measurement) = all.first()
    {
        let mut older = measurement.clone();
        older.profile.id.push_str(".older");
        "2025-01-01T00:00:00Z".clone_into(&mut older.profile.run.started);
        all.push(older);
    }
    all
}

fn measurement(draw: &mut Draw, profile: Profile) -> Measurement {
    let standing = draw.sometimes(0.2, |draw| Standing {
        validity: draw.pick(&[Validity::Valid, Validity::Stale, Validity::Degraded]),
        derate: draw.between(0.0, 0.3),
        correction: draw.between(0.7, 2.2),
    });
    Measurement {
        standing,
        oom_killed_at: draw.sometimes(0.1, |draw| draw.of_any_size(100.0, 2000.0)),
        profile,
    }
}

fn profile(draw: &mut Draw, class: &NodeClass, speed: (f64, f64), cores: &[u32]) -> Profile {
    let (s0, s1) = speed;
    let on_gpus = class.gpu_slots > 0 || class.pods_per_gpu > 1;
    let mut profile = if on_gpus {
        let requests = (draw.between(0.05, 0.6), draw.between(0.0, 0.02));
        let speed = Speed {
            s0,
            s1: s1 / 8.0,
            threads: (0.0, 0.0),
            requests,
        };
        on_gpu(&class.name, speed)
    } else {
        let speed = Speed {
            s0,
            s1,
            threads: (draw.between(0.02, 0.4), draw.between(0.0, 0.03)),
            requests: (draw.between(0.0, 0.1), draw.between(0.0, 0.005)),
        };
        on_cpu(&class.name, speed, cores)
    };
    if let Some(gpu) = &mut profile.node.fingerprint.gpu {
        gpu.vram_mib = draw.pick(&[4000.0, 8000.0, 24_000.0, 80_000.0]);
    }
    profile.cold_start = draw.of_any_size(1.0, 120.0);
    profile.run.noise_cv = draw.between(0.0, 0.2);
    profile.run.throughput_rel_ci = draw.between(0.0, 0.12);
    profile.run.validity = match draw.below(20) {
        0 => Validity::Degraded,
        1 => Validity::Stale,
        2 => Validity::Transferred,
        3 if draw.chance(0.5) => Validity::Invalid,
        _ => Validity::Valid,
    };
    let noise = draw.pick(&[0.0, 0.0, 0.0, 0.05]);
    let few = draw.chance(0.2);
    let memory = memory(draw);
    let gpu_memory = draw.sometimes(0.6, |draw| Memory {
        base: draw.of_any_size(300.0, 6000.0),
        process: None,
        per_inflight_audio: draw.of_any_size(0.5, 30.0),
        resid_sd: draw.between(0.0, 50.0),
        per_queued: 0.0,
    });
    let energy = draw.sometimes(0.5, |draw| Energy {
        per_audio: draw.of_any_size(0.1, 20.0),
        idle_watts: draw.between(5.0, 300.0),
    });
    for config in &mut profile.configs {
        config.mem = Memory {
            base: memory.base + 0.1 * memory.base * f64::from(config.workers()),
            ..memory
        };
        config.gpu_mem = gpu_memory.filter(|_| on_gpus);
        config.energy = energy;
        config.cpu_per_audio *= draw.pick(&[0.0, 1.0, 1.0, 1.2]);
        for level in &mut config.levels {
            level.audio_per_sec *= draw.between(1.0 - noise, 1.0 + noise);
            level.rtf_p95 *= draw.between(1.0 - noise, 1.0 + noise);
            let slower = draw.between(1.0 - noise, 1.0 + noise);
            level.ttfa_q.iter_mut().for_each(|time| *time *= slower);
            if few {
                level.requests = draw.count(12, 80);
            }
        }
    }
    if draw.chance(0.4) && !on_gpus {
        profile.full_node = full_node(draw, class, (s0, s1));
    }
    if draw.chance(0.4) {
        profile.encoding = ["mp3", "opus"]
            .map(|format| Encoding {
                format: format.to_owned(),
                cpu_per_audio: draw.of_any_size(0.001, 0.1),
            })
            .to_vec();
    }
    profile
}

fn memory(draw: &mut Draw) -> Memory {
    let base = draw.of_any_size(50.0, 1200.0);
    Memory {
        base,
        process: draw.sometimes(0.5, |draw| base * draw.between(0.1, 0.8)),
        per_inflight_audio: draw.of_any_size(0.1, 6.0),
        resid_sd: draw.between(0.0, 30.0),
        per_queued: draw.of_any_size(0.01, 1.0),
    }
}

/// The node as busy as it can be, with one and two threads per request.
fn full_node(draw: &mut Draw, class: &NodeClass, (s0, s1): (f64, f64)) -> Vec<FullNode> {
    let cores = (1..=31).rfind(|&cores| f64::from(cores) <= class.allocatable_cpu);
    let contention = draw.between(0.0, 0.15);
    [1, 2]
        .into_iter()
        .filter_map(|threads| {
            let workers = cores? / threads;
            let busy = f64::from(workers);
            let alone = 6.0 / (s0 + s1 * 6.0) * f64::from(threads) / 1.2;
            (workers > 0).then(|| FullNode {
                threads,
                workers,
                requests: draw.pick(&[100, 100, 10]),
                audio_per_sec: alone * busy / (1.0 + contention * (busy - 1.0)),
            })
        })
        .collect()
}

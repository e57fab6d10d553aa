//! Plans against a search over every measured shape, node class and admission limit.
//!
//! The search shares no code with the planner but the queue of one pod, the curves of a voice and
//! the memory of a pod. It is kept simple by what it leaves out: pods have no neighbours, arrivals
//! are Poisson at every pod, and only measured sizes count.

use std::collections::BTreeMap;

use tts_planner::profile::{Config, Memory, Profile};
use tts_planner::queueing::FlowServer;
use tts_planner::validity::Standing;
use tts_planner::workload::{PodCurve, ServiceCurve};
use tts_planner::{
    Accelerator, AcceptedPlan, Condition, CpuManager, Current, LoadBalancing, Measurement,
    Minimise, NodeClass, Outcome, Presence, Qos, Quota, Request, Validity, memory,
};
use tts_planner_dev::draws::{self, Draw};
use tts_planner_dev::samples::{changed, decide};

/// What costs and rates may differ by, relative.
const CLOSE: f64 = 1e-6;
/// The share of requests that may be late.
const LATE: f64 = 0.05;

/// A pod that keeps the objectives, with what it costs.
#[derive(Debug)]
struct Found {
    class: String,
    profiles: Vec<String>,
    cpu: f64,
    threads: u32,
    concurrency: u32,
    /// λ*.
    rate: f64,
    /// R.
    replicas: f64,
    /// MiB.
    memory: f64,
    /// S.
    steady: f64,
    /// Requests per second and pod at the autoscaler's target.
    target: f64,
    /// Pods that there may be.
    limit: f64,
    cost: f64,
}

/// A voice in a pod.
struct Voice<'a> {
    share: f64,
    measurement: &'a Measurement,
}

impl<'a> Voice<'a> {
    const fn profile(&self) -> &'a Profile {
        &self.measurement.profile
    }

    /// u and k: what is taken off a measurement.
    fn doubt(&self, request: &Request) -> (f64, f64) {
        let recorded = Standing::as_recorded(self.profile());
        let given = self.measurement.standing.unwrap_or(recorded);
        let derate = given
            .derate
            .max(recorded.derate)
            .max(request.policy.min_derate);
        (derate, given.correction.clamp(1.0, 2.0))
    }
}

/// How often `asked` goes into `offered`; Kubernetes counts thousandths of a core, and bytes.
fn times(offered: f64, asked: f64, units: f64) -> f64 {
    let asked = (asked * units - 1e-6).ceil().max(1.0);
    ((offered * units + 1e-6).floor().max(0.0) / asked).floor()
}

const MILLICORES: f64 = 1000.0;
const BYTES: f64 = 1_048_576.0;

fn pods_for(load: f64) -> f64 {
    (load - 1e-9).ceil().max(1.0)
}

/// The largest rate up to which few enough requests are late, by looking at ever finer steps: the
/// first step that is too late is divided again.
fn largest_rate(pod: &FlowServer<'_>, objective: f64, max_utilisation: f64) -> Option<f64> {
    const STEPS: u32 = 100;
    let kept = |rate: f64| pod.late(objective, rate) <= LATE;
    let (mut low, mut high) = (pod.idle_rate(), max_utilisation * pod.full_rate());
    if !kept(low) {
        return None;
    }
    for _ in 0..5 {
        let step = (high - low) / f64::from(STEPS);
        let miss = (1..=STEPS).find(|&index| !kept(low + step * f64::from(index)));
        let Some(miss) = miss else {
            return Some(high);
        };
        high = low + step * f64::from(miss);
        low = high - step;
    }
    Some(low)
}

/// The sets of measurements, one per voice, from which a pod on the class can be planned: all of the
/// same variant, or of the voice's first where it was not measured with that.
fn mixes<'a>(request: &'a Request, class: &NodeClass) -> Vec<Vec<Voice<'a>>> {
    let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
    for voice in &request.voices {
        weights.insert(&voice.name, voice.weight);
    }
    if request.voices.is_empty() {
        for measurement in &request.measurements {
            weights.insert(&measurement.profile.voice.name, 1.0);
        }
    }
    let total: f64 = weights.values().sum();
    let mut found = Vec::new();
    for accelerator in [Accelerator::Cpu, Accelerator::Gpu] {
        let mut usable: Vec<&Measurement> = request
            .measurements
            .iter()
            .filter(|measurement| {
                let profile = &measurement.profile;
                profile.node.class == class.name
                    && profile.accelerator() == accelerator
                    && profile.check().is_ok()
                    && Standing::as_recorded(profile).validity != Validity::Invalid
                    && weights.contains_key(profile.voice.name.as_str())
            })
            .collect();
        let precision = |m: &&'a Measurement| m.profile.voice.variant.precision.as_str();
        usable.sort_by(|a, b| precision(a).cmp(precision(b)));
        let mut wanted: Vec<&str> = usable.iter().map(precision).collect();
        wanted.dedup();
        for wanted in wanted {
            let of_voice = |(name, weight): (&&str, &f64)| {
                let own = || usable.iter().filter(|m| m.profile.voice.name == **name);
                let same = own().find(|m| precision(m) == wanted);
                same.or_else(|| own().next()).map(|measurement| Voice {
                    share: weight / total,
                    measurement,
                })
            };
            found.extend(weights.iter().map(of_voice).collect::<Option<Vec<_>>>());
        }
    }
    found
}

/// Everything that keeps the objectives, whether or not there is room for as many pods.
fn search(request: &Request) -> Vec<Found> {
    let mut found = Vec::new();
    for class in &request.classes {
        if class.excluded.is_some() {
            continue;
        }
        for mix in mixes(request, class) {
            for first in &mix[0].profile().configs {
                let same = |config: &&Config| {
                    config.cpu.to_bits() == first.cpu.to_bits() && config.threads == first.threads
                };
                let configs: Option<Vec<&Config>> = mix
                    .iter()
                    .map(|voice| voice.profile().configs.iter().find(same))
                    .collect();
                if let Some(configs) = configs {
                    found.extend(with_every_limit(request, class, &mix, &configs));
                }
            }
        }
    }
    found
}

/// One pod shape on one class.
fn with_every_limit(
    request: &Request,
    class: &NodeClass,
    mix: &[Voice<'_>],
    configs: &[&Config],
) -> Vec<Found> {
    let voices = || mix.iter().zip(configs);
    let curve = |derated: bool| {
        let curves: Vec<(f64, ServiceCurve)> = voices()
            .map(|(voice, config)| {
                let curve = ServiceCurve::new(config, voice.profile(), &request.load);
                let (derate, slowdown) = voice.doubt(request);
                let curve = if derated {
                    curve.derated(derate, slowdown)
                } else {
                    curve
                };
                (voice.share, curve)
            })
            .collect();
        PodCurve::mixed(&curves)
    };
    let (measured, derated) = (curve(false), curve(true));
    let objective = request.objectives.ttfa_p95;
    let each_voice_alone = derated.first_audio.first().is_some_and(|idle| {
        idle.parts()
            .iter()
            .all(|part| part.1.exceeding(objective) <= LATE)
    });
    if !each_voice_alone {
        return Vec::new();
    }
    let limits = 1..=u32::try_from(derated.rates.len()).unwrap_or(0);
    limits
        .filter_map(|concurrency| {
            let pod = Pod {
                request,
                class,
                mix,
                configs,
                measured: &measured,
                derated: &derated,
            };
            pod.with(concurrency)
        })
        .collect()
}

struct Pod<'a> {
    request: &'a Request,
    class: &'a NodeClass,
    mix: &'a [Voice<'a>],
    configs: &'a [&'a Config],
    measured: &'a PodCurve,
    derated: &'a PodCurve,
}

impl Pod<'_> {
    fn on_gpu(&self) -> bool {
        self.mix[0].profile().accelerator() == Accelerator::Gpu
    }

    fn with(&self, concurrency: u32) -> Option<Found> {
        let (request, class) = (self.request, self.class);
        let slots = concurrency as usize;
        let cpu = self.cpu(slots)?;
        let memory = self.memory(concurrency)?;
        if self.on_gpu() && !self.fits_card(concurrency) {
            return None;
        }
        let gpus = f64::from(u32::from(self.on_gpu()));
        let in_slots = |slots: u32| {
            if self.on_gpu() {
                f64::from(slots)
            } else {
                f64::INFINITY
            }
        };
        let per_node = times(class.allocatable_cpu, cpu, MILLICORES)
            .min(times(class.allocatable_memory, memory, BYTES))
            .min(in_slots(class.gpu_slots));
        if per_node < 1.0 {
            return None;
        }
        assert!(self.on_gpu() || per_node < 2.0, "a pod has neighbours");

        let objectives = request.objectives;
        let server = FlowServer::new(
            &self.derated.rates[..slots],
            &self.derated.first_audio[..slots],
            1.0,
            self.derated.service_cv2,
        );
        if self.derated.rtf_p95[slots - 1] > objectives.rtf_p95
            || server.full_first_audio().median() > objectives.ttfa_p95
        {
            return None;
        }
        let rate = largest_rate(&server, objectives.ttfa_p95, request.policy.max_utilisation)?;
        let peak = request.load.peak_rps();
        let replicas = pods_for(peak / rate);
        let target = rate / (1.0 + request.policy.hpa_tolerance) / self.headroom();
        let steady = pods_for(peak / target).max(replicas);
        let price = class
            .price_per_hour
            .map_or(cpu + gpus * class.gpu_weight, |price| price / per_node);

        let nodes = f64::from(class.max_nodes);
        let (taken, quota) = (class.promised, request.quota);
        let free_gpus = (u64::from(class.gpu_slots) * u64::from(class.max_nodes))
            .saturating_sub(u64::from(taken.gpus));
        let limits = [
            nodes * per_node,
            times(nodes * class.allocatable_cpu - taken.cpu, cpu, MILLICORES),
            times(
                nodes * class.allocatable_memory - taken.memory,
                memory,
                BYTES,
            ),
            in_slots(u32::try_from(free_gpus).unwrap_or(u32::MAX)),
            quota
                .cpu
                .map_or(f64::INFINITY, |most| times(most, cpu, MILLICORES)),
            quota
                .memory
                .map_or(f64::INFINITY, |most| times(most, memory, BYTES)),
            quota.gpus.map_or(f64::INFINITY, in_slots),
            quota.pods.map_or(f64::INFINITY, f64::from),
            request.policy.max_replicas.map_or(f64::INFINITY, f64::from),
        ];
        Some(Found {
            class: class.name.clone(),
            profiles: self
                .mix
                .iter()
                .map(|voice| voice.profile().id.clone())
                .collect(),
            cpu: self.configs[0].cpu,
            threads: self.configs[0].threads,
            concurrency,
            rate,
            replicas,
            limit: limits.into_iter().fold(f64::INFINITY, f64::min),
            memory,
            steady,
            target,
            cost: steady * price,
        })
    }

    /// h: what the load may grow by until a new pod helps.
    fn headroom(&self) -> f64 {
        let (policy, class) = (&self.request.policy, self.class);
        let cold_starts: f64 = self
            .mix
            .iter()
            .map(|voice| voice.profile().cold_start)
            .sum();
        let node = if class.presence == Presence::Declared {
            class.provisioning
        } else {
            0.0
        };
        let reaction = cold_starts + 15.0 + policy.metric_lag + node;
        1.0 + self.request.load.ramp_per_minute * reaction / 60.0
    }

    /// Cores that the pod requests; None where that is not allowed.
    fn cpu(&self, slots: usize) -> Option<f64> {
        let (policy, load) = (&self.request.policy, &self.request.load);
        let measured = self.configs[0].cpu;
        let hundredths = |cores: f64| format!("{cores:.2}").parse::<f64>().ok();
        let audio = self.measured.rates[slots - 1] * load.mean_audio;
        let encoding = self
            .mix
            .iter()
            .flat_map(|voice| &voice.profile().encoding)
            .filter(|encoding| Some(&encoding.format) == load.format.as_ref())
            .map(|encoding| encoding.cpu_per_audio)
            .fold(0.0, f64::max);
        let overhead = policy.cpu_overhead.max(audio * encoding);
        let busy: f64 = self
            .mix
            .iter()
            .zip(self.configs)
            .map(|(voice, config)| audio * voice.share * config.cpu_per_audio)
            .sum();
        let guaranteed =
            policy.qos == Qos::Guaranteed || self.class.cpu_manager == CpuManager::Static;
        let asked = if guaranteed {
            if measured.fract() != 0.0 {
                return None;
            }
            measured.max(policy.min_cpu_per_pod.ceil())
        } else if !self.on_gpu() {
            hundredths(measured + overhead)?.max(policy.min_cpu_per_pod)
        } else if busy > 0.0 {
            let tenths = (10.0 * (busy / 0.7 + overhead)).ceil() / 10.0;
            tenths
                .clamp(measured.min(0.5), measured)
                .max(policy.min_cpu_per_pod)
        } else {
            hundredths(measured)?.max(policy.min_cpu_per_pod)
        };
        let most = policy.max_cpu_per_pod.unwrap_or(f64::INFINITY);
        (asked <= most + 1e-9).then_some(asked)
    }

    /// MiB that the pod requests; None where that is not allowed.
    fn memory(&self, concurrency: u32) -> Option<f64> {
        let (policy, load) = (&self.request.policy, &self.request.load);
        let regressions: Vec<Memory> = self.configs.iter().map(|config| config.mem).collect();
        // Only one request in a thousand finds a longer queue.
        let idle = 1.0 - policy.max_utilisation.min(0.95);
        let queue = 1000_f64.ln() * (1.0 + self.measured.service_cv2) / (2.0 * idle);
        let queue = (1..10_000).find(|&length| f64::from(length) >= queue)?;
        let needed = memory::needed(
            &memory::combined(&regressions),
            concurrency,
            queue,
            load.max_chunk_audio,
        );
        let killed = self
            .mix
            .iter()
            .filter_map(|voice| voice.measurement.oom_killed_at);
        let asked = killed
            .map(memory::after_oom_kill)
            .fold(memory::request(needed, policy), f64::max)
            .max(policy.min_memory_per_pod);
        (asked <= policy.max_memory_per_pod.unwrap_or(f64::INFINITY)).then_some(asked)
    }

    /// Whether the smallest card holds the pod's arena, where that was measured.
    fn fits_card(&self, concurrency: u32) -> bool {
        let regressions: Option<Vec<Memory>> =
            self.configs.iter().map(|config| config.gpu_mem).collect();
        let Some(regressions) = regressions else {
            return true;
        };
        let chunk = self.request.load.max_chunk_audio;
        let limit = memory::gpu_limit(&memory::combined(&regressions), concurrency, chunk);
        let cards = self
            .mix
            .iter()
            .filter_map(|voice| voice.profile().node.fingerprint.gpu.as_ref());
        let smallest = cards
            .map(|card| card.vram_mib)
            .fold(f64::INFINITY, f64::min);
        memory::pods_per_gpu(smallest, limit) >= 1
    }
}

/// A drawn request without what the search leaves out.
fn drawn(seed: u64) -> Request {
    let mut request = draws::request(seed);
    let draw = &mut Draw::new(seed);
    request.policy.load_balancing = LoadBalancing::Random;
    request.policy.interpolate_sizes = false;
    request.policy.minimise = Minimise::Cost;
    request.load.burstiness = 1.0;
    let by_memory = draw.chance(0.6);
    if by_memory {
        request.policy.min_memory_per_pod = draw.between(250.0, 3000.0).round();
    }
    let least = request.policy.min_memory_per_pod;
    for class in &mut request.classes {
        class.gpu_slots = class.gpu_slots.min(4);
        class.pods_per_gpu = 1;
        if by_memory && class.gpu_slots == 0 {
            class.allocatable_memory = least * draw.between(1.0, 1.99);
            class.promised.memory = class.promised.memory.min(class.allocatable_memory);
        }
    }
    request
        .measurements
        .retain(|measurement| !measurement.profile.id.contains(".older"));
    let by_length = draw.pick(&[1.0, 20.0]);
    for measurement in &mut request.measurements {
        let profile = &mut measurement.profile;
        let class = request
            .classes
            .iter()
            .find(|class| class.name == profile.node.class);
        let node_cpu = class.map_or(0.0, |class| class.allocatable_cpu);
        let alone = by_memory || profile.accelerator() == Accelerator::Gpu;
        profile
            .configs
            .retain(|config| alone || 2.0 * config.cpu > node_cpu);
        for config in &mut profile.configs {
            config.mem.per_inflight_audio *= by_length;
        }
        for level in profile
            .configs
            .iter_mut()
            .flat_map(|config| &mut config.levels)
        {
            level.requests = level.requests.max(60);
        }
    }
    request
        .measurements
        .retain(|measurement| !measurement.profile.configs.is_empty());
    request
}

/// For one in three, a quota of just the memory that one of the possible plans takes: a larger
/// admission limit may then be cheaper and not fit.
fn request(seed: u64) -> Request {
    let mut request = drawn(seed);
    if seed.is_multiple_of(3) {
        let found = search(&request);
        let which = Draw::new(!seed).below(found.len());
        request.quota.memory = found.get(which).map(|pod| pod.replicas * pod.memory);
    }
    request
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= CLOSE * a.abs().max(b.abs())
}

/// The pod that the plan names, as the search found it.
fn planned<'f>(found: &'f [Found], plan: &AcceptedPlan) -> Option<&'f Found> {
    let profiles: Vec<&String> = plan.voices.iter().map(|voice| &voice.profile).collect();
    found.iter().find(|pod| {
        Some(&pod.class) == plan.node_class.as_ref()
            && pod.profiles.iter().eq(profiles.iter().copied())
            && close(pod.cpu, plan.pod.cpu)
            && pod.threads == plan.pod.threads.intra_op
            && pod.concurrency == plan.pod.max_concurrency
    })
}

#[test]
fn no_pod_is_cheaper_than_the_planned_one() {
    const CASES: u64 = 500;
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut broken = Vec::new();
    for seed in 0..CASES {
        let request = request(seed);
        let found = search(&request);
        let room = || found.iter().filter(|pod| pod.replicas <= pod.limit);
        let cheapest = room().map(|pod| pod.cost).min_by(f64::total_cmp);
        let mut count = |what| *counts.entry(what).or_default() += 1;
        let fault = match (decide(&request).outcome, cheapest) {
            (Outcome::Infeasible(infeasible), None) => {
                count(if found.is_empty() {
                    "nothing keeps the objectives"
                } else {
                    "no room"
                });
                let short_of_room = infeasible.condition == Condition::CapacityInsufficient;
                let any = found.iter().any(|pod| pod.limit >= 1.0);
                (short_of_room == found.is_empty() || (any && infeasible.best_effort.is_none()))
                    .then(|| format!("{infeasible:?}, as found {:?}", found.first()))
            }
            (Outcome::Infeasible(infeasible), Some(_)) => Some(format!(
                "{}, but there is {:?}",
                infeasible.message,
                room().next()
            )),
            (Outcome::Plan(plan), None) => Some(format!("{:?} is not possible", plan.pod)),
            (Outcome::Plan(plan), Some(cost)) => {
                count("feasible");
                count(if plan.accelerator == Accelerator::Gpu {
                    "on GPU"
                } else {
                    "on CPU"
                });
                if plan.voices.len() > 1 {
                    count("mixes");
                }
                if room().count() < found.len() {
                    count("no room for some");
                }
                if request.quota != Quota::default() {
                    count("with a quota");
                }
                if cost == 0.0 {
                    count("for nothing");
                }
                fault_of(&plan, cost, &found)
            }
        };
        broken.extend(fault.map(|fault| format!("seed {seed}: {fault}")));
    }
    assert!(
        broken.is_empty(),
        "{} of {CASES} plans are not the cheapest\n{}",
        broken.len(),
        broken
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    let at_least = |what: &str, least: u32| {
        let count = counts.get(what).copied().unwrap_or(0);
        assert!(count >= least, "{what}: {count} of {CASES}; {counts:?}");
    };
    at_least("feasible", 100);
    at_least("nothing keeps the objectives", 50);
    at_least("no room", 20);
    at_least("on CPU", 50);
    at_least("on GPU", 20);
    at_least("mixes", 20);
    at_least("no room for some", 20);
    at_least("with a quota", 15);
    at_least("for nothing", 5);
}

/// Where the plan differs from what the search found.
fn fault_of(plan: &AcceptedPlan, cheapest: f64, found: &[Found]) -> Option<String> {
    let predicted = plan.predicted?;
    let cost = predicted.cost_per_hour;
    let Some(pod) = planned(found, plan) else {
        return Some(format!("the search does not find {:?}", plan.pod));
    };
    let replicas = plan.replicas;
    let same = close(cost, cheapest)
        && close(pod.cost, cost)
        && close(pod.rate, predicted.rate)
        && close(pod.target, plan.autoscaling.rate)
        && close(pod.replicas, replicas.at_peak.into())
        && close(pod.steady.min(pod.limit), replicas.steady.into())
        && close(pod.limit.min(u32::MAX.into()), replicas.limit.into());
    (!same).then(|| {
        let best = found.iter().find(|pod| close(pod.cost, cheapest));
        format!("planned {cost}, {replicas:?}, {predicted:?}, as found {pod:?}, cheapest {best:?}")
    })
}

#[test]
fn a_class_is_left_only_for_one_that_is_cheaper_by_the_gain() {
    const CASES: u64 = 150;
    let (mut kept, mut left) = (0, 0);
    for seed in 0..CASES {
        let request = request(seed);
        let found = search(&request);
        let cheapest = |class: Option<&str>| {
            found
                .iter()
                .filter(|pod| pod.replicas <= pod.limit)
                .filter(|pod| class.is_none_or(|class| pod.class == class))
                .map(|pod| pod.cost)
                .min_by(f64::total_cmp)
        };
        let Some(best) = cheapest(None) else {
            continue;
        };
        let most = best / (1.0 - request.policy.switch_gain);
        for class in &request.classes {
            let running = changed(&request, |r| {
                r.current = Some(Current {
                    class: class.name.clone(),
                    ..Current::default()
                });
            });
            let decision = decide(&running);
            let Some(plan) = decision.plan() else {
                panic!("seed {seed}: infeasible with pods on {}", class.name);
            };
            let stays = plan.node_class.as_ref() == Some(&class.name);
            let near = cheapest(Some(&class.name)).is_some_and(|cost| cost <= most);
            assert_eq!(stays, near, "seed {seed}: {}", class.name);
            if stays && request.classes.len() > 1 {
                kept += 1;
            }
            left += u32::from(!stays);
        }
    }
    assert!(kept >= 30 && left >= 30, "kept {kept}, left {left}");
}

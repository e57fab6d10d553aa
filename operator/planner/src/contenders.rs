//! A pod shape on a node class, with all that does not depend on what is promised and asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::capacity::Ask;
use crate::memory;
use crate::mix::{Mix, Part};
use crate::neighbours::{Beside, NodeCurve};
use crate::profile::{Accelerator, Memory, Variant};
use crate::queueing::{FlowServer, QUANTILE, longest_queue, queue_cv2};
use crate::reaction::Reaction;
use crate::rejection::{Because, Rejection};
use crate::request::{Load, NodeClass, Qos, Request, Terms};
use crate::resources::{self, Cores};
use crate::shapes::{PodShape, Shape};
use crate::workload::{PodCurve, ServiceCurve};

/// What a limit may be exceeded by and still be kept: rounding noise.
const NOISE: f64 = 1e-9;

/// Neighbours are taken to be a whole number of parts of a request busy.
pub(crate) const LEVELS: u32 = 8;

/// A pod among its neighbours.
#[derive(Debug)]
pub(crate) struct Surrounded {
    pub curve: PodCurve,
    /// What the neighbours take, by number in service; empty on a GPU.
    pub beside: Vec<Beside>,
}

/// A pod shape on a class.
#[derive(Debug)]
pub(crate) struct Contender<'a> {
    pub class: &'a NodeClass,
    pub mix: Rc<Mix<'a>>,
    pub shape: PodShape<'a>,
    pub qos: Qos,
    /// u, the largest of the voices'.
    pub derate: f64,
    /// Share, derated curve and u of each voice.
    voices: Vec<(f64, ServiceCurve, f64)>,
    nodes: Vec<NodeCurve>,
    memory: Memory,
    gpu_memory: Option<Memory>,
    /// What a pod that was killed for its memory has taught (MiB).
    least_memory: f64,
    /// Audio-seconds per second that were measured, by number in service, without a derate.
    audio_rates: Vec<f64>,
    /// CPU-seconds of encoding per audio-second; 0 where it was not measured.
    encoding: f64,
    /// The longest queue worth having.
    pub longest_queue: u32,
    pub reaction: Reaction,
    /// By neighbours and how busy they are.
    curves: RefCell<BTreeMap<(u32, u32), Rc<Surrounded>>>,
}

impl<'a> Contender<'a> {
    pub fn new(
        request: &Request,
        class: &'a NodeClass,
        mix: Rc<Mix<'a>>,
        shape: PodShape<'a>,
    ) -> Self {
        let Request { load, policy, .. } = request;
        let measured = |part: &Part<'a>, shape: &Shape<'a>| {
            let curve = ServiceCurve::new(shape.config.as_ref(), part.profile, load);
            let derate = part
                .standing
                .derate
                .max(policy.min_derate)
                .max(shape.residual);
            (curve, derate)
        };
        let (mut solo, mut voices) = (Vec::new(), Vec::new());
        for (part, shape) in mix.parts.iter().zip(&shape.voices) {
            let (curve, derate) = measured(part, shape);
            solo.push((part.share, curve.clone()));
            let derated = curve.derated(derate, part.standing.slowdown());
            voices.push((part.share, derated, derate));
        }
        let solo = PodCurve::mixed(&solo);
        let gpu_memories: Option<Vec<Memory>> =
            shape.configs().map(|config| config.gpu_mem).collect();
        let killed_at = mix
            .parts
            .iter()
            .filter_map(|part| part.measurement.oom_killed_at);
        let reaction = Reaction::new(mix.cold_start(), class, load, policy);
        Self {
            class,
            qos: resources::qos(policy, class),
            derate: voices
                .iter()
                .map(|(_, _, derate)| *derate)
                .fold(0.0, f64::max),
            nodes: mix
                .parts
                .iter()
                .map(|part| NodeCurve::of(part.profile, shape.threads))
                .collect(),
            memory: memory::combined(&shape.configs().map(|config| config.mem).collect::<Vec<_>>()),
            gpu_memory: gpu_memories
                .filter(|_| mix.accelerator == Accelerator::Gpu)
                .map(|memories| memory::combined(&memories)),
            least_memory: killed_at
                .map(memory::after_oom_kill)
                .fold(policy.min_memory_per_pod, f64::max),
            audio_rates: solo
                .rates
                .iter()
                .map(|rate| rate * load.mean_audio)
                .collect(),
            longest_queue: longest_queue(
                policy.max_utilisation,
                load.burstiness.max(1.0),
                queue_cv2(solo.service_cv2, solo.turns),
            ),
            encoding: mix
                .parts
                .iter()
                .map(|part| encoding(part, load.format.as_deref()))
                .fold(0.0, f64::max),
            reaction,
            voices,
            curves: RefCell::default(),
            mix,
            shape,
        }
    }

    /// The same voices with one thread per request and nobody else, on the smallest pod that was
    /// measured so; None where a voice was not.
    pub fn with_one_thread(&self, load: &Load) -> Option<PodCurve> {
        let one = |part: &Part<'a>| {
            let config = part
                .profile
                .configs
                .iter()
                .filter(|config| config.threads == 1 && config.cpu >= 1.0)
                .min_by(|a, b| a.cpu.total_cmp(&b.cpu))?;
            let curve = ServiceCurve::new(config, part.profile, load)
                .derated(self.derate, part.standing.slowdown());
            Some((part.share, curve))
        };
        let voices: Option<Vec<_>> = self.mix.parts.iter().map(one).collect();
        Some(PodCurve::mixed(&voices?))
    }

    /// CPU-seconds per audio-second of the mix.
    pub fn cpu_per_audio(&self) -> f64 {
        let voices = self.mix.parts.iter().zip(self.shape.configs());
        voices
            .map(|(part, config)| part.share * config.cpu_per_audio)
            .sum()
    }

    /// This shape as rejected.
    pub fn rejection(&self, because: Because) -> Rejection {
        Rejection {
            shape: Some((self.shape.cpu, self.shape.threads)),
            profiles: self.mix.profiles(),
            ..Rejection::of_class(self.class, because)
        }
    }

    /// Whether it serves these variants, as far as they are named.
    pub fn serves(&self, variants: &BTreeMap<String, Variant>) -> bool {
        self.mix.parts.iter().all(|part| {
            let voice = &part.profile.voice;
            variants
                .get(&voice.name)
                .is_none_or(|variant| *variant == voice.variant)
        })
    }

    /// The largest admission limit that was measured: one where pods share a GPU, if as many
    /// requests at once were measured as there are pods.
    pub fn slots(&self) -> u32 {
        let measured = u32::try_from(self.audio_rates.len()).unwrap_or(u32::MAX);
        match self.sharing() {
            1 => measured,
            pods => u32::from(pods <= measured),
        }
    }

    /// Pods that share a GPU.
    fn sharing(&self) -> u32 {
        match self.mix.accelerator {
            Accelerator::Cpu => 1,
            Accelerator::Gpu => self.class.pods_per_gpu,
        }
    }

    /// Pods beside this one that slow it: those on the same node, or on the same GPU. Pods with GPUs
    /// of their own do not slow each other.
    pub fn others(&self, pods_per_node: u32) -> u32 {
        match self.mix.accelerator {
            Accelerator::Cpu => pods_per_node.saturating_sub(1),
            Accelerator::Gpu => self.sharing() - 1,
        }
    }

    /// Beside `others` pods of which each has `busy` requests in service, in [`LEVELS`]ths.
    pub fn curve(&self, others: u32, busy: u32) -> Rc<Surrounded> {
        let busy = if others == 0 { 0 } else { busy };
        let known = self.curves.borrow().get(&(others, busy)).cloned();
        if let Some(curve) = known {
            return curve;
        }
        let requests = f64::from(busy) / f64::from(LEVELS);
        let mut worst: Vec<Beside> = Vec::new();
        let mut voices: Vec<(f64, ServiceCurve)> = Vec::new();
        for ((share, curve, derate), node) in self.voices.iter().zip(&self.nodes) {
            if self.mix.accelerator == Accelerator::Gpu {
                let shared = match others {
                    0 => Some(curve.clone()),
                    _ => curve.shared_by(others, requests),
                };
                voices.extend(shared.map(|curve| (*share, curve)));
                continue;
            }
            let beside: Vec<Beside> = (1..=self.slots())
                .map(|n| node.beside(others, requests, n, self.shape.cpu))
                .collect();
            for (index, beside) in beside.iter().enumerate() {
                match worst.get_mut(index) {
                    Some(worst) => {
                        worst.speed = worst.speed.min(beside.speed);
                        worst.measured &= beside.measured;
                    }
                    None => worst.push(*beside),
                }
            }
            voices.push((*share, curve.clone().beside(&beside, *derate)));
        }
        let surrounded = Rc::new(Surrounded {
            curve: PodCurve::mixed(&voices),
            beside: worst,
        });
        let mut curves = self.curves.borrow_mut();
        curves.insert((others, busy), Rc::clone(&surrounded));
        surrounded
    }

    /// What the pod asks for, and the memory that it needs without margin.
    pub fn ask(
        &self,
        terms: &Terms<'_>,
        concurrency: u32,
        memory: Option<f64>,
    ) -> Result<(f64, Ask), Because> {
        let policy = terms.policy;
        if self.qos == Qos::Guaranteed && self.shape.cpu.fract() != 0.0 {
            return Err(Because::PartOfACore {
                cpu: self.shape.cpu,
            });
        }
        let audio = self
            .audio_rates
            .get((concurrency - 1) as usize)
            .copied()
            .unwrap_or_default();
        let cpu = resources::cpu_request(
            &Cores {
                accelerator: self.mix.accelerator,
                qos: self.qos,
                measured: self.shape.cpu,
                busy: audio * self.cpu_per_audio(),
                // The policy's, or what encoding to the wanted format was measured to take.
                overhead: policy.cpu_overhead.max(audio * self.encoding),
            },
            policy,
        );
        if let Some(limit) = policy.max_cpu_per_pod.filter(|&limit| cpu > limit + NOISE) {
            return Err(Because::AboveLimit { cpu, limit });
        }
        let needed = memory::needed(
            &self.memory,
            concurrency,
            self.longest_queue,
            terms.load.max_chunk_audio,
        );
        let memory = memory
            .filter(|&running| memory::still_enough(running, needed, policy))
            .unwrap_or_else(|| memory::request(needed, policy))
            .max(self.least_memory);
        if let Some(limit) = policy.max_memory_per_pod.filter(|&limit| memory > limit) {
            return Err(Because::AboveMemoryLimit { memory, limit });
        }
        let gpus = u32::from(self.mix.accelerator == Accelerator::Gpu);
        if gpus > 0 && self.class.gpu_slots == 0 {
            return Err(Because::NoGpu);
        }
        Ok((needed, Ask { cpu, memory, gpus }))
    }

    /// The limit of the GPU memory arena, of which the GPU must hold as many as there are pods.
    pub fn gpu_memory_limit(
        &self,
        terms: &Terms<'_>,
        concurrency: u32,
    ) -> Result<Option<f64>, Because> {
        let Some(regression) = &self.gpu_memory else {
            return Ok(None);
        };
        let limit = memory::gpu_limit(regression, concurrency, terms.load.max_chunk_audio);
        let vram = self
            .mix
            .parts
            .iter()
            .filter_map(|part| Some(part.profile.node.fingerprint.gpu.as_ref()?.vram_mib))
            .fold(f64::INFINITY, f64::min);
        if memory::pods_per_gpu(vram, limit) < self.class.pods_per_gpu {
            return Err(Because::GpuMemory {
                needed: limit,
                pods: self.class.pods_per_gpu,
                vram,
            });
        }
        Ok(Some(limit))
    }

    /// The voice that alone misses the objective in an idle pod, with its p95: that the others are
    /// fast does not help its listeners. None where there is one voice only, which is the mix.
    pub fn late_voice(&self, objective: f64, curve: &PodCurve) -> Option<(&str, f64)> {
        let idle = curve.first_audio.first()?.parts();
        if idle.len() < 2 {
            return None;
        }
        let parts = self.mix.parts.iter().zip(idle);
        let late = parts
            .into_iter()
            .find(|(_, (_, times))| times.exceeding(objective) > 1.0 - QUANTILE);
        late.map(|(part, (_, times))| {
            let alone = [(*times).into()];
            let pod = FlowServer::new(&[1.0], &alone, 1.0, 1.0);
            let idle_p95 = pod.first_audio_quantile(QUANTILE, pod.idle_rate());
            (part.profile.voice.name.as_str(), idle_p95)
        })
    }

    /// Per hour: a share of the node's price, or a weight.
    pub fn pod_price(&self, ask: &Ask, pods_per_node: u32) -> f64 {
        let weight = ask.cpu + f64::from(ask.gpus) * self.class.gpu_weight;
        let price = self.class.price_per_hour;
        price.map_or(weight, |price| price / f64::from(pods_per_node))
    }

    /// A share of the idle node's power for each pod, and the energy of the audio.
    pub fn watts(&self, terms: &Terms<'_>, pods: u32, pods_per_node: u32) -> Option<f64> {
        let audio = terms.peak * terms.load.mean_audio;
        let mut idle: f64 = 0.0;
        let mut busy = 0.0;
        for (part, config) in self.mix.parts.iter().zip(self.shape.configs()) {
            let energy = config.energy?;
            idle = idle.max(energy.idle_watts);
            busy += part.share * energy.per_audio * audio;
        }
        Some(f64::from(pods) * idle / f64::from(pods_per_node.max(1)) + busy)
    }
}

/// CPU-seconds per audio-second of encoding to a format; 0 where it was not measured.
fn encoding(part: &Part<'_>, format: Option<&str>) -> f64 {
    let measured = part
        .profile
        .encoding
        .iter()
        .find(|encoding| Some(encoding.format.as_str()) == format);
    measured.map_or(0.0, |encoding| encoding.cpu_per_audio)
}

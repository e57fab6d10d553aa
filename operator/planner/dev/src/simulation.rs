//! Plans in the simulator: the texts of a request and the pods of its plan, at their true speed.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what tests share may fail as a test may"
)]

use tts_planner::profile::{Config, Profile};
use tts_planner::{AcceptedPlan, LoadBalancing, NodeClass, Outcome, Request, plan};
use tts_planner_simulator::{Balancing, Fleet, Length, Nodes, Pods, Work, mixed_arrivals};

/// A request, its plan, and how fast its pods really are.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub request: Request,
    pub plan: AcceptedPlan,
    /// By the ids of the plan's profiles.
    truth: Vec<Profile>,
    nodes: Option<Nodes>,
    /// Times of service over those of the truth.
    slower: f64,
}

/// A share of requests over several runs, in percent.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    pub mean: f64,
    /// Half of the 95 % confidence interval.
    pub interval: f64,
}

impl Estimate {
    /// Runs with the seeds 1 to 5.
    pub fn of(run: impl Fn(u64) -> f64) -> Self {
        /// Student's t for four degrees of freedom.
        const T95: f64 = 2.776;
        let shares: Vec<f64> = (1..=5).map(|seed| 100.0 * run(seed)).collect();
        let mean = shares.iter().sum::<f64>() / 5.0;
        let variance = shares
            .iter()
            .map(|share| (share - mean).powi(2))
            .sum::<f64>()
            / 4.0;
        Self {
            mean,
            interval: T95 * (variance / 5.0).sqrt(),
        }
    }

    /// Whether more than `percent`, beyond the interval.
    pub fn is_above(&self, percent: f64) -> bool {
        self.mean > percent + self.interval
    }
}

impl Case {
    /// Pods that are as fast as measured and alone on their nodes; None where there is no plan.
    pub fn new(name: String, request: Request) -> Option<Self> {
        let truth = request
            .measurements
            .iter()
            .map(|measurement| measurement.profile.clone())
            .collect();
        match plan(&request).unwrap().outcome {
            Outcome::Plan(plan) => Some(Self {
                name,
                request,
                plan: *plan,
                truth,
                nodes: None,
                slower: 1.0,
            }),
            Outcome::Infeasible(_) => None,
        }
    }

    /// Pods as fast as in these profiles, which have the ids of the measured ones.
    #[must_use]
    pub fn with_truth(mut self, truth: Vec<Profile>) -> Self {
        self.truth = truth;
        self
    }

    /// Pods that share nodes with this slowdown by requests in service.
    #[must_use]
    pub fn on_nodes(mut self, per_node: u32, slowdown: Vec<f64>) -> Self {
        self.nodes = Some(Nodes {
            per_node: usize::try_from(per_node).unwrap(),
            slowdown,
        });
        self
    }

    /// The node class of the plan.
    pub fn class(&self) -> &NodeClass {
        let name = self.plan.node_class.as_ref().unwrap();
        let mut classes = self.request.classes.iter();
        classes.find(|class| class.name == *name).unwrap()
    }

    /// Pods that fit on one node by their cores and memory.
    pub fn per_node(&self) -> u32 {
        let (class, asked) = (self.class(), &self.plan.pod.resources);
        let fits = |count: &u32| {
            f64::from(*count) * asked.cpu_request <= class.allocatable_cpu + 1e-9
                && f64::from(*count) * asked.memory <= class.allocatable_memory
        };
        (1..1000).take_while(fits).last().unwrap()
    }

    fn voices(&self) -> impl Iterator<Item = (f64, &Profile, &Config)> {
        let pod = &self.plan.pod;
        self.plan.voices.iter().map(|voice| {
            let mut profiles = self.truth.iter();
            let profile = profiles
                .find(|profile| profile.id == voice.profile)
                .unwrap();
            let same = |config: &&Config| {
                config.cpu.total_cmp(&pod.cpu).is_eq() && config.threads == pod.threads.intra_op
            };
            let config = profile.configs.iter().find(same).unwrap();
            (voice.share, profile, config)
        })
    }

    /// The texts of each voice and its share of the requests.
    pub fn texts(&self) -> Vec<(f64, Work)> {
        let load = &self.request.load;
        let texts = |(share, profile, config): (f64, &Profile, &Config)| {
            let work = Work {
                mean_audio: load.mean_audio,
                audio_cv: load.audio_cv,
                length: Length::LogNormal,
                s0: config.s0 * self.slower,
                s1: config.s1 * self.slower,
                f0: config.f0 * self.slower,
                f1: config.f1 * self.slower,
                chunk: profile
                    .streaming
                    .then_some((profile.corpus.chunk_audio, 0.35)),
                noise: profile.run.noise_cv,
                turn: profile
                    .corpus
                    .chunks_per_text
                    .map(|chunks| profile.corpus.mean_audio / chunks),
            };
            (share, work)
        };
        self.voices().map(texts).collect()
    }

    /// So many pods of the plan; without a queue's length none is rejected.
    pub fn fleet(&self, count: u32, queue: Option<u32>) -> Fleet {
        let slots = 1..=self.plan.pod.max_concurrency;
        let of = |(_, _, config): (f64, &Profile, &Config)| {
            slots.clone().map(|n| slowdown(config, n)).collect()
        };
        let voices: Vec<Vec<f64>> = self.voices().map(of).collect();
        Fleet {
            pods: Pods {
                count: usize::try_from(count).unwrap(),
                slowdown: voices.first().unwrap().clone(),
                queue: queue.map(|queue| usize::try_from(queue).unwrap()),
                balancing: match self.request.policy.load_balancing {
                    LoadBalancing::Random => Balancing::Random,
                    LoadBalancing::RoundRobin => Balancing::RoundRobin,
                    LoadBalancing::LeastRequest => Balancing::LeastInFlight,
                },
            },
            voices,
            nodes: self.nodes.clone(),
        }
    }

    /// Share of the requests that are late or rejected with `count` pods at `rate` requests per
    /// second.
    pub fn late_or_rejected(&self, fleet: &Fleet, rate: f64, arrivals: usize, seed: u64) -> f64 {
        let burstiness = self.request.load.burstiness;
        let requests = mixed_arrivals(&self.texts(), rate, burstiness, arrivals, seed);
        fleet
            .run(&requests, seed)
            .late_or_rejected(self.request.objectives.ttfa_p95)
    }

    /// Late or rejected with R pods, each at λ* and with the plan's queue.
    pub fn at_planned_rate(&self, arrivals: usize) -> Estimate {
        let replicas = self.plan.replicas.at_peak;
        let rate = self.plan.predicted.unwrap().rate * f64::from(replicas);
        let fleet = self.fleet(replicas, Some(self.plan.pod.queue));
        Estimate::of(|seed| self.late_or_rejected(&fleet, rate, arrivals, seed))
    }

    /// Late requests of each voice that has an idle pod for itself.
    pub fn idle(&self, arrivals: usize) -> Vec<f64> {
        let fleet = self.fleet(1, None);
        let late = |voice: usize| {
            let mut texts = self.texts();
            for (index, (share, _)) in texts.iter_mut().enumerate() {
                *share = if index == voice { 1.0 } else { 0.0 };
            }
            // A thousandth of what the pod can do.
            let rate = self.plan.predicted.unwrap().full_rate / 1000.0;
            let requests = mixed_arrivals(&texts, rate, 1.0, arrivals, 1);
            fleet
                .run(&requests, 1)
                .late_or_rejected(self.request.objectives.ttfa_p95)
        };
        (0..self.plan.voices.len()).map(late).collect()
    }

    /// Whether so many pods serve the peak in time, each request, in each of three runs: a pod that
    /// keeps its promise to those it does not refuse keeps another promise.
    fn is_enough(&self, count: u32, arrivals: usize) -> bool {
        let fleet = self.fleet(count, None);
        let peak = self.request.load.peak_rps();
        (1..=3).all(|seed| self.late_or_rejected(&fleet, peak, arrivals, seed) <= 0.05)
    }

    /// The fewest pods that serve the peak in time; at most one more than planned.
    pub fn needed(&self, arrivals: usize) -> u32 {
        let mut needed = self.plan.replicas.at_peak + 1;
        while needed > 1 && self.is_enough(needed - 1, arrivals) {
            needed -= 1;
        }
        needed
    }

    /// The largest number of pods that R exceeds by more than one pod and by more than 20 %; R is
    /// wasteful where so few would do.
    fn wasteful_from(&self) -> u32 {
        let planned = f64::from(self.plan.replicas.at_peak);
        let exceeded = |few: &u32| planned > f64::from(*few) + f64::max(1.0, 0.2 * f64::from(*few));
        (1..self.plan.replicas.at_peak)
            .take_while(exceeded)
            .last()
            .unwrap_or(0)
    }

    /// Whether R is more than needed by more than one pod and by more than 20 %.
    pub fn is_wasteful(&self, arrivals: usize) -> bool {
        let few = self.wasteful_from();
        few > 0 && self.is_enough(few, arrivals)
    }
}

/// `n·X(1)/X(n)`, straight in X between measured levels.
fn slowdown(config: &Config, n: u32) -> f64 {
    let upper = config.levels.iter().find(|level| level.n >= n).unwrap();
    let lower = config.levels.iter().rfind(|level| level.n <= n).unwrap();
    let share = if upper.n == lower.n {
        0.0
    } else {
        f64::from(n - lower.n) / f64::from(upper.n - lower.n)
    };
    let rate = lower.audio_per_sec + share * (upper.audio_per_sec - lower.audio_per_sec);
    f64::from(n) * config.levels.first().unwrap().audio_per_sec / rate
}

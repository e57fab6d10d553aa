//! One pod shape on one node class: the admission limit that serves the load best, or why none
//! does.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::balancing::Packed;
use crate::capacity::Ask;
use crate::contenders::{Contender, Surrounded};
use crate::neighbours::Beside;
use crate::numeric::ceil_above_noise;
use crate::profile::Accelerator;
use crate::queueing::{FlowServer, QUANTILE};
use crate::rejection::Because;
use crate::request::{Minimise, Terms};

/// What costs may differ by and still be equal: rounding noise.
const NOISE: f64 = 1e-9;

/// A pod shape with its admission limit, and what it would cost at the peak.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'c> {
    pub of: &'c Contender<'c>,
    /// C.
    pub concurrency: u32,
    /// Q.
    pub queue: u32,
    /// Among neighbours that are as busy as it is at λ*.
    surrounded: Rc<Surrounded>,
    /// What they take from a full pod; None on a GPU.
    pub beside: Option<Beside>,
    /// ca² of one pod's arrivals.
    pub arrival_cv2: f64,
    /// λ*, requests per second.
    pub rate: f64,
    /// R: pods that keep the objectives at the peak.
    pub replicas: u32,
    /// `λ_t`: requests per second and pod at the autoscaler's target.
    pub target_rate: f64,
    /// S: pods at which the autoscaler settles at a steady peak, were there room.
    pub steady: u32,
    /// The most that one of them has at that target, requests per second.
    pub steady_rate: f64,
    pub rtf_p95: f64,
    pub memory_needed: f64,
    pub ask: Ask,
    /// MiB of the GPU memory arena; None on CPU or when it was not measured.
    pub gpu_memory_limit: Option<f64>,
    pub pods_per_node: u32,
    /// Per hour; a weight where the class has no price.
    pub pod_price: f64,
    /// S pods per hour.
    pub cost: f64,
    /// Power of S pods at the peak (W); None where energy was not measured.
    pub watts: Option<f64>,
    /// The most pods that the inventory, the quota and the user allow.
    pub limit: u32,
    /// The most pods that the inventory allows.
    pub node_limit: u32,
}

impl<'c> Candidate<'c> {
    /// Tries every C up to what was measured, the largest first: it usually serves most, and rules
    /// out others before they are computed.
    pub fn best(pod: &'c Contender<'c>, terms: &Terms<'_>) -> Result<Self, Because> {
        let mut best: Option<Self> = None;
        let mut obstacle = None;
        let mut misfit = None;
        for concurrency in (1..=pod.slots()).rev() {
            if best
                .as_ref()
                .is_some_and(|best| best.must_be_cheaper(terms, concurrency))
            {
                continue;
            }
            match Self::with(pod, terms, concurrency, None) {
                Ok(candidate) => {
                    // Equal ones keep the smaller admission limit.
                    if best
                        .as_ref()
                        .is_none_or(|best| !best.beats(&candidate, terms.policy.minimise))
                    {
                        best = Some(candidate);
                    }
                }
                Err(because) => {
                    let late = matches!(
                        because,
                        Because::FirstAudio { .. } | Because::RealTimeFactor { .. }
                    );
                    *if late { &mut obstacle } else { &mut misfit } = Some(because);
                }
            }
        }
        // That a pod does not fit says more than that a larger one would also be late.
        best.ok_or_else(|| {
            misfit.or(obstacle).unwrap_or(Because::FirstAudio {
                idle_p95: f64::INFINITY,
                objective: terms.objectives.ttfa_p95,
                voice: None,
            })
        })
    }

    /// Whether this fits and another admission limit of the same pod costs more even at the largest
    /// utilisation that is planned.
    fn must_be_cheaper(&self, terms: &Terms<'_>, concurrency: u32) -> bool {
        let pod = self.of;
        if !self.fits_inventory() || terms.policy.minimise != Minimise::Cost {
            return false;
        }
        let Ok((_, ask)) = pod.ask(terms, concurrency, None) else {
            return false;
        };
        let pods_per_node = ask.per_node(pod.class);
        let idle = pod.curve(pod.others(pods_per_node), 0);
        let full_rate = idle.curve.rates.get((concurrency - 1) as usize).copied();
        let most = full_rate.unwrap_or_default() * terms.policy.max_utilisation;
        let pods = ceil_above_noise(terms.peak / pod.reaction.target_rate(most, terms.policy));
        let cost = f64::from(pods) * pod.pod_price(&ask, pods_per_node.max(1));
        cost > self.cost * (1.0 + NOISE)
    }

    /// One admission limit, with the `memory` (MiB) of a running pod as long as that is enough.
    pub fn with(
        pod: &'c Contender<'c>,
        terms: &Terms<'_>,
        concurrency: u32,
        memory: Option<f64>,
    ) -> Result<Self, Because> {
        let Terms {
            objectives, policy, ..
        } = *terms;
        let (memory_needed, ask) = pod.ask(terms, concurrency, memory)?;
        let gpu_memory_limit = pod.gpu_memory_limit(terms, concurrency)?;
        let pods_per_node = ask.per_node(pod.class);
        if pods_per_node < 1 {
            return Err(Because::Fit {
                cpu: ask.cpu,
                memory: ask.memory,
            });
        }
        let packed = Packed {
            pod,
            concurrency,
            others: pod.others(pods_per_node),
        };
        // What must not depend on the load is judged beside full neighbours.
        let full = packed.full();
        let index = (concurrency - 1) as usize;
        let rtf_p95 = full.curve.rtf_p95.get(index).copied();
        let rtf_p95 = rtf_p95.unwrap_or(f64::INFINITY);
        if rtf_p95 > objectives.rtf_p95 {
            return Err(Because::RealTimeFactor {
                concurrency,
                rtf_p95,
                objective: objectives.rtf_p95,
            });
        }
        let server = packed.server(&full, terms.load.burstiness);
        // A typical request in a full pod must keep the promise.
        let typical = server.full_first_audio().median();
        let carried = if typical > objectives.ttfa_p95 {
            None
        } else {
            packed.carried(terms)
        };
        let Some(carried) = carried else {
            let voice = pod.late_voice(objectives.ttfa_p95, &full.curve);
            return Err(Because::FirstAudio {
                idle_p95: voice.map_or_else(
                    || server.first_audio_quantile(QUANTILE, server.idle_rate()),
                    |(_, idle_p95)| idle_p95,
                ),
                objective: objectives.ttfa_p95,
                voice: voice.map(|(name, _)| name.to_owned()),
            });
        };
        // A typical request queued deeper than this would be late, where it waits for one turn of each before it: better a 429
        // now.
        let turns_per_second = full.curve.turns * server.full_rate();
        let queue = ceil_above_noise(turns_per_second * (objectives.ttfa_p95 - typical))
            .clamp(1, pod.longest_queue);
        let steady = carried.steady;
        let pod_price = pod.pod_price(&ask, pods_per_node);
        let node_limit = ask.on_nodes(pod.class, pod.class.max_nodes);
        Ok(Self {
            of: pod,
            concurrency,
            queue,
            beside: carried.surrounded.beside.get(index).copied(),
            target_rate: pod.reaction.target_rate(carried.rate, policy),
            surrounded: carried.surrounded,
            arrival_cv2: carried.arrival_cv2,
            rate: carried.rate,
            replicas: carried.replicas,
            steady,
            steady_rate: carried.steady_rate,
            rtf_p95,
            memory_needed,
            ask,
            gpu_memory_limit,
            pods_per_node,
            pod_price,
            cost: f64::from(steady) * pod_price,
            watts: pod.watts(terms, steady, pods_per_node),
            limit: node_limit
                .min(ask.in_quota(&terms.quota))
                .min(policy.max_replicas.unwrap_or(u32::MAX)),
            node_limit,
        })
    }
}

impl Candidate<'_> {
    fn packed(&self) -> Packed<'_> {
        Packed {
            pod: self.of,
            concurrency: self.concurrency,
            others: self.of.others(self.pods_per_node),
        }
    }

    /// The pod as a queue.
    pub fn server(&self) -> FlowServer<'_> {
        self.packed().server(&self.surrounded, self.arrival_cv2)
    }

    /// The same pod where it and its neighbours get `rate` requests per second, with this ca².
    #[must_use]
    pub fn at(mut self, rate: f64, arrival_cv2: f64) -> Self {
        self.surrounded = self.packed().at(rate, arrival_cv2);
        self.arrival_cv2 = arrival_cv2;
        self
    }

    pub fn accelerator(&self) -> Accelerator {
        self.of.mix.accelerator
    }

    /// X(C), requests per second.
    pub fn full_rate(&self) -> f64 {
        self.server().full_rate()
    }

    /// `podPrice / (λ_t·ā)`: per audio-second per second is per audio-hour per hour, so the hours
    /// cancel.
    pub fn cost_per_audio_hour(&self, mean_audio: f64) -> f64 {
        self.pod_price / (self.target_rate * mean_audio)
    }

    pub fn fits_inventory(&self) -> bool {
        self.replicas <= self.limit
    }

    /// The part of the nodes that it takes.
    pub fn nodes(&self) -> f64 {
        f64::from(self.steady) / f64::from(self.pods_per_node.max(1))
    }

    /// What the policy wants least of; the second number decides where the first is equal, and
    /// infinite means not measured.
    pub fn score(&self, minimise: Minimise) -> (f64, f64) {
        match minimise {
            Minimise::Cost => (self.cost, 0.0),
            Minimise::Energy => (self.watts.unwrap_or(f64::INFINITY), self.cost),
        }
    }

    /// What the policy wants least of, were a pod to carry `faster` times as much.
    pub fn score_if(&self, terms: &Terms<'_>, faster: f64) -> f64 {
        let steady = ceil_above_noise(terms.peak / (self.steady_rate * faster)).max(1);
        match terms.policy.minimise {
            Minimise::Cost => f64::from(steady) * self.pod_price,
            Minimise::Energy => {
                let watts = self.of.watts(terms, steady, self.pods_per_node);
                watts.unwrap_or(f64::INFINITY)
            }
        }
    }

    /// Whether this serves the load better: it fits the inventory, costs less, takes less of the
    /// nodes (which may cost nothing), has fewer pods.
    fn beats(&self, other: &Self, minimise: Minimise) -> bool {
        let less = |a: f64, b: f64| {
            if a < b * (1.0 - NOISE) {
                Ordering::Less
            } else if b < a * (1.0 - NOISE) {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        };
        let (mine, others) = (self.score(minimise), other.score(minimise));
        other
            .fits_inventory()
            .cmp(&self.fits_inventory())
            .then_with(|| less(mine.0, others.0))
            .then_with(|| less(mine.1, others.1))
            .then_with(|| less(self.nodes(), other.nodes()))
            .then(self.replicas.cmp(&other.replicas))
            .is_lt()
    }
}

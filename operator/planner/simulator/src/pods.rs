//! Pods behind a balancer: slots, a queue, and a speed that depends on how many are in service.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::number::float;
use crate::service::Service;
use crate::{Outcome, Request};

/// How requests are balanced over pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancing {
    Random,
    RoundRobin,
    LeastInFlight,
}

/// Equal pods.
#[derive(Clone, Debug)]
pub struct Pods {
    pub count: usize,
    /// Slowdown with 1, 2, … in service, `n·X(1)/X(n)`; as many as the pod has slots, at least one.
    pub slowdown: Vec<f64>,
    /// None: unbounded.
    pub queue: Option<usize>,
    pub balancing: Balancing,
}

/// Pods that share nodes: their cores, or the GPU of each node.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// Pod `i` runs on node `i / per_node`; at least one.
    pub per_node: usize,
    /// Slowdown with 1, 2, … in service in all pods of the node, `m·X(1)/X(m)`; more in service
    /// than the list is long have its last.
    pub slowdown: Vec<f64>,
}

/// Pods whose voices differ in slowdown or that share nodes.
///
/// With `n` in service in its pod and `m` on its node, a request progresses at
/// `1/max(slowdown of its voice at n, slowdown of the node at m)` of its speed alone.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub pods: Pods,
    /// Slowdown of each voice; voices beyond the list have [`Pods::slowdown`], whose length is the
    /// number of slots for all.
    pub voices: Vec<Vec<f64>>,
    /// None: each pod has its own cores.
    pub nodes: Option<Nodes>,
}

impl From<Pods> for Fleet {
    fn from(pods: Pods) -> Self {
        Self {
            pods,
            voices: Vec::new(),
            nodes: None,
        }
    }
}

impl Pods {
    /// [`Fleet::run`] for one voice, each pod on a node of its own.
    pub fn run(&self, requests: &[Request], seed: u64) -> Outcome {
        Fleet::from(self.clone()).run(requests, seed)
    }
}

impl Fleet {
    /// Runs the requests, in order of arrival, through to the last. The outcome is without the
    /// first tenth.
    pub fn run(&self, requests: &[Request], seed: u64) -> Outcome {
        let mut service = Service::new(self, requests);
        let mut balancer = Balancer::new(self.pods.balancing, seed);
        let pods: Vec<usize> = (0..self.pods.count)
            .map(|place| service.open(place))
            .collect();
        for (index, request) in requests.iter().enumerate() {
            service.run_until(request.arrival);
            let pod = balancer.pick(&pods, |pod| service.in_flight(pod));
            service.arrive(pod, index);
        }
        service.run_until(f64::INFINITY);
        let warm = requests.len() / 10;
        let span = match (requests.get(warm), requests.last()) {
            (Some(first), Some(last)) => last.arrival - first.arrival,
            _ => 0.0,
        };
        let served = service.served().split_off(warm);
        Outcome::of(served, span, float(self.pods.count))
    }

    pub(crate) fn slots(&self) -> usize {
        self.pods.slowdown.len()
    }

    pub(crate) fn per_node(&self) -> usize {
        self.nodes.as_ref().map_or(1, |nodes| nodes.per_node.max(1))
    }

    /// With `in_pod` in service in the request's pod and `on_node` on its node, itself included.
    pub(crate) fn slowdown(&self, voice: usize, in_pod: usize, on_node: usize) -> f64 {
        let own = self.voices.get(voice).unwrap_or(&self.pods.slowdown);
        let own = at(own, in_pod).unwrap_or(1.0);
        self.nodes
            .as_ref()
            .and_then(|nodes| at(&nodes.slowdown, on_node))
            .map_or(own, |node| node.max(own))
    }
}

fn at(slowdown: &[f64], in_service: usize) -> Option<f64> {
    slowdown.get(in_service - 1).or(slowdown.last()).copied()
}

/// Picks the pod of each request.
pub(crate) struct Balancer {
    balancing: Balancing,
    random: Xoshiro256PlusPlus,
    turn: usize,
}

impl Balancer {
    pub(crate) fn new(balancing: Balancing, seed: u64) -> Self {
        Self {
            balancing,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            turn: 0,
        }
    }

    /// One of `pods`, at least one.
    pub(crate) fn pick(&mut self, pods: &[usize], in_flight: impl Fn(usize) -> usize) -> usize {
        let turn = self.turn;
        self.turn += 1;
        match self.balancing {
            Balancing::Random => pods[self.random.random_range(0..pods.len())],
            Balancing::RoundRobin => pods[turn % pods.len()],
            Balancing::LeastInFlight => pods
                .iter()
                .copied()
                .min_by_key(|&pod| in_flight(pod))
                .unwrap_or(pods[0]),
        }
    }
}

//! Pods behind a balancer: slots, a queue, and a speed that depends on how many are in service.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::Request;

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

/// The outcome of the requests, without the first tenth.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Time to first audio of the accepted ones, in order of arrival (s).
    pub first_audio: Vec<f64>,
    /// Share of rejected requests.
    pub rejected: f64,
    /// Mean number in one pod, waiting or in service, by Little's law.
    pub mean_in_system: f64,
}

impl Outcome {
    /// Share of requests that were rejected or got its first audio after `promise` seconds.
    pub fn late_or_rejected(&self, promise: f64) -> f64 {
        let late = self
            .first_audio
            .iter()
            .filter(|&&time| time > promise)
            .count();
        self.rejected + (1.0 - self.rejected) * float(late) / float(self.first_audio.len().max(1))
    }

    /// Of the time to first audio.
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.first_audio, q)
    }
}

/// Straight between order statistics; NaN for none.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = q * float(sorted.len().saturating_sub(1));
    let below = index(position);
    let at = |place: usize| {
        sorted
            .get(place)
            .or(sorted.last())
            .copied()
            .unwrap_or(f64::NAN)
    };
    at(below) + (at(below + 1) - at(below)) * position.fract()
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a list: at least zero and below its length"
)]
fn index(position: f64) -> usize {
    position as usize
}

/// A float that sorts.
#[derive(Clone, Copy, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// One pod. Its clock counts work: all requests in service progress at `1/slowdown` of real time,
/// so each is due at a fixed reading of that clock, whoever joins or leaves.
#[derive(Default)]
struct Pod {
    clock: f64,
    seen: f64,
    in_service: usize,
    waiting: VecDeque<usize>,
    /// (reading of the clock, request) at which service ends, and at which first audio comes.
    ends: BinaryHeap<Reverse<(Time, usize)>>,
    first: BinaryHeap<Reverse<(Time, usize)>>,
    /// Events planned before the last change are void.
    version: u64,
}

impl Pod {
    fn advance(&mut self, now: f64, slowdown: &[f64]) {
        if self.in_service > 0 {
            self.clock += (now - self.seen) / speed(slowdown, self.in_service);
        }
        self.seen = now;
    }

    /// When something next happens here, if nobody joins.
    fn next(&self, now: f64, slowdown: &[f64]) -> Option<f64> {
        let Reverse((end, _)) = self.ends.peek()?;
        let due = self
            .first
            .peek()
            .map_or(*end, |Reverse((first, _))| *first.min(end));
        Some(now + (due.0 - self.clock).max(0.0) * speed(slowdown, self.in_service))
    }

    fn start(&mut self, request: usize, of: &Request) {
        self.in_service += 1;
        self.ends
            .push(Reverse((Time(self.clock + of.service), request)));
        self.first
            .push(Reverse((Time(self.clock + of.first_audio), request)));
    }
}

fn speed(slowdown: &[f64], in_service: usize) -> f64 {
    slowdown
        .get(in_service - 1)
        .or(slowdown.last())
        .copied()
        .unwrap_or(1.0)
}

impl Pods {
    /// Runs the requests through, to the last.
    pub fn run(&self, requests: &[Request], seed: u64) -> Outcome {
        let mut simulation = Simulation::new(self, requests);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        for (index, request) in requests.iter().enumerate() {
            simulation.run_until(request.arrival);
            let pod = match self.balancing {
                Balancing::Random => random.random_range(0..self.count),
                Balancing::RoundRobin => index % self.count,
                Balancing::LeastInFlight => simulation.least_in_flight(),
            };
            simulation.arrive(pod, index);
        }
        simulation.run_until(f64::INFINITY);
        simulation.outcome()
    }
}

struct Simulation<'a> {
    pods: &'a Pods,
    requests: &'a [Request],
    state: Vec<Pod>,
    /// (time, pod, the pod's version).
    events: BinaryHeap<Reverse<(Time, usize, u64)>>,
    first_audio: Vec<Option<f64>>,
    in_system: Vec<f64>,
}

impl<'a> Simulation<'a> {
    fn new(pods: &'a Pods, requests: &'a [Request]) -> Self {
        Self {
            pods,
            requests,
            state: (0..pods.count).map(|_| Pod::default()).collect(),
            events: BinaryHeap::new(),
            first_audio: vec![None; requests.len()],
            in_system: vec![0.0; requests.len()],
        }
    }

    fn least_in_flight(&self) -> usize {
        let in_flight = |pod: &Pod| pod.in_service + pod.waiting.len();
        (0..self.state.len())
            .min_by_key(|&pod| in_flight(&self.state[pod]))
            .unwrap_or(0)
    }

    fn arrive(&mut self, pod: usize, request: usize) {
        let now = self.requests[request].arrival;
        let state = &mut self.state[pod];
        state.advance(now, &self.pods.slowdown);
        if state.in_service < self.pods.slowdown.len() {
            state.start(request, &self.requests[request]);
        } else if self
            .pods
            .queue
            .is_none_or(|queue| state.waiting.len() < queue)
        {
            state.waiting.push_back(request);
        }
        self.plan(pod, now);
    }

    fn plan(&mut self, pod: usize, now: f64) {
        let state = &mut self.state[pod];
        state.version += 1;
        if let Some(next) = state.next(now, &self.pods.slowdown) {
            self.events.push(Reverse((Time(next), pod, state.version)));
        }
    }

    fn run_until(&mut self, until: f64) {
        while let Some(&Reverse((Time(now), pod, version))) = self.events.peek() {
            if now >= until {
                return;
            }
            self.events.pop();
            if self.state[pod].version == version {
                self.finish(pod, now);
            }
        }
    }

    /// What is due in a pod: first audio, ends, and starts in the places that become free.
    fn finish(&mut self, pod: usize, now: f64) {
        let state = &mut self.state[pod];
        state.advance(now, &self.pods.slowdown);
        // The clock reaches a due reading only up to rounding.
        let due = Time(state.clock + 1e-9 * (1.0 + state.clock.abs()));
        while state
            .first
            .peek()
            .is_some_and(|Reverse((first, _))| *first <= due)
        {
            if let Some(Reverse((_, request))) = state.first.pop() {
                self.first_audio[request] = Some(now - self.requests[request].arrival);
            }
        }
        while state
            .ends
            .peek()
            .is_some_and(|Reverse((end, _))| *end <= due)
        {
            if let Some(Reverse((_, request))) = state.ends.pop() {
                self.in_system[request] = now - self.requests[request].arrival;
                state.in_service -= 1;
                if let Some(next) = state.waiting.pop_front() {
                    state.start(next, &self.requests[next]);
                }
            }
        }
        self.plan(pod, now);
    }

    fn outcome(self) -> Outcome {
        let warm = self.requests.len() / 10;
        let counted = &self.first_audio[warm..];
        let first_audio: Vec<f64> = counted.iter().flatten().copied().collect();
        let span = match (self.requests.get(warm), self.requests.last()) {
            (Some(first), Some(last)) => last.arrival - first.arrival,
            _ => 0.0,
        };
        Outcome {
            rejected: 1.0 - float(first_audio.len()) / float(counted.len().max(1)),
            first_audio,
            mean_in_system: self.in_system[warm..].iter().sum::<f64>()
                / span
                / float(self.pods.count),
        }
    }
}

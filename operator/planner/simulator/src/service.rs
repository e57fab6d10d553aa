//! The events of service: arrivals, first audio and ends, in pods on nodes.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use crate::in_flight::InFlight;
use crate::{Fleet, Request, Served};

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

/// A request in service. Its work is in seconds alone on the pod.
struct InService {
    request: usize,
    /// Work left: in all, of this turn, and to the first audio (None: it has come).
    left: f64,
    of_turn: f64,
    to_first: Option<f64>,
    /// Turns after this one.
    turns: u32,
}

impl InService {
    fn new(request: usize, of: &Request) -> Self {
        let first_audio = of.first_audio.min(of.service);
        Self {
            request,
            left: of.service,
            of_turn: if of.turns > 1 {
                first_audio
            } else {
                of.service
            },
            to_first: Some(first_audio),
            turns: of.turns.saturating_sub(1),
        }
    }

    fn next(&self) -> f64 {
        self.to_first.unwrap_or(self.of_turn)
    }

    /// Begins the next of the turns that are left, which are equally long.
    fn take_turn(&mut self) {
        self.of_turn = self.left / f64::from(self.turns.max(1));
        self.turns = self.turns.saturating_sub(1);
    }
}

struct Pod {
    node: usize,
    in_service: Vec<InService>,
    waiting: VecDeque<InService>,
    history: InFlight,
}

impl Pod {
    fn in_flight(&self) -> usize {
        self.in_service.len() + self.waiting.len()
    }
}

/// What is in service on a node shares its speed, so its pods advance together.
#[derive(Default)]
struct Node {
    pods: Vec<usize>,
    seen: f64,
    /// Events planned before the last change are void.
    version: u64,
}

/// Pods that can be opened at any time, and the requests in them.
pub(crate) struct Service<'a> {
    fleet: &'a Fleet,
    requests: &'a [Request],
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    /// (time, node, the node's version).
    events: BinaryHeap<Reverse<(Time, usize, u64)>>,
    served: Vec<Served>,
}

impl<'a> Service<'a> {
    pub(crate) fn new(fleet: &'a Fleet, requests: &'a [Request]) -> Self {
        let unserved = |request: &Request| Served {
            voice: request.voice,
            arrival: request.arrival,
            first_audio: None,
            in_system: None,
        };
        Self {
            fleet,
            requests,
            pods: Vec::new(),
            nodes: Vec::new(),
            events: BinaryHeap::new(),
            served: requests.iter().map(unserved).collect(),
        }
    }

    /// A new pod at a place that no other holds; places fill nodes in order.
    pub(crate) fn open(&mut self, place: usize) -> usize {
        let pod = self.pods.len();
        let node = place / self.fleet.per_node();
        if self.nodes.len() <= node {
            self.nodes.resize_with(node + 1, Node::default);
        }
        self.nodes[node].pods.push(pod);
        self.pods.push(Pod {
            node,
            in_service: Vec::new(),
            waiting: VecDeque::new(),
            history: InFlight::default(),
        });
        pod
    }

    /// Frees the place of a pod without requests.
    pub(crate) fn close(&mut self, pod: usize) {
        let node = self.pods[pod].node;
        self.nodes[node].pods.retain(|&other| other != pod);
    }

    /// Waiting or in service.
    pub(crate) fn in_flight(&self, pod: usize) -> usize {
        self.pods[pod].in_flight()
    }

    pub(crate) fn history(&self, pod: usize) -> &InFlight {
        &self.pods[pod].history
    }

    /// What became of the requests so far, in their order.
    pub(crate) fn served(self) -> Vec<Served> {
        self.served
    }

    /// A request reaches a pod. What happens before its arrival must have been run.
    pub(crate) fn arrive(&mut self, pod: usize, request: usize) {
        let now = self.requests[request].arrival;
        let node = self.pods[pod].node;
        self.advance(node, now);
        let state = &mut self.pods[pod];
        let arrived = InService::new(request, &self.requests[request]);
        if state.in_service.len() < self.fleet.slots() {
            state.in_service.push(arrived);
        } else if self
            .fleet
            .pods
            .queue
            .is_none_or(|queue| state.waiting.len() < queue)
        {
            state.waiting.push_back(arrived);
        }
        let in_flight = state.in_flight();
        state.history.set(now, in_flight);
        self.plan(node, now);
    }

    /// What happens before `until`.
    pub(crate) fn run_until(&mut self, until: f64) {
        while let Some(&Reverse((Time(now), node, version))) = self.events.peek() {
            if now >= until {
                return;
            }
            self.events.pop();
            if self.nodes[node].version == version {
                self.finish(node, now);
            }
        }
    }

    fn in_service(&self, node: usize) -> usize {
        let pods = self.nodes[node].pods.iter();
        pods.map(|&pod| self.pods[pod].in_service.len()).sum()
    }

    /// The work done on a node since it was last seen.
    fn advance(&mut self, node: usize, now: f64) {
        let on_node = self.in_service(node);
        let state = &mut self.nodes[node];
        let elapsed = now - state.seen;
        state.seen = now;
        for &pod in &state.pods {
            let in_pod = self.pods[pod].in_service.len();
            for one in &mut self.pods[pod].in_service {
                let voice = self.requests[one.request].voice;
                let work = elapsed / self.fleet.slowdown(voice, in_pod, on_node);
                one.left -= work;
                one.of_turn -= work;
                if let Some(to_first) = &mut one.to_first {
                    *to_first -= work;
                }
            }
        }
    }

    /// Plans what next happens on a node, if nobody joins.
    fn plan(&mut self, node: usize, now: f64) {
        let on_node = self.in_service(node);
        let mut next = f64::INFINITY;
        for &pod in &self.nodes[node].pods {
            let in_service = &self.pods[pod].in_service;
            for one in in_service {
                let voice = self.requests[one.request].voice;
                let slowdown = self.fleet.slowdown(voice, in_service.len(), on_node);
                next = next.min(one.next().max(0.0) * slowdown);
            }
        }
        let state = &mut self.nodes[node];
        state.version += 1;
        if next.is_finite() {
            self.events
                .push(Reverse((Time(now + next), node, state.version)));
        }
    }

    /// What is due on a node: first audio, ends of turns and of requests, and starts in the places that become free.
    fn finish(&mut self, node: usize, now: f64) {
        self.advance(node, now);
        // Work ends only up to the rounding of the time.
        let due = 1e-9 + 8.0 * f64::EPSILON * now;
        for &pod in &self.nodes[node].pods {
            let state = &mut self.pods[pod];
            let mut place = 0;
            while let Some(one) = state.in_service.get_mut(place) {
                let request = one.request;
                let since = now - self.requests[request].arrival;
                if one.to_first.is_some_and(|work| work <= due) {
                    one.to_first = None;
                    self.served[request].first_audio = Some(since);
                }
                if one.of_turn > due {
                    place += 1;
                    continue;
                }
                if one.turns > 0 && one.left > due {
                    // To the end of the queue, and on at once if that is empty.
                    one.take_turn();
                    let one = state.in_service.swap_remove(place);
                    state.waiting.push_back(one);
                } else {
                    self.served[request].in_system = Some(since);
                    state.in_service.swap_remove(place);
                }
                // It takes the last place, and is looked at again there: nothing of it is due.
                state.in_service.extend(state.waiting.pop_front());
            }
            let in_flight = state.in_flight();
            state.history.set(now, in_flight);
        }
        self.plan(node, now);
    }
}

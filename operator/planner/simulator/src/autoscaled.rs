//! Pods that an autoscaler adds and removes while requests come.

use crate::autoscaler::{Decisions, PodMetric};
use crate::number::float;
use crate::pods::Balancer;
use crate::service::Service;
use crate::{Autoscaler, Fleet, Outcome, Request};

/// A fleet whose number of pods follows the load.
#[derive(Clone, Debug)]
pub struct Autoscaled {
    /// Its [`Pods::count`](crate::Pods::count) pods, at least one, are ready at time zero. A new
    /// pod takes the first free place on the nodes.
    pub fleet: Fleet,
    pub autoscaler: Autoscaler,
    /// Seconds until a new pod is ready.
    pub cold_start: f64,
}

/// Numbers of pods after a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replicas {
    /// When the autoscaler decided (s); zero: the beginning.
    pub time: f64,
    pub desired: usize,
    pub ready: usize,
}

/// What became of the requests and of the pods.
#[derive(Clone, Debug)]
pub struct AutoscaledOutcome {
    /// Of all requests: none are left out as warm-up.
    pub requests: Outcome,
    /// The beginning and each decision.
    pub replicas: Vec<Replicas>,
    /// Seconds of all pods, cold starts and ends included.
    pub pod_seconds: f64,
    /// The end of the replicas and of the pod-seconds (s).
    until: f64,
}

impl AutoscaledOutcome {
    /// How often replicas were removed after some had been added, or added after some had been
    /// removed.
    pub fn direction_changes(&self) -> usize {
        let changes = self.replicas.windows(2);
        let ups: Vec<bool> = changes
            .filter(|pair| pair[0].desired != pair[1].desired)
            .map(|pair| pair[1].desired > pair[0].desired)
            .collect();
        ups.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    /// Desired replicas if they are the same from a time (s) to the end.
    pub fn steady_since(&self, from: f64) -> Option<usize> {
        let before = self.replicas.iter().rfind(|at| at.time <= from);
        let after = self.replicas.iter().filter(|at| at.time > from);
        let mut desired = before.into_iter().chain(after).map(|at| at.desired);
        let first = desired.next()?;
        desired.all(|other| other == first).then_some(first)
    }

    /// Time average of the desired replicas from a time (s) to the end.
    pub fn mean_replicas_since(&self, from: f64) -> f64 {
        let ends = self.replicas.iter().skip(1).map(|at| at.time);
        let sum: f64 = self
            .replicas
            .iter()
            .zip(ends.chain([self.until]))
            .map(|(at, end)| float(at.desired) * (end - at.time.max(from)).max(0.0))
            .sum();
        sum / (self.until - from)
    }
}

impl Autoscaled {
    /// Runs the requests, in order of arrival, through to the last. The autoscaler decides up to
    /// the finite time `until` (s), also after the last arrival.
    pub fn run(&self, requests: &[Request], until: f64, seed: u64) -> AutoscaledOutcome {
        let mut run = Run::new(self, requests, until);
        let mut balancer = Balancer::new(self.fleet.pods.balancing, seed);
        for (index, request) in requests.iter().enumerate() {
            run.decide_until(request.arrival);
            run.service.run_until(request.arrival);
            let pods = run.serving(request.arrival);
            let pod = balancer.pick(&pods, |pod| run.service.in_flight(pod));
            run.service.arrive(pod, index);
        }
        run.decide_until(f64::INFINITY);
        run.service.run_until(f64::INFINITY);
        run.outcome()
    }
}

/// A pod from its creation to its removal; its index is the service's.
struct Replica {
    place: usize,
    created: f64,
    ready: f64,
    removed: Option<f64>,
    /// Its place was given back.
    closed: bool,
}

struct Run<'a> {
    of: &'a Autoscaled,
    service: Service<'a>,
    decisions: Decisions<'a>,
    pods: Vec<Replica>,
    /// Pods that were not removed, in order of creation.
    kept: Vec<usize>,
    replicas: Vec<Replicas>,
    until: f64,
}

impl<'a> Run<'a> {
    fn new(of: &'a Autoscaled, requests: &'a [Request], until: f64) -> Self {
        let mut run = Self {
            of,
            service: Service::new(&of.fleet, requests),
            decisions: Decisions::new(&of.autoscaler),
            pods: Vec::new(),
            kept: Vec::new(),
            replicas: Vec::new(),
            until,
        };
        for _ in 0..of.fleet.pods.count.max(1) {
            run.add(0.0, 0.0);
        }
        run.note(0.0);
        run
    }

    /// Decisions up to a time, this included.
    fn decide_until(&mut self, until: f64) {
        loop {
            // The beginning is noted as a decision, so the next has the number of those there are.
            let next = float(self.replicas.len()) * self.of.autoscaler.sync;
            if next > until.min(self.until) {
                return;
            }
            self.service.run_until(next);
            self.decide(next);
        }
    }

    fn decide(&mut self, now: f64) {
        let metric = |&pod: &usize| self.metric(pod, now);
        let metrics: Vec<PodMetric> = self.kept.iter().map(metric).collect();
        let current = metrics.len();
        let desired = self.decisions.desired(now, current, &metrics);
        for _ in current..desired {
            self.add(now, self.of.cold_start);
        }
        for _ in desired..current {
            self.remove(now);
        }
        self.note(now);
    }

    /// The kept pods that are ready: they get the requests.
    fn serving(&self, now: f64) -> Vec<usize> {
        let ready = |&pod: &usize| self.pods[pod].ready <= now;
        self.kept.iter().copied().filter(ready).collect()
    }

    /// The mean over the metric's window, or over its part in which the pod was ready.
    fn metric(&self, pod: usize, now: f64) -> PodMetric {
        let rule = &self.of.autoscaler;
        let ready = self.pods[pod].ready;
        let to = now - rule.metric_delay;
        let from = (to - rule.metric_window).max(ready);
        if ready > now {
            PodMetric::NotReady
        } else if to <= from {
            PodMetric::Missing
        } else {
            PodMetric::InFlight(self.service.history(pod).mean(from, to))
        }
    }

    fn add(&mut self, now: f64, cold_start: f64) {
        for (pod, replica) in self.pods.iter_mut().enumerate() {
            let ended = replica.removed.is_some() && self.service.in_flight(pod) == 0;
            if ended && !replica.closed {
                self.service.close(pod);
                replica.closed = true;
            }
        }
        let taken = |place: usize| {
            let mut open = self.pods.iter().filter(|replica| !replica.closed);
            open.any(|replica| replica.place == place)
        };
        let places = 0..=self.pods.len();
        let place = places.into_iter().find(|&place| !taken(place)).unwrap_or(0);
        self.kept.push(self.service.open(place));
        self.pods.push(Replica {
            place,
            created: now,
            ready: now + cold_start,
            removed: None,
            closed: false,
        });
    }

    /// Removes the youngest pod, which finishes the requests it has. The `ReplicaSet` controller
    /// takes pods that are not ready first, then the youngest (`ActivePodsWithRanks`): with the
    /// same cold start for all, those that are not ready are the youngest.
    fn remove(&mut self, now: f64) {
        if let Some(pod) = self.kept.pop() {
            self.pods[pod].removed = Some(now);
        }
    }

    fn note(&mut self, now: f64) {
        self.replicas.push(Replicas {
            time: now,
            desired: self.kept.len(),
            ready: self.serving(now).len(),
        });
    }

    /// Seconds of a pod up to the end of the run.
    fn seconds(&self, pod: usize) -> f64 {
        let replica = &self.pods[pod];
        let end = replica.removed.map_or(self.until, |removed| {
            let last = self.service.history(pod).changed();
            last.map_or(removed, |last| last.max(removed))
        });
        (end.min(self.until) - replica.created).max(0.0)
    }

    fn outcome(self) -> AutoscaledOutcome {
        let pod_seconds = (0..self.pods.len()).map(|pod| self.seconds(pod)).sum();
        AutoscaledOutcome {
            requests: Outcome::of(self.service.served(), self.until, pod_seconds / self.until),
            replicas: self.replicas,
            pod_seconds,
            until: self.until,
        }
    }
}

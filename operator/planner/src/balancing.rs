//! The most that one pod carries beside its neighbours, and how many pods it takes when a balancer
//! spreads the requests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::contenders::{Contender, LEVELS, Surrounded};
use crate::numeric::ceil_above_noise;
use crate::queueing::{FlowServer, QUANTILE};
use crate::request::{LoadBalancing, Terms};

/// One of several equal pods on a node.
pub(crate) struct Packed<'p> {
    pub pod: &'p Contender<'p>,
    /// C.
    pub concurrency: u32,
    /// Pods beside it.
    pub others: u32,
}

/// What a pod carries.
pub(crate) struct Carried {
    /// λ*, requests per second.
    pub rate: f64,
    /// ca² of its arrivals.
    pub arrival_cv2: f64,
    /// R, the fewest pods of which each carries its share of the peak.
    pub replicas: u32,
    /// S, the fewest of which each has its share at the autoscaler's target.
    pub steady: u32,
    /// The most of that share, requests per second.
    pub steady_rate: f64,
    /// The pod among neighbours that are as busy as it is.
    pub surrounded: Rc<Surrounded>,
}

impl Packed<'_> {
    /// Beside neighbours with so many requests in service, in [`LEVELS`]ths of the pod's slots.
    fn beside(&self, level: u32) -> Rc<Surrounded> {
        self.pod.curve(self.others, level * self.concurrency)
    }

    /// Beside neighbours that are always full: what does not depend on the load.
    pub fn full(&self) -> Rc<Surrounded> {
        self.beside(LEVELS)
    }

    /// The pod as a queue.
    pub fn server<'c>(&self, surrounded: &'c Surrounded, arrival_cv2: f64) -> FlowServer<'c> {
        let curve = &surrounded.curve;
        let slots = (self.concurrency as usize).min(curve.rates.len());
        FlowServer::new(
            &curve.rates[..slots],
            &curve.first_audio[..slots],
            arrival_cv2,
            curve.service_cv2,
        )
        .in_turns(curve.turns)
    }

    /// λ* beside neighbours of this level; 0 when an idle pod or one of its voices is too late.
    fn rate_beside(&self, terms: &Terms<'_>, arrival_cv2: f64, level: u32) -> f64 {
        let surrounded = self.beside(level);
        let objective = terms.objectives.ttfa_p95;
        if self.pod.late_voice(objective, &surrounded.curve).is_some() {
            return 0.0;
        }
        let server = self.server(&surrounded, arrival_cv2);
        let rate = server.max_rate(objective, QUANTILE, terms.policy.max_utilisation);
        rate.unwrap_or(0.0)
    }

    /// Requests in service of neighbours at a level.
    fn busy(&self, level: u32) -> f64 {
        f64::from(level * self.concurrency) / f64::from(LEVELS)
    }

    /// Whether the pod at this rate is no busier than neighbours of the level that it has.
    fn is_within(&self, rate: f64, arrival_cv2: f64, level: u32) -> bool {
        let surrounded = self.beside(level);
        let server = self.server(&surrounded, arrival_cv2);
        server.mean_in_service(rate) <= self.busy(level)
    }

    /// The first level of which something is true, which then is true of all that follow; the last
    /// if of none.
    fn first_level(holds: impl Fn(u32) -> bool) -> u32 {
        let (mut low, mut high) = (1, LEVELS);
        while low < high {
            let middle = u32::midpoint(low, high);
            if holds(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    }

    /// Beside neighbours that get as much as the pod, `rate` requests per second.
    pub fn at(&self, rate: f64, arrival_cv2: f64) -> Rc<Surrounded> {
        self.beside(Self::first_level(|level| {
            self.is_within(rate, arrival_cv2, level)
        }))
    }

    /// λ* among equal pods, and the level at which they are then busy. None when an idle pod is too
    /// late.
    ///
    /// Busier neighbours leave a smaller λ*, and a larger rate makes neighbours busier: λ* is where
    /// both meet. The busyness is rounded up to a level, so it is the larger of λ* at the first
    /// level that such pods do not exceed, and of the rate at which they reach the level before.
    /// Both grow with a laxer objective.
    fn max_rate(&self, terms: &Terms<'_>, arrival_cv2: f64) -> Option<(f64, u32)> {
        let found = |rate: f64, level| (rate > 0.0).then_some((rate, level));
        if self.others == 0 {
            return found(self.rate_beside(terms, arrival_cv2, LEVELS), LEVELS);
        }
        let known: RefCell<BTreeMap<u32, f64>> = RefCell::default();
        let rate_beside = |level: u32| {
            *known
                .borrow_mut()
                .entry(level)
                .or_insert_with(|| self.rate_beside(terms, arrival_cv2, level))
        };
        let high =
            Self::first_level(|level| self.is_within(rate_beside(level), arrival_cv2, level));
        let at = rate_beside(high);
        if high == 1 {
            return found(at, high);
        }
        let before = high - 1;
        let above = rate_beside(before);
        let surrounded = self.beside(before);
        let reached = self
            .server(&surrounded, arrival_cv2)
            .rate_in_service(self.busy(before), above);
        if reached > at {
            found(reached, before)
        } else {
            found(at, high)
        }
    }

    /// λ*, the ca² it holds at, R and S. None when no number of pods keeps the objective.
    ///
    /// At random, a pod gets each request with probability 1/R, so bursts are thinned: ca² falls to
    /// `1 + (ca² - 1)/R` (a split renewal stream), never below Poisson's 1. In turn, a pod gets
    /// every R-th request, and ca² falls to ca²/R, but counts no less than [`LEAST_VARIABLE`] of a
    /// stream without bursts. Least-request does better still where service varies, but not where
    /// all requests are equal, and its pooled bound is 16 % optimistic above 75 % utilisation, so it
    /// is planned like round robin.
    pub fn carried(&self, terms: &Terms<'_>) -> Option<Carried> {
        let cv2 = |replicas| arrival_cv2(terms.balancing, terms.load.burstiness, replicas);
        let one = cv2(1);
        let alone = self.max_rate(terms, one);
        let fewest = |share: &dyn Fn(f64) -> f64| {
            let enough = |rate: f64| ceil_above_noise(terms.peak / share(rate)).max(1);
            let carry = |replicas: u32| {
                self.max_rate(terms, cv2(replicas))
                    .is_some_and(|(rate, _)| enough(rate) <= replicas)
            };
            let mut high = if let Some((rate, _)) = alone {
                let replicas = enough(rate);
                if cv2(replicas) >= one {
                    return Some(replicas);
                }
                replicas
            } else {
                // Bursts that one pod cannot serve in time may be thin enough on many.
                self.max_rate(terms, cv2(u32::MAX))?;
                let mut replicas = 2_u32;
                while !carry(replicas) {
                    replicas = replicas.checked_mul(2)?;
                }
                replicas
            };
            // More pods each see less load and steadier arrivals, so what carries is an interval.
            let mut low = 1;
            while low < high {
                let middle = low + (high - low) / 2;
                if carry(middle) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            Some(high)
        };
        let replicas = fewest(&|rate| rate)?;
        let target = |rate| self.pod.reaction.target_rate(rate, terms.policy);
        let steady = fewest(&target)?.max(replicas);
        let of = |pods| match alone {
            Some(alone) if cv2(pods) >= one => Some(alone),
            _ => self.max_rate(terms, cv2(pods)),
        };
        let arrival_cv2 = cv2(replicas);
        let (rate, level) = of(replicas)?;
        Some(Carried {
            rate,
            steady_rate: target(of(steady)?.0),
            arrival_cv2,
            replicas,
            steady,
            surrounded: self.beside(level),
        })
    }
}

/// Equal requests to the pod with the fewest in flight came late in 6.6 % of cases, in the
/// simulator, at what ca²/R promised for 10 pods; at 0.3 in 4.3 % at most.
const LEAST_VARIABLE: f64 = 0.3;

/// ca² of the arrivals at one of `replicas` pods, of a stream whose ca² is `burstiness`; see
/// [`Packed::carried`].
pub(crate) fn arrival_cv2(balancing: LoadBalancing, burstiness: f64, replicas: u32) -> f64 {
    let replicas = f64::from(replicas.max(1));
    match balancing {
        LoadBalancing::Random => 1.0 + (burstiness - 1.0).max(0.0) / replicas,
        LoadBalancing::RoundRobin | LoadBalancing::LeastRequest => {
            (burstiness / replicas).max(LEAST_VARIABLE * burstiness.min(1.0))
        }
    }
}

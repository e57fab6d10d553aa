//! One pod as a queue: waiting, time to first audio, and the most requests per second that keep a
//! promise.
//!
//! Norton's theorem (the flow-equivalent server): seen from outside, a pod is one server whose rate
//! with n requests in service is X(n), and X(n) is measured directly by keeping exactly n requests
//! in service. On top of that state model stand the Allen-Cunneen correction for service times that
//! are not exponential and the measured distribution of the time from start of service to first
//! audio.
//!
//! Requests of several chunks take turns, one chunk each: a request waits for one chunk of each of those before it, not for
//! all of them. See [`FlowServer::in_turns`].
//!
//! Rates are requests per second, times seconds. Nothing here allocates.

use crate::first_audio::Mixture;

/// The share of requests that an objective binds.
pub(crate) const QUANTILE: f64 = 0.95;

/// Halvings in search of a quantile: 2^-60 of the first interval is below the last bit of the
/// answer.
const QUANTILE_STEPS: usize = 60;
/// Halvings in search of the largest rate: 2^-36 of X(C) is far below what is measured.
const RATE_STEPS: usize = 36;
/// Steps in search of the first rate that breaks an objective, where a larger rate can keep it
/// again.
const SCAN_STEPS: usize = 256;
/// The rate, as a share of X(C), at which a pod counts as idle.
const IDLE: f64 = 1e-9;
/// exp(-40) is 4e-18: no quantile anybody asks for lies beyond this many time constants of the
/// wait.
const TAIL_SPAN: f64 = 40.0;

/// Of a pod without slots.
static NEVER: Mixture = Mixture::new(Vec::new());

/// A pod with C slots in front of an unbounded queue.
#[derive(Clone, Copy, Debug)]
pub struct FlowServer<'a> {
    rates: &'a [f64],
    full_rate: f64,
    first_audio: &'a [Mixture],
    full_first_audio: &'a Mixture,
    arrival_cv2: f64,
    service_cv2: f64,
    /// k: turns of a request, on average.
    turns: f64,
    /// m = (max(ca², 1) + 1) / 2: requests per burst. 1: each comes alone.
    burst: f64,
}

impl<'a> FlowServer<'a> {
    /// `rates` are X(1)…X(C), `first_audio` the times from start of service to first audio with 1…C
    /// in service (the shorter list counts); `arrival_cv2` is ca² (1: Poisson), `service_cv2` is
    /// cs². A pod without a slot serves nobody: everything is late.
    pub fn new(
        rates: &'a [f64],
        first_audio: &'a [Mixture],
        arrival_cv2: f64,
        service_cv2: f64,
    ) -> Self {
        let slots = rates.len().min(first_audio.len());
        let (rates, first_audio) = (&rates[..slots], &first_audio[..slots]);
        Self {
            rates,
            full_rate: rates.last().copied().unwrap_or(0.0),
            first_audio,
            full_first_audio: first_audio.last().unwrap_or(&NEVER),
            arrival_cv2,
            service_cv2,
            turns: 1.0,
            burst: f64::midpoint(arrival_cv2.max(1.0), 1.0),
        }
    }

    /// Requests that take so many turns on average, at least 1, and wait at the end of the queue between them.
    ///
    /// A request that has to wait waits for the turn that is in service and for one turn of each that is in the queue. A turn
    /// is the k-th part of a request, so its squared coefficient of variation is taken to be cs²/k. How many are in the queue
    /// is taken from the queue in which a request goes back with probability 1 - 1/k after each turn (Takács 1963): there
    /// the order of service does not matter, so it is that of the queue without turns whose service times are geometric sums,
    /// `c_k² = 1 - (1 - cs²)/k`. With many turns that is processor sharing, whatever cs² is. Pollaczek and Khinchine give
    ///
    /// `E[wait | wait > 0] = 1/(k·X(C))·((ca² + cs²/k)/2 + ρ/(1 - ρ)·(ca² + c_k²)/2)`,
    ///
    /// and k = 1 what there is without turns.
    #[must_use]
    pub fn in_turns(self, turns: f64) -> Self {
        Self {
            turns: turns.max(1.0),
            ..self
        }
    }

    /// `(ca² + c_k²) / 2`: the factor on the number of requests in the queue.
    fn queue_variability(&self) -> f64 {
        f64::midpoint(self.arrival_cv2, queue_cv2(self.service_cv2, self.turns))
    }

    /// The factor on the wait of the exponential queue: Allen-Cunneen's, (ca² + cs²) / 2, without turns.
    fn variability(&self, rate: f64) -> f64 {
        let turn = f64::midpoint(self.arrival_cv2, self.service_cv2 / self.turns);
        let busy = self.utilisation(rate);
        ((1.0 - busy) * turn + busy * self.queue_variability()) / self.turns
    }

    /// X(C): what the pod does at most.
    pub const fn full_rate(&self) -> f64 {
        self.full_rate
    }

    /// The time from start of service to first audio with C in service.
    pub const fn full_first_audio(&self) -> &Mixture {
        self.full_first_audio
    }

    /// A rate so small that nobody waits.
    pub fn idle_rate(&self) -> f64 {
        IDLE * self.full_rate
    }

    /// `ρ = λ / X(C)`.
    pub fn utilisation(&self, rate: f64) -> f64 {
        rate / self.full_rate
    }

    /// The weights of what an arriving request finds in the pod: yields `(n, a_n)` for n < C, then
    /// gives the weight of all states in which it waits, `a_C / (1 - r)`.
    ///
    /// Arrivals with ca² > 1 are bursts: a Poisson stream of bursts of geometric size with mean m,
    /// whose gaps have `ca² = 2m - 1`. With `q = 1 - 1/m`, the flow up and down between n - 1 and n
    /// is equal: `X(n)·p_n = λ·a_{n-1}` and `a_n = q·a_{n-1} + p_n / m`, from `a_0 = p_0 / m`.
    /// Beyond C, a falls by `r = q + ρ / m` per request. m = 1 gives the birth-death chain,
    /// `a_n = a_{n-1} · λ / X(n)`.
    fn weigh(&self, rate: f64, mut each: impl FnMut(usize, f64)) -> f64 {
        let alone = 1.0 / self.burst;
        let together = 1.0 - alone;
        let mut weight = 1.0;
        for (in_service, x) in self.rates.iter().enumerate() {
            each(in_service, weight);
            weight *= together + rate / x * alone;
        }
        weight / (alone * (1.0 - self.utilisation(rate)))
    }

    /// The probability that an arriving request finds n in service and nobody waiting, for n < C,
    /// through `each`; returns Pw, the probability of having to wait. X(n) = n·μ and Poisson
    /// arrivals give exactly Erlang C.
    pub fn states(&self, rate: f64, mut each: impl FnMut(usize, f64)) -> f64 {
        if rate >= self.full_rate {
            return 1.0;
        }
        let mut total = 0.0;
        let waiting = self.weigh(rate, |_, weight| total += weight);
        total += waiting;
        self.weigh(rate, |in_service, weight| each(in_service, weight / total));
        waiting / total
    }

    /// `θ = 2·(X(C) - λ) / (ca² + cs²)`: how fast the tail of the wait for the first turn falls (1/s). Allen and
    /// Cunneen; with turns see [`in_turns`](Self::in_turns).
    pub fn wait_decay(&self, rate: f64) -> f64 {
        (self.full_rate - rate) / self.variability(rate)
    }

    /// `E[wait] = Pw / (X(C) - λ) · (ca² + cs²) / 2` (s), for the first turn. For C = 1 and one turn exactly
    /// Pollaczek-Khinchine.
    pub fn mean_wait(&self, rate: f64) -> f64 {
        if rate >= self.full_rate {
            return f64::INFINITY;
        }
        self.states(rate, |_, _| ()) / self.wait_decay(rate)
    }

    /// The wait that a share `q` of the requests stays below: `ln(Pw / (1 - q)) / θ`, 0 when fewer
    /// have to wait at all (s).
    pub fn wait_quantile(&self, q: f64, rate: f64) -> f64 {
        if rate >= self.full_rate {
            return f64::INFINITY;
        }
        let must_wait = self.states(rate, |_, _| ());
        if must_wait > 1.0 - q {
            libm::log(must_wait / (1.0 - q)) / self.wait_decay(rate)
        } else {
            0.0
        }
    }

    /// Requests in service on average, by Little's law; see [`mean_in_system`](Self::mean_in_system).
    pub fn mean_in_service(&self, rate: f64) -> f64 {
        if rate >= self.full_rate {
            return crate::numeric::float(self.rates.len());
        }
        let mut service = 0.0;
        let must_wait = self.states(rate, |n, probability| {
            if let Some(x) = self.rates.get(n) {
                service += probability * crate::numeric::float(n + 1) / x;
            }
        });
        service += must_wait * crate::numeric::float(self.rates.len()) / self.full_rate;
        rate * service
    }

    /// The rate at which so many are in service on average, at most `above`, by bisection.
    pub(crate) fn rate_in_service(&self, in_service: f64, above: f64) -> f64 {
        let (mut low, mut high) = (0.0, above);
        for _ in 0..RATE_STEPS {
            let middle = f64::midpoint(low, high);
            if self.mean_in_service(middle) <= in_service {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Requests in the pod, in service and waiting, on average: by Little's law
    /// `L = λ·(Σ_{n<C} a_n·(n + 1)/X(n + 1) + Pw·C/X(C) + E[wait])`, where n + 1 in service take
    /// (n + 1)/X(n + 1) each.
    pub fn mean_in_system(&self, rate: f64) -> f64 {
        if rate >= self.full_rate {
            return f64::INFINITY;
        }
        let must_wait = self.states(rate, |_, _| ());
        let wait = must_wait * self.queue_variability() / (self.full_rate - rate);
        self.mean_in_service(rate) + rate * wait
    }

    /// `P(TTFA > x) = Σ_{n<C} a_n · P(F_{n+1} > x) + Pw · E[F_C >= x ? 1 : exp(-θ·(x - F_C))]`; 1
    /// at and above X(C).
    pub fn late(&self, x: f64, rate: f64) -> f64 {
        if rate >= self.full_rate {
            return 1.0;
        }
        let mut total = 0.0;
        let mut late = 0.0;
        let waiting = self.weigh(rate, |in_service, weight| {
            total += weight;
            late += weight
                * self
                    .first_audio
                    .get(in_service)
                    .map_or(0.0, |first| first.exceeding(x));
        });
        late += waiting
            * self
                .full_first_audio
                .exceeding_after_wait(x, self.wait_decay(rate));
        late / (total + waiting)
    }

    /// The time to first audio that a share `q` of the requests keeps (s), by bisection.
    pub fn first_audio_quantile(&self, q: f64, rate: f64) -> f64 {
        if rate >= self.full_rate {
            return f64::INFINITY;
        }
        let slowest = self
            .first_audio
            .iter()
            .map(Mixture::largest)
            .fold(0.0, f64::max);
        let (mut low, mut high) = (0.0, slowest + TAIL_SPAN / self.wait_decay(rate));
        for _ in 0..QUANTILE_STEPS {
            let middle = f64::midpoint(low, high);
            // Neighbours: no number lies between.
            if middle <= low || middle >= high {
                break;
            }
            if self.late(middle, rate) > 1.0 - q {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// λ*: the largest rate, at most `max_utilisation`·X(C), up to which at most 1 - `q` of the
    /// requests get their first audio later than `promise` seconds, at every lower rate too: load
    /// varies, and a pod must keep its promise in quiet times. None when even an idle pod is too
    /// late. By bisection.
    pub fn max_rate(&self, promise: f64, q: f64, max_utilisation: f64) -> Option<f64> {
        let kept = |rate: f64| self.late(promise, rate) <= 1.0 - q;
        let mut low = self.idle_rate();
        if !kept(low) {
            return None;
        }
        let mut high = max_utilisation * self.full_rate;
        if self.improves_with_load(promise, q) {
            // Late falls and rises with the rate: search for the first rise.
            let step = high / crate::numeric::float(SCAN_STEPS);
            let first_miss = (1..=SCAN_STEPS)
                .map(|index| step * crate::numeric::float(index))
                .find(|&rate| !kept(rate));
            let Some(miss) = first_miss else {
                return Some(high);
            };
            low = low.max(miss - step);
            high = miss;
        } else if kept(high) {
            return Some(high);
        }
        for _ in 0..RATE_STEPS {
            let middle = f64::midpoint(low, high);
            if kept(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// Whether too many requests are late with some number in service but not with a larger one.
    /// Otherwise the share of late requests crosses 1 - `q` once: with increasing rate, the weights
    /// move to larger n (Descartes' rule of signs).
    fn improves_with_load(&self, promise: f64, q: f64) -> bool {
        let mut fewer_late = false;
        self.first_audio.iter().any(|first| {
            let late = first.exceeding(promise) > 1.0 - q;
            let improves = fewer_late && !late;
            fewer_late |= late;
            improves
        })
    }
}

/// `c_k²` of the queue of requests that take k turns; cs² for k = 1. See [`FlowServer::in_turns`].
pub(crate) fn queue_cv2(service_cv2: f64, turns: f64) -> f64 {
    1.0 - (1.0 - service_cv2) / turns
}

/// The longest queue worth having, whatever is promised: at `utilisation` only one request in a
/// thousand finds a longer one. More than Q wait where the wait exceeds `Q / X(C)`, whose
/// probability falls as `exp(-θ·Q / X(C))`, so `Q = ln(1000)·(ca² + cs²) / (2·(1 - ρ))`.
///
/// It does not depend on the objective: memory for the queue is what a shape costs, and a laxer
/// objective must not make it dearer.
pub(crate) fn longest_queue(utilisation: f64, arrival_cv2: f64, service_cv2: f64) -> u32 {
    /// ln(1000).
    const RARE: f64 = 6.907_755_278_982_137;
    /// Nearer to saturation the formula has no bound.
    const BUSIEST: f64 = 0.95;
    let idle = 1.0 - utilisation.min(BUSIEST);
    crate::numeric::ceil(RARE * f64::midpoint(arrival_cv2, service_cv2) / idle).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::first_audio::Quantiles;

    /// Hand arithmetic is given to this many digits.
    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-5,
            "{found}, expected {expected}"
        );
    }

    const ONE_SERVER: [f64; 1] = [2.0];
    /// The curve fitted to a GPU (USL 0.285, 0.0123).
    const GPU: [f64; 4] = [1.0, 1.527, 1.861, 2.069];

    fn constant(time: f64) -> Mixture {
        Quantiles::constant(time).into()
    }

    fn half_second() -> [Mixture; 1] {
        [constant(0.5)]
    }

    fn server<'a>(
        rates: &'a [f64],
        first_audio: &'a [Mixture],
        service_cv2: f64,
    ) -> FlowServer<'a> {
        FlowServer::new(rates, first_audio, 1.0, service_cv2)
    }

    /// Erlang's C formula for `servers` and `load` Erlang.
    fn erlang_c(servers: u32, load: f64) -> f64 {
        let (mut term, mut sum) = (1.0, 1.0);
        for k in 1..servers {
            term *= load / f64::from(k);
            sum += term;
        }
        term *= load / f64::from(servers);
        let waiting = term / (1.0 - load / f64::from(servers));
        waiting / (sum + waiting)
    }

    #[test]
    fn equal_servers_are_erlang_c() {
        let rates = [1.0, 2.0, 3.0, 4.0];
        let first = [0.1; 4].map(constant);
        let must_wait = server(&rates, &first, 1.0).states(3.2, |_, _| ());
        close(must_wait, 0.596_432);
        close(must_wait, erlang_c(4, 3.2));
    }

    #[test]
    fn one_server_waits_as_by_hand() {
        let first = half_second();
        let pod = server(&ONE_SERVER, &first, 0.25);
        close(pod.wait_quantile(0.95, 1.0), 10.0_f64.ln() / 1.6);
        close(pod.wait_quantile(0.95, 1.0), 1.439_116);
    }

    #[test]
    fn one_server_is_pollaczek_khinchine() {
        let first = half_second();
        close(
            server(&ONE_SERVER, &first, 0.25).mean_in_system(1.0),
            0.5 + 0.25 * 1.25,
        );
        close(server(&ONE_SERVER, &first, 0.25).mean_wait(1.0), 0.312_5);
    }

    #[test]
    fn a_constant_first_audio_adds_to_the_wait() {
        let first = half_second();
        close(
            server(&ONE_SERVER, &first, 0.25).first_audio_quantile(0.95, 1.0),
            1.939_116,
        );
    }

    #[test]
    fn the_largest_rate_solves_its_equation() {
        let first = half_second();
        let rate = server(&ONE_SERVER, &first, 0.25)
            .max_rate(1.5, 0.95, 0.99)
            .unwrap();
        close(rate, 0.744_927);
        close((rate / 2.0 / 0.05).ln() * 1.25 / (2.0 * (2.0 - rate)), 1.0);
    }

    #[test]
    fn a_curve_that_flattens_as_by_hand() {
        let first = [0.1; 4].map(constant);
        let pod = server(&GPU, &first, 0.36);
        let mut states = Vec::new();
        let must_wait = pod.states(1.2, |_, probability| states.push(probability));
        close(states[0], 0.217_83);
        close(states[3], 0.608_08 / 4.590_79);
        close(must_wait, 0.182_91);
        close(pod.wait_quantile(0.95, 1.2), 1.014_88);
        close(pod.mean_in_system(1.2), 1.972_98);
    }

    #[test]
    fn pooled_workers_carry_more_each() {
        // ρ* by slots and by services of slack, cs² = 0.35.
        for (slots, slack, expected) in [
            (1_u32, 0.5, 0.10),
            (4, 0.5, 0.53),
            (16, 0.5, 0.83),
            (1, 2.0, 0.35),
            (4, 2.0, 0.79),
            (1, 5.0, 0.65),
            (4, 5.0, 0.91),
        ] {
            let rates: Vec<f64> = (1..=slots).map(f64::from).collect();
            let first = vec![constant(0.0); rates.len()];
            let pod = server(&rates, &first, 0.35);
            let found = pod.utilisation(pod.max_rate(slack, 0.95, 0.99).unwrap());
            assert!(
                (found - expected).abs() <= 0.006,
                "{slots} {slack}: {found}"
            );
        }
    }

    #[test]
    fn overload_is_always_late() {
        let first = half_second();
        let pod = server(&ONE_SERVER, &first, 0.25);
        close(pod.late(100.0, 2.0), 1.0);
        assert!(pod.mean_in_system(2.5).is_infinite());
        assert!(pod.first_audio_quantile(0.95, 2.0).is_infinite());
    }

    #[test]
    fn a_promise_below_the_service_time_cannot_be_kept() {
        let first = half_second();
        assert_eq!(
            server(&ONE_SERVER, &first, 0.25).max_rate(0.4, 0.95, 0.8),
            None
        );
    }

    #[test]
    fn a_promise_that_an_idle_pod_misses_is_not_kept_by_a_busy_one() {
        // One request alone takes 2.31 s, two side by side 0.2 s each.
        let rates = [1.0 / 2.31, 10.0];
        let first = [2.31, 0.2].map(constant);
        let pod = server(&rates, &first, 0.3);
        assert!(pod.late(2.0, 6.0) <= 0.05, "a busy pod keeps it");
        close(pod.first_audio_quantile(0.95, pod.idle_rate()), 2.31);
        assert_eq!(pod.max_rate(2.0, 0.95, 0.6), None);
    }

    #[test]
    fn a_promise_is_kept_at_every_rate_up_to_the_largest() {
        // Two in service are slower than three or four.
        let rates = [2.0, 4.0, 20.0, 40.0];
        let first = [0.5, 1.5, 0.6, 0.6].map(constant);
        let pod = server(&rates, &first, 0.3);
        let kept = |rate| pod.late(1.0, rate) <= 1.0 - 0.95;
        assert!(
            kept(0.05) && !kept(5.0) && kept(24.0),
            "kept, missed and kept again"
        );
        let rate = pod.max_rate(1.0, 0.95, 0.6).unwrap();
        assert!(kept(rate) && (1..1000).all(|step| kept(rate * f64::from(step) / 1000.0)));
        assert!(!kept(rate * 1.0001), "no less than it could be");
    }

    #[test]
    fn a_burst_is_found_in_the_pod_by_its_last_requests() {
        // ca² = 3: bursts of two on average, half of the requests follow another one at once.
        let first = half_second();
        let pod = FlowServer::new(&ONE_SERVER, &first, 3.0, 1.0);
        close(pod.states(pod.idle_rate(), |_, _| ()), 0.5);
        // M^X/M/1 with geometric X: L = ρ·m/(1 - ρ).
        close(pod.mean_in_system(1.0), 2.0);
        let mut found = Vec::new();
        let waits = pod.states(1.0, |_, probability| found.push(probability));
        close(found[0] + waits, 1.0);
        // r = q + ρ/m = 3/4.
        close(waits, 0.75);
    }

    #[test]
    fn in_turns_a_request_waits_for_chunks_and_not_for_requests() {
        let first = half_second();
        let pod = server(&ONE_SERVER, &first, 0.36);
        // 1/k·X·((1 + cs²/k)/2·(1 - ρ) + ρ·(1 + 1 - (1 - cs²)/k)/2) / (1 - ρ)
        // = 1/5·(0.5·0.572 + 0.5·0.872)/0.5 = 0.2888 s.
        let turns = pod.in_turns(2.5);
        close(turns.mean_wait(1.0), 0.5 * 0.2888);
        close(pod.mean_wait(1.0), 0.5 * 0.68);
        // Who waits at all, and what is done, does not depend on the order.
        close(turns.wait_decay(1.0), 1.0 / 0.2888);
        close(turns.mean_in_service(1.0), pod.mean_in_service(1.0));
        close(turns.mean_in_system(1.0), 0.5 + 0.5 * 0.872);
        // One turn, or less, is no turns.
        for one in [pod.in_turns(1.0), pod.in_turns(0.3)] {
            close(one.mean_wait(1.0), pod.mean_wait(1.0));
            close(one.mean_in_system(1.0), pod.mean_in_system(1.0));
        }
        // Very many: processor sharing, and nobody waits.
        let many = pod.in_turns(1e6);
        close(many.mean_in_system(1.0), 1.0);
        close(many.mean_wait(1.0), 0.0);
    }

    #[test]
    fn a_pod_without_a_slot_serves_nobody() {
        let pod = FlowServer::new(&[1.0], &[], 1.0, 0.3);
        close(pod.late(1e9, 0.0), 1.0);
        assert_eq!(pod.max_rate(1e9, 0.95, 0.8), None);
    }
}

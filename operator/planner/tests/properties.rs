//! What must hold for every pod, as a queue and in its memory, on pods drawn at random. The draw is
//! fixed, so that a failure is one for everybody. Whole plans are in `laws.rs`.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tts_planner::first_audio::{Mixture, Quantiles};
use tts_planner::profile::{Memory, QUANTILES};
use tts_planner::queueing::FlowServer;
use tts_planner::{Policy, memory};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(2026),
        ..ProptestConfig::default()
    }
}

/// A pod of one to eight slots: service time, σ, κ, spread of first audio, cs².
#[derive(Clone, Debug)]
struct Pod {
    rates: Vec<f64>,
    first_audio: Vec<Mixture>,
    service_cv2: f64,
}

impl Pod {
    fn new(slots: u32, service: f64, usl: (f64, f64), first: (f64, f64), service_cv2: f64) -> Self {
        let slowdown = |n: f64| 1.0 + usl.0 * (n - 1.0) + usl.1 * n * (n - 1.0);
        let counts = || (1..=slots).map(f64::from);
        let (shortest, spread) = first;
        let mut values = [0.0; QUANTILES];
        let mut share = 0.0;
        for value in &mut values {
            *value = service * (shortest + spread * share * share);
            share += 1.0 / 22.0;
        }
        Self {
            rates: counts().map(|n| n / (slowdown(n) * service)).collect(),
            first_audio: counts()
                .map(|n| Quantiles::new(values).scaled(slowdown(n)).into())
                .collect(),
            service_cv2,
        }
    }

    fn server(&self) -> FlowServer<'_> {
        FlowServer::new(&self.rates, &self.first_audio, 1.0, self.service_cv2)
    }

    fn max_rate(&self, promise: f64) -> f64 {
        self.server().max_rate(promise, 0.95, 0.8).unwrap_or(0.0)
    }
}

type Numbers = (u32, f64, (f64, f64), (f64, f64), f64);

fn numbers() -> impl Strategy<Value = Numbers> {
    (
        1..=8_u32,
        0.05..5.0,
        (0.0..0.9, 0.0..0.02),
        (0.05..0.6, 0.0..2.0),
        0.0..2.0,
    )
}

/// Bisection stops this far from the answer, relative to X(C).
const BISECTION: f64 = 1e-9;

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn late_is_a_probability_that_falls_with_time(
        (slots, service, usl, first, cv2) in numbers(), load in 0.001..0.99, x in 0.0..20.0, more in 0.0..5.0
    ) {
        let pod = Pod::new(slots, service, usl, first, cv2);
        let rate = load * pod.server().full_rate();
        let (early, later) = (pod.server().late(x, rate), pod.server().late(x + more, rate));
        prop_assert!((0.0..=1.0 + 1e-12).contains(&early), "{early}");
        prop_assert!(later <= early + 1e-12, "{early} then {later}");
    }

    #[test]
    fn quantiles_and_tails_are_inverse(
        (slots, service, usl, first, cv2) in numbers(), load in 0.001..0.99
    ) {
        let pod = Pod::new(slots, service, usl, first, cv2);
        let rate = load * pod.server().full_rate();
        let time = pod.server().first_audio_quantile(0.95, rate);
        prop_assert!(pod.server().late(time * (1.0 + 1e-9) + 1e-12, rate) <= 0.05 + 1e-9);
        prop_assert!(pod.server().late(time * (1.0 - 1e-6), rate) >= 0.05 - 1e-9);
    }

    #[test]
    fn more_load_means_more_in_the_pod(
        (slots, service, usl, first, cv2) in numbers(), load in 0.001..0.9, more in 0.0..0.09
    ) {
        let pod = Pod::new(slots, service, usl, first, cv2);
        let full = pod.server().full_rate();
        let at = |load: f64| pod.server().mean_in_system(load * full);
        prop_assert!(at(load + more) >= at(load) - 1e-12);
        // By Little's law: no request takes less than it does alone.
        prop_assert!(at(load) >= load * full * service * (1.0 - 1e-9));
    }

    #[test]
    fn the_largest_rate_keeps_the_promise_and_no_larger_one_does(
        (slots, service, usl, first, cv2) in numbers(), promise in 0.1..10.0
    ) {
        let pod = Pod::new(slots, service, usl, first, cv2);
        let server = pod.server();
        let late = |rate: f64| server.late(promise, rate);
        match server.max_rate(promise, 0.95, 0.8) {
            Some(rate) => {
                let most = 0.8 * server.full_rate();
                prop_assert!(rate <= most && late(rate) <= 0.05);
                prop_assert!(rate >= most || late(rate + 1e-6 * most) > 0.05);
            }
            None => prop_assert!(late(server.idle_rate()) > 0.05),
        }
    }

    #[test]
    fn the_largest_rate_grows_with_the_promise(
        (slots, service, usl, first, cv2) in numbers(), promise in 0.1..10.0, more in 1.0..2.0
    ) {
        let pod = Pod::new(slots, service, usl, first, cv2);
        prop_assert!(pod.max_rate(promise * more) >= pod.max_rate(promise) * (1.0 - BISECTION));
    }

    #[test]
    fn the_largest_rate_grows_with_speed(
        (slots, service, usl, first, cv2) in numbers(), promise in 0.1..10.0, faster in 1.0..2.0
    ) {
        let slow = Pod::new(slots, service, usl, first, cv2);
        let fast = Pod::new(slots, service / faster, usl, first, cv2);
        prop_assert!(fast.max_rate(promise) >= slow.max_rate(promise) * (1.0 - BISECTION));
    }

    #[test]
    fn the_largest_rate_falls_with_variability(
        (slots, service, usl, first, cv2) in numbers(), promise in 0.1..10.0, more in 0.0..2.0
    ) {
        let steady = Pod::new(slots, service, usl, first, cv2);
        let varied = Pod::new(slots, service, usl, first, cv2 + more);
        prop_assert!(varied.max_rate(promise) <= steady.max_rate(promise) * (1.0 + BISECTION) + 1e-12);
    }

    #[test]
    fn memory_grows_with_slots_and_pieces(
        base in 0.0..5000.0, per in 0.0..20.0, slots in 1..16_u32, queue in 0..50_u32, chunk in 1.0..60.0, more in 0.0..60.0
    ) {
        let regression = Memory { base, process: None, per_inflight_audio: per, resid_sd: 8.0, per_queued: 0.25 };
        let needed = |slots, queue, chunk| memory::needed(&regression, slots, queue, chunk);
        prop_assert!(needed(slots + 1, queue, chunk) >= needed(slots, queue, chunk));
        prop_assert!(needed(slots, queue + 1, chunk) >= needed(slots, queue, chunk));
        prop_assert!(needed(slots, queue, chunk + more) >= needed(slots, queue, chunk));
        let policy = Policy::default();
        let margin = 1.15 * needed(slots, queue, chunk);
        let asked = memory::request(needed(slots, queue, chunk), &policy);
        prop_assert!(asked >= margin - 1e-6 && asked < margin + policy.memory_step + 1e-6, "{asked}");
        prop_assert!((asked / policy.memory_step).fract() == 0.0, "{asked}");
    }
}

//! What must hold for every input, on inputs drawn at random. The draw is fixed, so that a failure
//! is one for everybody.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tts_planner::profile::{Memory, QUANTILES};
use tts_planner::queueing::{FlowServer, Quantiles};
use tts_planner::{
    Condition, Current, Decision, LoadBalancing, Measurement, Objectives, Peak, Plan, Policy,
    Reason, Request, Validity, memory,
};
use tts_planner_dev::samples::{Speed, changed, decide, node, on_cpu, on_gpu, request};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(2026),
        ..ProptestConfig::default()
    }
}

// One pod.

/// A pod of one to eight slots: service time, σ, κ, spread of first audio, cs².
#[derive(Clone, Debug)]
struct Pod {
    rates: Vec<f64>,
    first_audio: Vec<Quantiles>,
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
                .map(|n| Quantiles::new(values).scaled(slowdown(n)))
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
        prop_assert!(at(load) >= 0.0);
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
        let regression = Memory { base, per_inflight_audio: per, resid_sd: 8.0, per_queued: 0.25 };
        let needed = |slots, queue, chunk| memory::needed(&regression, slots, queue, chunk);
        prop_assert!(needed(slots + 1, queue, chunk) >= needed(slots, queue, chunk));
        prop_assert!(needed(slots, queue + 1, chunk) >= needed(slots, queue, chunk));
        prop_assert!(needed(slots, queue, chunk + more) >= needed(slots, queue, chunk));
        let policy = Policy::default();
        prop_assert!(memory::request(needed(slots, queue, chunk), &policy) >= needed(slots, queue, chunk));
    }
}

// Whole plans.

fn speed() -> impl Strategy<Value = Speed> {
    (0.03..0.3, (0.05..0.25, 0.0..0.03), (0.0..0.1, 0.0..0.005)).prop_map(
        |(s1, threads, requests)| Speed {
            s0: 0.02,
            s1,
            threads,
            requests,
        },
    )
}

fn gpu_speed() -> impl Strategy<Value = Speed> {
    (0.01..0.05, 0.005..0.05).prop_map(|(s0, s1)| Speed {
        s0,
        s1,
        threads: (0.0, 0.0),
        requests: (0.285, 0.0123),
    })
}

prop_compose! {
    /// Two CPU classes and a GPU class.
    fn any_request()(
        a in speed(), b in speed(), g in gpu_speed(),
        cpu in prop::sample::select(vec![3.5, 7.5]),
        counts in (5..200_u32, 5..200_u32, 1..20_u32),
        prices in (0.1..0.5, 0.05..0.3, 0.4..2.0),
        audio_cv in 0.2..1.0, peak in 0.2..30.0, ttfa_p95 in 0.2..4.0, rtf_p95 in 0.3..1.0,
    ) -> Request {
        let mut request = request();
        request.measurements = [on_cpu("a", a, &[1, 2, 4]), on_cpu("b", b, &[1, 2, 4]), on_gpu("g", g)]
            .map(Measurement::as_recorded)
            .to_vec();
        request.classes = vec![
            node("a", cpu, counts.0, prices.0, 0),
            node("b", 7.5, counts.1, prices.1, 0),
            node("g", 3.5, counts.2, prices.2, 1),
        ];
        request.objectives = Objectives { ttfa_p95, rtf_p95 };
        request.load.audio_cv = audio_cv;
        request.load.peak = Peak::RequestsPerSecond(peak);
        request
    }
}

fn cost(request: &Request) -> f64 {
    decide(request)
        .plan()
        .map_or(f64::INFINITY, |plan| plan.predicted.cost_per_hour)
}

fn peak(request: &Request) -> f64 {
    request.load.peak_rps()
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn cost_follows_what_is_asked(request in any_request()) {
        let now = cost(&request);
        let laxer = changed(&request, |r| r.objectives.ttfa_p95 *= 1.3);
        prop_assert!(cost(&laxer) <= now + 1e-9, "a laxer promise costs more");
        let busier = changed(&request, |r| r.load.peak = Peak::RequestsPerSecond(1.4 * peak(r)));
        prop_assert!(cost(&busier) >= now - 1e-9, "a higher peak costs less");
        let more = changed(&request, |r| r.classes.iter_mut().for_each(|class| class.max_nodes *= 2));
        prop_assert!(cost(&more) <= now + 1e-9, "more nodes cost more");
        let fewer = changed(&request, |r| drop(r.classes.remove(0)));
        prop_assert!(cost(&fewer) >= now - 1e-9, "fewer classes cost less");
        let doubtful = changed(&request, |r| {
            r.measurements.iter_mut().for_each(|m| m.profile.run.validity = Validity::Degraded);
        });
        prop_assert!(cost(&doubtful) >= now - 1e-9, "doubtful measurements cost less");
    }

    #[test]
    fn prices_scale_the_cost_and_nothing_else(request in any_request()) {
        let dear = changed(&request, |r| {
            r.classes.iter_mut().for_each(|class| class.price_per_hour = class.price_per_hour.map(|price| 3.0 * price));
        });
        match (decide(&request), decide(&dear)) {
            (Decision::Plan(cheap), Decision::Plan(dear)) => {
                prop_assert_eq!(&cheap.pod, &dear.pod);
                prop_assert_eq!(cheap.replicas, dear.replicas);
                prop_assert!((dear.predicted.cost_per_hour / cheap.predicted.cost_per_hour - 3.0).abs() < 1e-9);
            }
            (Decision::Infeasible(a), Decision::Infeasible(b)) => prop_assert_eq!(a.condition, b.condition),
            _ => prop_assert!(false, "feasible at one price only"),
        }
    }

    #[test]
    fn the_order_of_the_inputs_changes_no_bit(request in any_request(), shuffle in any::<u64>()) {
        let mut seed = shuffle;
        let mut mixed = request.clone();
        let mut next = |count: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % count
        };
        for index in (1..mixed.classes.len()).rev() {
            mixed.classes.swap(index, next(index + 1));
            mixed.measurements.swap(index, next(index + 1));
        }
        for measurement in &mut mixed.measurements {
            let configs = &mut measurement.profile.configs;
            for index in (1..configs.len()).rev() {
                configs.swap(index, next(index + 1));
            }
        }
        // Floats are written exactly, so equal text is equal bits.
        let text = |request: &Request| serde_json::to_string(&decide(request)).unwrap();
        prop_assert_eq!(text(&request), text(&mixed));
        prop_assert_eq!(request.input_hash(), mixed.input_hash());
    }

    #[test]
    fn every_plan_keeps_its_bounds(request in any_request(), balancing in 0..3_usize) {
        let balancing = [LoadBalancing::Random, LoadBalancing::RoundRobin, LoadBalancing::LeastRequest][balancing];
        let request = changed(&request, |r| r.policy.load_balancing = balancing);
        match decide(&request) {
            Decision::Plan(plan) => keeps_bounds(&request, &plan)?,
            Decision::Infeasible(infeasible) => {
                prop_assert!(infeasible.reason.to_string().len() > 20);
                prop_assert!(infeasible.best_effort.is_some() || infeasible.condition == Condition::PodDoesNotFit);
            }
        }
    }

    #[test]
    fn better_balancing_never_needs_more_pods(request in any_request()) {
        let with = |policy| cost(&changed(&request, |r| r.policy.load_balancing = policy));
        prop_assert!(with(LoadBalancing::RoundRobin) <= with(LoadBalancing::Random) + 1e-9);
    }

    #[test]
    fn a_class_that_is_nearly_as_cheap_is_kept(request in any_request()) {
        if let Decision::Plan(best) = decide(&request) {
            for class in ["a", "b", "g"] {
                let current = Some(Current { class: class.to_owned() });
                let running = decide(&changed(&request, |r| r.current = current));
                let cheapest = best.candidates.iter().filter(|candidate| candidate.class == class);
                let near = cheapest.map(|candidate| candidate.cost_per_hour).fold(f64::INFINITY, f64::min)
                    <= best.predicted.cost_per_hour / 0.85 - 1e-9;
                let chosen = &running.plan().unwrap().node_class;
                prop_assert_eq!(chosen == class, near || best.node_class == class, "{} {}", class, chosen);
            }
        }
    }

    #[test]
    fn a_plan_survives_being_stored(request in any_request()) {
        let decision = decide(&request);
        let text = serde_json::to_string(&decision).unwrap();
        prop_assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
        let asked = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<Request>(&asked).unwrap(), request);
    }

    #[test]
    fn advice_for_the_infeasible_helps(request in any_request()) {
        let Decision::Infeasible(infeasible) = decide(&request) else { return Ok(()) };
        match infeasible.reason {
            Reason::Capacity { class, add_nodes, raise_max_replicas, affordable_peak, possible_objective, .. } => {
                let grown = changed(&request, |r| {
                    r.classes.iter_mut().filter(|c| c.name == class).for_each(|c| c.max_nodes += add_nodes);
                    r.policy.max_replicas = raise_max_replicas.or(r.policy.max_replicas);
                });
                prop_assert!(cost(&grown).is_finite(), "{add_nodes} more of {class} are not enough");
                if let Some(objective) = possible_objective {
                    let later = changed(&request, |r| r.objectives.ttfa_p95 = objective);
                    prop_assert!(cost(&later).is_finite(), "{objective}");
                }
                if affordable_peak > 0.0 {
                    let peak = Peak::RequestsPerSecond(affordable_peak * (1.0 - 1e-9));
                    prop_assert!(cost(&changed(&request, |r| r.load.peak = peak)).is_finite(), "{affordable_peak}");
                }
            }
            Reason::TooLate { possible_objective, .. } => {
                let later = changed(&request, |r| r.objectives.ttfa_p95 = possible_objective);
                let decision = decide(&later);
                let condition = decision.infeasible().map(|infeasible| infeasible.condition);
                prop_assert!(condition != Some(Condition::SloInfeasible), "{possible_objective}");
            }
            Reason::TooSlow { possible_objective, .. } => {
                let slower = changed(&request, |r| r.objectives.rtf_p95 = possible_objective);
                let condition = decide(&slower).infeasible().map(|infeasible| infeasible.condition);
                prop_assert!(condition != Some(Condition::RtfInfeasible), "{possible_objective}");
            }
            other => prop_assert!(false, "{other}"),
        }
    }
}

fn keeps_bounds(request: &Request, plan: &Plan) -> Result<(), TestCaseError> {
    let replicas = plan.replicas;
    prop_assert!(
        replicas.min <= replicas.at_peak
            && replicas.at_peak <= replicas.max
            && replicas.max <= replicas.limit
    );
    let threads = plan.pod.threads;
    prop_assert!(f64::from(threads.intra_op * threads.workers) <= plan.pod.cpu);
    let ttfa_p95 = plan.predicted.ttfa_p95.unwrap();
    prop_assert!(ttfa_p95 <= request.objectives.ttfa_p95 + 1e-6, "{ttfa_p95}");
    prop_assert!(plan.predicted.rtf_p95 <= request.objectives.rtf_p95);
    prop_assert!(plan.predicted.late_or_rejected <= 0.05 + 1e-9);
    prop_assert!(plan.predicted.utilisation <= request.policy.max_utilisation + 1e-9);
    prop_assert!(peak(request) / f64::from(replicas.at_peak) <= plan.predicted.rate + 1e-9);
    // The autoscaler acts before the pod is full.
    prop_assert!(1.1 * plan.autoscaling.rate <= plan.predicted.rate + 1e-9);
    prop_assert!(
        f64::from(plan.autoscaling.in_flight_milli)
            <= (1000.0 * plan.autoscaling.in_flight).max(1.0)
    );
    prop_assert_eq!(plan.candidates[0].class.is_empty(), false);
    for reason in &plan.reasons {
        prop_assert!(
            reason.to_string().len() > 10 && !reason.to_string().contains("NaN"),
            "{}",
            reason
        );
    }
    Ok(())
}

//! Plans that were worked out elsewhere: 16 worth reading, and 32 drawn at random to reach every
//! rule.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use tts_planner::{Decision, Reason, Request, plan};
use tts_planner_dev::goldens::{Case, Goldens, comparison};

const PLANS: &str = include_str!("goldens/plans.json");
const RANDOM: &str = include_str!("goldens/random-plans.json");

fn requests(text: &str) -> Vec<(String, Request, Vec<String>)> {
    let goldens = Goldens::from_json(text).unwrap();
    let of = |case: &Case| {
        let request = goldens.request(case).unwrap();
        let differences = comparison::differences(&case.expected, &plan(&request).unwrap());
        (case.name.clone(), request, differences)
    };
    goldens.cases.iter().map(of).collect()
}

#[test]
fn every_value_agrees_to_one_in_a_million() {
    for (text, count) in [(PLANS, 16), (RANDOM, 32)] {
        let cases = requests(text);
        assert_eq!(cases.len(), count);
        for (name, _, differences) in cases {
            assert!(differences.is_empty(), "{name}: {differences:#?}");
        }
    }
}

#[test]
fn the_profiles_of_a_case_are_variants_of_one_voice() {
    for (name, request, _) in requests(PLANS).into_iter().chain(requests(RANDOM)) {
        let voices: Vec<_> = request
            .measurements
            .iter()
            .map(|measurement| &measurement.profile.voice)
            .collect();
        for (position, voice) in voices.iter().enumerate() {
            assert_eq!(voice.name, voices[0].name, "{name}");
            assert!(
                voices[..position]
                    .iter()
                    .all(|other| other.variant != voice.variant),
                "{name}: {:?} twice",
                voice.variant
            );
        }
    }
}

#[test]
fn a_wrong_expectation_is_reported() {
    let wrong = PLANS.replacen("\"lam\": 1.4797939970988252", "\"lam\": 1.47980", 1);
    assert_ne!(wrong, PLANS);
    let cases = requests(&wrong);
    assert_eq!(cases[0].2.len(), 1, "{:?}", cases[0].2);
    assert!(cases[0].2[0].starts_with("lam: "));
}

#[test]
fn sizes_between_the_measured_ones_change_no_golden_plan() {
    for (name, mut request, _) in requests(PLANS) {
        let measured = plan(&request).unwrap();
        request.policy.interpolate_sizes = true;
        match (measured, plan(&request).unwrap()) {
            (Decision::Plan(measured), Decision::Plan(all)) => {
                assert_eq!(
                    (measured.pod, measured.replicas),
                    (all.pod, all.replicas),
                    "{name}"
                );
            }
            (Decision::Infeasible(measured), Decision::Infeasible(all)) => {
                assert_eq!(measured.condition, all.condition, "{name}");
            }
            _ => panic!("{name}: feasible one way only"),
        }
    }
}

fn reasons(case: &str) -> Vec<String> {
    let (_, request, _) = requests(PLANS)
        .into_iter()
        .find(|(name, _, _)| name.starts_with(case))
        .unwrap();
    match plan(&request).unwrap() {
        Decision::Plan(plan) => plan.reasons.iter().map(Reason::to_string).collect(),
        Decision::Infeasible(infeasible) => vec![infeasible.reason.to_string()],
    }
}

#[test]
fn a_person_can_read_why() {
    assert_eq!(
        reasons("P3"),
        [
            "cpu-strong: 0.0113/audio-hour at the SLO; next class cpu-weak costs 10.60x",
            "7 cpu x 2 thread(s), fp32: holds 5.02 req/s with p95 TTFA <= 400 ms (utilisation 53 % of 9.45 req/s; p95 idle 215 ms; derated 5 %)",
            "2 thread(s) per request: 0.6 services fit in the promise after the first audio; the promise is 1.16x the idle p95 of one thread; each thread does 81 % of a lone one's work",
            "maxConcurrency=3: p95 RTF 0.06 <= 0.90; queue=3 (= 9.45 req/s x 0.27 s left after a typical 134 ms first chunk): deeper would be late, so 429; late-or-rejected 4.9 % at peak",
            "ceil(20.00/5.02)=4 at peak (predicted p95 397 ms); min 2, max 5 (limit 60 pods)",
            "in-flight target 1.234 per pod = L(3.76 req/s); 5.02/1.10 tolerance/1.21 ramp (20 %/min x 64 s)",
            "320 MiB: 256 MiB from the length regression at 3 x 15 audio-s, +15 %",
            "Burstable: 7.1 cpu requested, no limit: the pod has no more threads than cores, a limit would only stall it",
            "base load 4.00 req/s assumed: 20 % of the peak; give baseRequestsPerSecond to set it",
            "Random balancing: 4 pod(s) at peak",
        ]
    );
}

#[test]
fn what_would_help_is_said() {
    assert_eq!(
        reasons("P4"),
        [
            "best service-only p95 time to first audio is 143 ms on cpu-strong (7 cpu, 7 threads) > SLO 50 ms; options: streaming or a shorter first chunk, a faster class, lower precision, fewer NFE steps, or SLO >= 180 ms"
        ]
    );
    assert_eq!(
        reasons("P10"),
        [
            "closest: gpu-agx 2 cpu x 1 thread(s): needs 10 pods, 4 are possible (4 nodes x 1); add 6 node(s), or lower the peak to 0.53 req/s, or promise 3100 ms"
        ]
    );
}

#[test]
fn the_price_at_which_a_gpu_pays_is_said() {
    let reasons = reasons("P6");
    let wanted =
        "gpu-l4 pays once more than 2 pod(s) of cpu-strong are needed, i.e. above 0.228 req/s";
    assert!(
        reasons.iter().any(|reason| reason == wanted),
        "{reasons:#?}"
    );
}

#[test]
fn a_move_that_pays_is_said() {
    let reasons = reasons("P14");
    let wanted = "moves from cpu-strong to cpu-weak: saves 20 %, more than 15 %";
    assert!(
        reasons.iter().any(|reason| reason == wanted),
        "{reasons:#?}"
    );
}
